-- Gate.io and CoinEx: tiers, liquidation in steps, the fund where it covers the
-- whole, else auto-deleveraging.  Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 66301;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all

-- 1. In steps.  Tiers of 1 % up to 5,000 and 2 % above, the second deducting
-- 50.  Bob is long 100 at 100 with 1,000: required 150 of an equity of 1,000.  At
-- 91.2 the notional is 9,120, required 132.4, the equity 120: at 90.6 %.  The part
-- above 5,000 is taken over, at the bankruptcy price of 90: 45.17544 contracts of
-- 100.  What is left keeps its share of the equity, 65.79, against 50: 131.58 %.

CALL pg_temp.venue(663, 'coinex', 499);
INSERT INTO ledger.margin_tier VALUES (6630, 5000, 0.02, 10);
CALL pg_temp.deposit(663, 2, 1000);
CALL pg_temp.fill(663, 2, 8, 100, 100);
CALL pg_temp.mark(663, 91.2);
CALL pg_temp.remember(663);
SELECT s.result, s.detail FROM risk.sweep(6630) s WHERE s.book_id = 663;
SELECT s.step, trim_scale(s.qty) AS qty, trim_scale(s.price) AS price, trim_scale(round(s.maintenance_before, 2)) AS maintenance_before, trim_scale(round(s.maintenance_after, 2)) AS maintenance_after,
	   round(s.level_before, 2) AS level_before, round(s.level_after, 2) AS level_after
  FROM ledger.liquidation_step s WHERE s.book_id = 663 ORDER BY s.step;
-- what the part was better than bankruptcy is the liquidity account's, and goes on to the fund when it is unwound
SELECT party, round(change, 2) AS change FROM change;

-- 2. Long 10,000 with 1,000 of margin at 10x: a 10 % fall leaves exactly zero,
-- and a gap to 85 loses 500 more.  The fund has 499: not the whole, so it stays
-- untouched.

CALL pg_temp.venue(664, 'coinex', 499);
CALL pg_temp.deposit(664, 1, 1000);
CALL pg_temp.deposit(664, 3, 1000);
CALL pg_temp.deposit(664, 4, 1000);
CALL pg_temp.fill(664, 1, 8, 100, 100);
CALL pg_temp.fill(664, 8, 3, 60, 105);
CALL pg_temp.fill(664, 8, 4, 40, 100);
CALL pg_temp.mark(664, 90);
SELECT equity, liquidatable FROM ledger.account_risk WHERE book_id = 664 AND account_id = 1;
CALL pg_temp.mark(664, 85);
SELECT p.party, q.side, round(q.score, 4) AS score, q.rank, q.lights
  FROM ledger.adl_queue q JOIN party p USING (book_id, account_id) WHERE q.book_id = 664 AND q.side = 'short' ORDER BY q.rank;
CALL pg_temp.remember(664);
SELECT s.result FROM risk.sweep(6640) s WHERE s.book_id = 664;
SELECT r.stage, r.amount FROM ledger.reset r WHERE r.book_id = 664 ORDER BY r.reset_id;
SELECT * FROM change;

-- 3. Carol and dave, who are short, are deleveraged in the order of their rank,
-- at 90, where alice was bankrupt: 5 less for each contract than at the mark.

CALL pg_temp.remember(664);
SELECT * FROM pg_temp.settle(664);
SELECT * FROM change;
SELECT * FROM held WHERE book_id = 664;
SELECT * FROM suspended WHERE book_id = 664;
SELECT kind, amount FROM ledger.fund_history WHERE book_id = 664 ORDER BY posted_at, slot, seq;

-- 4. With 500 in the fund it pays the whole in the commit, and nobody is deleveraged.

CALL pg_temp.venue(665, 'coinex', 500);
CALL pg_temp.deposit(665, 1, 1000);
CALL pg_temp.deposit(665, 3, 1000);
CALL pg_temp.fill(665, 1, 8, 100, 100);
CALL pg_temp.fill(665, 8, 3, 60, 105);
CALL pg_temp.mark(665, 85);
CALL pg_temp.remember(665);
SELECT s.result FROM risk.sweep(6650) s WHERE s.book_id = 665;
SELECT * FROM change;
SELECT * FROM pg_temp.settle(665);
SELECT * FROM risk.verify(663) WHERE violations > 0;
SELECT * FROM risk.verify(664) WHERE violations > 0;
