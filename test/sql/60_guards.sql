-- What keeps the books as they are: append-only tables, posting as the only
-- writer, little privilege for those who trade, and install() as the repair.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (6001, 'BTC/USDT 60', 'USDT'), (6002, 'ETH/USDT 60', 'USDT');
INSERT INTO ledger.mark_price VALUES (6001, 90), (6002, 90);
SELECT risk.create_book(60, 'guards');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (60, 1, 'USDT', 'alice'), (60, 2, 'USDT', 'bob'), (60, 3, 'USDT', 'carol');
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 60001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 60001;
SELECT risk.deposit(1, 100, 60, 'key') > 0 AS deposited, risk.deposit(2, 1000, 60) > 0 AS deposited;
-- a row in every table: a residue, a reset with its event
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 1, 6001, 'buy', 1, 200, 60001), (60, 2, 6001, 'sell', 1, 200, 60001),
	   (60, 1, 6001, 'sell', 1, 50.001, 60002), (60, 2, 6001, 'buy', 1, 50.001, 60002);

-- What a statement comes to, with nothing of it kept.
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RAISE SQLSTATE 'Z0001';
EXCEPTION
	WHEN SQLSTATE 'Z0001' THEN RETURN 'done';
	WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TEMP VIEW first_column AS
SELECT relname::text AS name, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum = 1
 WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r';

-- 1. Append-only: nobody changes or removes a row, not even the owner

SELECT name,
	   pg_temp.attempt(format('UPDATE ledger.%I SET %I = %I', name, attname, attname)) AS "update",
	   pg_temp.attempt(format('DELETE FROM ledger.%I', name)) AS "delete",
	   pg_temp.attempt(format('TRUNCATE ledger.%I CASCADE', name)) AS "truncate"
  FROM first_column
 WHERE name IN ('trade', 'transfer', 'entry', 'settlement', 'reset', 'event', 'idempotency', 'mark_price_history', 'policy')
 ORDER BY name COLLATE "C";
SELECT name,
	   pg_temp.attempt(format('DELETE FROM ledger.%I', name)) AS "delete",
	   pg_temp.attempt(format('TRUNCATE ledger.%I CASCADE', name)) AS "truncate"
  FROM first_column WHERE name IN ('account', 'balance', 'position') ORDER BY name COLLATE "C";
-- by way of a table that they refer to neither
SELECT name, pg_temp.attempt(format('TRUNCATE ledger.%I CASCADE', name)) AS "truncate"
  FROM first_column WHERE name IN ('asset', 'book', 'instrument') ORDER BY name COLLATE "C";
-- nor in the replica role
SET session_replication_role = replica;
SELECT name,
	   left(pg_temp.attempt(format('UPDATE ledger.%I SET %I = %I', name, attname, attname)), 5) AS "update",
	   left(pg_temp.attempt(format('DELETE FROM ledger.%I', name)), 5) AS "delete",
	   left(pg_temp.attempt(format('TRUNCATE ledger.%I CASCADE', name)), 5) AS "truncate"
  FROM first_column
 WHERE name IN ('trade', 'transfer', 'entry', 'settlement', 'reset', 'event', 'idempotency', 'mark_price_history', 'policy')
 ORDER BY name COLLATE "C";
SELECT name,
	   left(pg_temp.attempt(format('DELETE FROM ledger.%I', name)), 5) AS "delete",
	   left(pg_temp.attempt(format('TRUNCATE ledger.%I CASCADE', name)), 5) AS "truncate"
  FROM first_column WHERE name IN ('account', 'balance', 'position') ORDER BY name COLLATE "C";
RESET session_replication_role;
DELETE FROM ledger.entry;

-- 2. Written by posting only, whoever asks

SELECT name,
	   pg_temp.attempt(format('INSERT INTO ledger.%I DEFAULT VALUES', name)) AS "insert",
	   left(pg_temp.attempt(format('UPDATE ledger.%I SET %I = %I', name, attname, attname)), 5) AS "update",
	   left(pg_temp.attempt(format('DELETE FROM ledger.%I', name)), 5) AS "delete"
  FROM first_column
 WHERE name IN ('balance', 'position', 'entry', 'settlement', 'reset', 'idempotency', 'below_floor', 'unmatched_execution')
 ORDER BY name COLLATE "C";
UPDATE ledger.balance SET amount = 1000000 WHERE book_id = 60 AND account_id = 1;
UPDATE ledger.balance SET floor = -100 WHERE book_id = 60 AND account_id = 1;
\set VERBOSITY terse
INSERT INTO ledger.wiring DEFAULT VALUES;
\set VERBOSITY default
-- a setting opens nothing
SET risk.writing = 'on';
SET risk_ext.writing = 'on';
SELECT left(pg_temp.attempt('UPDATE ledger.balance SET amount = 1000000'), 5) AS "update";
-- nor does a posting that failed leave a door open
SELECT left(pg_temp.attempt('INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) VALUES (60, 77, 6001, ''buy'', 1, 1)'), 5) AS failed,
	   left(pg_temp.attempt('SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) VALUES (60, 1, 6001, ''buy'', 1, 1)'), 5) AS failed_later,
	   left(pg_temp.attempt('UPDATE ledger.balance SET amount = 1000000'), 5) AS "update";

-- 3. A role that may insert into trade and transfer, and no more

CREATE ROLE regress_risk_trader;
GRANT USAGE ON SCHEMA ledger TO regress_risk_trader;
GRANT INSERT ON ledger.trade, ledger.transfer TO regress_risk_trader;
SELECT risk.system_account(60, 'external', 'USDT') AS external \gset
SET SESSION AUTHORIZATION regress_risk_trader;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (60, :external, 3, 10, 'deposit');
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
VALUES (60, 3, 6002, 'buy', 1, 200, 1, 60010), (60, 2, 6002, 'sell', 1, 200, 0, 60010);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 3, 6001, 'buy', 1, 200, 60011), (60, 2, 6001, 'sell', 1, 200, 60011);
-- loses 20 of 9 and its other position at the mark of 90, in a deferred trigger
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 3, 6001, 'sell', 1, 180, 60012), (60, 2, 6001, 'buy', 1, 180, 60012);
SELECT * FROM ledger.balance;
INSERT INTO ledger.entry DEFAULT VALUES;
INSERT INTO ledger.mark_price VALUES (6001, 1);
UPDATE ledger.trade SET price = 1;
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (60, 99, 'USDT');
SELECT risk.install();
SELECT risk.deposit(3, 1, 60);
-- the formulas are for everybody
SELECT risk.liquidation_price(1, 100, 10);
RESET SESSION AUTHORIZATION;
SELECT a.owner_id, r.stage, r.shortfall, r.amount, r.who = 'regress_risk_trader' AS by_the_trader FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id)
 WHERE r.book_id = 60 ORDER BY r.reset_id;
SELECT who, count(*) FROM ledger.transfer WHERE book_id = 60 AND transfer_id > 60002 GROUP BY who;
SELECT account_id, qty FROM ledger.position WHERE book_id = 60 AND qty <> 0 ORDER BY account_id;

-- 4. A schema that shadows what posting uses, first in the search_path

CREATE SCHEMA regress_risk_shadow AUTHORIZATION regress_risk_trader;
SET SESSION AUTHORIZATION regress_risk_trader;
CREATE TABLE regress_risk_shadow.called (what text, by_whom text DEFAULT current_user);
DO $do$
DECLARE
	t text;
	o text;
	f text;
BEGIN
	FOREACH t IN ARRAY ARRAY['numeric', 'bigint', 'integer', 'text', 'xid8', 'boolean', 'timestamptz'] LOOP
		FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>='] LOOP
			EXECUTE format($f$CREATE FUNCTION regress_risk_shadow.%I(a %s, b %2$s) RETURNS boolean LANGUAGE plpgsql AS
				$g$BEGIN INSERT INTO regress_risk_shadow.called VALUES (%3$L); RETURN a OPERATOR(pg_catalog.%4$s) b; END$g$$f$,
				'f' || o, t, o || ' ' || t, o);
			EXECUTE format('CREATE OPERATOR regress_risk_shadow.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = regress_risk_shadow.%3$I)', o, t, 'f' || o);
		END LOOP;
		FOREACH o IN ARRAY CASE WHEN t IN ('numeric', 'bigint', 'integer') THEN ARRAY['+', '-', '*', '/', '%'] ELSE '{}' END LOOP
			EXECUTE format($f$CREATE FUNCTION regress_risk_shadow.%I(a %s, b %2$s) RETURNS %2$s LANGUAGE plpgsql AS
				$g$BEGIN INSERT INTO regress_risk_shadow.called VALUES (%3$L); RETURN a OPERATOR(pg_catalog.%4$s) b; END$g$$f$,
				'f' || o, t, o || ' ' || t, o);
			EXECUTE format('CREATE OPERATOR regress_risk_shadow.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = regress_risk_shadow.%3$I)', o, t, 'f' || o);
		END LOOP;
		FOREACH f IN ARRAY CASE WHEN t = 'numeric' THEN ARRAY['abs', 'sign', 'trim_scale', 'ceil', 'floor'] ELSE '{}' END LOOP
			EXECUTE format($f$CREATE FUNCTION regress_risk_shadow.%I(a %s) RETURNS %2$s LANGUAGE plpgsql AS
				$g$BEGIN INSERT INTO regress_risk_shadow.called VALUES (%1$L); RETURN pg_catalog.%1$I(a); END$g$$f$, f, t);
		END LOOP;
	END LOOP;
END
$do$;
CREATE FUNCTION regress_risk_shadow.noted(state numeric, next numeric) RETURNS numeric LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''sum''); RETURN 0; END';
CREATE AGGREGATE regress_risk_shadow.sum(numeric) (SFUNC = regress_risk_shadow.noted, STYPE = numeric, INITCOND = 0);
CREATE AGGREGATE regress_risk_shadow.max(numeric) (SFUNC = regress_risk_shadow.noted, STYPE = numeric, INITCOND = 0);
CREATE FUNCTION regress_risk_shadow.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''clock_timestamp''); RETURN NULL; END';
CREATE FUNCTION regress_risk_shadow.now() RETURNS timestamptz LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''now''); RETURN NULL; END';
CREATE FUNCTION regress_risk_shadow.nextval(regclass) RETURNS bigint LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''nextval''); RETURN NULL; END';
CREATE FUNCTION regress_risk_shadow.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''unnest''); END';
CREATE FUNCTION regress_risk_shadow.array_to_string(anyarray, text) RETURNS text LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''array_to_string''); RETURN ''own house''; END';
CREATE FUNCTION regress_risk_shadow.notional(numeric, numeric, numeric, text) RETURNS numeric LANGUAGE plpgsql AS
'BEGIN INSERT INTO regress_risk_shadow.called VALUES (''notional''); RETURN 0; END';
CREATE DOMAIN regress_risk_shadow.int4 AS pg_catalog.int4 CHECK (VALUE IS NULL);
CREATE TABLE regress_risk_shadow.balance (LIKE regress_risk_shadow.called);
CREATE TEMP TABLE balance (book_id int);
CREATE TEMP TABLE trade (book_id int);
SET search_path = regress_risk_shadow, pg_catalog;
-- they do what they are for
SELECT 1.0 + 2.0 AS three;
SELECT what FROM regress_risk_shadow.called;
DELETE FROM regress_risk_shadow.called;
-- a deposit, a choice, trades, and a commit with profit of its own, a takeover and a reset
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind, idempotency_key) VALUES (60, :external, 3, 10, 'deposit', 'shadow');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (60, 2, 3, 1);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
VALUES (60, 3, 6002, 'buy', 1, 70, 1, 60020), (60, 2, 6002, 'sell', 1, 70, 0, 60020);
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (60, 3, 6001, 'buy', 1, 100, 60021);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (60, 2, 6001, 'sell', 1, 100, 60021);
COMMIT;
-- loses 25 of 10, and has won 20 on the other: 15 are paid out
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 3, 6001, 'sell', 1, 75, 60022), (60, 2, 6001, 'buy', 1, 75, 60022);
-- loses 50 more, and 5 are left on the other: 45 are missing
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 3, 6001, 'buy', 1, 100, 60023), (60, 2, 6001, 'sell', 1, 100, 60023),
	   (60, 3, 6001, 'sell', 1, 50, 60024), (60, 2, 6001, 'buy', 1, 50, 60024);
SELECT what, by_whom, count(*) FROM regress_risk_shadow.called GROUP BY what, by_whom;
RESET SESSION AUTHORIZATION;
-- nor when the owner has that search_path
SET search_path = regress_risk_shadow, pg_catalog;
SELECT risk.deposit(3, 5, 60) OPERATOR(pg_catalog.>) 0 AS deposited, risk.withdraw(3, 5, 60) OPERATOR(pg_catalog.>) 0 AS withdrawn;
SELECT result FROM risk.set_mark_prices(ARRAY[6001, 6002], ARRAY[90, 91]);
UPDATE ledger.mark_price SET price = 90 WHERE instrument_id OPERATOR(pg_catalog.=) 6002;
UPDATE ledger.account SET owner_id = 'dora' WHERE book_id OPERATOR(pg_catalog.=) 60 AND account_id OPERATOR(pg_catalog.=) 3::bigint;
SELECT risk.create_book(61, 'shadow');
SELECT risk.install();
SELECT * FROM risk.verify() v WHERE v.violations OPERATOR(pg_catalog.>) 0::bigint;
SELECT count(*) OPERATOR(pg_catalog.>) 0::bigint AS accounts FROM ledger.account_risk WHERE book_id OPERATOR(pg_catalog.=) 60;
SELECT count(*) OPERATOR(pg_catalog.>) 0::bigint AS positions FROM ledger.position_risk WHERE book_id OPERATOR(pg_catalog.=) 60;
RESET search_path;
SELECT what, by_whom, count(*) FROM regress_risk_shadow.called GROUP BY what, by_whom;
SELECT a.owner_id, r.stage, r.shortfall, r.amount FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id)
 WHERE r.book_id = 60 ORDER BY r.reset_id OFFSET 2;
SELECT account_id, amount FROM ledger.settlement WHERE book_id = 60 AND kind = 'profit';
DROP TABLE pg_temp.balance, pg_temp.trade;
DROP SCHEMA regress_risk_shadow CASCADE;
DROP OWNED BY regress_risk_trader;
DROP ROLE regress_risk_trader;

-- 5. Trigger functions: for triggers of a ledger only

SELECT p.proname, has_function_privilege('public', p.oid, 'EXECUTE') AS public_may
  FROM pg_proc p WHERE p.pronamespace = 'risk'::regnamespace AND p.prorettype = 'trigger'::regtype
   AND has_function_privilege('public', p.oid, 'EXECUTE');
SELECT risk.post_trades();
CREATE TABLE ledger.odd_60 (LIKE ledger.transfer);
CREATE TABLE ledger.odder_60 (LIKE ledger.trade);
CREATE FUNCTION pg_temp.fired(timing text, function text, table_name text DEFAULT 'ledger.odd_60') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER odd %s ON %s %s EXECUTE FUNCTION risk.%I()', split_part(timing, '|', 1), table_name, split_part(timing, '|', 2), function);
	EXECUTE CASE WHEN table_name LIKE '%odder%' THEN format($i$INSERT INTO %s VALUES (60, '2020-01-01', 1, 1, 1, now(), 6001, 'buy', 1, 1, 0, 'trade')$i$, table_name)
		ELSE format($i$INSERT INTO %s VALUES (60, '2020-01-01', 1, 1, 2, now(), 1, 'transfer', NULL, 'me')$i$, table_name) END;
	EXECUTE format('UPDATE %s SET amount = 2', table_name);
	EXECUTE format('DELETE FROM %s', table_name);
	RAISE SQLSTATE 'Z0001';
EXCEPTION
	WHEN SQLSTATE 'Z0001' THEN RETURN 'done';
	WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT f, t AS timing, left(pg_temp.fired(t, f), 5) AS code
  FROM unnest(ARRAY['post_trades', 'post_transfers', 'open_balances', 'enforce_floor', 'enforce_executions']) WITH ORDINALITY AS f(f, n),
	   unnest(ARRAY['BEFORE INSERT|FOR EACH ROW', 'BEFORE INSERT|FOR EACH STATEMENT', 'AFTER INSERT|FOR EACH ROW',
					'AFTER INSERT|FOR EACH STATEMENT', 'AFTER INSERT|REFERENCING NEW TABLE AS i FOR EACH STATEMENT',
					'AFTER DELETE|FOR EACH ROW', 'AFTER UPDATE|REFERENCING NEW TABLE AS i FOR EACH STATEMENT']) WITH ORDINALITY AS t(t, m)
 ORDER BY n, m;
SELECT f, t AS timing, left(pg_temp.fired(t, f), 5) AS code
  FROM unnest(ARRAY['refuse_change', 'refuse_write', 'check_account', 'check_mark_price', 'keep_mark_price']) WITH ORDINALITY AS f(f, n),
	   unnest(ARRAY['BEFORE INSERT|FOR EACH ROW', 'AFTER INSERT|FOR EACH ROW', 'AFTER INSERT|FOR EACH STATEMENT']) WITH ORDINALITY AS t(t, m)
 WHERE f LIKE 'refuse%' OR (f = 'check_mark_price' AND t LIKE 'AFTER%') OR (f = 'keep_mark_price' AND t LIKE 'BEFORE%')
 ORDER BY n, m;
SELECT pg_temp.fired('AFTER INSERT|REFERENCING NEW TABLE AS i FOR EACH STATEMENT', 'post_transfers') AS not_of_a_ledger;
SELECT pg_temp.fired('BEFORE INSERT|FOR EACH ROW', 'post_transfers') AS wrong_time;
DROP TABLE ledger.odd_60, ledger.odder_60;

-- 6. install() a second time: changes nothing, and repairs

CREATE TEMP TABLE definition AS
SELECT c.oid, c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) AS definition
  FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal WHERE c.relnamespace = 'ledger'::regnamespace;
SELECT risk.install();
CREATE TEMP VIEW differences AS
SELECT count(*) AS differences FROM (
	(SELECT * FROM definition EXCEPT
	 SELECT c.oid, c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
	   FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal WHERE c.relnamespace = 'ledger'::regnamespace)
	UNION ALL
	(SELECT c.oid, c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
	   FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal WHERE c.relnamespace = 'ledger'::regnamespace
	 EXCEPT SELECT * FROM definition)) d;
SELECT * FROM differences;
ALTER TABLE ledger.trade DISABLE TRIGGER post;
SELECT * FROM risk.verify() WHERE violations > 0;
ALTER TABLE ledger.entry ENABLE TRIGGER keep_rows;
DROP TRIGGER floor ON ledger.balance;
SELECT * FROM risk.verify() WHERE violations > 0;
SELECT risk.install();
SELECT * FROM differences;
-- a row that came in meanwhile is not posted by a repair
BEGIN;
ALTER TABLE ledger.trade DISABLE TRIGGER post;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (60, 1, 6001, 'buy', 1, 1, 60100);
SELECT risk.install();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
ALTER TABLE ledger.transfer DISABLE TRIGGER post;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 60100;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (60, 2, 1, 1);
SELECT risk.install();
ROLLBACK;
-- an index of the user's own stays
CREATE INDEX entry_by_day_60 ON ledger.entry (posted_at);
SELECT risk.install();
SELECT indexname FROM pg_indexes WHERE schemaname = 'ledger' AND indexname LIKE '%60';
DROP INDEX ledger.entry_by_day_60;

-- 7. The extension goes and comes back: the books stay

SELECT md5(string_agg(e::text, ',' ORDER BY book_id, account_id, slot, seq)) AS entries FROM ledger.entry e \gset
BEGIN;
DROP EXTENSION risk_ext CASCADE;
SELECT count(*) AS guards FROM pg_trigger WHERE tgrelid = 'ledger.entry'::regclass AND NOT tgisinternal;
CREATE EXTENSION risk_ext;
SELECT risk.install();
SELECT md5(string_agg(e::text, ',' ORDER BY book_id, account_id, slot, seq)) = :'entries' AS same_entries FROM ledger.entry e;
SELECT * FROM risk.verify() WHERE violations > 0;
-- and posting goes on, in the same session too
SELECT risk.deposit(1, 5, 60) > 0 AS deposited;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 1, 6001, 'buy', 1, 100, 60110), (60, 2, 6001, 'sell', 1, 100, 60110),
	   (60, 1, 6001, 'sell', 1, 80, 60111), (60, 2, 6001, 'buy', 1, 80, 60111);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT stage, shortfall, amount FROM ledger.reset WHERE book_id = 60 ORDER BY reset_id DESC LIMIT 1;
SELECT * FROM risk.verify() WHERE violations > 0;
ROLLBACK;
-- with a trade in between
BEGIN;
DROP EXTENSION risk_ext CASCADE;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (60, 1, 6001, 'buy', 1, 100, 60112), (60, 2, 6001, 'sell', 1, 100, 60112);
CREATE EXTENSION risk_ext;
SELECT risk.install();
ROLLBACK;

SELECT * FROM risk.verify() WHERE violations > 0;
