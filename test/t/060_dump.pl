# What a dump brings back: a guarded table its guard, wherever the extension can
# be made, and a sealed book its seals, which still are those of its entries.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION risk_ext;
	CREATE TABLE wallet (wallet_id int PRIMARY KEY, gone int, balance numeric, credit bigint DEFAULT -5);
	ALTER TABLE wallet DROP gone;
	INSERT INTO wallet VALUES (1, 100), (2, -5);
	SELECT risk.guard('wallet', 'balance', 'credit');
	CREATE TABLE purse (purse_id int PRIMARY KEY, cents bigint) PARTITION BY RANGE (purse_id);
	CREATE TABLE purse_low PARTITION OF purse FOR VALUES FROM (1) TO (100);
	INSERT INTO purse VALUES (1, 0);
	SELECT risk.guard('purse', 'cents');
	SELECT risk.install('month');
	INSERT INTO ledger.asset VALUES ('USD', 2);
	INSERT INTO ledger.account (account_id, asset_code) SELECT g, 'USD' FROM generate_series(1, 9) g;
	SELECT risk.deposit(g, 1000.5) FROM generate_series(1, 9) g;
	SELECT risk.seal();
	INSERT INTO ledger.transfer (from_account, to_account, amount) SELECT g, g + 1, g * 0.01 FROM generate_series(1, 8) g;
	CREATE DATABASE copy;
});
my $head = $node->safe_psql('postgres', 'SELECT head FROM risk.seal()');
my $guards = 'SELECT table_name, balance_column, floor_column, floor, trigger_name, enabled FROM risk.guards()';
my $before = $node->safe_psql('postgres', $guards);
my $file = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $file ], 'restore');

is($node->safe_psql('copy', $guards), $before, 'the guards are the same');
for my $taken (
	[ 'wallet', q{UPDATE wallet SET balance = -6 WHERE wallet_id = 1} ],
	[ 'purse_low', q{UPDATE purse SET cents = -1} ])
{
	my ($status, $out, $err) = $node->psql('copy', '\set VERBOSITY sqlstate' . "\n$taken->[1]");
	like($err, qr/23514/, "and guard table $taken->[0]");
}

# the same guard once more is nothing new
my $oids = q{SELECT array_agg(oid ORDER BY oid) FROM pg_trigger WHERE tgname LIKE 'risk_guard%'};
my $kept = $node->safe_psql('copy', $oids);
$node->safe_psql('copy', q{SELECT risk.guard('wallet', 'balance', 'credit'), risk.guard('purse', 'cents')});
is($node->safe_psql('copy', $oids), $kept, 'the guards that came with the dump are found to be these');

is($node->safe_psql('copy', 'SELECT * FROM risk.verify() WHERE violations > 0'), '', 'the books are right');
is( $node->safe_psql('copy', "SELECT check_name, violations FROM risk.verify_seal(1, '$head')"),
	"head|0\nseals|0\nsealed_entries|0",
	'and have the head that was noted');

# a seal of what came in since, though the transactions here have other numbers
$node->safe_psql('copy', 'SELECT risk.deposit(3, 1), risk.deposit(9, 1)');
is($node->safe_psql('copy', 'SELECT entries, total_entries - (SELECT count(*) FROM ledger.entry) FROM risk.seal()'),
	'4|0', 'the next seal has what is new');

# by tools that are not of the database: COPY BINARY has a header of 19 bytes and a trailer of 2
my $entries = 'SELECT * FROM ledger.entry WHERE account_id = 5 AND seq > 1 ORDER BY seq';
SKIP:
{
	skip 'Digest::SHA is not installed', 1 unless eval { require Digest::SHA; 1 };
	my $copied = $node->basedir . '/entries';
	$node->safe_psql('copy', "COPY ($entries) TO '$copied' (FORMAT binary)");
	is( Digest::SHA::sha256_hex(substr(slurp_file($copied), 19, -2)),
		$node->safe_psql('copy', q{SELECT encode(digest, 'hex') FROM ledger.seal_range WHERE account_id = 5 AND from_seq = 2}),
		'a digest can be computed outside of the database');
}

$node->stop;
done_testing();
