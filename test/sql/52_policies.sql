-- Policies as data: those that are shipped, how one is changed, and what is
-- refused when it is written.
\set SHOW_CONTEXT never
CREATE TEMP VIEW rules AS
SELECT p.policy_code, p.version, o.key, o.value #>> '{}' AS value FROM ledger.policy p, jsonb_each(to_jsonb(p)) AS o(key, value)
 WHERE o.key NOT IN ('policy_code', 'version', 'effective_at', 'description');

-- 1. What is shipped: who pays, and in what each differs from the default

SELECT p.policy_code, p.stages, p.description <> '' AS described FROM ledger.policy p
  JOIN risk.shipped_policies() s USING (policy_code) WHERE p.version = 1 ORDER BY p.policy_code;
SELECT r.policy_code, r.key, r.value, d.value AS by_default
  FROM rules r JOIN rules d ON d.policy_code = 'default' AND d.version = 1 AND d.key = r.key
 WHERE r.policy_code IN (SELECT s.policy_code FROM risk.shipped_policies() s) AND r.version = 1
   AND r.value IS DISTINCT FROM d.value AND r.key <> 'stages' ORDER BY r.policy_code, r.key;
-- accounts that name none have the default
SELECT column_default FROM information_schema.columns WHERE table_schema = 'ledger' AND table_name = 'account' AND column_name = 'policy_code';

-- the fee of electra, by the size in multiples of the reference notional, in a
-- market as usual and in one with twice the volatility and half the depth
SELECT n AS multiple, usual.rate AS usual, round(usual.rate * 10000, 2) AS usual_on_10000, wild.rate AS wild
  FROM ledger.policy p, unnest(ARRAY[0, 1, 100, 1000, 100000]::numeric[]) AS n,
	   LATERAL (SELECT risk.liquidation_fee_rate(n, p.liquidation_fee_base, p.liquidation_fee_by_size, 1, p.liquidation_fee_by_volatility, 1,
				p.liquidation_fee_by_depth, 1, p.liquidation_fee_minimum, p.liquidation_fee_maximum) AS rate) usual,
	   LATERAL (SELECT risk.liquidation_fee_rate(n, p.liquidation_fee_base, p.liquidation_fee_by_size, 1, p.liquidation_fee_by_volatility, 2,
				p.liquidation_fee_by_depth, 0.5, p.liquidation_fee_minimum, p.liquidation_fee_maximum) AS rate) wild
 WHERE p.policy_code = 'electra' AND p.version = 1 ORDER BY n;

-- 2. A change is the next version: the last one, but for what is said

SELECT risk.change_policy('52 venue', '{"stages": ["own", "fund", "house"], "penalty_grace": "2 days", "fund_cap_per_day": 1000.5, "alert_levels": [150, 110]}');
SELECT risk.change_policy('52 venue', '{"fund_cap_per_day": null, "surplus_to": "trader"}');
SELECT version, key, value FROM rules r WHERE policy_code = '52 venue'
   AND (SELECT count(DISTINCT coalesce(o.value, '')) FROM rules o WHERE o.policy_code = '52 venue' AND o.key = r.key) > 1 ORDER BY key, version;
SELECT version, stages, penalty_grace, alert_levels, effective_at > now() - interval '1 minute' AS in_force_at_once FROM ledger.policy WHERE policy_code = '52 venue' ORDER BY version;
-- one that is still to come keeps its time, and none comes before it
SELECT risk.change_policy('52 venue', '{"recourse": "debt", "effective_at": "2100-01-01 UTC"}');
SELECT risk.change_policy('52 venue', '{"surplus_to": "fund"}');
SELECT risk.change_policy('52 venue', '{"surplus_to": "fund", "effective_at": "2099-01-01 UTC"}');
SELECT version, recourse, surplus_to, effective_at = '2100-01-01 UTC' AS to_come FROM ledger.policy WHERE policy_code = '52 venue' ORDER BY version;

-- 3. What is no change of a policy

SELECT risk.change_policy('52 venue', '{"fund_cap": 5, "version": 9, "step_rule": "all"}');
SELECT risk.change_policy('52 venue', '{"policy_code": "other"}');
SELECT risk.change_policy('52 venue', '[1]');
SELECT risk.change_policy('52 venue', NULL);
SELECT risk.change_policy(NULL, '{}');
\set VERBOSITY terse
SELECT risk.change_policy('52 new', '{}');
\set VERBOSITY default
SELECT risk.change_policy('52 venue', '{"collateral_group": true}');
SELECT risk.change_policy('52 venue', '{"penalty_rate": "much"}');

-- 4. Every CHECK refuses what it is there for: the constraint that did, one per line

CREATE FUNCTION pg_temp.refused(changes jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	violated text;
BEGIN
	PERFORM risk.change_policy('52 wrong', '{"stages": ["own", "house"]}' || changes);
	RAISE raise_exception USING MESSAGE = 'written';
EXCEPTION WHEN check_violation OR not_null_violation THEN
	GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
	RETURN coalesce(nullif(violated, ''), SQLERRM) || ' ' || SQLSTATE;
WHEN raise_exception THEN
	RETURN SQLERRM;
END
$$;
CREATE TEMP TABLE refusal AS SELECT c.place, c.changes, pg_temp.refused(c.changes::jsonb) AS refused
  FROM unnest(ARRAY[
	'{"stages": null}', '{"stages": []}', '{"stages": ["fund", "house"]}', '{"stages": ["own"]}', '{"stages": ["own", "fund"]}',
	'{"stages": ["own", "lottery", "house"]}', '{"stages": ["own", null, "house"]}', '{"stages": [["own", "house"]]}',
	'{"stages": ["own", "fund", "fund_if_whole", "house"]}', '{"stages": ["own", "adl", "house"]}', '{"stages": ["own", "suspense", "house", "adl"]}',
	'{"stages": ["own", "suspense"]}', '{"stages": ["own", "suspense", "adl"]}', '{"stages": ["own", "house", "reject"]}', '{"stages": ["own", "suspense", "socialise", "adl", "house"]}',
	'{"stages": ["own", "reject"], "recourse": "debt"}', '{"effective_at": "infinity"}',
	'{"maintenance_basis": "last"}', '{"liquidation_trigger": "above"}',
	'{"liquidation_fee_base": 1}', '{"liquidation_fee_base": "NaN"}', '{"liquidation_fee_by_size": -0.1}', '{"liquidation_fee_by_volatility": 1}', '{"liquidation_fee_by_depth": -1}',
	'{"liquidation_fee_minimum": -0.1}', '{"liquidation_fee_maximum": 1}', '{"liquidation_fee_minimum": 0.03}',
	'{"liquidation_fee_to_fund": 1.1}', '{"liquidation_fee_to_liquidator": -0.1}', '{"liquidation_fee_to_fund": 0.6, "liquidation_fee_to_liquidator": 0.5}',
	'{"trading_fee_to_fund": 2}', '{"surplus_to": "house"}', '{"fund_scope": "owner"}',
	'{"fund_cap_per_event": -1}', '{"fund_cap_per_owner": "Infinity"}', '{"fund_cap_per_day": "NaN"}',
	'{"recourse": "jail"}', '{"freeze_scope": "book"}', '{"penalty_rate": 1}', '{"penalty_grace": "-1 day"}',
	'{"adl_formula": "by_age"}', '{"adl_guard": "none"}', '{"adl_max_distance": -0.1}', '{"share_rule": "equally"}', '{"share_scope": "venue"}',
	'{"alert_levels": [0]}', '{"alert_levels": [120, null]}', '{"alert_levels": [[120], [110]]}', '{"alert_levels": [10000]}', '{"alert_hysteresis": -1}',
	'{"step_rule": "half"}', '{"step_portion": 0}', '{"step_portion": 1.1}', '{"liquidation_buffer": -1}', '{"execution": "wait"}', '{"order_timeout": "0"}',
	'{"stop_execution": "mark"}', '{"late_fill": "ignore"}', '{"gainer_hold_window": "0"}', '{"gainer_hold_duration": "-1 hour"}',
	'{"pending_deposits_count": null}']) WITH ORDINALITY AS c(changes, place);
SELECT changes, refused FROM refusal ORDER BY place;
-- no CHECK of the table was left out, but for that of the number, which is given
SELECT conname FROM pg_constraint WHERE conrelid = 'ledger.policy'::regclass AND contype = 'c'
   AND conname NOT IN (SELECT split_part(refused, ' ', 1) FROM refusal) ORDER BY conname;
-- and the longest chain is written
SELECT pg_temp.refused('{"stages": ["own", "suspense", "adl", "fund", "socialise", "receivable"], "recourse": "debt"}');
SELECT count(*) AS policies FROM ledger.policy WHERE policy_code = '52 wrong';
