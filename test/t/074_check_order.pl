
# Random accounts and orders in a random market: linear, inverse and quanto
# contracts with tiers, open interest, limits and life states; cross, isolated
# and hedged accounts, margin groups, states, order reserves.
#
# What risk.check_order() says is compared with what happens: the trade is
# booked, with a new account on the other side, the views are read, the commit
# is simulated, and all is undone.  It must be booked exactly when check_order
# says so, or when it is only not covered and the policy does not mind; and the
# figures are the same text.
#
# RISK_SEED repeats a run, RISK_SECONDS says for how long orders come (default 25).

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{RISK_SEED} // int(time());
my $seconds = $ENV{RISK_SECONDS} // 25;

note "RISK_SEED=$seed";
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('check_order');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off");
$node->start;

sub pick { return $_[ int(rand(@_)) ]; }

my %price = (1 => 30000, 2 => 100, 3 => 60000, 4 => 5, 5 => 0.0000213);

$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION risk_ext;
SELECT risk.install();
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8);
INSERT INTO ledger.instrument (instrument_id, symbol, kind, settle_asset, multiplier, reference_notional, limit_mode, open_interest_limit, open_interest_lo, open_interest_hi) VALUES
	(1, 'A', 'linear', 'USDT', 1, 20000, 'refuse', NULL, NULL, NULL), (2, 'B', 'quanto', 'USDT', 0.1, NULL, 'refuse', 12000, 2000, 20000),
	(3, 'C', 'inverse', 'BTC', 100, 1, 'report', 50, 20, 2000), (4, 'D', 'linear', 'USDT', 1, NULL, 'report', NULL, NULL, NULL),
	(5, 'E', 'linear', 'USDT', 1000, 500, 'refuse', NULL, NULL, NULL);
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, maintenance_amount, notional_cap) VALUES
	(1, 0, 0.004, 100, 100, NULL), (1, 20000, 0.01, 50, 300, NULL), (1, 60000, 0.05, 10, 900, 90000),
	(2, 0, 0.02, 20, 50, NULL), (2, 5000, 0.01, 20, 80, NULL),
	(3, 0, 0.005, 100, 0.01, NULL), (3, 0.5, 0.02, 25, 0.03, 1),
	(4, 1000, 0.03, 10, 20, NULL);
INSERT INTO ledger.price_band (instrument_id, width) VALUES (1, 0.1);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis, liquidation_trigger, liquidation_fee_base,
		liquidation_fee_by_size, liquidation_fee_by_volatility, liquidation_fee_by_depth, collateral_group, refuse_uncovered,
		profit_backs_margin, frozen_reduces, trading_fee_to_fund) VALUES
	('mark', '{own,fund,house}', 'mark', 'at_or_below', 0.005, 0.001, 0.002, 0.01, false, true, false, true, 0.1),
	('entry', '{own,fund,house}', 'entry', 'below', NULL, 0, 0, 0, false, false, true, false, 0),
	('amount', '{own,fund,house}', 'amount', 'at_or_below', 0.01, 0, 0, 0, false, true, false, false, 0),
	('refusing', '{own,reject}', 'mark', 'below', NULL, 0, 0, 0, false, true, false, true, 0),
	('group', '{own,fund,house}', 'mark', 'below', NULL, 0, 0, 0, true, true, false, true, 0);
INSERT INTO ledger.index_price (asset_code, price) VALUES ('USDT', 1), ('BTC', 60000);
INSERT INTO ledger.collateral VALUES ('USDT', 0, NULL), ('BTC', 0.05, NULL);
INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
SELECT g, CASE WHEN g % 4 = 0 THEN 'BTC' ELSE 'USDT' END, 'owner ' || g / 2,
	   (ARRAY['electra', 'mark', 'entry', 'refusing', 'amount', 'mark', 'group', 'group', 'group'])[1 + g % 9]
  FROM generate_series(1, 72) g;
INSERT INTO ledger.position_limit (instrument_id, owner_id, max_qty, max_notional)
SELECT i, 'owner ' || g, CASE i WHEN 1 THEN 1.5 ELSE 1500 END, CASE WHEN g % 3 = 0 THEN 20000 END FROM generate_series(1, 20) g, generate_series(1, 2) i;
SELECT count(risk.deposit(a.account_id, CASE WHEN a.asset_code = 'BTC' THEN 0.05 ELSE 500 + 100 * a.account_id END))
  FROM ledger.account a WHERE a.account_id BETWEEN 1 AND 1000;
SELECT risk.deposit(risk.system_account(1, 'insurance_fund', 'USDT'), 1000), risk.deposit(risk.system_account(1, 'liquidity', 'USDT'), 1e9),
	risk.deposit(risk.system_account(1, 'liquidity', 'BTC'), 1e5);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, $price{1}), (2, $price{2}), (3, $price{3}), (4, $price{4}), (5, $price{5});
SELECT risk.open_isolated(a.account_id, 1, 100, CASE WHEN a.account_id % 3 = 0 THEN 'long' END) FROM ledger.account a
 WHERE a.account_id BETWEEN 1 AND 24 AND a.asset_code = 'USDT';
INSERT INTO ledger.margin_setting (account_id, instrument_id, leverage, mode)
SELECT a.parent_id, 1, 10 + a.parent_id, CASE WHEN a.parent_id % 2 = 0 THEN 'isolated' ELSE 'cross' END FROM ledger.account a WHERE a.parent_id IS NOT NULL;
CREATE SEQUENCE stranger START 1000000;
CREATE TABLE defect (what text, asked text, said text, found text);
CREATE TABLE tally (rule text PRIMARY KEY, n bigint);

CREATE FUNCTION try(account_id bigint, instrument_id int, side text, qty numeric, price numeric, fee numeric) RETURNS void
LANGUAGE plpgsql AS \$\$
DECLARE
	said record;
	seen record;
	stranger bigint := nextval('stranger');
	booked boolean := false;
	accepted boolean := false;
	error text;
	covered_by_policy boolean;
	asked text := format('%s %s %s %s at %s fee %s', account_id, instrument_id, side, qty, price, fee);
BEGIN
	SELECT * INTO said FROM risk.check_order(account_id, instrument_id, side, qty, price, fee => fee);
	SELECT p.refuse_uncovered INTO covered_by_policy
	  FROM ledger.account a JOIN ledger.policy p USING (policy_code) WHERE a.account_id = try.account_id ORDER BY p.version DESC LIMIT 1;
	BEGIN
		INSERT INTO ledger.account (account_id, asset_code) SELECT stranger, i.settle_asset FROM ledger.instrument i WHERE i.instrument_id = try.instrument_id;
		PERFORM risk.deposit(stranger, 1e9);
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, execution_id, kind) VALUES
			(account_id, instrument_id, side, qty, price, fee, stranger, 'trade'),
			(stranger, instrument_id, CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END, qty, price, 0, stranger, 'liquidation');
		booked := true;
		SELECT r.*, q.entry_price, q.liquidation_price, q.bankruptcy_price, q.distance_percent, q.qty AS qty_after INTO seen
		  FROM ledger.account_risk r
		  LEFT JOIN ledger.position_risk q ON q.account_id = r.account_id AND q.instrument_id = try.instrument_id
		 WHERE r.account_id = try.account_id;
		SET CONSTRAINTS ALL IMMEDIATE;
		accepted := true;
		RAISE SQLSTATE 'RX000';
	EXCEPTION WHEN OTHERS THEN
		error := SQLSTATE || ' ' || SQLERRM;
	END;
	SET CONSTRAINTS ALL DEFERRED;
	IF accepted IS DISTINCT FROM (said.allowed OR said.rule = 'uncovered' AND NOT covered_by_policy) THEN
		INSERT INTO defect VALUES ('verdict', asked, said::text, error);
	END IF;
	IF said.allowed IS DISTINCT FROM (said.rule IS NULL) OR (said.rule IS NULL) IS DISTINCT FROM (said.reason IS NULL) THEN
		INSERT INTO defect VALUES ('rule', asked, said::text, error);
	END IF;
	IF booked AND (said.balance_after, said.unrealized_pnl_after, said.equity_after, said.notional_after, said.initial_margin_after,
			said.maintenance_margin_after, said.liquidation_requirement_after, said.free_collateral_after, said.withdrawable_after,
			said.margin_level_after, said.group_level_after, said.leverage_after, said.entry_price_after, said.liquidation_price_after,
			said.bankruptcy_price_after, said.distance_percent_after, nullif(said.qty_after, 0))::text
		IS DISTINCT FROM (seen.balance, seen.unrealized_pnl, seen.equity, seen.notional, seen.initial_margin,
			seen.maintenance_margin, seen.liquidation_requirement, seen.free_collateral, seen.withdrawable,
			seen.margin_level, seen.group_level, seen.leverage, seen.entry_price, seen.liquidation_price,
			seen.bankruptcy_price, seen.distance_percent, seen.qty_after)::text THEN
		INSERT INTO defect VALUES ('figures', asked, said::text, seen::text);
	END IF;
	INSERT INTO tally VALUES (coalesce(said.rule, CASE WHEN said.adds_risk THEN 'allowed' ELSE 'reduces' END), 1)
		ON CONFLICT (rule) DO UPDATE SET n = tally.n + 1;
END
\$\$;
-- an order that is filled
CREATE FUNCTION fill(account_id bigint, instrument_id int, side text, qty numeric, price numeric) RETURNS void
LANGUAGE sql AS \$\$
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT v.account_id, instrument_id, v.side, qty, price, e.id
	  FROM (SELECT nextval('ledger.trade_execution_id_seq') AS id) e, ledger.instrument i,
		LATERAL (VALUES (account_id, side), (risk.system_account(1, 'liquidity', i.settle_asset), CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END)) AS v(account_id, side)
	 WHERE i.instrument_id = fill.instrument_id
\$\$;
SQL

sub order
{
	my ($function) = @_;
	my $instrument = pick(1, 1, 2, 3, 4, 5);
	my $account = rand() < 0.02 ? 999 : 1 + int(rand(72));
	$instrument = 3 if $account % 4 == 0 && rand() < 0.95;
	$instrument = 1 if $account % 4 != 0 && $instrument == 3 && rand() < 0.95;
	my %size = (1 => 1, 2 => 900, 3 => 40, 4 => 2000, 5 => 300);
	my $qty = sprintf('%.4f', $size{$instrument} * pick(0.3, 1, 3) * (rand() + 0.001));
	my $price = sprintf('%.9f', $price{$instrument} * (1 + pick(0.01, 0.01, 0.2) * (rand() + rand() - 1)));
	my $who = $account;
	$who = "coalesce((SELECT a.account_id FROM ledger.account a WHERE a.parent_id = $account), $account)"
	  if $instrument == 1 && rand() < 0.5;
	# close what there is, now and then
	my $amount = rand() < 0.2 ? "coalesce((SELECT nullif(abs(p.qty), 0) FROM ledger.position p WHERE p.account_id = $who AND p.instrument_id = $instrument), $qty)" : $qty;
	my $side = pick('buy', 'sell');
	return sprintf("SELECT %s(%s, %d, '%s', %s, %s%s)", $function, $who, $instrument, $side, $amount, $price,
		$function eq 'try' ? ', ' . pick(0, 0, 0.01, '-0.01', 3) : '');
}

sub change
{
	my $choice = rand();
	my $account = 1 + int(rand(72));
	my $instrument = pick(1, 2, 3, 4, 5);
	return sprintf('SELECT risk.withdraw(%d, %s)', $account, $account % 4 == 0 ? '0.01' : 300) if $choice < 0.2;
	return sprintf("UPDATE ledger.account SET status = '%s' WHERE account_id = %d", pick('active', 'active', 'reduce_only', 'frozen', 'closing'), $account) if $choice < 0.4;
	return sprintf("UPDATE ledger.instrument SET state = '%s', max_mark_age = %s WHERE instrument_id = %d",
		pick('open', 'open', 'open', 'close_only', 'halted'), pick('NULL', "'1 hour'", "'1 microsecond'"), $instrument) if $choice < 0.55;
	return sprintf("INSERT INTO ledger.order_reserve (account_id, order_id, instrument_id, amount) VALUES (%d, %d, %d, %s)
		ON CONFLICT (book_id, account_id, order_id) DO UPDATE SET amount = excluded.amount",
		$account, 1 + int(rand(3)), $account % 4 ? 1 : 3, $account % 4 ? int(rand(300)) : sprintf('%.4f', rand(0.01))) if $choice < 0.75;
	return sprintf("INSERT INTO ledger.margin_setting (account_id, instrument_id, leverage) VALUES (%d, %d, %d)
		ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE SET leverage = excluded.leverage", $account, $account % 4 ? 1 : 3, pick(2, 5, 20, 50)) if $choice < 0.85;
	$price{$instrument} *= 1 + 0.1 * (rand() - 0.5);
	return sprintf("SELECT FROM risk.set_mark_prices('{%d}', '{%.9f}')", $instrument, $price{$instrument});
}

$node->psql('postgres', join(";\n", map { order('fill') } 1 .. 150), on_error_stop => 0);

my $until = time() + $seconds;
my $orders = 0;
my @defects;
while (time() < $until && !@defects)
{
	my @sql;
	for (1 .. 20)
	{
		push @sql, order('try') for 1 .. 5;
		push @sql, order('fill') if rand() < 0.4;
		push @sql, change();
		$orders += 5;
	}
	my ($stdout, $stderr);
	$node->psql('postgres', "\\set VERBOSITY sqlstate\n" . join(";\n", @sql) . ";\n",
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
	@defects = grep { /ERROR:/ && !/ERROR:  (23514|22023|55000|23503)/ } split /\n/, $stderr;
	push @defects, split /\n/, $node->safe_psql('postgres', 'SELECT * FROM defect LIMIT 5');
}
is(join("\n", @defects), '', "what is said is what happens (seed $seed)");
my %tally = map { split /\|/ } split /\n/, $node->safe_psql('postgres', 'SELECT * FROM tally ORDER BY rule');
note "$orders orders: " . join(', ', map { "$_ $tally{$_}" } sort keys %tally);
cmp_ok($tally{$_} // 0, '>', 0, "orders of kind $_")
  for qw(allowed reduces unknown account state uncovered max_qty notional_cap);
is($node->safe_psql('postgres', "SELECT string_agg(check_name || ': ' || first_offender, '; ') FROM risk.verify() WHERE violations > 0"),
	'', 'the books are right');

$node->stop;
done_testing();
