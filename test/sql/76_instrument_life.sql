-- The life of an instrument: open, close-only, halted, settled; and marks that
-- are stale.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
ALTER TABLE ledger.trade ALTER trade_id RESTART 76001;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART 76001;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, kind)
VALUES (7601, 'A of 76', 'USDT', 'linear'), (7602, 'B of 76', 'BTC', 'inverse'), (7603, 'C of 76', 'USDT', 'linear');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (7601, 100), (7602, 50000), (7603, 10);
SELECT risk.create_book(76, 'instruments'), risk.create_book(77, 'another');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
SELECT 76, n, 'USDT', name FROM (VALUES (1, 'alice'), (2, 'bob'), (3, 'carol')) v(n, name)
UNION ALL SELECT 76, 10 + n, 'BTC', name FROM (VALUES (1, 'alice'), (2, 'bob')) v(n, name)
UNION ALL SELECT 77, n, 'USDT', name FROM (VALUES (1, 'dave'), (2, 'erin')) v(n, name);
SELECT risk.deposit(n, 1000, 76) > 0 AS paid FROM generate_series(1, 3) n;
SELECT risk.deposit(n, 1, 76) > 0 AS paid FROM generate_series(11, 12) n;
SELECT risk.deposit(n, 1000, 77) > 0 AS paid FROM generate_series(1, 2) n;
SELECT risk.deposit(risk.system_account(76, 'insurance_fund', 'USDT'), 100, 76) > 0 AS fund;
CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, instrument int, qty numeric, price numeric, kind text DEFAULT 'trade')
LANGUAGE sql AS $$
	WITH e AS (SELECT nextval('ledger.trade_execution_id_seq') AS id)
	INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price, kind)
	SELECT book, e.id, v.account_id, instrument, v.side, qty, price, kind FROM e, (VALUES (buyer, 'buy'), (seller, 'sell')) v(account_id, side)
$$;
CREATE TEMP VIEW stands AS
SELECT a.owner_id, b.amount AS balance, p.instrument_id, p.qty, p.cost
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
  LEFT JOIN ledger.position p USING (book_id, account_id)
 WHERE a.book_id = 76 AND a.asset_code = 'USDT' AND a.account_id > 0 ORDER BY a.account_id, p.instrument_id;
CALL pg_temp.fill(76, 1, 2, 7601, 20, 100);
CALL pg_temp.fill(76, 11, 12, 7602, 10000, 50000);
CALL pg_temp.fill(77, 1, 2, 7601, 5, 100);

-- 1. Close-only: what adds risk is refused, the whole execution; what reduces is booked

UPDATE ledger.instrument SET state = 'close_only' WHERE instrument_id = 7601;
CALL pg_temp.fill(76, 3, 1, 7601, 1, 100);
CALL pg_temp.fill(76, 2, 1, 7601, 4, 100);
-- not beyond zero
CALL pg_temp.fill(76, 2, 1, 7601, 17, 100);
-- a liquidation is a fact
CALL pg_temp.fill(76, 3, 1, 7601, 1, 100, 'liquidation');
SELECT * FROM stands;

-- 2. Halted: nor can be withdrawn by who holds it; it counts at the last mark

UPDATE ledger.instrument SET state = 'halted' WHERE instrument_id = 7601;
CALL pg_temp.fill(76, 3, 2, 7601, 1, 100);
SELECT risk.withdraw(1, 1, 76);
SELECT account_id, equity, withdrawable, liquidatable FROM ledger.account_risk WHERE book_id = 76 AND asset_code = 'USDT' AND account_id > 0 ORDER BY account_id;
-- below zero by the mark, and yet not to be liquidated
UPDATE ledger.mark_price SET price = 1 WHERE instrument_id = 7601;
SELECT account_id, equity, liquidatable FROM ledger.account_risk WHERE book_id = 76 AND account_id = 1;
UPDATE ledger.instrument SET state = 'open' WHERE instrument_id = 7601;
SELECT account_id, equity, liquidatable FROM ledger.account_risk WHERE book_id = 76 AND account_id = 1;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 7601;

-- 3. A mark that is too old

UPDATE ledger.instrument SET max_mark_age = '1 hour' WHERE instrument_id = 7601;
SELECT risk.withdraw(3, 1, 76) > 0 AS paid;
DELETE FROM ledger.mark_price WHERE instrument_id = 7601;
INSERT INTO ledger.mark_price VALUES (7601, 100, clock_timestamp() - interval '61 minutes');
SELECT risk.withdraw(3, 1, 76);
SELECT result FROM risk.post_batch(76, ARRAY[3::bigint], ARRAY[2::bigint], ARRAY[1.0], mode => 'each');
SELECT account_id, withdrawable, liquidatable FROM ledger.account_risk WHERE book_id = 76 AND account_id = 3;
SELECT account_id, mark_stale FROM ledger.position_value WHERE book_id = 76 AND instrument_id = 7601 ORDER BY account_id;
UPDATE ledger.mark_price SET price = 100, observed_at = clock_timestamp() WHERE instrument_id = 7601;
SELECT risk.withdraw(3, 1, 76) > 0 AS paid;

-- 4. The end, at 30: alice, long 15 at 100, loses 1,050 of 1,000; the fund pays
-- 50.  Everybody is flat, in every book.

SELECT * FROM stands;
SELECT risk.settle_instrument(7601, 30) AS positions;
SELECT * FROM stands;
SELECT account_id, stage, shortfall, amount, payer_after FROM ledger.reset WHERE book_id = 76;
SELECT book_id, account_id, amount FROM ledger.balance WHERE book_id = 77 AND account_id > 0 ORDER BY account_id;
SELECT DISTINCT kind, price FROM ledger.trade WHERE book_id IN (76, 77) AND kind = 'settlement';
SELECT book_id, payload FROM ledger.event WHERE kind = 'instrument_settled' AND book_id IN (76, 77) ORDER BY book_id;
-- for good
CALL pg_temp.fill(76, 1, 2, 7601, 1, 100);
SELECT risk.settle_instrument(7601, 30);
UPDATE ledger.instrument SET state = 'open' WHERE instrument_id = 7601;

-- 5. A dead coin is settled at zero, but not one that is settled in itself

CALL pg_temp.fill(76, 3, 2, 7603, 10, 10);
UPDATE ledger.instrument SET state = 'settled' WHERE instrument_id = 7603;
SELECT risk.settle_instrument(7603, 0) AS positions;
SELECT owner_id, balance, instrument_id, qty FROM stands WHERE instrument_id = 7603;
SELECT risk.settle_instrument(7602, 0);
SELECT risk.settle_instrument(7602, -1);
SELECT risk.settle_instrument(7602, 'NaN');
SELECT risk.settle_instrument(7699, 1);
SELECT risk.settle_instrument(NULL, 1);
-- 10,000 contracts between 50,000 and 40,000: 0.05 BTC, rounded against each
SELECT risk.settle_instrument(7602, 40000) AS positions;
SELECT account_id, amount FROM ledger.balance WHERE book_id = 76 AND account_id IN (11, 12) ORDER BY account_id;
-- prices of trades are above zero
CALL pg_temp.fill(76, 3, 2, 7603, 10, 0);
CALL pg_temp.fill(76, 3, 2, 7603, 10, 0, 'settlement');
SELECT * FROM risk.verify() WHERE violations > 0;
