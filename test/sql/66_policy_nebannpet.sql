-- Nebannpet: freeze, debt, repayment.  Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 66201;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || regexp_replace(regexp_replace(SQLERRM, 'debt \d+', 'debt N'), '(trade|transfer|hold) \d+', '\1 N');
END
$$;

-- Maintenance 0: the liquidation price is where the equity is used up.  Alice
-- is long 1 from 55,000 with 5,000: 50,000.  She has a second account with 300.
CALL pg_temp.venue(662, 'nebannpet', 500);
UPDATE ledger.margin_tier SET maintenance_rate = 0, max_leverage = 100 WHERE instrument_id = 6620;
CALL pg_temp.mark(662, 55000);
CALL pg_temp.deposit(662, 1, 5000);
CALL pg_temp.deposit(662, 7, 300);
CALL pg_temp.deposit(662, 2, 20000);
CALL pg_temp.fill(662, 1, 2, 1, 55000);
SELECT trim_scale(liquidation_price) AS liquidation_price FROM ledger.position_risk WHERE book_id = 662 AND account_id = 1;

-- 1. A flash crash gaps through: executed at 48,000, 2,000 below zero.  The
-- fund pays its 500, the venue 1,500 as a claim on her, and she owes all of it.

CALL pg_temp.mark(662, 48000);
CALL pg_temp.remember(662);
SELECT s.result FROM risk.sweep(6620) s WHERE s.book_id = 662;
CALL pg_temp.mark(662, 52000);
SELECT r.stage, r.shortfall, r.amount, r.balance_before, r.balance_after FROM ledger.reset r WHERE r.book_id = 662 ORDER BY r.reset_id;
CALL pg_temp.mark(662, 48000);
SELECT * FROM change;
SELECT d.principal, d.repaid, d.waived, a.status FROM ledger.debt d JOIN ledger.account a USING (book_id, account_id) WHERE d.book_id = 662;
-- both of her accounts are frozen, and she is told what to do
SELECT account_id, status FROM ledger.account WHERE book_id = 662 AND owner_id = 'alice' ORDER BY account_id;
SELECT kind, payload ->> 'amount' AS amount, regexp_replace(payload ->> 'steps', 'account \d+', 'account N', 'g') AS steps FROM ledger.event
 WHERE book_id = 662 AND kind IN ('debt', 'freeze') ORDER BY event_id;

-- 2. No trade, no withdrawal, from either account

SELECT pg_temp.try('INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (662, 7, 6620, ''buy'', 0.01, 52000, 66299), (662, 2, 6620, ''sell'', 0.01, 52000, 66299)');
SELECT pg_temp.try('SELECT risk.withdraw(7, 100, 662)');

-- 3. A deposit that cannot be refused pays the debt first: 800, to who paid
-- last.  The venue's claim falls from 1,500 to 700.

CALL pg_temp.remember(662);
CALL pg_temp.deposit(662, 1, 800);
SELECT * FROM change;
SELECT principal - repaid - waived AS outstanding FROM ledger.debt WHERE book_id = 662;

-- 4. The rest in three instalments, which sum to it: 1,200.  None is due yet, so
-- both accounts are free, and a deposit is hers.  She pays the first, 400 of the
-- claim of the venue, which is 300 then; 200 are waived, for which the house
-- takes over that part of the claim.

SELECT debt_id AS debt FROM ledger.debt WHERE book_id = 662 \gset
SELECT instalment, amount FROM risk.plan_instalments(:debt, 3, now() + interval '1 day', interval '1 month', 662) ORDER BY 1;
SELECT account_id, status FROM ledger.account WHERE book_id = 662 AND owner_id = 'alice' ORDER BY account_id;
CALL pg_temp.deposit(662, 1, 400);
CALL pg_temp.remember(662);
SELECT risk.repay(:debt, 400, 662) AS outstanding;
SELECT * FROM change;
CALL pg_temp.remember(662);
SELECT risk.waive(:debt, 200, 'hardship', 662) AS outstanding;
SELECT * FROM change;
SELECT w.amount, w.reason FROM ledger.waiver w WHERE w.book_id = 662;
SELECT pg_temp.try(format('SELECT risk.waive(%s, 600.01, ''more than is owed'', 662)', :debt));

-- 5. The last 600: 100 that are left of the venue's claim, and 500 to the fund.
-- Nothing is owed.

CALL pg_temp.deposit(662, 1, 600);
CALL pg_temp.remember(662);
SELECT risk.repay(:debt, 600, 662) AS outstanding;
SELECT * FROM change;
SELECT principal, repaid, waived FROM ledger.debt WHERE book_id = 662;
SELECT account_id, status FROM ledger.account WHERE book_id = 662 AND owner_id = 'alice' ORDER BY account_id;
SELECT pg_temp.try('SELECT risk.withdraw(7, 300, 662)');

-- 6. The report of the venue: one negative balance, and of how many trades

SELECT negative_balances, leveraged_trades FROM ledger.negative_balance_report WHERE book_id = 662;
-- 7. The tools of the trader: warnings as the threshold nears, and a stop-loss.
-- With a maintenance of 1 % bob, long 1 from 55,000 with 5,500, has p - 49,500 of
-- 0.01 p: 150 % at 50,253.81, 100 % at 50,000.  At 50,250 he has 750 of 502.50,
-- 149.25 %.  His stop-loss at 50,150 goes out before anything is liquidated, and is
-- filled there: 650 are left when the market gaps to 48,000.

CALL pg_temp.venue(669, 'nebannpet', 500);
CALL pg_temp.mark(669, 55000);
CALL pg_temp.deposit(669, 2, 5500);
CALL pg_temp.fill(669, 2, 8, 1, 55000);
SELECT FROM risk.place_stop_order(2, 6690, 'sell', 50150, 1, book_id => 669);
CALL pg_temp.mark(669, 50250);
SELECT result, level, round(margin_level, 2) AS margin_level FROM risk.alert(6690) WHERE book_id = 669;
SELECT payload ->> 'level' AS level, payload ->> 'amount' AS amount, payload ->> 'steps' AS steps FROM ledger.event
 WHERE book_id = 669 AND kind = 'alert' ORDER BY event_id;
CALL pg_temp.mark(669, 50150);
SELECT s.result FROM risk.sweep(6690) s WHERE s.book_id = 669;
SELECT s.state, s.mark_price, s.closed_qty FROM ledger.stop_order s WHERE s.book_id = 669;
SELECT e.kind, e.payload ->> 'side' AS side, e.payload ->> 'qty' AS qty FROM ledger.event e WHERE e.book_id = 669 AND e.kind LIKE '%stop%' ORDER BY event_id;
CALL pg_temp.fill(669, 8, 2, 1, 50150);
CALL pg_temp.mark(669, 48000);
SELECT s.result FROM risk.sweep(6690) s WHERE s.book_id = 669;
SELECT w.party, w.balance FROM wealth w WHERE w.book_id = 669 AND w.party = 'bob';
SELECT * FROM risk.verify(669) WHERE violations > 0;
SELECT * FROM risk.verify(662) WHERE violations > 0;
