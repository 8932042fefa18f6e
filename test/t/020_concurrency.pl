# Sixteen clients at once: trades that end in losses, fees to the insurance
# fund, withdrawals, deposits, journals, holds, batches with accounts in any
# order and keys that repeat, and payments out of the fund, until the fund runs
# dry; in transactions of one statement, and of several that take accounts in
# ascending order.  Marks move, accounts are swept, and what stands on suspense
# is settled all along.  No deadlock, nothing below its floor and no shortfall
# without its payers at any commit, and the books are right in the end.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 16;
my $seconds = $ENV{RISK_SECONDS} // 6;    # for each isolation level

my $node = PostgreSQL::Test::Cluster->new('concurrency');
$node->init;
$node->append_conf('postgresql.conf', "max_connections = 60\ndeadlock_timeout = 200ms\njit = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION risk_ext');
$node->safe_psql(
	'postgres', q(
	SELECT risk.install();
	INSERT INTO ledger.asset VALUES ('USD', 2);
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
	VALUES (1, 'BTC', 'USD'), (2, 'ETH', 'USD');
	INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage)
	VALUES (1, 0.005, 100), (2, 0.005, 100);
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 100), (2, 100);
	INSERT INTO ledger.policy (policy_code, stages)
	VALUES ('adl and shares', ARRAY['own', 'fund', 'suspense', 'adl', 'socialise', 'house']);
	INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
	SELECT a, 'USD', 'owner ' || a, (ARRAY['default', 'default', 'coinex', 'shared_loss', 'adl and shares'])[1 + a % 5] FROM generate_series(1, 40) a;
	SELECT risk.deposit(a, 400) FROM generate_series(1, 40) a;
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	VALUES (risk.system_account(1, 'external', 'USD'), risk.system_account(1, 'insurance_fund', 'USD'), 5000, 'deposit');

	CREATE SCHEMA client;
	CREATE TABLE client.stop ();
	CREATE TABLE client.kept (amount numeric);

	CREATE PROCEDURE client.trade(a bigint, b bigint, instrument int, qty numeric, price numeric)
	LANGUAGE sql AS $$
		WITH e AS (SELECT nextval('ledger.trade_execution_id_seq') AS id)
		INSERT INTO ledger.trade (execution_id, account_id, instrument_id, side, qty, price, fee)
		SELECT e.id, v.account_id, instrument, v.side, qty, price, 0.05
		  FROM e, (VALUES (a, 'buy'), (b, 'sell')) v(account_id, side)
	$$;

	-- what may be refused
	CREATE PROCEDURE client.pay(payer bigint, payee bigint, amount numeric, kind text)
	LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
		VALUES (payer, payee, amount, kind);
	EXCEPTION
		WHEN check_violation THEN
			NULL;
		-- nothing leaves the fund while a shortfall stands open
		WHEN object_not_in_prerequisite_state THEN
			IF SQLERRM NOT LIKE '%shortfall%' THEN
				RAISE;
			END IF;
			INSERT INTO client.kept VALUES (amount);
	END $$;

	CREATE PROCEDURE client.post(a bigint, b bigint, c bigint, amount numeric)
	LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM risk.post(1, ARRAY[a, b, c], ARRAY[-2 * amount, amount, amount]);
	EXCEPTION WHEN check_violation THEN
		NULL;
	END $$;

	CREATE PROCEDURE client.hold(a bigint, amount numeric)
	LANGUAGE plpgsql AS $$
	DECLARE
		held bigint;
	BEGIN
		held := risk.hold(a, 2 * amount);
		PERFORM risk.capture(held, amount), risk.release(held);
	EXCEPTION WHEN check_violation THEN
		NULL;
	END $$;

	-- Looks at the books again and again, each time at one snapshot.
	CREATE FUNCTION client.watch() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
	DECLARE
		bad text;
		looks bigint := 0;
	BEGIN
		LOOP
			SELECT string_agg(u.what, '; ') INTO bad
			  FROM (SELECT format('account %s has %s', b.account_id, sum(b.amount)) AS what
					  FROM ledger.balance b
					 GROUP BY b.account_id
					HAVING sum(b.amount) < max(b.floor)
					UNION ALL
					SELECT format('all balances together are %s', sum(b.amount))
					  FROM ledger.balance b
					HAVING sum(b.amount) <> 0
					UNION ALL
					SELECT format('suspense has %s, %s stand open', s.balance, s.open)
					  FROM (SELECT (SELECT coalesce(sum(b.amount), 0) FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
									 WHERE a.kind = 'suspense') AS balance,
								   (SELECT coalesce(sum(o.remaining), 0) FROM ledger.open_shortfall o) AS open) s
					 WHERE s.balance <> -s.open
					UNION ALL
					(SELECT format('of shortfall %s %s are paid, not %s', s.shortfall_id, sum(r.amount), s.amount)
					  FROM (SELECT * FROM ledger.shortfall ORDER BY shortfall_id DESC LIMIT 20) s
					  LEFT JOIN ledger.reset r USING (book_id, shortfall_id)
					 GROUP BY s.shortfall_id, s.amount
					HAVING sum(r.amount) IS DISTINCT FROM s.amount)
					UNION ALL
					SELECT format('account %s is noted', n.account_id) FROM ledger.below_floor n
					UNION ALL
					SELECT format('execution %s is noted', e.execution_id) FROM ledger.unmatched_execution e) u;
			IF bad IS NOT NULL THEN
				RAISE EXCEPTION 'after % looks: %', looks, bad;
			END IF;
			looks := looks + 1;
			EXIT WHEN EXISTS (SELECT FROM client.stop);
			PERFORM pg_sleep(0.005);
		END LOOP;
		RETURN looks;
	END $$;
));

my $fund = $node->safe_psql('postgres', q(SELECT risk.system_account(1, 'insurance_fund', 'USD')));
my $external = $node->safe_psql('postgres', q(SELECT risk.system_account(1, 'external', 'USD')));
my $house = $node->safe_psql('postgres', q(SELECT risk.system_account(1, 'house', 'USD')));

# The scripts of the clients, with their weights; a sweep looks at everybody, and is rare.
my %scripts = (
	trade => [
		32, q(
\set a random(1, 40)
\set b 1 + (:a - 1 + random(1, 39)) % 40
\set i random(1, 2)
\set qty random(1, 20)
\set price random(70, 130)
CALL client.trade(:a, :b, :i, :qty, :price);
)
	],
	several => [
		12, qq(
\\set a random(1, 10)
\\set b random(11, 20)
\\set c random(21, 30)
\\set d random(31, 40)
\\set qty random(1, 20)
\\set price random(70, 130)
BEGIN;
CALL client.trade(:a, :b, 1, :qty, :price);
SAVEPOINT one;
CALL client.trade(:b, :c, 1, :qty, :price);
ROLLBACK TO one;
CALL client.trade(:d, :c, 2, :qty, :price);
CALL client.pay(:d, $fund, :qty, 'fee');
COMMIT;
)
	],
	fee => [
		12, qq(
\\set a random(1, 40)
\\set amount random(1, 30)
CALL client.pay(:a, $fund, :amount, 'fee');
)
	],
	withdraw => [
		8, qq(
\\set a random(1, 40)
\\set amount random(1, 500)
CALL client.pay(:a, $external, :amount, 'withdrawal');
)
	],
	deposit => [
		8, qq(
\\set a random(1, 40)
\\set amount random(1, 200)
CALL client.pay($external, :a, :amount, 'deposit');
)
	],
	drain => [
		4, qq(
\\set amount random(50, 500)
CALL client.pay($fund, $house, :amount, 'transfer');
)
	],
	batch => [
		12, qq(
\\set a random(1, 40)
\\set b random(1, 40)
\\set c random(1, 40)
\\set amount random(1, 300)
\\set key random(1, 2000)
SELECT count(*) FROM risk.post_batch(1, ARRAY[:a, :b, :c, $house, :a], ARRAY[:b, :c, :a, $fund, $house],
	ARRAY[:amount, :amount, :amount, 5, 1], '{transfer,transfer,transfer,transfer,fee}',
	ARRAY[':key a', ':key b', NULL, NULL, NULL], 'each');
)
	],
	journal => [
		8, q(
\set a random(1, 40)
\set b random(1, 40)
\set c random(1, 40)
\set amount random(1, 100)
CALL client.post(:a, :b, :c, :amount);
)
	],
	hold => [
		8, q(
\set a random(1, 40)
\set amount random(1, 200)
CALL client.hold(:a, :amount);
)
	],
	fold => [ 4, "SELECT risk.fold_slots();\n" ],
	tick => [
		8, q(
\set i random(1, 2)
\set price random(85, 115)
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT count(*) FROM risk.set_mark_prices(ARRAY[:i], ARRAY[:price]::numeric[]);
COMMIT;
)
	],
	sweep => [ 1, "BEGIN ISOLATION LEVEL READ COMMITTED;\nSELECT count(*) FROM risk.sweep(max_accounts => 3);\nCOMMIT;\n" ],
	settle => [ 8, "BEGIN ISOLATION LEVEL READ COMMITTED;\nSELECT count(*) FROM risk.settle();\nCOMMIT;\n" ]);

my @files;
for my $name (sort keys %scripts)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.pgbench";
	append_to_file($file, $scripts{$name}[1]);
	push @files, '--file', "$file\@$scripts{$name}[0]";
}

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';

my ($watched, $complaint) = ('', '');
my $watcher = IPC::Run::start([ 'psql', '-XAtq', '-c', 'SELECT client.watch()' ],
	'<', \undef, '>', \$watched, '2>', \$complaint,
	IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default + 3 * $seconds));

for my $level ('read committed', 'repeatable read', 'serializable')
{
	my ($out, $err) = ('', '');

	local $ENV{PGOPTIONS} = '-c default_transaction_isolation=' . $level =~ s/ /\\ /r;
	my $ok = IPC::Run::run(
		[
			'pgbench', '--no-vacuum', '--client', $clients, '--jobs', 2, '--time', $seconds,
			'--random-seed', 20200312, '--failures-detailed', @files
		],
		'<', \undef, '>', \$out, '2>', \$err);
	ok($ok, "$level: no client stopped") or diag($err);

	my ($done) = $out =~ /^number of transactions actually processed: (\d+)/m;
	my ($lost) = $out =~ /^number of serialization failures: (\d+)/m;
	my ($deadlocks) = $out =~ /^number of deadlock failures: (\d+)/m;

	cmp_ok($done, '>', $clients, "$level: transactions were committed");
	is($deadlocks, 0, "$level: no deadlock");
	is($lost, 0, "$level: nothing to try again") if $level eq 'read committed';
	note("$level: $done transactions, $lost with 40001");

	is($node->safe_psql('postgres', 'SELECT * FROM risk.verify() WHERE violations > 0'),
		'', "$level: the books are right");
}

# Whoever was ahead of the queue is behind it now.
$node->poll_query_until('postgres', 'WITH s AS (SELECT FROM risk.settle()) SELECT count(*) = 0 FROM s') or die 'risk.settle() does not come to an end';
$node->safe_psql('postgres', 'INSERT INTO client.stop DEFAULT VALUES');
ok($watcher->finish, 'nothing was below its floor at any commit') or diag($complaint);
chomp $watched;
cmp_ok($watched, '>', 100, 'the books were looked at all along');
note("looked at $watched times");

# What the fund has is what came in less what it paid.
is( $node->safe_psql(
		'postgres', qq(
	SELECT (SELECT sum(amount) FROM ledger.balance WHERE account_id = $fund)
		 = (SELECT sum(amount) FROM ledger.transfer WHERE to_account = $fund)
		 - (SELECT sum(amount) FROM ledger.transfer WHERE from_account = $fund)
		 - (SELECT sum(amount) FROM ledger.reset WHERE stage = 'fund')
		 - (SELECT coalesce(sum(amount), 0) FROM ledger.shortfall_payment WHERE stage = 'fund')
		 + (SELECT coalesce(sum(amount), 0) FROM ledger.entry WHERE account_id = $fund AND kind IN ('liquidation_fee', 'liquidation_surplus')))),
	't',
	'the fund is exact');
is( $node->safe_psql(
		'postgres', q(
	SELECT bool_or(stage = 'fund' AND payer_after = 0), bool_or(stage = 'house'), bool_or(stage = 'suspense')
	  FROM ledger.reset)),
	't|t|t',
	'the fund ran dry, the house paid, and suspense');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.open_shortfall'), '0', 'nothing stands on suspense');
cmp_ok($node->safe_psql('postgres', q(SELECT count(*) FROM ledger.shortfall_payment WHERE stage = 'socialise')), '>', 0, 'losses were shared');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM client.kept'), '>', 0, 'nothing was taken out of the fund while a shortfall stood open');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.liquidation'), '>', 0, 'accounts were liquidated');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM ledger.reset WHERE payer_after < 0 AND stage = \'fund\''),
	0, 'the fund never paid what it had not');
note($node->safe_psql(
		'postgres', q(
	SELECT format('%s trades, %s transfers, %s resets by the fund, %s by the house, %s by suspense, %s positions deleveraged, %s shares of losses, %s liquidations, %s payments kept in the fund',
				  (SELECT count(*) FROM ledger.trade), (SELECT count(*) FROM ledger.transfer),
				  count(*) FILTER (WHERE stage = 'fund'), count(*) FILTER (WHERE stage = 'house'), count(*) FILTER (WHERE stage = 'suspense'),
				  (SELECT count(*) FROM ledger.deleveraging), (SELECT count(*) FROM ledger.shortfall_payment WHERE stage = 'socialise'),
				  (SELECT count(*) FROM ledger.liquidation), (SELECT count(*) FROM client.kept))
	  FROM ledger.reset)));

# Statistics are sent when a session ends.
is($node->safe_psql('postgres', q(SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres')),
	0, 'the server counted no deadlock');
my @errors = grep { !/could not serialize access/ } slurp_file($node->logfile) =~ /ERROR:.*/g;
is("@errors", '', 'nor did it report one, or any error but 40001');

$node->stop;
done_testing();
