-- account_formulas.sql
--		The formulas of an account: what is free, how near it is to liquidation,
--		and the sums over its positions.
--
-- Numbers in, numbers out; no tables.  All amounts are in the settlement
-- asset.  The functions are STRICT: NULL in any argument gives NULL.  The
-- aggregates leave out a row with a NULL.

CREATE FUNCTION risk.withdrawable(
	balance numeric,
	unrealized_pnl numeric,
	initial_margin numeric,
	order_reserve numeric DEFAULT 0,
	holds numeric DEFAULT 0,
	profit_backs_margin boolean DEFAULT false)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_withdrawable';

COMMENT ON FUNCTION risk.withdrawable(numeric, numeric, numeric, numeric, numeric, boolean) IS
'what may leave an account, in the settlement asset: max(0, balance - holds + min(0, unrealized_pnl) - initial_margin - order_reserve); an open profit cannot be withdrawn. With profit_backs_margin it may bear the margin of the positions, so that more of the balance is free: max(0, min(balance - holds, balance - holds + unrealized_pnl - initial_margin - order_reserve)). Exact. Example: 1,000 with a profit of 50 and initial margin 100: 900, with profit_backs_margin 950. Errors: 22023 unless all are finite and initial_margin, order_reserve and holds >= 0';

CREATE FUNCTION risk.free_collateral(
	balance numeric,
	unrealized_pnl numeric,
	initial_margin numeric,
	order_reserve numeric DEFAULT 0,
	holds numeric DEFAULT 0)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_free_collateral';

COMMENT ON FUNCTION risk.free_collateral(numeric, numeric, numeric, numeric, numeric) IS
'what new orders may use, in the settlement asset: balance + unrealized_pnl - initial_margin - order_reserve - holds; below zero when more is bound than there is. Exact. Errors: 22023 unless all are finite and initial_margin, order_reserve and holds >= 0';

CREATE FUNCTION risk.max_order_qty(
	free_collateral numeric,
	price numeric,
	leverage numeric,
	lot numeric DEFAULT 1,
	fee_rate numeric DEFAULT 0,
	multiplier numeric DEFAULT 1,
	kind text DEFAULT 'linear',
	opposing_qty numeric DEFAULT 0,
	opposing_margin numeric DEFAULT 0)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_max_order_qty';

COMMENT ON FUNCTION risk.max_order_qty(numeric, numeric, numeric, numeric, numeric, numeric, text, numeric, numeric) IS
'largest quantity, in whole lots, that an order may have: its notional / leverage + notional * fee_rate is at most free_collateral. Linear: free_collateral * leverage / (price * multiplier * (1 + fee_rate * leverage)); inverse: free_collateral * leverage * price / (multiplier * (1 + fee_rate * leverage)); rounded down, once, to a multiple of lot. 0 when free_collateral is not above zero. Against a position of the other side, of opposing_qty contracts with an initial margin of opposing_margin, the order first closes that one: its margin becomes free, and that part of the order needs none. Linear: ((free_collateral + opposing_margin) * leverage + opposing_qty * multiplier * price) / (price * multiplier * (1 + fee_rate * leverage)), inverse likewise; but at least opposing_qty, because an order that only reduces always fits. Closed is at price: pass the free_collateral that there would be with the mark at price. Pass it in units of the asset, rounded down, and margin and fee still fit when they are rounded up together. Examples: 100 at 10x and price 50 is 20; with a short of 8 there, margined with 40, it is 36: 8 to close it and 28 that need 140. Errors: 22023 unless all are finite, price, leverage, lot and multiplier above zero, fee_rate from 0 to less than 1, opposing_qty and opposing_margin >= 0';

CREATE FUNCTION risk.funding_payment(
	qty numeric,
	index_then numeric,
	index_now numeric,
	multiplier numeric DEFAULT 1)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_funding_payment';

COMMENT ON FUNCTION risk.funding_payment(numeric, numeric, numeric, numeric) IS
'what funding by an index adds to the balance, below zero when the position pays: qty * multiplier * (index_then - index_now). The index sums what one unit long has had to pay. Exact, not rounded to the asset: round down, so that payers pay up and receivers get down. Example: long 2 while the index went from 10 to 10.5 pays 1: -1.0. Errors: 22023 unless all are finite and multiplier above zero';

CREATE FUNCTION risk.margin_ratio(
	equity numeric,
	notional numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_margin_ratio';

COMMENT ON FUNCTION risk.margin_ratio(numeric, numeric) IS
'margin ratio in percent: equity * 100 / notional, at least 16 significant digits. Example: 50 of margin on a position of 1,000 is 5. NULL without a position (notional 0). Errors: 22023 unless both are finite and notional >= 0';

CREATE FUNCTION risk.margin_level(
	equity numeric,
	requirement numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_margin_level';

COMMENT ON FUNCTION risk.margin_level(numeric, numeric) IS
'margin level in percent: equity * 100 / requirement (maintenance margin and liquidation fee), at least 16 significant digits; liquidation is near 100. Example: 1,500 against 500 is 300. NULL without a requirement. Errors: 22023 unless both are finite and requirement >= 0';

CREATE FUNCTION risk.risk_ratio(
	equity numeric,
	requirement numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_risk_ratio';

COMMENT ON FUNCTION risk.risk_ratio(numeric, numeric) IS
'risk ratio in percent: requirement * 100 / equity, at least 16 significant digits; liquidation is near 100. Example: 500 against an equity of 2,000 is 25. NULL when equity is not above zero. Errors: 22023 unless both are finite and requirement >= 0';

CREATE FUNCTION risk.effective_leverage(
	equity numeric,
	notional numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'risk_effective_leverage';

COMMENT ON FUNCTION risk.effective_leverage(numeric, numeric) IS
'effective leverage: notional / equity, at least 16 significant digits. Example: 10,000 on an equity of 1,000 is 10. NULL when equity is not above zero. Errors: 22023 unless both are finite and notional >= 0';

-- Sums over positions: of each account with GROUP BY.  A row with a NULL is
-- left out; NULL when no row is left.  The state is exact and its parts can be
-- added in any order, so parallel plans give the same digits.

CREATE FUNCTION risk.sum_result(internal)
RETURNS numeric
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_result';

COMMENT ON FUNCTION risk.sum_result(internal) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE FUNCTION risk.sum_combine(internal, internal)
RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_combine';

COMMENT ON FUNCTION risk.sum_combine(internal, internal) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE FUNCTION risk.sum_serialize(internal)
RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_serialize';

COMMENT ON FUNCTION risk.sum_serialize(internal) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE FUNCTION risk.sum_deserialize(bytea, internal)
RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_deserialize';

COMMENT ON FUNCTION risk.sum_deserialize(bytea, internal) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE FUNCTION risk.sum_unrealized_pnl_step(internal, numeric, numeric, numeric, numeric, text)
RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_unrealized_pnl_step';

COMMENT ON FUNCTION risk.sum_unrealized_pnl_step(internal, numeric, numeric, numeric, numeric, text) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE AGGREGATE risk.sum_unrealized_pnl(
	qty numeric, cost numeric, mark_price numeric, multiplier numeric, kind text)
(
	SFUNC = risk.sum_unrealized_pnl_step, STYPE = internal, SSPACE = 64,
	FINALFUNC = risk.sum_result, COMBINEFUNC = risk.sum_combine,
	SERIALFUNC = risk.sum_serialize, DESERIALFUNC = risk.sum_deserialize, PARALLEL = SAFE
);

COMMENT ON AGGREGATE risk.sum_unrealized_pnl(numeric, numeric, numeric, numeric, text) IS
'sum of risk.unrealized_pnl_at_cost over positions, in the settlement asset. With the balance added it is the equity of the account. A row with a NULL is left out; NULL when no row is left. Exact. Errors: as that function';

CREATE FUNCTION risk.sum_notional_step(internal, numeric, numeric, numeric, text)
RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_notional_step';

COMMENT ON FUNCTION risk.sum_notional_step(internal, numeric, numeric, numeric, text) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE AGGREGATE risk.sum_notional(
	qty numeric, price numeric, multiplier numeric, kind text)
(
	SFUNC = risk.sum_notional_step, STYPE = internal, SSPACE = 64,
	FINALFUNC = risk.sum_result, COMBINEFUNC = risk.sum_combine,
	SERIALFUNC = risk.sum_serialize, DESERIALFUNC = risk.sum_deserialize, PARALLEL = SAFE
);

COMMENT ON AGGREGATE risk.sum_notional(numeric, numeric, numeric, text) IS
'sum of risk.notional over positions, in the settlement asset; a flat one counts as 0. A row with a NULL is left out; NULL when no row is left. Exact. Errors: as that function';

CREATE FUNCTION risk.sum_maintenance_margin_step(internal, numeric, numeric, numeric[], numeric[], numeric, text)
RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_maintenance_margin_step';

COMMENT ON FUNCTION risk.sum_maintenance_margin_step(internal, numeric, numeric, numeric[], numeric[], numeric, text) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE AGGREGATE risk.sum_maintenance_margin(
	qty numeric, price numeric, tier_floors numeric[], tier_rates numeric[], multiplier numeric, kind text)
(
	SFUNC = risk.sum_maintenance_margin_step, STYPE = internal, SSPACE = 64,
	FINALFUNC = risk.sum_result, COMBINEFUNC = risk.sum_combine,
	SERIALFUNC = risk.sum_serialize, DESERIALFUNC = risk.sum_deserialize, PARALLEL = SAFE
);

COMMENT ON AGGREGATE risk.sum_maintenance_margin(numeric, numeric, numeric[], numeric[], numeric, text) IS
'sum of risk.maintenance_margin by tiers over positions, in the settlement asset; a flat one counts as 0. A row with a NULL is left out; NULL when no row is left. Exact. Errors: as that function';

CREATE FUNCTION risk.sum_liquidation_requirement_step(internal, numeric, numeric, numeric[], numeric[], numeric, numeric, text)
RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_liquidation_requirement_step';

COMMENT ON FUNCTION risk.sum_liquidation_requirement_step(internal, numeric, numeric, numeric[], numeric[], numeric, numeric, text) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE AGGREGATE risk.sum_liquidation_requirement(
	qty numeric, price numeric, tier_floors numeric[], tier_rates numeric[], liquidation_fee_rate numeric,
	multiplier numeric, kind text)
(
	SFUNC = risk.sum_liquidation_requirement_step, STYPE = internal, SSPACE = 64,
	FINALFUNC = risk.sum_result, COMBINEFUNC = risk.sum_combine,
	SERIALFUNC = risk.sum_serialize, DESERIALFUNC = risk.sum_deserialize, PARALLEL = SAFE
);

COMMENT ON AGGREGATE risk.sum_liquidation_requirement(numeric, numeric, numeric[], numeric[], numeric, numeric, text) IS
'sum of risk.liquidation_requirement over positions, in the settlement asset; a flat one counts as 0. A row with a NULL is left out; NULL when no row is left. Exact. Errors: as that function';

CREATE FUNCTION risk.sum_initial_margin_step(internal, numeric, numeric, numeric, int, numeric, text)
RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'risk_sum_initial_margin_step';

COMMENT ON FUNCTION risk.sum_initial_margin_step(internal, numeric, numeric, numeric, int, numeric, text) IS
'part of the aggregates risk.sum_...: not to be called';

CREATE AGGREGATE risk.sum_initial_margin(
	qty numeric, price numeric, leverage numeric, scale int, multiplier numeric, kind text)
(
	SFUNC = risk.sum_initial_margin_step, STYPE = internal, SSPACE = 64,
	FINALFUNC = risk.sum_result, COMBINEFUNC = risk.sum_combine,
	SERIALFUNC = risk.sum_serialize, DESERIALFUNC = risk.sum_deserialize, PARALLEL = SAFE
);

COMMENT ON AGGREGATE risk.sum_initial_margin(numeric, numeric, numeric, int, numeric, text) IS
'sum of risk.initial_margin over positions, each rounded up to scale decimals, in the settlement asset; a flat one counts as 0. A row with a NULL is left out; NULL when no row is left. Exact. Errors: as that function';
