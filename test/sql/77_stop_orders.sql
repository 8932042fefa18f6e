-- Stop-loss and take-profit orders.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (7701, 'A of 77', 'USDT'), (7702, 'B of 77', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (7701, 0.05, 10), (7702, 0.05, 10);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (7701, 100);
INSERT INTO ledger.policy (policy_code, stages, stop_execution) VALUES ('stops 77', '{own,fund,house}', 'liquidity');
SELECT risk.create_book(77 * 10, 'stops');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (770, 1, 'USDT', 'alice', 'stops 77'), (770, 2, 'USDT', 'bob', 'default'), (770, 3, 'USDT', 'maker', 'default');
SELECT risk.deposit(1, 1000, 770) > 0 AS alice, risk.deposit(2, 1000, 770) > 0 AS bob, risk.deposit(3, 100000, 770) > 0 AS maker,
	   risk.deposit(risk.system_account(770, 'liquidity', 'USDT'), 100000, 770) > 0 AS liquidity;
ALTER TABLE ledger.stop_order ALTER stop_id RESTART 77001;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (770, 1, 7701, 'buy', 50, 100, 770001), (770, 3, 7701, 'sell', 50, 100, 770001),
	   (770, 2, 7701, 'sell', 30, 100, 770002), (770, 3, 7701, 'buy', 30, 100, 770002);
CREATE TEMP VIEW stops AS
SELECT stop_id, account_id, side, triggers, trigger_price, qty, state, closed_qty, mark_price, reason
  FROM ledger.stop_order WHERE book_id = 770 ORDER BY stop_id;
CREATE TEMP VIEW stands AS
SELECT a.owner_id, r.equity, p.qty, r.liquidatable
  FROM ledger.account a JOIN ledger.account_risk r USING (book_id, account_id) LEFT JOIN ledger.position p USING (book_id, account_id)
 WHERE a.book_id = 770 AND a.account_id IN (1, 2) ORDER BY a.account_id;
CREATE FUNCTION pg_temp.mark(price numeric) RETURNS SETOF text LANGUAGE sql AS $$
	UPDATE ledger.mark_price SET price = mark.price WHERE instrument_id = 7701;
	SELECT format('%s: account %s, %s %s at %s', t.stop_id, t.account_id, t.result, t.closed_qty, t.mark_price) FROM risk.trigger_stop_orders(7701) t
$$;

-- 1. A stop-loss below the mark, a take-profit above it, one cancels the other

SELECT risk.place_stop_order(1, 7701, 'sell', 90, 50, one_cancels_other => 1, book_id => 770),
	   risk.place_stop_order(1, 7701, 'sell', 120, 50, one_cancels_other => 1, book_id => 770);
SELECT * FROM stops;
SELECT pg_temp.mark(90.01);
-- at 84 alice would have an equity of 200 and need 210: the stop comes first
SELECT pg_temp.mark(84);
SELECT * FROM stops;
SELECT * FROM stands;
SELECT a.kind AS account, t.side, t.qty, t.price, t.kind FROM ledger.trade t JOIN ledger.account a USING (book_id, account_id)
 WHERE t.book_id = 770 AND t.execution_id < 0 ORDER BY t.trade_id;

-- 2. As an order: bob's goes out to the engine, with its limit

SELECT risk.place_stop_order(2, 7701, 'buy', 110, 20, limit_price => 111, book_id => 770);
SELECT pg_temp.mark(110);
SELECT payload FROM ledger.event WHERE book_id = 770 AND kind = 'stop_order' AND account_id = 2;
SELECT * FROM stands;
-- once
SELECT pg_temp.mark(111);

-- 3. Never more than the position, never the other way round: 30 are open, for 20, 20 and 20

SELECT risk.place_stop_order(2, 7701, 'buy', 115, 20, book_id => 770), risk.place_stop_order(2, 7701, 'buy', 116, 20, book_id => 770),
	   risk.place_stop_order(2, 7701, 'buy', 117, 20, book_id => 770), risk.place_stop_order(2, 7701, 'sell', 118, 20, book_id => 770);
SELECT pg_temp.mark(120);
SELECT stop_id, side, qty, state, closed_qty, reason FROM stops WHERE account_id = 2;
-- a limit that the mark is beyond, where it is executed at the mark
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (770, 1, 7701, 'buy', 1, 120, 770003), (770, 3, 7701, 'sell', 1, 120, 770003);
SELECT risk.place_stop_order(1, 7701, 'sell', 119, 1, limit_price => 118, book_id => 770);
SELECT pg_temp.mark(117);
SELECT stop_id, state, closed_qty, reason FROM stops WHERE stop_id = 77008;

-- 4. Nothing goes out by a stale mark or in a halted instrument

SELECT risk.place_stop_order(1, 7701, 'sell', 100, 1, book_id => 770);
UPDATE ledger.instrument SET state = 'halted' WHERE instrument_id = 7701;
SELECT pg_temp.mark(99);
UPDATE ledger.instrument SET state = 'open' WHERE instrument_id = 7701;
SELECT pg_temp.mark(98);

-- 5. Taken back, and what cannot be

SELECT risk.place_stop_order(1, 7701, 'sell', 50, 1, book_id => 770);
SELECT risk.cancel_stop_order(77010, 'changed my mind', 770);
SELECT risk.cancel_stop_order(77010, 'again', 770);
SELECT risk.cancel_stop_order(77999, 'unknown', 770);
SELECT stop_id, state, reason FROM stops WHERE stop_id >= 77009;
SELECT risk.place_stop_order(1, 7702, 'sell', 50, 1, book_id => 770);
SELECT risk.place_stop_order(1, 7702, 'sell', 50, 1, triggers => 'at_or_below', book_id => 770) > 0 AS said;
SELECT risk.place_stop_order(-1, 7701, 'sell', 50, 1, book_id => 770);
\set VERBOSITY terse
SELECT risk.place_stop_order(1, 7701, 'sell', 0, 1, book_id => 770);
\set VERBOSITY default
SELECT risk.place_stop_order(99, 7701, 'sell', 50, 1, book_id => 770);
INSERT INTO ledger.stop_order (book_id, account_id, instrument_id, side, trigger_price, qty, state, ended_at) VALUES (770, 1, 7701, 'sell', 50, 1, 'executed', now());
DELETE FROM ledger.stop_order WHERE book_id = 770;

-- 6. Trades that are refused stop no other account: bob is frozen and may not
-- even reduce, carol's policy lets nobody pay what the gap to 80 costs her

INSERT INTO ledger.policy (policy_code, stages, stop_execution, frozen_reduces)
VALUES ('frozen 77', '{own,fund,house}', 'liquidity', false), ('strict 77', '{own,reject}', 'liquidity', true);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (770, 4, 'USDT', 'alice', 'stops 77'), (770, 5, 'USDT', 'bob', 'frozen 77'), (770, 6, 'USDT', 'carol', 'strict 77');
SELECT risk.deposit(a, 150, 770) > 0 AS paid FROM generate_series(4, 6) AS a;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 770, l.account_id, 7701, l.side, 10, 100, 770060 + a
  FROM generate_series(4, 6) AS a, LATERAL (VALUES (a, 'buy'), (3, 'sell')) AS l(account_id, side);
ALTER TABLE ledger.stop_order ALTER stop_id RESTART 77101;
SELECT risk.place_stop_order(a, 7701, 'sell', 90, 10, book_id => 770) AS stop_id FROM generate_series(4, 6) AS a;
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 770 AND account_id = 5;
SELECT pg_temp.mark(80);
SELECT stop_id, account_id, state, closed_qty, mark_price, regexp_replace(reason, 'trade \d+', 'trade n') AS reason FROM stops WHERE stop_id > 77100;
SELECT payload ->> 'stop_id' AS stop_id, payload ->> 'result' AS result FROM ledger.event WHERE book_id = 770 AND kind = 'stop_order' AND account_id > 3 ORDER BY event_id;
-- so they are liquidated, as far as their policies let that be paid
SELECT a.account_id, w.result, w.detail FROM generate_series(4, 6) AS a(account_id), LATERAL risk.sweep_account(770, a.account_id) w ORDER BY 1;

-- the look for what is due goes by the index
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT s.stop_id FROM ledger.stop_order s WHERE s.instrument_id = 7701 AND s.state = 'open' AND s.triggers = 'at_or_below' AND s.trigger_price >= 100;
RESET enable_seqscan;
SELECT * FROM risk.verify() WHERE violations > 0;
