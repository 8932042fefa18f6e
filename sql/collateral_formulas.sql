-- What counts in a margin group.

CREATE FUNCTION risk.collateral_value(
	amount numeric,
	index_price numeric,
	haircut numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_collateral_value';

COMMENT ON FUNCTION risk.collateral_value(numeric, numeric, numeric) IS
'what an amount of an asset counts for in a margin group, in the unit of account: amount * index_price * (1 - haircut); what is missing, an amount below zero, in full: amount * index_price. Exact. index_price 0: the asset has none; haircut 1: it is no collateral. Errors: 22023 unless all are finite, index_price >= 0, haircut from 0 to 1';

CREATE FUNCTION risk.collateral_share(
	value numeric,
	index_price numeric,
	haircut numeric,
	scale int)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_collateral_share';

COMMENT ON FUNCTION risk.collateral_share(numeric, numeric, numeric, int) IS
'what a value in the unit of account is in an asset: value / index_price; below zero, how much of the asset has to be held so that it counts for what is missing: value / (index_price * (1 - haircut)). Rounded down to scale decimals, so less is lent and more is held. 0 where index_price is 0, or where something is missing and haircut is 1. Errors: 22023 unless all are finite, index_price >= 0, haircut from 0 to 1, scale from 0 to 38';
