
# A random market: linear, inverse and quanto contracts with tiers, cross and
# isolated positions, margin groups, maintenance at the mark, at entry and as an
# amount, fees that grow with size, volatility and thin markets.  Marks jump,
# trades, deposits, withdrawals and fundings come in, tiers, scales, policies
# and market data change.  After every tick every account is judged in full,
# and none that can be liquidated is missing from what the triggers find; nor is
# one that has come to an alert level or recovered from one: every account is
# warned exactly when it would be if everybody was asked.
#
# RISK_SEED repeats a run, RISK_SECONDS says for how long ticks come (default 40).

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{RISK_SEED} // int(time());
my $seconds = $ENV{RISK_SECONDS} // 40;
my $accounts = 80;

note "RISK_SEED=$seed";
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('sweep_index');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off");
$node->start;

sub pick { return $_[ int(rand(@_)) ]; }
sub jump { my ($width) = @_; return $width * (rand() + rand() + rand() - 1.5) * 2; }

my %price = (1 => 30000, 2 => 100, 3 => 60000, 4 => 5, 5 => 0.0000213);
my %asset = (1 => 'USDT', 2 => 'USDT', 3 => 'BTC', 4 => 'USDT', 5 => 'USDT');
my $execution = 0;

$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION risk_ext;
SELECT risk.install();
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8);
INSERT INTO ledger.instrument (instrument_id, symbol, kind, settle_asset, multiplier, reference_notional) VALUES
	(1, 'A', 'linear', 'USDT', 1, 20000), (2, 'B', 'quanto', 'USDT', 0.1, NULL), (3, 'C', 'inverse', 'BTC', 100, 1),
	(4, 'D', 'linear', 'USDT', 1, NULL), (5, 'E', 'linear', 'USDT', 1000, 500);
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, maintenance_amount) VALUES
	(1, 0, 0.004, 100, 100), (1, 20000, 0.01, 50, 300), (1, 60000, 0.05, 10, 900),
	(2, 0, 0.02, 20, 50), (2, 5000, 0.01, 20, 80),
	(3, 0, 0.005, 100, 0.01), (3, 0.5, 0.02, 25, 0.03),
	(4, 1000, 0.03, 10, 20);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis, liquidation_trigger, liquidation_fee_base,
		liquidation_fee_by_size, liquidation_fee_by_volatility, liquidation_fee_by_depth, collateral_group,
		alert_levels, alert_hysteresis, pending_deposits_count) VALUES
	('mark', '{own,fund,house}', 'mark', 'at_or_below', 0.005, 0.001, 0.002, 0.01, false, '{150,120,105}', 5, false),
	('entry', '{own,fund,house}', 'entry', 'below', NULL, 0, 0, 0, false, '{110,400,200}', 20, false),
	('amount', '{own,fund,house}', 'amount', 'at_or_below', 0.01, 0, 0, 0, false, '{300,150,90}', 0, true),
	('group', '{own,fund,house}', 'mark', 'below', NULL, 0, 0, 0, true, '{150,120}', 5, false);
INSERT INTO ledger.index_price (asset_code, price) VALUES ('USDT', 1), ('BTC', 60000);
INSERT INTO ledger.collateral VALUES ('USDT', 0, NULL), ('BTC', 0.05, NULL);
INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
SELECT g, CASE WHEN g % 4 = 0 THEN 'BTC' ELSE 'USDT' END, 'owner ' || g / 2,
	   (ARRAY['electra', 'mark', 'entry', 'mark', 'amount', 'mark', 'group', 'group'])[1 + g % 8]
  FROM generate_series(1, $accounts) g;
-- the other side of all trades
INSERT INTO ledger.account (account_id, asset_code, owner_id) VALUES (1001, 'USDT', 'maker'), (1002, 'BTC', 'maker');
SELECT count(risk.deposit(a.account_id, CASE WHEN a.asset_code = 'BTC' THEN 0.05 ELSE 500 + 20 * a.account_id END))
  FROM ledger.account a WHERE a.account_id BETWEEN 1 AND 1000;
SELECT risk.deposit(1001, 1e12), risk.deposit(1002, 1e9);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, $price{1}), (2, $price{2}), (3, $price{3}), (4, $price{4}), (5, $price{5});
-- hedge mode: children with one side each
SELECT risk.open_isolated(a.account_id, 1, 100, 'long') FROM ledger.account a WHERE a.account_id BETWEEN 1 AND 20 AND a.asset_code = 'USDT';
CREATE TABLE missed (account_id bigint, said text);
CREATE TABLE tally (judged bigint, liquidatable bigint, due bigint);
INSERT INTO tally VALUES (0, 0, 0);
CREATE FUNCTION judge() RETURNS void LANGUAGE sql AS \$\$
	WITH due AS MATERIALIZED (SELECT * FROM risk.due_accounts()),
	judged AS MATERIALIZED (
		SELECT r.account_id, r.liquidatable, d.account_id IS NOT NULL AS due, r.equity, r.liquidation_requirement
		  FROM ledger.account_risk r LEFT JOIN due d USING (book_id, account_id)
		 WHERE r.account_id > 0 AND r.notional > 0),
	told AS (
		INSERT INTO missed
		SELECT j.account_id, format('%s against %s', j.equity, j.liquidation_requirement)
		  FROM judged j WHERE j.liquidatable AND NOT j.due)
	UPDATE tally t SET judged = t.judged + j.n, liquidatable = t.liquidatable + j.l, due = t.due + j.d
	  FROM (SELECT count(*) AS n, count(*) FILTER (WHERE liquidatable) AS l, count(*) FILTER (WHERE due) AS d FROM judged) j
\$\$;
-- who would be warned if everybody was asked, and who is
CREATE TABLE told (account_id bigint PRIMARY KEY, level numeric);
CREATE TABLE warned (told bigint, recovered bigint, looked bigint);
INSERT INTO warned VALUES (0, 0, 0);
-- who has no position has nothing to be told, and begins anew
CREATE FUNCTION forget() RETURNS void LANGUAGE sql AS \$\$
	DELETE FROM told t WHERE NOT EXISTS (SELECT FROM ledger.position p WHERE p.account_id = t.account_id AND p.qty <> 0)
\$\$;
CREATE TABLE expected (account_id bigint, was numeric, level numeric, is_new boolean);
CREATE TABLE found (account_id bigint, result text, level numeric);
CREATE FUNCTION warn() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	-- a policy that comes into force in between would be another question
	PERFORM pg_sleep(extract(epoch FROM max(p.effective_at) - clock_timestamp()) + 0.01) FROM ledger.policy p WHERE p.effective_at > clock_timestamp();
	DELETE FROM expected;
	DELETE FROM found;
	INSERT INTO expected
	SELECT r.account_id, t.level AS was, l.level, l.is_new
	  FROM ledger.account_risk r
	  JOIN ledger.account a USING (book_id, account_id)
	  LEFT JOIN told t USING (account_id)
	 CROSS JOIN LATERAL (SELECT * FROM ledger.policy y WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp() ORDER BY y.version DESC LIMIT 1) y
	 CROSS JOIN LATERAL (SELECT coalesce(r.group_equity, r.equity) AS equity, coalesce(r.group_requirement, r.liquidation_requirement) AS required) e
	 CROSS JOIN LATERAL (
		SELECT min(l) AS level FROM unnest(y.alert_levels || t.level) l
		 WHERE l >= t.level AND 100 * e.equity < (l + y.alert_hysteresis) * e.required) s
	 CROSS JOIN LATERAL (
		SELECT l AS level, l < coalesce(s.level, 'Infinity') AS is_new FROM unnest(y.alert_levels || s.level) l
		 WHERE l >= s.level OR 100 * e.equity <= l * e.required) l
	 WHERE r.account_id > 0 AND r.notional > 0;
	INSERT INTO found SELECT f.account_id, f.result, f.level FROM risk.alert() f;
	INSERT INTO missed
	SELECT account_id, format('level %s %s', level, CASE WHEN f.result IS NULL THEN 'not told' ELSE 'told' END)
	  FROM (SELECT account_id, level FROM expected WHERE is_new) x FULL JOIN (SELECT account_id, level, result FROM found WHERE result = 'alert') f USING (account_id, level)
	 WHERE x IS NULL OR f IS NULL;
	INSERT INTO missed
	SELECT account_id, format('told of %s, noted %s', coalesce(x.level, 0), coalesce(s.fired_level, 0))
	  FROM (SELECT account_id, min(level) AS level FROM expected GROUP BY 1) x FULL JOIN ledger.alert_state s USING (account_id)
	 WHERE x.level IS DISTINCT FROM s.fired_level;
	UPDATE warned w SET told = w.told + f.told, recovered = w.recovered + f.recovered, looked = w.looked + f.looked
	  FROM (SELECT count(*) FILTER (WHERE result = 'alert') AS told, count(*) FILTER (WHERE result = 'recovered') AS recovered,
				   count(DISTINCT account_id) AS looked FROM found) f;
	DELETE FROM told;
	INSERT INTO told SELECT account_id, min(level) FROM expected GROUP BY 1;
END
\$\$;
-- what a sweep does with those that are due and can keep their positions
CREATE FUNCTION look() RETURNS void LANGUAGE sql AS \$\$
	SELECT risk.reband_accounts(d.book_id, array_agg(d.account_id), true) FROM risk.due_accounts() d GROUP BY d.book_id
\$\$;
SQL

sub trade
{
	my $instrument = pick(1, 1, 2, 3, 4, 5);
	my $account = 1 + int(rand($accounts));
	my $btc = $account % 4 == 0;
	$instrument = 3 if $btc;
	$instrument = 1 if !$btc && $instrument == 3;
	my %size = (1 => 0.4, 2 => 900, 3 => 40, 4 => 2000, 5 => 300);
	my $qty = sprintf('%.4f', $size{$instrument} * (rand() + 0.01));
	my $price = sprintf('%.9f', $price{$instrument} * (1 + jump(0.01)));
	my ($side, $other) = rand() < 0.5 ? ('buy', 'sell') : ('sell', 'buy');
	my $maker = $btc ? 1002 : 1001;
	my $child = rand() < 0.15 && $instrument == 1 && $account <= 20;
	my $who = $child ? "coalesce((SELECT a.account_id FROM ledger.account a WHERE a.parent_id = $account), $account)" : $account;
	my $fee = pick(0, 0, 0.01);
	$execution++;
	return "INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, execution_id)
		VALUES ($who, $instrument, '$side', $qty, $price, $fee, $execution), ($maker, $instrument, '$other', $qty, $price, 0, $execution)";
}

sub change
{
	my $choice = rand();
	my $account = 1 + int(rand($accounts));
	return sprintf('SELECT risk.deposit(%d, %s)', $account, $account % 4 == 0 ? '0.01' : 200) if $choice < 0.35;
	return sprintf('SELECT risk.withdraw(%d, %s)', $account, $account % 4 == 0 ? '0.002' : 50) if $choice < 0.75;
	return sprintf("SELECT risk.pay_funding(%d, %s, clock_timestamp())", pick(1, 2, 3), pick('0.001', '-0.002')) if $choice < 0.82;
	return sprintf("SELECT risk.announce_deposit(%d, %s, 'soon', clock_timestamp() + interval '1 hour')", $account, $account % 4 == 0 ? '0.01' : 300)
	  if $choice < 0.85;
	return sprintf("UPDATE ledger.margin_tier SET maintenance_rate = %.3f WHERE instrument_id = %d AND notional_floor = 0",
		0.003 + rand(0.02), pick(1, 2, 3)) if $choice < 0.89;
	return sprintf("INSERT INTO ledger.margin_scale (instrument_id, effective_at, scale)
		VALUES (%d, clock_timestamp() + interval '%d milliseconds', %.1f)", pick(1, 2, 3), 50 + int(rand(400)), 0.8 + rand(2)) if $choice < 0.92;
	return sprintf("UPDATE ledger.instrument SET depth_ratio = %.2f WHERE instrument_id = %d", rand(1.2), pick(1, 2, 3)) if $choice < 0.94;
	return sprintf("UPDATE ledger.account SET policy_code = '%s' WHERE account_id = %d", pick('mark', 'entry', 'amount', 'group'), $account)
	  if $choice < 0.98;
	return sprintf("INSERT INTO ledger.policy (policy_code, version, stages, maintenance_basis, liquidation_fee_base, effective_at, alert_levels, alert_hysteresis)
		SELECT 'mark', max(version) + 1, '{own,fund,house}', 'mark', %.3f, clock_timestamp() + interval '%d milliseconds', '{%s}', %d
		  FROM ledger.policy WHERE policy_code = 'mark'", rand(0.015), int(rand(400)), pick('150,120,105', '160,130', '120'), pick(5, 15));
}

$node->psql('postgres', join(";\n", map { trade() } 1 .. 150), on_error_stop => 0);

my $until = time() + $seconds;
my $ticks = 0;
my (@missed, @defects);
while (time() < $until && !@missed && !@defects)
{
	my @sql;
	for (1 .. 25)
	{
		push @sql, trade(), 'SELECT forget()' for 1 .. pick(0, 2, 4);
		push @sql, change(), 'SELECT forget()' for 1 .. pick(0, 1, 2);
		my $instrument = pick(1, 1, 2, 3, 3, 4, 5);
		$price{$instrument} *= 1 + jump(pick(0.01, 0.03, 0.1));
		push @sql, sprintf("SELECT FROM risk.set_mark_prices('{%d}', '{%.9f}')", $instrument, $price{$instrument});
		push @sql, 'SELECT risk.reband()', 'SELECT judge()', 'SELECT warn()';
		push @sql, 'SELECT look()' if rand() < 0.5;
		$ticks++;
	}
	my ($stdout, $stderr);
	$node->psql('postgres', "\\set VERBOSITY sqlstate\n" . join(";\n", @sql) . ";\n",
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
	# beyond what an account can spare; the side of a child; a time that a scale has passed
	@defects = grep { /ERROR:/ && !/ERROR:  (23514|22023|55000)/ } split /\n/, $stderr;
	@missed = split /\n/, $node->safe_psql('postgres', 'SELECT * FROM missed LIMIT 5');
}
is("@missed", '', "no account is missed (seed $seed)");
is("@defects", '', 'nothing failed that may not');
my ($judged, $liquidatable, $due) = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM tally');
cmp_ok($liquidatable, '>', 0, "$ticks ticks, $judged accounts judged, $due of them due, $liquidatable could be liquidated");
cmp_ok($due, '<', $judged / 2, 'and most need not be looked at');
my ($told, $recovered, $looked) = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM warned');
cmp_ok($told, '>', 0, "$told alerts, $recovered recoveries, $looked accounts looked at for them");
cmp_ok($recovered, '>', 0, 'some recover');
cmp_ok($looked, '<', $judged / 2, 'and most need not be looked at');
is($node->safe_psql('postgres', "SELECT string_agg(check_name || ': ' || first_offender, '; ') FROM risk.verify() WHERE violations > 0"),
	'', 'the books are right');

$node->stop;
done_testing();
