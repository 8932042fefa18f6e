-- formulas.sql
--		The per-row functions: profit, margin and prices of one position.
--
-- Scalars in, numeric out; no tables.  Quantities are signed, long > 0.  Money
-- is in units of the settlement asset, prices are settlement asset per unit.
-- A name ending in _at_cost takes the exact signed cost of the position
-- (qty * multiplier * average entry price) in place of an entry price, which
-- may have been rounded.
--
-- All are STRICT: NULL in any argument gives NULL.  The costs are in the
-- proportion that was measured; one operator on numeric would be 2.5.

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
'profit (above zero) or loss of an open position at a price, in the settlement asset: qty * multiplier * (mark_price - entry_price). Exact; 0 when qty is 0. Errors: 22023 unless all are finite and prices and multiplier above zero; 0A000 for inverse and quanto';

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
'profit (above zero) or loss of an open position at a price, in the settlement asset: qty * multiplier * mark_price - cost, cost being signed as qty is and 0 when qty is 0. Exact. Errors: 22023 unless all are finite and mark_price and multiplier above zero; 0A000 for inverse and quanto';

CREATE FUNCTION risk.notional(
	qty numeric,
	price numeric,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear')
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_notional';

COMMENT ON FUNCTION risk.notional(numeric, numeric, numeric, text) IS
'size of a position in the settlement asset, never negative: abs(qty) * multiplier * price. Exact. Errors: 22023 unless all are finite and price and multiplier above zero; 0A000 for inverse and quanto';

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
'margin below which a position is liquidated, in the settlement asset. With maintenance_rate > 0: notional * maintenance_rate - maintenance_amount, not below zero; the amount is the cumulative maintenance amount of the tier and is deducted. With maintenance_rate = 0: maintenance_amount itself, a fixed margin. 0 when qty is 0. Exact. Errors: 22023 unless all are finite, price and multiplier above zero, 0 <= maintenance_rate < 1, maintenance_amount >= 0; 0A000 for inverse and quanto';

CREATE FUNCTION risk.initial_margin(
	notional numeric,
	leverage numeric,
	scale int)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_initial_margin';

COMMENT ON FUNCTION risk.initial_margin(numeric, numeric, int) IS
'margin needed to open a position, in the settlement asset: notional / leverage, rounded up to scale decimals. Errors: 22023 unless all are finite, notional >= 0, leverage above zero, scale from 0 to 38';

CREATE FUNCTION risk.initial_margin(
	notional numeric,
	leverage numeric,
	scale int,
	open_interest numeric,
	open_interest_lo numeric,
	open_interest_hi numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15
AS 'MODULE_PATHNAME', 'risk_initial_margin_at_open_interest';

COMMENT ON FUNCTION risk.initial_margin(numeric, numeric, int, numeric, numeric, numeric) IS
'initial_margin where it grows with the open interest of the instrument: notional * (base + (1 - base) * x), base = 1 / leverage, x = (open_interest - open_interest_lo) / (open_interest_hi - open_interest_lo), not below 0 and not above 1; rounded up to scale decimals, once. Errors: 22023 unless all are finite, notional, open_interest and open_interest_lo >= 0, leverage >= 1, open_interest_lo < open_interest_hi, scale from 0 to 38';

CREATE FUNCTION risk.volatility_scale(
	volatility numeric,
	reference_volatility numeric,
	min_scale numeric,
	max_scale numeric,
	step numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15
AS 'MODULE_PATHNAME', 'risk_volatility_scale';

COMMENT ON FUNCTION risk.volatility_scale(numeric, numeric, numeric, numeric, numeric) IS
'by how much maintenance rates are scaled: volatility / reference_volatility, rounded up to a multiple of step, then not below min_scale and not above max_scale. Errors: 22023 unless all are finite, volatility >= 0, the others above zero, min_scale <= max_scale';

CREATE FUNCTION risk.scaled_rate(
	maintenance_rate numeric,
	scale numeric,
	max_leverage numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15
AS 'MODULE_PATHNAME', 'risk_scaled_rate';

COMMENT ON FUNCTION risk.scaled_rate(numeric, numeric, numeric) IS
'maintenance rate of a tier, scaled: maintenance_rate * scale, but not above 0.95, nor above the initial rate of the tier, 1 / max_leverage rounded down to 18 decimals; a rate that is above these as stated stays as it is. Exact. Errors: 22023 unless all are finite, 0 <= maintenance_rate < 1, scale above zero, max_leverage >= 1';

CREATE FUNCTION risk.effective_leverage(
	max_leverage numeric,
	chosen numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_effective_leverage';

COMMENT ON FUNCTION risk.effective_leverage(numeric, numeric) IS
'leverage that a position is margined at: min(max_leverage, chosen), max_leverage being that of the tier that holds at its notional. Errors: 22023 unless both are finite and above zero';

CREATE FUNCTION risk.free_collateral(
	balance numeric,
	unrealized_pnl numeric,
	initial_margin numeric,
	order_reserve numeric DEFAULT 0)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_free_collateral';

COMMENT ON FUNCTION risk.free_collateral(numeric, numeric, numeric, numeric) IS
'what new orders and positions of an account may use, in the settlement asset: balance + unrealized_pnl - initial_margin - order_reserve; below zero when more is bound than there is. Exact. Errors: 22023 unless all are finite, initial_margin and order_reserve >= 0';

CREATE FUNCTION risk.withdrawable(
	balance numeric,
	unrealized_pnl numeric,
	initial_margin numeric,
	order_reserve numeric DEFAULT 0)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_withdrawable';

COMMENT ON FUNCTION risk.withdrawable(numeric, numeric, numeric, numeric) IS
'what may leave an account, in the settlement asset: max(0, balance + min(0, unrealized_pnl) - initial_margin - order_reserve); an open profit cannot be withdrawn. Exact. Errors: 22023 unless all are finite, initial_margin and order_reserve >= 0';

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
'price at which the equity of the account is its maintenance margin and the fee for closing this position, all else unchanged: (balance + other_pnl - other_maintenance + c - qty * multiplier * entry_price) / (abs(qty) * multiplier * (m + close_fee_rate - sign(qty))). Rate and amount as in maintenance_margin: m = maintenance_rate and c = maintenance_amount when the rate is above zero (both 0 where that maintenance would be below zero), m = 0 and c = -maintenance_amount when it is zero. other_pnl and other_maintenance are those of the other positions of the account. At least 16 significant digits, half away from zero. NULL when qty is 0, when the price would not be above zero (a long is then safe at every price, a short below its maintenance at every price), and for a long with m + close_fee_rate >= 1. Errors: 22023 unless all are finite, entry_price and multiplier above zero, rates from 0 to less than 1, maintenance_amount and other_maintenance >= 0; 0A000 for inverse and quanto';

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
'liquidation_price with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price';

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
'price at which the equity of the account less the fee for closing this position is zero, all else unchanged: (balance + other_pnl - qty * multiplier * entry_price) / (abs(qty) * multiplier * (close_fee_rate - sign(qty))). At least 16 significant digits, half away from zero. NULL when qty is 0 and when the price would not be above zero (a long is then solvent at every price, a short insolvent at every price). Errors: 22023 unless all are finite, entry_price and multiplier above zero, close_fee_rate from 0 to less than 1; 0A000 for inverse and quanto';

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
'bankruptcy_price with the signed cost of the position, any finite number, in place of qty * multiplier * entry_price';
