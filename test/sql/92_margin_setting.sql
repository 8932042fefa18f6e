-- The leverage that a trader chooses, and what it does to initial margin.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(92, 'settings');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (92, 1, 'USDT', 'alice'), (92, 2, 'USDT', 'bob'), (92, 3, 'BTC', 'carol');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
VALUES (9201, 'BTC/USDT 92', 'USDT'), (9202, 'ETH/USDT 92', 'USDT');
-- up to 1,000: 20x; above: 10x
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage)
VALUES (9201, 0, 0.01, 20), (9201, 1000, 0.02, 10), (9202, 0, 0.01, 20);
INSERT INTO ledger.mark_price VALUES (9201, 100), (9202, 10);
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 92001;
SELECT risk.deposit(1, 300, 92), risk.deposit(2, 100000, 92);

CREATE TEMP VIEW margin AS
SELECT v.instrument_id, v.qty, v.notional, v.leverage, v.initial_margin, a.equity, a.free_collateral, a.withdrawable
  FROM ledger.position_value v JOIN ledger.account_risk a USING (book_id, account_id)
 WHERE v.book_id = 92 AND v.account_id = 1 ORDER BY v.instrument_id;
CREATE TEMP VIEW change AS
SELECT account_id, payload FROM ledger.event WHERE book_id = 92 AND kind = 'margin_setting' ORDER BY event_id;

-- 1. The lower of what is chosen and what the tier allows

SELECT risk.leverage_in_force(20, 5) AS chosen, risk.leverage_in_force(20, 50) AS tier,
	   risk.leverage_in_force(20, NULL) IS NULL AS unknown;
\set VERBOSITY sqlstate
SELECT risk.leverage_in_force(0, 5);
SELECT risk.effective_leverage(20, 'NaN');
SELECT risk.effective_leverage(20, -1);
\set VERBOSITY default

-- 2. Notional 800: 40 at 20x; 80 at 10x; 160 at 5x

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (92, 1, 9201, 'buy', 8, 100, 92001), (92, 2, 9201, 'sell', 8, 100, 92001);
SELECT * FROM margin;
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 1, 9201, 10);
SELECT * FROM margin;
UPDATE ledger.margin_setting SET leverage = 5 WHERE book_id = 92 AND account_id = 1;
SELECT * FROM margin;
-- the withdrawal goes by the same figure: 300 - 160
SELECT risk.withdraw(1, 140.01, 92);
SELECT risk.withdraw(1, 40, 92);
-- another instrument is not touched by it
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (92, 1, 9202, 'sell', 40, 10, 92002), (92, 2, 9202, 'buy', 40, 10, 92002);
SELECT * FROM margin;

-- 3. Lowering: 260 of equity, 20 are bound by the other position

-- 800 / 4 = 200, 220 in all
UPDATE ledger.margin_setting SET leverage = 4 WHERE book_id = 92 AND account_id = 1;
-- 800 / 3 = 266.67
UPDATE ledger.margin_setting SET leverage = 3 WHERE book_id = 92 AND account_id = 1;
SELECT * FROM margin;
-- exactly what is there: 240 + 20
UPDATE ledger.margin_setting SET leverage = 10.0/3 WHERE book_id = 92 AND account_id = 1;
UPDATE ledger.margin_setting SET leverage = 3.3334 WHERE book_id = 92 AND account_id = 1;
SELECT * FROM margin;
-- profit counts, a loss too: at 101 there is 8 more equity, and 2.40 more margin
UPDATE ledger.mark_price SET price = 101 WHERE instrument_id = 9201;
UPDATE ledger.margin_setting SET leverage = 3.3 WHERE book_id = 92 AND account_id = 1;
UPDATE ledger.mark_price SET price = 99 WHERE instrument_id = 9201;
UPDATE ledger.margin_setting SET leverage = 3.2 WHERE book_id = 92 AND account_id = 1;
-- raising is never refused, even when it is not enough
UPDATE ledger.margin_setting SET leverage = 3.31 WHERE book_id = 92 AND account_id = 1;
SELECT * FROM margin;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9201;
UPDATE ledger.margin_setting SET leverage = 4 WHERE book_id = 92 AND account_id = 1;
-- what open orders hold cannot be had twice: 260 - 220 = 40
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (92, 1, 9201, 1, 40);
UPDATE ledger.margin_setting SET leverage = 3.9 WHERE book_id = 92 AND account_id = 1;
DELETE FROM ledger.order_reserve WHERE book_id = 92;
-- the first choice is one, too: 400 / 1 for the other position
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 1, 9202, 1);
-- both at once are judged together: 100 + 160, and then 200 + 100
UPDATE ledger.margin_setting SET leverage = 5 WHERE book_id = 92 AND account_id = 1;
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 1, 9201, 8), (92, 1, 9202, 2.5)
ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE SET leverage = excluded.leverage;
SELECT * FROM margin;
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 1, 9201, 4), (92, 1, 9202, 4)
ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE SET leverage = excluded.leverage;
SELECT * FROM margin;

-- 4. A choice above the tier's leverage counts as the tier's, and stays

DELETE FROM ledger.margin_setting WHERE book_id = 92 AND instrument_id = 9202;
UPDATE ledger.margin_setting SET leverage = 15 WHERE book_id = 92 AND account_id = 1;
SELECT * FROM margin;
-- 1,600 is in the tier of 10x: 160
UPDATE ledger.mark_price SET price = 200 WHERE instrument_id = 9201;
SELECT * FROM margin;
UPDATE ledger.margin_setting SET leverage = 500 WHERE book_id = 92 AND account_id = 1;
SELECT * FROM margin;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9201;
SELECT * FROM margin;
-- so a choice that the tier hides is lowered whatever the equity
UPDATE ledger.mark_price SET price = 70 WHERE instrument_id = 9201;
SELECT * FROM margin;
UPDATE ledger.margin_setting SET leverage = 20 WHERE book_id = 92 AND account_id = 1;
UPDATE ledger.margin_setting SET leverage = 19 WHERE book_id = 92 AND account_id = 1;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9201;

-- 5. Without a mark nobody knows what a position needs; without a position nobody asks

BEGIN;
DELETE FROM ledger.mark_price WHERE instrument_id = 9201;
UPDATE ledger.margin_setting SET leverage = 10 WHERE book_id = 92 AND account_id = 1;
ROLLBACK;
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (92, 3, 9201, 2, 'cross');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (9203, 'BTC/BTC 92', 'BTC');
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 3, 9203, 2);
DELETE FROM ledger.margin_setting WHERE book_id = 92 AND account_id = 3;

-- 6. What is no setting

INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9201, 0.99);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9201, 'NaN');
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9201, 'Infinity');
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9201, -5);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9201, 1e9);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9201, NULL);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (92, 2, 9201, 5, 'isolated');
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (92, 2, 9201, 5, 'crossed');
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 77, 9201, 5);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 2, 9999, 5);
\set VERBOSITY sqlstate
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage)
VALUES (92, risk.system_account(92, 'liquidity', 'USDT'), 9201, 5);
\set VERBOSITY default
SELECT account_id, instrument_id, leverage, mode FROM ledger.margin_setting WHERE book_id = 92;

-- 7. Every change is on record, with what was before it

UPDATE ledger.margin_setting SET leverage = 19.0 WHERE book_id = 92;
UPDATE ledger.margin_setting SET mode = 'isolated' WHERE book_id = 92;
DELETE FROM ledger.margin_setting WHERE book_id = 92;
SELECT * FROM change;

-- 8. A trader's service needs the right to this table and to nothing else

CREATE ROLE service_92;
GRANT USAGE ON SCHEMA ledger TO service_92;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.margin_setting TO service_92;
SET ROLE service_92;
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (92, 1, 9201, 6);
UPDATE ledger.margin_setting SET leverage = 1 WHERE book_id = 92;
SELECT * FROM ledger.event;
RESET ROLE;
DROP OWNED BY service_92;
DROP ROLE service_92;

-- 9. verify() finds a change that is not on record

SELECT * FROM risk.verify() WHERE violations > 0;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE ledger.margin_setting SET leverage = 7 WHERE book_id = 92;
SELECT * FROM risk.verify(92) WHERE violations > 0;
DELETE FROM ledger.margin_setting WHERE book_id = 92;
SELECT * FROM risk.verify() WHERE violations > 0;
ROLLBACK;
SELECT * FROM risk.verify() WHERE violations > 0;
