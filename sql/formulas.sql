-- formulas.sql
--		The per-row functions: profit, margin and prices of one position.
--
-- Scalars in, numeric out; no tables.  Quantities are signed, long > 0.  Money
-- is in units of the settlement asset, prices are settlement asset per unit.
-- A name ending in _at_cost takes the exact signed cost of the position
-- (qty * multiplier * average entry price) in place of an entry price, which
-- may have been rounded.
--
-- Kinds of contract, with q the signed quantity, k the multiplier, P the price:
--	linear	 value q k P
--	quanto	 the same; k is settlement asset for one unit of price
--	inverse	 value -(q k / P), settled in the coin: q contracts of k units of the
--			 quote; values have at least 16 significant digits
--
-- All are STRICT: NULL in any argument gives NULL.  A quantity of zero is
-- refused (22023) where an entry price or a price is given with it: there is no
-- position to ask about.  The forms by cost take it, because flat rows stay in
-- a table of positions: profit 0, no price, nothing to liquidate.  The costs are
-- in the proportion that was measured; one operator on numeric would be 2.5.

CREATE FUNCTION risk.unrealized_pnl(
	qty numeric,
	entry_price numeric,
	mark_price numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_unrealized_pnl';

COMMENT ON FUNCTION risk.unrealized_pnl(numeric, numeric, numeric, numeric, text) IS
'profit (above zero) or loss of an open position at a price, in the settlement asset: qty * multiplier * (mark_price - entry_price); inverse: qty * multiplier / entry_price - qty * multiplier / mark_price, each with at least 16 significant digits. Else exact. Example: 2 from 100 to 110 is 20. Errors: 22023 unless all are finite, qty not zero, prices and multiplier above zero';

CREATE FUNCTION risk.unrealized_pnl_at_cost(
	qty numeric,
	cost numeric,
	mark_price numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_unrealized_pnl_at_cost';

COMMENT ON FUNCTION risk.unrealized_pnl_at_cost(numeric, numeric, numeric, numeric, text) IS
'profit (above zero) or loss of an open position at a price, in the settlement asset: qty * multiplier * mark_price - cost, with the signed cost, 0 when qty is 0; inverse: -(qty * multiplier / mark_price) - cost. Exact but for that quotient. Errors: 22023 unless all are finite and mark_price and multiplier above zero';

CREATE FUNCTION risk.equity(
	balance numeric,
	qty numeric,
	entry_price numeric,
	mark_price numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_equity';

COMMENT ON FUNCTION risk.equity(numeric, numeric, numeric, numeric, numeric, text) IS
'equity of an account with one position, in the settlement asset: balance + unrealized_pnl(qty, entry_price, mark_price, multiplier, kind). Example: 1,000 with long 100 from 100 at 90 is 0. Errors: 22023 unless all are finite, qty not zero, prices and multiplier above zero';

CREATE FUNCTION risk.equity_at_cost(
	balance numeric,
	qty numeric,
	cost numeric,
	mark_price numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_equity_at_cost';

COMMENT ON FUNCTION risk.equity_at_cost(numeric, numeric, numeric, numeric, numeric, text) IS
'equity with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price; with a qty of 0 the balance less the cost';

CREATE FUNCTION risk.notional(
	qty numeric,
	price numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_notional';

COMMENT ON FUNCTION risk.notional(numeric, numeric, numeric, text) IS
'size of a position in the settlement asset, never negative: abs(qty) * multiplier * price; inverse: abs(qty) * multiplier / price, at least 16 significant digits. Else exact. Errors: 22023 unless all are finite, qty not zero, price and multiplier above zero';

CREATE FUNCTION risk.entry_price(
	qty numeric,
	cost numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear',
	scale int DEFAULT 8)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_entry_price';

COMMENT ON FUNCTION risk.entry_price(numeric, numeric, numeric, text, int) IS
'average entry price of a position, for reading: cost / (qty * multiplier), at least 16 significant digits. Inverse: -(qty * multiplier) / cost, shown as the price with the fewest decimals whose value, rounded to scale + 8 decimals as the values of trades are, is the cost; scale is that of the settlement asset. Example: 1 contract at 60,000 has the cost -0.0000166666666667 and shows 60,000. NULL when qty is 0, and for inverse when the cost does not have the sign opposite to qty. Errors: 22023 unless all are finite, multiplier above zero, scale from 0 to 38';

CREATE FUNCTION risk.margin_tier(
	notional numeric,
	tier_floors numeric[],
	tier_rates numeric[])
RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_margin_tier';

COMMENT ON FUNCTION risk.margin_tier(numeric, numeric[], numeric[]) IS
'which tier holds for a notional: the number, from 1, of the last element of tier_floors below it; 1 for notional 0 when the first floor is 0; 0 when there is none. Tier n holds for tier_floors[n] < notional <= tier_floors[n + 1]. Errors: 22023 unless notional is finite and not negative; 22023 unless the arrays are of one dimension, of the same length, not empty and without NULL, floors from 0 up in ascending order and rates from 0 to less than 1';

CREATE FUNCTION risk.maintenance_margin(
	qty numeric,
	price numeric,
	maintenance_rate numeric,
	maintenance_amount numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_maintenance_margin';

COMMENT ON FUNCTION risk.maintenance_margin(numeric, numeric, numeric, numeric, numeric, text) IS
'margin below which a position is liquidated, in the settlement asset. With maintenance_rate > 0: notional * maintenance_rate - maintenance_amount, not below zero; the amount is the cumulative maintenance amount of the tier and is deducted. With maintenance_rate = 0: maintenance_amount itself, a fixed margin. Exact from the notional. To take the margin at the mark, pass the mark; at entry, the entry price; as an amount, rate 0. Errors: 22023 unless all are finite, qty not zero, price and multiplier above zero, 0 <= maintenance_rate < 1, maintenance_amount >= 0';

CREATE FUNCTION risk.maintenance_margin(
	qty numeric,
	price numeric,
	tier_floors numeric[],
	tier_rates numeric[],
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_maintenance_margin_by_tiers';

COMMENT ON FUNCTION risk.maintenance_margin(numeric, numeric, numeric[], numeric[], numeric, text) IS
'maintenance margin by tiers, in the settlement asset: notional * m - c, where m = tier_rates[n] of the tier n that holds for the notional, and c its cumulative maintenance amount, derived so that the margin is continuous: c_n = tier_floors[n] * (tier_rates[n] - tier_rates[n - 1]) + c_(n - 1), from 0. 0 below the first floor. Exact from the notional. Example: 0.4 % up to 50,000 and 0.5 % above: 60,000 needs 60,000 * 0.005 - 50 = 250. Errors: 22023 unless all are finite, qty not zero, price and multiplier above zero; 22023 unless the arrays are of one dimension, of the same length, not empty and without NULL, floors from 0 up in ascending order and rates from 0 to less than 1';

CREATE FUNCTION risk.maintenance_margin(
	notional numeric,
	tier_floors numeric[],
	tier_rates numeric[])
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_maintenance_margin_of_notional';

COMMENT ON FUNCTION risk.maintenance_margin(numeric, numeric[], numeric[]) IS
'maintenance margin by tiers of a notional, wherever that is taken: at the mark, or at entry (abs(cost)). Else as with qty and price; 0 for notional 0. Errors: 22023 unless notional is finite and not negative, and for the arrays as there';

CREATE FUNCTION risk.liquidation_fee_rate(
	notional numeric,
	base_rate numeric,
	by_size numeric DEFAULT 0,
	reference_notional numeric DEFAULT 1,
	by_volatility numeric DEFAULT 0,
	volatility_ratio numeric DEFAULT 1,
	by_depth numeric DEFAULT 0,
	depth_ratio numeric DEFAULT 1,
	minimum_rate numeric DEFAULT 0.005,
	maximum_rate numeric DEFAULT 0.02)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 200
AS 'MODULE_PATHNAME', 'risk_liquidation_fee_rate';

COMMENT ON FUNCTION risk.liquidation_fee_rate(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric) IS
'rate of the liquidation fee of a position, a fraction of its notional: base_rate + by_size * ln(1 + notional / reference_notional) + by_volatility * (volatility_ratio - 1, not below 0) + by_depth * (1 - depth_ratio, not below 0), rounded up to 8 decimals, then not above maximum_rate and not below minimum_rate. notional / reference_notional is rounded up to 24 decimals, and the logarithm has as many. It never falls as the notional or the volatility grows or the depth goes down. Examples: 0.01 + 0.002 * ln(1 + 10,000 / 5,000) = 0.01219723; with by_size 0 and a volatility ratio of 1.5, 0.01 + 0.004 * 0.5 = 0.012. In ledger.position_value the notional is that at entry, so that the rate does not move with the price. Errors: 22023 unless all are finite, reference_notional above zero, notional, by_size, by_volatility, volatility_ratio, by_depth and depth_ratio not negative, base_rate, minimum_rate and maximum_rate from 0 to less than 1, minimum_rate <= maximum_rate';

CREATE FUNCTION risk.liquidation_fee(
	notional numeric,
	liquidation_fee_rate numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_liquidation_fee';

COMMENT ON FUNCTION risk.liquidation_fee(numeric, numeric) IS
'liquidation fee on a whole position, as the requirement has it, in the settlement asset: notional * liquidation_fee_rate. Exact. Example: 10,000 at 0.015 is 150. Errors: 22023 unless both are finite, notional >= 0, liquidation_fee_rate from 0 to less than 1';

CREATE FUNCTION risk.liquidation_fee(
	notional numeric,
	liquidation_fee_rate numeric,
	scale int,
	available numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_liquidation_fee_charged';

COMMENT ON FUNCTION risk.liquidation_fee(numeric, numeric, int, numeric) IS
'liquidation fee as it is charged, in the settlement asset: notional * liquidation_fee_rate, rounded up to scale decimals, but never more than available, what is left above bankruptcy, rounded down to scale decimals; 0 when that is not above zero. Example: of 10,000 at 0.015 with 120 left, 120. Errors: 22023 unless all are finite, notional >= 0, liquidation_fee_rate from 0 to less than 1, scale from 0 to 38';

CREATE FUNCTION risk.liquidation_requirement(
	qty numeric,
	price numeric,
	tier_floors numeric[],
	tier_rates numeric[],
	liquidation_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_liquidation_requirement';

COMMENT ON FUNCTION risk.liquidation_requirement(numeric, numeric, numeric[], numeric[], numeric, numeric, text) IS
'what the equity is compared with, in the settlement asset: maintenance_margin(qty, price, tier_floors, tier_rates) + notional * liquidation_fee_rate, the fee on the whole position. Exact from the notional. Example: 60,000 that need 250, with a fee of 0.01: 850. Errors: as maintenance_margin, and 22023 unless liquidation_fee_rate is from 0 to less than 1';

CREATE FUNCTION risk.initial_margin(
	notional numeric,
	leverage numeric,
	scale int)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_initial_margin';

COMMENT ON FUNCTION risk.initial_margin(numeric, numeric, int) IS
'margin needed to open a position, in the settlement asset: notional / leverage, rounded up to scale decimals. Errors: 22023 unless all are finite, notional >= 0, leverage above zero, scale from 0 to 38';

CREATE FUNCTION risk.liquidation_price(
	qty numeric,
	entry_price numeric,
	balance numeric,
	maintenance_rate numeric DEFAULT 0,
	maintenance_amount numeric DEFAULT 0,
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'risk_liquidation_price';

COMMENT ON FUNCTION risk.liquidation_price(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, text) IS
'price at which the equity of the account is its requirement, the maintenance margin and the fee for closing this position (the liquidation fee, in ledger.position_risk), all else unchanged: (balance + other_pnl - other_maintenance + c - qty * multiplier * entry_price) / (abs(qty) * multiplier * (m + close_fee_rate - sign(qty))); inverse: abs(qty) * multiplier * (m + close_fee_rate + sign(qty)) / (balance + other_pnl - other_maintenance + c + qty * multiplier / entry_price). Example: long 0.4 from 25,000 with a balance of 1,500 and a fixed margin of 500: 22,500. Rate and amount as in maintenance_margin: m = maintenance_rate and c = maintenance_amount when the rate is above zero (both 0 where that maintenance would be below zero), m = 0 and c = -maintenance_amount when it is zero. other_pnl and other_maintenance are those of the other positions of the account, other_maintenance with the fees that are reserved for them. A maintenance margin that is taken at entry does not move with the price either: pass it as maintenance_amount with rate 0. At least 16 significant digits, half away from zero. NULL when the price would not be above zero (a long is then safe at every price, a short below its requirement at every price; of inverse contracts the other way around), and for a long, inverse: a short, with m + close_fee_rate >= 1. Errors: 22023 unless all are finite, qty not zero, entry_price and multiplier above zero, rates from 0 to less than 1, maintenance_amount and other_maintenance >= 0';

CREATE FUNCTION risk.liquidation_price_at_cost(
	qty numeric,
	cost numeric,
	balance numeric,
	maintenance_rate numeric DEFAULT 0,
	maintenance_amount numeric DEFAULT 0,
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'risk_liquidation_price_at_cost';

COMMENT ON FUNCTION risk.liquidation_price_at_cost(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, text) IS
'liquidation_price with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price; NULL when qty is 0';

CREATE FUNCTION risk.liquidation_price(
	qty numeric,
	entry_price numeric,
	balance numeric,
	tier_floors numeric[],
	tier_rates numeric[],
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15
AS 'MODULE_PATHNAME', 'risk_liquidation_price_by_tiers';

COMMENT ON FUNCTION risk.liquidation_price(numeric, numeric, numeric, numeric[], numeric[], numeric, numeric, numeric, numeric, text) IS
'liquidation_price by tiers: rate and cumulative amount are those of the tier that holds at the resulting price, derived as in maintenance_margin. Equity less maintenance is continuous and monotone in the price, so it is found by one walk over the floors. NULL and rounding as there. Errors: as there; 22023 unless the arrays are of one dimension, of the same length, not empty and without NULL, floors from 0 up in ascending order and rates from 0 to less than 1';

CREATE FUNCTION risk.liquidation_price_at_cost(
	qty numeric,
	cost numeric,
	balance numeric,
	tier_floors numeric[],
	tier_rates numeric[],
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15
AS 'MODULE_PATHNAME', 'risk_liquidation_price_by_tiers_at_cost';

COMMENT ON FUNCTION risk.liquidation_price_at_cost(numeric, numeric, numeric, numeric[], numeric[], numeric, numeric, numeric, numeric, text) IS
'liquidation_price by tiers with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price; NULL when qty is 0';

CREATE FUNCTION risk.is_liquidatable(
	qty numeric,
	entry_price numeric,
	mark_price numeric,
	balance numeric,
	maintenance_rate numeric DEFAULT 0,
	maintenance_amount numeric DEFAULT 0,
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear',
	liquidation_trigger text DEFAULT 'at_or_below')
RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 8
AS 'MODULE_PATHNAME', 'risk_is_liquidatable';

COMMENT ON FUNCTION risk.is_liquidatable(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, text, text) IS
'is the equity of the account too low for its requirement at this mark: balance + other_pnl + unrealized_pnl <= other_maintenance + maintenance_margin + notional * close_fee_rate; with liquidation_trigger below: <. Arguments as in liquidation_price. Exact. Errors: 22023 unless all are finite, qty not zero, prices and multiplier above zero, rates from 0 to less than 1, maintenance_amount and other_maintenance >= 0, and for another liquidation_trigger';

CREATE FUNCTION risk.is_liquidatable_at_cost(
	qty numeric,
	cost numeric,
	mark_price numeric,
	balance numeric,
	maintenance_rate numeric DEFAULT 0,
	maintenance_amount numeric DEFAULT 0,
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear',
	liquidation_trigger text DEFAULT 'at_or_below')
RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 8
AS 'MODULE_PATHNAME', 'risk_is_liquidatable_at_cost';

COMMENT ON FUNCTION risk.is_liquidatable_at_cost(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, text, text) IS
'is_liquidatable with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price; false when qty is 0';

CREATE FUNCTION risk.is_liquidatable(
	qty numeric,
	entry_price numeric,
	mark_price numeric,
	balance numeric,
	tier_floors numeric[],
	tier_rates numeric[],
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear',
	liquidation_trigger text DEFAULT 'at_or_below')
RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_is_liquidatable_by_tiers';

COMMENT ON FUNCTION risk.is_liquidatable(numeric, numeric, numeric, numeric, numeric[], numeric[], numeric, numeric, numeric, numeric, text, text) IS
'is_liquidatable by tiers: the maintenance margin is that of the tier that holds at the mark, as in maintenance_margin. Errors: as there, and for the arrays as in maintenance_margin';

CREATE FUNCTION risk.is_liquidatable_at_cost(
	qty numeric,
	cost numeric,
	mark_price numeric,
	balance numeric,
	tier_floors numeric[],
	tier_rates numeric[],
	other_pnl numeric DEFAULT 0,
	other_maintenance numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear',
	liquidation_trigger text DEFAULT 'at_or_below')
RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_is_liquidatable_by_tiers_at_cost';

COMMENT ON FUNCTION risk.is_liquidatable_at_cost(numeric, numeric, numeric, numeric, numeric[], numeric[], numeric, numeric, numeric, numeric, text, text) IS
'is_liquidatable by tiers with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price; false when qty is 0';

CREATE FUNCTION risk.is_liquidatable(
	equity numeric,
	requirement numeric,
	liquidation_trigger text)
RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_is_liquidatable_by_requirement';

COMMENT ON FUNCTION risk.is_liquidatable(numeric, numeric, text) IS
'is the equity of an account with an open position too low for its requirement: equity < requirement when liquidation_trigger is below, equity <= requirement when it is at_or_below. Exact. Errors: 22023 unless both are finite, requirement >= 0, and for another liquidation_trigger';

CREATE FUNCTION risk.bankruptcy_price(
	qty numeric,
	entry_price numeric,
	balance numeric,
	other_pnl numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15
AS 'MODULE_PATHNAME', 'risk_bankruptcy_price';

COMMENT ON FUNCTION risk.bankruptcy_price(numeric, numeric, numeric, numeric, numeric, numeric, text) IS
'price at which the equity of the account less the fee for closing this position is zero, all else unchanged: (balance + other_pnl - qty * multiplier * entry_price) / (abs(qty) * multiplier * (close_fee_rate - sign(qty))); inverse as in liquidation_price with m = c = 0. With a fee of 0 it is the zero-equity price. Example: long 100 from 100 with a balance of 1,000: 90. At least 16 significant digits, half away from zero. NULL when the price would not be above zero (a long is then solvent at every price, a short insolvent at every price; of inverse contracts the other way around). Errors: 22023 unless all are finite, qty not zero, entry_price and multiplier above zero, close_fee_rate from 0 to less than 1';

CREATE FUNCTION risk.bankruptcy_price_at_cost(
	qty numeric,
	cost numeric,
	balance numeric,
	other_pnl numeric DEFAULT 0,
	close_fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_bankruptcy_price_at_cost';

COMMENT ON FUNCTION risk.bankruptcy_price_at_cost(numeric, numeric, numeric, numeric, numeric, numeric, text) IS
'bankruptcy_price with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price; NULL when qty is 0';
