-- Liquidations by the matching engine: an order goes out, trades come back, and
-- what is not traded in time is taken over.  Every figure in a comment was
-- calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 73001;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all
INSERT INTO ledger.policy (policy_code, stages, execution, order_timeout, liquidation_trigger, surplus_to, liquidation_fee_base, liquidation_fee_minimum)
VALUES ('73 hour', '{own,fund,house}', 'order', '1 hour', 'at_or_below', 'fund', 0.001, 0.001),
	   ('73 at once', '{own,fund,house}', 'order', '1 microsecond', 'at_or_below', 'fund', 0.001, 0.001),
	   ('73 trader', '{own,fund,house}', 'order', '1 hour', 'at_or_below', 'trader', 0.001, 0.001);

-- Tiers of 1 % up to 5,000 and 2 % above, the second deducting 50.  Bob is long
-- 100 at 100 with 1,000.
CREATE PROCEDURE pg_temp.long(book int, policy text) LANGUAGE sql AS $$
	CALL pg_temp.venue(book, policy, 1000);
	INSERT INTO ledger.margin_tier VALUES (book * 10, 5000, 0.02, 10);
	CALL pg_temp.deposit(book, 2, 1000);
	CALL pg_temp.fill(book, 2, 8, 100, 100)
$$;
-- a trade of the order that is out, with the market maker
CREATE PROCEDURE pg_temp.fill_order(book int, qty numeric, price numeric) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind, liquidation_id)
	SELECT book, t.account_id, book * 10, t.side, qty, price, e.id, t.kind, t.liquidation_id
	  FROM (SELECT nextval('execution') AS id) e, (SELECT max(l.liquidation_id) AS id FROM ledger.liquidation l WHERE l.book_id = book) l,
	 LATERAL (VALUES (2, 'sell', 'liquidation', l.id), (8, 'buy', 'trade', NULL)) AS t(account_id, side, kind, liquidation_id)
$$;
CREATE TEMP VIEW orders AS
SELECT o.book_id, o.side, trim_scale(o.qty) AS qty, trim_scale(o.limit_price) AS limit_price, o.state, trim_scale(o.filled_qty) AS filled, o.fee_owed, o.fee, o.surplus
  FROM ledger.liquidation_order o ORDER BY o.order_id;
CREATE TEMP VIEW liquidations AS
SELECT l.book_id, l.execution, l.outcome, l.steps, round(l.level_before, 2) AS level_before, round(l.level_after, 2) AS level_after,
	   l.fee_owed, l.fee_to_fund + l.fee_to_liquidator + l.fee_to_venue AS fee, l.surplus
  FROM ledger.liquidation l ORDER BY l.liquidation_id;
CREATE TEMP VIEW told AS
SELECT e.book_id, e.kind, e.payload - '{order_id,liquidation_id,instrument_id,expires_at,level_before,level_after,equity_after}'::text[] AS payload
  FROM ledger.event e ORDER BY e.event_id;
CREATE FUNCTION pg_temp.sweep(book int) RETURNS TABLE (result text) LANGUAGE sql AS $$
	SELECT s.result FROM risk.sweep(book * 10) s WHERE s.book_id = book
$$;

-- 1. At 91.2 the notional is 9,120: required are 132.4 and a fee of 9.12, the
-- equity is 120.  The part above 5,000, 45.1754386 contracts of 100, is offered at
-- the bankruptcy price, 90.

CALL pg_temp.long(730, '73 hour');
CALL pg_temp.mark(730, 91.2);
CALL pg_temp.remember(730);
-- so his screen says
SELECT qty, notional, tier, tier_floor, maintenance_rate, bankruptcy_price, fee_rate, fee, execution, step_rule, next_step
  FROM ledger.liquidation_terms WHERE book_id = 730 AND account_id = 2;
SELECT * FROM pg_temp.sweep(730);
SELECT * FROM orders WHERE book_id = 730;
SELECT * FROM told WHERE book_id = 730;
-- while it is out the account takes no new risk, and nothing goes out of it
SELECT status FROM ledger.account WHERE book_id = 730 AND account_id = 2;
\set VERBOSITY sqlstate
CALL pg_temp.fill(730, 2, 8, 1, 91);
SELECT risk.withdraw(2, 1, 730);
\set VERBOSITY default
-- a sweep has nothing to do until something has happened
SELECT * FROM pg_temp.sweep(730);
SELECT result FROM risk.sweep_account(730, 2);
-- Two trades, at 90.5 and at 90.  The first brings 0.5 each above the limit: 30 *
-- 0.5 = 15.  Of that 4.09 are the fee, 0.1 % of 30 * 90.5 + 15.1754386 * 90, rounded
-- up: 4,080.7895; and 10.91 go to the fund.
CALL pg_temp.fill_order(730, 30, 90.5);
SELECT * FROM pg_temp.sweep(730);
CALL pg_temp.fill_order(730, 15.1754386, 90);
SELECT * FROM pg_temp.sweep(730);
SELECT * FROM orders WHERE book_id = 730;
SELECT * FROM liquidations WHERE book_id = 730;
SELECT status FROM ledger.account WHERE book_id = 730 AND account_id = 2;
-- the market maker bought 0.7 and 1.2 below the mark: 30 * 0.7 + 15.1754386 * 1.2 = 39.21
SELECT party, round(change, 2) AS change FROM change;

-- 2. Time is over with 20 of it traded: the liquidity account takes the rest of
-- the step, and all that comes after it.

CALL pg_temp.long(731, '73 at once');
CALL pg_temp.mark(731, 91.2);
SELECT * FROM pg_temp.sweep(731);
CALL pg_temp.fill_order(731, 20, 90);
SELECT * FROM pg_temp.sweep(731);
SELECT * FROM orders WHERE book_id = 731;
SELECT * FROM liquidations WHERE book_id = 731;
SELECT trim_scale(qty) AS qty, trim_scale(price) AS price FROM ledger.liquidation_step WHERE book_id = 731 ORDER BY step;
SELECT * FROM told WHERE book_id = 731;
-- The market falls on and all of it is closed.  The engine traded the order all the
-- same, and tells it late: 25.1754386 more do not turn bob's position over, they are
-- the liquidity account's.
CALL pg_temp.mark(731, 89);
SELECT * FROM pg_temp.sweep(731);
SELECT * FROM held WHERE book_id = 731;
CALL pg_temp.fill_order(731, 25.1754386, 90);
SELECT * FROM held WHERE book_id = 731;

-- 3. A deposit comes: the order is taken back, and nothing was closed.

CALL pg_temp.long(732, '73 hour');
CALL pg_temp.mark(732, 91.2);
SELECT * FROM pg_temp.sweep(732);
CALL pg_temp.deposit(732, 2, 100);
SELECT * FROM pg_temp.sweep(732);
SELECT * FROM orders WHERE book_id = 732;
SELECT * FROM liquidations WHERE book_id = 732;
SELECT kind, payload FROM told WHERE book_id = 732 AND kind LIKE '%liquidation_order';

-- 4. The market gaps while it is out: at 89 the equity is -100.  The liquidity
-- account takes all of it at the mark, and the fund pays.

CALL pg_temp.long(733, '73 hour');
CALL pg_temp.mark(733, 91.2);
SELECT * FROM pg_temp.sweep(733);
CALL pg_temp.mark(733, 89);
SELECT * FROM pg_temp.sweep(733);
SELECT * FROM orders WHERE book_id = 733;
SELECT * FROM liquidations WHERE book_id = 733;
SELECT stage, amount FROM ledger.reset WHERE book_id = 733 ORDER BY reset_id;

-- 5. What is better than bankruptcy stays with the trader: at 91, of the
-- 4,110.97 that were closed, 4.12 are the fee; half of the maintenance that is
-- freed would allow more.

CALL pg_temp.long(734, '73 trader');
CALL pg_temp.mark(734, 91.2);
SELECT * FROM pg_temp.sweep(734);
CALL pg_temp.fill_order(734, 45.1754386, 91);
CALL pg_temp.remember(734);
SELECT * FROM pg_temp.sweep(734);
SELECT * FROM orders WHERE book_id = 734;
SELECT * FROM liquidations WHERE book_id = 734;
SELECT party, change FROM change WHERE change <> 0;

-- 6. A fill of an order closes and never opens; and a liquidation is its account's.

CALL pg_temp.fill_order(734, 60, 91);
SELECT * FROM held WHERE book_id = 734;
SELECT l.liquidation_id FROM ledger.liquidation l WHERE l.book_id = 734 \gset
-- numbers of trades differ from run to run
\set VERBOSITY sqlstate
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind, liquidation_id)
VALUES (734, 8, 7340, 'sell', 1, 91, 73901, 'liquidation', :liquidation_id), (734, 2, 7340, 'buy', 1, 91, 73901, 'trade', NULL);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind, liquidation_id)
VALUES (734, 2, 7340, 'sell', 1, 91, 73902, 'liquidation', 0), (734, 8, 7340, 'buy', 1, 91, 73902, 'trade', NULL);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind, liquidation_id)
VALUES (734, 2, 7340, 'sell', 1, 91, 73903, 'trade', :liquidation_id), (734, 8, 7340, 'buy', 1, 91, 73903, 'trade', NULL);
\set VERBOSITY default

SELECT b.book_id, v.* FROM generate_series(730, 734) AS b(book_id), LATERAL risk.verify(b.book_id) v WHERE v.violations > 0;
