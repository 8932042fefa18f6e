# Random books that crash: accounts, positions, prices and policies are drawn,
# the marks jump, accounts are closed at them, and somebody has to pay.  What
# happened is judged from the rows alone, by SQL that calls nothing of the
# extension: nobody below the floor, every unit of a shortfall with its payers
# in the order of the policy, and the worth of every party changed by exactly
# what the payers' rows say.
#
# RISK_BOOKS books are drawn, RISK_SEED names the first batch; each batch of 50
# has a seed and a database of its own.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $books = $ENV{RISK_BOOKS} // 100;
my $first_seed = $ENV{RISK_SEED} // 1;
my $per_batch = 50;

my $node = PostgreSQL::Test::Cluster->new('who_pays');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nsynchronous_commit = off\nautovacuum = off\njit = off\n");
$node->start;

# Policies of every shape, and what judges a book.
my $schema = q(
CREATE EXTENSION risk_ext;
SELECT risk.install();
CREATE SCHEMA drawn;

INSERT INTO ledger.policy (policy_code, stages, fund_scope, fund_cap_per_event, fund_cap_per_owner, fund_cap_per_day,
						   recourse, freeze_scope, frozen_reduces, adl_formula, adl_guard, adl_max_distance, share_rule, share_scope)
SELECT format('random %s', i), s.stages, (ARRAY['shared', 'instrument'])[1 + i % 2],
	   CASE WHEN i % 3 = 1 THEN 40.5 END, CASE WHEN i % 5 = 2 THEN 100 END, CASE WHEN i % 4 = 3 THEN 150.25 END,
	   CASE WHEN i % 3 = 0 THEN 'debt' ELSE 'none' END, CASE WHEN i % 2 = 0 THEN 'owner' ELSE 'account' END, i % 2 = 0,
	   (ARRAY['bitmex', 'coinex', 'pnl_equity'])[1 + i % 3], (ARRAY['profit', 'maintenance', 'equity'])[1 + i / 3 % 3],
	   CASE WHEN i % 4 = 0 THEN 0.2 END, (ARRAY['claims', 'open_interest'])[1 + i % 2], (ARRAY['instrument', 'asset', 'book'])[1 + i % 3]
  FROM (SELECT v.stages, row_number() OVER ()::int AS i
		  FROM generate_series(1, 3), (VALUES ('{own,house}'::text[]), ('{own,fund,house}'), ('{own,receivable}'), ('{own,fund,receivable}'),
				('{own,fund_if_whole,house}'), ('{own,fund,suspense,socialise}'), ('{own,suspense,adl,house}'),
				('{own,fund_if_whole,suspense,adl,fund,house}'), ('{own,fund,suspense,adl,socialise}'),
				('{own,suspense,adl,fund,socialise,receivable}'), ('{own,suspense,socialise,house}'),
				('{own,fund,suspense,adl,receivable}')) AS v(stages)) s;

CREATE TABLE drawn.instrument (instrument_id int PRIMARY KEY, crash numeric NOT NULL);
-- what each account was worth before anybody paid, after the resets, and after the settlement
CREATE TABLE drawn.worth (moment text, book_id int, account_id bigint, kind text, worth numeric, PRIMARY KEY (moment, book_id, account_id));
CREATE TABLE drawn.held (book_id int, account_id bigint, instrument_id int, qty numeric);
-- what there was before the crash
CREATE TABLE drawn.already (reset_id bigint, payment_id bigint, deleveraging_id bigint);
CREATE TABLE drawn.refused (book_id int, code text, message text);

-- Balance, profit that is not realised, and what rounding left on clearing.
CREATE PROCEDURE drawn.remember(which text) LANGUAGE sql AS $$
	INSERT INTO drawn.worth
	SELECT which, a.book_id, a.account_id, a.kind, sum(b.amount)
		   + coalesce((SELECT sum(p.qty * i.multiplier * m.price - p.cost)
						 FROM ledger.position p
						 JOIN ledger.instrument i USING (instrument_id)
						 JOIN ledger.mark_price m USING (instrument_id)
						WHERE p.book_id = a.book_id AND p.account_id = a.account_id), 0)
		   + coalesce((SELECT sum(s.amount) FROM ledger.settlement s
						WHERE s.book_id = a.book_id AND s.account_id = a.account_id AND s.kind = 'residue'), 0)
	  FROM ledger.account a
	  JOIN ledger.balance b ON b.book_id = a.book_id AND b.account_id = a.account_id
	 WHERE a.kind <> 'clearing'
	 GROUP BY a.book_id, a.account_id, a.kind
$$;

CREATE PROCEDURE drawn.settle(book int) LANGUAGE plpgsql AS $$
BEGIN
	FOR attempt IN 1 .. 20 LOOP
		PERFORM FROM risk.settle(book);
		EXIT WHEN NOT FOUND;
		COMMIT;
	END LOOP;
	COMMIT;
END
$$;

CREATE PROCEDURE drawn.draw(books int) LANGUAGE plpgsql AS $$
DECLARE
	codes text[] := (SELECT array_agg(DISTINCT policy_code ORDER BY policy_code) FROM ledger.policy);
	of_book text[];
	n int;
BEGIN
	INSERT INTO ledger.asset VALUES ('USDT', (random() * 3)::int * 2);
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier)
	SELECT i, 'I' || i, 'USDT', (ARRAY[1, 1, 0.001, 10])[1 + i % 4] FROM generate_series(1, 4) i;
	INSERT INTO ledger.margin_tier SELECT i, 0, 0.01, 20 FROM generate_series(1, 4) i;
	INSERT INTO ledger.mark_price (instrument_id, price)
	SELECT i, CASE WHEN i % 4 = 2 THEN 100000 WHEN i % 4 = 3 THEN 10 ELSE 100 END FROM generate_series(1, 4) i;
	INSERT INTO drawn.instrument
	SELECT m.instrument_id, round((m.price * (ARRAY[0.6, 0.75, 0.85, 1.2, 1.5])[1 + floor(random() * 5)::int] + random()::numeric)::numeric, 3)
	  FROM ledger.mark_price m ORDER BY 1;
	FOR book IN 2 .. books + 1 LOOP
		PERFORM risk.create_book(book, 'book');
		-- half of the books know one policy, or two, and none of the others
		of_book := CASE floor(random() * 4)::int
			WHEN 0 THEN ARRAY[codes[1 + floor(random() * cardinality(codes))::int]]
			WHEN 1 THEN ARRAY[codes[1 + floor(random() * cardinality(codes))::int], codes[1 + floor(random() * cardinality(codes))::int]]
			ELSE codes END;
		n := 4 + floor(random() * 9)::int;
		INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
		SELECT book, a, 'USDT', 'owner ' || (a * 2 / 3), of_book[1 + floor(random() * cardinality(of_book))::int]
		  FROM generate_series(1, n) a;
		IF random() < 0.5 THEN
			PERFORM risk.deposit(risk.open_fund(book, 1 + floor(random() * 4)::int), (1 + floor(random() * 100))::numeric, book);
		END IF;
		INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
		SELECT book, risk.system_account(book, 'external', 'USDT'), s.account_id, s.amount, 'deposit'
		  FROM (SELECT a AS account_id, 30 + floor(random() * 150) AS amount FROM generate_series(1, n) a
				UNION ALL SELECT risk.system_account(book, 'insurance_fund', 'USDT'), (ARRAY[1, 50, 300, 5000])[1 + floor(random() * 4)::int]
				UNION ALL SELECT risk.system_account(book, 'liquidity', 'USDT'), (ARRAY[1, 500, 100000])[1 + floor(random() * 3)::int]) s
		 ORDER BY s.account_id;
		-- up to three times as many executions as accounts, around the mark
		INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
		SELECT book, s.account_id, e.instrument_id, s.side, e.qty, e.price, e.number
		  FROM (SELECT d.number, d.instrument_id, d.one, 1 + (d.one + d.distance) % n AS other, d.qty,
					   round(m.price * (0.97 + d.away * 0.06)::numeric, 2) AS price
				  FROM (SELECT x AS number, 1 + floor(random() * 4)::int AS instrument_id, 1 + floor(random() * n)::int AS one,
							   floor(random() * (n - 1))::int AS distance, random() AS away,
							   round((0.5 + random() * 25)::numeric, (random() * 3)::int) AS qty
						  FROM generate_series(1, 2 + floor(random() * 3 * n)::int) x OFFSET 0) d
				  JOIN ledger.mark_price m USING (instrument_id)) e
		 CROSS JOIN LATERAL (VALUES (e.one, 'buy'), (e.other, 'sell')) AS s(account_id, side)
		 WHERE e.one <> e.other AND e.qty > 0
		 ORDER BY e.number, s.side;
		COMMIT;
		-- some are bankrupt from the beginning
		CALL drawn.settle(book);
	END LOOP;
END
$$;

-- Accounts of a book close two thirds of what they have, at the marks, against
-- the liquidity account: all together, or, where a policy refuses, those who
-- can.  Who is bankrupt by that has the rest taken over.
CREATE FUNCTION drawn.close(book int, accounts bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, kind, execution_id)
	SELECT book, s.account_id, p.instrument_id, s.side, abs(p.qty), m.price, 'liquidation', 1000000 + p.account_id * 10 + p.instrument_id
	  FROM ledger.position p
	  JOIN ledger.mark_price m USING (instrument_id)
	 CROSS JOIN LATERAL (VALUES (p.account_id, CASE WHEN p.qty > 0 THEN 'sell' ELSE 'buy' END),
								(risk.system_account(book, 'liquidity', 'USDT'), CASE WHEN p.qty > 0 THEN 'buy' ELSE 'sell' END)) AS s(account_id, side)
	 WHERE p.book_id = book AND p.account_id = ANY (accounts) AND p.qty <> 0
	   AND (book + p.account_id + p.instrument_id) % 3 > 0
	 ORDER BY p.account_id, p.instrument_id, s.account_id DESC;
	SET CONSTRAINTS ALL IMMEDIATE;
	SET CONSTRAINTS ALL DEFERRED;
EXCEPTION
	WHEN OTHERS THEN
		IF cardinality(accounts) = 1 THEN
			INSERT INTO drawn.refused VALUES (book, SQLSTATE, SQLERRM);
		ELSE
			PERFORM drawn.close(book, ARRAY[a]) FROM unnest(accounts) a;
		END IF;
END
$$;

CREATE PROCEDURE drawn.crash(books int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE ledger.mark_price m SET price = i.crash FROM drawn.instrument i WHERE i.instrument_id = m.instrument_id;
	INSERT INTO drawn.already
	SELECT coalesce((SELECT max(reset_id) FROM ledger.reset), 0), coalesce((SELECT max(payment_id) FROM ledger.shortfall_payment), 0),
		   coalesce((SELECT max(deleveraging_id) FROM ledger.deleveraging), 0);
	COMMIT;
	CALL drawn.remember('crash');
	FOR book IN 2 .. books + 1 LOOP
		PERFORM drawn.close(book, (SELECT array_agg(account_id) FROM ledger.account WHERE book_id = book AND account_id > 0 AND random() < 0.6));
		COMMIT;
	END LOOP;
	CALL drawn.remember('reset');
	INSERT INTO drawn.held SELECT book_id, account_id, instrument_id, qty FROM ledger.position WHERE qty <> 0;
	COMMIT;
	FOR book IN 2 .. books + 1 LOOP
		CALL drawn.settle(book);
	END LOOP;
	CALL drawn.remember('settle');
END
$$;
);

my @properties = (
	'no trader is below the floor' => q(
		SELECT book_id, account_id, amount FROM ledger.balance WHERE account_id > 0 AND amount < floor),
	'no fund is below zero' => q(
		SELECT a.book_id, a.account_id, sum(b.amount) FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
		 WHERE a.kind = 'insurance_fund' GROUP BY 1, 2 HAVING sum(b.amount) < 0),
	'every unit of a shortfall has a payer' => q(
		SELECT s.book_id, s.shortfall_id, s.amount, r.paid, r.suspense, y.paid
		  FROM ledger.shortfall s
		 CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS paid, coalesce(sum(amount) FILTER (WHERE stage = 'suspense'), 0) AS suspense
							   FROM ledger.reset r WHERE r.book_id = s.book_id AND r.shortfall_id = s.shortfall_id) r
		 CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS paid FROM ledger.shortfall_payment y
							  WHERE y.book_id = s.book_id AND y.shortfall_id = s.shortfall_id) y
		 WHERE r.paid <> s.amount OR y.paid <> r.suspense),
	'nothing stands on suspense' => q(
		SELECT book_id, shortfall_id, remaining FROM ledger.open_shortfall
		 UNION ALL SELECT a.book_id, a.account_id, sum(b.amount) FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
		 WHERE a.kind = 'suspense' GROUP BY 1, 2 HAVING sum(b.amount) <> 0),
	'who paid is in the order of the policy' => q(
		SELECT s.book_id, s.shortfall_id, p.stages, w.places
		  FROM ledger.shortfall s
		  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version
		 CROSS JOIN LATERAL (
			SELECT array_agg(CASE WHEN x.after_commit
								  THEN coalesce(array_position(p.stages, x.stage, array_position(p.stages, 'suspense')), CASE x.stage WHEN 'house' THEN 99 END)
								  ELSE coalesce(array_position(p.stages, x.stage), array_position(p.stages, CASE x.stage WHEN 'fund' THEN 'fund_if_whole' END),
												CASE WHEN x.stage = 'house' AND 'suspense' = ANY (p.stages) THEN 99 END) END
							 ORDER BY x.after_commit, x.id) AS places
			  FROM (SELECT false AS after_commit, r.reset_id AS id, r.stage FROM ledger.reset r WHERE r.book_id = s.book_id AND r.shortfall_id = s.shortfall_id
					UNION ALL
					SELECT true, y.payment_id, y.stage FROM ledger.shortfall_payment y WHERE y.book_id = s.book_id AND y.shortfall_id = s.shortfall_id) x) w
		 WHERE array_position(w.places, NULL) IS NOT NULL
			OR w.places <> ARRAY(SELECT v FROM unnest(w.places) v ORDER BY v)),
	'a fund that pays whole losses only paid no part' => q(
		SELECT r.book_id, r.shortfall_id, r.amount, s.amount
		  FROM ledger.reset r JOIN ledger.shortfall s USING (book_id, shortfall_id)
		  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version
		 WHERE r.stage = 'fund' AND 'fund_if_whole' = ANY (p.stages)
		 GROUP BY 1, 2, 3, 4
		HAVING (SELECT sum(amount) FROM ledger.reset x WHERE x.book_id = r.book_id AND x.shortfall_id = r.shortfall_id AND x.stage = 'fund') <> s.amount),
	'no cap of the fund is exceeded' => q(
		WITH paid AS (
			SELECT s.book_id, s.shortfall_id, s.owner_id, s.policy_code, sum(x.amount) AS amount
			  FROM (SELECT book_id, shortfall_id, amount FROM ledger.reset WHERE stage = 'fund'
					UNION ALL SELECT book_id, shortfall_id, amount FROM ledger.shortfall_payment WHERE stage = 'fund') x
			  JOIN ledger.shortfall s USING (book_id, shortfall_id) GROUP BY 1, 2, 3, 4)
		SELECT 'event', y.book_id, y.shortfall_id::text, y.amount FROM paid y JOIN ledger.policy p USING (policy_code) WHERE y.amount > p.fund_cap_per_event
		 UNION ALL
		SELECT 'policy', y.book_id, policy_code, sum(y.amount) FROM paid y JOIN ledger.policy p USING (policy_code)
		 GROUP BY 2, 3, p.fund_cap_per_day HAVING sum(y.amount) > p.fund_cap_per_day
		 UNION ALL
		-- an owner's accounts may have policies with other caps: none pays after the largest is used up
		SELECT 'owner', y.book_id, y.owner_id, sum(y.amount) FROM paid y JOIN ledger.policy p USING (policy_code)
		 GROUP BY 2, 3 HAVING bool_and(p.fund_cap_per_owner IS NOT NULL) AND sum(y.amount) > max(p.fund_cap_per_owner)),
	'resets change what each party is worth by what the rows say' => q(
		SELECT a.book_id, a.kind, a.account_id, b.worth - a.worth AS change, r.received - r.paid AS rows
		  FROM drawn.worth a JOIN drawn.worth b USING (book_id, account_id)
		 CROSS JOIN LATERAL (SELECT coalesce(sum(amount) FILTER (WHERE r.account_id = a.account_id), 0) AS received,
									coalesce(sum(amount) FILTER (WHERE r.payer_account = a.account_id), 0) AS paid
							   FROM ledger.reset r, drawn.already l WHERE r.book_id = a.book_id AND r.reset_id > l.reset_id) r
		 WHERE a.moment = 'crash' AND b.moment = 'reset' AND b.worth - a.worth <> r.received - r.paid),
	'so does the settlement' => q(
		SELECT a.book_id, a.kind, a.account_id, b.worth - a.worth AS change, y.rows
		  FROM drawn.worth a JOIN drawn.worth b USING (book_id, account_id)
		 CROSS JOIN LATERAL (
			SELECT CASE WHEN a.kind = 'suspense' THEN (SELECT coalesce(sum(amount), 0) FROM ledger.shortfall_payment y WHERE y.book_id = a.book_id AND y.payment_id > l.payment_id)
						ELSE 0 END
				   - (SELECT coalesce(sum(amount), 0) FROM ledger.shortfall_payment y WHERE y.book_id = a.book_id AND y.account_id = a.account_id AND y.payment_id > l.payment_id)
				   + (SELECT coalesce(sum(CASE a.account_id WHEN d.liquidity_account THEN d.gain ELSE -d.gain END), 0) FROM ledger.deleveraging d
					   WHERE d.book_id = a.book_id AND a.account_id IN (d.account_id, d.liquidity_account) AND d.deleveraging_id > l.deleveraging_id) AS rows
			  FROM drawn.already l) y
		 WHERE a.moment = 'reset' AND b.moment = 'settle' AND b.worth - a.worth <> y.rows),
	'all together are worth what they were' => q(
		SELECT a.book_id, sum(a.worth), sum(b.worth), sum(c.worth)
		  FROM drawn.worth a JOIN drawn.worth b USING (book_id, account_id) JOIN drawn.worth c USING (book_id, account_id)
		 WHERE a.moment = 'crash' AND b.moment = 'reset' AND c.moment = 'settle'
		 GROUP BY 1 HAVING sum(a.worth) <> sum(b.worth) OR sum(a.worth) <> sum(c.worth)),
	'nobody shares more than his claim, nor more than he is worth' => q(
		SELECT y.book_id, y.account_id, y.amount, y.claim, w.worth
		  FROM ledger.shortfall_payment y JOIN drawn.worth w USING (book_id, account_id)
		 WHERE y.stage = 'socialise' AND w.moment = 'settle'
		   AND (y.amount > y.claim OR y.account_id < 0 OR w.worth < 0 AND y.payment_id > (SELECT payment_id FROM drawn.already))),
	'no owner of the bankrupt account shares its loss' => q(
		SELECT s.book_id, s.shortfall_id, s.owner_id FROM ledger.shortfall s JOIN ledger.shortfall_payment y USING (book_id, shortfall_id)
		  JOIN ledger.account a ON a.book_id = y.book_id AND a.account_id = y.account_id
		 WHERE y.stage = 'socialise' AND a.owner_id = s.owner_id),
	'deleveraging closes no more than there was, on the other side' => q(
		SELECT d.book_id, d.account_id, d.instrument_id, sum(d.qty), h.qty
		  FROM ledger.deleveraging d JOIN ledger.takeover t USING (book_id, takeover_id)
		  LEFT JOIN drawn.held h ON h.book_id = d.book_id AND h.account_id = d.account_id AND h.instrument_id = d.instrument_id
		 WHERE d.deleveraging_id > (SELECT deleveraging_id FROM drawn.already)
		 GROUP BY 1, 2, 3, 5 HAVING (sum(d.qty) <= abs(h.qty)) IS NOT TRUE OR bool_or(sign(t.qty) = sign(h.qty))),
	'what is long is short' => q(
		SELECT book_id, instrument_id, sum(qty) FROM ledger.position GROUP BY 1, 2 HAVING sum(qty) <> 0),
	'debts are what others paid' => q(
		SELECT s.book_id, s.shortfall_id, s.amount, d.principal FROM ledger.shortfall s
		  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version
		  LEFT JOIN ledger.debt d USING (book_id, shortfall_id)
		 WHERE s.account_id > 0 AND (p.recourse = 'debt') <> (d.principal IS NOT NULL) OR d.principal <> s.amount),
	'what was refused was refused by a policy, or a state' => q(
		SELECT * FROM drawn.refused WHERE code NOT IN ('23514', '55000')));

my %seen;
for my $batch (0 .. int(($books - 1) / $per_batch))
{
	my $seed = $first_seed + $batch;
	my $database = "batch$seed";
	my $n = $books - $batch * $per_batch < $per_batch ? $books - $batch * $per_batch : $per_batch;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $schema);
	$node->safe_psql($database, 'SELECT setseed(' . sprintf('%.6f', ($seed % 1000003) / 1000003) . "); CALL drawn.draw($n); CALL drawn.crash($n)");

	my @violated;
	for (my $i = 0; $i < @properties; $i += 2)
	{
		my $found = $node->safe_psql($database, "SELECT * FROM ($properties[$i + 1]) x LIMIT 3");
		push @violated, "$properties[$i]: $found" if $found ne '';
	}
	my $wrong = $node->safe_psql($database, 'SELECT check_name, first_offender FROM risk.verify() WHERE violations > 0');
	push @violated, "verify(): $wrong" if $wrong ne '';
	is(join("\n", @violated), '', "seed $seed: $n books");
	my $stages = $node->safe_psql($database,
		q(SELECT 'reset ' || stage, count(*) FROM ledger.reset GROUP BY 1 UNION ALL SELECT 'settled by ' || stage, count(*) FROM ledger.shortfall_payment GROUP BY 1
		  UNION ALL SELECT 'deleveraged', count(*) FROM ledger.deleveraging UNION ALL SELECT 'refused', count(*) FROM drawn.refused));
	foreach (split /\n/, $stages) { my ($what, $count) = split /\|/; $seen{$what} += $count; }
	$node->safe_psql('postgres', "DROP DATABASE $database") unless @violated;
}
note(join(', ', map { "$_ $seen{$_}" } sort keys %seen));
# a draw in which nothing happens proves nothing
foreach ('reset fund', 'reset house', 'reset receivable', 'reset suspense', 'settled by socialise', 'settled by adl', 'settled by house', 'deleveraged', 'refused')
{
	cmp_ok($seen{$_} // 0, '>', 0, "$_: " . ($seen{$_} // 0));
}

$node->stop;
done_testing();
