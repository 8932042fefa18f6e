-- An order, asked before it is placed.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (7401, 'A of 74', 'USDT'), (7402, 'B of 74', 'USDT'), (7403, 'C of 74', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, maintenance_amount)
VALUES (7401, 0, 0.004, 10, 500), (7402, 0, 0.01, 20, 0), (7402, 20000, 0.05, 10, 0);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (7401, 25000), (7402, 100);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis, refuse_uncovered) VALUES
	('amount 74', '{own,fund,house}', 'amount', false), ('covered 74', '{own,fund,house}', 'mark', true), ('strict 74', '{own,reject}', 'mark', false);
SELECT risk.create_book(741, 'orders');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (741, 1, 'USDT', 'alice', 'amount 74'), (741, 2, 'USDT', 'bob', 'covered 74'), (741, 3, 'USDT', 'carol', 'strict 74'), (741, 4, 'USDT', 'maker', 'default');
SELECT risk.deposit(1, 1500, 741) > 0 AS alice, risk.deposit(2, 1000, 741) > 0 AS bob, risk.deposit(3, 1000, 741) > 0 AS carol,
	   risk.deposit(4, 1000000, 741) > 0 AS maker;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 74001;
CREATE FUNCTION pg_temp.trade(account_id bigint, instrument_id int, side text, qty numeric, price numeric, execution_id bigint) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (741, account_id, instrument_id, side, qty, price, 741000 + execution_id),
		   (741, 4, instrument_id, CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END, qty, price, 741000 + execution_id)
$$;

-- 1. Electra: a size of 10,000 at 25,000 with 1,500 and a maintenance of 500 is liquidated at 22,500; short, at 27,500

SELECT allowed, adds_risk, qty_after, initial_margin_after, maintenance_margin_after, free_collateral_after, margin_level_after,
	   liquidation_price_after, bankruptcy_price_after, distance_percent_after
  FROM risk.check_order(1, 7401, 'buy', 0.4, 25000, 741);
SELECT allowed, qty_after, liquidation_price_after, bankruptcy_price_after FROM risk.check_order(1, 7401, 'sell', 0.4, 25000, 741);
-- nothing has happened
SELECT count(*) FROM ledger.position WHERE book_id = 741;
-- and when it does, the views show the same
SELECT pg_temp.trade(1, 7401, 'buy', 0.4, 25000, 1);
SELECT r.initial_margin, r.maintenance_margin, r.free_collateral, r.margin_level, p.liquidation_price, p.bankruptcy_price, p.distance_percent
  FROM ledger.account_risk r JOIN ledger.position_risk p USING (book_id, account_id) WHERE r.book_id = 741 AND r.account_id = 1;

-- 2. Not covered: 0.3 more need 750 of initial margin, 500 are free

SELECT allowed, rule, reason, initial_margin_after, free_collateral_after FROM risk.check_order(1, 7401, 'buy', 0.3, 25000, 741);
SELECT allowed, free_collateral_after FROM risk.check_order(1, 7401, 'buy', 0.2, 25000, 741);
-- a price above the mark costs at once: 0.2 at 25,100 lose 20; a fee counts, too
SELECT allowed, reason, unrealized_pnl_after FROM risk.check_order(1, 7401, 'buy', 0.2, 25100, 741);
SELECT allowed, reason, balance_after FROM risk.check_order(1, 7401, 'buy', 0.2, 25000, 741, fee => 0.01);
-- other orders hold margin
INSERT INTO ledger.order_reserve (book_id, account_id, order_id, instrument_id, amount) VALUES (741, 1, 1, 7401, 100);
SELECT allowed, reason FROM risk.check_order(1, 7401, 'buy', 0.2, 25000, 741);
DELETE FROM ledger.order_reserve WHERE book_id = 741;
-- a lower leverage needs more: 10,000 at 8, and 2,500 more of them
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (741, 1, 7401, 8);
SELECT allowed, reason, initial_margin_after FROM risk.check_order(1, 7401, 'buy', 0.1, 25000, 741);
DELETE FROM ledger.margin_setting WHERE book_id = 741;
-- what reduces needs nothing
SELECT allowed, adds_risk, qty_before, qty_after, realized_pnl, balance_after FROM risk.check_order(1, 7401, 'sell', 0.4, 24000, 741);
-- a flip adds risk
SELECT allowed, adds_risk, qty_before, qty_after, realized_pnl, free_collateral_after FROM risk.check_order(1, 7401, 'sell', 0.7, 25000, 741);

-- 3. Whether the trade is refused is the policy's: alice's is booked all the same, bob's is not

BEGIN;
SELECT pg_temp.trade(1, 7401, 'buy', 0.3, 25000, 2);
COMMIT;
SELECT free_collateral FROM ledger.account_risk WHERE book_id = 741 AND account_id = 1;
SELECT allowed, rule, reason FROM risk.check_order(2, 7402, 'buy', 200.1, 100, 741);
SELECT pg_temp.trade(2, 7402, 'buy', 200.1, 100, 3);
-- by the whole transaction, when it commits: one that pays in as well, or releases what its order held
BEGIN;
SELECT pg_temp.trade(2, 7402, 'buy', 200.1, 100, 3);
SELECT risk.deposit(2, 1100, 741) > 0 AS deposited;
COMMIT;
SELECT free_collateral FROM ledger.account_risk WHERE book_id = 741 AND account_id = 2;
INSERT INTO ledger.order_reserve (book_id, account_id, order_id, instrument_id, amount) VALUES (741, 2, 1, 7402, 60);
SELECT pg_temp.trade(2, 7402, 'buy', 4, 100, 4);
BEGIN;
SELECT pg_temp.trade(2, 7402, 'buy', 4, 100, 4);
DELETE FROM ledger.order_reserve WHERE book_id = 741 AND account_id = 2;
COMMIT;
SELECT free_collateral FROM ledger.account_risk WHERE book_id = 741 AND account_id = 2;
-- forced trades are facts, and so is what reduces
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind)
VALUES (741, 2, 7402, 'buy', 100, 100, 741005, 'liquidation'), (741, 4, 7402, 'sell', 100, 100, 741005, 'liquidation');
SELECT pg_temp.trade(2, 7402, 'sell', 1, 100, 6);
SELECT free_collateral FROM ledger.account_risk WHERE book_id = 741 AND account_id = 2;
-- one that others would have to pay for is refused before they are asked
SELECT shortfall_after, rule, reason FROM risk.check_order(2, 7402, 'sell', 700, 90, 741);
SELECT pg_temp.trade(2, 7402, 'sell', 700, 90, 7);

-- 4. Reduce-only: the order's flag, and the account's state

SELECT allowed, rule, reason FROM risk.check_order(1, 7401, 'sell', 0.8, 25000, 741, reduce_only => true);
SELECT allowed, rule, reason FROM risk.check_order(1, 7401, 'buy', 0.1, 25000, 741, reduce_only => true);
SELECT allowed, rule, reason FROM risk.check_order(1, 7402, 'buy', 0.1, 100, 741, reduce_only => true);
SELECT allowed, qty_after FROM risk.check_order(1, 7401, 'sell', 0.7, 25000, 741, reduce_only => true);
UPDATE ledger.account SET status = 'reduce_only' WHERE book_id = 741 AND account_id = 1;
SELECT allowed, rule, reason FROM risk.check_order(1, 7401, 'buy', 0.1, 25000, 741);
SELECT allowed, rule, reason, qty_after FROM risk.check_order(1, 7401, 'sell', 0.1, 25000, 741);
UPDATE ledger.account SET status = 'active' WHERE book_id = 741 AND account_id = 1;
SELECT risk.freeze(3, 'ask', 741) > 0 AS frozen;
SELECT allowed, rule, reason FROM risk.check_order(3, 7402, 'buy', 1, 100, 741);
SELECT count(risk.lift_freeze(f.freeze_id, 'ask', 'asked', 741)) AS lifted FROM ledger.freeze f WHERE f.book_id = 741 AND f.lifted_at IS NULL;

-- 5. The life of an instrument

UPDATE ledger.instrument SET state = 'close_only' WHERE instrument_id = 7401;
SELECT allowed, rule, reason FROM risk.check_order(1, 7401, 'buy', 0.1, 25000, 741);
SELECT allowed, rule FROM risk.check_order(1, 7401, 'sell', 0.1, 25000, 741);
UPDATE ledger.instrument SET state = 'halted' WHERE instrument_id = 7401;
SELECT allowed, rule, reason FROM risk.check_order(1, 7401, 'buy', 0.1, 25000, 741);
SELECT allowed, warnings FROM risk.check_order(1, 7401, 'sell', 0.1, 25000, 741);
UPDATE ledger.instrument SET state = 'open' WHERE instrument_id = 7401;
-- without a mark a position counts at its cost
SELECT allowed, warnings, initial_margin_after FROM risk.check_order(3, 7403, 'buy', 5, 100, 741);
SELECT allowed, rule, reason FROM risk.check_order(3, 7499, 'buy', 5, 100, 741);

-- 6. Tiers: of a short of 303.1 a buy of 603.1 makes a long of 300, at 100: 20,000 at 1 % and 10,000 at 5 %, and 70 for the rest

SELECT allowed, initial_margin_after, maintenance_margin_after, liquidation_price_after FROM risk.check_order(4, 7402, 'buy', 603.1, 100, 741);

-- 7. Limits: refused, or reported

INSERT INTO ledger.position_limit (limit_id, instrument_id, owner_id, max_qty) VALUES (74001, 7402, 'carol', 10);
SELECT allowed, rule, warnings FROM risk.check_order(3, 7402, 'buy', 11, 100, 741);
UPDATE ledger.instrument SET limit_mode = 'refuse' WHERE instrument_id = 7402;
SELECT allowed, rule, reason FROM risk.check_order(3, 7402, 'buy', 11, 100, 741);
SELECT allowed, rule, reason FROM risk.check_order(3, 7402, 'sell', 10, 100, 741);
-- the open interest, with a counterparty that opens as well
UPDATE ledger.instrument SET open_interest_limit = (SELECT open_interest + 5 FROM ledger.open_interest WHERE book_id = 741 AND instrument_id = 7402)
 WHERE instrument_id = 7402;
SELECT allowed, rule, reason FROM risk.check_order(3, 7402, 'sell', 6, 100, 741);
SELECT allowed, rule, reason FROM risk.check_order(3, 7402, 'sell', 5, 100, 741);

-- 8. A policy that lets nobody else pay: carol has 1,000 and cannot sell at 40 what she bought at 100 when that costs more

SELECT pg_temp.trade(3, 7402, 'buy', 5, 100, 8);
DELETE FROM ledger.position_limit WHERE instrument_id = 7402;
UPDATE ledger.instrument SET limit_mode = 'report', open_interest_limit = NULL WHERE instrument_id = 7402;
SELECT pg_temp.trade(3, 7402, 'buy', 35, 100, 9);
SELECT allowed, realized_pnl, balance_after, shortfall_after FROM risk.check_order(3, 7402, 'sell', 40, 75, 741);
SELECT allowed, rule, reason, realized_pnl FROM risk.check_order(3, 7402, 'sell', 40, 74, 741);
SELECT pg_temp.trade(3, 7402, 'sell', 40, 74, 10);
-- others pay for alice: that is no reason, but said
SELECT allowed, balance_after, shortfall_after, warnings FROM risk.check_order(1, 7401, 'sell', 0.7, 20000, 741);

-- 9. A price beyond the band, on the side that costs

INSERT INTO ledger.price_band (instrument_id, width) VALUES (7402, 0.05);
SELECT allowed, warnings FROM risk.check_order(3, 7402, 'buy', 1, 105.1, 741);
SELECT allowed, warnings FROM risk.check_order(3, 7402, 'sell', 1, 105.1, 741);
DELETE FROM ledger.price_band WHERE instrument_id = 7402;

-- 10. Isolated: the margin comes from the parent, as far as that can spare it

SELECT risk.open_isolated(4, 7401, 0, 'long', 741, child_id => 41);
SELECT allowed, margin_moved, balance_after, initial_margin_after, liquidation_price_after FROM risk.check_order(41, 7401, 'buy', 1, 25000, 741);
SELECT allowed, rule, reason FROM risk.check_order(41, 7401, 'sell', 1, 25000, 741);
SELECT allowed, rule, reason FROM risk.check_order(41, 7402, 'buy', 1, 100, 741);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (741, 3, 7401, 10, 'isolated');
SELECT allowed, rule, reason FROM risk.check_order(3, 7401, 'buy', 0.01, 25000, 741);
SELECT pg_temp.trade(41, 7401, 'buy', 1, 25000, 11);
SELECT allowed, realized_pnl, margin_moved, balance_after, free_collateral_after FROM risk.check_order(41, 7401, 'sell', 0.4, 26000, 741);

-- 11. Nobody and nothing

SELECT allowed, rule, reason FROM risk.check_order(99, 7401, 'buy', 1, 100, 741);
SELECT allowed, rule, reason FROM risk.check_order(1, 7401, 'buy', 1, 100, 749);
SELECT allowed, rule, reason LIKE '%cannot hold positions. It is a insurance_fund account.' AS reason
  FROM risk.check_order(risk.system_account(741, 'insurance_fund', 'USDT'), 7401, 'buy', 1, 100, 741);
SELECT * FROM risk.check_order(1, 7401, 'buy', NULL, 100, 741);
SELECT * FROM risk.check_order(1, 7401, 'long', 1, 100, 741);
SELECT * FROM risk.check_order(1, 7401, 'buy', 0, 100, 741);
SELECT * FROM risk.check_order(1, 7401, 'buy', 1, 'NaN', 741);
SELECT * FROM risk.check_order(1, 7401, 'buy', 1, 100, 741, fee => 0.001);
SELECT * FROM risk.check_order(1, 7401, 'buy', 1e40, 100, 741);

-- 12. Anybody who reads may ask, also where nothing can be written, and waits for nobody

BEGIN READ ONLY;
SET LOCAL ROLE risk_reader;
SELECT allowed, free_collateral_after FROM risk.check_order(2, 7402, 'sell', 10, 100, 741);
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode NOT IN ('AccessShareLock', 'ExclusiveLock');
COMMIT;
SELECT check_name, violations FROM risk.verify(741) WHERE violations > 0;
