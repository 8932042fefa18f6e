-- verify_accounts.sql
--		The proof of the books, its checks of what is kept of an account beside
--		its balance: floors, holds, reserves and settings.
--
-- verify.sql says what a check may use, and how it is written.

CREATE FUNCTION risk.check_accounts(book_id int DEFAULT NULL)
RETURNS TABLE (check_name text, violations bigint, first_offender text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- a filter on the book is an index condition, and no filter costs nothing
SET plan_cache_mode = force_custom_plan
-- rows that a policy hides would look like missing ones: refuse instead
SET row_security = off
-- a young ledger has no statistics, and its few rows are not worth compiling for
SET jit = off
AS $function$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT 'floors', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s: balance %s, floor %s', b.book_id, b.account_id, sum(b.amount), max(b.floor)) AS offender
			  FROM ledger.balance b
			 WHERE check_accounts.book_id IS NULL OR b.book_id = check_accounts.book_id
			 GROUP BY b.book_id, b.account_id
			HAVING sum(b.amount) < max(b.floor)
			 ORDER BY b.book_id, b.account_id
			 LIMIT 1) v;

	-- a floor is what its last change says, or that of its kind
	RETURN QUERY
	SELECT 'floor_changes', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s: floor %s; the last change says %s', b.book_id, b.account_id,
						  coalesce(b.floor::text, 'none'), coalesce(f.floor::text, 'none')) AS offender
			  FROM ledger.balance b
			  JOIN ledger.account a ON a.book_id = b.book_id AND a.account_id = b.account_id
			  LEFT JOIN (SELECT DISTINCT ON (e.book_id, e.account_id)
								e.book_id, e.account_id, (e.payload -> 'floor' ->> 1)::numeric AS floor
						   FROM ledger.event e
						  WHERE e.kind = 'floor_change'
						  ORDER BY e.book_id, e.account_id, e.event_id DESC) e
					 ON e.book_id = b.book_id AND e.account_id = b.account_id
			 CROSS JOIN LATERAL (
				SELECT CASE WHEN e.account_id IS NOT NULL THEN e.floor
							WHEN a.kind IN ('trader', 'insurance_fund', 'liquidity') THEN 0
					   END AS floor) f
			 WHERE b.slot = 0 AND b.floor IS DISTINCT FROM f.floor
			   AND (check_accounts.book_id IS NULL OR b.book_id = check_accounts.book_id)
			 ORDER BY b.book_id, b.account_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'below_floor', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s', b.book_id, b.account_id) AS offender
			  FROM ledger.below_floor b
			 WHERE check_accounts.book_id IS NULL OR b.book_id = check_accounts.book_id
			 ORDER BY b.book_id, b.account_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'unmatched_execution', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, execution %s, instrument %s: quantity %s and value %s', u.book_id, u.execution_id,
						  u.instrument_id, u.qty, u.value) AS offender
			  FROM ledger.unmatched_execution u
			 WHERE check_accounts.book_id IS NULL OR u.book_id = check_accounts.book_id
			 ORDER BY u.book_id, u.execution_id, u.instrument_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'late_fill', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, trade %s: left over', f.book_id, f.trade_id) AS offender
			  FROM ledger.late_fill f
			 WHERE check_accounts.book_id IS NULL OR f.book_id = check_accounts.book_id
			 ORDER BY f.book_id, f.trade_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'added_risk', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, instrument %s: left over', r.book_id, r.account_id, r.instrument_id) AS offender
			  FROM ledger.added_risk r
			 WHERE check_accounts.book_id IS NULL OR r.book_id = check_accounts.book_id
			 ORDER BY r.book_id, r.account_id, r.instrument_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'order_reserves', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, order %s: %s', r.book_id, r.account_id, r.order_id, f.fault) AS offender
			  FROM ledger.order_reserve r
			  LEFT JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.account_id
			  LEFT JOIN ledger.asset s ON s.asset_code = a.asset_code
			  LEFT JOIN ledger.instrument i ON i.instrument_id = r.instrument_id
			 CROSS JOIN LATERAL (
				SELECT CASE WHEN a.kind IS NULL THEN 'there is no such account'
							WHEN a.kind <> 'trader' THEN format('it is a %s account', a.kind)
							WHEN i.settle_asset IS DISTINCT FROM a.asset_code
							THEN format('instrument %s does not settle in %s', r.instrument_id, a.asset_code)
							WHEN (r.amount >= 0 AND r.amount < 1e20 AND r.amount = round(r.amount, s.scale)) IS NOT TRUE
							THEN format('an amount of %s', r.amount)
					   END AS fault) f
			 WHERE f.fault IS NOT NULL
			   AND (check_accounts.book_id IS NULL OR r.book_id = check_accounts.book_id)
			 ORDER BY r.book_id, r.account_id, r.order_id
			 LIMIT 1) v;

	-- What is left of a hold is its amount, less what transfers captured and
	-- releases gave back; a release without an amount gave back all.
	RETURN QUERY
	SELECT 'holds', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, hold %s: %s', f.book_id, f.hold_id, f.fault) AS offender
			  FROM (SELECT book_id, hold_id,
						   CASE WHEN h.account_id IS NULL THEN 'there is no such hold'
								WHEN o.account_id <> h.account_id OR t.account_id <> h.account_id
								THEN format('it is of account %s, and not of account %s', h.account_id,
											CASE WHEN o.account_id <> h.account_id THEN o.account_id ELSE t.account_id END)
								WHEN coalesce(t.captured, 0) + coalesce(r.released, 0) > h.amount
								THEN format('%s captured and %s released of %s', coalesce(t.captured, 0), coalesce(r.released, 0), h.amount)
								WHEN coalesce(o.remaining, 0) <> d.due THEN format('%s is left, expected %s', coalesce(o.remaining, 0), d.due)
								WHEN o.expires_at IS DISTINCT FROM h.expires_at AND d.due <> 0
								THEN format('it expires at %s, expected %s', o.expires_at, h.expires_at)
						   END AS fault
					  FROM ledger.hold h
					  FULL JOIN ledger.open_hold o USING (book_id, hold_id)
					  FULL JOIN (SELECT book_id, hold_id, sum(amount) AS captured, CASE WHEN min(from_account) = max(from_account) THEN max(from_account) ELSE 0 END AS account_id
								   FROM (SELECT book_id, hold_id, from_account, amount FROM ledger.transfer WHERE hold_id IS NOT NULL
										 UNION ALL
										 (SELECT DISTINCT ON (book_id, id, account_id) book_id, id, account_id, amount
											FROM ledger.checkpoint_cause WHERE kind = 'hold'
										   ORDER BY book_id, id, account_id, checkpoint_id DESC)) t
								  GROUP BY book_id, hold_id) t USING (book_id, hold_id)
					  FULL JOIN (SELECT book_id, hold_id, sum(amount) AS released, bool_or(amount IS NULL) AS entirely
								   FROM ledger.hold_release GROUP BY book_id, hold_id) r USING (book_id, hold_id)
					 CROSS JOIN LATERAL (SELECT CASE WHEN r.entirely THEN 0
													 ELSE h.amount - coalesce(t.captured, 0) - coalesce(r.released, 0) END AS due) d
					 WHERE check_accounts.book_id IS NULL OR book_id = check_accounts.book_id) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.hold_id
			 LIMIT 1) v;

	-- a setting is what its last event says
	RETURN QUERY
	SELECT 'margin_settings', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, instrument %s: leverage %s, mode %s; the last change says %s, %s',
						  book_id, account_id, instrument_id, coalesce(s.leverage::text, 'none'), coalesce(s.mode, 'none'),
						  coalesce(e.leverage, 'none'), coalesce(e.mode, 'none')) AS offender
			  FROM ledger.margin_setting s
			  FULL JOIN (SELECT DISTINCT ON (e.book_id, e.account_id, (e.payload ->> 'instrument_id')::int)
								e.book_id, e.account_id, (e.payload ->> 'instrument_id')::int AS instrument_id,
								e.payload -> 'leverage' ->> 1 AS leverage, e.payload -> 'mode' ->> 1 AS mode
						   FROM ledger.event e
						  WHERE e.kind = 'margin_setting'
						  ORDER BY e.book_id, e.account_id, (e.payload ->> 'instrument_id')::int, e.event_id DESC) e
				   USING (book_id, account_id, instrument_id)
			 WHERE (s.leverage, s.mode) IS DISTINCT FROM (e.leverage::numeric, e.mode)
			   AND (check_accounts.book_id IS NULL OR book_id = check_accounts.book_id)
			 ORDER BY book_id, account_id, instrument_id
			 LIMIT 1) v;

	-- whoever is in a margin group without being asked would pay for others
	RETURN QUERY
	SELECT 'margin_groups', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s: in_group is %s, policy %s', a.book_id, a.account_id, a.in_group, a.policy_code) AS offender
			  FROM ledger.account a
			 WHERE a.in_group <> (a.kind = 'trader' AND a.owner_id IS NOT NULL AND a.parent_id IS NULL
								  AND EXISTS (SELECT FROM ledger.policy p
											   WHERE p.policy_code = a.policy_code AND p.collateral_group))
			   AND (check_accounts.book_id IS NULL OR a.book_id = check_accounts.book_id)
			 ORDER BY a.book_id, a.account_id
			 LIMIT 1) v;

	-- scales are those of every book: each from the figures in its own row
	RETURN QUERY
	SELECT 'margin_scales', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('instrument %s, scale %s from %s on: %s', s.instrument_id, s.scale, s.effective_at, f.fault) AS offender
			  FROM ledger.margin_scale s
			 CROSS JOIN LATERAL (
				SELECT CASE WHEN s.effective_at <= s.observed_at
							THEN format('the mark in force was observed at %s', s.observed_at)
							WHEN s.scale <> least(s.max_scale,
												  greatest(s.min_scale,
														   (div(s.volatility, s.reference_volatility * s.step)
															+ (mod(s.volatility, s.reference_volatility * s.step) > 0)::int)
														   * s.step))
							THEN format('the volatility was %s', s.volatility)
					   END AS fault) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY s.instrument_id, s.effective_at
			 LIMIT 1) v;
	-- A trigger is of an open position of a trader, and what can be debited
	-- before one has to move is not below zero.
	RETURN QUERY
	SELECT 'trigger_prices', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, f.offender
			  FROM (SELECT p.book_id, p.account_id,
						   format('book %s, account %s, instrument %s: trigger %s at a quantity of %s', p.book_id, p.account_id, p.instrument_id, p.trigger_price, p.qty) AS offender
					  FROM ledger.position p
					 WHERE coalesce(p.trigger_price, p.alert_price, p.rearm_price) IS NOT NULL
					   AND (p.qty = 0 OR p.account_id < 0 OR least(p.trigger_price, p.alert_price, p.rearm_price) < 0)
					UNION ALL
					-- without a reserve the sweep has to find it at every mark
					SELECT p.book_id, p.account_id,
						   format('book %s, account %s, instrument %s: trigger %s without a reserve', p.book_id, p.account_id, p.instrument_id, coalesce(p.trigger_price::text, 'none'))
					  FROM ledger.position p
					  JOIN ledger.balance b ON b.book_id = p.book_id AND b.slot = 0 AND b.account_id = p.account_id
					 WHERE p.qty <> 0 AND p.account_id > 0 AND b.reserve IS NULL
					   AND (p.trigger_price = CASE WHEN p.qty > 0 THEN 'Infinity'::numeric ELSE 0 END) IS NOT TRUE
					UNION ALL
					SELECT b.book_id, b.account_id,
						   format('book %s, account %s: reserve %s', b.book_id, b.account_id, b.reserve)
					  FROM ledger.balance b
					 WHERE b.reserve IS NOT NULL
					   AND (b.reserve < 0 AND b.reserve <> '-Infinity' OR b.account_id < 0
							OR NOT EXISTS (SELECT FROM ledger.position p WHERE p.book_id = b.book_id AND p.account_id = b.account_id AND p.qty <> 0))) f
			 WHERE check_accounts.book_id IS NULL OR f.book_id = check_accounts.book_id
			 ORDER BY f.book_id, f.account_id
			 LIMIT 1) v;
	-- What is noted as told was told, of an account that has a position, and
	-- keeps no reserve; of others, none waits to recover.
	RETURN QUERY
	SELECT 'alerts', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, f.offender
			  FROM (SELECT s.book_id, s.account_id, format('book %s, account %s: level %s', s.book_id, s.account_id, s.fired_level) AS offender
					  FROM ledger.alert_state s
					 WHERE NOT EXISTS (SELECT FROM ledger.event e
										WHERE e.book_id = s.book_id AND e.account_id = s.account_id AND e.kind = 'alert'
										  AND (e.payload ->> 'level')::numeric <= s.fired_level)
						OR NOT EXISTS (SELECT FROM ledger.position p
										WHERE p.book_id = s.book_id AND p.account_id = s.account_id AND p.qty <> 0)
						OR NOT EXISTS (SELECT FROM ledger.balance b
										WHERE b.book_id = s.book_id AND b.slot = 0 AND b.account_id = s.account_id AND b.reserve = '-Infinity')
					UNION ALL
					SELECT p.book_id, p.account_id,
						   format('book %s, account %s, instrument %s: rearm_price %s without an alert', p.book_id, p.account_id, p.instrument_id, p.rearm_price)
					  FROM ledger.position p
					 WHERE p.rearm_price IS NOT NULL
					   AND NOT EXISTS (SELECT FROM ledger.alert_state s WHERE s.book_id = p.book_id AND s.account_id = p.account_id)) f
			 WHERE check_accounts.book_id IS NULL OR f.book_id = check_accounts.book_id
			 ORDER BY f.book_id, f.account_id
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_accounts(int) IS
	'What risk.verify() says of accounts, of one book or all: floors, order reserves, holds, settings and margin groups; of margin scales; and that nothing is left over of what posting had to do before commit.';
