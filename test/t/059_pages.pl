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

$node->safe_psql('postgres', 'CREATE EXTENSION risk_ext');
my @policies = split /\n/, $node->safe_psql('postgres',
	"SELECT policy_code FROM risk.shipped_policies() WHERE policy_code <> 'default' ORDER BY policy_code");
is("@policies", 'coinex electra nebannpet shared_loss strict', 'the policies that are shipped');
my $index = slurp_file('doc/policies/README.md');
foreach my $policy (@policies)
{
	my $page = "doc/policies/$policy.md";
	like($index, qr/\[`$policy`\]\($policy\.md\)/, "the index knows $page");
	# a block whose text the tool does not find would be one that nobody compares
	my $text = slurp_file($page);
	my ($shown, $compared) = (scalar(() = $text =~ /^```sql\n/mg), scalar(() = $text =~ /^```\n\n```text\n/mg));
	cmp_ok($shown, '>', 2, "$page shows what the server says");
	is($compared, $shown, "$page shows it after each block");

	my ($said, $stderr);
	my $result = IPC::Run::run([ $^X, 'test/pages', $page ], '>', \$said, '2>', \$stderr);
	is($said . $stderr, '', $page);
	ok($result, "$page ran");
}
$node->stop;
done_testing();
