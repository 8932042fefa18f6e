-- A ledger whose large tables are partitioned by period: it is posted to and
-- proven like any other, and nobody gets past posting by way of a partition.
-- Needs the extensions pgtap and risk_ext, and risk.install().
\set QUIET on
SET client_min_messages = warning;
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
CREATE FUNCTION pg_temp.today() RETURNS date LANGUAGE sql AS $$ SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date $$;
-- What is in which partition.
CREATE FUNCTION pg_temp.misplaced(tables text[]) RETURNS TABLE (in_table text, in_partition text, of_period date) LANGUAGE plpgsql AS $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY tables LOOP
		RETURN QUERY EXECUTE format($q$
			SELECT %1$L, p.partition_name, t.period FROM ledger.%1$I t
			  JOIN risk.partitions() p ON t.tableoid = format('ledger.%%I', p.partition_name)::regclass
			 WHERE (t.period >= p.from_period AND t.period < p.to_period) IS NOT TRUE$q$, name);
	END LOOP;
END
$$;
\set partitioned '''{deleveraging,entry,exchange,funding_payment,journal,reset,settlement,shortfall,shortfall_payment,takeover,trade,transfer}''::text[]'

-- Plain tables stay plain
SELECT is_empty('SELECT * FROM risk.partitions()', 'a plain ledger has no partitions');
SELECT is_empty('SELECT risk.create_partitions()', 'and gets none');
SELECT throws_ok($$SELECT risk.install('month')$$, '55000', 'the ledger that is there is not partitioned by month', 'a ledger cannot be partitioned later');
SELECT throws_ok($$SELECT risk.install('week')$$, '22023', 'a ledger cannot be partitioned by "week"', 'nor by anything but month and day');

-- By month
DROP SCHEMA ledger CASCADE;
SELECT lives_ok($$SELECT risk.install(partition => 'month')$$, 'install by month');
SELECT set_eq('SELECT DISTINCT table_name FROM risk.partitions()', :partitioned, 'all tables with a period are partitioned');
SELECT set_eq($$SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'period'
				 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition$$,
	ARRAY[]::name[], 'and none was left out');
SELECT is_empty($$SELECT p.* FROM risk.partitions() p
	WHERE p.partition_name <> p.table_name || coalesce('_p' || to_char(p.from_period, 'YYYYMMDD'), '_default')$$,
	'partitions are named after their first period');
SELECT is_empty($$SELECT p.* FROM risk.partitions() p
	WHERE p.from_period <> date_trunc('month', p.from_period) OR p.to_period <> p.from_period + interval '1 month'$$,
	'each has a month');
SELECT is_empty($$SELECT t.name FROM unnest($$ || quote_literal(:partitioned) || $$::text[]) AS t(name)
	WHERE (SELECT range_agg(daterange(p.from_period, p.to_period)) FROM risk.partitions() p WHERE p.table_name = t.name)
		  @> daterange(pg_temp.today() - 1, (pg_temp.today() + interval '2 months')::date) IS NOT TRUE$$,
	'yesterday and two more months have theirs');
SELECT is_empty('SELECT risk.create_partitions()', 'nothing is missing');
SELECT set_eq($$SELECT format('%s_p%s', t.name, to_char(date_trunc('month', pg_temp.today() + interval '3 months'), 'YYYYMMDD'))
				  FROM unnest($$ || quote_literal(:partitioned) || $$::text[]) AS t(name)$$,
			  'SELECT risk.create_partitions(3)', 'one month more is one partition more of each');
SELECT lives_ok('SELECT risk.install()', 'install() may be repeated');
SELECT lives_ok($$SELECT risk.install('month')$$, 'with the same partitions, too');
SELECT throws_ok($$SELECT risk.install('day')$$, '55000', NULL, 'but not with others');
SELECT throws_ok('SELECT risk.create_partitions(-1)', '22023', NULL, 'a number of partitions is not negative');
SELECT throws_ok($$SELECT risk.create_partitions(1, '1 hour')$$, '22023', NULL, 'and a partition has whole days');

-- What is true of every ledger is true of this one
SELECT is_empty($$SELECT p.partition_name FROM risk.partitions() p
	WHERE coalesce(obj_description(format('ledger.%I', p.partition_name)::regclass, 'pg_class'), '') = ''$$, 'every partition has a comment');
SELECT is_empty($$SELECT e.table_name, e.trigger_name FROM risk.ledger_triggers() e
	WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = format('ledger.%I', e.table_name)::regclass
					   AND t.tgname = e.trigger_name AND t.tgenabled = e.enabled)$$, 'every trigger is present, in its mode');
SELECT is_empty($$SELECT t.tgrelid::regclass, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
	WHERE p.pronamespace = 'risk'::regnamespace
	  AND NOT EXISTS (SELECT FROM risk.ledger_triggers() e
					   WHERE t.tgrelid = format('ledger.%I', e.table_name)::regclass AND t.tgname = e.trigger_name)$$, 'and no other one calls the extension');
SELECT is_empty($$SELECT c.oid::regclass, pg_get_userbyid(a.grantee) FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
	WHERE c.relnamespace = 'ledger'::regnamespace AND c.relispartition AND a.grantee <> c.relowner$$, 'nobody is granted anything on a partition');
SELECT ok(has_table_privilege('risk_reader', 'ledger.entry', 'SELECT') AND has_table_privilege('risk_writer', 'ledger.trade', 'INSERT'),
		  'the privileges are those on the tables');

-- It is posted to: deposits, trades, a reset
INSERT INTO ledger.asset VALUES ('USDT', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC/USDT', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100);
INSERT INTO ledger.account (account_id, asset_code) VALUES (1, 'USDT'), (2, 'USDT'), (3, 'USDT');
INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
VALUES (risk.system_account(1, 'external', 'USDT'), risk.system_account(1, 'insurance_fund', 'USDT'), 500, 'deposit');
SELECT risk.deposit(1, 100), risk.deposit(2, 1000) \g /dev/null
SELECT FROM risk.post(1, ARRAY[2, 3], ARRAY[-5, 5]);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (1, 1, 'buy', 10, 100, 1), (2, 1, 'sell', 10, 100, 1);
SELECT risk.pay_funding(1, 0.001, clock_timestamp()) \g /dev/null
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (1, 1, 'sell', 10, 80, 2), (2, 1, 'buy', 10, 80, 2);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT results_eq($$SELECT account_id, amount FROM ledger.balance WHERE account_id > 0 ORDER BY account_id$$,
				  $$VALUES (1::bigint, 0.00), (2, 1196.00), (3, 5.00)$$, 'the loss is booked, and the balance is reset');
SELECT results_eq('SELECT account_id, stage, amount FROM ledger.reset', $$VALUES (1::bigint, 'fund', 101.00)$$, 'by the fund');
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'the books are right');
SELECT is_empty('SELECT * FROM pg_temp.misplaced(' || quote_literal(:partitioned) || ')', 'every row is in its partition');
SELECT results_eq('SELECT entries = (SELECT count(*) FROM ledger.entry) FROM risk.seal()', 'VALUES (true)', 'a seal has the entries of all partitions');

-- A partition is no way around posting, for the owner of the tables either
SELECT is(pg_temp.outcome(format('%s ledger.%I %s', s.command, p.partition_name, s.rest)), '55000', format(s.command || ' %s is refused', p.partition_name))
  FROM risk.partitions() p
 CROSS JOIN (VALUES ('INSERT INTO', 'DEFAULT VALUES'), ('TRUNCATE', ', ledger.wiring')) AS s(command, rest)
 WHERE p.from_period IS NULL OR p.from_period = date_trunc('month', pg_temp.today());
SELECT is(pg_temp.outcome(format('%s ledger.%s_p%s %s', s.command, t.name, to_char(pg_temp.today(), 'YYYYMM01'), s.rest)), '55000', format('%s %s ... is refused', s.command, t.name))
  FROM unnest(ARRAY['entry', 'trade', 'transfer', 'journal', 'reset', 'funding_payment']) AS t(name)
 CROSS JOIN (VALUES ('DELETE FROM', ''), ('UPDATE', 'SET book_id = 1')) AS s(command, rest);
SET session_replication_role = replica;
SELECT is(pg_temp.outcome(format('%s ledger.%s_p%s %s', s.command, t.name, to_char(pg_temp.today(), 'YYYYMM01'), s.rest)), '55000', format('%s %s ... is refused in the replica role', s.command, t.name))
  FROM unnest(ARRAY['entry', 'trade']) AS t(name)
 CROSS JOIN (VALUES ('DELETE FROM', ''), ('UPDATE', 'SET book_id = 1'), ('TRUNCATE', ', ledger.wiring')) AS s(command, rest);
RESET session_replication_role;

-- verify() looks after the triggers of partitions
CREATE FUNCTION pg_temp.fault(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE replace(statement, '%', to_char(pg_temp.today(), 'YYYYMM01'));
	SELECT replace(v.first_offender, to_char(pg_temp.today(), 'YYYYMM01'), '%') INTO found FROM risk.verify() v WHERE v.check_name = 'guards';
	RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = coalesce(found, 'nothing');
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	RETURN SQLERRM;
END
$$;
SELECT is(pg_temp.fault('DROP TRIGGER written_by_table ON ledger.trade_p%'), 'table ledger.trade_p%, trigger written_by_table: missing', 'a guard of a partition that is missing');
SELECT is(pg_temp.fault('ALTER TABLE ledger.entry_default ENABLE TRIGGER keep_table'), 'table ledger.entry_default, trigger keep_table: in mode O, expected A', 'in another mode');
SELECT is(pg_temp.fault('ALTER TABLE ledger.entry_p% DISABLE TRIGGER keep_rows'), 'table ledger.entry_p%, trigger keep_rows: in mode D, expected A', 'or switched off is found');
SELECT is(pg_temp.fault('CREATE TABLE ledger.trade_p20010101 PARTITION OF ledger.trade FOR VALUES FROM (''2001-01-01'') TO (''2001-02-01'')'),
		  'table ledger.trade_p20010101, trigger keep_table: missing', 'a partition that somebody else made is without');
CREATE TABLE ledger.trade_p20010101 PARTITION OF ledger.trade FOR VALUES FROM ('2001-01-01') TO ('2001-02-01');
GRANT ALL ON ledger.trade_p20010101 TO PUBLIC;
SELECT is_empty('SELECT risk.create_partitions()', 'create_partitions() makes nothing');
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'and guards it');
SELECT ok(NOT has_table_privilege('risk_reader', 'ledger.trade_p20010101', 'SELECT'), 'and closes it');
ALTER TABLE ledger.trade DETACH PARTITION ledger.trade_p20010101;
DROP TABLE ledger.trade_p20010101;

-- A partition that is taken away is missed, and no harm is done when it is back
DO $$
BEGIN
	EXECUTE format('ALTER TABLE ledger.entry DETACH PARTITION ledger.entry_p%s', to_char(pg_temp.today(), 'YYYYMM01'));
END
$$;
SELECT ok((SELECT violations > 0 FROM risk.verify() WHERE check_name = 'sealed_entries'), 'a detached partition is missed');
DO $$
BEGIN
	EXECUTE format('ALTER TABLE ledger.entry ATTACH PARTITION ledger.entry_p%s FOR VALUES FROM (%L) TO (%L)', to_char(pg_temp.today(), 'YYYYMM01'),
				   date_trunc('month', pg_temp.today()), date_trunc('month', pg_temp.today() + interval '1 month'));
END
$$;
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'and all is as before when it is attached again');

-- By day
DROP SCHEMA ledger CASCADE;
SELECT risk.install('day') \g /dev/null
SELECT is_empty($$SELECT * FROM risk.partitions() WHERE to_period <> from_period + 1$$, 'by day, each has a day');
SELECT is((SELECT min(from_period) FROM risk.partitions()), pg_temp.today() - 1, 'yesterday is the first');
SELECT is((SELECT max(from_period) FROM risk.partitions()), pg_temp.today() + 2, 'the day after tomorrow the last');
INSERT INTO ledger.asset VALUES ('USDT', 2);
INSERT INTO ledger.account (account_id, asset_code) VALUES (1, 'USDT'), (2, 'USDT');
INSERT INTO ledger.transfer (period, from_account, to_account, amount, kind)
SELECT pg_temp.today() - d, risk.system_account(1, 'external', 'USDT'), 1, 100, 'deposit' FROM generate_series(0, 1) d;
SELECT is((SELECT array_agg(t.tableoid::regclass::text ORDER BY t.period) FROM ledger.transfer t),
		  ARRAY[to_char(pg_temp.today() - 1, '"ledger.transfer_p"YYYYMMDD'), to_char(pg_temp.today(), '"ledger.transfer_p"YYYYMMDD')],
		  'a transfer of yesterday is in the partition of yesterday');
SELECT is_empty('SELECT * FROM pg_temp.misplaced(' || quote_literal(:partitioned) || ')', 'and the rest in theirs');

-- Nobody made the partition in time: posting goes on, and the rows move later
DROP SCHEMA ledger CASCADE;
SELECT risk.install('day') \g /dev/null
DO $$
DECLARE
	late record;
BEGIN
	FOR late IN SELECT * FROM risk.partitions() p WHERE p.to_period > pg_temp.today() LOOP
		EXECUTE format('ALTER TABLE ledger.%I DETACH PARTITION ledger.%I', late.table_name, late.partition_name);
		EXECUTE format('DROP TABLE ledger.%I', late.partition_name);
	END LOOP;
END
$$;
INSERT INTO ledger.asset VALUES ('USDT', 2);
INSERT INTO ledger.account (account_id, asset_code) VALUES (1, 'USDT'), (2, 'USDT');
SELECT risk.deposit(1, 100) \g /dev/null
SELECT FROM risk.seal() \g /dev/null
SELECT results_eq('SELECT DISTINCT tableoid::regclass::text FROM ledger.entry', $$VALUES ('ledger.entry_default')$$, 'without a partition rows are in the default one');
SELECT is((SELECT count(*) / (SELECT count(DISTINCT p.table_name) FROM risk.partitions() p) FROM risk.create_partitions()), 3::bigint, 'today''s and two more are made for each table');
SELECT is_empty('SELECT * FROM pg_temp.misplaced(' || quote_literal(:partitioned) || ')', 'and have the rows');
SELECT results_eq('SELECT count(*) FROM ledger.entry', 'VALUES (2::bigint)', 'every one of them');
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'as they were sealed');
SELECT is(pg_temp.outcome('SELECT risk.deposit(2, 1)'), 'done', 'posting goes on');
SELECT is(pg_temp.outcome('INSERT INTO ledger.entry_default DEFAULT VALUES'), '55000', 'the default partition is guarded as before');
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'the books are right');

-- The extension goes and comes back
DROP EXTENSION risk_ext CASCADE;
CREATE EXTENSION risk_ext;
SELECT lives_ok('SELECT risk.install()', 'install() puts the guards back');
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'on partitions, too');

SELECT * FROM finish();
ROLLBACK;
