# What the pages of documentation show is what the server says.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('pages');
$node->init;
$node->start;
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'postgres';

my @pages = glob 'doc/policies/*.md';
cmp_ok(scalar @pages, '>', 5, 'a page for each policy that is shipped');
foreach my $page (@pages)
{
	my ($said, $stderr);
	my $result = IPC::Run::run([ $^X, 'test/pages', $page ], '>', \$said, '2>', \$stderr);
	is($said . $stderr, '', $page);
	ok($result, "$page ran");
}
$node->stop;
done_testing();
