-- Holds: money is promised first, and paid, or given back, later.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(138, 'holds');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (138, 1, 'USDT', 'alice'), (138, 2, 'USDT', 'bob'), (138, 3, 'USDT', 'carol'), (138, 8, 'USDT', 'frozen');
SELECT risk.system_account(138, 'house', 'USDT') AS house \gset
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3801, 'BTC/USDT 138', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (3801, 0.005, 10);
INSERT INTO ledger.mark_price VALUES (3801, 100);
SELECT risk.deposit(1, 1000, 138), risk.deposit(2, 1000, 138), risk.deposit(8, 10, 138) \gset
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 38001;
ALTER TABLE ledger.hold ALTER hold_id RESTART WITH 38001;
ALTER TABLE ledger.hold_release ALTER release_id RESTART WITH 38001;
ALTER TABLE ledger.journal ALTER journal_id RESTART WITH 38001;
CREATE TEMP VIEW free AS
SELECT account_id, balance, initial_margin, order_reserve, holds, free_collateral, withdrawable
  FROM ledger.account_risk WHERE book_id = 138 AND account_id = 1;
CREATE TEMP VIEW open AS
SELECT hold_id, account_id, remaining FROM ledger.open_hold WHERE book_id = 138 ORDER BY hold_id;

-- 1. A withdrawal is asked for, paid in part, and the rest called off

SELECT risk.request_withdrawal(1, 300, book_id => 138);
SELECT * FROM free;
SELECT risk.withdraw(1, 700.01, 138);
SELECT risk.capture(38001, 100, book_id => 138);
SELECT * FROM free;
SELECT * FROM open;
SELECT risk.capture(38001, 200.01, book_id => 138);
SELECT risk.release(38001, 50, 'too much', book_id => 138);
SELECT risk.capture(38001, book_id => 138);
SELECT * FROM free;
SELECT * FROM open;
SELECT risk.capture(38001, book_id => 138);
SELECT risk.release(38001, book_id => 138);
SELECT transfer_id, amount, kind, hold_id FROM ledger.transfer WHERE book_id = 138 AND hold_id IS NOT NULL ORDER BY transfer_id;

-- 2. What is on hold is not free for anything else: balance 750, margin 100,
-- orders 200, holds 300

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (138, 1, 3801, 'buy', 10, 100, 38001), (138, 2, 3801, 'sell', 10, 100, 38001);
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (138, 1, 3801, 1, 200);
SELECT risk.hold(1, 300, 'card payment', book_id => 138);
SELECT * FROM free;
SELECT risk.hold(1, 150.01, book_id => 138);
SELECT risk.withdraw(1, 150.01, 138);
SELECT result FROM risk.post_batch(138, '{1,1}', '{2,2}', '{150,0.01}', mode => 'each');
SELECT risk.post(138, '{1,2}', '{-0.01,0.01}');
SELECT * FROM free;
-- several in one statement: each on what those before it left
INSERT INTO ledger.hold (book_id, account_id, amount) VALUES (138, 2, 600), (138, 2, 600);
-- captured to an account of the ledger
SELECT risk.capture(38002, 120, to_account => 3, book_id => 138) AS captured \gset
SELECT kind, from_account, to_account, amount FROM ledger.transfer WHERE book_id = 138 AND transfer_id = :captured;
SELECT * FROM free;
-- two captures of one hold in one statement
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, hold_id) VALUES (138, 1, 3, 100, 38002), (138, 1, 3, 100, 38002);
-- the hold of another account
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, hold_id) VALUES (138, 2, 3, 100, 38002);

-- 3. A loss is a fact: it may take what is on hold, and a capture pays what is
-- there, less the other holds

INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (138, 1, :house, 100, 'correction');
SELECT * FROM free;
SELECT risk.capture(38002, book_id => 138);
SELECT risk.capture(38002, 80, book_id => 138);
SELECT * FROM free;
SELECT * FROM open;
SELECT risk.release(38002, book_id => 138) > 0 AS released;

-- 4. Time

SELECT risk.hold(2, 10, 'short', clock_timestamp() + interval '200 ms', book_id => 138) AS short,
	   risk.hold(2, 20, 'long', clock_timestamp() + interval '1 day', book_id => 138) AS long \gset
SELECT risk.expire_holds(138);
SELECT pg_sleep(0.3);
\set VERBOSITY sqlstate
SELECT risk.capture(:short, book_id => 138) IS NULL AS captured \gset
INSERT INTO ledger.hold_release (book_id, hold_id, kind) VALUES (138, :long, 'expiry');
\set VERBOSITY default
SELECT risk.expire_holds(138);
SELECT risk.expire_holds(138);
SELECT account_id, remaining FROM open;
SELECT kind, amount FROM ledger.hold_release WHERE book_id = 138 ORDER BY release_id;
SELECT risk.hold(2, 10, 'past', '2020-01-01', book_id => 138);

-- 5. Keys

SELECT risk.hold(2, 30, 'keyed', idempotency_key => 'hold', book_id => 138) AS keyed \gset
SELECT risk.hold(2, 30.00, 'keyed', idempotency_key => 'hold', book_id => 138) = :keyed AS same_hold;
SELECT risk.capture(:keyed, idempotency_key => 'pay', book_id => 138) AS paid \gset
SELECT risk.capture(:keyed, idempotency_key => 'pay', book_id => 138) = :paid AS same_transfer,
	   risk.capture(:keyed, 30, idempotency_key => 'pay', book_id => 138) = :paid AS same_amount;
\set VERBOSITY sqlstate
SELECT risk.hold(2, 31, 'keyed', idempotency_key => 'hold', book_id => 138);
SELECT risk.capture(:keyed, 20, idempotency_key => 'pay', book_id => 138);

-- 6. What is refused

SELECT risk.hold(77, 1, book_id => 138);
SELECT risk.hold(:house, 1, book_id => 138);
SELECT risk.hold(2, 0, book_id => 138);
SELECT risk.hold(2, -1, book_id => 138);
SELECT risk.hold(2, 0.001, book_id => 138);
SELECT risk.hold(2, 'NaN', book_id => 138);
SELECT risk.capture(99, book_id => 138);
SELECT risk.release(99, book_id => 138);
SELECT risk.release(:long, 0, book_id => 138);
SELECT risk.release(:long, 20.01, book_id => 138);
UPDATE ledger.hold SET amount = 1 WHERE book_id = 138;
DELETE FROM ledger.hold_release WHERE book_id = 138;
UPDATE ledger.open_hold SET remaining = 1 WHERE book_id = 138;
DELETE FROM ledger.open_hold WHERE book_id = 138;
INSERT INTO ledger.open_hold VALUES (138, 2, 5, 5);
\set VERBOSITY default

-- 7. A frozen account makes no hold and pays none; one with a hold is not closed

SELECT risk.hold(8, 4, book_id => 138) AS mine \gset
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 138 AND account_id = 8;
SELECT risk.hold(8, 1, book_id => 138) IS NULL AS held \gset
SELECT risk.capture(:mine, book_id => 138) IS NULL AS captured \gset
UPDATE ledger.account SET status = 'active' WHERE book_id = 138 AND account_id = 8;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (138, 8, :house, 10, 'correction');
UPDATE ledger.account SET status = 'closed' WHERE book_id = 138 AND account_id = 8;
SELECT risk.release(:mine, book_id => 138) > 0 AS released;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 138 AND account_id = 8;

SELECT * FROM risk.verify() WHERE violations > 0;
