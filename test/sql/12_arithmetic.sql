-- The arithmetic against NUMERIC itself: the C functions and the same formula
-- in SQL give the same text, so the same digits and the same scale.
--
-- Numbers of 1 to 38 digits and 0 to 38 decimals, zeros, the tiny and the
-- huge, and numbers that no 128 bits hold.  The sample is small; `make compare`
-- does it for a million rows.
\if :{?rows}
\else
	\set rows 20000
\endif

CREATE FUNCTION pg_temp.any_number(positive boolean) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
	digits int := 1 + floor(38 * random())::int;
	n numeric;
BEGIN
	n := CASE floor(10 * random())::int
		 WHEN 0 THEN 0
		 WHEN 1 THEN 10::numeric ^ digits - floor(2 * random())::int
		 WHEN 2 THEN floor(random() * 1000)::numeric * ('1e' || floor(60 * random())::int)::numeric
		 WHEN 3 THEN floor(random() * 100000)::numeric * ('1e-' || floor(80 * random())::int)::numeric
		 WHEN 4 THEN 2::numeric ^ floor(130 * random())::int
		 -- a venue's
		 WHEN 5 THEN round((10 ^ (6 * random()))::numeric, 2)
		 WHEN 6 THEN round((10 ^ (6 * random() - 3))::numeric, 8)
		 ELSE left(lpad(floor(random() * 1e15)::text, 15, '7') || lpad(floor(random() * 1e15)::text, 15, '3')
				   || lpad(floor(random() * 1e8)::text, 8, '9'), digits)::numeric
			  * ('1e-' || floor(39 * random())::int)::numeric
		 END;
	-- trailing zeros are part of a number
	IF random() < 0.3 THEN
		n := round(n, least(scale(n) + floor(10 * random())::int, 200));
	END IF;
	IF positive THEN
		RETURN CASE WHEN n > 0 THEN n ELSE 1 END;
	END IF;
	RETURN CASE WHEN random() < 0.5 THEN n ELSE -n END;
END $$;
CREATE FUNCTION pg_temp.any_rate() RETURNS numeric
LANGUAGE sql AS $$
	SELECT CASE WHEN random() < 0.2 THEN 0 ELSE round(random()::numeric * 0.999, floor(20 * random())::int + 1) END
$$;

SELECT setseed(0.12) IS NOT NULL AS seeded;
CREATE TEMP TABLE adversary AS
SELECT pg_temp.any_number(false) AS qty, pg_temp.any_number(true) AS entry, pg_temp.any_number(true) AS mark,
	   pg_temp.any_number(false) AS balance, pg_temp.any_number(false) AS cost, pg_temp.any_number(false) AS other_pnl,
	   abs(pg_temp.any_number(false)) AS other_mm, abs(pg_temp.any_number(false)) AS amount,
	   CASE WHEN random() < 0.5 THEN 1 ELSE pg_temp.any_number(true) END AS k,
	   least(pg_temp.any_rate(), 0.999) AS rate, least(pg_temp.any_rate(), 0.999) AS fee,
	   (ARRAY['linear', 'inverse', 'quanto'])[1 + floor(3 * random())::int] AS kind,
	   floor(20 * random())::int AS scale, x
  FROM generate_series(1, :rows) AS x;

-- The formulas in SQL.  v: what a quantity is worth at a price.
CREATE TEMP VIEW compared AS
SELECT a.*,
	   risk.unrealized_pnl(q, entry, mark, k, kind)::text AS pnl_c, (vm - ve)::text AS pnl_sql,
	   risk.unrealized_pnl_at_cost(qty, cost, mark, k, kind)::text AS pnl_at_cost_c, (vm - cost)::text AS pnl_at_cost_sql,
	   risk.equity(balance, q, entry, mark, k, kind)::text AS equity_c, (balance + (vm - ve))::text AS equity_sql,
	   risk.notional(q, mark, k, kind)::text AS notional_c, n::text AS notional_sql,
	   risk.maintenance_margin(q, mark, rate, amount, k, kind)::text AS maintenance_c, mm::text AS maintenance_sql,
	   risk.is_liquidatable(q, entry, mark, balance, rate, amount, other_pnl, other_mm, fee, k, kind)::text AS liquidatable_c,
	   (q <> 0 AND balance + other_pnl + (vm - ve) <= other_mm + mm + n * fee)::text AS liquidatable_sql,
	   risk.bankruptcy_price(q, entry, balance, other_pnl, fee, k, kind)::text AS bankruptcy_c,
	   CASE WHEN sign(fee - d) = -d AND sign(balance + other_pnl - ve) = -d AND d <> 0 THEN
			CASE WHEN kind = 'inverse' THEN (abs(qty) * k * (fee - d)) / (balance + other_pnl - ve)
				 ELSE (balance + other_pnl - ve) / (abs(qty) * k * (fee - d)) END END::text AS bankruptcy_sql,
	   -- without an amount: with one it is the maintenance that decides which formula holds
	   risk.liquidation_price(q, entry, balance, rate, 0, other_pnl, other_mm, fee, k, kind)::text AS liquidation_c,
	   CASE WHEN sign(rate + fee - d) = -d AND sign(balance + other_pnl - other_mm - ve) = -d AND d <> 0 THEN
			CASE WHEN kind = 'inverse' THEN (abs(qty) * k * (rate + fee - d)) / (balance + other_pnl - other_mm - ve)
				 ELSE (balance + other_pnl - other_mm - ve) / (abs(qty) * k * (rate + fee - d)) END END::text AS liquidation_sql,
	   risk.liquidation_price_at_cost(qty, cost, balance, 0, amount, other_pnl, other_mm, fee, k, kind)::text AS at_cost_c,
	   CASE WHEN sign(fee - d) = -d AND sign(balance + other_pnl - other_mm - amount - cost) = -d AND d <> 0 THEN
			CASE WHEN kind = 'inverse' THEN (abs(qty) * k * (fee - d)) / (balance + other_pnl - other_mm - amount - cost)
				 ELSE (balance + other_pnl - other_mm - amount - cost) / (abs(qty) * k * (fee - d)) END END::text AS at_cost_sql,
	   risk.withdrawable(balance, other_pnl, other_mm, amount, 0, true)::text AS withdrawable_c,
	   greatest(least(balance - 0, balance - 0 + other_pnl - other_mm - amount), 0)::text AS withdrawable_sql,
	   risk.free_collateral(balance, other_pnl, other_mm, amount)::text AS free_c,
	   (balance + other_pnl - other_mm - amount)::text AS free_sql,
	   risk.margin_level(balance, other_mm)::text AS level_c, (balance * 100 / nullif(other_mm, 0))::text AS level_sql,
	   risk.risk_ratio(balance, other_mm)::text AS ratio_c, CASE WHEN balance > 0 THEN other_mm * 100 / balance END::text AS ratio_sql,
	   -- rounded up: the quotient without a fraction, and one more when there was one
	   risk.initial_margin(other_mm, entry, a.scale)::numeric AS initial_c,
	   (div(other_mm * ('1e' || a.scale)::numeric, entry) + (mod(other_mm * ('1e' || a.scale)::numeric, entry) > 0)::int)
			* ('1e-' || a.scale)::numeric AS initial_sql,
	   risk.max_order_qty(balance, mark, entry, k, fee)::numeric AS order_c,
	   greatest(div(balance * entry, (1 + fee * entry) * mark * k), 0) * k AS order_sql,
	   risk.funding_payment(qty, entry, mark, k)::text AS funding_c, (qty * k * (entry - mark))::text AS funding_sql
  FROM adversary a
 CROSS JOIN LATERAL (
	-- zero is refused where a price is given with it
	SELECT nullif(qty, 0) AS q
	OFFSET 0) z
 CROSS JOIN LATERAL (
	SELECT CASE WHEN kind = 'inverse' THEN -(qty * k / mark) ELSE qty * k * mark END AS vm,
		   CASE WHEN kind = 'inverse' THEN -(q * k / entry) ELSE q * k * entry END AS ve,
		   CASE WHEN kind = 'inverse' THEN -sign(qty) ELSE sign(qty) END AS d
	OFFSET 0) v
 CROSS JOIN LATERAL (
	SELECT CASE WHEN q <> 0 THEN abs(vm) END AS n,
		   CASE WHEN q IS NULL THEN NULL WHEN vm = 0 THEN 0 WHEN rate = 0 THEN amount ELSE greatest(abs(vm) * rate - amount, 0) END AS mm
	OFFSET 0) m;

SELECT count(*) FILTER (WHERE pnl_c IS DISTINCT FROM pnl_sql) AS pnl,
	   count(*) FILTER (WHERE pnl_at_cost_c IS DISTINCT FROM pnl_at_cost_sql) AS pnl_at_cost,
	   count(*) FILTER (WHERE equity_c IS DISTINCT FROM equity_sql) AS equity,
	   count(*) FILTER (WHERE notional_c IS DISTINCT FROM notional_sql) AS notional,
	   count(*) FILTER (WHERE maintenance_c IS DISTINCT FROM maintenance_sql) AS maintenance,
	   count(*) FILTER (WHERE liquidatable_c IS DISTINCT FROM liquidatable_sql) AS liquidatable,
	   count(*) FILTER (WHERE bankruptcy_c IS DISTINCT FROM bankruptcy_sql AND coalesce(bankruptcy_sql::numeric, 1) <> 0) AS bankruptcy,
	   count(*) FILTER (WHERE liquidation_c IS DISTINCT FROM liquidation_sql AND coalesce(liquidation_sql::numeric, 1) <> 0) AS liquidation,
	   count(*) FILTER (WHERE at_cost_c IS DISTINCT FROM at_cost_sql AND coalesce(at_cost_sql::numeric, 1) <> 0) AS at_cost,
	   count(*) FILTER (WHERE withdrawable_c IS DISTINCT FROM withdrawable_sql) AS withdrawable,
	   count(*) FILTER (WHERE free_c IS DISTINCT FROM free_sql) AS free,
	   count(*) FILTER (WHERE level_c IS DISTINCT FROM level_sql) AS level,
	   count(*) FILTER (WHERE ratio_c IS DISTINCT FROM ratio_sql) AS ratio,
	   count(*) FILTER (WHERE initial_c IS DISTINCT FROM initial_sql) AS initial,
	   count(*) FILTER (WHERE order_c IS DISTINCT FROM order_sql) AS max_order,
	   count(*) FILTER (WHERE funding_c IS DISTINCT FROM funding_sql) AS funding,
	   count(*) = :rows AS complete,
	   count(liquidation_c) > :rows / 10 AS some_prices
  FROM compared;

-- Sums: of one group, and of parts.
SELECT risk.sum_unrealized_pnl(qty, cost, mark, k, 'linear')::text = sum(qty * k * mark - cost)::text AS pnl,
	   risk.sum_notional(qty, mark, k, 'linear')::text = sum(abs(qty * k * mark))::text AS notional
  FROM adversary;
SELECT count(*) FILTER (WHERE a <> b) AS pnl, count(*) FILTER (WHERE c <> d) AS initial, count(*) FILTER (WHERE e <> f) AS maintenance
  FROM (SELECT risk.sum_unrealized_pnl(qty, cost, mark, k, kind)::text AS a,
			   sum(risk.unrealized_pnl_at_cost(qty, cost, mark, k, kind))::text AS b,
			   risk.sum_initial_margin(qty, mark, entry, 8, k, kind)::text AS c,
			   sum(risk.initial_margin(risk.notional(nullif(qty, 0), mark, k, kind), entry, 8))::text AS d,
			   risk.sum_maintenance_margin(qty, mark, ARRAY[0, 1000, 1e20], ARRAY[0.01, 0.02, 0.5], k, kind)::text AS e,
			   sum(risk.maintenance_margin(nullif(qty, 0), mark, ARRAY[0, 1000, 1e20], ARRAY[0.01, 0.02, 0.5], k, kind))::text AS f
		  FROM adversary GROUP BY x % 100) s;
-- in workers
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
CREATE TABLE ledger_of_many AS SELECT * FROM adversary;
ANALYZE ledger_of_many;
SELECT risk.sum_unrealized_pnl(qty, cost, mark, k, kind)::text
	   = (SELECT risk.sum_unrealized_pnl(qty, cost, mark, k, kind)::text FROM adversary) AS same
  FROM ledger_of_many;
ROLLBACK;
-- NULLs are left out
SELECT risk.sum_unrealized_pnl(q, 1, 2, 1, 'linear') AS pnl FROM (VALUES (NULL::numeric), (3), (NULL), (4)) AS v(q);
SELECT risk.sum_notional(NULL, 1, 1, 'linear') IS NULL AS nothing;
SELECT risk.sum_notional(1, 0, 1, 'linear');
DROP VIEW compared;
DROP TABLE adversary;
