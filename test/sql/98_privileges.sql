-- Who may do what: the matrix of roles, objects and privileges; what each role
-- does with them; owners who see no rows but their own.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 98001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 98001;

-- 1. The matrix.  r: SELECT, a: INSERT, w: UPDATE, d: DELETE; in parentheses:
-- some columns.  PUBLIC has nothing, and nobody may TRUNCATE, refer or make
-- triggers.

CREATE FUNCTION pg_temp.has(role name, t regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN has_table_privilege(role, t, p.privilege) THEN p.letter
						   WHEN p.letter <> 'd' AND has_any_column_privilege(role, t, p.privilege) THEN '(' || p.letter || ')'
						   ELSE '' END, '' ORDER BY p.place)
	  FROM (VALUES (1, 'r', 'SELECT'), (2, 'a', 'INSERT'), (3, 'w', 'UPDATE'), (4, 'd', 'DELETE')) AS p(place, letter, privilege)
$$;
SELECT c.relname AS object, pg_temp.has('risk_reader', c.oid) AS reader, pg_temp.has('risk_writer', c.oid) AS writer,
	   pg_temp.has('risk_operator', c.oid) AS operator, pg_temp.has('risk_owner', c.oid) AS owner, pg_temp.has('public', c.oid) AS public
  FROM pg_class c
 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'v')
 ORDER BY c.relkind = 'v', c.relname COLLATE "C";
SELECT r.role, c.relname, p.privilege
  FROM pg_class c, unnest(ARRAY['public', 'risk_reader', 'risk_writer', 'risk_operator', 'risk_owner']::name[]) AS r(role),
	   unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p(privilege)
 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege(r.role, c.oid, p.privilege);
SELECT r.role, has_schema_privilege(r.role, 'risk', 'USAGE') AS risk, has_schema_privilege(r.role, 'ledger', 'USAGE') AS ledger,
	   has_schema_privilege(r.role, 'risk', 'CREATE') OR has_schema_privilege(r.role, 'ledger', 'CREATE') AS may_create
  FROM unnest(ARRAY['public', 'risk_reader', 'risk_writer', 'risk_operator', 'risk_owner']::name[]) WITH ORDINALITY AS r(role, place)
 ORDER BY r.place;
-- functions that are not for everybody, and no trigger function
SELECT p.proname AS function, has_function_privilege('risk_reader', p.oid, 'EXECUTE') AS reader,
	   has_function_privilege('risk_writer', p.oid, 'EXECUTE') AS writer,
	   has_function_privilege('risk_operator', p.oid, 'EXECUTE') AS operator,
	   has_function_privilege('risk_owner', p.oid, 'EXECUTE') AS owner
  FROM pg_proc p
 WHERE p.pronamespace = 'risk'::regnamespace AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
   AND p.prorettype <> 'trigger'::regtype
 ORDER BY p.proname COLLATE "C", p.oid::regprocedure::text COLLATE "C";
SELECT p.oid::regprocedure, r.role
  FROM pg_proc p, unnest(ARRAY['public', 'risk_reader', 'risk_writer', 'risk_operator', 'risk_owner']::name[]) AS r(role)
 WHERE p.pronamespace = 'risk'::regnamespace AND p.prorettype = 'trigger'::regtype
   AND has_function_privilege(r.role, p.oid, 'EXECUTE');
-- it is the list, and the list may be granted again
SELECT risk.grant_roles();
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolbypassrls, shobj_description(oid, 'pg_authid') IS NOT NULL AS described
  FROM pg_roles WHERE rolname LIKE 'risk\_%' AND rolname <> 'risk_trader' ORDER BY rolname;

-- 2. What a member of each does, and what it may not

CREATE ROLE regress_risk_desk IN ROLE risk_reader;
CREATE ROLE regress_risk_engine IN ROLE risk_writer;
CREATE ROLE regress_risk_office IN ROLE risk_operator;
CREATE ROLE regress_risk_chief IN ROLE risk_owner;

SET SESSION AUTHORIZATION regress_risk_chief;
INSERT INTO ledger.asset VALUES ('A98', 2);
SELECT risk.create_book(98, 'privileges');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (9801, 'BTC/A98', 'A98'), (9802, 'ETH/A98', 'A98');
DELETE FROM ledger.instrument WHERE instrument_id = 9802;
UPDATE ledger.book SET late_trade = 'refuse' WHERE book_id = 98;
SELECT risk.install();
SELECT risk.protect_owners();
DELETE FROM ledger.book WHERE book_id = 98;

SET SESSION AUTHORIZATION regress_risk_office;
INSERT INTO ledger.policy (policy_code, stages) VALUES ('p98', '{own,house}');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (98, 1, 'A98', 'regress_risk_alice'), (98, 2, 'A98', 'regress_risk_bob'), (98, 3, 'A98', 'regress_risk_bob');
UPDATE ledger.account SET policy_code = 'p98' WHERE book_id = 98 AND account_id = 3;
INSERT INTO ledger.margin_tier VALUES (9801, 0, 0.005, 10);
UPDATE ledger.instrument SET open_interest_lo = 1, open_interest_hi = 101 WHERE instrument_id = 9801;
SELECT risk.set_floor(3, -10, 'a line', 98), risk.fold_slots(98);
SELECT count(*) >= 0 AS measured FROM risk.update_volatility();
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (98, 1, 2, 1);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price) VALUES (98, 1, 9801, 'buy', 1, 1);
SELECT risk.deposit(1, 1, 98);
UPDATE ledger.account SET asset_code = 'USDT' WHERE book_id = 98;
UPDATE ledger.instrument SET multiplier = 2;
INSERT INTO ledger.asset VALUES ('B98', 2);

SET SESSION AUTHORIZATION regress_risk_engine;
SELECT risk.deposit(1, 1000, 98, 'a98') > 0 AS deposited, risk.deposit(2, 1000, 98) > 0 AS deposited, risk.withdraw(3, 10, 98) > 0 AS withdrawn;
SELECT * FROM risk.set_mark_prices(ARRAY[9801], ARRAY[100.0]);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (98, 1, 9801, 'buy', 21, 100, 98001), (98, 2, 9801, 'sell', 21, 100, 98001);
COPY ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) FROM stdin;
98	1	9801	sell	1	100	98002
98	2	9801	buy	1	100	98002
\.
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (98, 1, 9801, 1, 5), (98, 2, 9801, 2, 6);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (98, 1, 9801, 5);
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 98;
INSERT INTO ledger.policy (policy_code, stages) VALUES ('q98', '{own,house}');
SELECT risk.set_floor(1, -1000000, 'mine', 98);
INSERT INTO ledger.entry SELECT * FROM ledger.entry;
UPDATE ledger.balance SET amount = 0;

SET SESSION AUTHORIZATION regress_risk_office;
SELECT book_id, payers FROM risk.pay_funding(9801, 0.0001, clock_timestamp(), 98);
SELECT entries > 5 AS sealed FROM risk.seal(98);

SET SESSION AUTHORIZATION regress_risk_desk;
SELECT account_id, balance, initial_margin, order_reserve FROM ledger.account_risk WHERE book_id = 98 AND account_id > 0 ORDER BY account_id;
SELECT count(*) > 2 AS lines FROM risk.statement(1, '-infinity', 'infinity', 98);
SELECT * FROM risk.verify(98) WHERE violations > 0;
SELECT risk.deposit(1, 1, 98);
INSERT INTO ledger.mark_price VALUES (9801, 1);
RESET SESSION AUTHORIZATION;

-- without the roles, and without the right to create them: it says what to do
CREATE ROLE regress_risk_small;
BEGIN;
GRANT EXECUTE ON FUNCTION risk.grant_roles(), risk.make_role(text, text) TO regress_risk_small;
ALTER ROLE risk_reader RENAME TO risk_reader_before;
ALTER ROLE risk_writer RENAME TO risk_writer_before;
ALTER ROLE risk_operator RENAME TO risk_operator_before;
ALTER ROLE risk_owner RENAME TO risk_owner_before;
DO $$
DECLARE
	name text;
BEGIN
	ALTER SCHEMA ledger OWNER TO regress_risk_small;
	FOR name IN SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'v') LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO regress_risk_small', name);
	END LOOP;
END
$$;
SET LOCAL SESSION AUTHORIZATION regress_risk_small;
SELECT risk.grant_roles();
ROLLBACK;

-- 3. An owner sees its own rows, in tables and in views

SELECT risk.protect_owners();
CREATE ROLE regress_risk_alice IN ROLE risk_trader;
CREATE ROLE regress_risk_bob IN ROLE risk_trader;
CREATE ROLE regress_risk_stranger;
GRANT USAGE ON SCHEMA ledger TO regress_risk_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO regress_risk_stranger;
GRANT INSERT ON ledger.trade, ledger.transfer TO regress_risk_stranger;

-- every table that is about accounts is protected, and every view obeys
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('account_id', 'owner_id', 'from_account'))
 ORDER BY c.relname;
SELECT c.relname, c.reloptions FROM pg_class c
 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'v' ORDER BY c.relname COLLATE "C";

CREATE FUNCTION pg_temp.rows_seen() RETURNS TABLE (name text, seen text) LANGUAGE plpgsql AS $$
BEGIN
	FOREACH name IN ARRAY ARRAY['account', 'balance', 'position', 'trade', 'entry', 'order_reserve', 'margin_setting',
								'funding_payment', 'event', 'account_risk', 'position_risk', 'position_value'] LOOP
		EXECUTE format('SELECT coalesce(string_agg(DISTINCT account_id::text, '', ''), ''nothing'') FROM ledger.%I WHERE book_id = 98 AND account_id > 0', name)
		   INTO seen;
		RETURN NEXT;
	END LOOP;
	name := 'transfer';
	SELECT string_agg(format('%s', greatest(from_account, to_account)), ', ' ORDER BY transfer_id) INTO seen FROM ledger.transfer WHERE book_id = 98;
	RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION pg_temp.rows_seen() TO PUBLIC;
SET SESSION AUTHORIZATION regress_risk_alice;
SELECT * FROM pg_temp.rows_seen();
-- the same figures as the desk sees, though the margin depends on what all hold
SELECT account_id, balance, initial_margin, order_reserve FROM ledger.account_risk WHERE book_id = 98 ORDER BY account_id;
SELECT open_interest FROM ledger.open_interest WHERE book_id = 98;
SELECT risk.balance_at(1, 'infinity', 98) AS own;
SELECT risk.balance_at(2, 'infinity', 98) AS of_another;
SELECT count(*) AS houses FROM ledger.account WHERE account_id < 0;
SELECT count(*) AS funds FROM ledger.fund_status WHERE book_id = 98 AND asset_code = 'A98';
SELECT * FROM ledger.idempotency;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (98, 1, 2, 1);
-- half of the rows are no proof
SELECT count(*) FROM risk.verify(98);
SET SESSION AUTHORIZATION regress_risk_bob;
SELECT * FROM pg_temp.rows_seen() WHERE name IN ('account', 'entry', 'position_risk');
SET SESSION AUTHORIZATION regress_risk_stranger;
SELECT DISTINCT seen FROM pg_temp.rows_seen();
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (98, 1, 2, 1);
SET SESSION AUTHORIZATION regress_risk_desk;
SELECT * FROM pg_temp.rows_seen() WHERE name IN ('account', 'entry', 'position_risk');
RESET SESSION AUTHORIZATION;

-- 4. Postings and checks see every row, whoever inserts, and whether or not
-- the policies hold for the owner of the tables

CREATE FUNCTION pg_temp.enforce(owner name, forced boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text;
BEGIN
	EXECUTE format('ALTER SCHEMA ledger OWNER TO %I', owner);
	FOR name IN SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO %I', name, owner);
		IF (SELECT c.relrowsecurity FROM pg_class c WHERE c.oid = name::regclass) THEN
			EXECUTE format('ALTER TABLE %s %s ROW LEVEL SECURITY', name, CASE WHEN forced THEN 'FORCE' ELSE 'NO FORCE' END);
		END IF;
	END LOOP;
END
$$;
CREATE PROCEDURE pg_temp.loss(execution bigint) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (98, 1, 9801, 'sell', 12, 1, execution), (98, 2, 9801, 'buy', 12, 1, execution);
END
$$;
GRANT EXECUTE ON PROCEDURE pg_temp.loss(bigint) TO PUBLIC;
CREATE ROLE regress_risk_ledger;
-- 1 sells for 12 what has cost 1,200: its own 999.80 goes, and 188.20 are missing
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_risk_engine;
CALL pg_temp.loss(98101);
SET CONSTRAINTS ALL IMMEDIATE;
SET LOCAL SESSION AUTHORIZATION DEFAULT;
SELECT account_id, stage, shortfall, balance_after FROM ledger.reset WHERE book_id = 98;
ROLLBACK;
-- an owner whom the policies do not know: it sees nothing itself, and its postings all
SELECT pg_temp.enforce('regress_risk_ledger', true);
SET SESSION AUTHORIZATION regress_risk_ledger;
SELECT count(*) AS accounts FROM ledger.account;
SET SESSION AUTHORIZATION regress_risk_engine;
BEGIN;
CALL pg_temp.loss(98102);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT account_id, stage, shortfall, balance_after FROM ledger.reset WHERE book_id = 98;
SELECT risk.withdraw(2, 1000000, 98);
ROLLBACK;
BEGIN;
SELECT risk.deposit(1, 1, 98) > 0 AS deposited;
SELECT risk.deposit(1, 1000, 98, 'a98') > 0 AS the_original;
SET LOCAL SESSION AUTHORIZATION regress_risk_office;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 98 AND account_id = 1;
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT pg_temp.enforce(session_user, false);
-- COPY and the proof are not for those whom policies bind
SET SESSION AUTHORIZATION regress_risk_engine;
\copy ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) from /dev/null
SELECT count(*) FROM risk.verify(98);
RESET SESSION AUTHORIZATION;

-- 5. Kept by install(), and taken away again

DROP POLICY owner_sees_own ON ledger.trade;
SELECT risk.install();
SET SESSION AUTHORIZATION regress_risk_alice;
SELECT DISTINCT account_id FROM ledger.trade WHERE book_id = 98;
RESET SESSION AUTHORIZATION;
SELECT risk.protect_owners(false);
SELECT count(*) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'ledger'::regnamespace;
SET SESSION AUTHORIZATION regress_risk_alice;
SELECT count(*) FROM ledger.account;
SET SESSION AUTHORIZATION regress_risk_stranger;
SELECT count(DISTINCT account_id) FROM ledger.trade WHERE book_id = 98;
RESET SESSION AUTHORIZATION;

DROP OWNED BY regress_risk_stranger, regress_risk_ledger, regress_risk_small;
DROP ROLE regress_risk_desk, regress_risk_engine, regress_risk_office, regress_risk_chief, regress_risk_alice, regress_risk_bob,
	regress_risk_stranger, regress_risk_ledger, regress_risk_small;
SELECT * FROM risk.verify() WHERE violations > 0;
