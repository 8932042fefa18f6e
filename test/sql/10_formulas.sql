-- The per-row formulas.  The extension exists already (00_install).
--
-- The figures of the worked examples were calculated by hand.  Quantities are
-- signed: above zero is long, below zero is short.

-- 1. Worked examples

-- Entry 25,000, size 10,000 (quantity 0.4), balance 1,500, maintenance 500 as
-- an amount.  Long: the account can lose 1,000 on 0.4, that is 2,500 a unit.
SELECT risk.liquidation_price(qty => 0.4, entry_price => 25000, balance => 1500,
							  maintenance_amount => 500) = 22500 AS long_22500,
	   risk.liquidation_price(qty => -0.4, entry_price => 25000, balance => 1500,
							  maintenance_amount => 500) = 27500 AS short_27500,
	   risk.bankruptcy_price(qty => 0.4, entry_price => 25000, balance => 1500) = 21250 AS bankrupt_21250;

-- The same by the exact cost, 0.4 * 25,000, as the views do it.
SELECT risk.liquidation_price_at_cost(qty => 0.4, cost => 10000, balance => 1500,
									  maintenance_amount => 500) = 22500 AS long_22500,
	   risk.liquidation_price_at_cost(qty => -0.4, cost => -10000, balance => 1500,
									  maintenance_amount => 500) = 27500 AS short_27500,
	   risk.bankruptcy_price_at_cost(qty => 0.4, cost => 10000, balance => 1500) = 21250 AS bankrupt_21250;

-- Without maintenance a position of L times the equity is liquidated where the
-- price has moved by 1/L: 20, 10, 5 and 1 percent.
SELECT leverage,
	   round(100 - risk.liquidation_price(leverage, 50000, 50000) / 500, 10) AS long_distance_pct,
	   round(risk.liquidation_price(-leverage, 50000, 50000) / 500 - 100, 10) AS short_distance_pct,
	   risk.liquidation_price(leverage, 50000, 50000)
	   = risk.bankruptcy_price(leverage, 50000, 50000) AS is_bankruptcy_price
FROM unnest(ARRAY[5, 10, 20, 100]) AS leverage
ORDER BY leverage;

-- 10,000 at 10x (1,000 of margin) falling 10 percent leaves exactly nothing.
SELECT 1000 + risk.unrealized_pnl(qty => 100, entry_price => 100, mark_price => 90) = 0 AS equity_zero,
	   1000 + risk.unrealized_pnl_at_cost(qty => 100, cost => 10000, mark_price => 90) = 0 AS at_cost,
	   risk.bankruptcy_price(qty => 100, entry_price => 100, balance => 1000) = 90 AS bankrupt_at_90;

-- 1,000 at 10x needs 100.
SELECT risk.initial_margin(risk.notional(qty => 10, price => 100), leverage => 10, scale => 2) AS initial_margin;

-- The gap: long 1, liquidated at 50,000, executed at 48,000.  Balance 12,500,
-- entry 62,500: nothing is left at 50,000, and 2,000 is missing at 48,000.
SELECT risk.liquidation_price(1, 62500, 12500) = 50000 AS liquidated_at_50000,
	   12500 + risk.unrealized_pnl(1, 62500, 48000) AS missing;

-- 2. Profit and notional

SELECT risk.unrealized_pnl(2, 100, 110) AS long_gains,
	   risk.unrealized_pnl(2, 100, 95) AS long_loses,
	   risk.unrealized_pnl(-2, 100, 110) AS short_loses,
	   risk.unrealized_pnl(-2, 100, 95) AS short_gains,
	   risk.unrealized_pnl(2, 100, 110, multiplier => 0.01) AS small_contract;

SELECT risk.notional(2, 100) AS long, risk.notional(-2, 100) AS short,
	   risk.notional(-2, 100, multiplier => 0.01) AS small_contract;

-- The cost may have any sign: profits that were settled are added to it.
SELECT risk.unrealized_pnl_at_cost(2, -50, 10) AS pnl,
	   risk.unrealized_pnl_at_cost(0, 0, 10) AS flat;

-- Nothing is rounded: 20 digits before the point, 18 decimals, both.
SELECT risk.unrealized_pnl(99999999999999999999.999999999999999999,
						   0.000000000000000001,
						   99999999999999999999.999999999999999999)
	   = 99999999999999999999.999999999999999999
		 * (99999999999999999999.999999999999999999 - 0.000000000000000001) AS exact;

-- 3. Maintenance

-- A rate, a tier's rate with its cumulative amount deducted, a fixed amount.
SELECT risk.maintenance_margin(10, 100, 0.005) AS by_rate,
	   risk.maintenance_margin(-10, 100, maintenance_rate => 0.01, maintenance_amount => 2) AS by_tier,
	   risk.maintenance_margin(10, 100, maintenance_rate => 0, maintenance_amount => 500) AS fixed;

-- Never below zero.
SELECT risk.maintenance_margin(1, 100, 0.01, 500) AS outside_of_its_tier;

-- Tiers 0.4 % up to 50,000, 0.5 % up to 250,000, 1 % above: with the amounts
-- 50,000 * 0.1 % = 50 and 50 + 250,000 * 0.5 % = 1,300 there is no step.
SELECT risk.maintenance_margin(1, 50000, 0.004) = risk.maintenance_margin(1, 50000, 0.005, 50) AS at_50000,
	   risk.maintenance_margin(1, 250000, 0.005, 50) = risk.maintenance_margin(1, 250000, 0.01, 1300) AS at_250000;

-- By rate: long 10 at 100, balance 100.  Equity 10 P - 900 is maintenance
-- 0.1 P at 900 / 9.9; short: 1,100 / 10.1.
SELECT round(risk.liquidation_price(10, 100, 100, 0.01), 12) AS long,
	   round(risk.liquidation_price(-10, 100, 100, 0.01), 12) AS short;

-- Each argument by hand.  Long 1 at 100, balance 10: 90 without any of them.
SELECT risk.liquidation_price(1, 100, 10) = 90 AS plain,
	   risk.liquidation_price(1, 100, 10, other_pnl => -4) = 94 AS other_loss,
	   risk.liquidation_price(1, 100, 10, other_maintenance => 3) = 93 AS other_maintenance,
	   risk.liquidation_price(1, 100, 10, close_fee_rate => 0.1) = 100 AS fee,
	   risk.liquidation_price(1, 100, 10, maintenance_rate => 0.1) = 100 AS rate,
	   risk.liquidation_price(1, 100, 10, maintenance_rate => 0.1, maintenance_amount => 4.5) = 95 AS tier,
	   risk.liquidation_price(10, 100, 10, multiplier => 0.1) = 90 AS multiplier,
	   risk.bankruptcy_price(1, 100, 10, other_pnl => -4) = 94 AS bankruptcy_other_loss,
	   risk.bankruptcy_price(1, 100, 10, close_fee_rate => 0.1) = 100 AS bankruptcy_fee;

-- A tier whose amount would make the maintenance negative at that price counts
-- as no maintenance: never a price beyond bankruptcy.
SELECT risk.liquidation_price(1, 100, 10, 0.01, 5) = 90 AS long,
	   risk.liquidation_price(-1, 100, 10, 0.01, 5) = 110 AS short;

-- 4. Rounding

-- Initial margin is rounded up, by as little as one unit.
SELECT risk.initial_margin(1000, 3, 2) AS third,
	   risk.initial_margin(999, 3, 2) AS exact,
	   risk.initial_margin(0.0000000001, 100, 8) AS smallest,
	   risk.initial_margin(0, 10, 2) AS nothing,
	   risk.initial_margin(100, 7, 0) AS whole,
	   risk.initial_margin(1, 3, 38) AS many;

SELECT count(*) AS checked,
	   count(*) FILTER (WHERE m * leverage >= notional
						AND (m - 0.01) * leverage < notional) AS least_that_suffices
FROM generate_series(1, 100) AS n,
	 generate_series(1, 125, 4) AS leverage,
	 LATERAL (SELECT n * 1234.56789 AS notional) AS s,
	 LATERAL risk.initial_margin(notional, leverage, 2) AS m;

-- Prices are rounded as SQL rounds a quotient.
SELECT risk.liquidation_price(3, 100, 1) AS price,
	   risk.liquidation_price(3, 100, 1) = (1 - 3 * 100) / (3 * -1::numeric) AS as_sql;

-- 5. Withdrawable

-- Losses count at once, profits do not; never below zero.
SELECT risk.withdrawable(1000, 0, 100) AS plain,
	   risk.withdrawable(1000, 50, 100) AS with_profit,
	   risk.withdrawable(1000, -50, 100) AS with_loss,
	   risk.withdrawable(100, -50, 100) AS nothing,
	   risk.withdrawable(-5, 50, 0) AS in_deficit;

-- 6. No price

SELECT risk.liquidation_price_at_cost(0, 0, 10) IS NULL AS flat,
	   risk.bankruptcy_price_at_cost(0, 0, 10) IS NULL AS flat_bankruptcy,
	   risk.liquidation_price(1, 100, 100) IS NULL AS long_price_zero,
	   risk.liquidation_price(1, 100, 200) IS NULL AS long_safe_everywhere,
	   risk.bankruptcy_price(1, 100, 200) IS NULL AS long_solvent_everywhere,
	   risk.liquidation_price(-1, 100, -200) IS NULL AS short_below_everywhere,
	   risk.liquidation_price(-1, 100, -200, 0.01, 150) IS NULL AS short_below_in_any_tier,
	   risk.liquidation_price(1, 100, 10, 0.5, 0, 0, 0, 0.5) IS NULL AS long_rates_one,
	   risk.liquidation_price(1, 100, 10, 0.9, 0, 0, 0, 0.9) IS NULL AS long_rates_above_one,
	   risk.liquidation_price(NULL, 100, 10) IS NULL AS unknown;

-- A price above the entry of a long is one: the account is below it already.
SELECT risk.liquidation_price(1, 100, -10) AS long_already_below,
	   risk.liquidation_price(-1, 100, -10) AS short_already_below;

-- 7. Properties over generated rows

CREATE TEMP TABLE formula_case AS
SELECT side * size AS qty, entry, balance, rate, amount, other_pnl, other_mm, fee, multiplier
FROM (VALUES (1), (-1)) AS s(side),
	 unnest(ARRAY[0.001, 0.37, 12345.678]) AS size,
	 unnest(ARRAY[0.00004, 1.2345, 61234.5]) AS entry,
	 unnest(ARRAY[0.03, 0.2, 0.7]) AS share,
	 LATERAL (SELECT size * entry * share AS balance) AS b,
	 (VALUES (0, 0), (0, 0.01), (0.004, 0), (0.05, 0.002), (0.1, 0.2)) AS t(rate, amount_share),
	 LATERAL (SELECT size * entry * amount_share AS amount) AS a,
	 (VALUES (0, 0), (0.01, 0.005), (-0.01, 0)) AS o(pnl_share, mm_share),
	 LATERAL (SELECT size * entry * pnl_share AS other_pnl, size * entry * mm_share AS other_mm) AS om,
	 unnest(ARRAY[0, 0.0006]) AS fee,
	 unnest(ARRAY[0.01, 1]) AS contract,
	 LATERAL (SELECT contract AS multiplier) AS m;

-- At the liquidation price, equity is maintenance and fee; at the bankruptcy
-- price it is the fee.  To 15 digits of the notional.
WITH priced AS (
	SELECT *,
		   risk.liquidation_price(qty, entry, balance, rate, amount, other_pnl, other_mm, fee, multiplier) AS liq,
		   risk.bankruptcy_price(qty, entry, balance, other_pnl, fee, multiplier) AS bkr
	FROM formula_case),
proof AS (
	SELECT *,
		   balance + other_pnl + risk.unrealized_pnl(qty, entry, liq, multiplier)
		   - other_mm - risk.maintenance_margin(qty, liq, rate, amount, multiplier)
		   - fee * risk.notional(qty, liq, multiplier) AS liq_rest,
		   balance + other_pnl + risk.unrealized_pnl(qty, entry, bkr, multiplier)
		   - fee * risk.notional(qty, bkr, multiplier) AS bkr_rest,
		   risk.notional(qty, entry, multiplier) * 1e-15 AS tolerance
	FROM priced)
SELECT count(*) AS cases,
	   count(liq) > 0 AND count(bkr) > 0 AS some_priced,
	   count(*) FILTER (WHERE abs(liq_rest) > tolerance) AS liquidation_wrong,
	   count(*) FILTER (WHERE abs(bkr_rest) > tolerance) AS bankruptcy_wrong,
	   count(*) FILTER (WHERE other_mm = 0 AND sign(qty) * (liq - bkr) < 0) AS liquidated_too_late
FROM proof;

-- The form by cost gives the same.
SELECT count(*) AS different
FROM formula_case,
	 LATERAL (SELECT qty * multiplier * entry AS cost) AS c
WHERE risk.liquidation_price(qty, entry, balance, rate, amount, other_pnl, other_mm, fee, multiplier)
	  IS DISTINCT FROM risk.liquidation_price_at_cost(qty, cost, balance, rate, amount, other_pnl, other_mm, fee, multiplier)
   OR risk.bankruptcy_price(qty, entry, balance, other_pnl, fee, multiplier)
	  IS DISTINCT FROM risk.bankruptcy_price_at_cost(qty, cost, balance, other_pnl, fee, multiplier)
   OR risk.unrealized_pnl(qty, entry, entry * 1.1, multiplier)
	  IS DISTINCT FROM risk.unrealized_pnl_at_cost(qty, cost, entry * 1.1, multiplier);

-- No price is the truth: over prices from a millionth to a million times the
-- entry the account is on one side of its maintenance.
SELECT count(*) AS contradicted
FROM formula_case
WHERE risk.liquidation_price(qty, entry, balance, rate, amount, other_pnl, other_mm, fee, multiplier) IS NULL
  AND (SELECT count(DISTINCT balance + other_pnl - other_mm
					+ risk.unrealized_pnl(qty, entry, p, multiplier)
					- risk.maintenance_margin(qty, p, rate, amount, multiplier)
					- fee * risk.notional(qty, p, multiplier) >= 0)
	   FROM generate_series(-6, 6) AS e, LATERAL (SELECT entry * 10::numeric ^ e AS p) AS x) > 1;

-- More balance moves the price away, more maintenance or fee brings it nearer.
SELECT count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance * 1.01, rate, amount, other_pnl, other_mm, fee, multiplier) - liq) >= 0) AS balance_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, rate, amount, other_pnl, other_mm + balance * 0.01, fee, multiplier) - liq) <= 0) AS other_maintenance_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, rate + 0.01, amount, other_pnl, other_mm, fee, multiplier) - liq) < 0 AND rate > 0) AS rate_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, rate, amount, other_pnl, other_mm, fee + 0.01, multiplier) - liq) <= 0) AS fee_wrong
FROM formula_case,
	 LATERAL risk.liquidation_price(qty, entry, balance, rate, amount, other_pnl, other_mm, fee, multiplier) AS liq;

DROP TABLE formula_case;

-- 8. No position

-- Flat rows stay in a table of positions: the forms by cost take them.
SELECT risk.unrealized_pnl_at_cost(0, 0, 110) AS pnl, risk.equity_at_cost(10, 0, 0, 110) AS equity,
	   risk.liquidation_price_at_cost(0, 0, 10, ARRAY[0], ARRAY[0.01]) IS NULL AS price,
	   risk.is_liquidatable_at_cost(0, 0, 110, -10) AS liquidatable,
	   risk.is_liquidatable_at_cost(0, 0, 110, -10, ARRAY[0], ARRAY[0.01]) AS by_tiers,
	   risk.sum_notional(0, 110, 1, 'linear') AS notional;
-- With a price there is nothing to ask about.
SELECT risk.unrealized_pnl(0, 100, 110);
SELECT risk.liquidation_price(0.00, 100, 10);
\set VERBOSITY sqlstate
SELECT risk.notional(0, 100);
SELECT risk.equity(10, 0, 100, 110);
SELECT risk.maintenance_margin(0, 100, 0.01, 500);
SELECT risk.maintenance_margin(0, 100, ARRAY[0], ARRAY[0.01]);
SELECT risk.liquidation_requirement(0, 100, ARRAY[0], ARRAY[0.01]);
SELECT risk.liquidation_price(0, 100, 10, ARRAY[0], ARRAY[0.01]);
SELECT risk.is_liquidatable(0, 100, 110, 10);
SELECT risk.is_liquidatable(0, 100, 110, 10, ARRAY[0], ARRAY[0.01]);
SELECT risk.bankruptcy_price(0, 100, 10);
-- a zero that is not kept in 128 bits
SELECT risk.notional(round(0, 900), 100);
\set VERBOSITY default

-- 9. Bad input

-- What a client sees.
SELECT risk.unrealized_pnl(1, 100, 'NaN');
SELECT risk.liquidation_price(1, 100, 10, maintenance_rate => 5);
SELECT risk.notional(1, 0);
SELECT risk.bankruptcy_price(1, 100, 10, kind => 'future');

-- All of them, by SQLSTATE.
\set VERBOSITY sqlstate
SELECT risk.unrealized_pnl('NaN', 100, 100);
SELECT risk.unrealized_pnl('Infinity', 100, 100);
SELECT risk.unrealized_pnl(1, '-Infinity', 100);
SELECT risk.unrealized_pnl(1, 0, 100);
SELECT risk.unrealized_pnl(1, 100, -1);
SELECT risk.unrealized_pnl(1, 100, 0);
SELECT risk.unrealized_pnl(1, 100, 100, multiplier => 0);
SELECT risk.unrealized_pnl(1, 100, 100, multiplier => -1);
SELECT risk.unrealized_pnl(1, 100, 100, kind => 'future');
SELECT risk.unrealized_pnl(1, 100, 100, kind => '');
SELECT risk.unrealized_pnl_at_cost(1, 'NaN', 100);
SELECT risk.maintenance_margin(1, -1, 0.01);
SELECT risk.maintenance_margin(1, 100, -0.01);
SELECT risk.maintenance_margin(1, 100, 1);
SELECT risk.maintenance_margin(1, 100, 0.01, -1);
SELECT risk.maintenance_margin(1, 100, 'NaN');
SELECT risk.liquidation_price(1, 100, 'NaN');
SELECT risk.liquidation_price(1, 100, 10, other_pnl => 'Infinity');
SELECT risk.liquidation_price(1, 100, 10, other_maintenance => -1);
SELECT risk.liquidation_price(1, 100, 10, close_fee_rate => -0.01);
SELECT risk.liquidation_price(1, 100, 10, close_fee_rate => 1);
SELECT risk.liquidation_price_at_cost(0, 'NaN', 10);
SELECT risk.liquidation_price_at_cost(1, 'Infinity', 10);
SELECT risk.bankruptcy_price(1, 100, 10, multiplier => 0);
SELECT risk.bankruptcy_price_at_cost(1, 100, '-Infinity');
SELECT risk.initial_margin(-1, 10, 2);
SELECT risk.initial_margin(1000, 0, 2);
SELECT risk.initial_margin(1000, -10, 2);
SELECT risk.initial_margin(1000, 10, -1);
SELECT risk.initial_margin(1000, 10, 39);
SELECT risk.withdrawable(100, 0, -1);
SELECT risk.withdrawable('NaN', 0, 1);
-- too many digits before the point, or after it
SELECT risk.notional(('1e131071')::numeric, 10);
SELECT risk.notional(('1e-10000')::numeric, ('1e-10000')::numeric);
\set VERBOSITY default

-- 10. Declarations

-- Every formula is immutable, strict and parallel safe, and documented.
SELECT p.proname, p.provolatile, p.proisstrict, p.proparallel, p.procost > 1 AS has_cost,
	   obj_description(p.oid, 'pg_proc') IS NOT NULL AS has_comment
FROM pg_proc AS p
WHERE p.pronamespace = 'risk'::regnamespace
  AND p.proname IN ('unrealized_pnl', 'unrealized_pnl_at_cost', 'notional', 'maintenance_margin',
					'initial_margin', 'withdrawable', 'liquidation_price', 'liquidation_price_at_cost',
					'bankruptcy_price', 'bankruptcy_price_at_cost')
ORDER BY p.proname COLLATE "C";

-- Rows read from a table have short varlena headers; the result is the same.
CREATE TEMP TABLE formula_row (qty numeric, entry_price numeric, balance numeric);
INSERT INTO formula_row VALUES (0.4, 25000, 1500), (-0.4, 25000, 1500), (NULL, 25000, 1500);
SELECT qty, risk.liquidation_price(qty, entry_price, balance, maintenance_amount => 500) AS price
FROM formula_row ORDER BY qty;
DROP TABLE formula_row;
