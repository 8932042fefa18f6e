-- After the commit: whose positions are closed for a loss, and who pays the rest.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 56001;

\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all
-- Alice is long 100 from 100 with 220.  The others are short 100: carol 20 from
-- 110, dave 40 from 105, alice's second account 10 from 104, bob 30 from 102.
CREATE PROCEDURE pg_temp.crowd(book int, policy text, fund numeric) LANGUAGE sql AS $$
	CALL pg_temp.venue(book, policy, fund);
	CALL pg_temp.deposit(book, 1, 220);
	CALL pg_temp.deposit(book, 2, 1000);
	CALL pg_temp.deposit(book, 3, 1000);
	CALL pg_temp.deposit(book, 4, 1000);
	CALL pg_temp.deposit(book, 7, 1000);
	CALL pg_temp.fill(book, 1, 8, 100, 100);
	CALL pg_temp.fill(book, 8, 3, 20, 110);
	CALL pg_temp.fill(book, 8, 4, 40, 105);
	CALL pg_temp.fill(book, 8, 7, 10, 104);
	CALL pg_temp.fill(book, 8, 2, 30, 102)
$$;
-- The market gaps to 85, and 20 of hers are sold there: 220 - 20 * 15 = -80.
-- The liquidity account takes over the other 80, at the mark: 80 * 15 = 1,200
-- more are lost, 1,280 in all.  Her bankruptcy price: 85 + 1280 / 80 = 101.
CREATE PROCEDURE pg_temp.gap(book int) LANGUAGE sql AS $$
	CALL pg_temp.mark(book, 85);
	CALL pg_temp.remember(book);
	CALL pg_temp.fill(book, 8, 1, 20, 85);
$$;

-- 1. As on CoinEx: the fund has 1,279 and cannot pay the whole, so it stays
-- untouched, and the loss is placed against the other side

CALL pg_temp.crowd(560, 'coinex', 1279);
CALL pg_temp.mark(560, 85);
-- profit in percent, times 10: 25 / 110, 20 / 105, 19 / 104, 17 / 102; the long one
-- is at a loss of 15 percent
SELECT p.party, q.side, q.formula, round(q.score, 4) AS score, q.rank, q.lights
  FROM ledger.adl_queue q JOIN party p USING (book_id, account_id) WHERE q.book_id = 560 ORDER BY q.side, q.rank;
CALL pg_temp.gap(560);
SELECT * FROM suspended WHERE book_id = 560;
SELECT trim_scale(qty) AS qty, price, trim_scale(bankruptcy_price) AS bankruptcy_price FROM ledger.takeover WHERE book_id = 560;
-- carol and dave whole, bob in part: 80; alice's second account is passed over
SELECT * FROM pg_temp.settle(560);
-- 16 more than the mark for each contract: carol 320, dave 640, bob 320
SELECT * FROM change;
SELECT * FROM held WHERE book_id = 560;
SELECT p.party, d.rank, d.formula, round(d.score, 4) AS score, d.qty, trim_scale(d.price) AS price, d.mark_price, trim_scale(d.gain) AS gain
  FROM ledger.deleveraging d JOIN party p USING (book_id, account_id) WHERE d.book_id = 560 ORDER BY d.deleveraging_id;
SELECT count(*) AS trades, count(DISTINCT execution_id) AS executions, max(execution_id) < 0 AS negative, sum(fee) AS fees
  FROM ledger.trade WHERE book_id = 560 AND kind = 'adl';
SELECT p.party, e.kind, e.payload - '{deleveraging_id,trade_id,shortfall_id,payment_id,score}'::text[] AS payload
  FROM ledger.event e JOIN party p USING (book_id, account_id) WHERE e.book_id = 560 AND e.kind <> 'reset' ORDER BY e.event_id;
-- the liquidity account has neither position nor money, suspense is empty
SELECT party, balance, trim_scale(equity) AS equity FROM wealth WHERE book_id = 560 AND party IN ('liquidity', 'suspense', 'insurance_fund') ORDER BY party;
-- nothing is done twice
SELECT * FROM pg_temp.settle(560);
SELECT * FROM suspended WHERE book_id = 560;

-- 2. A fund that covers the whole pays in the commit, and nobody is deleveraged

CALL pg_temp.crowd(561, 'coinex', 1280);
CALL pg_temp.gap(561);
SELECT * FROM pg_temp.settle(561);
SELECT * FROM change;

-- 3. Nobody is put at a loss: at 101 bob and dave, who are short from 100, would be.
-- 20 can be placed, for 320; the fund has 500, the house pays 460.

CALL pg_temp.venue(562, 'coinex', 500);
CALL pg_temp.deposit(562, 1, 220);
CALL pg_temp.deposit(562, 2, 700);
CALL pg_temp.deposit(562, 3, 1000);
CALL pg_temp.deposit(562, 4, 100);
CALL pg_temp.fill(562, 1, 8, 100, 100);
CALL pg_temp.fill(562, 8, 2, 60, 100);
CALL pg_temp.fill(562, 8, 3, 20, 110);
CALL pg_temp.fill(562, 8, 4, 20, 100);
CALL pg_temp.gap(562);
SELECT * FROM pg_temp.settle(562);
SELECT * FROM change;
SELECT * FROM held WHERE book_id = 562;

-- 4. Guard equity: they are, as long as they stay above zero.  Bob and dave
-- are equals, so bob, who has the smaller number: 60 * 16 = 960

INSERT INTO ledger.policy (policy_code, stages, adl_formula, adl_guard)
VALUES ('adl down to zero', '{own,suspense,adl,fund,house}', 'coinex', 'equity'),
	   ('adl down to maintenance', '{own,suspense,adl,fund,house}', 'coinex', 'maintenance');
INSERT INTO ledger.policy (policy_code, stages, adl_formula, adl_max_distance)
VALUES ('adl within 18 percent', '{own,suspense,adl,fund,house}', 'coinex', 0.18),
	   ('adl within 19 percent', '{own,suspense,adl,fund,house}', 'coinex', 0.19);
CREATE PROCEDURE pg_temp.guarded(book int, policy text, bobs numeric) LANGUAGE sql AS $$
	CALL pg_temp.venue(book, policy, 500);
	CALL pg_temp.deposit(book, 1, 220);
	CALL pg_temp.deposit(book, 2, bobs);
	CALL pg_temp.deposit(book, 3, 1000);
	CALL pg_temp.deposit(book, 4, 1000);
	CALL pg_temp.fill(book, 1, 8, 100, 100);
	CALL pg_temp.fill(book, 8, 2, 60, 100);
	CALL pg_temp.fill(book, 8, 3, 20, 110);
	CALL pg_temp.fill(book, 8, 4, 20, 100);
	CALL pg_temp.gap(book)
$$;
CALL pg_temp.guarded(563, 'adl down to zero', 60);
-- bob has 60 + 60 * 15 = 960 and is left with nothing
SELECT * FROM pg_temp.settle(563);
SELECT * FROM change;
-- with a cent less he is passed over: dave's 20, then fund and house
CALL pg_temp.guarded(564, 'adl down to zero', 59.99);
SELECT * FROM pg_temp.settle(564);
-- above maintenance, which is nothing where the whole position is closed
CALL pg_temp.guarded(565, 'adl down to maintenance', 60);
SELECT * FROM pg_temp.settle(565);

-- 5. The price is 16 / 85 = 18.8 percent worse than the mark

CALL pg_temp.crowd(566, 'adl within 18 percent', 500);
CALL pg_temp.gap(566);
SELECT * FROM pg_temp.settle(566);
CALL pg_temp.crowd(567, 'adl within 19 percent', 500);
CALL pg_temp.gap(567);
SELECT * FROM pg_temp.settle(567);

-- 6. The only one on the other side is the owner herself: fund and house

CALL pg_temp.venue(568, 'coinex', 500);
CALL pg_temp.deposit(568, 1, 220);
CALL pg_temp.deposit(568, 7, 1000);
CALL pg_temp.fill(568, 1, 7, 100, 110);
CALL pg_temp.mark(568, 85);
CALL pg_temp.remember(568);
CALL pg_temp.fill(568, 8, 1, 20, 85);
SELECT * FROM suspended WHERE book_id = 568;
SELECT * FROM pg_temp.settle(568);
SELECT * FROM change;

-- 7. Who is bankrupt is short: 10 of 100 are bought back at 115, 90 are taken
-- over; 132 - 150 - 90 * 15 = -1,368, and 115 - 1368 / 90 = 99.8

CALL pg_temp.venue(569, 'coinex', 0.01);
CALL pg_temp.deposit(569, 1, 132);
CALL pg_temp.deposit(569, 2, 1000);
CALL pg_temp.deposit(569, 3, 1000);
CALL pg_temp.fill(569, 8, 1, 100, 100);
CALL pg_temp.fill(569, 2, 8, 40, 90);
CALL pg_temp.fill(569, 3, 8, 60, 99.8);
CALL pg_temp.mark(569, 115);
CALL pg_temp.remember(569);
CALL pg_temp.fill(569, 1, 8, 10, 115);
SELECT trim_scale(bankruptcy_price) AS bankruptcy_price FROM ledger.takeover WHERE book_id = 569;
-- bob first: 25 / 90; carol's 50 are closed at what she paid
SELECT * FROM pg_temp.settle(569);
SELECT * FROM change;

-- 8. The position was closed since by somebody else: what is left is placed.
-- The desk sells 50 of the 80 at the mark of 85 to the maker.

CALL pg_temp.crowd(570, 'coinex', 100);
CALL pg_temp.gap(570);
CALL pg_temp.fill(570, 8, risk.system_account(570, 'liquidity', 'USDT'), 50, 85);
SELECT * FROM pg_temp.settle(570);
SELECT * FROM change;

-- 9. The liquidity account stands on the other side since: nothing of the 80 is left,
-- whatever its bankruptcy price, which is below the price of the takeover where a
-- mark moved while both were read

CALL pg_temp.crowd(559, 'coinex', 100);
CALL pg_temp.gap(559);
CALL pg_temp.fill(559, 8, risk.system_account(559, 'liquidity', 'USDT'), 130, 75);
BEGIN;
ALTER TABLE ledger.takeover DISABLE TRIGGER USER;
UPDATE ledger.takeover SET bankruptcy_price = 80 WHERE book_id = 559;
ALTER TABLE ledger.takeover ENABLE TRIGGER USER;
SELECT * FROM pg_temp.settle(559);
ROLLBACK;
SELECT * FROM pg_temp.settle(559);

-- 10. All books at once; one that is not there

CALL pg_temp.crowd(571, 'coinex', 0.01);
CALL pg_temp.gap(571);
CALL pg_temp.crowd(572, 'coinex', 0.01);
CALL pg_temp.gap(572);
SELECT book, stage, count(*) FROM risk.settle() WHERE book IN (571, 572) GROUP BY book, stage ORDER BY book, stage;
SELECT * FROM risk.settle(-1);

SELECT * FROM ledger.open_shortfall WHERE book_id BETWEEN 559 AND 572;
SELECT b.book_id, v.* FROM generate_series(559, 572) AS b(book_id), LATERAL risk.verify(b.book_id) v WHERE v.violations > 0;
