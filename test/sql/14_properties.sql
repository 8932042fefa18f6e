-- What must hold of the formulas whatever the figures: all kinds of contract,
-- tiers, accounts.

-- 1. Worked examples

-- Tiers of 0.4 %, 0.5 % and 1 %: 60,000 needs 60,000 * 0.005 - 50.
SELECT risk.maintenance_margin(1, 60000, ARRAY[0, 50000, 250000], ARRAY[0.004, 0.005, 0.01]) = 250 AS maintenance,
	   risk.liquidation_requirement(1, 60000, ARRAY[0, 50000, 250000], ARRAY[0.004, 0.005, 0.01], 0.01) = 850 AS with_fee,
	   risk.margin_tier(50000, ARRAY[0, 50000, 250000], ARRAY[0.004, 0.005, 0.01]) AS at_50000,
	   risk.margin_tier(50000.01, ARRAY[0, 50000, 250000], ARRAY[0.004, 0.005, 0.01]) AS above_50000,
	   risk.margin_tier(0, ARRAY[0, 50000], ARRAY[0.004, 0.005]) AS at_zero,
	   risk.margin_tier(5, ARRAY[10], ARRAY[0.5]) AS below_the_first,
	   risk.maintenance_margin(5, 1, ARRAY[10], ARRAY[0.5]) AS nothing,
	   risk.maintenance_margin(20, 1, ARRAY[10], ARRAY[0.5]) AS above_10;

-- Long 10 at 10,000 with 20,000: at price P equity is 10 P - 80,000, and
-- maintenance 10 P 0.005 - 50 in the second tier: P = 79,950 / 9.95.
SELECT round(risk.liquidation_price(10, 10000, 20000, ARRAY[0, 50000, 250000], ARRAY[0.004, 0.005, 0.01]), 8)
	   = round(79950 / 9.95, 8) AS in_the_second_tier,
	   -- and so the first: 1 at 10,000 with 2,000, equity P - 8,000 = 0.004 P
	   round(risk.liquidation_price(1, 10000, 2000, ARRAY[0, 50000, 250000], ARRAY[0.004, 0.005, 0.01]), 8)
	   = round(8000 / 0.996, 8) AS in_the_first,
	   risk.liquidation_price(1, 10000, 10000, ARRAY[0, 50000], ARRAY[0.004, 0.005]) IS NULL AS safe;

-- Inverse: one coin of collateral, L coins long.  Liquidated 16.7, 9.1, 4.8 and
-- 0.99 percent below the entry, for the collateral loses value, too.
SELECT leverage, round(100 - risk.liquidation_price(leverage * 50000, 50000, 1, kind => 'inverse') / 500, 2) AS long_distance_pct
  FROM unnest(ARRAY[5, 10, 20, 100]) AS leverage ORDER BY leverage;
-- 6,000 USD long from 50,000 with 0.01: bankrupt where 0.12 - 6,000 / P = -0.01
SELECT round(risk.bankruptcy_price(60, 50000, 0.01, multiplier => 100, kind => 'inverse'), 10) = round(6000 / 0.13, 10) AS long,
	   round(risk.bankruptcy_price(-60, 50000, 0.01, multiplier => 100, kind => 'inverse'), 10) = round(6000 / 0.11, 10) AS short,
	   risk.bankruptcy_price(-60, 50000, 0.12, multiplier => 100, kind => 'inverse') IS NULL AS short_with_the_coins,
	   risk.unrealized_pnl(60, 50000, 60000, 100, 'inverse') = 0.02 AS gain,
	   risk.notional(-60, 60000, 100, 'inverse') = 0.1 AS notional;
-- Quanto is linear in units of the settlement asset.
SELECT risk.unrealized_pnl(1000, 5000, 5010, 0.01, 'quanto') AS gain,
	   risk.liquidation_price(1000, 5000, 100, multiplier => 0.01, kind => 'quanto') = 4990 AS price;

-- Entry prices: the figure that was traded, though the cost was rounded.
SELECT count(*) AS wrong FROM generate_series(1, 999) AS p,
	 LATERAL (SELECT -round(1 / (p * 61.5), 16) AS cost) AS c
 WHERE risk.entry_price(1, cost, 1, 'inverse', 8) <> p * 61.5;
SELECT risk.entry_price(3, 100) AS linear, risk.entry_price(0, 0) IS NULL AS flat,
	   risk.entry_price(1, 0.5, 1, 'inverse') IS NULL AS none;

-- The three ratios, and leverage.
SELECT risk.margin_ratio(50, 1000) = 5 AS margin_ratio, risk.margin_level(1500, 500) = 300 AS margin_level,
	   risk.risk_ratio(2000, 500) = 25 AS risk_ratio, risk.effective_leverage(1000, 10000) = 10 AS leverage,
	   risk.margin_ratio(50, 0) IS NULL AND risk.margin_level(50, 0) IS NULL AS without_position,
	   risk.risk_ratio(0, 500) IS NULL AND risk.effective_leverage(-1, 500) IS NULL AS without_equity;

-- Free collateral in both forms: balance 1,000, holds 100, margin 300, orders 50.
SELECT risk.withdrawable(1000, 200, 300, 50, 100) AS profit_ignored,
	   risk.withdrawable(1000, 200, 300, 50, 100, true) AS profit_backs_margin,
	   risk.withdrawable(1000, 900, 300, 50, 100, true) AS never_the_profit_itself,
	   risk.withdrawable(1000, -200, 300, 50, 100) AS loss,
	   risk.withdrawable(1000, -200, 300, 50, 100, true) AS loss_backed,
	   risk.free_collateral(1000, 200, 300, 50, 100) AS for_orders;
SELECT risk.max_order_qty(100, 50, 10) AS linear, risk.max_order_qty(100, 50, 10, 3) AS in_lots,
	   risk.max_order_qty(100, 50, 10, 0.001, 0.0005) AS with_fee,
	   risk.max_order_qty(0.01, 50000, 10, 1, 0, 100, 'inverse') AS inverse,
	   risk.max_order_qty(-1, 50, 10) AS nothing;
-- Long up to 36 at 10x and 50, with 100 free and short 8 that 40 are bound for:
-- 8 close it, 28 need 28 * 50 / 10 = 140.  Inverse, contracts of 100: 30 close,
-- 80 need 80 * 100 / 50,000 / 10 = 0.016 = 0.01 + 0.006.
SELECT risk.max_order_qty(100, 50, 10, opposing_qty => 8, opposing_margin => 40) AS linear,
	   risk.max_order_qty(100, 50, 10, 5, opposing_qty => 8, opposing_margin => 40) AS in_lots,
	   -- 1,800 / (50 * 1.01) = 35.6
	   risk.max_order_qty(100, 50, 10, 1, 0.001, opposing_qty => 8, opposing_margin => 40) AS with_fee,
	   risk.max_order_qty(0.01, 50000, 10, 1, 0, 100, 'inverse', 30, 0.006) AS inverse,
	   -- what only reduces always fits
	   risk.max_order_qty(-60, 50, 10, opposing_qty => 8, opposing_margin => 40) AS reducing,
	   risk.max_order_qty(-60, 50, 10, 3, opposing_qty => 8, opposing_margin => 40) AS reducing_lots;
SELECT risk.funding_payment(2, 10, 10.5) AS long_pays, risk.funding_payment(-2, 10, 10.5) AS short_gets,
	   risk.funding_payment(2, 10.5, 10, 0.1) AS back;

-- The liquidation fee: 10,000 at 1.5 % is 150, and no more than what is left.
SELECT risk.liquidation_fee(10000, 0.015) = 150 AS fee,
	   risk.liquidation_fee(10000, 0.015, 2, 1000) AS charged,
	   risk.liquidation_fee(333.33, 0.015, 2, 1000) AS rounded_up,
	   risk.liquidation_fee(10000, 0.015, 2, 120.019) AS what_is_left,
	   risk.liquidation_fee(10000, 0.015, 2, -5) AS nothing_left,
	   risk.liquidation_fee(0, 0.015, 2, 1000) AS flat;
-- Its rate: 0.01 + 0.002 ln 3, ln 3 = 1.0986122886..., rounded up.
SELECT risk.liquidation_fee_rate(10000, 0.01, 0.002, 5000) AS by_size,
	   risk.liquidation_fee_rate(0, 0.01, 0.002, 5000) AS without_size,
	   risk.liquidation_fee_rate(10000, 0.01, by_volatility => 0.004, volatility_ratio => 1.5) AS volatile,
	   risk.liquidation_fee_rate(10000, 0.01, by_volatility => 0.004, volatility_ratio => 0.5) AS calm,
	   risk.liquidation_fee_rate(10000, 0.01, by_depth => 0.01, depth_ratio => 0.25) AS thin,
	   risk.liquidation_fee_rate(10000, 0.01, by_depth => 0.01, depth_ratio => 3) AS deep,
	   -- all together: 0.01219722... + 0.002 + 0.0025
	   risk.liquidation_fee_rate(10000, 0.01, 0.002, 5000, 0.004, 1.5, 0.01, 0.75) AS all_of_them,
	   risk.liquidation_fee_rate(10000, 0.001) AS lowest,
	   risk.liquidation_fee_rate(1e12, 0.01, 0.002, 5000) AS highest;
-- Long 0.4 from 25,000 with 1,500.  5 % of the entry value are the 500 of the
-- example, and stay 500: 22,500.  With a fee of 1.5 % equity 0.4 P - 8,500 is
-- 500 + 0.006 P at 9,000 / 0.394; short: 11,000 / 0.406.
SELECT risk.liquidation_price(0.4, 25000, 1500, 0, risk.maintenance_margin(0.4 * 25000, ARRAY[0], ARRAY[0.05])) = 22500 AS at_entry,
	   round(risk.liquidation_price(0.4, 25000, 1500, 0, 500, close_fee_rate => 0.015), 10) = round(9000 / 0.394, 10) AS long_with_fee,
	   round(risk.liquidation_price(-0.4, 25000, 1500, 0, 500, close_fee_rate => 0.015), 10) = round(11000 / 0.406, 10) AS short_with_fee;
-- At 22,500 the equity is the 500 exactly: liquidated or not, by the trigger.
SELECT trigger, risk.is_liquidatable(0.4, 25000, 22500, 1500, 0, 500, liquidation_trigger => trigger) AS by_amount,
	   risk.is_liquidatable(0.4, 25000, 22500, 1450, ARRAY[0], ARRAY[0.05], liquidation_trigger => trigger) AS by_tiers,
	   risk.is_liquidatable_at_cost(0.4, 10000, 22500, 1450, ARRAY[0], ARRAY[0.05], liquidation_trigger => trigger) AS by_tiers_at_cost,
	   risk.is_liquidatable(500, 500, trigger) AS of_the_account,
	   risk.is_liquidatable(499.99, 500, trigger) AND NOT risk.is_liquidatable(500.01, 500, trigger) AS otherwise_clear
  FROM unnest(ARRAY['below', 'at_or_below']) AS trigger;

-- 2. Properties

CREATE TEMP TABLE held AS
SELECT s * size AS qty, entry, w * size * entry AS margin, k, kind,
	   CASE kind WHEN 'inverse' THEN size * k / entry ELSE size * k * entry END AS n,
	   floors, rates, fee
FROM (VALUES (1), (-1)) AS s(s),
	 unnest(ARRAY[0.5, 30, 4321]) AS size,
	 unnest(ARRAY[0.04, 61.25, 48000]) AS entry,
	 unnest(ARRAY[0.02, 0.15, 0.6]) AS w,
	 unnest(ARRAY['linear', 'inverse', 'quanto']) AS kind,
	 unnest(ARRAY[1, 0.01]) AS k,
	 unnest(ARRAY[0, 0.005]) AS fee,
	 (VALUES (ARRAY[0], ARRAY[0.005]), (ARRAY[0, 0.01, 1, 100, 10000, 1e7], ARRAY[0.004, 0.005, 0.01, 0.025, 0.05, 0.1]),
			 (ARRAY[0, 5, 500], ARRAY[0.02, 0.01, 0.03]), (ARRAY[2, 50], ARRAY[0.1, 0.15])) AS t(floors, rates);
ALTER TABLE held ADD balance numeric;
UPDATE held SET balance = round(n * margin / (abs(qty) * entry), 12);

-- At the liquidation price, equity is the requirement in the tier that holds
-- there: to 14 digits of what is compared.
SELECT count(*) AS cases, count(liq) > 0 AS some_priced,
	   count(*) FILTER (WHERE abs(risk.equity(balance, qty, entry, liq, k, kind)
								  - risk.liquidation_requirement(qty, liq, floors, rates, fee, k, kind))
							  > 1e-14 * greatest(n, risk.notional(qty, liq, k, kind))) AS wrong,
	   -- the same price as with that tier's rate and amount
	   count(*) FILTER (WHERE liq IS DISTINCT FROM risk.liquidation_price(qty, entry, balance, rate, greatest(amount, 0),
								  0, greatest(-amount, 0), fee, k, kind)) AS otherwise
  FROM held,
	   LATERAL risk.liquidation_price(qty, entry, balance, floors, rates, 0, 0, fee, k, kind) AS liq,
	   LATERAL risk.margin_tier(coalesce(risk.notional(qty, liq, k, kind), 0), floors, rates) AS tier,
	   LATERAL (SELECT CASE WHEN tier > 0 THEN rates[tier] ELSE 0 END AS rate,
					   coalesce((SELECT sum(f * (r - coalesce(rates[i - 1], 0)))
								   FROM unnest(floors, rates) WITH ORDINALITY AS u(f, r, i) WHERE i <= tier), 0) AS amount) AS c
 WHERE liq IS NOT NULL;

-- No price: from a millionth to a million times the entry, on one side of it.
SELECT count(*) AS contradicted
  FROM held
 WHERE risk.liquidation_price(qty, entry, balance, floors, rates, 0, 0, fee, k, kind) IS NULL
   AND (SELECT count(DISTINCT risk.equity(balance, qty, entry, p, k, kind)
							  >= risk.liquidation_requirement(qty, p, floors, rates, fee, k, kind))
		  FROM generate_series(-6, 6) AS e, LATERAL (SELECT entry * 10::numeric ^ e AS p) AS x) > 1;

-- Maintenance is continuous where a tier begins, and grows.
SELECT count(*) FILTER (WHERE abs(above - at) > 1e-9) AS steps, count(*) FILTER (WHERE above < at) AS falls
  FROM (SELECT DISTINCT floors, rates FROM held) t, unnest(floors) AS f,
	   LATERAL risk.maintenance_margin(1, greatest(f, 1e-12), floors, rates) AS at,
	   LATERAL risk.maintenance_margin(1, f + 1e-10, floors, rates) AS above;

-- At the bankruptcy price nothing is left.
SELECT count(bkr) > 0 AS some_priced,
	   count(*) FILTER (WHERE abs(risk.equity(balance, qty, entry, bkr, k, kind)) > 1e-14 * greatest(n, risk.notional(qty, bkr, k, kind))) AS wrong
  FROM held, LATERAL risk.bankruptcy_price(qty, entry, balance, 0, 0, k, kind) AS bkr;

-- The predicate changes at the price: a hair above it and a hair below.
SELECT count(*) AS wrong
  FROM held, LATERAL risk.liquidation_price(qty, entry, balance, 0.01, 0, 0, 0, fee, k, kind) AS liq
 WHERE liq IS NOT NULL
   AND (risk.is_liquidatable(qty, entry, liq * (1 - sign(qty) * 1e-9), balance, 0.01, 0, 0, 0, fee, k, kind) IS NOT TRUE
		OR risk.is_liquidatable(qty, entry, liq * (1 + sign(qty) * 1e-9), balance, 0.01, 0, 0, 0, fee, k, kind) IS NOT FALSE);

-- The same by tiers.
SELECT count(*) AS wrong
  FROM held, LATERAL risk.liquidation_price(qty, entry, balance, floors, rates, 0, 0, fee, k, kind) AS liq
 WHERE liq IS NOT NULL
   AND (risk.is_liquidatable(qty, entry, liq * (1 - sign(qty) * 1e-9), balance, floors, rates, 0, 0, fee, k, kind, 'below') IS NOT TRUE
		OR risk.is_liquidatable(qty, entry, liq * (1 + sign(qty) * 1e-9), balance, floors, rates, 0, 0, fee, k, kind) IS NOT FALSE);

-- With the maintenance taken at entry, or as an amount, and a fee at a rate of
-- the size at entry: at the liquidation price the equity is what is required,
-- and the price is nearer with more of either.
SELECT count(*) AS cases, count(liq) > 0 AS some_priced,
	   count(*) FILTER (WHERE abs(risk.equity(balance, qty, entry, liq, k, kind)
								  - maintenance - risk.liquidation_fee(risk.notional(qty, liq, k, kind), rate))
							  > 1e-14 * greatest(n, risk.notional(qty, liq, k, kind))) AS wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, 0, maintenance * 1.01, 0, 0, rate, k, kind) - liq) <= 0) AS margin_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, 0, maintenance, 0, 0, rate + 0.001, k, kind) - liq) <= 0) AS fee_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance * 1.01, 0, maintenance, 0, 0, rate, k, kind) - liq) >= 0) AS balance_wrong
  FROM (SELECT *, CASE basis WHEN 'entry' THEN risk.maintenance_margin(n, floors, rates)
							 ELSE round(n * 0.01, 4) + 0.0001 END AS maintenance,
			   risk.liquidation_fee_rate(n, 0.004, 0.001, 100) AS rate
		  FROM held, unnest(ARRAY['entry', 'amount']) AS basis) h,
	   LATERAL risk.liquidation_price(qty, entry, balance, 0, maintenance, 0, 0, rate, k, kind) AS liq
 WHERE maintenance > 0;

-- The maintenance of a notional is that of any quantity and price that make it.
SELECT count(*) AS wrong FROM held
 WHERE risk.maintenance_margin(qty, entry, floors, rates, k, kind)
	   <> risk.maintenance_margin(risk.notional(qty, entry, k, kind), floors, rates)
	OR risk.liquidation_requirement(qty, entry, floors, rates, fee, k, kind)
	   <> risk.maintenance_margin(qty, entry, floors, rates, k, kind) + risk.liquidation_fee(risk.notional(qty, entry, k, kind), fee);

-- The fee's rate: by the formula in SQL, rounded up by less than its last
-- digit; within its bounds; growing with size, volatility and lack of depth;
-- continuous, so that a hair of any of them moves it by the last digit at most.
SELECT count(*) AS cases,
	   count(*) FILTER (WHERE rate IS DISTINCT FROM greatest(least(ceil(exact * 1e8) / 1e8, 0.02), 0.005)) AS wrong,
	   count(*) FILTER (WHERE rate < 0.005 OR rate > 0.02 OR scale(rate) > 8) AS out_of_bounds,
	   count(*) FILTER (WHERE risk.liquidation_fee_rate(notional * 1.5, 0.004, 0.001, reference, 0.002, volatility, 0.003, depth) < rate) AS size_wrong,
	   count(*) FILTER (WHERE risk.liquidation_fee_rate(notional, 0.004, 0.001, reference, 0.002, volatility + 0.1, 0.003, depth) < rate) AS volatility_wrong,
	   count(*) FILTER (WHERE risk.liquidation_fee_rate(notional, 0.004, 0.001, reference, 0.002, volatility, 0.003, depth + 0.1) > rate) AS depth_wrong,
	   count(*) FILTER (WHERE risk.liquidation_fee_rate(notional * 1.000001, 0.004, 0.001, reference, 0.002, volatility + 1e-9, 0.003, greatest(depth - 1e-9, 0)) - rate > 2e-8) AS steps
  FROM unnest(ARRAY[0, 0.00001, 1, 999.99, 123456.789, 1e9, 1e20]) AS notional, unnest(ARRAY[0.0001, 1, 50000, 1e12]) AS reference,
	   unnest(ARRAY[0, 0.7, 1, 1.3, 2.5]) AS volatility, unnest(ARRAY[0, 0.4, 1, 1.7]) AS depth,
	   LATERAL risk.liquidation_fee_rate(notional, 0.004, 0.001, reference, 0.002, volatility, 0.003, depth) AS rate,
	   LATERAL (SELECT 0.004 + 0.001 * ln(round(1 + round(notional, 40) / reference, 40)) + 0.002 * greatest(volatility - 1, 0)
					   + 0.003 * greatest(1 - depth, 0) AS exact) AS e;

-- Monotone: more balance moves the price away; a higher rate or fee brings it
-- nearer; profit rises with the price of a long.
SELECT count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance * 1.01, floors, rates, 0, 0, fee, k, kind) - liq) >= 0) AS balance_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, floors, (SELECT array_agg(r + 0.01 ORDER BY i) FROM unnest(rates) WITH ORDINALITY AS u(r, i)), 0, 0, fee, k, kind) - liq) < 0) AS rate_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.liquidation_price(qty, entry, balance, floors, rates, 0, 0, fee + 0.01, k, kind) - liq) <= 0) AS fee_wrong,
	   count(*) FILTER (WHERE sign(qty) * (risk.unrealized_pnl(qty, entry, entry * 1.001, k, kind) - risk.unrealized_pnl(qty, entry, entry * 0.999, k, kind)) <= 0) AS profit_wrong
  FROM held, LATERAL risk.liquidation_price(qty, entry, balance, floors, rates, 0, 0, fee, k, kind) AS liq;

-- Linear and inverse agree in the limit: for a small move, the profit in coins
-- is the profit in quote at that price.
SELECT count(*) AS wrong
  FROM unnest(ARRAY[1, -7]) AS coins, unnest(ARRAY[0.04, 61.25, 48000]) AS entry, unnest(ARRAY[-1e-6, 1e-6]) AS move,
	   LATERAL (SELECT entry * (1 + move) AS mark) AS m,
	   LATERAL (SELECT risk.unrealized_pnl(coins, entry, mark) AS linear,
					   risk.unrealized_pnl(coins * entry, entry, mark, kind => 'inverse') * mark AS inverse) AS u
 WHERE abs(linear - inverse) > abs(linear) * 1e-5 OR sign(linear) <> sign(inverse);

-- An account is the sum of its positions, whatever is in it.
SELECT count(*) AS wrong
  FROM (SELECT risk.sum_unrealized_pnl(qty, cost, mark, k, kind) AS u, sum(risk.unrealized_pnl_at_cost(qty, cost, mark, k, kind)) AS u1,
			   risk.sum_notional(qty, mark, k, kind) AS n, sum(risk.notional(qty, mark, k, kind)) AS n1,
			   risk.sum_maintenance_margin(qty, mark, floors, rates, k, kind) AS m, sum(risk.maintenance_margin(qty, mark, floors, rates, k, kind)) AS m1,
			   risk.sum_liquidation_requirement(qty, mark, floors, rates, fee, k, kind) AS r, sum(risk.liquidation_requirement(qty, mark, floors, rates, fee, k, kind)) AS r1,
			   risk.sum_initial_margin(qty, mark, 20, 8, k, kind) AS i, sum(risk.initial_margin(risk.notional(qty, mark, k, kind), 20, 8)) AS i1
		  FROM (SELECT *, entry * 1.1 AS mark, sign(qty) * n AS cost, row_number() OVER (ORDER BY qty, entry, k, kind) % 50 AS account FROM held) h
		 GROUP BY account) a
 WHERE (u, n, m, r, i) IS DISTINCT FROM (u1, n1, m1, r1, i1);

-- The largest order fits, and one lot more does not.  To fit is to reduce only,
-- or to leave enough: both sides times leverage, and times the price for inverse
-- contracts, where the notional is a quotient.
SELECT count(*) AS cases, count(*) FILTER (WHERE q > opposing) AS turned, count(*) FILTER (WHERE q = 0) AS none,
	   count(*) FILTER (WHERE mod(q, lot) <> 0
						OR NOT (q <= opposing OR funds >= (q - opposing) * size + fee * leverage * q * size)
						OR q + lot <= opposing
						OR funds >= (q + lot - opposing) * size + fee * leverage * (q + lot) * size) AS wrong
  FROM unnest(ARRAY[-500, 0.01, 1, 12345.67]) AS free, unnest(ARRAY[0.04, 61.25, 48000]) AS price, unnest(ARRAY[1, 20, 125]) AS leverage,
	   unnest(ARRAY[1, 0.001]) AS lot, unnest(ARRAY[0, 0.0006]) AS fee, unnest(ARRAY['linear', 'inverse']) AS kind,
	   unnest(ARRAY[0, 0.5, 777]) AS opposing,
	   LATERAL (SELECT CASE WHEN opposing = 0 THEN 0
							ELSE risk.initial_margin(risk.notional(-opposing, price, 0.1, kind), leverage, 8) END AS bound) AS b,
	   LATERAL risk.max_order_qty(free, price, leverage, lot, fee, 0.1, kind, opposing, bound) AS q,
	   LATERAL (SELECT CASE kind WHEN 'inverse' THEN (free + bound) * leverage * price ELSE (free + bound) * leverage END AS funds,
					   CASE kind WHEN 'inverse' THEN 0.1 ELSE 0.1 * price END AS size) AS s;
DROP TABLE held;

-- 3. Bad input

-- What a client sees.
SELECT risk.liquidation_price(1, 100, 10, ARRAY[0, 50], ARRAY[0.01]);
SELECT risk.liquidation_price(1, 100, 10, ARRAY[0, 50, 50], ARRAY[0.01, 0.02, 0.03]);
SELECT risk.maintenance_margin(1, 100, ARRAY[0, NULL], ARRAY[0.01, 0.02]);
SELECT risk.maintenance_margin(1, 100, ARRAY[-1, 0], ARRAY[0.01, 0.02]);
SELECT risk.maintenance_margin(1, 100, ARRAY[0, 50], ARRAY[0.01, 1]);
SELECT risk.liquidation_fee_rate(1000, 0.01, minimum_rate => 0.03);
SELECT risk.is_liquidatable(100, 100, 'above');
\set VERBOSITY sqlstate
SELECT risk.maintenance_margin(1, 100, '{}'::numeric[], '{}'::numeric[]);
SELECT risk.maintenance_margin(1, 100, ARRAY[[0, 1]], ARRAY[[0.01, 0.02]]);
SELECT risk.maintenance_margin(1, 100, ARRAY[0, 'NaN'::numeric], ARRAY[0.01, 0.02]);
SELECT risk.maintenance_margin(1, 100, ARRAY[0, 'Infinity'::numeric], ARRAY[0.01, 0.02]);
SELECT risk.maintenance_margin(1, 100, ARRAY[0], ARRAY[NULL]::numeric[]);
SELECT risk.margin_tier(-1, ARRAY[0], ARRAY[0.1]);
SELECT risk.equity('NaN', 1, 100, 100);
SELECT risk.equity(1, 1, 0, 100);
SELECT risk.is_liquidatable(1, 100, -1, 10);
SELECT risk.entry_price(1, 100, scale => 39);
SELECT risk.max_order_qty(100, 50, 0);
SELECT risk.max_order_qty(100, 50, 10, 0);
SELECT risk.max_order_qty(100, 50, 10, opposing_qty => -8);
SELECT risk.max_order_qty(100, 50, 10, opposing_margin => -40);
SELECT risk.liquidation_fee_rate(-1, 0.01);
SELECT risk.liquidation_fee_rate(1000, 1);
SELECT risk.liquidation_fee_rate(1000, 'NaN');
SELECT risk.liquidation_fee_rate(1000, 0.01, -0.001);
SELECT risk.liquidation_fee_rate(1000, 0.01, 0.001, 0);
SELECT risk.liquidation_fee_rate(1000, 0.01, by_volatility => -1);
SELECT risk.liquidation_fee_rate(1000, 0.01, volatility_ratio => 'Infinity');
SELECT risk.liquidation_fee_rate(1000, 0.01, by_depth => -1);
SELECT risk.liquidation_fee_rate(1000, 0.01, depth_ratio => -0.1);
SELECT risk.liquidation_fee_rate(1000, 0.01, maximum_rate => 1);
-- far out, but numbers
SELECT risk.liquidation_fee_rate(('1e131000')::numeric, 0.01, 0.001, ('1e-300')::numeric);
SELECT risk.liquidation_fee_rate(('1e-300')::numeric, 0.01, 0.001, ('1e131000')::numeric);
SELECT risk.liquidation_fee(1000, 1);
SELECT risk.liquidation_fee(1000, 0.01, 39, 10);
SELECT risk.liquidation_fee(1000, 0.01, 2, 'NaN');
SELECT risk.is_liquidatable(1, 100, 110, 10, ARRAY[0], ARRAY[0.01, 0.02]);
SELECT risk.is_liquidatable(100, -1, 'below');
SELECT risk.maintenance_margin(-1, ARRAY[0], ARRAY[0.01]);
SELECT risk.margin_ratio(1, -1);
SELECT risk.funding_payment(1, 'Infinity', 0);
SELECT risk.withdrawable(100, 0, 0, -1);
SELECT risk.liquidation_price(1, 100, 10, kind => 'Linear');
-- a call that failed leaves no table behind that the next one would take
SELECT risk.maintenance_margin(1, 100, floors, ARRAY[0.01, 0.02]) FROM (VALUES (ARRAY[0, 50]), (ARRAY[50, 0])) AS v(floors);
\set VERBOSITY default
SELECT risk.maintenance_margin(1, 100, floors, rates) AS margin
  FROM (VALUES (ARRAY[0, 50], ARRAY[0.01, 0.02]), (ARRAY[0, 50], ARRAY[0.01, 0.02]), (ARRAY[0, 60], ARRAY[0.01, 0.02]),
			   (NULL, ARRAY[0.01]), (ARRAY[0], ARRAY[0.5])) AS v(floors, rates);
