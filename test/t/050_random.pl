# Random statements against two books: trades that net and trades that do not,
# transfers of every kind, marks that jump, accounts that freeze and close,
# savepoints, prepared transactions, constraints made immediate, margin groups.
# Whatever is refused, the books stay right and no trader is below zero; and
# what account_risk says can be withdrawn, can be, and not a unit more.
#
# RISK_SEED repeats a run, RISK_RUNS asks for more of them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $statements = 400;
my $first_seed = $ENV{RISK_SEED} // 1;
my $runs = $ENV{RISK_RUNS} // 4;

my $node = PostgreSQL::Test::Cluster->new('random');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\nfsync = off");
$node->start;

sub pick { return $_[ int(rand(@_)) ]; }

# Roughly normal, which is all that is needed.
sub jump { my ($width) = @_; return $width * (rand() + rand() + rand() - 1.5) * 2; }

sub schema_of_the_run
{
	my @sql = (
		'CREATE EXTENSION risk_ext', 'SELECT risk.install()',
		sprintf("INSERT INTO ledger.asset VALUES ('USDT', %d), ('JPY', 0)", pick(0, 2, 6)),
		"INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier)
		 VALUES (1, 'A', 'USDT', 1), (2, 'B', 'USDT', 0.001), (3, 'C', 'JPY', 10)",
		'INSERT INTO ledger.margin_tier VALUES (1, 0, 0.01, 50), (1, 10000, 0.02, 20), (2, 0, 0.005, 100)',
		'INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100), (2, 5000)',
		"SELECT risk.create_book(2, 'two')",
		"UPDATE ledger.book SET unmatched = 'liquidity' WHERE book_id = 2",
		"INSERT INTO ledger.policy (policy_code, stages, collateral_group)
		 VALUES ('group', ARRAY['own', 'fund', 'house'], true), ('strict_group', ARRAY['own', 'reject'], true)",
		"INSERT INTO ledger.index_price (asset_code, price) VALUES ('USDT', 1), ('JPY', 0.0068)",
		sprintf("INSERT INTO ledger.collateral VALUES ('USDT', %s), ('JPY', 0.07, NULL)", pick('0, NULL', '0.02, 100')));
	for my $book (1, 2)
	{
		push @sql,
		  "INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code)
		   SELECT $book, g, 'USDT', CASE WHEN g % 7 = 0 THEN 'strict' ELSE 'electra' END FROM generate_series(1, 20) g",
		  "INSERT INTO ledger.account (book_id, account_id, asset_code) SELECT $book, g, 'JPY' FROM generate_series(21, 30) g",
		  # every third account has an owner with a margin group: some of one asset, some of two
		  "UPDATE ledger.account SET owner_id = 'owner ' || account_id % 4,
				  policy_code = CASE policy_code WHEN 'strict' THEN 'strict_group' ELSE 'group' END
			WHERE book_id = $book AND account_id > 0 AND account_id % 3 = 0",
		  "SELECT count(risk.deposit(g, 100 + g * 37, $book)) FROM generate_series(1, 30) g",
		  sprintf("SELECT risk.deposit(risk.system_account($book, 'insurance_fund', 'USDT'), %d, $book)", pick(50, 1000, 100000)),
		  sprintf("SELECT risk.deposit(risk.system_account($book, 'liquidity', 'USDT'), %d, $book)", pick(1, 1000, 100000));
	}
	return @sql;
}

my %price;
my $execution;

sub execution_rows
{
	my ($book) = @_;
	my $instrument = pick(1, 1, 2, 3);
	my $taker = $instrument == 3 ? 21 + int(rand(10)) : 1 + int(rand(20));
	my $maker = $taker;
	$maker = $instrument == 3 ? 21 + int(rand(10)) : 1 + int(rand(20)) while $maker == $taker;
	my $qty = sprintf('%.8f', pick(1, 0.5, 3, rand(10) + 0.001));
	my $price = $price{$instrument} * (1 + jump(0.05));
	$price = sprintf('%.*f', pick(0, 2, 5), $price < 0.5 ? 0.5 : $price);
	$price = 1 if $price == 0;
	my $fee = pick(0, 0, 0, 1);
	my ($side, $other) = rand() < 0.5 ? ('buy', 'sell') : ('sell', 'buy');
	my @rows = ("($book, $taker, $instrument, '$side', $qty, $price, $fee, " . ++$execution . ')');
	# the liquidity account of book 2 takes the other side of some
	push @rows, "($book, $maker, $instrument, '$other', $qty, $price, $fee, $execution)"
	  unless $book == 2 && rand() < 0.3;
	return @rows;
}

sub trades
{
	return 'INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id) VALUES '
	  . join(', ', @_);
}

sub deposit
{
	my ($book) = @_;
	return sprintf('SELECT risk.deposit(%d, %d, %d)', 1 + int(rand(20)), 1 + int(rand(300)), $book);
}

sub random_statements
{
	my ($number) = @_;
	my $book = pick(1, 1, 2);
	my $choice = rand();

	if ($choice < 0.15)
	{
		my $instrument = pick(1, 2, 3);
		$price{$instrument} *= 1 + jump(0.15);
		$price{$instrument} = 0.6 if $price{$instrument} < 0.6;
		return sprintf("SELECT result FROM risk.set_mark_prices('{%d}', '{%.4f}')", $instrument, $price{$instrument});
	}
	if ($choice < 0.55)
	{
		return trades(map { execution_rows(pick(1, 2)) } 1 .. pick(1, 1, 1, 3, 10));
	}
	if ($choice < 0.75)
	{
		my @sql = ('BEGIN');
		push @sql, 'SET CONSTRAINTS ALL IMMEDIATE' if rand() < 0.3;
		for (1 .. 1 + int(rand(4)))
		{
			push @sql, 'SAVEPOINT outer_one' if rand() < 0.3;
			push @sql, trades(execution_rows($book));
			push @sql, 'SAVEPOINT inner_one', trades(execution_rows($book)), 'ROLLBACK TO inner_one'
			  if rand() < 0.2;
			push @sql, deposit($book) if rand() < 0.3;
		}
		push @sql,
		  pick(['COMMIT'], ['COMMIT'], ['ROLLBACK'], [ "PREPARE TRANSACTION 'p$number'", "COMMIT PREPARED 'p$number'" ])->@*;
		return @sql;
	}
	return sprintf('SELECT risk.withdraw(%d, %d, %d)', 1 + int(rand(30)), 1 + int(rand(300)), $book)
	  if $choice < 0.85;
	return sprintf("INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
		VALUES (%d, %d, risk.system_account(%d, 'house', 'USDT'), %d, '%s')",
		$book, 1 + int(rand(20)), $book, 1 + int(rand(800)), pick('chargeback', 'correction', 'fee', 'transfer'))
	  if $choice < 0.92;
	return sprintf("UPDATE ledger.account SET status = '%s' WHERE book_id = %d AND account_id = %d",
		pick('active', 'active', 'frozen', 'reduce_only', 'closed'), $book, 1 + int(rand(30)));
}

# What may be refused here, by SQLSTATE; anything else is a defect.
my %expected = (
	'23514' => 'beyond what the account can spare, or its policy',
	'55000' => 'state of the account, or no mark price',
	'22023' => 'asset of another account',
	'25P02' => 'the transaction is aborted already',
	'3B001' => 'a savepoint that was refused with its transaction',
	'42704' => 'a transaction that was refused and not prepared');

for my $seed ($first_seed .. $first_seed + $runs - 1)
{
	srand($seed);
	%price = (1 => 100, 2 => 5000, 3 => 7);
	$execution = 0;
	$node->safe_psql('postgres', "CREATE DATABASE random$seed");

	my @sql = schema_of_the_run();
	my $proof = "SELECT 'WRONG', check_name, first_offender FROM risk.verify() WHERE violations > 0
		UNION ALL SELECT 'WRONG', 'trader below zero', b.account_id::text
		FROM ledger.balance b JOIN ledger.account a USING (book_id, account_id)
		WHERE a.kind = 'trader' AND b.amount < 0";
	for my $number (1 .. $statements)
	{
		push @sql, random_statements($number);
		push @sql, $proof if $number % 20 == 0;
	}
	push @sql, <<'SQL',
CREATE FUNCTION pg_temp.withdrawn(book_id int, account_id bigint, amount numeric) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM risk.withdraw(account_id, amount, book_id);
	RAISE SQLSTATE 'Z0001';
EXCEPTION
	WHEN SQLSTATE 'Z0001' THEN RETURN 'yes';
	WHEN check_violation OR object_not_in_prerequisite_state THEN RETURN 'no';
END
$$
SQL
	  "SELECT 'WRONG', 'withdrawable', r.book_id, r.account_id, r.withdrawable, pg_temp.withdrawn(r.book_id, r.account_id, r.withdrawable)
		 FROM ledger.account_risk r JOIN ledger.asset s USING (asset_code)
		WHERE r.account_id > 0
		  AND (trunc(r.withdrawable, s.scale) > 0 AND pg_temp.withdrawn(r.book_id, r.account_id, trunc(r.withdrawable, s.scale)) <> 'yes'
			   OR pg_temp.withdrawn(r.book_id, r.account_id, trunc(r.withdrawable, s.scale) + ('1e-' || s.scale)::numeric) <> 'no')",
	  "SELECT 'RESETS', count(*) FROM ledger.reset",
	  "SELECT 'EXCHANGES', count(*) FROM ledger.exchange WHERE asset_code <> from_asset";

	my ($stdout, $stderr);
	$node->psql("random$seed", "\\set VERBOSITY sqlstate\n" . join(";\n", @sql) . ";\n",
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);

	my @wrong = grep { /^WRONG/ } split /\n/, $stdout;
	is("@wrong", '', "seed $seed: the books are right after every 20 of $statements statements");
	my @defects = grep { /ERROR:  (\w{5})/ && !$expected{$1} } split /\n/, $stderr;
	is("@defects", '', "seed $seed: nothing failed that may not");
	my ($resets) = $stdout =~ /^RESETS\|(\d+)/m;
	cmp_ok($resets // 0, '>', 0, "seed $seed: $resets resets");
	my ($exchanges) = $stdout =~ /^EXCHANGES\|(\d+)/m;
	cmp_ok($exchanges // 0, '>', 0, "seed $seed: $exchanges exchanges between assets");
}

$node->stop;
done_testing();
