-- Every movement of an insurance fund, for everybody to read, and no names.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(591, 'funds');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (590, 'instrument of 591', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (590, 100);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (591, 1, 'USDT', 'regress_fund_alice'), (591, 2, 'USDT', 'regress_fund_bob'), (591, 3, 'USDT', 'regress_fund_carol');
SELECT FROM risk.deposit(1, 100, 591);
SELECT FROM risk.deposit(2, 1000, 591);
SELECT FROM risk.deposit(3, 1000, 591);
\set fund 'risk.system_account(591, ''insurance_fund'', ''USDT'')'

-- The venue puts 500 in; carol pays a fee of 7; the fund pays 40 for alice, who
-- had 100 and lost 140; the venue takes 67 out: 500 + 7 - 40 - 67 = 400.
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (591, risk.system_account(591, 'external', 'USDT'), :fund, 500, 'deposit');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (591, 3, :fund, 7, 'fee');
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (591, 591, 1, 590, 'buy', 10, 100), (591, 591, 2, 590, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (591, 592, 1, 590, 'sell', 10, 86), (591, 592, 2, 590, 'buy', 10, 86);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (591, :fund, risk.system_account(591, 'house', 'USDT'), 67, 'transfer');
-- what moves between its slots is no movement of the fund
SELECT FROM risk.fold_slots(591);
CREATE TEMP VIEW history AS
SELECT kind, amount, balance, cause_kind, instrument_id, shortfall_id IS NOT NULL AS of_a_shortfall
  FROM ledger.fund_history WHERE book_id = 591 ORDER BY account_id, posted_at, slot, seq;
SELECT * FROM history;

-- The sum of what is shown is the balance, of this fund and of every other one.
SELECT s.balance, sum(h.amount) AS sum_of_history, (array_agg(h.balance ORDER BY h.posted_at DESC, h.slot DESC, h.seq DESC))[1] AS last_balance
  FROM ledger.fund_status s JOIN ledger.fund_history h USING (book_id, account_id)
 WHERE s.book_id = 591 AND s.asset_code = 'USDT' GROUP BY s.balance;
SELECT s.book_id, s.asset_code
  FROM ledger.fund_status s LEFT JOIN ledger.fund_history h USING (book_id, account_id)
 GROUP BY s.book_id, s.asset_code, s.balance HAVING s.balance <> coalesce(sum(h.amount), 0);
SELECT * FROM risk.check_funds(591);

-- The venue sees whose loss it was, and who paid the fee.
SELECT kind, amount, CASE WHEN other_account > 0 THEN other_account END AS other_account, owner_id, policy_code
  FROM ledger.fund_movement WHERE book_id = 591 ORDER BY posted_at, slot, seq;

-- A trader sees every movement, and of nobody else that it was him.
BEGIN;
SELECT risk.protect_owners();
CREATE ROLE regress_fund_alice IN ROLE risk_trader;
CREATE ROLE regress_fund_bob IN ROLE risk_trader;
SET LOCAL ROLE regress_fund_bob;
SELECT kind, amount, balance FROM ledger.fund_history WHERE book_id = 591 ORDER BY posted_at, slot, seq;
SELECT kind, amount, other_account, owner_id FROM ledger.fund_movement WHERE book_id = 591 ORDER BY posted_at, slot, seq;
SET LOCAL ROLE regress_fund_alice;
SELECT kind, amount, other_account, owner_id FROM ledger.fund_movement WHERE book_id = 591 AND owner_id IS NOT NULL;
ROLLBACK;

-- A warning when the fund falls below a level, once, and another when it is back.
INSERT INTO ledger.fund_level (book_id, asset_code, warn_below) VALUES (591, 'USDT', 450);
SELECT risk.watch_funds();
SELECT risk.watch_funds();
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (591, risk.system_account(591, 'external', 'USDT'), :fund, 50, 'deposit');
SELECT risk.watch_funds();
SELECT kind, regexp_replace(payload::text, 'account -\d+', 'account of the fund') AS payload FROM ledger.event WHERE book_id = 591 AND kind LIKE 'fund%' ORDER BY event_id;
SELECT low_since FROM ledger.fund_level WHERE book_id = 591;
SELECT * FROM risk.verify(591) WHERE violations > 0;
