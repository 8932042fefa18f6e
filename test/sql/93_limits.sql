-- Limits of an owner, of the open interest, and of the last tier: reported, or
-- refused where the instrument says so.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(93, 'limits');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (93, 1, 'USDT', 'alice'), (93, 2, 'USDT', 'alice'), (93, 3, 'USDT', 'bob'), (93, 4, 'USDT', NULL), (93, 5, 'USDT', NULL);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (9301, 'BTC/USDT 93', 'USDT'), (9302, 'ETH/USDT 93', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, notional_cap)
VALUES (9301, 0, 0.01, 20, NULL), (9301, 1000, 0.02, 10, 5000), (9302, 0, 0.01, 20, NULL);
INSERT INTO ledger.mark_price VALUES (9301, 100);
SELECT risk.deposit(a, 10000, 93) > 0 AS deposited FROM generate_series(1, 5) a;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 93001;

-- trade(buyer, seller, qty): one execution, at 100
CREATE FUNCTION pg_temp.trade(buyer bigint, seller bigint, qty numeric, kind text DEFAULT 'trade', instrument int DEFAULT 9301)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	execution bigint := nextval('ledger.trade_execution_id_seq');
BEGIN
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind)
	VALUES (93, buyer, instrument, 'buy', qty, 100, execution, kind), (93, seller, instrument, 'sell', qty, 100, execution, kind);
END $$;
CREATE TEMP VIEW usage AS
SELECT coalesce(owner_id, account_id::text) AS owner, side, qty, notional, max_qty, max_notional, exceeded
  FROM ledger.position_limit_usage WHERE book_id = 93 AND instrument_id = 9301 ORDER BY 1, 2;

-- 1. By default limits are reported

INSERT INTO ledger.position_limit (instrument_id, owner_id, max_qty, max_notional)
VALUES (9301, NULL, 10, NULL), (9301, 'bob', 100, 9000);
UPDATE ledger.instrument SET open_interest_limit = 15 WHERE instrument_id = 9301;
SELECT pg_temp.trade(1, 3, 6);
SELECT pg_temp.trade(2, 3, 5);
SELECT pg_temp.trade(4, 5, 8);
SELECT * FROM usage;
SELECT open_interest, open_interest_limit, exceeded FROM ledger.open_interest WHERE book_id = 93;
SELECT notional_floor, notional_cap FROM ledger.risk_limit WHERE instrument_id = 9301 ORDER BY notional_floor;
SELECT account_id, notional, notional_cap FROM ledger.position_value WHERE book_id = 93 ORDER BY account_id;

-- 2. An owner: alice holds 11 on two accounts, the limit is 10

UPDATE ledger.instrument SET limit_mode = 'refuse', open_interest_limit = NULL WHERE instrument_id = 9301;
SELECT pg_temp.trade(1, 3, 1);
SELECT pg_temp.trade(2, 3, 0.0001);
-- the other side is another matter: a short of hers is judged by itself
BEGIN;
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (93, 6, 'USDT', 'alice');
SELECT pg_temp.trade(3, 6, 9);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT pg_temp.trade(3, 6, 1.5);
ROLLBACK;
-- what reduces is booked, and so is what only moves from one account of hers to another
SELECT pg_temp.trade(3, 1, 0.5);
SELECT pg_temp.trade(2, 1, 2);
SELECT * FROM usage;
-- what is undone within the transaction was nothing
BEGIN;
SELECT pg_temp.trade(1, 3, 5);
SELECT pg_temp.trade(3, 1, 5);
COMMIT;
-- a flip counts for what it ends at: 3.5 less 14 is short 10.5
SELECT pg_temp.trade(3, 1, 14);
SELECT pg_temp.trade(3, 1, 13.5);
SELECT * FROM usage;
-- her longs are 7 now: 3 more and not one ten-thousandth more
SELECT pg_temp.trade(2, 3, 3.0001);
SELECT pg_temp.trade(2, 3, 3);
-- forced trades are facts
SELECT pg_temp.trade(2, 3, 1, 'liquidation');
SELECT * FROM usage;

-- an account without an owner stands for itself: 4 holds 8
SELECT pg_temp.trade(4, 3, 2.5);
SELECT pg_temp.trade(4, 3, 2);
-- a limit of nobody's own: bob's is 100, by his row alone
SELECT pg_temp.trade(2, 3, 0.5);
UPDATE ledger.position_limit SET max_qty = 20 WHERE instrument_id = 9301 AND owner_id IS NULL;
SELECT pg_temp.trade(2, 3, 0.5);

-- 3. By notional, at the mark: bob may have 9,000

INSERT INTO ledger.position_limit (instrument_id, owner_id, max_qty, max_notional) VALUES (9301, 'carol', NULL, 1000);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (93, 7, 'USDT', 'carol');
SELECT risk.deposit(7, 10000, 93) > 0 AS deposited;
SELECT pg_temp.trade(7, 3, 10);
SELECT pg_temp.trade(7, 3, 0.01);
UPDATE ledger.mark_price SET price = 50 WHERE instrument_id = 9301;
SELECT pg_temp.trade(7, 3, 10);
UPDATE ledger.mark_price SET price = 51 WHERE instrument_id = 9301;
SELECT pg_temp.trade(7, 3, 0.01);
-- beyond it because of the mark alone: she may reduce
SELECT pg_temp.trade(3, 7, 1);
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9301;
DELETE FROM ledger.position_limit WHERE owner_id = 'carol';
INSERT INTO ledger.position_limit (instrument_id, owner_id) VALUES (9301, 'carol');

-- 4. The cap of the last tier: 5,000 for one position; carol has 1,900 and no limit of her own

INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (93, 8, 'USDT', 'dan');
INSERT INTO ledger.position_limit (instrument_id, owner_id) VALUES (9301, 'dan');
SELECT pg_temp.trade(7, 8, 31.01);
SELECT pg_temp.trade(7, 8, 31);
SELECT pg_temp.trade(7, 8, 0.01);
-- beyond it the margins are those of the last tier
UPDATE ledger.mark_price SET price = 200 WHERE instrument_id = 9301;
SELECT notional, initial_margin, maintenance_margin FROM ledger.position_value WHERE book_id = 93 AND account_id = 7;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9301;

-- 5. Open interest

SELECT open_interest FROM ledger.open_interest WHERE book_id = 93 AND instrument_id = 9301;
SELECT open_interest AS oi FROM ledger.open_interest WHERE book_id = 93 AND instrument_id = 9301 \gset
UPDATE ledger.margin_tier SET notional_cap = NULL WHERE instrument_id = 9301;
UPDATE ledger.instrument SET open_interest_limit = :oi + 1 WHERE instrument_id = 9301;
SELECT pg_temp.trade(7, 3, 2);
SELECT pg_temp.trade(7, 3, 1);
-- a position that changes hands opens nothing
SELECT pg_temp.trade(1, 2, 1);
UPDATE ledger.instrument SET open_interest_limit = 1 WHERE instrument_id = 9301;
SELECT pg_temp.trade(4, 2, 1);
SELECT pg_temp.trade(7, 3, 0.01);
SELECT open_interest - :oi AS more, exceeded FROM ledger.open_interest WHERE book_id = 93 AND instrument_id = 9301;

-- 6. The venue's liquidity account has no limit; the trader on the other side does

UPDATE ledger.instrument SET open_interest_limit = NULL WHERE instrument_id = 9301;
UPDATE ledger.book SET unmatched = 'liquidity' WHERE book_id = 93;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) VALUES (93, 5, 9301, 'sell', 12, 100);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) VALUES (93, 5, 9301, 'sell', 0.01, 100);
SELECT a.kind, p.qty FROM ledger.position p JOIN ledger.account a USING (book_id, account_id)
 WHERE book_id = 93 AND (a.kind = 'liquidity' AND a.asset_code = 'USDT' OR account_id = 5) ORDER BY a.kind DESC;
UPDATE ledger.book SET unmatched = 'reject' WHERE book_id = 93;

-- 7. No mark: positions count at their cost; other instruments have limits of their own

UPDATE ledger.instrument SET limit_mode = 'refuse' WHERE instrument_id = 9302;
INSERT INTO ledger.position_limit (instrument_id, max_notional) VALUES (9302, 500);
SELECT pg_temp.trade(1, 3, 5.01, 'trade', 9302);
SELECT pg_temp.trade(1, 3, 5, 'trade', 9302);

-- what a driver sees
DO $$
DECLARE
	state text;
	broken text;
BEGIN
	PERFORM pg_temp.trade(1, 3, 1, 'trade', 9302);
	SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, broken = CONSTRAINT_NAME;
	RAISE INFO '%, %', state, broken;
END $$;

-- 8. What is no limit

INSERT INTO ledger.position_limit (instrument_id, max_qty) VALUES (9301, 5);
INSERT INTO ledger.position_limit (instrument_id, owner_id, max_qty) VALUES (9301, 'dora', -1);
INSERT INTO ledger.position_limit (instrument_id, owner_id, max_qty) VALUES (9301, 'dora', 'NaN');
INSERT INTO ledger.position_limit (instrument_id, owner_id, max_notional) VALUES (9301, 'dora', 'Infinity');
INSERT INTO ledger.position_limit (instrument_id, owner_id, max_qty) VALUES (9399, 'dora', 1);
\set VERBOSITY terse
UPDATE ledger.instrument SET open_interest_limit = 'NaN' WHERE instrument_id = 9301;
UPDATE ledger.instrument SET limit_mode = 'forbid' WHERE instrument_id = 9301;
UPDATE ledger.margin_tier SET notional_cap = notional_floor WHERE instrument_id = 9301;
INSERT INTO ledger.added_risk (book_id, account_id, instrument_id, qty_before) VALUES (93, 1, 9301, 0);
\set VERBOSITY default

SELECT count(*) FROM ledger.added_risk;
SELECT * FROM risk.verify() WHERE violations > 0;
UPDATE ledger.instrument SET limit_mode = 'report' WHERE instrument_id IN (9301, 9302);
