-- Every movement of an insurance fund, for everybody to read, and no names.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(5900, 'funds');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5900, 'instrument of 5900', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5900, 100);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (5900, 1, 'USDT', 'regress_fund_alice'), (5900, 2, 'USDT', 'regress_fund_bob'), (5900, 3, 'USDT', 'regress_fund_carol');
SELECT FROM risk.deposit(1, 100, 5900);
SELECT FROM risk.deposit(2, 1000, 5900);
SELECT FROM risk.deposit(3, 1000, 5900);
\set fund 'risk.system_account(5900, ''insurance_fund'', ''USDT'')'

-- The venue puts 500 in; carol pays a fee of 7; the fund pays 40 for alice, who
-- had 100 and lost 140; the venue takes 67 out: 500 + 7 - 40 - 67 = 400.
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5900, risk.system_account(5900, 'external', 'USDT'), :fund, 500, 'deposit');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5900, 3, :fund, 7, 'fee');
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5900, 59001, 1, 5900, 'buy', 10, 100), (5900, 59001, 2, 5900, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5900, 59002, 1, 5900, 'sell', 10, 86), (5900, 59002, 2, 5900, 'buy', 10, 86);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5900, :fund, risk.system_account(5900, 'house', 'USDT'), 67, 'transfer');
-- what moves between its slots is no movement of the fund
SELECT FROM risk.fold_slots(5900);
CREATE TEMP VIEW history AS
SELECT kind, amount, balance, cause_kind, instrument_id, shortfall_id IS NOT NULL AS of_a_shortfall
  FROM ledger.fund_history WHERE book_id = 5900 ORDER BY account_id, posted_at, slot, seq;
SELECT * FROM history;

-- The sum of what is shown is the balance, of this fund and of every other one.
SELECT s.balance, sum(h.amount) AS sum_of_history, (array_agg(h.balance ORDER BY h.posted_at DESC, h.slot DESC, h.seq DESC))[1] AS last_balance
  FROM ledger.fund_status s JOIN ledger.fund_history h USING (book_id, account_id)
 WHERE s.book_id = 5900 AND s.asset_code = 'USDT' GROUP BY s.balance;
SELECT s.book_id, s.asset_code
  FROM ledger.fund_status s LEFT JOIN ledger.fund_history h USING (book_id, account_id)
 GROUP BY s.book_id, s.asset_code, s.balance HAVING s.balance <> coalesce(sum(h.amount), 0);
SELECT * FROM risk.check_funds(5900);

-- The venue sees whose loss it was, and who paid the fee.
SELECT kind, amount, CASE WHEN other_account > 0 THEN other_account END AS other_account, owner_id, policy_code
  FROM ledger.fund_movement WHERE book_id = 5900 ORDER BY posted_at, slot, seq;

-- A trader sees every movement, and of nobody else that it was him.
BEGIN;
SELECT risk.protect_owners();
CREATE ROLE regress_fund_alice IN ROLE risk_trader;
CREATE ROLE regress_fund_bob IN ROLE risk_trader;
SET LOCAL ROLE regress_fund_bob;
SELECT kind, amount, balance FROM ledger.fund_history WHERE book_id = 5900 ORDER BY posted_at, slot, seq;
SELECT kind, amount, other_account, owner_id FROM ledger.fund_movement WHERE book_id = 5900 ORDER BY posted_at, slot, seq;
SET LOCAL ROLE regress_fund_alice;
SELECT kind, amount, other_account, owner_id FROM ledger.fund_movement WHERE book_id = 5900 AND owner_id IS NOT NULL;
ROLLBACK;

-- A warning when the fund falls below a level, once, and another when it is back.
INSERT INTO ledger.fund_level (book_id, asset_code, warn_below) VALUES (5900, 'USDT', 450);
SELECT risk.watch_funds();
SELECT risk.watch_funds();
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5900, risk.system_account(5900, 'external', 'USDT'), :fund, 50, 'deposit');
SELECT risk.watch_funds();
SELECT kind, replace(payload::text, (:fund)::text, 'of the fund') AS payload FROM ledger.event WHERE book_id = 5900 AND kind LIKE 'fund%' ORDER BY event_id;
SELECT low_since FROM ledger.fund_level WHERE book_id = 5900;
SELECT * FROM risk.verify(5900) WHERE violations > 0;
