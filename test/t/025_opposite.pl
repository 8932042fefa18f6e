# A thousand rounds of statements that lock the same accounts, each in the order
# that the others do not: transfers there and back, trades on both sides, and
# batches in ascending and descending order.  Each is a transaction of one
# statement, so none deadlocks.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 8;
my $rounds = 1000;    # of each client

my $node = PostgreSQL::Test::Cluster->new('opposite');
$node->init;
$node->append_conf('postgresql.conf', "deadlock_timeout = 100ms\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION risk_ext');
$node->safe_psql(
	'postgres', q(
	SELECT risk.install();
	INSERT INTO ledger.asset VALUES ('USD', 2);
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC', 'USD');
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100);
	INSERT INTO ledger.account (account_id, asset_code) SELECT a, 'USD' FROM generate_series(1, 50) a;
	SELECT risk.deposit(a, 1000000) FROM generate_series(1, 50) a;
));

# Client by client, every statement against its opposite.
my %statements = (
	there => 'INSERT INTO ledger.transfer (from_account, to_account, amount) VALUES (1, 2, 1)',
	back => 'INSERT INTO ledger.transfer (from_account, to_account, amount) VALUES (2, 1, 1)',
	rows_there => 'INSERT INTO ledger.transfer (from_account, to_account, amount) '
	  . 'SELECT a, a + 1, 1 FROM generate_series(1, 9) a',
	rows_back => 'INSERT INTO ledger.transfer (from_account, to_account, amount) '
	  . 'SELECT a + 1, a, 1 FROM generate_series(9, 1, -1) a',
	bought => 'INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price) '
	  . q(SELECT e.id, v.a, 1, v.side, 1, 100 FROM nextval('ledger.trade_execution_id_seq') e(id), (VALUES (1, 'buy'), (2, 'sell')) v(a, side)),
	sold => 'INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price) '
	  . q(SELECT e.id, v.a, 1, v.side, 1, 100 FROM nextval('ledger.trade_execution_id_seq') e(id), (VALUES (2, 'buy'), (1, 'sell')) v(a, side)),
	batch_there => 'SELECT count(*) FROM risk.post_batch(1, ARRAY(SELECT generate_series(1, 49)), '
	  . 'ARRAY(SELECT generate_series(2, 50)), array_fill(1::numeric, ARRAY[49]))',
	batch_back => 'SELECT count(*) FROM risk.post_batch(1, ARRAY(SELECT generate_series(50, 2, -1)), '
	  . 'ARRAY(SELECT generate_series(49, 1, -1)), array_fill(1::numeric, ARRAY[49]))',);

my @files;
foreach my $name (sort keys %statements)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.pgbench";
	append_to_file($file, "$statements{$name};\n");
	push @files, '--file', $file . ($name =~ /batch/ ? '@1' : '@3');
}
my ($out, $err) = run_command(
	[
		'pgbench', '--no-vacuum', '--client', $clients, '--transactions', $rounds,
		'--max-tries', 1, @files, $node->connstr('postgres')
	]);
like($out, qr{number of transactions actually processed: (\d+)/\g1\b}, 'every statement was carried out');
unlike($err, qr/deadlock/, 'nobody was told of a deadlock');
is($node->safe_psql('postgres', "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"),
	'0', 'there was no deadlock');
is($node->safe_psql('postgres', 'SELECT sum(amount) FROM ledger.balance WHERE account_id > 0'),
	'50000000.00', 'what went there came from here');
is($node->safe_psql('postgres', 'SELECT * FROM risk.verify() WHERE violations > 0'), '', 'the books are right');

done_testing();
