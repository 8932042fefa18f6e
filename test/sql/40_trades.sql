-- Positions at cost, realised profit, fees, executions that net, states, bad input.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(40, 'trades');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier)
VALUES (4001, 'BTC/USDT 40', 'USDT', 1), (4002, 'ETH/USDT 40', 'USDT', 0.001), (4003, 'XRP/BTC 40', 'BTC', 1);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (40, 1, 'USDT', 'alice'), (40, 2, 'USDT', 'bob'), (40, 3, 'USDT', 'carol'), (40, 4, 'USDT', 'dave'),
	   (40, 5, 'BTC', 'alice');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 40, risk.system_account(40, 'external', 'USDT'), a, 10000, 'deposit' FROM generate_series(1, 4) AS a;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 40001;

CREATE TEMP VIEW held AS
SELECT book_id, coalesce(a.owner_id, a.kind) AS party, p.instrument_id,
	   trim_scale(p.qty) AS qty, trim_scale(p.cost) AS cost, p.trades
  FROM ledger.position p JOIN ledger.account a USING (book_id, account_id)
 ORDER BY book_id, a.account_id, p.instrument_id;
CREATE TEMP VIEW party AS
SELECT book_id, coalesce(a.owner_id, a.kind) AS party, a.asset_code, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 GROUP BY book_id, a.account_id HAVING sum(b.amount) <> 0
 ORDER BY book_id, a.account_id;
CREATE TEMP VIEW realized AS
SELECT e.book_id, t.execution_id, coalesce(a.owner_id, a.kind) AS party, e.amount
  FROM ledger.entry e
  JOIN ledger.account a USING (book_id, account_id)
  JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause
 WHERE e.kind = 'realized_pnl' AND a.kind = 'trader'
 ORDER BY t.execution_id, a.account_id;

-- 1. Open, add, close in part, flip, close

-- 2 at 100: cost 200 and -200; no money moves
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 2, 100, 40001), (40, 2, 4001, 'sell', 2, 100, 40001);
SELECT party, qty, cost, trades FROM held WHERE book_id = 40;
SELECT count(*) AS entries FROM ledger.entry WHERE book_id = 40 AND kind = 'realized_pnl';
-- 1 more at 103: 3 at 101 on average
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 103, 40002), (40, 2, 4001, 'sell', 1, 103, 40002);
SELECT party, qty, cost, trades FROM held WHERE book_id = 40;
-- 1 of 3 closed at 104: 104 - 101 = 3
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'sell', 1, 104, 40003), (40, 2, 4001, 'buy', 1, 104, 40003);
SELECT party, qty, cost, trades FROM held WHERE book_id = 40;
-- 5 sold at 102: 2 closed with 204 - 202 = 2, 3 opened at 102
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'sell', 5, 102, 40004), (40, 2, 4001, 'buy', 5, 102, 40004);
SELECT party, qty, cost, trades FROM held WHERE book_id = 40;
-- 3 bought back at 100: 306 - 300 = 6
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 3, 100, 40005), (40, 2, 4001, 'sell', 3, 100, 40005);
SELECT party, qty, cost, trades FROM held WHERE book_id = 40;
SELECT execution_id, party, amount FROM realized WHERE book_id = 40;
-- 3 + 2 + 6 = 11 from one to the other, and clearing is even
SELECT party, balance FROM party WHERE book_id = 40;

-- 2. A multiplier: 500 contracts of 0.001 at 3,000 are 1,500; up 10 gains 5

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4002, 'buy', 500, 3000, 40006), (40, 2, 4002, 'sell', 500, 3000, 40006);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND instrument_id = 4002;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4002, 'sell', 500, 3010, 40007), (40, 2, 4002, 'buy', 500, 3010, 40007);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND instrument_id = 4002;
SELECT party, amount FROM realized WHERE book_id = 40 AND execution_id = 40007;

-- 3. Rounding: down, against the trader, above and below zero

-- 1 at 10 and 2 at 10.01: 3 cost 30.02, 10.00666... each
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4001, 'buy', 1, 10, 40010), (40, 4, 4001, 'sell', 1, 10, 40010),
	   (40, 3, 4001, 'buy', 2, 10.01, 40011), (40, 4, 4001, 'sell', 2, 10.01, 40011);
-- 1 at 10.01: the long gains 0.00333... = 0.00, the short loses it = -0.01
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4001, 'sell', 1, 10.01, 40012), (40, 4, 4001, 'buy', 1, 10.01, 40012);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND party IN ('carol', 'dave');
-- 1 at 10: the long loses 0.005 = -0.01, the short gains 0.01 of a cost of 20.02
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4001, 'sell', 1, 10, 40013), (40, 4, 4001, 'buy', 1, 10, 40013);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND party IN ('carol', 'dave');
-- the last at 10.01: what rounding took comes back, both end where they began
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4001, 'sell', 1, 10.01, 40014), (40, 4, 4001, 'buy', 1, 10.01, 40014);
SELECT execution_id, party, amount FROM realized WHERE book_id = 40 AND execution_id >= 40010;
SELECT party, balance FROM party WHERE book_id = 40 AND party IN ('carol', 'dave', 'clearing');
SELECT count(*) AS residues FROM ledger.settlement WHERE book_id = 40;

-- Prices have more digits than money: 10.006 - 10.001 = 0.005 is 0.00 for the
-- long and -0.01 for the short; the halves that are left stay with clearing.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4001, 'buy', 1, 10.001, 40015), (40, 4, 4001, 'sell', 1, 10.001, 40015),
	   (40, 3, 4001, 'sell', 1, 10.006, 40016), (40, 4, 4001, 'buy', 1, 10.006, 40016);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND party IN ('carol', 'dave');
SELECT party, balance FROM party WHERE book_id = 40 AND party IN ('carol', 'dave', 'clearing');
SELECT account_id, instrument_id, trade_id, kind, amount FROM ledger.settlement WHERE book_id = 40 ORDER BY settlement_id;
-- a flip closes and leaves its residue too, and the new cost is exact
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4001, 'buy', 1, 10.001, 40017), (40, 4, 4001, 'sell', 1, 10.001, 40017),
	   (40, 3, 4001, 'sell', 3, 10.0001, 40018), (40, 4, 4001, 'buy', 3, 10.0001, 40018);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND party IN ('carol', 'dave');
SELECT party, amount FROM realized WHERE book_id = 40 AND execution_id = 40018;
SELECT account_id, trade_id, amount FROM ledger.settlement WHERE book_id = 40 ORDER BY settlement_id OFFSET 2;

-- 4. Fees and rebates, each an entry of its own

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 100, 0.25, 40020), (40, 2, 4001, 'sell', 1, 100, -0.10, 40020);
SELECT a.owner_id, a.kind, e.kind, e.amount, e.cause FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
 WHERE e.book_id = 40 AND e.kind = 'trade_fee' ORDER BY e.cause, a.account_id;
SELECT party, balance FROM party WHERE book_id = 40;

-- 5. An execution: one taker, three makers, each at his price

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4002, 'buy', 6, 101, 40030),
	   (40, 2, 4002, 'sell', 2, 100, 40030), (40, 3, 4002, 'sell', 2, 101, 40030), (40, 4, 4002, 'sell', 2, 102, 40030);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND instrument_id = 4002;
-- over several statements of one transaction, in any order
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (40, 2, 4002, 'buy', 2, 100, 40031);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (40, 1, 4002, 'sell', 4, 100, 40031);
SELECT execution_id, qty, value FROM ledger.unmatched_execution WHERE book_id = 40;
SAVEPOINT before;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (40, 3, 4002, 'buy', 1, 100, 40031);
ROLLBACK TO before;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (40, 3, 4002, 'buy', 2, 100, 40031);
COMMIT;
SELECT party, qty, cost FROM held WHERE book_id = 40 AND instrument_id = 4002;
SELECT count(*) AS left_over FROM ledger.unmatched_execution;
-- by one statement that inserts twice
WITH buys AS (INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
			  VALUES (40, 4, 4002, 'buy', 2, 100, 40032) RETURNING 1)
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4002, 'sell', 2, 100, 40032);
SELECT party, qty, cost FROM held WHERE book_id = 40 AND instrument_id = 4002;
-- by COPY, and by a statement that inserts nothing
COPY ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) FROM stdin;
40	1	4002	buy	1	100	40033
40	2	4002	sell	1	100	40033
40	2	4002	buy	1	101	40034
40	1	4002	sell	1	101	40034
\.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) SELECT 40, 1, 4002, 'buy', 1, 1 WHERE false;
-- with itself: legal, and worth nothing
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4002, 'buy', 3, 100, 40035), (40, 1, 4002, 'sell', 3, 100, 40035);
SELECT party, qty, cost, trades FROM held WHERE book_id = 40 AND instrument_id = 4002 AND party IN ('alice', 'bob');

-- 6. What does not net: unmatched = reject, the default

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 1, 40040);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 1, 40040), (40, 1, 4001, 'sell', 1, 100, 40040);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 2, 50, 40040), (40, 2, 4001, 'sell', 1, 100, 40040);
-- one instrument does not stand for another
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 100, 40040), (40, 2, 4002, 'sell', 1000, 100, 40040);
-- without execution_id each row is an execution of its own
ALTER TABLE ledger.trade ALTER execution_id RESTART WITH 49001;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 100, DEFAULT), (40, 2, 4001, 'sell', 1, 100, DEFAULT);
-- at once, when asked for
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 1, 4001, 'buy', 1, 1, 40041);
ROLLBACK;
SELECT count(*) AS left_over FROM ledger.trade WHERE book_id = 40 AND execution_id IN (40040, 40041);

-- 7. unmatched = liquidity: the venue takes the other side

SELECT risk.create_book(41, 'liquidity');
UPDATE ledger.book SET unmatched = 'liquidity' WHERE book_id = 41;
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (41, 1, 'USDT', 'alice'), (41, 2, 'USDT', 'bob');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (41, risk.system_account(41, 'external', 'USDT'), 1, 500, 'deposit'),
	   (41, risk.system_account(41, 'external', 'USDT'), risk.system_account(41, 'insurance_fund', 'USDT'), 60, 'deposit');
-- bought at 1, sold at 100: 99 won, and somebody has lost them: the liquidity
-- account had nothing, the fund its 60, the house the rest
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (41, 1, 4001, 'buy', 1, 1, 41001);
SELECT party, qty, cost FROM held WHERE book_id = 41;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (41, 1, 4001, 'sell', 1, 100, 41002);
SELECT party, qty, cost FROM held WHERE book_id = 41;
SELECT account_id, side, qty, trim_scale(price) AS price, kind, execution_id FROM ledger.trade WHERE book_id = 41 ORDER BY trade_id;
SELECT party, balance FROM party WHERE book_id = 41;
SELECT stage, shortfall, amount FROM ledger.reset WHERE book_id = 41 ORDER BY reset_id;
-- both in one execution: no price takes the other side of that
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (41, 1, 4001, 'buy', 1, 1, 41003), (41, 1, 4001, 'sell', 1, 100, 41003);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (41, 1, 4001, 'buy', 2, 1, 41003), (41, 1, 4001, 'sell', 1, 100, 41003);
-- 1 at 1 and 2 at 2 would be 3 at 1.666...
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (41, 1, 4001, 'buy', 1, 1, 41003), (41, 1, 4001, 'buy', 2, 2, 41003);
-- only what is left is mirrored: 5 bought, 3 sold at the same price
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (41, 1, 4001, 'buy', 5, 10, 41004), (41, 2, 4001, 'sell', 3, 10, 41004);
SELECT party, qty, cost FROM held WHERE book_id = 41;
-- several at once, also at once when asked for, with profit and loss on both sides
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (41, 1, 4001, 'sell', 1, 12, 41005), (41, 2, 4001, 'buy', 1, 9, 41006), (41, 1, 4002, 'buy', 1000, 7, 41007);
SELECT party, qty, cost FROM held WHERE book_id = 41;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (41, 1, 4001, 'sell', 2, 11, 41008);
COMMIT;
SELECT party, qty, cost FROM held WHERE book_id = 41;
SELECT party, balance FROM party WHERE book_id = 41;
SELECT count(*) FROM risk.verify(41) WHERE violations > 0;

-- 8. unmatched = allow: let through, and reported

SELECT risk.create_book(42, 'allow');
UPDATE ledger.book SET unmatched = 'allow' WHERE book_id = 42;
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (42, 1, 'USDT', 'alice');
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (42, 1, 4001, 'buy', 1, 1, 42001);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (42, 1, 4001, 'sell', 1, 100, 42002);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT party, balance FROM party WHERE book_id = 42;
SELECT * FROM risk.verify(42) WHERE violations > 0;
ROLLBACK;

-- 9. States: what reduces a position is a fact and books always

CREATE PROCEDURE pg_temp.trade(account bigint, side text, qty numeric, kind text DEFAULT 'trade')
LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind)
	VALUES (40, $1, 4001, $2, $3, 10, 40900, $4),
		   (40, 2, 4001, CASE $2 WHEN 'buy' THEN 'sell' ELSE 'buy' END, $3, 10, 40900, 'trade')
$$;
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (40, 6, 'USDT', 'erin');
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 40901;
CALL pg_temp.trade(6, 'buy', 5);
UPDATE ledger.account SET status = 'reduce_only' WHERE book_id = 40 AND account_id = 6;
CALL pg_temp.trade(6, 'buy', 1);
\echo :LAST_ERROR_SQLSTATE
CALL pg_temp.trade(6, 'sell', 1);
-- a flip adds risk the other way
CALL pg_temp.trade(6, 'sell', 5);
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 40 AND account_id = 6;
CALL pg_temp.trade(6, 'buy', 1);
CALL pg_temp.trade(6, 'sell', 1);
-- a liquidation is not the trader's choice
CALL pg_temp.trade(6, 'sell', 4, 'liquidation');
SELECT party, qty, cost, trades FROM held WHERE book_id = 40 AND party = 'erin';
-- the whole statement goes, the other side with it
SELECT count(*) AS trades FROM ledger.trade WHERE book_id = 40 AND execution_id = 40900;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 40 AND account_id = 6;
CALL pg_temp.trade(6, 'buy', 1, 'liquidation');
UPDATE ledger.account SET status = 'closed' WHERE book_id = 40 AND account_id = 6;
CALL pg_temp.trade(6, 'buy', 1, 'liquidation');
-- the row of another account is named when that is the one at fault
CALL pg_temp.trade(1, 'buy', 1);
UPDATE ledger.account SET status = 'reduce_only' WHERE book_id = 40 AND account_id = 2;
CALL pg_temp.trade(1, 'buy', 1000);
UPDATE ledger.account SET status = 'active' WHERE book_id = 40 AND account_id = 2;

-- 10. Bad input: each names its row, and nothing is left behind

ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 40951;
SELECT count(*) AS trades FROM ledger.trade \gset
SELECT count(*) AS entries FROM ledger.entry \gset

CREATE FUNCTION pg_temp.refused(account bigint, instrument int, side text, qty numeric, price numeric, fee numeric, kind text,
								OUT code text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	-- the second of two rows, the first of which is good
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id, kind)
	VALUES (40, 2, 4001, 'sell', 1, 10, 0, 40950, 'trade'), (40, $1, $2, $3, $4, $5, $6, 40950, $7);
	SET CONSTRAINTS ALL IMMEDIATE;
	code := 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	-- a CHECK shows the row, and so the time
	detail := CASE WHEN message NOT LIKE 'new row%' THEN detail END;
END
$$;
\x
SELECT t.what, r.*
  FROM (VALUES
		(1, 'unknown account', 77, 4001, 'buy', 1, 10, 0, 'trade'),
		(2, 'unknown instrument', 1, 4077, 'buy', 1, 10, 0, 'trade'),
		(3, 'no quantity', 1, 4001, 'buy', 0, 10, 0, 'trade'),
		(4, 'quantity below zero', 1, 4001, 'buy', -1, 10, 0, 'trade'),
		(5, 'quantity NaN', 1, 4001, 'buy', 'NaN', 10, 0, 'trade'),
		(6, 'quantity infinite', 1, 4001, 'buy', 'Infinity', 10, 0, 'trade'),
		(7, 'no price', 1, 4001, 'buy', 1, 0, 0, 'trade'),
		(8, 'price below zero', 1, 4001, 'buy', 1, -10, 0, 'trade'),
		(9, 'price NaN', 1, 4001, 'buy', 1, 'NaN', 0, 'trade'),
		(10, 'price infinite', 1, 4001, 'buy', 1, '-Infinity', 0, 'trade'),
		(11, 'fee NaN', 1, 4001, 'buy', 1, 10, 'NaN', 'trade'),
		(12, 'fee infinite', 1, 4001, 'buy', 1, 10, 'Infinity', 'trade'),
		(13, 'fee with too many digits', 1, 4001, 'buy', 1, 10, 0.001, 'trade'),
		(14, 'quantity with too many digits', 1, 4001, 'buy', 1e-19, 10, 0, 'trade'),
		(15, 'price with too many digits', 1, 4001, 'buy', 1, 1e-19, 0, 'trade'),
		(16, 'quantity overflows', 1, 4001, 'buy', 1e20, 10, 0, 'trade'),
		(17, 'price overflows', 1, 4001, 'buy', 1, 1e300, 0, 'trade'),
		(18, 'fee overflows', 1, 4001, 'buy', 1, 10, 1e40, 'trade'),
		(19, 'another asset', 5, 4001, 'buy', 1, 10, 0, 'trade'),
		(20, 'not an account for positions', risk.system_account(40, 'fee', 'USDT'), 4001, 'buy', 1, 10, 0, 'trade'),
		(21, 'closed account', 6, 4001, 'buy', 1, 10, 0, 'trade'),
		(22, 'kind of posting', 1, 4001, 'buy', 1, 10, 0, 'takeover'),
		(23, 'kind of posting', 1, 4001, 'buy', 1, 10, 0, 'mirror'),
		(25, 'unknown side', 1, 4001, 'hold', 1, 10, 0, 'trade'),
		(26, 'does not net', 1, 4001, 'buy', 1, 11, 0, 'trade'),
		(27, 'good', 1, 4001, 'buy', 1.000000000000000000000, 10.00, 0.00000, 'trade')
	   ) AS t(place, what, account, instrument, side, qty, price, fee, kind),
	   LATERAL pg_temp.refused(t.account, t.instrument, t.side, t.qty, t.price, t.fee, t.kind) r
 ORDER BY t.place;
\x
SELECT count(*) - :trades AS new_trades FROM ledger.trade;
SELECT count(*) - :entries AS new_entries FROM ledger.entry;
SELECT count(*) AS left_over FROM ledger.unmatched_execution;
-- the day is the database's to say
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, period) VALUES (40, 1, 4001, 'buy', 1, 10, '2000-01-01');
-- a book that is not there
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (4040, 1, 4001, 'buy', 1, 10, 40950);
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) VALUES (40, NULL, 4001, 'buy', 1, 10);
\set VERBOSITY default
-- the extremes that fit: 19 digits each way
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (40, 3, 4002, 'buy', 9999999999999999999.999999999999999999, 9999999999999999999.999999999999999999, 40960),
	   (40, 4, 4002, 'sell', 9999999999999999999.999999999999999999, 9999999999999999999.999999999999999999, 40960),
	   (40, 3, 4002, 'sell', 9999999999999999999.999999999999999999, 0.000000000000000001, 40961),
	   (40, 4, 4002, 'buy', 9999999999999999999.999999999999999999, 0.000000000000000001, 40961);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT party, qty, cost FROM held WHERE book_id = 40 AND instrument_id = 4002 AND party IN ('carol', 'dave');
SELECT * FROM risk.verify(40) WHERE violations > 0;
ROLLBACK;

-- 11. One statement, COPY and row by row: the same rows in the same order give
-- the same positions, entries and sums

CREATE TEMP TABLE flow AS
SELECT n AS row_number, 1 + x.a % 6 AS account_id, CASE (x.a + n) % 2 WHEN 0 THEN 'buy' ELSE 'sell' END AS side,
	   1 + x.a % 5 AS qty, 100 + x.a % 41 - 20 + (x.a % 1000) / 1000.0 AS price, (x.a % 7 - 1) / 100.0 AS fee
  FROM (SELECT n, ('x' || substr(md5(n::text), 1, 6))::bit(24)::int AS a FROM generate_series(1, 200) AS n) AS x;
CREATE TEMP TABLE sides AS
SELECT f.row_number * 2 + s AS place, CASE s WHEN 0 THEN f.account_id ELSE 1 + f.account_id % 6 END AS account_id,
	   CASE s WHEN 0 THEN f.side ELSE CASE f.side WHEN 'buy' THEN 'sell' ELSE 'buy' END END AS side,
	   f.qty, f.price, CASE s WHEN 0 THEN f.fee ELSE 0 END AS fee, 43000 + f.row_number AS execution_id
  FROM flow f, (VALUES (0), (1)) AS v(s);
CREATE PROCEDURE pg_temp.venue(book int) LANGUAGE sql AS $$
	SELECT risk.create_book(book, 'same flow');
	INSERT INTO ledger.account (book_id, account_id, asset_code) SELECT book, a, 'USDT' FROM generate_series(1, 6) a;
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	SELECT book, risk.system_account(book, 'external', 'USDT'), a, 50 * a, 'deposit' FROM generate_series(1, 6) a;
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	VALUES (book, risk.system_account(book, 'external', 'USDT'), risk.system_account(book, 'insurance_fund', 'USDT'), 100, 'deposit');
$$;
CALL pg_temp.venue(43);
CALL pg_temp.venue(44);
CALL pg_temp.venue(45);
INSERT INTO ledger.mark_price VALUES (4001, 100);
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 43001;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
SELECT 43, account_id, 4001, side, qty, price, fee, execution_id FROM sides ORDER BY place;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 43001;
DO $$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT * FROM sides ORDER BY place LOOP
		INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
		VALUES (44, s.account_id, 4001, s.side, s.qty, s.price, s.fee, s.execution_id);
	END LOOP;
END
$$;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 43001;
\copy (SELECT 45, account_id, 4001, side, qty, price, fee, execution_id FROM sides ORDER BY place) TO 'results/40_trades.copy'
\copy ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id) FROM 'results/40_trades.copy'
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 49001;

-- who was reset, how much, by whom: something must have happened here
SELECT account_id, stage, shortfall, amount, cause_kind, cause < 43401 AS by_a_trade_of_the_flow
  FROM ledger.reset WHERE book_id = 43 ORDER BY reset_id;
SELECT b.book_id, count(*) AS differences
  FROM (VALUES (44), (45)) AS b(book_id),
	   LATERAL (
		(SELECT account_id, instrument_id, trades, qty, cost FROM ledger.position WHERE book_id = 43
		 EXCEPT ALL
		 SELECT account_id, instrument_id, trades, qty, cost FROM ledger.position WHERE book_id = b.book_id)
	   ) d
 GROUP BY b.book_id;
SELECT b.book_id, count(*) AS differences
  FROM (VALUES (44), (45)) AS b(book_id),
	   LATERAL (
		(SELECT account_id, seq, amount, balance_after, kind, CASE kind WHEN 'realized_pnl' THEN cause WHEN 'trade_fee' THEN cause END
		   FROM ledger.entry WHERE book_id = 43 AND account_id > 0
		 EXCEPT ALL
		 SELECT account_id, seq, amount, balance_after, kind, CASE kind WHEN 'realized_pnl' THEN cause WHEN 'trade_fee' THEN cause END
		   FROM ledger.entry WHERE book_id = b.book_id AND account_id > 0)
	   ) d
 GROUP BY b.book_id;
SELECT count(DISTINCT sums) AS different_sums, count(*) AS books
  FROM (SELECT book_id, string_agg(format('%s %s', party, balance), ',' ORDER BY party) AS sums
		  FROM party WHERE book_id IN (43, 44, 45) AND party <> 'trader' GROUP BY book_id) s;
SELECT count(*) > 200 AS enough_entries FROM ledger.entry WHERE book_id = 43 AND account_id > 0;

SELECT * FROM risk.verify() WHERE violations > 0;
