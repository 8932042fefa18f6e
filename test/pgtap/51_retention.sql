-- Old periods leave a partitioned ledger: what they were is in checkpoints, from
-- which the books are proven, and nobody gets past them.  Needs the extensions
-- pgtap and risk_ext.
\set QUIET on
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
BEGIN;
SELECT no_plan();
\ir passing_days.psql
-- What verify() says of a crime that is then undone.
CREATE FUNCTION pg_temp.found(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	PERFORM pg_temp.unguarded(statement);
	SELECT string_agg(f, '; ') INTO said FROM pg_temp.faults() f;
	RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = coalesce(said, 'nothing');
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	RETURN SQLERRM;
END
$$;
-- What everybody has realised, with what is gone.
CREATE FUNCTION pg_temp.realized() RETURNS TABLE (account_id bigint, instrument_id int, amount numeric) LANGUAGE sql AS $$
	SELECT r.account_id, r.instrument_id, sum(r.amount)
	  FROM (SELECT r.account_id, r.instrument_id, r.amount FROM ledger.realized_result r
			UNION ALL
			(SELECT DISTINCT ON (k.book_id, k.id, k.account_id) k.account_id, k.id::int, k.amount FROM ledger.checkpoint_cause k
			  WHERE k.kind = 'realized' ORDER BY k.book_id, k.id, k.account_id, k.checkpoint_id DESC)) r
	 GROUP BY r.account_id, r.instrument_id ORDER BY r.account_id, r.instrument_id $$;

-- A plain ledger has nothing to detach
SELECT throws_ok('SELECT risk.retire(''2026-01-01'')', '55000', 'the tables of the ledger are not partitioned', 'plain tables cannot be retired');

-- Three days of a ledger: six days ago, three days ago, today
SELECT pg_temp.install_by_day() \g /dev/null
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 4);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC/USDT', 'USDT');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, kind) VALUES (2, 'BTC/USD', 'BTC', 'inverse');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100), (2, 100);
INSERT INTO ledger.account (account_id, asset_code) VALUES (1, 'USDT'), (2, 'USDT'), (3, 'USDT'), (4, 'USDT'), (11, 'BTC'), (12, 'BTC');
SELECT risk.system_account(1, 'external', 'USDT') AS external \gset

INSERT INTO ledger.transfer (from_account, to_account, amount, kind) VALUES (:external, risk.system_account(1, 'insurance_fund', 'USDT'), 500, 'deposit');
SELECT risk.deposit(1, 100), risk.deposit(2, 1000, 1, 'old deposit') AS old_deposit, risk.deposit(3, 50) AS reversed, risk.deposit(4, 7), risk.deposit(11, 10), risk.deposit(12, 10) \gset
SELECT risk.reverse_transfer(:reversed, 'by mistake') \g /dev/null
SELECT risk.deposit(3, 60) AS other_deposit \gset
SELECT (risk.post(1, ARRAY[2, 3], ARRAY[-5, 5], 'journal', 'old journal', metadata => '{"why": "a gift"}')).journal_id AS old_journal \gset
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id, fee) VALUES (1, 1, 'buy', 10, 100, 1, 1), (2, 1, 'sell', 10, 100, 1, 0);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (3, 1, 'buy', 1, 100, 2), (2, 1, 'sell', 1, 100, 2);
-- four values that round: a residue
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (11, 2, 'buy', 3, 30, 3), (12, 2, 'sell', 1, 30, 3), (12, 2, 'sell', 1, 30, 3), (12, 2, 'sell', 1, 30, 3);
SELECT risk.pay_funding(1, 0.001, clock_timestamp()) \g /dev/null
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (1, 1, 'sell', 10, 80, 4), (2, 1, 'buy', 10, 80, 4);
SELECT risk.hold(2, 100, 'a withdrawal') AS hold, risk.hold(2, 30, 'another') AS closed_hold \gset
SELECT risk.capture(:hold, 40), risk.capture(:closed_hold, NULL, NULL, 'old capture') AS old_capture \gset
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT is((SELECT count(*) FROM ledger.reset), 1::bigint, 'six days ago there was a reset, too');
SELECT pg_temp.let_days_pass(3);

SELECT risk.deposit(3, 10) AS midnight_deposit, risk.deposit(4, 1) AS dull_deposit \gset
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id, fee) VALUES (3, 1, 'sell', 1, 110, 5, 2), (2, 1, 'buy', 1, 110, 5, 0);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (11, 2, 'sell', 1, 90, 6), (12, 2, 'buy', 1, 90, 6);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (3, 1, 'buy', 1, 100, 7), (2, 1, 'sell', 1, 100, 7);
SELECT risk.pay_funding(1, 0.001, clock_timestamp()) \g /dev/null
SELECT risk.deposit(4, 2, 1, 'midday') \g /dev/null
SELECT pg_temp.let_days_pass(3);
-- These rows came just before midnight, and their entries after it.
SELECT pg_temp.unguarded(format('UPDATE ledger.transfer SET period = %L WHERE transfer_id = %s', pg_temp.today() - 4, :midnight_deposit));
SELECT pg_temp.unguarded(format('UPDATE ledger.trade SET period = %L, executed_at = executed_at - interval ''1 day'' WHERE execution_id = 5 AND account_id = 3', pg_temp.today() - 4));
SELECT pg_temp.unguarded(format('UPDATE ledger.funding_payment SET period = %L WHERE account_id = 3 AND funding_id = (SELECT max(funding_id) FROM ledger.funding)', pg_temp.today() - 4));
SELECT pg_temp.unguarded(format('UPDATE ledger.reset SET period = %L', pg_temp.today() - 3));
SELECT pg_temp.unguarded(format('UPDATE ledger.fund_use SET day = %L', pg_temp.today() - 3));
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'a ledger that is six days old is right');

SELECT risk.deposit(4, 3) \g /dev/null
SELECT throws_ok(format('SELECT risk.retire(%L)', pg_temp.today() - 1), '22023', NULL, 'what may still be posted to cannot go');
SELECT throws_ok('SELECT risk.retire(NULL)', '22023', NULL, 'nor all there is');
SELECT is_empty('SELECT risk.retire(''2000-01-01'')', 'of before the ledger there is nothing');
SELECT matches(pg_temp.outcome(format('SELECT risk.retire(%L)', pg_temp.today() - 3)),
			   '55000: periods before .* are not sealed: Book 1, account .* is in no seal', 'what goes was sealed before');
SELECT entries AS sealed, head FROM risk.seal() \gset
-- in a ledger that is wrong nothing goes
SELECT pg_temp.unguarded('UPDATE ledger.position SET qty = qty + 1 WHERE account_id = 3');
SELECT matches(pg_temp.outcome(format('SELECT risk.retire(%L)', pg_temp.today() - 3)),
			   '55000: periods before .* cannot be retired while the books are wrong: Check quantity', 'the books are right before');
SELECT pg_temp.unguarded('UPDATE ledger.position SET qty = qty - 1 WHERE account_id = 3');
DO $$ BEGIN
	EXECUTE format('ALTER TABLE ledger.reset DETACH PARTITION ledger.reset_p%s', to_char(pg_temp.today() - 8, 'YYYYMMDD'));
	EXECUTE format('ALTER TABLE ledger.reset DETACH PARTITION ledger.reset_p%s', to_char(pg_temp.today() - 7, 'YYYYMMDD'));
	EXECUTE format('DROP TABLE ledger.reset_p%s, ledger.reset_p%s', to_char(pg_temp.today() - 8, 'YYYYMMDD'), to_char(pg_temp.today() - 7, 'YYYYMMDD'));
	PERFORM risk.create_partition('reset', pg_temp.today() - 8, pg_temp.today() - 6);
	PERFORM risk.create_partitions();
END $$;
SELECT matches(pg_temp.outcome(format('SELECT risk.retire(%L)', pg_temp.today() - 7)), '55000: .*: Partition reset_p.* has periods on both sides', 'partitions end together');

SELECT pg_temp.unguarded('UPDATE ledger.transfer SET period = ''2001-01-01'' WHERE idempotency_key = ''old deposit''');
SELECT matches(pg_temp.outcome(format('SELECT risk.retire(%L)', pg_temp.today() - 3)),
			   '55000: .*: Partition transfer_default has rows of them', 'no rows are left in the default partition');
SELECT pg_temp.unguarded(format('UPDATE ledger.transfer SET period = %L WHERE idempotency_key = ''old deposit''', pg_temp.today() - 6));

-- The first six days ago go
CREATE TEMP TABLE was AS SELECT account_id, risk.balance_at(account_id, clock_timestamp()) AS amount FROM ledger.account;
CREATE TEMP TABLE realized_first AS SELECT * FROM pg_temp.realized();
CREATE TEMP TABLE fourth AS SELECT clock_timestamp() - interval '4 days' AS instant;
SELECT set_eq(format('SELECT risk.retire(%L)', pg_temp.today() - 3),
			  $$SELECT format('%s_p%s', t.name, to_char(pg_temp.today() - d, 'YYYYMMDD'))
				  FROM (SELECT DISTINCT p.table_name AS name FROM risk.partitions() p) t CROSS JOIN generate_series(4, 8) d
				 WHERE t.name <> 'reset' OR d <> 7$$, 'the names of what was detached');
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'the books are proven from the checkpoint on');
SELECT set_eq('SELECT * FROM risk.retire(pg_temp.today() - 3)', ARRAY[]::text[], 'nothing goes twice');
SELECT results_eq('SELECT account_id, risk.balance_at(account_id, clock_timestamp()) FROM ledger.account ORDER BY account_id',
				  'SELECT * FROM was ORDER BY account_id', 'the balances are what they were');
SELECT cmp_ok((SELECT count(*) FROM ledger.checkpoint_cause WHERE kind = 'realized'), '>', 0::bigint, 'results are gone');
SELECT results_eq('SELECT * FROM pg_temp.realized()', 'SELECT * FROM realized_first', 'and known');
SELECT results_eq($$SELECT count(*) FROM ledger.transfer WHERE period < pg_temp.today() - 3$$, 'VALUES (2::bigint)', 'kept are the deposit of midnight and the one that was taken back');
SELECT results_eq($$SELECT execution_id, account_id FROM ledger.trade WHERE period < pg_temp.today() - 3$$, 'VALUES (5::bigint, 3::bigint)', 'and the trade of midnight');
SELECT results_eq($$SELECT seq, amount FROM ledger.checkpoint_balance WHERE account_id = 4$$, 'VALUES (1::bigint, 7.00)', 'an opening balance');
SELECT results_eq($$SELECT count(*), sum(residue) <> 0 FROM ledger.checkpoint_position WHERE instrument_id = 2$$, 'VALUES (3::bigint, true)', 'residues are carried on the clearing account');
SELECT is_empty($$SELECT c.relname FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
	WHERE c.relname IN (SELECT risk.detached_tables()) AND c.relnamespace = 'ledger'::regnamespace AND a.grantee <> c.relowner$$, 'nobody may read the detached tables');
SELECT risk.grant_roles() \g /dev/null
SELECT is_empty($$SELECT c.relname FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
	WHERE c.relname IN (SELECT risk.detached_tables()) AND c.relnamespace = 'ledger'::regnamespace AND a.grantee <> c.relowner$$, 'nor after the next grants');
SELECT matches(pg_temp.outcome(format('%s ledger.%s_p%s %s', s.command, t.name, to_char(pg_temp.today() - 6, 'YYYYMMDD'), s.rest)), '^55000', format('%s %s_p... is refused', s.command, t.name))
  FROM unnest(ARRAY['entry', 'trade', 'transfer']) AS t(name)
 CROSS JOIN (VALUES ('DELETE FROM', ''), ('UPDATE', 'SET book_id = 1'), ('TRUNCATE', ''), ('INSERT INTO', 'DEFAULT VALUES')) AS s(command, rest);
SELECT matches(pg_temp.found(format('ALTER TABLE ledger.entry_p%s DISABLE TRIGGER keep_rows', to_char(pg_temp.today() - 6, 'YYYYMMDD'))), '^nothing', 'the guards of a detached table are put back');
SELECT is((SELECT count(*) FROM risk.ledger_triggers() WHERE table_name = format('entry_p%s', to_char(pg_temp.today() - 6, 'YYYYMMDD'))), 3::bigint, 'and are in the list');

-- Posting goes on
SELECT risk.deposit(4, 5) AS new_deposit \gset
SELECT risk.capture(:hold, 60) \g /dev/null
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (3, 1, 'sell', 1, 90, 8), (2, 1, 'buy', 1, 90, 8), (11, 2, 'sell', 1, 95, 9), (12, 2, 'buy', 1, 95, 9);
SELECT risk.pay_funding(1, 0.001, clock_timestamp()) \g /dev/null
-- late: executed before both old fundings
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (2, 1, 'buy', 2, 100, 10, clock_timestamp() - interval '7 days'), (4, 1, 'sell', 2, 100, 10, clock_timestamp() - interval '7 days');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT is((SELECT count(*) FROM ledger.funding_payment WHERE trade_id <> 0), 6::bigint, 'a late trade pays three fundings');
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'and the books are right');
SELECT lives_ok('SELECT risk.install()', 'install() finds nothing that is not posted');

-- What would reach back
SELECT matches(pg_temp.outcome(format('SELECT risk.reverse_transfer(%s, ''late'')', :old_deposit)),
			   format('55000: reversal .*: transfer %s is not there: .*what was posted before .* is retired', :old_deposit), 'a transfer that is gone cannot be reversed');
SELECT matches(pg_temp.outcome(format('SELECT risk.reverse_journal(%s, ''late'')', :old_journal)), '^55000: reversal', 'nor can a journal');
SELECT is(pg_temp.outcome(format('SELECT risk.reverse_transfer(%s, ''kept'')', :midnight_deposit)), 'done', 'one that is kept can');
SELECT matches(pg_temp.outcome(format('SELECT risk.pay_funding(1, 0.001, %L)', clock_timestamp() - interval '5 days')),
			   '55000: instrument 1 cannot be funded at a time whose trades are retired: .*the trades of before .* are gone', 'there is no funding of that time any more');
SELECT is(risk.deposit(2, 1000, 1, 'old deposit'), :old_deposit::bigint, 'a key still answers');
SELECT is((risk.post(1, ARRAY[2, 3], ARRAY[-5, 5], 'journal', 'old journal', metadata => '{"why": "a gift"}')).journal_id, :old_journal::bigint, 'of a journal, too');
SELECT is(risk.capture(:closed_hold, NULL, NULL, 'old capture'), :old_capture::bigint, 'of all that a hold kept as well');
SELECT matches(pg_temp.outcome('SELECT risk.deposit(2, 999, 1, ''old deposit'')'),
			   format('23505: .*is used with other content: It stands for transfer %s', :old_deposit), 'and is refused with other content');
SELECT matches(pg_temp.outcome('SELECT risk.balance_at(4, (SELECT instant FROM fourth) - interval ''3 days'')'),
			   '55000: the balance of account 4 of book 1 at .* is not known any more: Its entries up to .* are retired', 'a balance of before is not known');
SELECT is(risk.balance_at(4, (SELECT instant FROM fourth)), 7.00, 'the opening balance is');
SELECT is(risk.balance_at(4, clock_timestamp() - interval '2 days'), 10.00, 'and every one after it');
SELECT results_eq('SELECT line, amount, balance FROM risk.statement(4, (SELECT instant FROM fourth), clock_timestamp() - interval ''2 days'')',
				  $$VALUES ('opening', NULL, 7.00), ('entry', 1.00, 8.00), ('entry', 2.00, 10.00), ('closing', NULL, 10.00)$$, 'a statement begins there');
SELECT matches(pg_temp.outcome('SELECT FROM risk.statement(4, (SELECT instant FROM fourth) - interval ''3 days'', clock_timestamp())'), '^55000', 'and not earlier');

-- Seals
SELECT results_eq(format('SELECT check_name, violations FROM risk.verify_seal(1, %L)', :'head'),
				  $$VALUES ('head', 0::bigint), ('seals', 0), ('sealed_entries', 0), ('retired', 0)$$, 'a seal still stands for what is there');
SELECT matches((SELECT first_offender FROM risk.verify_seal(1, :'head') WHERE check_name = 'retired'),
			   format('of %s entries, .* of before .* are not there to be looked at; checkpoint 1 stands for them', :sealed), 'and says what is not');
SELECT matches(pg_temp.found('UPDATE ledger.entry SET effective_at = effective_at - interval ''1 day'' WHERE account_id = 4 AND seq = 2'),
			   'sealed_entries: book 1, account 4, slot 0, seq 2 of seal 1: not as', 'an edit in the range that the checkpoint divides is found');

-- Crimes
SELECT matches(pg_temp.found(c.crime), c.finds, c.crime)
  FROM (VALUES
	('UPDATE ledger.checkpoint_balance SET amount = amount + 1 WHERE account_id = 4', 'balance_after: book 1, account 4, slot 0, seq 2.*checkpoints: book 1, checkpoint 1: head'),
	('UPDATE ledger.checkpoint_position SET cost = cost + 1 WHERE account_id = 2', 'cost: book 1, account 2.*checkpoints'),
	('UPDATE ledger.checkpoint_position SET residue = residue + 1 WHERE account_id = 11', 'clearing.*checkpoints'),
	('UPDATE ledger.checkpoint_cause SET amount = amount + 1 WHERE kind = ''hold''', 'holds.*checkpoints'),
	('DELETE FROM ledger.checkpoint_cause', 'holds.*checkpoints'),
	('INSERT INTO ledger.checkpoint_cause VALUES (1, ''funding'', 1, 4, 1, 5)', 'funded_positions.*checkpoints'),
	('UPDATE ledger.checkpoint SET before = before + 1', 'checkpoints: book 1, checkpoint 1: .* rows of before'),
	('UPDATE ledger.checkpoint SET keys = keys + 1', 'idempotency.*checkpoints'),
	('DELETE FROM ledger.checkpoint', 'checkpoints: book 1, checkpoint 1: missing'),
	('DELETE FROM ledger.event WHERE kind = ''checkpoint''', 'checkpoints: book 1, checkpoint 1: its event is missing'),
	('DELETE FROM ledger.idempotency WHERE idempotency_key = ''old deposit''', 'idempotency: book 1: 2 keys stand for rows that are not there, and 3 for rows that checkpoint 1 took'),
	('DELETE FROM ledger.transfer WHERE idempotency_key = ''midday''', 'idempotency: book 1: 4 keys'),
	('UPDATE ledger.transfer_kept SET effective_at = effective_at + interval ''1 hour''', 'checkpoints: book 1, checkpoint 1: the rows of before .* are not those that it kept'),
	('DELETE FROM ledger.funding WHERE funding_id = (SELECT min(funding_id) FROM ledger.funding)', 'checkpoints: book 1, checkpoint 1: .* rows of before'),
	('UPDATE ledger.entry SET period = period - 10 WHERE account_id = 4 AND seq = 5', 'balances: book 1, account 4.*checkpoints'),
	('DELETE FROM ledger.seal_range; DELETE FROM ledger.seal; DELETE FROM ledger.event WHERE kind = ''seal''', 'checkpoints: book 1, checkpoint 1: it names seal 1')
	) AS c(crime, finds);
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'nothing of that is left');

-- The detached table attached again
SELECT matches(pg_temp.outcome(format('ALTER TABLE ledger.entry ATTACH PARTITION ledger.entry_p%s FOR VALUES FROM (%L) TO (%L)',
									  to_char(pg_temp.today() - 6, 'YYYYMMDD'), pg_temp.today() - 6, pg_temp.today() - 5)),
			   'would overlap partition "entry_kept"', 'what was retired is not attached again');

-- The next three days go as well
CREATE TEMP TABLE realized_then AS SELECT * FROM pg_temp.realized();
SELECT matches(pg_temp.outcome(format('SELECT risk.retire(%L)', pg_temp.today() - 2)), 'done', 'the next days go');
SELECT cmp_ok((SELECT count(*) FROM ledger.checkpoint_cause WHERE kind = 'realized' AND checkpoint_id = 2), '>', 0::bigint, 'with more results');
SELECT results_eq('SELECT * FROM pg_temp.realized()', 'SELECT * FROM realized_then', 'which add up');
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'on top of the first ones');
SELECT results_eq($$SELECT checkpoint_id, seq, amount FROM ledger.checkpoint_balance WHERE account_id = 4 ORDER BY checkpoint_id$$,
				  'VALUES (1, 1::bigint, 7.00), (2, 3, 10.00)', 'the opening balance of then');
SELECT is_empty($$SELECT FROM ledger.trade WHERE period < pg_temp.today() - 2$$, 'the trade of midnight is no longer needed');
SELECT is((SELECT count(*) FROM ledger.transfer WHERE period < pg_temp.today() - 2), 2::bigint, 'transfers that were taken back are');
SELECT risk.deposit(4, 5) \g /dev/null
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (11, 2, 'buy', 1, 97, 11), (12, 2, 'sell', 1, 97, 11);
-- an account with no entry since, whose loss is a reset
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (1, 1, 'buy', 1, 100, 12), (2, 1, 'sell', 1, 100, 12);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (1, 1, 'sell', 1, 90, 13), (2, 1, 'buy', 1, 90, 13);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT results_eq($$SELECT account_id, shortfall, amount FROM ledger.reset$$, 'VALUES (1::bigint, 10.00, 10.00)', 'a loss after it is a reset as ever');
SELECT is((SELECT entries FROM risk.seal()), (SELECT count(*) FROM ledger.entry WHERE period = pg_temp.today()) - 2, 'seals go on');
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'and the books are right');
SELECT matches(pg_temp.found('UPDATE ledger.checkpoint_balance SET amount = amount + 1 WHERE account_id = 4 AND checkpoint_id = 1'),
			   '^checkpoints: book 1, checkpoint 1: head', 'the first checkpoint is still proven');
SELECT results_eq('SELECT count(*) FROM ledger.event WHERE kind = ''checkpoint''', 'VALUES (2::bigint)', 'each has its event');
SELECT is_empty('SELECT risk.create_partitions()', 'coming partitions are as before');

-- A book that is younger than the checkpoints
SELECT risk.create_book(2, 'second') \g /dev/null
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (2, 1, 'USDT');
SELECT risk.deposit(1, 5, 2) \g /dev/null
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'a younger book is right');

-- The extension goes and comes back
DROP EXTENSION risk_ext CASCADE;
CREATE EXTENSION risk_ext;
SELECT lives_ok('SELECT risk.install()', 'install() puts back what detached tables have');
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'and the books are right');
SELECT matches(pg_temp.outcome(format('DELETE FROM ledger.entry_p%s', to_char(pg_temp.today() - 6, 'YYYYMMDD'))), '^55000', 'a detached table stays append-only');
DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || string_agg('ledger.' || d.name, ', ') FROM risk.detached_tables() AS d(name)); END $$;
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'and can be dropped');

SELECT * FROM finish();
ROLLBACK;
