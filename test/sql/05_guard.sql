-- A guard for a table that is there already: risk.guard() and risk.unguard().
-- No ledger takes part in this.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE wallet (wallet_id int PRIMARY KEY, owner text, balance numeric);
INSERT INTO wallet VALUES (1, 'alice', 100), (2, 'bob', 50);

-- 1. Five minutes

SELECT risk.guard('wallet', 'balance');
UPDATE wallet SET balance = balance - 60 WHERE wallet_id = 2;
\echo :LAST_ERROR_SQLSTATE
-- what is healed before the commit is fine, and so is what is deleted
BEGIN;
UPDATE wallet SET balance = balance - 60 WHERE wallet_id = 2;
UPDATE wallet SET balance = balance + 10 WHERE wallet_id = 2;
COMMIT;
BEGIN;
INSERT INTO wallet VALUES (3, 'carol', -5);
DELETE FROM wallet WHERE wallet_id = 3;
COMMIT;
-- taken below twice, the last figure counts
BEGIN;
UPDATE wallet SET balance = balance - 1 WHERE wallet_id = 2;
UPDATE wallet SET balance = balance - 1 WHERE wallet_id = 2;
COMMIT;
-- exactly at the floor
UPDATE wallet SET balance = 0 WHERE wallet_id = 2;
-- on each of the ways in
INSERT INTO wallet VALUES (4, 'dora', -0.01);
COPY wallet FROM stdin;
4	dora	-0.01
\.
INSERT INTO wallet VALUES (1, 'alice', 0) ON CONFLICT (wallet_id) DO UPDATE SET balance = -1;
MERGE INTO wallet w USING (VALUES (1)) AS v(id) ON w.wallet_id = v.id WHEN MATCHED THEN UPDATE SET balance = -1;
SELECT * FROM wallet ORDER BY wallet_id;

-- 2. Numbers that are no balance

UPDATE wallet SET balance = NULL WHERE wallet_id = 2;
UPDATE wallet SET balance = 'NaN' WHERE wallet_id = 2;
UPDATE wallet SET balance = 'Infinity' WHERE wallet_id = 2;
UPDATE wallet SET balance = '-Infinity' WHERE wallet_id = 2;

-- 3. Savepoints, SET CONSTRAINTS, prepared transactions, triggers of the table

-- healed in a part that is rolled back: it is not healed
BEGIN;
UPDATE wallet SET balance = -1 WHERE wallet_id = 2;
SAVEPOINT healing;
UPDATE wallet SET balance = 1 WHERE wallet_id = 2;
ROLLBACK TO healing;
COMMIT;
-- spoilt in a part that is rolled back
BEGIN;
SAVEPOINT spoiling;
UPDATE wallet SET balance = -1 WHERE wallet_id = 2;
ROLLBACK TO spoiling;
COMMIT;
-- asked at once
BEGIN;
UPDATE wallet SET balance = -1 WHERE wallet_id = 2;
SAVEPOINT before;
SET CONSTRAINTS risk_guard_balance IMMEDIATE;
ROLLBACK TO before;
UPDATE wallet SET balance = 1 WHERE wallet_id = 2;
SET CONSTRAINTS risk_guard_balance IMMEDIATE;
UPDATE wallet SET balance = -2 WHERE wallet_id = 2;
ROLLBACK;
BEGIN;
UPDATE wallet SET balance = -1 WHERE wallet_id = 2;
PREPARE TRANSACTION 'risk_ext_guard';
SELECT count(*) AS prepared FROM pg_prepared_xacts WHERE gid = 'risk_ext_guard';
-- a BEFORE trigger that writes another figure than the statement did
CREATE FUNCTION pg_temp.skim() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.balance := NEW.balance - 1000; RETURN NEW; END';
CREATE TRIGGER skim BEFORE UPDATE OF owner ON wallet FOR EACH ROW EXECUTE FUNCTION pg_temp.skim();
UPDATE wallet SET owner = 'bobby' WHERE wallet_id = 2;
DROP TRIGGER skim ON wallet;
-- TRUNCATE takes rows away and harms nothing
BEGIN;
TRUNCATE wallet;
ROLLBACK;

-- 4. Another floor, a floor for each row

SELECT risk.guard('wallet', 'balance', -10);
UPDATE wallet SET balance = -10 WHERE wallet_id = 2;
UPDATE wallet SET balance = -10.01 WHERE wallet_id = 2;
-- what is there must be at its floor already
SELECT risk.guard('wallet', 'balance', 0);
INSERT INTO wallet VALUES (5, 'erin', -1);
SELECT risk.guard('wallet', 'balance', -0.5);
SELECT * FROM risk.guards();
UPDATE wallet SET balance = 10 WHERE balance < 0;
ALTER TABLE wallet ADD credit bigint DEFAULT 0;
SELECT risk.guard('wallet', 'balance', 'credit');
UPDATE wallet SET credit = -20, balance = -15 WHERE wallet_id = 2;
UPDATE wallet SET credit = -10 WHERE wallet_id = 2;
-- no floor
UPDATE wallet SET credit = NULL, balance = -1000 WHERE wallet_id = 2;
UPDATE wallet SET credit = 0, balance = 0 WHERE wallet_id = 2;
-- a second column, and the same guard again
ALTER TABLE wallet ADD points money NOT NULL DEFAULT 5;
SELECT risk.guard('wallet', 'points', floor => 1.5);
SELECT oid AS trigger_before FROM pg_trigger WHERE tgname = 'risk_guard_points' \gset
SELECT risk.guard('wallet', 'points', floor => 1.5);
SELECT oid = :trigger_before AS the_same FROM pg_trigger WHERE tgname = 'risk_guard_points';
UPDATE wallet SET points = 1.49::numeric::money WHERE wallet_id = 1;
SELECT * FROM risk.guards();
-- one that is switched off is put back
ALTER TABLE wallet DISABLE TRIGGER risk_guard_points;
SELECT risk.guard('wallet', 'points', floor => 1.5);
SELECT trigger_name, enabled FROM risk.guards();

-- 5. A table lives on: columns and tables are renamed, nothing is lost

ALTER TABLE wallet RENAME balance TO "Own money";
ALTER TABLE wallet RENAME TO purse;
UPDATE purse SET "Own money" = -1 WHERE wallet_id = 1;
ALTER TABLE purse DROP credit;
ALTER TABLE purse ALTER "Own money" TYPE numeric(20, 2);
SELECT * FROM risk.guards();
SELECT risk.unguard('purse', 'Own money');
UPDATE purse SET "Own money" = -1 WHERE wallet_id = 1;
UPDATE purse SET points = 0::money WHERE wallet_id = 1;
SELECT risk.unguard('purse');
SELECT * FROM risk.guards();
SET client_min_messages = notice;
SELECT risk.unguard('purse');
SET client_min_messages = warning;
DROP TABLE purse;

-- 6. What can be guarded

CREATE DOMAIN cents AS bigint;
CREATE DOMAIN euro_cents AS cents;
CREATE DOMAIN about AS real;
CREATE TABLE counted (a smallint, b int, c cents, d euro_cents, e numeric(10, 2),
					  f double precision, g about, h text, i numeric GENERATED ALWAYS AS (a - b) STORED);
SELECT risk.guard('counted', name) FROM unnest('{a,b,c,d,e,i}'::name[]) AS name;
INSERT INTO counted (a, b, c, d, e) VALUES (1, 1, 1, 1, 1);
UPDATE counted SET a = -1, b = -2;
UPDATE counted SET b = 2;
UPDATE counted SET c = -1;
UPDATE counted SET d = -1;
UPDATE counted SET e = -0.01;
SELECT risk.guard('counted', 'f');
SELECT risk.guard('counted', 'g');
SELECT risk.guard('counted', 'e', 'f');
SELECT risk.guard('counted', 'h');
SELECT risk.guard('counted', 'z');
SELECT risk.guard('counted', 'ctid');
SELECT risk.guard('counted', 'a', '0');
SELECT risk.guard('counted', 'a', 'NaN'::numeric);
SELECT risk.guard('counted', NULL);
SELECT risk.guard('counted', 'a', NULL::numeric);
SELECT risk.guard(NULL, 'a');
SELECT risk.guard(0::regclass, 'a');
CREATE VIEW counted_view AS SELECT * FROM counted;
SELECT risk.guard('counted_view', 'a');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT risk.guard('counted', 'a');
ROLLBACK;
-- the function itself, where it does not belong
CREATE TRIGGER odd AFTER INSERT ON counted EXECUTE FUNCTION risk.enforce_guard();
INSERT INTO counted DEFAULT VALUES;
DROP TRIGGER odd ON counted;
CREATE TRIGGER odd BEFORE INSERT ON counted FOR EACH ROW EXECUTE FUNCTION risk.enforce_guard();
INSERT INTO counted DEFAULT VALUES;
DROP TRIGGER odd ON counted;
CREATE TRIGGER odd AFTER INSERT ON counted FOR EACH ROW EXECUTE FUNCTION risk.enforce_guard();
INSERT INTO counted DEFAULT VALUES;
DROP TRIGGER odd ON counted;
CREATE TRIGGER odd AFTER INSERT ON counted FOR EACH ROW WHEN (NEW.h IS NULL) EXECUTE FUNCTION risk.enforce_guard();
SELECT table_name, balance_column, floor_column, floor FROM risk.guards() WHERE trigger_name = 'odd';
DROP TRIGGER odd ON counted;
SELECT risk.guard_terms(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'counted'::regclass;
DROP TABLE counted CASCADE;
DROP DOMAIN cents, euro_cents, about;

-- 7. Partitions and inheritance

CREATE TABLE margin (region text, account_id int, floor numeric, balance bigint, PRIMARY KEY (region, account_id))
	PARTITION BY LIST (region);
-- with its columns in another order
CREATE TABLE margin_eu (balance bigint, gone int, floor numeric, account_id int NOT NULL, region text NOT NULL);
ALTER TABLE margin_eu DROP gone;
ALTER TABLE margin ATTACH PARTITION margin_eu FOR VALUES IN ('eu');
SELECT risk.guard('margin', 'balance', 'floor');
CREATE TABLE margin_us PARTITION OF margin FOR VALUES IN ('us');
INSERT INTO margin VALUES ('eu', 1, 10, 10), ('us', 1, 10, 10);
UPDATE margin SET balance = 9 WHERE region = 'eu';
INSERT INTO margin_us VALUES ('us', 2, 0, -1);
-- a row that moves is judged where it is in the end
UPDATE margin SET region = 'us', account_id = 3, balance = 5 WHERE region = 'eu';
BEGIN;
UPDATE margin SET balance = 5 WHERE region = 'eu';
UPDATE margin SET region = 'us', account_id = 3, balance = 15 WHERE region = 'eu';
COMMIT;
-- rows that a table brings along were judged by nobody
CREATE TABLE margin_asia (LIKE margin);
INSERT INTO margin_asia VALUES ('asia', 7, 0, -7);
ALTER TABLE margin ATTACH PARTITION margin_asia FOR VALUES IN ('asia');
SELECT risk.guard('margin', 'balance', 'floor');
SELECT table_name, balance_column, floor_column, trigger_name FROM risk.guards();
DROP TABLE margin;
-- tables that inherit have triggers of their own
CREATE TABLE mother (balance numeric);
CREATE TABLE daughter () INHERITS (mother);
SELECT risk.guard('mother', 'balance');
INSERT INTO daughter VALUES (-1);
SELECT risk.guard('daughter', 'balance');
DELETE FROM daughter;
SELECT risk.guard('daughter', 'balance');
INSERT INTO daughter VALUES (-1);
DROP TABLE mother CASCADE;

-- 8. Who may, and what is told to whom

CREATE ROLE regress_risk_owner;
CREATE ROLE regress_risk_clerk;
GRANT CREATE ON SCHEMA public TO regress_risk_owner;
SET SESSION AUTHORIZATION regress_risk_owner;
CREATE TABLE deposit (deposit_id int PRIMARY KEY, holder name, balance numeric);
INSERT INTO deposit VALUES (1, 'regress_risk_clerk', 10), (2, 'other', 10);
SELECT risk.guard('deposit', 'balance');
RESET SESSION AUTHORIZATION;
-- the owner of the extension lets owners of tables do it
GRANT EXECUTE ON FUNCTION risk.enforce_guard(), risk.place_guard(regclass, name, name, numeric),
	risk.guard(regclass, name, numeric), risk.unguard(regclass, name) TO regress_risk_owner, regress_risk_clerk;
SET SESSION AUTHORIZATION regress_risk_owner;
SELECT risk.guard('deposit', 'balance');
GRANT SELECT, UPDATE, TRIGGER ON deposit TO regress_risk_clerk;
SET SESSION AUTHORIZATION regress_risk_clerk;
SELECT risk.guard('deposit', 'balance', -5);
SELECT risk.unguard('deposit');
UPDATE deposit SET balance = -1 WHERE deposit_id = 2;
-- a row that the clerk writes through a function of the owner's, and may not see, nor its key
SET SESSION AUTHORIZATION regress_risk_owner;
CREATE FUNCTION withdraw(id int, amount numeric) RETURNS void LANGUAGE sql SECURITY DEFINER AS
	'UPDATE public.deposit SET balance = balance - amount WHERE deposit_id = id';
ALTER TABLE deposit ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON deposit USING (holder = current_user);
SET SESSION AUTHORIZATION regress_risk_clerk;
SELECT deposit_id FROM deposit;
SELECT withdraw(2, 11);
SET SESSION AUTHORIZATION regress_risk_owner;
ALTER TABLE deposit DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON deposit FROM regress_risk_clerk;
GRANT SELECT (balance) ON deposit TO regress_risk_clerk;
SET SESSION AUTHORIZATION regress_risk_clerk;
SELECT withdraw(2, 11);
SET SESSION AUTHORIZATION regress_risk_owner;
REVOKE SELECT (balance) ON deposit FROM regress_risk_clerk;
SET SESSION AUTHORIZATION regress_risk_clerk;
SELECT withdraw(2, 11);
-- where a policy hides rows from the owner, it cannot be said that all are at their floor
SET SESSION AUTHORIZATION regress_risk_owner;
ALTER TABLE deposit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT risk.guard('deposit', 'balance', -5);
RESET SESSION AUTHORIZATION;

-- 9. Whatever stands first in the search_path

CREATE SCHEMA regress_risk_first;
CREATE FUNCTION regress_risk_first.always(numeric, numeric) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR regress_risk_first.>= (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = regress_risk_first.always);
CREATE OPERATOR regress_risk_first.< (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = regress_risk_first.always);
SET search_path = regress_risk_first, pg_catalog;
SELECT -1.0 >= 0.0 AS shadowed;
SELECT risk.unguard('public.deposit'), risk.guard('public.deposit', 'balance');
UPDATE public.deposit SET balance = -1 WHERE deposit_id = 1;
RESET search_path;

-- 10. The replica role does not judge again what the other side has judged;
-- the extension cannot go unnoticed

SET session_replication_role = replica;
UPDATE deposit SET balance = -1 WHERE deposit_id = 1;
RESET session_replication_role;
SELECT risk.guard('deposit', 'balance');
UPDATE deposit SET balance = 0 WHERE deposit_id = 1;
\set VERBOSITY terse
DROP EXTENSION risk_ext;
\set VERBOSITY default
DROP SCHEMA regress_risk_first CASCADE;
DROP TABLE deposit;
DROP FUNCTION withdraw(int, numeric);
DROP OWNED BY regress_risk_owner, regress_risk_clerk;
DROP ROLE regress_risk_owner, regress_risk_clerk;
SELECT count(*) AS guards FROM risk.guards();
SELECT * FROM risk.verify() WHERE violations > 0;
