# doc/reference.md is what the comments in the database say.

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

done_testing();
