# doc/reference.md is what the comments in the database say, and the README knows
# how many checks there are.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('reference');
$node->init;
$node->start;

my ($out, $err) = run_command(
	[ 'psql', '--no-psqlrc', '--quiet', '-d', $node->connstr('postgres'), '-f', 'doc/reference.sql' ]);
is($err, '', 'every function is in a topic');

my @is = split /\n/, $out;
my @written = split /\n/, slurp_file('doc/reference.md');
my $line = 0;
$line++ while $line < @is && $line < @written && $is[$line] eq $written[$line];
is($written[$line], $is[$line], 'the reference is what the comments say: else call make reference');

my $checks = $node->safe_psql('postgres', 'SELECT count(*) FROM risk.verify()');
like(slurp_file('README.md'), qr/^ +$checks \|          0\n.*^\| `risk\.verify\(book_id\)` \| $checks checks /ms,
	"the README tells of $checks checks");

done_testing();
