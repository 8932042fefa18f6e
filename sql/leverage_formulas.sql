-- What moves the margin rates of a position: the leverage that was chosen, the
-- open interest, the volatility of the mark.

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

CREATE FUNCTION risk.leverage_in_force(
	max_leverage numeric,
	chosen numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_leverage_in_force';

COMMENT ON FUNCTION risk.leverage_in_force(numeric, numeric) IS
'leverage that a position is margined at: min(max_leverage, chosen), max_leverage being that of the tier that holds at its notional. Errors: 22023 unless both are finite and above zero';
