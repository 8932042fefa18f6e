-- Rows that came in while the extension was away, or while a trigger was off:
-- install() either makes them whole or refuses them, and nothing that is posted
-- later may end worse than with an error.
-- Needs the extensions pgtap and risk_ext, and risk.install().
\set QUIET on
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC/USDT', 'USDT');
INSERT INTO ledger.account (account_id, asset_code) VALUES (1, 'USDT'), (2, 'USDT');

BEGIN;
SELECT no_plan();
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

DROP EXTENSION risk_ext CASCADE;
INSERT INTO ledger.account (account_id, asset_code, owner_id) VALUES (9, 'USDT', 'zoe');
INSERT INTO ledger.asset VALUES ('EUR', 2);
CREATE EXTENSION risk_ext;
SELECT ok(pg_temp.outcome('SELECT risk.install()') IN ('done', '55000'), 'install() takes or refuses an account and an asset that came in meanwhile');
SELECT ok(to_regprocedure('risk.verify(integer)') IS NOT NULL, 'the functions are back');
SELECT ok(EXISTS (SELECT FROM ledger.balance WHERE account_id = 9)
		  OR (SELECT count(*) FROM risk.verify() WHERE check_name IN ('slots', 'guards') AND violations > 0) > 0,
		  'the account has its balance, or verify() says what is wrong');
SELECT ok(pg_temp.outcome('SELECT risk.deposit(9, 10)') ~ '^(done|[0-9A-Z]{5})$', 'a deposit into it is posted or refused');
SELECT ok(pg_temp.outcome($$INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, execution_id)
	VALUES (9, 1, 'buy', 1, 10, 1, 1), (1, 1, 'sell', 1, 10, 0, 1)$$) ~ '^(done|[0-9A-Z]{5})$', 'a trade on it is posted or refused');
SELECT isnt(pg_temp.outcome('SELECT risk.deposit(9, 10)'), 'XX000', 'without an internal error');

-- the same with the trigger switched off, and with rows that a replica brings
ALTER TABLE ledger.account DISABLE TRIGGER open_balance;
INSERT INTO ledger.account (account_id, asset_code) VALUES (10, 'USDT');
ALTER TABLE ledger.account ENABLE TRIGGER open_balance;
SELECT isnt(pg_temp.outcome('SELECT risk.deposit(10, 10)'), 'done', 'nothing is posted to an account without a balance');
SELECT isnt(pg_temp.outcome('SELECT risk.deposit(10, 10)'), 'XX000', 'and the error tells why');

SELECT * FROM finish();
ROLLBACK;
