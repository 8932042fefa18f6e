# A guarded table in a dump: it comes back with its guard, wherever the
# extension can be made.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('guard');
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
	CREATE DATABASE copy;
});
my $guards = 'SELECT table_name, balance_column, floor_column, floor, trigger_name, enabled FROM risk.guards()';
my $before = $node->safe_psql('postgres', $guards);
my $file = $node->basedir . '/guard.dump';
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

$node->stop;
done_testing();
