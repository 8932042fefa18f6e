-- Keys: a row with a key is posted once, whatever is tried again, and a key
-- never stands for two different rows.  Transfers are in 30_transfers; here are
-- trades, what is compared, and the digest.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(131, 'keys');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (131, 1, 'USDT', 'alice'), (131, 2, 'USDT', 'bob');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3101, 'BTC/USDT 131', 'USDT');
INSERT INTO ledger.mark_price VALUES (3101, 100);
SELECT risk.deposit(1, 1000, 131), risk.deposit(2, 1000, 131) \gset
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 31001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 31001;

-- 1. A trade is booked once; both sides belong into one transaction

CREATE FUNCTION pg_temp.execute_once(OUT bought bigint, OUT sold bigint) LANGUAGE sql AS $$
	SELECT risk.book_trade(1, 3101, 'buy', 2, 100, 31001, fee => 0.5, book_id => 131, idempotency_key => 'fill-1:buy'),
		   risk.book_trade(2, 3101, 'sell', 2, 100, 31001, book_id => 131, idempotency_key => 'fill-1:sell')
$$;
SELECT * FROM pg_temp.execute_once();
SELECT * FROM pg_temp.execute_once();
SELECT account_id, qty, cost, trades FROM ledger.position WHERE book_id = 131 ORDER BY account_id;
SELECT idempotency_key, kind, id, octet_length(digest) AS digest_bytes FROM ledger.idempotency WHERE book_id = 131 ORDER BY idempotency_key;
-- numbers are compared by value, and times are not compared
SELECT risk.book_trade(1, 3101, 'buy', 2.0, 100.00, 31001, 0.50, executed_at => '2020-01-01', book_id => 131,
					   idempotency_key => 'fill-1:buy');
-- without a key each call is a trade of its own
BEGIN;
SELECT risk.book_trade(1, 3101, 'sell', 1, 100, 31002, book_id => 131) <> risk.book_trade(2, 3101, 'buy', 1, 100, 31002, book_id => 131) AS two_rows;
ROLLBACK;

-- 2. Another content: the detail says what was and what is

SELECT risk.book_trade(1, 3101, 'buy', 3, 100, 31001, fee => 0.5, book_id => 131, idempotency_key => 'fill-1:buy');
SELECT risk.book_trade(1, 3101, 'sell', 2, 100, 31001, fee => 0.5, book_id => 131, idempotency_key => 'fill-1:buy');
SELECT risk.book_trade(1, 3101, 'buy', 2, 100, 31009, fee => 0.5, book_id => 131, idempotency_key => 'fill-1:buy');
SELECT risk.book_trade(1, 3101, 'buy', 2, 100, 31001, fee => 0.5, kind => 'liquidation', book_id => 131, idempotency_key => 'fill-1:buy');
-- keys of trades and transfers are of one kind
SELECT risk.deposit(1, 2, 131, 'fill-1:buy');
SELECT risk.deposit(1, 2, 131, 'money') > 0 AS deposited;
SELECT risk.book_trade(1, 3101, 'buy', 2, 100, 31001, book_id => 131, idempotency_key => 'money');
-- two rows of one statement
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, idempotency_key)
VALUES (131, 1, 3101, 'buy', 1, 100, 31003, 'twice'), (131, 2, 3101, 'sell', 1, 100, 31003, 'twice');
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, idempotency_key)
VALUES (131, 1, 3101, 'buy', 2, 100, 31001, 'fill-1:buy'), (131, 2, 3101, 'sell', 2, 100, 31001, 'fresh');

-- 3. By plain INSERT the original is in the detail, and drivers can tell the
-- two errors apart by the name of the constraint

CREATE FUNCTION pg_temp.violated(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS answer = CONSTRAINT_NAME;
	RETURN answer;
END
$$;
SELECT pg_temp.violated(format($$
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind, idempotency_key)
	VALUES (131, risk.system_account(131, 'external', 'USDT'), 1, %s, 'deposit', 'money') ON CONFLICT DO NOTHING $$, amount))
  FROM (VALUES (2), (3)) AS v(amount) ORDER BY amount;

-- 4. What is refused for another reason takes no key, and is not remembered

SELECT risk.withdraw(1, 100000, 131, 'try');
SELECT risk.withdraw(1, 1, 131, 'try') > 0 AS withdrawn;
-- amounts that no row can have are canonical as well
SELECT risk.deposit(1, 'NaN', 131, 'not a number');
SELECT risk.deposit(1, 1e30, 131, 'large');

-- 5. Keys are never forgotten, and text of any sort

\set VERBOSITY sqlstate
DELETE FROM ledger.idempotency WHERE book_id = 131;
UPDATE ledger.idempotency SET id = 1 WHERE book_id = 131;
INSERT INTO ledger.idempotency VALUES (131, 'mine', 'transfer', 1, '\x00');
\set VERBOSITY default
SELECT risk.deposit(1, 1, 131, E'\u20ac "quoted"\n') = risk.deposit(1, 1.00, 131, E'\u20ac "quoted"\n') AS same_row;
SELECT risk.deposit(1, 1, 131, 'A') <> risk.deposit(1, 1, 131, 'a') AS two_rows;
-- who may only insert, and read what keys stand for, is answered
CREATE ROLE keyed_writer;
GRANT USAGE ON SCHEMA ledger TO keyed_writer;
GRANT INSERT ON ledger.transfer, ledger.trade TO keyed_writer;
GRANT SELECT (transfer_id) ON ledger.transfer TO keyed_writer;
GRANT SELECT ON ledger.idempotency, ledger.account TO keyed_writer;
GRANT EXECUTE ON FUNCTION risk.deposit(bigint, numeric, int, text), risk.transfer_once(int, bigint, bigint, numeric, text, text, bigint),
	risk.original_of_key(int, text) TO keyed_writer;
SET ROLE keyed_writer;
SELECT risk.deposit(1, 1, 131, 'role') = risk.deposit(1, 1, 131, 'role') AS same_row;
RESET ROLE;
DROP OWNED BY keyed_writer;
DROP ROLE keyed_writer;

SELECT * FROM risk.verify() WHERE violations > 0;
