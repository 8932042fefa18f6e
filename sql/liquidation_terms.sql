-- liquidation_terms.sql
--		What a liquidation would cost, and where it would begin, for the screen of
--		the trader.

CREATE FUNCTION risk.create_liquidation_terms_view() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE OR REPLACE VIEW ledger.liquidation_terms WITH (security_invoker = true) AS
	SELECT v.book_id, v.account_id, a.owner_id, v.instrument_id, v.qty, v.mark_price, v.notional,
		   t.tier, v.tier_floors[t.tier] AS tier_floor, v.tier_rates[t.tier] AS maintenance_rate,
		   p.liquidation_price, p.bankruptcy_price,
		   v.liquidation_fee_rate AS fee_rate,
		   round(ceil(v.notional * v.liquidation_fee_rate / u.unit) * u.unit, u.scale) AS fee,
		   y.execution, y.step_rule,
		   risk.next_step(v.book_id, v.account_id, v.instrument_id) AS next_step
	  FROM ledger.position_value v
	 CROSS JOIN LATERAL (
		SELECT a.owner_id, a.asset_code, a.policy_code FROM ledger.account a
		 WHERE a.book_id = v.book_id AND a.account_id = v.account_id AND a.kind = 'trader'
		OFFSET 0) a
	 CROSS JOIN LATERAL (
		SELECT p.liquidation_price, p.bankruptcy_price FROM ledger.position_risk p
		 WHERE p.book_id = v.book_id AND p.account_id = v.account_id AND p.instrument_id = v.instrument_id
		OFFSET 0) p
	 CROSS JOIN LATERAL (
		SELECT s.scale, ('1e-' || s.scale)::numeric AS unit FROM ledger.asset s WHERE s.asset_code = a.asset_code
		OFFSET 0) u
	 CROSS JOIN LATERAL (
		SELECT y.execution, y.step_rule FROM ledger.policy y
		 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
		 ORDER BY y.version DESC LIMIT 1) y
	 CROSS JOIN LATERAL (SELECT risk.margin_tier(v.notional, v.tier_floors, v.tier_rates) AS tier OFFSET 0) t;
	COMMENT ON VIEW ledger.liquidation_terms IS
		'Under what terms each open position of a trader would be liquidated now. Amounts are in the settlement asset.';
	COMMENT ON COLUMN ledger.liquidation_terms.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.liquidation_terms.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.liquidation_terms.owner_id IS 'Whose it is.';
	COMMENT ON COLUMN ledger.liquidation_terms.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.liquidation_terms.qty IS 'Contracts; above zero: long.';
	COMMENT ON COLUMN ledger.liquidation_terms.mark_price IS 'The mark.';
	COMMENT ON COLUMN ledger.liquidation_terms.notional IS 'Size at the mark.';
	COMMENT ON COLUMN ledger.liquidation_terms.tier IS 'The margin tier at the mark, the first is 1.';
	COMMENT ON COLUMN ledger.liquidation_terms.tier_floor IS 'The notional above which it holds: what a step of step_rule tier goes down to.';
	COMMENT ON COLUMN ledger.liquidation_terms.maintenance_rate IS 'Maintenance rate of the tier.';
	COMMENT ON COLUMN ledger.liquidation_terms.liquidation_price IS 'As in position_risk.';
	COMMENT ON COLUMN ledger.liquidation_terms.bankruptcy_price IS 'As in position_risk.';
	COMMENT ON COLUMN ledger.liquidation_terms.fee_rate IS 'The rate of the liquidation fee in force, by size, volatility and depth.';
	COMMENT ON COLUMN ledger.liquidation_terms.fee IS 'The fee if all of it were closed at the mark now: notional times rate, rounded up. Charged at most is what is left above bankruptcy; a takeover at the bankruptcy price (execution takeover, surplus_to fund) charges none, it leaves nothing above that.';
	COMMENT ON COLUMN ledger.liquidation_terms.execution IS 'Who closes it: takeover, mark or order, see ledger.policy.';
	COMMENT ON COLUMN ledger.liquidation_terms.step_rule IS 'How far a step goes, see ledger.policy.';
	COMMENT ON COLUMN ledger.liquidation_terms.next_step IS 'What the next step would close, signed as qty; see risk.next_step().';
END
$function$;
COMMENT ON FUNCTION risk.create_liquidation_terms_view() IS
	'Makes or replaces ledger.liquidation_terms. A part of risk.create_views().';
REVOKE ALL ON FUNCTION risk.create_liquidation_terms_view() FROM PUBLIC;
