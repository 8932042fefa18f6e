# The worker, or the whole server, is killed in the middle of a cascade of
# liquidations, several times over: after each restart the worker goes on where
# it was, and nothing is done twice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{RISK_CASCADE_ROUNDS} // 4;
my $traders = 120;
my $seed = $ENV{RISK_CASCADE_SEED} // time;
srand($seed);
note("RISK_CASCADE_SEED=$seed");

my $node = PostgreSQL::Test::Cluster->new('cascade');
$node->init;
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'risk_ext'\nrisk_ext.worker_database = 'postgres'\nrestart_after_crash = on\n");
$node->start;

sub query
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
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
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC', 'USD');
	INSERT INTO ledger.margin_tier VALUES (1, 0, 0.01, 20), (1, 5000, 0.02, 10);
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100);
	INSERT INTO ledger.account (account_id, asset_code) VALUES (1, 'USD');
	SELECT risk.deposit(1, 1000000000);
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	VALUES (risk.system_account(1, 'external', 'USD'), risk.system_account(1, 'insurance_fund', 'USD'), 1000000, 'deposit');
));

my $interrupted = 0;
for my $round (1 .. $rounds)
{
	my $first = 1000 * $round;
	my $mine = "account_id BETWEEN $first AND $first + $traders - 1";
	my $by = $round % 3 == 1 ? 'worker killed' : $round % 3 == 2 ? 'server killed' : 'server stopped at once';

	# all of them long from 100, by twos against account 1; at 80 a half of them has lost more than it has
	query('SELECT result FROM risk.set_mark_prices(ARRAY[1], ARRAY[100.0])');
	query(
		qq(
		INSERT INTO ledger.account (account_id, asset_code, policy_code)
		SELECT a, 'USD', CASE WHEN a % 3 = 0 THEN 'electra' ELSE 'default' END FROM generate_series($first, $first + $traders - 1) a;
		SELECT risk.deposit(a, CASE WHEN a % 2 = 0 THEN 1500 ELSE 2100 END) FROM generate_series($first, $first + $traders - 1) a;
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
		SELECT v.account_id, 1, v.side, 100, 100, v.id
		  FROM (SELECT a, nextval('ledger.trade_execution_id_seq') AS id FROM generate_series($first, $first + $traders - 1) a OFFSET 0) e,
		  LATERAL (VALUES (e.a, 'buy', e.id), (1, 'sell', e.id)) AS v(account_id, side, id)));
	is(query("SELECT count(*) FROM ledger.account_risk WHERE $mine AND liquidatable"), '0', "round $round: nobody is to be liquidated");

	query('SELECT result FROM risk.set_mark_prices(ARRAY[1], ARRAY[80.0])');
	my $until = 3 + int(rand($traders / 2));
	$node->poll_query_until('postgres', "SELECT count(*) >= $until FROM ledger.liquidation WHERE $mine")
	  or BAIL_OUT('the worker does not work');
	if ($round % 3 == 1)
	{
		my $pid = query('SELECT risk.worker_pid()');
		kill 'KILL', $pid;
		# the server answers until it has noticed, and then starts again with another one
		$node->poll_query_until('postgres', "SELECT risk.worker_pid() <> $pid") or BAIL_OUT('the worker does not come back');
	}
	elsif ($round % 3 == 2) { $node->kill9; start_again() }
	else { $node->stop('immediate'); start_again() }
	$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server is not there');
	my $done = query("SELECT count(*) FROM ledger.liquidation WHERE $mine");
	$interrupted++ if $done < $traders;
	note("round $round: $by after $done of $traders liquidations");

	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM ledger.account_risk WHERE $mine AND liquidatable)")
	  or BAIL_OUT("round $round: the worker does not go on");
	is(query("SELECT count(*), count(DISTINCT account_id), bool_and(ended_at IS NOT NULL) FROM ledger.liquidation WHERE $mine"),
		"$traders|$traders|t", "round $round, $by: each account was liquidated once");
	is(query("SELECT count(*) FROM (SELECT account_id, sum(qty) AS qty FROM ledger.takeover WHERE $mine GROUP BY account_id) t"
			. ' JOIN ledger.position p USING (account_id) WHERE t.qty + p.qty <> 100'),
		'0', "round $round: what it lost of its position was taken over once");
	is(query("SELECT count(*) FROM ledger.balance WHERE account_id > 0 AND amount < 0"), '0', "round $round: nobody is below zero");
	is(query('SELECT check_name, first_offender FROM risk.verify() WHERE violations > 0'), '', "round $round: the books are right");
}
cmp_ok($interrupted, '>', 0, "$interrupted of $rounds cascades were interrupted");
cmp_ok(query(q(SELECT count(*) FROM ledger.reset WHERE account_id > 0)), '>', 0, 'accounts were reset');

$node->stop;
done_testing();
