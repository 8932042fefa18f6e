# The demos, run as `make demo` runs them, and what they must end with.  The
# real candles are looked for in RISK_DATA.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $demo = "$FindBin::RealBin/../../demo";
my $directory = PostgreSQL::Test::Utils::tempdir();

my $node = PostgreSQL::Test::Cluster->new('demo');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'");
$node->start;

# Runs a script in a database of its own; returns what it wrote.
sub run_demo
{
	my ($database, $script, %variables) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	return run_command(
		[
			'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-P', 'pager=off', '-P', 'footer=off',
			(map { ('-v', "$_=$variables{$_}") } sort keys %variables),
			'-d', $node->connstr($database), '-f', "$demo/$script"
		]);
}

sub value_is
{
	my ($database, $sql, $expected, $name) = @_;

	is($node->safe_psql($database, $sql), $expected, "$database: $name");
}

# What holds for every venue after every run.
sub books_are_right
{
	my ($database) = @_;

	value_is($database,
		'SELECT check_name, violations, first_offender FROM risk.verify() WHERE violations <> 0', '',
		'verify() finds nothing');
	value_is($database, 'SELECT count(*) > 15 FROM risk.verify()', 't', 'verify() has checked');
	value_is($database, 'SELECT count(*) FROM ledger.balance WHERE account_id > 0 AND amount < 0', '0',
		'no trader is below zero');
	value_is($database,
		'SELECT a.asset_code, sum(b.amount) FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)'
		  . ' GROUP BY a.asset_code HAVING sum(b.amount) <> 0', '',
		'each asset sums to zero');
	value_is($database, 'SELECT count(*) > 0 FROM ledger.reset', 't', 'there were resets');
	value_is($database,
		'SELECT count(*) FROM ledger.reset r LEFT JOIN ledger.trade t ON t.book_id = r.book_id AND t.trade_id = r.cause'
		  . " WHERE r.cause_kind <> 'trade' OR t.account_id IS DISTINCT FROM r.account_id", '0',
		'each reset has a trade of its account as its cause');
	value_is($database,
		q{SELECT count(*) FROM ledger.position_risk WHERE account_id > 0
			 AND CASE WHEN qty > 0 THEN mark_price <= liquidation_price
					  ELSE mark_price >= coalesce(liquidation_price, 0) END}, '0',
		'nobody is left at or past the liquidation price');
	value_is($database,
		q{SELECT sum(e.amount) FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
		   WHERE a.kind = 'insurance_fund' AND e.kind IN ('deposit', 'takeover_result')}
		  , $node->safe_psql($database, 'SELECT balance + coalesce(paid, 0) FROM ledger.fund_status'),
		'what the fund had is what it paid and what it has');
}

sub replay
{
	my ($database, $candles, %variables) = @_;
	my ($stdout, $stderr) = run_demo($database, 'replay.sql', candles => $candles, %variables);

	is($stderr, '', "$database: the replay ends without an error");
	like($stdout, qr/^== The figures$/m, "$database: the replay ends with its figures");
	books_are_right($database);
	value_is($database,
		'SELECT count(*) FROM demo.watch w FULL JOIN ledger.position_risk p USING (account_id)'
		  . ' WHERE account_id > 0'
		  . ' AND round(w.liquidation_price, 8) IS DISTINCT FROM round(coalesce(p.liquidation_price, 0), 8)', '0',
		'the liquidation prices that were watched are those of the view');
	note($stdout);
	return;
}

sub write_candles
{
	my ($name, @rows) = @_;
	my $path = "$directory/$name.csv";

	open(my $file, '>', $path) or die "$path: $!";
	print $file join("\n", 'ts_utc,open,high,low,close,volume_base', @rows), "\n";
	close($file);
	return $path;
}

# Flash crash

my ($stdout, $stderr) = run_demo('flash_crash', 'flash_crash.sql');
is($stderr, '', 'flash_crash: the demo ends without an error');
like($stdout, qr/^ alice .* 50000\.00 \|/m, 'flash_crash: the liquidation price is 50,000');
like($stdout, qr/^ alice .* -1750\.00 \| +0\.00$/m, 'flash_crash: below zero inside, zero after commit');
books_are_right('flash_crash');
value_is('flash_crash',
	q{SELECT r.account_id, b.amount, t.kind, t.price, r.balance_before, r.amount, r.stage
		FROM ledger.reset r
		JOIN ledger.trade t ON t.book_id = r.book_id AND t.trade_id = r.cause
		JOIN ledger.balance b ON b.book_id = r.book_id AND b.account_id = r.account_id
	   WHERE r.account_id < 10 ORDER BY r.account_id},
	join("\n", map { "$_|0.00|liquidation|48000|-1750.00|1750.00|fund" } 1, 3, 5, 7, 9),
	'sold at 48,000 instead of 49,750: the fund paid 1,750 for each of five');
value_is('flash_crash', 'SELECT price FROM ledger.mark_price', '52000', 'the price is back');
value_is('flash_crash', q{SELECT count(*) FROM ledger.account WHERE kind = 'trader'}, '300', 'it has 300 accounts');

# Candles made up: calm, a gap down, back, a rally.  The fund is too small.

my @closes = ((map { 100 + $_ % 3 } 1 .. 30), 70, 60, 62, 85, (map { 90 + $_ % 5 } 1 .. 20), 110, 130, 145, 0.001, 0.002);
my $last = 100;
my @rows;
foreach my $minute (0 .. $#closes)
{
	my ($open, $close) = ($last, $closes[$minute]);
	my ($high, $low) = $open > $close ? ($open, $close) : ($close, $open);

	# every seventh candle opens away from the last close
	$open = $high if $minute % 7 == 0;
	push @rows,
	  sprintf('2020-01-01T00:%02d:00Z,%s,%s,%s,%s,1', $minute, $open, $high * 1.01, $low * 0.99, $close);
	$last = $close;
}
my $candles = write_candles('made_up', @rows);

replay('made_up', $candles, accounts => 40, fund => 1000, liquidity => 1000);
value_is('made_up', q{SELECT string_agg(DISTINCT stage, ' ' ORDER BY stage) FROM ledger.reset}, 'fund house',
	'the fund runs dry and the house pays the rest');
value_is('made_up', 'SELECT count(*) FROM ledger.mark_price_history', 4 * @rows, 'four marks for each candle');

# The same seed gives the same venue, another seed another one.

my $digest = q{SELECT md5(string_agg(concat_ws(' ', account_id, side, qty, price, fee, kind), ',' ORDER BY trade_id))
	FROM ledger.trade};
run_demo('same_seed', 'replay.sql', candles => $candles, accounts => 40, fund => 1000, liquidity => 1000);
run_demo('other_seed', 'replay.sql', candles => $candles, accounts => 40, fund => 1000, liquidity => 1000, seed => 2);
value_is('same_seed', $digest, $node->safe_psql('made_up', $digest), 'the same trades as the run before');
books_are_right('other_seed');
isnt($node->safe_psql('other_seed', $digest), $node->safe_psql('made_up', $digest), 'another seed: other trades');

# Candles that are none

($stdout, $stderr) =
  run_demo('high_below_low', 'replay.sql', candles => write_candles('high_below_low', '2020-01-01T00:00:00Z,10,9,11,10,1'));
like($stderr, qr/violates check constraint/, 'a candle with its high below its low is refused');
($stdout, $stderr) = run_demo('no_candles', 'replay.sql', candles => write_candles('no_candles'));
like($stderr, qr/there are no candles/, 'a file without candles is refused');
($stdout, $stderr) = run_demo('no_file', 'replay.sql', candles => "$directory/no_such_file.csv");
like($stderr, qr/could not open file/, 'a file that is not there is named');

# Real candles

foreach my $real (
	[ 'btc_march_2020', 'btcusdt_1h_2020-03-08_2020-03-20.csv.gz', 312 ],
	[ 'luna_may_2022', 'lunausdt_1m_2022-05-08_2022-05-13.csv.gz', 7240 ])
{
	my ($database, $name, $count) = @$real;
	my $archive = ($ENV{RISK_DATA} // '') . "/$name";

  SKIP:
	{
		skip "RISK_DATA has no $name", 1 unless defined $ENV{RISK_DATA} && -r $archive;

		my ($text) = run_command([ 'gzip', '-dc', $archive ]);
		my (undef, @lines) = split /\n/, $text;
		replay($database, write_candles($database, @lines));
		value_is($database, 'SELECT count(*) FROM ledger.mark_price_history', 4 * $count, 'four marks for each candle');
		value_is($database,
			q{SELECT f.balance > 0, count(*) FILTER (WHERE r.stage = 'house') > 0
				FROM ledger.fund_status f, ledger.reset r GROUP BY f.balance},
			$database eq 'luna_may_2022' ? 'f|t' : 't|f',
			$database eq 'luna_may_2022' ? 'the fund runs dry and the house pays the rest' : 'the fund pays for all');
	}
}

$node->stop;
done_testing();
