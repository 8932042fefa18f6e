-- sweep.sql
--		The book of bench/sweep, and what it times.
--
-- Accounts come in pairs that trade with each other in 20 instruments, at 100.
-- Half of the accounts have one position, as isolated ones have; the others two to
-- five, long and short: two positions to the account on the average.  They begin
-- with a margin of 0.02 % to 30 % above maintenance and pay in 3 % of their size
-- afterwards.  A trigger that comes looser stays, so triggers lie evenly from the
-- mark on, and whoever one finds has to be looked at and keeps his positions.
--
-- The sides:
--
--	sweep		INSERT of a mark, commit, risk.sweep() of the instrument, commit
--	recompute	plain SQL that judges every account with a position in the
--				instrument, by all of its positions, with one tier, no fee and no
--				margin group, which is all that is asked for here; the mark that it
--				needs as well is not counted
--	everybody	the same for all accounts of the book
--
-- Whom recompute finds the sweep has to liquidate, and nobody else, or the run ends.

\set ON_ERROR_STOP 1
\set QUIET 1
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION pg_walinspect;
CREATE EXTENSION risk_ext;
SELECT risk.install();
INSERT INTO ledger.asset VALUES ('USD', 2);
INSERT INTO ledger.policy (policy_code, stages, liquidation_trigger, surplus_to) VALUES ('bench', '{own,fund,house}', 'below', 'fund');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) SELECT i, 'I' || i, 'USD' FROM generate_series(1, 32) i;
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) SELECT i, 0.005, 100 FROM generate_series(1, 32) i;
INSERT INTO ledger.mark_price (instrument_id, price) SELECT i, 100 FROM generate_series(1, 32) i;

CREATE SCHEMA bench;
CREATE TABLE bench.result (
	section text NOT NULL, what text NOT NULL, side text NOT NULL, round int NOT NULL, seconds numeric NOT NULL,
	looked_at int, found int
);
CREATE TABLE bench.figure (section text NOT NULL, what text NOT NULL, value numeric NOT NULL);
CREATE FUNCTION bench.since(at timestamptz) RETURNS numeric LANGUAGE sql VOLATILE AS $$
	SELECT extract(epoch FROM clock_timestamp() - at)
$$;
-- on the other side of what is liquidated
CREATE FUNCTION bench.maker() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 9000000000';

CREATE FUNCTION bench.positions(pair bigint) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN pair % 2 = 0 THEN 1 ELSE (ARRAY[2, 2, 2, 2, 3, 3, 3, 4, 4, 5])[1 + pair / 2 % 10] END
$$;
CREATE FUNCTION bench.instrument(pair bigint, n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT (1 + (pair * 7 + pair / 20 + n * 3) % 20)::int
$$;
CREATE PROCEDURE bench.open(first bigint, last bigint) LANGUAGE plpgsql AS $$
DECLARE
	outside bigint := risk.system_account(1, 'external', 'USD');
	ids bigint[];
	sizes numeric[];
BEGIN
	SELECT array_agg(a), array_agg(100.0 * (1 + p % 17) * bench.positions(p)) INTO ids, sizes
	  FROM (SELECT a, (a + 1) / 2 AS p FROM generate_series(2 * first - 1, 2 * last) a) a;
	INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
	SELECT a, 'USD', 'owner ' || a, 'bench' FROM unnest(ids) a;
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	SELECT outside, a, ceil(size * (0.0052 + 0.3 * (a * 0.6180339887 % 1)) * 100) / 100, 'deposit' FROM unnest(ids, sizes) u(a, size);
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT 2 * p - s, bench.instrument(p, n), CASE WHEN (n + s) % 2 = 0 THEN 'buy' ELSE 'sell' END, 1 + p % 17, 100, p * 5 + n
	  FROM generate_series(first, last) p, generate_series(0, 4) n, generate_series(0, 1) s
	 WHERE n < bench.positions(p);
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	SELECT outside, a, size * 0.03, 'deposit' FROM unnest(ids, sizes) u(a, size);
END
$$;
INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code) VALUES (bench.maker(), 'USD', 'maker', 'bench');
INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
SELECT risk.system_account(1, 'external', 'USD'), a, 1e12, 'deposit'
  FROM unnest(ARRAY[bench.maker(), risk.system_account(1, 'liquidity', 'USD'), risk.system_account(1, 'insurance_fund', 'USD')]) a;

CREATE PROCEDURE bench.mark(instrument int, price numeric) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (mark.instrument, mark.price)
	ON CONFLICT (instrument_id) DO UPDATE SET price = excluded.price, observed_at = excluded.observed_at;
END
$$;

-- 1. Ticks

CREATE FUNCTION bench.recompute(instrument int) RETURNS bigint[] LANGUAGE sql AS $$
	SELECT array_agg(f.account_id ORDER BY f.account_id) FROM (
		SELECT p.account_id
		  FROM ledger.position h
		  JOIN ledger.position p ON p.book_id = h.book_id AND p.account_id = h.account_id AND p.qty <> 0
		  JOIN (SELECT m.instrument_id, m.price, t.maintenance_rate FROM ledger.mark_price m JOIN ledger.margin_tier t USING (instrument_id)) m
			ON m.instrument_id = p.instrument_id
		  JOIN ledger.balance b ON b.book_id = p.book_id AND b.slot = 0 AND b.account_id = p.account_id
		 WHERE (h.book_id::bigint << 32) + h.instrument_id = (1::bigint << 32) + recompute.instrument AND h.qty <> 0 AND h.account_id > 0
		 GROUP BY p.book_id, p.account_id, b.amount
		HAVING b.amount + sum(p.qty * m.price - p.cost) < sum(abs(p.qty) * m.price * m.maintenance_rate)) f
$$;
CREATE FUNCTION bench.everybody() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (
		SELECT FROM ledger.position p
		  JOIN (SELECT m.instrument_id, m.price, t.maintenance_rate FROM ledger.mark_price m JOIN ledger.margin_tier t USING (instrument_id)) m
			ON m.instrument_id = p.instrument_id
		  JOIN ledger.balance b ON b.book_id = p.book_id AND b.slot = 0 AND b.account_id = p.account_id
		 WHERE p.qty <> 0 AND p.account_id > 0
		 GROUP BY p.book_id, p.account_id, b.amount
		HAVING b.amount + sum(p.qty * m.price - p.cost) < sum(abs(p.qty) * m.price * m.maintenance_rate)) f
$$;
CREATE FUNCTION bench.look_up(instrument int, sample int) RETURNS bigint[] LANGUAGE sql AS $$
	SELECT array_agg(r.account_id ORDER BY r.account_id) FILTER (WHERE r.liquidatable)
	  FROM (SELECT h.account_id FROM ledger.position h
			 WHERE (h.book_id::bigint << 32) + h.instrument_id = (1::bigint << 32) + look_up.instrument AND h.qty <> 0 AND h.account_id > 0
			   AND (h.account_id % sample = 0 OR h.account_id = ANY (bench.recompute(look_up.instrument)))) h
	 CROSS JOIN LATERAL (SELECT r.account_id, r.liquidatable FROM ledger.account_risk r
						  WHERE r.book_id = 1 AND r.account_id = h.account_id OFFSET 0) r
$$;
-- A mark that moves to this price, and what becomes of it.  With recompute, plain
-- SQL has to find whom the sweep liquidates.
CREATE PROCEDURE bench.tick(section text, what text, round int, instrument int, price numeric, with_recompute boolean) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz := clock_timestamp();
	spent numeric;
	expected bigint[];
	found bigint[];
	n int;
BEGIN
	CALL bench.mark(instrument, price);
	COMMIT;
	spent := bench.since(at);
	IF with_recompute THEN
		at := clock_timestamp();
		expected := bench.recompute(instrument);
		INSERT INTO bench.result VALUES (section, what, 'recompute', round, bench.since(at), NULL, cardinality(expected));
		COMMIT;
	END IF;
	at := clock_timestamp();
	SELECT count(*), array_agg(s.account_id ORDER BY s.account_id) FILTER (WHERE s.result <> 'safe') INTO n, found FROM risk.sweep(instrument) s;
	COMMIT;
	IF round > 0 THEN
		INSERT INTO bench.result VALUES (section, what, 'sweep', round, spent + bench.since(at), n, coalesce(cardinality(found), 0));
	END IF;
	IF with_recompute AND expected IS DISTINCT FROM found THEN
		RAISE EXCEPTION 'recompute finds %, the sweep %', expected, found;
	END IF;
	COMMIT;
END
$$;
-- to and fro by 1 bp, from round 1 on between prices that it has seen: nobody is found
CREATE PROCEDURE bench.quiet_ticks(first int, last int, with_recompute boolean) LANGUAGE plpgsql AS $$
DECLARE
	size text := (SELECT count(*)::text FROM ledger.position p WHERE p.qty <> 0);
	price numeric;
BEGIN
	FOR round IN first .. last LOOP
		FOR i IN 1 .. 20 LOOP
			SELECT m.price INTO price FROM ledger.mark_price m WHERE m.instrument_id = i;
			CALL bench.tick('growth', size, round, i, round(CASE WHEN round % 2 = 0 THEN price / 1.0001 ELSE price * 1.0001 END, 6), false);
		END LOOP;
		IF with_recompute AND round BETWEEN 1 AND 3 THEN
			SELECT m.price INTO price FROM ledger.mark_price m WHERE m.instrument_id = round;
			CALL bench.tick('growth', size, round, round, price, true);
		END IF;
	END LOOP;
END
$$;
-- at random up or down
CREATE PROCEDURE bench.ticks(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
	price numeric;
	n bigint;
BEGIN
	PERFORM setseed(0.5);
	FOR round IN 1 .. rounds LOOP
		FOR points IN 1 .. 3 LOOP
			FOR i IN 1 .. 20 LOOP
				SELECT m.price INTO price FROM ledger.mark_price m WHERE m.instrument_id = i;
				CALL bench.tick('ticks', (ARRAY['1', '5', '10'])[points] || ' bp', round, i,
								round(price * (1 + (CASE WHEN random() < 0.5 THEN -1 ELSE 1 END) * (ARRAY[1, 5, 10])[points] / 10000.0), 6), i % 10 = round % 10);
			END LOOP;
		END LOOP;
		at := clock_timestamp();
		n := bench.everybody();
		INSERT INTO bench.result VALUES ('ticks', 'everybody', 'recompute', round, bench.since(at), NULL, n);
		COMMIT;
	END LOOP;
	-- a fall in which some are liquidated; the view has to say the same of everybody, or of many
	SELECT m.price INTO price FROM ledger.mark_price m WHERE m.instrument_id = 20;
	CALL bench.mark(20, round(price * 0.955, 6));
	COMMIT;
	IF bench.look_up(20, greatest((SELECT count(*) FROM ledger.account)::int / 20000, 1)) IS DISTINCT FROM bench.recompute(20) THEN
		RAISE EXCEPTION 'recompute and ledger.account_risk find other accounts';
	END IF;
	CALL bench.tick('ticks', '450 bp', 1, 20, round(price * 0.955, 6), true);
END
$$;

-- 2. What ticks write: records in the write-ahead log, and of those how many are of positions

CREATE PROCEDURE bench.count_writes(start pg_lsn) LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	of_positions bigint;
BEGIN
	SET LOCAL synchronous_commit = on;
	PERFORM pg_logical_emit_message(true, 'bench', 'flush');
	COMMIT;
	SELECT count(*), count(*) FILTER (WHERE EXISTS (
			SELECT FROM pg_class c WHERE (c.oid = 'ledger.position'::regclass
				OR c.oid IN (SELECT x.indexrelid FROM pg_index x WHERE x.indrelid = 'ledger.position'::regclass))
			AND r.block_ref ~ ('/' || c.relfilenode || ' ')))
	  INTO n, of_positions
	  FROM pg_get_wal_records_info(start, pg_current_wal_flush_lsn()) r;
	INSERT INTO bench.figure VALUES ('writes', 'records of the write-ahead log', n), ('writes', 'of them, of positions and their indexes', of_positions);
END
$$;

-- 3. What triggers cost postings.  There is no ledger without them, so their part
-- is what risk.reband_accounts() takes, which does nothing else but lock, and
-- write balances if need be, less the same of accounts without a position.

CREATE FUNCTION bench.pair_with(positions int, n int) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE positions WHEN 1 THEN 2 * n ELSE 20 * n - 1 END::bigint
$$;
CREATE PROCEDURE bench.exchange(pairs bigint[], sign int, twice boolean) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT 2 * p - s, bench.instrument(p, 0), CASE WHEN (s + t) % 2 = (CASE sign WHEN 1 THEN 0 ELSE 1 END) THEN 'buy' ELSE 'sell' END, 0.1, 100,
		   currval('bench.execution') + 2 * o + t
	  FROM unnest(pairs) WITH ORDINALITY u(p, o), generate_series(0, CASE WHEN twice THEN 1 ELSE 0 END) t, generate_series(0, 1) s;
END
$$;
CREATE SEQUENCE bench.execution START 10000000000 INCREMENT 1000;
-- triggers of the pairs: of the instrument that is traded, and of the others
CREATE FUNCTION bench.triggers(pairs bigint[], traded boolean) RETURNS numeric[] LANGUAGE sql AS $$
	SELECT array_agg(p.trigger_price ORDER BY p.account_id, p.instrument_id)
	  FROM ledger.position p
	 WHERE p.book_id = 1 AND p.account_id IN (SELECT 2 * u.p - s FROM unnest(pairs) u(p), generate_series(0, 1) s)
	   AND (p.instrument_id = bench.instrument((p.account_id + 1) / 2, 0)) = traded
$$;
CREATE PROCEDURE bench.time_trades(round int, positions int, pairs bigint[], what text) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
	step text;
	accounts bigint[];
	before numeric[];
	others numeric[];
	other_part boolean;
BEGIN
	SELECT array_agg(2 * p - s) INTO accounts FROM unnest(pairs) p, generate_series(0, 1) s;
	FOREACH step IN ARRAY ARRAY['settle', 'there and back', 'larger', 'smaller', 'settle all', 'reband, nothing moves', 'nudge', 'reband, all move', 'reband, no position'] LOOP
		PERFORM nextval('bench.execution');
		before := bench.triggers(pairs, true);
		others := bench.triggers(pairs, false);
		COMMIT;
		at := clock_timestamp();
		CASE step
			WHEN 'settle', 'there and back' THEN CALL bench.exchange(pairs, 1, true);
			WHEN 'larger' THEN CALL bench.exchange(pairs, 1, false);
			WHEN 'smaller' THEN CALL bench.exchange(pairs, -1, false);
			WHEN 'nudge' THEN UPDATE ledger.mark_price SET price = round((99.9 + 0.2 * random())::numeric, 6);
			WHEN 'reband, no position' THEN PERFORM risk.reband_accounts(1, (SELECT array_agg(a + 20000000000) FROM unnest(accounts) a), true);
			ELSE PERFORM risk.reband_accounts(1, accounts, true);
		END CASE;
		COMMIT;
		IF step NOT IN ('settle', 'settle all', 'nudge') AND round > 0 THEN
			INSERT INTO bench.result VALUES (what, positions || CASE positions WHEN 1 THEN ' position' ELSE ' positions' END, step, round, bench.since(at) / cardinality(pairs));
			INSERT INTO bench.figure
			SELECT what, positions || ' of each, ' || step || ', its trigger', (u.a IS DISTINCT FROM u.b)::int FROM unnest(before, bench.triggers(pairs, true)) u(a, b)
			UNION ALL
			SELECT what, positions || ' of each, ' || step || ', others', (u.a IS DISTINCT FROM u.b)::int FROM unnest(others, bench.triggers(pairs, false)) u(a, b);
			COMMIT;
		END IF;
	END LOOP;
END
$$;
CREATE PROCEDURE bench.trades(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	positions int;
	hundred bigint[];
BEGIN
	-- without positions
	INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
	SELECT 20000000000 + a, 'USD', 'owner ' || a, 'bench' FROM generate_series(1, 5000) a;
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	SELECT risk.system_account(1, 'external', 'USD'), 20000000000 + a, 100, 'deposit' FROM generate_series(1, 5000) a;
	COMMIT;
	FOR round IN 0 .. rounds LOOP
		FOREACH positions IN ARRAY ARRAY[1, 5] LOOP
			FOR n IN 1 .. 40 LOOP
				CALL bench.time_trades(round, positions, ARRAY[bench.pair_with(positions, n)], 'one trade');
			END LOOP;
			SELECT array_agg(bench.pair_with(positions, n)) INTO hundred FROM generate_series(1, 100) n;
			CALL bench.time_trades(round, positions, hundred, '100 trades in a statement');
		END LOOP;
	END LOOP;
END
$$;

-- 4. A tick that hits 1,000 accounts, each long 10 at 100 with 100, of one
-- instrument or of three: at 90.4 they are taken over, or a part of it is.  By one
-- sweep; account by account, as the worker does; and the same trades by hand, in
-- one statement and a statement to each account.

CREATE PROCEDURE bench.cascade(round int, positions int) LANGUAGE plpgsql AS $$
DECLARE
	first bigint := 10000000000 + (round * 10 + positions) * 100000;
	outside bigint := risk.system_account(1, 'external', 'USD');
	at timestamptz;
	last_trade bigint;
	side int;
	n int;
	due record;
	account bigint;
	expected bigint[];
	what text := positions || CASE positions WHEN 1 THEN ' position' ELSE ' positions' END;
BEGIN
	FOR i IN 21 .. 32 LOOP
		CALL bench.mark(i, 100);
	END LOOP;
	INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
	SELECT first + a, 'USD', 'owner ' || first + a, 'bench' FROM generate_series(0, 3999) a;
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	SELECT outside, first + a, 100, 'deposit' FROM generate_series(0, 3999) a;
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE s WHEN 'buy' THEN first + a ELSE bench.maker() END, 21 + a / 1000 * 3 + p, s, 10, 100, first + a * 3 + p
	  FROM generate_series(0, 3999) a, generate_series(0, positions - 1) p, unnest(ARRAY['buy', 'sell']) s;
	SELECT max(t.trade_id) INTO last_trade FROM ledger.trade t;
	COMMIT;

	at := clock_timestamp();
	CALL bench.mark(21, 90.4);
	COMMIT;
	SELECT count(*) FILTER (WHERE s.result IN ('closed', 'restored')) INTO n FROM risk.sweep(21) s;
	COMMIT;
	INSERT INTO bench.result VALUES ('cascade', what, 'one sweep', round, bench.since(at), NULL, n);

	CALL bench.mark(24, 90.4);
	COMMIT;
	expected := bench.recompute(24);
	IF expected IS DISTINCT FROM (SELECT array_agg(first + 1000 + a ORDER BY a) FROM generate_series(0, 999) a) THEN
		RAISE EXCEPTION 'recompute finds % accounts', cardinality(expected);
	END IF;
	CALL bench.mark(24, 100);
	COMMIT;
	at := clock_timestamp();
	CALL bench.mark(24, 90.4);
	COMMIT;
	n := 0;
	FOR due IN SELECT * FROM risk.sweep_order(24) LOOP
		n := n + (SELECT count(*) FILTER (WHERE a.result IN ('closed', 'restored')) FROM risk.sweep_account(due.book_id, due.account_id) a);
		COMMIT;
	END LOOP;
	INSERT INTO bench.result VALUES ('cascade', what, 'account by account', round, bench.since(at), NULL, n);

	-- what the sweep has traded with the first thousand, for the third and the fourth
	CREATE TEMP TABLE IF NOT EXISTS hand (account_id bigint, instrument_id int, execution_id bigint, side text, qty numeric, price numeric, trader bigint);
	TRUNCATE hand;
	INSERT INTO hand
	SELECT t.account_id, t.instrument_id, t.execution_id, t.side, t.qty, t.price,
		   max(t.account_id) OVER (PARTITION BY t.execution_id)
	  FROM ledger.trade t
	 WHERE t.trade_id > last_trade AND t.instrument_id BETWEEN 21 AND 23 AND t.execution_id < 0
	 ORDER BY t.trade_id;
	CREATE INDEX IF NOT EXISTS hand_trader ON hand (trader);
	ANALYZE hand;
	INSERT INTO bench.figure SELECT 'cascade', what || ', trades to an account', count(*) / 1000.0 FROM hand WHERE account_id > 0;
	COMMIT;
	at := clock_timestamp();
	CALL bench.mark(27, 90.4);
	COMMIT;
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE WHEN h.account_id > 0 THEN h.account_id + 2000 ELSE h.account_id END, h.instrument_id + 6, h.side, h.qty, h.price, 2 * first - h.execution_id FROM hand h;
	COMMIT;
	INSERT INTO bench.result VALUES ('cascade', what, 'by hand, one statement', round, bench.since(at), NULL, 1000);
	at := clock_timestamp();
	CALL bench.mark(30, 90.4);
	COMMIT;
	FOR account IN SELECT first + a FROM generate_series(0, 999) a LOOP
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
		SELECT CASE WHEN h.account_id > 0 THEN h.account_id + 3000 ELSE h.account_id END, h.instrument_id + 9, h.side, h.qty, h.price, 3 * first - h.execution_id
		  FROM hand h WHERE h.trader = account;
		COMMIT;
	END LOOP;
	INSERT INTO bench.result VALUES ('cascade', what, 'by hand, one by one', round, bench.since(at), NULL, 1000);
	IF EXISTS (SELECT e.kind, e.amount, (e.account_id - first) % 1000, e.seq FROM ledger.entry e
				WHERE e.book_id = 1 AND e.slot = 0 AND e.account_id BETWEEN first AND first + 3999
				GROUP BY 1, 2, 3, 4 HAVING count(*) <> 4) THEN
		RAISE EXCEPTION 'the sides make other entries';
	END IF;
	COMMIT;
END
$$;
\o
