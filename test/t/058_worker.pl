# The background worker: it starts with the server or by hand, does what has to
# be done in rounds, tells who listens, goes on after errors and crashes, and
# ends when it is told to.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $node = PostgreSQL::Test::Cluster->new('worker');
$node->init;
$node->append_conf('postgresql.conf', "risk_ext.worker_interval = 100\nrestart_after_crash = on\nlog_line_prefix = '%b '\n");
$node->start;

sub query
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub becomes
{
	my ($sql, $what, $expected) = @_;
	return ok($node->poll_query_until('postgres', $sql, $expected // 't'), $what);
}

my $workers = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'risk_ext worker');

# 1. Without preload there is none, until one is started by hand

query('CREATE EXTENSION risk_ext');
query(
	q(
	SELECT risk.install();
	INSERT INTO ledger.asset VALUES ('USD', 2);
	INSERT INTO ledger.policy (policy_code, stages) VALUES ('late fund', ARRAY['own', 'suspense', 'fund', 'house']);
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC', 'USD');
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100);
	INSERT INTO ledger.account (account_id, asset_code, policy_code, owner_id)
	VALUES (1, 'USD', 'late fund', 'alice'), (2, 'USD', 'late fund', 'bob'), (3, 'USD', 'late fund', 'carol');
	SELECT risk.deposit(1, 100), risk.deposit(2, 1000), risk.deposit(3, 1000);
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	VALUES (risk.system_account(1, 'external', 'USD'), risk.system_account(1, 'insurance_fund', 'USD'), 500, 'deposit');
));
is(query($workers), '0', 'no worker without preload');
is(query('SELECT risk.worker_pid() IS NULL'), 't', 'and none is known');
is(query('SELECT risk.stop_worker()'), 'f', 'nothing to stop');
is(query('SELECT risk.start_worker() > 0'), 't', 'one is started by hand');
is(query('SELECT risk.start_worker() = risk.worker_pid()'), 't', 'a second time it is the same');
query('SELECT risk.launch_worker()');
becomes("SELECT ($workers) = 1", 'another one ends at once');
like(slurp_file($node->logfile), qr/ends: the database has one/, 'and says why');

# 2. It does what has to be done

sub lose_thirty
{
	my ($execution) = @_;
	query(
		qq(
		INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
		VALUES ($execution, 1, 1, 'buy', 10, 100), ($execution, 2, 1, 'sell', 10, 100)));
	query(
		qq(
		INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
		VALUES ($execution + 1, 1, 1, 'sell', 10, 87), ($execution + 1, 2, 1, 'buy', 10, 87)));
}

query("SELECT risk.hold(3, 10, 'for a moment', clock_timestamp() + interval '1 second')");
lose_thirty(1);
becomes('SELECT NOT EXISTS (SELECT FROM ledger.open_shortfall) AND EXISTS (SELECT FROM ledger.shortfall_payment)',
	'what stands on suspense is placed');
is(query("SELECT stage, amount FROM ledger.shortfall_payment"), 'fund|30.00', 'by the fund');
is(query("SELECT who = (SELECT rolname FROM pg_roles WHERE oid = 10) FROM ledger.shortfall_payment"), 't', 'and on record whose it was');
becomes('SELECT NOT EXISTS (SELECT FROM ledger.open_hold)', 'a hold expires');
becomes('SELECT count(*) = (SELECT count(*) FROM ledger.event) FROM ledger.relayed_event', 'every event has its place');

my $listener = $node->background_psql('postgres', on_error_stop => 0);
$listener->query_safe('LISTEN risk_ext');
query("UPDATE ledger.account SET status = 'reduce_only' WHERE account_id = 3");
my $heard = '';
for my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	$heard .= $listener->query('SELECT 1');
	last if $heard =~ /risk_ext/;
	usleep(100_000);
}
like($heard, qr/notification "risk_ext" with payload "\{"place": \d+, "book_id": 1\}"/, 'who listens is told');
$listener->quit;
becomes("SELECT (state, query, application_name) = ('idle', 'SELECT FROM risk.relay_events()', 'risk_ext worker')"
	  . " FROM pg_stat_activity WHERE backend_type = 'risk_ext worker'",
	'it shows what it did last');

# 3. Nothing is written while there is nothing to do

query("SELECT risk.fold_slots()");
becomes('SELECT count(*) = (SELECT count(*) FROM ledger.event) FROM ledger.relayed_event', 'all is told');
usleep(500_000);
my $before = query('SELECT pg_current_xact_id()::text::bigint');
usleep(1_500_000);
is(query('SELECT pg_current_xact_id()::text::bigint') - $before, 1, 'some fifteen idle rounds took no transaction number');

# 4. An error in a step does not keep the others

query(
	q(
	ALTER FUNCTION risk.expire_holds(int) RENAME TO expire_holds_as_it_was;
	CREATE FUNCTION risk.expire_holds(only_book int DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no hold expires today'; END $$));
query("SELECT risk.hold(3, 10, 'for a moment', clock_timestamp() + interval '100 milliseconds')");
my $failures = 0;
for my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	$failures = () = slurp_file($node->logfile) =~ /risk_ext worker ERROR:  no hold expires today/g;
	last if $failures >= 3;
	usleep(100_000);
}
cmp_ok($failures, '>=', 3, 'a step that fails is tried again');
like(slurp_file($node->logfile), qr/CONTEXT: .*background worker of risk_ext, step expire_holds/s, 'and the log says which');
lose_thirty(3);
becomes('SELECT count(*) = 2 FROM ledger.shortfall_payment', 'the steps after it are done');
query('DROP FUNCTION risk.expire_holds(int)');
query('ALTER FUNCTION risk.expire_holds_as_it_was(int) RENAME TO expire_holds');
becomes('SELECT NOT EXISTS (SELECT FROM ledger.open_hold)', 'what failed is done when it can be');

# 5. A statement of it can be cancelled, and it ends in the middle of one

sub blocked_worker
{
	my $blocker = $node->background_psql('postgres');
	$blocker->query_safe('BEGIN');
	$blocker->query_safe('LOCK TABLE ledger.event IN ACCESS EXCLUSIVE MODE');
	becomes(q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'risk_ext worker' AND wait_event_type = 'Lock'),
		'the worker waits for a lock');
	return $blocker;
}

my $pid = query('SELECT risk.worker_pid()');
my $blocker = blocked_worker();
is(query("SELECT pg_cancel_backend($pid)"), 't', 'a statement is cancelled');
ok($node->poll_query_until('postgres', "SELECT query_start > now() - interval '1 second' FROM pg_stat_activity WHERE pid = $pid"),
	'the worker goes on');
$blocker->query_safe('COMMIT');
$blocker->quit;
is(query('SELECT risk.worker_pid()'), $pid, 'in the same process');
like(slurp_file($node->logfile), qr/risk_ext worker ERROR:  canceling statement due to user request/, 'and the log says so');
$blocker = blocked_worker();
my $begun = time;
is(query('SELECT risk.stop_worker()'), 't', 'it is stopped while it waits');
cmp_ok(time - $begun, '<', 10, 'without waiting');
$blocker->query_safe('COMMIT');
$blocker->quit;
is(query($workers), '0', 'and stays away');

# 6. With preload it comes with the server, and comes back after a crash

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'risk_ext'\n");
$node->restart;
is(query($workers), '0', 'preloaded, and no database named: none');
is(query('SHOW risk_ext.worker_interval'), '100ms', 'the setting is there');
$node->append_conf('postgresql.conf', "risk_ext.worker_database = 'postgres'\n");
$node->restart;
becomes('SELECT risk.worker_pid() IS NOT NULL', 'it comes with the server');
query('SELECT risk.stop_worker()');
is(query($workers), '0', 'it can be stopped');
is(query('SELECT risk.start_worker() > 0'), 't', 'and started again');
$pid = query('SELECT risk.worker_pid()');
kill 'KILL', $pid;
for my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	my ($failed, $now) = $node->psql('postgres', 'SELECT risk.worker_pid()');
	last if $failed == 0 && $now ne '' && $now ne $pid;
	usleep(100_000);
}
isnt(query('SELECT risk.worker_pid()'), $pid, 'killed, it comes back');
lose_thirty(5);
becomes('SELECT count(*) = 3 FROM ledger.shortfall_payment', 'and works');

# 7. A mark price wakes it

query("ALTER SYSTEM SET risk_ext.worker_interval = '1h'");
$node->reload;
usleep(1_000_000);
query(
	q(
	UPDATE ledger.account SET status = 'active' WHERE account_id = 3;
	INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
	VALUES (7, 3, 1, 'buy', 1, 100), (7, 2, 1, 'sell', 1, 100);
	SELECT risk.place_stop_order(3, 1, 'sell', 90, 1)));
usleep(500_000);
is(query("SELECT state FROM ledger.stop_order"), 'open', 'with an hour between rounds nothing happens');
query('UPDATE ledger.mark_price SET price = 89 WHERE instrument_id = 1');
becomes("SELECT state = 'ordered' FROM ledger.stop_order", 'but for a mark price that wakes it');
query("ALTER SYSTEM RESET risk_ext.worker_interval");

# 8. It follows its setting

query("ALTER SYSTEM SET risk_ext.worker_database = ''");
$node->reload;
becomes("SELECT ($workers) = 1", 'one that was started by hand stays where it is');
query('SELECT risk.stop_worker()');
query("ALTER SYSTEM RESET risk_ext.worker_database");
$node->restart;
becomes("SELECT ($workers) = 1", 'it comes with the server');
query("ALTER SYSTEM SET risk_ext.worker_database = ''");
$node->reload;
becomes("SELECT ($workers) = 0", 'and ends when no database is named any more');
query("ALTER SYSTEM RESET risk_ext.worker_database");

# 9. The extension is dropped while it runs, and comes back

is(query('SELECT risk.start_worker() > 0'), 't', 'one started by hand');
query('SET client_min_messages = warning; DROP EXTENSION risk_ext CASCADE');
becomes("SELECT ($workers) = 0", 'ends without the extension');
$node->restart;
becomes("SELECT ($workers) = 1", 'the one of the server waits for it');
query('CREATE EXTENSION risk_ext');
query('SELECT risk.install()');
lose_thirty(8);
becomes('SELECT count(*) = 4 FROM ledger.shortfall_payment', 'and works when it is back');
query('SET client_min_messages = warning; DROP EXTENSION risk_ext CASCADE');
usleep(1_000_000);
is(query($workers), '1', 'it outlives the extension');
query('CREATE EXTENSION risk_ext');
query('SELECT risk.install()');
is(query('SELECT * FROM risk.verify() WHERE violations > 0'), '', 'the books are right');
$begun = time;
$node->stop('fast');
cmp_ok(time - $begun, '<', 20, 'and it stops with the server');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11/, 'nothing crashed that was not killed');

done_testing();
