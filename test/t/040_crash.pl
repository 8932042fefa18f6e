# The server is killed while clients post, several times over: after each
# restart the books are right.  A prepared transaction with a reset outlives the
# crash.  And a dump, restored elsewhere, is the same ledger: nothing is posted
# twice, and posting goes on from there.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $clients = 8;
my $rounds = 4;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 10\nmax_connections = 40\n");
$node->start;

sub query
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database // 'postgres', $sql);
}

sub books_are_right
{
	my ($when, $database) = @_;
	return is(query('SELECT * FROM risk.verify() WHERE violations > 0', $database), '', "$when: the books are right");
}

# Backends may need a moment to notice that the postmaster is gone.
sub start_again
{
	for my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	BAIL_OUT('the server did not start again');
}

query('CREATE EXTENSION risk_ext');
query(
	q(
	SELECT risk.install();
	INSERT INTO ledger.asset VALUES ('USD', 2);
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC', 'USD'), (2, 'ETH', 'USD');
	INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (1, 0.005, 100), (2, 0.005, 100);
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100), (2, 100);
	INSERT INTO ledger.account (account_id, asset_code) SELECT a, 'USD' FROM generate_series(1, 44) a;
	SELECT risk.deposit(a, 1000) FROM generate_series(1, 40) a;
	SELECT risk.deposit(a, 100) FROM generate_series(41, 44) a;
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	VALUES (risk.system_account(1, 'external', 'USD'), risk.system_account(1, 'insurance_fund', 'USD'), 1000000, 'deposit');
));

my $script = "$PostgreSQL::Test::Utils::tmp_check/post.pgbench";
append_to_file(
	$script, q(
\set a random(1, 40)
\set b 1 + (:a - 1 + random(1, 39)) % 40
\set i random(1, 2)
\set qty random(1, 20)
\set price random(70, 130)
WITH e AS (SELECT nextval('ledger.trade_execution_id_seq') AS id) INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price, fee) SELECT e.id, v.account_id, :i, v.side, :qty, :price, 0.05 FROM e, (VALUES (:a, 'buy'), (:b, 'sell')) v(account_id, side);
SELECT risk.deposit(:a, :qty);
));

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';

my $trades = 0;
for my $round (1 .. $rounds)
{
	my ($out, $err) = ('', '');
	my $pgbench = IPC::Run::start(
		[ 'pgbench', '--no-vacuum', '--client', $clients, '--time', 60, '--file', $script ],
		'<', \undef, '>', \$out, '2>', \$err);

	$node->poll_query_until('postgres', "SELECT count(*) > $trades + 500 FROM ledger.trade")
	  or BAIL_OUT("pgbench does not work: $err");
	usleep(100_000 * $round);
	if ($round % 2) { $node->stop('immediate') } else { $node->kill9 }
	$pgbench->finish;
	start_again();

	books_are_right("crash $round");
	my $kept = query('SELECT count(*) FROM ledger.trade');
	cmp_ok($kept, '>', $trades + 500, "crash $round: what was committed is there");
	$trades = $kept;
}
cmp_ok(query('SELECT count(*) FROM ledger.reset'), '>', 0, 'accounts were reset');

# Accounts 41 and 43 lose 120 of 100, in transactions that are prepared.
query(
	q(
	INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
	VALUES (1000001, 41, 1, 'buy', 10, 100), (1000001, 42, 1, 'sell', 10, 100),
		   (1000002, 43, 1, 'buy', 10, 100), (1000002, 44, 1, 'sell', 10, 100)));
my $fund = query(q(SELECT sum(amount) - 20 FROM ledger.balance WHERE account_id = risk.system_account(1, 'insurance_fund', 'USD')));
query(
	q(
	BEGIN;
	INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
	VALUES (1000003, 41, 1, 'sell', 10, 88), (1000003, 42, 1, 'buy', 10, 88);
	PREPARE TRANSACTION 'loss of 41'));
$node->stop('immediate');
start_again();

is(query('SELECT gid FROM pg_prepared_xacts'), 'loss of 41', 'the prepared transaction is there after a crash');
is(query('SELECT amount FROM ledger.balance WHERE account_id = 41'), '100.00', 'and not committed');
my ($status, $out, $err) = $node->psql('postgres', q(SET lock_timeout = '100ms'; SELECT risk.deposit(41, 10)));
like($err, qr/lock timeout/, 'and it holds its account');
query('SELECT risk.deposit(1, 10)');
books_are_right('while it is prepared');
query(q(COMMIT PREPARED 'loss of 41'));
is( query('SELECT shortfall, amount, stage, balance_after FROM ledger.reset WHERE account_id = 41'),
	'20.00|20.00|fund|0.00', 'its reset is posted with it');
is( query(q(SELECT sum(amount) FROM ledger.balance WHERE account_id = risk.system_account(1, 'insurance_fund', 'USD'))),
	$fund, 'and the fund paid once');
books_are_right('after it was committed');

query(
	q(
	BEGIN;
	INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
	VALUES (1000004, 43, 1, 'sell', 10, 88), (1000004, 44, 1, 'buy', 10, 88);
	PREPARE TRANSACTION 'loss of 43'));
$node->kill9;
start_again();
query(q(ROLLBACK PREPARED 'loss of 43'));
is(query('SELECT amount FROM ledger.balance WHERE account_id = 43'), '100.00', 'a reset that is rolled back leaves nothing');
books_are_right('after it was rolled back');

# Every row of every table, and where the numbers go on.
sub contents
{
	my $database = shift;
	my @tables = split /\n/, query(
		q(SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'ledger' ORDER BY 1), $database);
	return join "\n",
	  (map { "$_: " . query("SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM $_ t", $database) } @tables),
	  query(q(SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'ledger' ORDER BY 1), $database);
}

my $dump = "$PostgreSQL::Test::Utils::tmp_check/ledger";
my $before = contents('postgres');
for my $format ('plain', 'custom')
{
	$node->command_ok([ 'pg_dump', "--format=$format", "--file=$dump.$format", 'postgres' ], "$format: dumped");
	query("CREATE DATABASE $format");
	$node->command_ok(
		$format eq 'plain'
		? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '--dbname', $format, '--file', "$dump.$format" ]
		: [ 'pg_restore', '--exit-on-error', '--jobs=2', '--dbname', $format, "$dump.$format" ],
		"$format: restored");

	is(contents($format), $before, "$format: the same rows, nothing posted twice");
	books_are_right("$format: after the restore", $format);
	query(
		q(
		SELECT risk.install();
		SELECT risk.deposit(43, 10);
		INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price)
		VALUES (1000004, 43, 1, 'sell', 10, 88), (1000004, 44, 1, 'buy', 10, 88)), $format);
	is(query('SELECT amount FROM ledger.reset WHERE account_id = 43', $format), '10.00', "$format: posting goes on");
	books_are_right("$format: after more trades", $format);
}

$node->stop;
done_testing();
