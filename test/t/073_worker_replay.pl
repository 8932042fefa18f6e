# Crashes of the market through the background worker: one session inserts the
# ticks as fast as it can, the worker liquidates, and a third session compares
# what the index finds with a recomputation of every account, all along.  The
# real candles are looked for in RISK_DATA.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $traders = $ENV{RISK_REPLAY_TRADERS} // 240;
my $segments = 6;

my $node = PostgreSQL::Test::Cluster->new('worker_replay');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'risk_ext'\nautovacuum = off\n");
$node->start;

my $database;

sub query
{
	my ($sql) = @_;
	return $node->safe_psql($database, $sql);
}

sub value_is
{
	my ($sql, $expected, $name) = @_;
	return is(query($sql), $expected, "$database: $name");
}

# Traders of five policies, with leverages from 3 to 50, half of them long.
# Each segment of the ticks begins with those whose turn it is opening a
# position at the mark, each against the next one.
my $venue = q(
	CREATE EXTENSION risk_ext;
	SELECT risk.install();
	INSERT INTO ledger.asset VALUES ('USDT', 6);
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, reference_notional) VALUES (1, 'COIN/USDT', 'USDT', 100000);
	INSERT INTO ledger.margin_tier VALUES (1, 0, 0.005, 50), (1, 20000, 0.01, 25), (1, 100000, 0.025, 10);
	INSERT INTO ledger.policy (policy_code, stages, execution, step_rule, liquidation_fee_base, surplus_to)
	VALUES ('at the mark', '{own,fund,house}', 'mark', 'shortage', 0.01, 'trader');
	INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
	SELECT a, 'USDT', 'trader ' || a, (ARRAY['default', 'electra', 'coinex', 'shared_loss', 'at the mark'])[1 + a % 5]
	  FROM generate_series(1, TRADERS) a;
	CREATE TABLE tick (n int PRIMARY KEY, price numeric NOT NULL);
	CREATE TABLE watch (account_id bigint PRIMARY KEY, segment int NOT NULL, qty numeric NOT NULL, liquidation_price numeric);
	CREATE TABLE look (at timestamptz, liquidatable int, missed int);
	CREATE PROCEDURE open_positions(segment int, segments int) LANGUAGE plpgsql AS $$
	DECLARE
		mark numeric := (SELECT price FROM ledger.mark_price);
		one record;
	BEGIN
		FOR one IN
			SELECT a, a + 1 AS other, (ARRAY[3, 5, 10, 20, 25])[1 + a / 2 % 5] AS leverage,
				   (ARRAY[500, 2000, 15000, 40000, 150000])[1 + a / 10 % 5] AS size
			  FROM generate_series(1, TRADERS - 1, 2) a
			 WHERE a / 2 % segments = segment AND mark > 0
		LOOP
			PERFORM risk.deposit(a, ceil(one.size * least(1, 1.0 / least(one.leverage, CASE WHEN one.size > 100000 THEN 10 ELSE 25 END) + 0.03)))
			   FROM unnest(ARRAY[one.a, one.other]) a;
			INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
			SELECT v.a, 1, v.side, round(one.size / mark, 4), mark, e.id
			  FROM (SELECT nextval('ledger.trade_execution_id_seq') AS id OFFSET 0) e,
				   (VALUES (one.a, CASE WHEN one.a % 4 = 1 THEN 'buy' ELSE 'sell' END), (one.other, CASE WHEN one.a % 4 = 1 THEN 'sell' ELSE 'buy' END)) AS v(a, side)
			 ORDER BY v.a;
			COMMIT;
		END LOOP;
		INSERT INTO watch
		SELECT p.account_id, segment, p.qty, r.liquidation_price
		  FROM ledger.position p JOIN ledger.position_risk r USING (book_id, account_id, instrument_id)
		 WHERE p.account_id > 0 AND p.qty <> 0 AND (p.account_id - 1) / 2 * 2 % (2 * segments) / 2 = segment
		ON CONFLICT DO NOTHING;
		COMMIT;
	END
	$$;
	CREATE PROCEDURE feed(first int, last int) LANGUAGE plpgsql AS $$
	DECLARE
		t tick;
	BEGIN
		FOR t IN SELECT * FROM tick WHERE n BETWEEN first AND last ORDER BY n LOOP
			PERFORM risk.set_mark_prices(ARRAY[1], ARRAY[t.price]);
			COMMIT;
		END LOOP;
	END
	$$;
	-- whom a recomputation of everybody finds, and the index does not, by marks and positions of one instant
	CREATE PROCEDURE compare(n int) LANGUAGE plpgsql AS $$
	BEGIN
		-- until the ticks have ended, and n times at least
		FOR i IN 1 .. 1000 LOOP
			EXIT WHEN i > n AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL feed%');
			INSERT INTO look
			SELECT clock_timestamp(), count(*), count(*) FILTER (WHERE d.account_id IS NULL)
			  FROM ledger.account_risk r LEFT JOIN risk.due_accounts() d USING (book_id, account_id)
			 WHERE r.liquidatable AND r.account_id > 0;
			COMMIT;
			PERFORM pg_sleep(0.02);
		END LOOP;
	END
	$$;
);

sub background
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
	return sub { $session->finish; is($err, '', "$database: $sql"); };
}

sub replay
{
	my ($name, @prices) = @_;

	$database = $name;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	(my $sql = $venue) =~ s/TRADERS/$traders/g;
	query($sql);
	query('COPY tick FROM stdin;' . "\n" . join("\n", map { ($_ + 1) . "\t$prices[$_]" } 0 .. $#prices) . "\n\\.\n");
	query(
		q(INSERT INTO ledger.mark_price (instrument_id, price) SELECT 1, price FROM tick WHERE n = 1;
		  INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
		  VALUES (risk.system_account(1, 'external', 'USDT'), risk.system_account(1, 'insurance_fund', 'USDT'), 20000, 'deposit')));
	$node->append_conf('postgresql.conf', "risk_ext.worker_database = '$name'\n");
	$node->restart;

	my $fund = query('SELECT balance FROM ledger.fund_status');
	for my $segment (0 .. $segments - 1)
	{
		my $first = 1 + int($segment * @prices / $segments);
		my $last = int(($segment + 1) * @prices / $segments);

		query("CALL open_positions($segment, $segments)");
		my $feed = background("CALL feed($first, $last)");
		my $compare = background('CALL compare(5)');
		$feed->();
		$compare->();
		# the last tick of the segment stays: the worker comes to an end with it
		$node->poll_query_until($database, 'SELECT NOT EXISTS (SELECT FROM ledger.account_risk WHERE liquidatable AND account_id > 0)'
			. ' AND NOT EXISTS (SELECT FROM ledger.open_shortfall)')
		  or BAIL_OUT("$database: the worker does not come to an end");
		value_is('SELECT check_name, first_offender FROM risk.verify() WHERE violations > 0', '', "segment $segment: the books are right");
	}
	value_is('SELECT count(*) > 0 FROM look WHERE liquidatable > 0', 't', 'the comparison saw accounts that were to be liquidated');
	value_is('SELECT sum(missed) FROM look', '0', 'and the index missed none of them');
	value_is('SELECT count(*) FROM ledger.balance WHERE account_id > 0 AND amount < 0', '0', 'no trader is below zero');
	value_is('SELECT price = (SELECT price FROM tick ORDER BY n DESC LIMIT 1) FROM ledger.mark_price', 't', 'the mark is where the market is');
	# everybody whose price was there when a tick stayed
	value_is(
		q(SELECT count(*) FROM watch w JOIN ledger.position p USING (account_id), ledger.mark_price m
		   WHERE p.qty = w.qty AND CASE WHEN w.qty > 0 THEN m.price < w.liquidation_price ELSE m.price > w.liquidation_price END
			 AND NOT EXISTS (SELECT FROM ledger.liquidation l WHERE l.account_id = w.account_id)), '0',
		'nobody beyond his liquidation price was left alone');
	cmp_ok(query('SELECT count(*) FROM ledger.liquidation'), '>', 0, "$database: accounts were liquidated");

	note("$database: " . scalar(@prices) . " ticks, $traders traders");
	note(query(
		qq(SELECT format('%s liquidations of %s accounts in %s steps, %s resets, fund %s before, %s after; house paid %s',
			(SELECT count(*) FROM ledger.liquidation), (SELECT count(DISTINCT account_id) FROM ledger.liquidation),
			(SELECT count(*) FROM ledger.liquidation_step), (SELECT count(*) FROM ledger.reset), $fund,
			(SELECT balance FROM ledger.fund_status),
			(SELECT coalesce(sum(amount), 0) FROM ledger.reset WHERE stage = 'house')))));
	# from the tick since which the mark is beyond the price of an account to the end of its first liquidation
	note(query(
		q(SELECT format('from mark to liquidation: p50 %s ms, p99 %s ms, of %s',
				round(1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY s)), round(1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY s)), count(*))
			FROM (SELECT extract(epoch FROM l.ended_at - t.at)::float8 AS s
					FROM watch w
				   CROSS JOIN LATERAL (SELECT min(l.started_at) AS started_at, min(l.ended_at) AS ended_at FROM ledger.liquidation l WHERE l.account_id = w.account_id) l
				   CROSS JOIN LATERAL (
					SELECT min(h.observed_at) AS at FROM ledger.mark_price_history h
					 WHERE h.observed_at < l.started_at AND h.observed_at > coalesce((
						SELECT max(o.observed_at) FROM ledger.mark_price_history o
						 WHERE o.observed_at < l.started_at
						   AND CASE WHEN w.qty > 0 THEN o.price > w.liquidation_price ELSE o.price < w.liquidation_price END), '-infinity')) t
				   WHERE l.ended_at IS NOT NULL AND t.at IS NOT NULL) x)));
	return;
}

# Made up: calm, a gap down, half of it back, a rally, and a gap up.
my @made_up = map { sprintf('%.4f', $_) } (
	(map { 100 + $_ % 3 } 1 .. 200), 88, 80, 72, 60, (map { 60 + $_ / 10 } 1 .. 300), (map { 90 + $_ % 7 } 1 .. 300),
	130, (map { 130 + $_ / 2 } 1 .. 80), 260, (map { 250 - $_ } 1 .. 200));
replay('made_up', @made_up);

foreach my $real (
	[ 'btc_march_2020', 'btcusdt_1h_2020-03-08_2020-03-20.csv.gz' ],
	[ 'luna_may_2022', 'lunausdt_1m_2022-05-08_2022-05-13.csv.gz' ])
{
	my ($name, $file) = @$real;
	my $archive = ($ENV{RISK_DATA} // '') . "/$file";

  SKIP:
	{
		skip "RISK_DATA has no $file", 1 unless defined $ENV{RISK_DATA} && -r $archive;

		my ($text) = run_command([ 'gzip', '-dc', $archive ]);
		my (undef, @lines) = split /\n/, $text;
		my @prices;
		foreach (@lines)
		{
			my (undef, $open, $high, $low, $close) = split /,/;
			push @prices, $close >= $open ? ($open, $low, $high, $close) : ($open, $high, $low, $close);
		}
		replay($name, @prices);
	}
}

$node->stop;
done_testing();
