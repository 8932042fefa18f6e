-- formulas.sql
--		Time of the C functions against the same formula written in SQL, over
--		:positions positions, median of :rounds interleaved rounds.
--
-- Called by bench/run.  Prints one table of ratios: 1.00 is the time of the
-- NUMERIC expression in SQL.  Both sides must give the same bytes in every
-- row; where they do not, the last column says in how many.  A second table
-- says how much faster either side is with two workers.

\set ON_ERROR_STOP 1
\set QUIET 1
\pset footer off
SET client_min_messages = warning;
SET parallel_setup_cost = 0;
SET jit = off;
SET work_mem = '256MB';

CREATE EXTENSION IF NOT EXISTS risk_ext;
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;

-- Ten positions to the account, each with a liquidation price; figures of the
-- lengths that a venue has.
\o /dev/null
SELECT setseed(0.5);
\o
CREATE UNLOGGED TABLE bench.position AS
SELECT i / 10 AS account_id,
	   qty, entry_price, mark_price, multiplier,
	   qty * multiplier * entry_price AS cost,
	   round(abs(qty) * multiplier * entry_price * (0.02 + 0.5 * random())::numeric, 8) AS balance,
	   round(abs(qty) * multiplier * entry_price * (0.01 * random() - 0.005)::numeric, 8) AS other_pnl,
	   round(abs(qty) * multiplier * entry_price * (0.005 * random())::numeric, 8) AS other_maintenance,
	   rate, 0.0005 AS fee_rate, 'linear'::text AS kind
  FROM (SELECT i,
			   (CASE WHEN random() < 0.5 THEN 1 ELSE -1 END) *
			   round((0.001 + 10 ^ (4 * random() - 2))::numeric, 3) AS qty,
			   round(p::numeric, 2) AS entry_price,
			   round((p * (0.9 + 0.2 * random()))::numeric, 2) AS mark_price,
			   (ARRAY[1, 1, 0.1, 0.001])[1 + floor(4 * random())::int] AS multiplier,
			   (ARRAY[0.004, 0.005, 0.01, 0.025])[1 + floor(4 * random())::int] AS rate
		  FROM generate_series(0, :positions - 1) AS i,
			   LATERAL (SELECT 0.5 + 10 ^ (5 * random()) + 0 * i AS p) AS r
		OFFSET 0) AS g;
VACUUM (ANALYZE, FREEZE) bench.position;

-- The formulas in PL/pgSQL, as a venue would write them there.
CREATE FUNCTION bench.liquidation_price(qty numeric, entry_price numeric, balance numeric, rate numeric,
										other_pnl numeric, other_maintenance numeric, fee_rate numeric,
										multiplier numeric)
RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
	dividend numeric := balance + other_pnl - other_maintenance - qty * multiplier * entry_price;
	divisor numeric := abs(qty) * multiplier * (rate + fee_rate - sign(qty));
BEGIN
	IF divisor = 0 THEN
		RETURN NULL;
	END IF;
	RETURN dividend / divisor;
END $$;
CREATE FUNCTION bench.equity(balance numeric, qty numeric, entry_price numeric, mark_price numeric, multiplier numeric)
RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
	RETURN balance + (qty * multiplier * mark_price - qty * multiplier * entry_price);
END $$;
CREATE FUNCTION bench.is_liquidatable(balance numeric, qty numeric, entry_price numeric, mark_price numeric,
									  rate numeric, multiplier numeric)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
	RETURN balance + (qty * multiplier * mark_price - qty * multiplier * entry_price)
		   <= abs(qty * multiplier * mark_price) * rate;
END $$;
CREATE FUNCTION bench.tier_price(qty numeric, entry_price numeric, balance numeric, multiplier numeric,
								 floors numeric[], rates numeric[])
RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
	rest numeric := balance - qty * multiplier * entry_price;
	amount numeric := 0;
	tier int := 1;
BEGIN
	WHILE tier < cardinality(floors)
		  AND sign(rest + amount + floors[tier + 1] * (sign(qty) - rates[tier])) = -sign(qty) LOOP
		tier := tier + 1;
		amount := amount + floors[tier] * (rates[tier] - rates[tier - 1]);
	END LOOP;
	RETURN (rest + amount) / (abs(qty) * multiplier * (rates[tier] - sign(qty)));
END $$;

CREATE TABLE bench.subject (
	subject text PRIMARY KEY, place int GENERATED ALWAYS AS IDENTITY,
	-- expressions over bench.position
	c text, sql text, plpgsql text,
	-- what is done with them: count them, or take the aggregate of each group
	groups text,
	workers int NOT NULL DEFAULT 0,
	-- the subject that is the same without workers
	alone text);
INSERT INTO bench.subject (subject, c, sql, plpgsql) VALUES
	('liquidation price',
	 'risk.liquidation_price(qty, entry_price, balance, rate, 0, other_pnl, other_maintenance, fee_rate, multiplier)',
	 '(balance + other_pnl - other_maintenance - qty * multiplier * entry_price) / nullif(abs(qty) * multiplier * (rate + fee_rate - sign(qty)), 0)',
	 'bench.liquidation_price(qty, entry_price, balance, rate, other_pnl, other_maintenance, fee_rate, multiplier)'),
	('liquidation price, few arguments',
	 'risk.liquidation_price(qty, entry_price, balance, rate)',
	 '(balance - qty * entry_price) / nullif(abs(qty) * (rate - sign(qty)), 0)', NULL),
	('liquidation price, at cost',
	 'risk.liquidation_price_at_cost(qty, cost, balance, rate, 0, other_pnl, other_maintenance, fee_rate, multiplier)',
	 '(balance + other_pnl - other_maintenance - cost) / nullif(abs(qty) * multiplier * (rate + fee_rate - sign(qty)), 0)', NULL),
	('liquidation price, by 5 tiers',
	 'risk.liquidation_price(qty, entry_price, balance, ARRAY[0, 5000, 50000, 600000, 1200000], ARRAY[0.01, 0.02, 0.025, 0.05, 0.1], multiplier => multiplier)',
	 NULL,
	 'bench.tier_price(qty, entry_price, balance, multiplier, ARRAY[0, 5000, 50000, 600000, 1200000], ARRAY[0.01, 0.02, 0.025, 0.05, 0.1])'),
	('equity',
	 'risk.equity(balance, qty, entry_price, mark_price, multiplier)',
	 'balance + (qty * multiplier * mark_price - qty * multiplier * entry_price)',
	 'bench.equity(balance, qty, entry_price, mark_price, multiplier)'),
	('equity, factored',
	 'risk.equity(balance, qty, entry_price, mark_price, multiplier)',
	 'balance + qty * multiplier * (mark_price - entry_price)', NULL),
	('equity, at cost',
	 'risk.equity_at_cost(balance, qty, cost, mark_price, multiplier)',
	 'balance + (qty * multiplier * mark_price - cost)', NULL),
	('maintenance margin',
	 'risk.maintenance_margin(qty, mark_price, rate, 0, multiplier)',
	 'abs(qty * multiplier * mark_price) * rate', NULL),
	('initial margin',
	 'risk.initial_margin(risk.notional(qty, mark_price, multiplier), 20, 8)',
	 'ceil(abs(qty * multiplier * mark_price) * 1e8 / 20) * 1e-8::numeric', NULL),
	('equity <= maintenance',
	 'risk.is_liquidatable(qty, entry_price, mark_price, balance, rate, multiplier => multiplier)',
	 'balance + (qty * multiplier * mark_price - qty * multiplier * entry_price) <= abs(qty * multiplier * mark_price) * rate',
	 'bench.is_liquidatable(balance, qty, entry_price, mark_price, rate, multiplier)');
INSERT INTO bench.subject (subject, c, sql, groups) VALUES
	('sum of profit, all',
	 'risk.sum_unrealized_pnl(qty, cost, mark_price, multiplier, ''linear'')',
	 'sum(qty * multiplier * mark_price - cost)', ''),
	('sum of profit, kinds as stored',
	 'risk.sum_unrealized_pnl(qty, cost, mark_price, multiplier, kind)',
	 'sum(CASE kind WHEN ''inverse'' THEN -(qty * multiplier / mark_price) ELSE qty * multiplier * mark_price END - cost)', ''),
	('sum of profit, by account',
	 'risk.sum_unrealized_pnl(qty, cost, mark_price, multiplier, ''linear'')',
	 'sum(qty * multiplier * mark_price - cost)', 'GROUP BY account_id'),
	('all sums of an account',
	 'ROW(risk.sum_unrealized_pnl(qty, cost, mark_price, multiplier, kind), risk.sum_notional(qty, mark_price, multiplier, kind),'
	 ' risk.sum_maintenance_margin(qty, mark_price, ARRAY[0, 5000, 50000, 600000, 1200000], ARRAY[0.01, 0.02, 0.025, 0.05, 0.1], multiplier, kind),'
	 ' risk.sum_initial_margin(qty, mark_price, 20, 8, multiplier, kind))',
	 'ROW(sum(qty * multiplier * mark_price - cost), sum(abs(qty * multiplier * mark_price)), sum(CASE'
	 ' WHEN abs(qty * multiplier * mark_price) <= 5000 THEN abs(qty * multiplier * mark_price) * 0.01 - 0.00'
	 ' WHEN abs(qty * multiplier * mark_price) <= 50000 THEN abs(qty * multiplier * mark_price) * 0.02 - 50'
	 ' WHEN abs(qty * multiplier * mark_price) <= 600000 THEN abs(qty * multiplier * mark_price) * 0.025 - 300'
	 ' WHEN abs(qty * multiplier * mark_price) <= 1200000 THEN abs(qty * multiplier * mark_price) * 0.05 - 15300'
	 ' ELSE abs(qty * multiplier * mark_price) * 0.1 - 75300 END),'
	 ' sum(ceil(abs(qty * multiplier * mark_price) * 1e8 / 20) * 1e-8::numeric))', 'GROUP BY account_id'),
	-- what no arithmetic can save, beside what it is to be compared with
	('scan of the amounts alone', 'balance', 'balance + (qty * multiplier * mark_price - qty * multiplier * entry_price)', NULL),
	('groups alone', 'count(cost)', 'sum(qty * multiplier * mark_price - cost)', 'GROUP BY account_id');
INSERT INTO bench.subject (subject, c, sql, groups, workers, alone)
SELECT subject || ', 2 workers', c, sql, groups, 2, subject
  FROM bench.subject
 WHERE subject IN ('liquidation price', 'equity', 'sum of profit, all') ORDER BY place;

-- Seconds of the processor, where Linux counts them, so that what else runs on
-- the machine matters little; else of the clock.  With workers it is the clock.
CREATE FUNCTION bench.processor() RETURNS float8 LANGUAGE sql AS $$
	SELECT CASE WHEN pg_stat_file('/proc/self/schedstat', true) IS NOT NULL
				THEN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1e9
				ELSE extract(epoch FROM clock_timestamp()) END
$$;

CREATE TABLE bench.result (subject text, round int, side text, seconds float8, clock interval);

CREATE FUNCTION bench.query(expression text, groups text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN groups IS NULL THEN format('SELECT count(%s) FROM bench.position', expression)
				ELSE format('SELECT count(x) FROM (SELECT %s AS x FROM bench.position %s OFFSET 0) AS q', expression, groups) END
$$;

DO $$
DECLARE
	s bench.subject;
	side text;
	expression text;
	started timestamptz;
	spent float8;
BEGIN
	FOR round IN 0 .. current_setting('bench.rounds')::int LOOP
		FOR s IN SELECT * FROM bench.subject ORDER BY place LOOP
			PERFORM set_config('max_parallel_workers_per_gather', s.workers::text, true);
			FOREACH side IN ARRAY ARRAY['c', 'sql', 'plpgsql'] LOOP
				expression := to_jsonb(s) ->> side;
				CONTINUE WHEN expression IS NULL OR side = 'plpgsql' AND round > 5;
				started := clock_timestamp();
				spent := bench.processor();
				EXECUTE bench.query(expression, s.groups);
				-- round 0 warms up
				INSERT INTO bench.result
				SELECT s.subject, round, side, bench.processor() - spent, clock_timestamp() - started WHERE round > 0;
			END LOOP;
		END LOOP;
	END LOOP;
END $$;

-- Byte for byte, that is as binary output has it: digits, weight, sign, scale.
CREATE TABLE bench.difference (subject text, n bigint);
DO $$
DECLARE
	s bench.subject;
	n bigint;
BEGIN
	FOR s IN SELECT * FROM bench.subject WHERE subject NOT LIKE '% alone' LOOP
		PERFORM set_config('max_parallel_workers_per_gather', s.workers::text, true);
		IF s.groups IS NULL THEN
			EXECUTE format('SELECT count(*) FROM bench.position WHERE (%s)::text IS DISTINCT FROM (%s)::text',
						   s.c, coalesce(s.sql, s.plpgsql)) INTO n;
		ELSE
			EXECUTE format('SELECT count(*) FROM (SELECT %s AS c, %s AS sql FROM bench.position %s) AS g'
						   ' WHERE c::text IS DISTINCT FROM sql::text', s.c, s.sql, s.groups) INTO n;
		END IF;
		INSERT INTO bench.difference VALUES (s.subject, n);
	END LOOP;
END $$;

WITH median AS (
	SELECT subject, side, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds
	  FROM bench.result GROUP BY subject, side),
ratio AS (
	-- of the same round, so that what slows down the machine slows down both
	SELECT c.subject, o.side, percentile_cont(0.5) WITHIN GROUP (ORDER BY c.seconds / o.seconds) AS ratio
	  FROM bench.result c JOIN bench.result o USING (subject, round)
	 WHERE c.side = 'c' AND o.side <> 'c'
	 GROUP BY c.subject, o.side)
SELECT s.subject,
	   round(1e9 * c.seconds / :positions) AS "C, ns",
	   round(1e9 * q.seconds / :positions) AS "SQL, ns",
	   round(rq.ratio::numeric, 2) AS "C : SQL",
	   round(rp.ratio::numeric, 2) AS "C : PL/pgSQL",
	   d.n AS different
  FROM bench.subject s
  JOIN median c ON c.subject = s.subject AND c.side = 'c'
  LEFT JOIN median q ON q.subject = s.subject AND q.side = 'sql'
  LEFT JOIN ratio rq ON rq.subject = s.subject AND rq.side = 'sql'
  LEFT JOIN ratio rp ON rp.subject = s.subject AND rp.side = 'plpgsql'
  LEFT JOIN bench.difference d ON d.subject = s.subject
 WHERE s.alone IS NULL
 ORDER BY s.place;

SELECT s.alone AS "with 2 workers, times as fast",
	   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM serial.clock) / extract(epoch FROM parallel.clock))
			 FILTER (WHERE parallel.side = 'c')::numeric, 2) AS "C",
	   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM serial.clock) / extract(epoch FROM parallel.clock))
			 FILTER (WHERE parallel.side = 'sql')::numeric, 2) AS "SQL",
	   d.n AS different
  FROM bench.subject s
  JOIN bench.result parallel ON parallel.subject = s.subject
  JOIN bench.result serial ON serial.subject = s.alone AND serial.round = parallel.round AND serial.side = parallel.side
  JOIN bench.difference d ON d.subject = s.subject
 GROUP BY s.alone, s.place, d.n ORDER BY s.place;

DROP SCHEMA bench CASCADE;
