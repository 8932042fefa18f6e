-- Funding: who pays whom, rounding, repetition, late trades, accounts that cannot pay.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(90, 'funding'), risk.create_book(91, 'funding too');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier)
VALUES (9001, 'BTC/USDT 90', 'USDT', 1), (9002, 'ETH/USDT 90', 'USDT', 0.1), (9003, 'XRP/USDT 90', 'USDT', 1);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
SELECT b, a, 'USDT', (ARRAY['alice', 'bob', 'carol', 'dave'])[a]
  FROM generate_series(90, 91) AS b, generate_series(1, 4) AS a;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT a.book_id, risk.system_account(a.book_id, 'external', 'USDT'), a.account_id, 10000, 'deposit'
  FROM ledger.account a
 WHERE a.book_id IN (90, 91) AND a.asset_code = 'USDT' AND (a.account_id > 0 OR a.kind IN ('insurance_fund', 'liquidity'))
 ORDER BY a.book_id, a.account_id DESC;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 90001;
ALTER TABLE ledger.funding ALTER funding_id RESTART WITH 90001;

CREATE TEMP VIEW party AS
SELECT book_id, coalesce(a.owner_id, a.kind) AS party, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE book_id IN (90, 91) AND kind NOT IN ('external', 'insurance_fund', 'liquidity')
 GROUP BY book_id, a.account_id HAVING sum(b.amount) <> 0
 ORDER BY book_id, a.account_id;
CREATE TEMP VIEW payment AS
SELECT p.book_id, f.instrument_id, f.funding_at, coalesce(a.owner_id, a.kind) AS party,
	   nullif(p.trade_id, 0) AS late_trade, trim_scale(p.qty) AS qty, p.amount
  FROM ledger.funding_payment p
  JOIN ledger.funding f USING (book_id, funding_id)
  JOIN ledger.account a USING (book_id, account_id)
 ORDER BY p.book_id, f.funding_at, f.instrument_id, p.trade_id, p.account_id;

-- 1. Before there was a mark, nothing can be funded

SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-01-01 08:00', 90);
INSERT INTO ledger.mark_price (instrument_id, price, observed_at)
VALUES (9001, 30000, '2024-01-01 09:00'), (9002, 2000, '2024-01-01 01:00'), (9003, 0.333, '2024-01-01 01:00');
SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-01-01 08:00', 90);
-- an older tick goes to the history
SELECT * FROM risk.set_mark_prices('{9001}', '{29999}', '2024-01-01 07:00');

-- 2. Rounding: alice is long 3, bob short 1, carol short 2

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 1, 9001, 'buy', 3, 30000, 90001, '2024-01-01 07:30'),
	   (90, 2, 9001, 'sell', 1, 30000, 90001, '2024-01-01 07:30'),
	   (90, 3, 9001, 'sell', 2, 30000, 90001, '2024-01-01 07:30');
-- The mark of 07:00 holds at 08:00.  89,997 * 0.0001 = 8.9997 is paid as 9.00;
-- 2.9999 and 5.9998 are received as 2.99 and 5.99; 0.02 stay.
SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-01-01 08:00', 90);
SELECT party, balance FROM party WHERE book_id = 90;
SELECT e.account_id, e.amount, e.balance_after, e.kind, e.cause, e.effective_at
  FROM ledger.entry e WHERE e.book_id = 90 AND e.kind = 'funding' AND e.account_id > 0 ORDER BY e.account_id;
SELECT sum(amount) FROM ledger.entry WHERE book_id = 90 AND kind = 'funding';

-- 3. Once and no more

SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-01-01 08:00', 90);
SELECT * FROM risk.pay_funding(9001, 0.00010, '2024-01-01 08:00', 90);
SELECT * FROM risk.pay_funding(9001, 0.0002, '2024-01-01 08:00', 90);
INSERT INTO ledger.funding (book_id, instrument_id, funding_at, rate) VALUES (90, 9001, '2024-01-01 08:00', 0.0001);
SELECT count(*) AS entries FROM ledger.entry WHERE book_id = 90 AND kind = 'funding';
-- another mark for that time changes nothing
SELECT * FROM risk.set_mark_prices('{9001}', '{100}', '2024-01-01 07:59');
SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-01-01 08:00', 90);

-- 4. Below zero, shorts pay: bob 3.00, carol 6.00; alice gets 8.99 of 8.9999...

SELECT * FROM risk.pay_funding(9001, -0.000099999999999999, '2024-01-01 09:00', 90);
SELECT party, balance FROM party WHERE book_id = 90;
-- with a rate of zero nobody does
SELECT * FROM risk.pay_funding(9001, 0, '2024-01-01 10:00', 90);
-- 1 at 0.333 and 0.01 is 0.00333, paid as 0.01 and received as nothing.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 1, 9003, 'buy', 1, 0.333, 90002, '2024-01-01 07:30'), (90, 2, 9003, 'sell', 1, 0.333, 90002, '2024-01-01 07:30');
SELECT * FROM risk.pay_funding(9003, 0.01, '2024-01-01 08:00', 90);

-- 5. The position of that time, not of now: a trade at 12:00 sharp comes after it

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 1, 9002, 'buy', 10, 2000, 90003, '2024-01-01 11:59:59.999999'),
	   (90, 2, 9002, 'sell', 10, 2000, 90003, '2024-01-01 11:59:59.999999'),
	   -- alice closes, carol and dave open
	   (90, 1, 9002, 'sell', 10, 2000, 90004, '2024-01-01 12:00'),
	   (90, 3, 9002, 'buy', 10, 2000, 90004, '2024-01-01 12:00'),
	   (90, 4, 9002, 'sell', 5, 2000, 90005, '2024-01-01 12:00:01'),
	   (90, 2, 9002, 'buy', 5, 2000, 90005, '2024-01-01 12:00:01');
-- 10 * 0.1 * 2,000 * 0.001 = 2
SELECT * FROM risk.pay_funding(9002, 0.001, '2024-01-01 12:00', 90);
SELECT party, qty, amount FROM payment WHERE instrument_id = 9002;
-- Times may come in any order, and a microsecond makes the difference.
SELECT * FROM risk.pay_funding(9002, 0.001, '2024-01-01 11:59:59.999999', 90);
SELECT * FROM risk.pay_funding(9002, 0.001, '2024-01-01 12:00:00.000001', 90);
SELECT funding_at, party, qty, amount FROM payment WHERE instrument_id = 9002;

-- 6. A late trade pays for what it missed: 08:00 (10 * 0.1 * 2,000 * 0.0001 =
-- 0.2) and 16:00 (shorts pay, 0.4), but not 07:00, when it was not executed yet

SELECT * FROM risk.pay_funding(9002, 0.0001, '2024-01-02 08:00', 91);
SELECT * FROM risk.pay_funding(9002, -0.0002, '2024-01-02 16:00', 91);
SELECT * FROM risk.pay_funding(9002, 0.005, '2024-01-02 07:00', 91);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id, executed_at)
VALUES (91, 1, 9002, 'buy', 10, 2000, 1, 91001, '2024-01-02 07:30'), (91, 2, 9002, 'sell', 10, 2000, 0, 91001, '2024-01-02 07:30');
SELECT party, late_trade, funding_at, qty, amount FROM payment WHERE book_id = 91;
SELECT account_id, kind, amount, balance_after, effective_at FROM ledger.entry
 WHERE book_id = 91 AND account_id > 0 AND cause IN (SELECT trade_id FROM ledger.trade WHERE book_id = 91)
 ORDER BY account_id, seq;
-- what the first call said is said again
SELECT * FROM risk.pay_funding(9002, 0.0001, '2024-01-02 08:00', 91);
-- One trade is late for the last funding only, the other for none: 0.1 * 0.1 *
-- 2,000 * 0.0002 = 0.004 is paid as 0.01 and received as nothing.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (91, 3, 9002, 'buy', 0.1, 2000, 91002, '2024-01-02 08:00'), (91, 4, 9002, 'sell', 0.1, 2000, 91002, '2024-01-02 08:00'),
	   (91, 3, 9002, 'buy', 5, 2000, 91003, '2024-01-02 16:00'), (91, 4, 9002, 'sell', 5, 2000, 91003, '2024-01-02 16:00');
SELECT party, funding_at, qty, amount FROM payment WHERE book_id = 91 AND abs(qty) < 10;

-- 7. ... or is refused, where the book says so; a liquidation is booked

UPDATE ledger.book SET late_trade = 'refuse' WHERE book_id = 91;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (91, 1, 9002, 'buy', 1, 2000, 91004, '2024-01-02 15:59'), (91, 2, 9002, 'sell', 1, 2000, 91004, '2024-01-02 15:59');
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at, kind)
VALUES (91, 1, 9002, 'sell', 1, 2000, 91005, '2024-01-02 15:59', 'liquidation'),
	   (91, 2, 9002, 'buy', 1, 2000, 91005, '2024-01-02 15:59', 'liquidation');
SELECT party, funding_at, qty, amount FROM payment WHERE book_id = 91 AND abs(qty) = 1;
-- not late: posted as ever
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (91, 1, 9002, 'buy', 1, 2000, 91006, '2024-01-02 16:00'), (91, 2, 9002, 'sell', 1, 2000, 91006, '2024-01-02 16:00');
UPDATE ledger.book SET late_trade = 'charge', unmatched = 'liquidity' WHERE book_id = 91;
-- The side that the liquidity account takes is as late as the other: 2 * 0.1 * 2,000 * 0.0002 = 0.08.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (91, 1, 9002, 'buy', 2, 2000, 91007, '2024-01-02 15:00');
SELECT party, funding_at, qty, amount FROM payment WHERE book_id = 91 AND abs(qty) = 2;
-- and takes part in the next one
SELECT * FROM risk.pay_funding(9002, 0.0003, '2024-01-03 00:00', 91);
SELECT party, qty, amount FROM payment WHERE book_id = 91 AND funding_at = '2024-01-03';

-- 8. An account that cannot pay: erin is long 1,000 at 10 with 100; the funding
-- is 1,000 * 10 * 0.02 = 200.  She has no profit, so her position is taken over
-- and the fund pays 100.

INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (9004, 'SOL/USDT 90', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price, observed_at) VALUES (9004, 10, '2024-02-01');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (90, 5, 'USDT', 'erin');
SELECT risk.deposit(5, 100, 90) IS NOT NULL AS deposited;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 5, 9004, 'buy', 1000, 10, 90010, '2024-02-01 01:00'), (90, 2, 9004, 'sell', 1000, 10, 90010, '2024-02-01 01:00');
SELECT * FROM risk.pay_funding(9004, 0.02, '2024-02-01 08:00', 90);
SELECT r.account_id, r.stage, r.shortfall, r.amount, r.balance_before, r.balance_after, r.cause_kind,
	   r.instrument_id, r.mark_price, f.funding_at
  FROM ledger.reset r JOIN ledger.funding f ON f.book_id = r.book_id AND f.funding_id = r.cause
 WHERE r.book_id = 90;
SELECT coalesce(a.owner_id, a.kind) AS party, trim_scale(p.qty) AS qty
  FROM ledger.position p JOIN ledger.account a USING (book_id, account_id)
 WHERE book_id = 90 AND instrument_id = 9004 ORDER BY a.account_id;
-- the takeover is not late, although its statement began before the funding
SELECT count(*) AS payments FROM payment WHERE instrument_id = 9004;
-- A late trade that cannot pay is reset as well, and is the cause.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 5, 9004, 'buy', 100, 10, 90011, '2024-02-01 02:00'), (90, 2, 9004, 'sell', 100, 10, 90011, '2024-02-01 02:00');
SELECT r.account_id, r.stage, r.amount, r.cause_kind, t.execution_id
  FROM ledger.reset r JOIN ledger.trade t ON t.book_id = r.book_id AND t.trade_id = r.cause
 WHERE r.book_id = 90 AND r.cause_kind = 'trade';
-- Where nobody else may pay, nothing is posted.
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 90 AND account_id = 5;
SELECT risk.deposit(5, 1, 90) IS NOT NULL AS deposited;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 5, 9004, 'buy', 10, 10, 90012, '2024-02-01 09:00'), (90, 2, 9004, 'sell', 10, 10, 90012, '2024-02-01 09:00');
SELECT * FROM risk.pay_funding(9004, 0.02, '2024-02-01 16:00', 90);
SELECT count(*) FROM ledger.funding WHERE instrument_id = 9004;
UPDATE ledger.account SET policy_code = 'electra' WHERE book_id = 90 AND account_id = 5;

-- 9. Several books and several instruments

SELECT * FROM risk.pay_funding(9002, 0.0001, '2024-02-02 08:00') WHERE book_id IN (90, 91);
-- one that is left out is made up for
SELECT * FROM risk.pay_funding(9003, 0.0001, '2024-02-02 08:00', 90);
SELECT * FROM risk.pay_funding(9003, 0.0001, '2024-02-02 08:00') WHERE book_id IN (90, 91);
-- with another rate, none is posted
ALTER TABLE ledger.funding ALTER funding_id RESTART WITH 90201;
SELECT * FROM risk.pay_funding(9002, 0.0001, '2024-02-02 16:00', 91);
SELECT * FROM risk.pay_funding(9002, 0.0002, '2024-02-02 16:00') WHERE book_id IN (90, 91);
SELECT book_id FROM ledger.funding WHERE funding_at = '2024-02-02 16:00';
-- a plain INSERT posts as many as it has rows
INSERT INTO ledger.funding (book_id, instrument_id, funding_at, rate)
VALUES (90, 9002, '2024-02-03', 0.0001), (91, 9002, '2024-02-03', 0.0001),
	   (90, 9001, '2024-02-03', 0.0001), (90, 9001, '2024-02-03 01:00', 0.0001);
SELECT book_id, instrument_id, funding_at, party, qty, amount FROM payment
 WHERE funding_at::date = '2024-02-03' AND instrument_id = 9001;

-- 10. Bad input

SELECT * FROM risk.pay_funding(9999, 0.0001, '2024-01-01 08:00');
SELECT * FROM risk.pay_funding(NULL, 0.0001, '2024-01-01 08:00');
SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-01-01 08:00', 99999);
SELECT * FROM risk.pay_funding(9001, 'NaN', '2024-02-04');
SELECT * FROM risk.pay_funding(9001, 1, '2024-02-04');
SELECT * FROM risk.pay_funding(9001, '-Infinity', '2024-02-04');
SELECT * FROM risk.pay_funding(9001, 1e-19, '2024-02-04');
SELECT * FROM risk.pay_funding(9001, NULL, '2024-02-04');
\set VERBOSITY terse
SELECT * FROM risk.pay_funding(9001, 0.0001, 'infinity');
SELECT * FROM risk.pay_funding(9001, 0.0001, '-infinity');
SELECT * FROM risk.pay_funding(9001, 0.0001, NULL);
SELECT * FROM risk.pay_funding(9001, 0.0001, '9999-01-01');
INSERT INTO ledger.funding (book_id, instrument_id, funding_at, rate, mark_price) VALUES (90, 9001, '2024-02-04', 0.0001, 1);
INSERT INTO ledger.funding (book_id, instrument_id, funding_at, rate, who) VALUES (90, 9001, '2024-02-04', 0.0001, 'somebody');
-- Nothing of it is changed, and payments are not made by hand.
UPDATE ledger.funding SET rate = 0;
UPDATE ledger.instrument SET last_funding_at = NULL WHERE instrument_id = 9001;
UPDATE ledger.instrument SET last_funding_at = '2024-02-02' WHERE instrument_id = 9001;
UPDATE ledger.instrument SET last_funding_at = last_funding_at + interval '1 day' WHERE instrument_id = 9001;
DELETE FROM ledger.funding_payment;
TRUNCATE ledger.funding CASCADE;
INSERT INTO ledger.funding_payment (book_id, funding_id, account_id, trade_id, qty, amount) VALUES (90, 90001, 1, 1, 1, 1);
\set VERBOSITY default
-- An account that is closed, with a position at that time
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 4, 9003, 'buy', 1, 1, 90020, '2024-02-05 01:00'), (90, 2, 9003, 'sell', 1, 1, 90020, '2024-02-05 01:00'),
	   (90, 4, 9003, 'sell', 1, 1, 90021, '2024-02-05 09:00'), (90, 2, 9003, 'buy', 1, 1, 90021, '2024-02-05 09:00'),
	   (90, 4, 9002, 'buy', 5, 2000, 90022, '2024-02-05 09:00'), (90, 2, 9002, 'sell', 5, 2000, 90022, '2024-02-05 09:00');
DO $$
BEGIN
	PERFORM risk.withdraw(4, b.amount, 90) FROM ledger.balance b WHERE b.book_id = 90 AND b.account_id = 4;
END
$$;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 90 AND account_id = 4;
SELECT * FROM risk.pay_funding(9003, 0.0001, '2024-02-05 08:00', 90);

-- 11. A role that may fund and look, and nothing else

CREATE ROLE regress_funder;
GRANT USAGE ON SCHEMA ledger TO regress_funder;
GRANT INSERT, SELECT ON ledger.funding TO regress_funder;
GRANT SELECT ON ledger.funding_payment, ledger.book TO regress_funder;
SET ROLE regress_funder;
SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-02-06 08:00', 90);
RESET ROLE;
GRANT EXECUTE ON FUNCTION risk.pay_funding(int, numeric, timestamptz, int) TO regress_funder;
SET ROLE regress_funder;
SELECT * FROM risk.pay_funding(9001, 0.0001, '2024-02-06 08:00', 90);
INSERT INTO ledger.funding_payment (book_id, funding_id, account_id, trade_id, qty, amount) VALUES (90, 90001, 1, 1, 1, 1);
RESET ROLE;
DROP OWNED BY regress_funder;
DROP ROLE regress_funder;

-- 12. What is kept on the funding accounts is never below zero, and the books are right

SELECT book_id, sum(b.amount) AS kept
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.kind = 'funding' AND book_id IN (90, 91) GROUP BY book_id ORDER BY book_id;
SELECT book_id, sum(b.amount) AS total
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE book_id IN (90, 91) GROUP BY book_id ORDER BY book_id;
SELECT * FROM risk.verify() WHERE violations > 0;
-- verify() would see a payment that is not what it should be
BEGIN;
SET session_replication_role = replica;
INSERT INTO ledger.funding_payment (book_id, funding_id, account_id, trade_id, qty, amount) VALUES (90, 90001, 1, 1, 1, 1);
SELECT * FROM risk.verify() WHERE violations > 0;
ROLLBACK;
BEGIN;
SET session_replication_role = replica;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (90, 1, 9001, 'buy', 1, 1, 90030, '2024-01-01 07:59'), (90, 2, 9001, 'sell', 1, 1, 90030, '2024-01-01 07:59');
SELECT * FROM risk.verify() WHERE violations > 0 AND check_name = 'funded_positions';
ROLLBACK;
