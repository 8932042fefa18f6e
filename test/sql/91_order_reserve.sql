-- Margin that open orders hold: the matching engine writes it, the free
-- collateral and what can be withdrawn are less by it.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(191, 'orders');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (191, 1, 'USDT', 'alice'), (191, 2, 'USDT', 'bob'), (191, 3, 'BTC', 'carol'), (191, 9, 'USDT', 'gone');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (9101, 'BTC/USDT 191', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (9101, 0.005, 10);
INSERT INTO ledger.mark_price VALUES (9101, 100);
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 91001;
SELECT risk.deposit(1, 1000, 191), risk.deposit(2, 1000, 191);

CREATE TEMP VIEW free AS
SELECT account_id, balance, unrealized_pnl, initial_margin, order_reserve, free_collateral, withdrawable
  FROM ledger.account_risk WHERE book_id = 191 AND account_id IN (1, 2) ORDER BY account_id;

-- 1. The formulas: 1,000 + 50 - 100 - 300, and without the profit

SELECT risk.free_collateral(1000, 50, 100, 300) = 650 AS free,
	   risk.withdrawable(1000, 50, 100, 300) = 600 AS withdrawable,
	   risk.free_collateral(1000, -50, 100, 900) = -50 AS below_zero,
	   risk.withdrawable(1000, -50, 100, 900) = 0 AS nothing,
	   risk.free_collateral(1000, 50, 100) = 950 AS no_orders,
	   risk.free_collateral(1000, 50, 100, NULL) IS NULL AS unknown;
\set VERBOSITY sqlstate
SELECT risk.free_collateral(1000, 0, 0, -1);
SELECT risk.free_collateral(1000, 0, -1, 0);
SELECT risk.free_collateral('NaN', 0, 0, 0);
SELECT risk.withdrawable(1000, 0, 0, 'Infinity');
\set VERBOSITY default

-- 2. Orders open, change and go

-- long 10 at 100 (margin 100); two orders hold 250 and 50
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (191, 1, 9101, 'buy', 10, 100, 91001), (191, 2, 9101, 'sell', 10, 100, 91001);
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount)
VALUES (191, 1, 9101, 1, 250), (191, 1, 9101, 2, 50);
SELECT * FROM free;
-- the mark at 110: alice gains 100, which she can use and not withdraw; margin 110
UPDATE ledger.mark_price SET price = 110 WHERE instrument_id = 9101;
SELECT * FROM free;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9101;

-- 1,000 - 100 - 300 = 600 and not a cent more
SELECT risk.withdraw(1, 600.01, 191);
SELECT risk.withdraw(1, 600, 191);
SELECT * FROM free;
-- a chargeback is a fact: it is booked
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (191, 1, risk.system_account(191, 'external', 'USDT'), 100, 'chargeback');
SELECT * FROM free;
-- filled in part, then cancelled
UPDATE ledger.order_reserve SET amount = 100 WHERE book_id = 191 AND account_id = 1 AND order_id = 1;
SELECT * FROM free;
DELETE FROM ledger.order_reserve WHERE book_id = 191 AND account_id = 1;
SELECT * FROM free;
SELECT risk.withdraw(1, 200, 191);

-- more than there is: what the engine says is recorded
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 2, 9101, 1, 5000);
SELECT * FROM free;
SELECT risk.withdraw(2, 0.01, 191);
-- a deposit goes in all the same
SELECT risk.deposit(2, 10, 191);
-- by COPY and by upsert, over many accounts
DELETE FROM ledger.order_reserve WHERE book_id = 191;
COPY ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) FROM stdin;
191	2	9101	7	20.5
191	1	9101	7	10.25
\.
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount)
VALUES (191, 2, 9101, 7, 30), (191, 2, 9101, 8, 5)
ON CONFLICT (book_id, account_id, order_id) DO UPDATE SET amount = excluded.amount;
SELECT * FROM free;
-- an order that moves to another account
UPDATE ledger.order_reserve SET account_id = 1 WHERE book_id = 191 AND order_id = 8;
SELECT account_id, order_reserve FROM free;
-- a fact and a choice in one statement: only the choice is judged
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 191, 2, risk.system_account(191, 'external', 'USDT'), v.amount, v.kind
  FROM (VALUES (1, 'withdrawal'), (900, 'chargeback')) AS v(amount, kind);
SELECT * FROM free;

-- 3. What is no reserve

INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 77, 9101, 20, 1);
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9999, 20, 1);
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 3, 9101, 20, 1);
\set VERBOSITY sqlstate
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount)
VALUES (191, risk.system_account(191, 'liquidity', 'USDT'), 9101, 20, 1);
\set VERBOSITY default
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9101, 20, -1);
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9101, 20, 'NaN');
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9101, 20, 0.001);
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9101, 20, 1e20);
UPDATE ledger.order_reserve SET amount = -amount WHERE book_id = 191;
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9101, 7, 1);
UPDATE ledger.account SET status = 'closed' WHERE book_id = 191 AND account_id = 9;
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 9, 9101, 20, 1);
-- an order that holds nothing
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 1, 9101, 20, 0);
SELECT account_id, order_id, amount FROM ledger.order_reserve WHERE book_id = 191 ORDER BY account_id, order_id;
TRUNCATE ledger.order_reserve;

-- 4. The engine needs the right to this table and to nothing else

CREATE ROLE engine_91;
GRANT USAGE ON SCHEMA ledger TO engine_91;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.order_reserve TO engine_91;
SET ROLE engine_91;
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (191, 2, 9101, 30, 7);
UPDATE ledger.order_reserve SET amount = 8 WHERE book_id = 191 AND order_id = 30;
DELETE FROM ledger.order_reserve WHERE book_id = 191 AND order_id = 30;
SELECT amount FROM ledger.balance;
RESET ROLE;
DROP OWNED BY engine_91;
DROP ROLE engine_91;

-- 5. verify() finds a row that came in another way

SELECT * FROM risk.verify() WHERE violations > 0;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE ledger.order_reserve SET amount = 0.001 WHERE book_id = 191 AND order_id = 20;
SELECT * FROM risk.verify(191) WHERE violations > 0;
ROLLBACK;
DELETE FROM ledger.order_reserve WHERE book_id = 191;
SELECT * FROM risk.verify() WHERE violations > 0;
