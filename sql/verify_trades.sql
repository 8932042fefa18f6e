-- verify_trades.sql
--		The proof of the books, its checks of trades: fees, settlements, fundings
--		and resets, positions from trades, and clearing from positions.
--
-- verify.sql says what a check may use, and how it is written.

CREATE FUNCTION risk.check_trades(book_id int DEFAULT NULL)
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
DECLARE
	-- the last instant of which trades went, all before it
	opening_at timestamptz := (SELECT max(k.before) FROM ledger.checkpoint k)::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond';
BEGIN
	-- A fee is what the trade says, and the fund's part of it what a policy says.  What could not be paid of the fees of an
	-- account comes back to it in one entry, for the last of these trades.
	RETURN QUERY
	SELECT 'trade_fees', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, trade %s, account %s: %s', f.book_id, f.trade_id, f.account_id, f.fault) AS offender
			  FROM (SELECT u.book_id, u.trade_id, u.account_id,
						   format('fee entry %s, expected %s', sum(u.found), sum(u.due)) AS fault
					  FROM (SELECT t.book_id, t.trade_id, t.account_id, -t.fee AS due, 0 AS found
							  FROM ledger.trade t
							 WHERE t.fee <> 0
							   AND (check_trades.book_id IS NULL OR t.book_id = check_trades.book_id)
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, e.amount
							  FROM ledger.entry e
							  JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
							 WHERE e.kind = 'trade_fee' AND a.kind NOT IN ('fee', 'insurance_fund')
							   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)) u
					 GROUP BY u.book_id, u.trade_id, u.account_id
					HAVING sum(u.due) <> sum(u.found)
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, format('%s of the fee went to the fund, by no policy', e.amount)
					  FROM (SELECT e.book_id, e.cause, e.account_id, sum(e.amount) AS amount, max(e.posted_at) AS posted_at
							  FROM ledger.entry e
							  JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
							 WHERE e.kind = 'trade_fee' AND a.kind = 'insurance_fund'
							   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)
							 GROUP BY e.book_id, e.cause, e.account_id) e
					  JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
					  JOIN ledger.asset s ON s.asset_code = a.asset_code
					  LEFT JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause
					 WHERE NOT EXISTS (SELECT FROM ledger.policy p
										WHERE p.effective_at <= e.posted_at AND e.amount > 0
										  AND e.amount = trunc(t.fee * p.trading_fee_to_fund, s.scale))
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, format('%s of its fees came back', e.amount)
					  FROM ledger.entry e
					  LEFT JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
					  LEFT JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause
											  AND t.account_id = e.account_id AND t.fee > 0
					 WHERE e.kind = 'fee_cut'
					   AND (a.kind = 'fee' AND e.amount < 0 OR e.amount > 0 AND t.trade_id IS NOT NULL) IS NOT TRUE
					   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)) f
			 ORDER BY f.book_id, f.trade_id, f.account_id
			 LIMIT 1) v;

	-- Margin that a trade moved is between the account that traded and its
	-- parent, and what one gave the other got.  A child is of its parent's kind,
	-- and holds nothing but what it is for.
	RETURN QUERY
	SELECT 'isolated', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s: %s', f.book_id, f.account_id, f.fault) AS offender
			  FROM (SELECT e.book_id, e.account_id, format('trade %s moved %s of margin', e.cause, e.amount) AS fault
					  FROM ledger.entry e
					  LEFT JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause AND t.kind = 'trade'
					  LEFT JOIN ledger.account c ON c.book_id = t.book_id AND c.account_id = t.account_id
					 WHERE e.kind = 'isolated_margin'
					   AND (c.parent_id IS NOT NULL AND e.account_id IN (c.account_id, c.parent_id)) IS NOT TRUE
					   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)
					UNION ALL
					SELECT c.book_id, c.account_id, x.fault
					  FROM ledger.account c
					  LEFT JOIN ledger.account p ON p.book_id = c.book_id AND p.account_id = c.parent_id
					 CROSS JOIN LATERAL (
						SELECT CASE WHEN p.account_id IS NULL THEN format('its parent %s is missing', c.parent_id)
									WHEN p.parent_id IS NOT NULL THEN format('its parent %s is a child', c.parent_id)
									WHEN (p.kind, p.asset_code, p.owner_id) IS DISTINCT FROM (c.kind, c.asset_code, c.owner_id)
									THEN format('its parent %s has another kind, asset or owner', c.parent_id)
							   END AS fault) x
					 WHERE c.parent_id IS NOT NULL AND x.fault IS NOT NULL
					   AND (check_trades.book_id IS NULL OR c.book_id = check_trades.book_id)
					UNION ALL
					SELECT c.book_id, c.account_id, format('it holds %s of instrument %s', p.qty, p.instrument_id)
					  FROM ledger.account c
					  JOIN ledger.position p ON p.book_id = c.book_id AND p.account_id = c.account_id
					 WHERE c.parent_id IS NOT NULL
					   AND (p.instrument_id <> c.isolated_instrument_id
							OR p.qty < 0 AND c.isolated_side = 'long' OR p.qty > 0 AND c.isolated_side = 'short')
					   AND (check_trades.book_id IS NULL OR c.book_id = check_trades.book_id)) f
			 ORDER BY f.book_id, f.account_id, f.fault
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'settlements', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, settlement %s, account %s: %s in %s entries, expected %s in %s', u.book_id, u.cause,
						  u.account_id, sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS offender
			  FROM (SELECT s.book_id, s.settlement_id AS cause, l.account_id,
						   l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
					  FROM ledger.settlement s
					  LEFT JOIN ledger.instrument i ON i.instrument_id = s.instrument_id
					  LEFT JOIN ledger.account c ON c.book_id = s.book_id AND c.kind = 'clearing'
												AND c.asset_code = i.settle_asset
					 CROSS JOIN LATERAL (VALUES (s.account_id, s.amount), (c.account_id, -s.amount)) AS l(account_id, amount)
					 WHERE s.kind IN ('profit', 'bust')
					   AND (check_trades.book_id IS NULL OR s.book_id = check_trades.book_id)
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
					  FROM ledger.entry e
					 WHERE e.kind IN ('settlement', 'bust_settlement')
					   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)) u
			 GROUP BY u.book_id, u.cause, u.account_id
			HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
			 ORDER BY u.book_id, u.cause, u.account_id
			 LIMIT 1) v;

	-- A payment is notional * rate at the mark, rounded against the account, and
	-- has its entry on both sides.
	RETURN QUERY
	SELECT 'fundings', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, %s, account %s: %s', f.book_id, f.cause, f.account_id, f.fault) AS offender
			  FROM (SELECT u.book_id, u.kind || ' ' || u.cause AS cause, u.account_id,
						   format('%s in %s entries, expected %s in %s',
								  sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS fault
					  FROM (SELECT p.book_id, CASE p.trade_id WHEN 0 THEN 'funding' ELSE 'late_funding' END AS kind,
								   CASE p.trade_id WHEN 0 THEN p.funding_id ELSE p.trade_id END AS cause,
								   l.account_id, l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
							  FROM ledger.funding_payment p
							  LEFT JOIN ledger.funding g ON g.book_id = p.book_id AND g.funding_id = p.funding_id
							  LEFT JOIN ledger.instrument i ON i.instrument_id = g.instrument_id
							  LEFT JOIN ledger.account c ON c.book_id = p.book_id AND c.kind = 'funding'
														AND c.asset_code = i.settle_asset
							 CROSS JOIN LATERAL (VALUES (p.account_id, p.amount), (c.account_id, -p.amount)) AS l(account_id, amount)
							 WHERE p.amount <> 0
							   AND (check_trades.book_id IS NULL OR p.book_id = check_trades.book_id)
							UNION ALL
							SELECT e.book_id, e.kind, e.cause, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind IN ('funding', 'late_funding')
							   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)) u
					 GROUP BY u.book_id, u.kind, u.cause, u.account_id
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT p.book_id, 'funding ' || p.funding_id, p.account_id,
						   format('%s for a quantity of %s, expected %s', p.amount, p.qty, d.amount)
					  FROM ledger.funding_payment p
					  JOIN ledger.funding g ON g.book_id = p.book_id AND g.funding_id = p.funding_id
					  JOIN ledger.instrument i ON i.instrument_id = g.instrument_id
					  JOIN ledger.asset s ON s.asset_code = i.settle_asset
					 CROSS JOIN LATERAL (SELECT floor(-CASE i.kind WHEN 'inverse' THEN p.qty * i.multiplier / g.mark_price
														   ELSE p.qty * i.multiplier * g.mark_price END * g.rate
													  * ('1e' || s.scale)::numeric)
											* ('1e-' || s.scale)::numeric AS amount) d
					 WHERE p.amount <> d.amount
					   AND (check_trades.book_id IS NULL OR p.book_id = check_trades.book_id)) f
			 ORDER BY f.book_id, f.cause, f.account_id, f.fault
			 LIMIT 1) v;

	-- What took part in a funding, at once or late, is the position that the
	-- trades executed before it make.  Each position lasts from one trade to
	-- the next, and the fundings in between are looked up.  A checkpoint has the
	-- position for fundings after it, and what it left open of those before.
	RETURN QUERY
	SELECT 'funded_positions', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, funding %s, account %s: a quantity of %s took part, expected %s',
						  u.book_id, u.funding_id, u.account_id, sum(u.found), sum(u.due)) AS offender
			  FROM (SELECT h.book_id, g.funding_id, h.account_id, h.qty AS due, 0 AS found
					  FROM (SELECT t.book_id, t.instrument_id, t.account_id, t.executed_at,
								   sum(t.qty) OVER held AS qty,
								   lead(t.executed_at, 1, 'infinity'::timestamptz) OVER held AS until
							  FROM (SELECT t.book_id, t.instrument_id, t.account_id, t.executed_at, t.trade_id,
										   CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty
									  FROM ledger.trade t
									 WHERE check_trades.book_id IS NULL OR t.book_id = check_trades.book_id
									UNION ALL
									(SELECT DISTINCT ON (o.book_id, o.account_id, o.instrument_id)
											o.book_id, o.instrument_id, o.account_id, opening_at, 0, o.qty
									   FROM ledger.checkpoint_position o
									  WHERE check_trades.book_id IS NULL OR o.book_id = check_trades.book_id
									  ORDER BY o.book_id, o.account_id, o.instrument_id, o.checkpoint_id DESC)) t
							WINDOW held AS (PARTITION BY t.book_id, t.instrument_id, t.account_id
											ORDER BY t.executed_at, t.trade_id
											ROWS UNBOUNDED PRECEDING)) h
					  JOIN ledger.funding g ON g.book_id = h.book_id AND g.instrument_id = h.instrument_id
										   AND g.funding_at > h.executed_at AND g.funding_at <= h.until
					 WHERE h.qty <> 0 AND g.rate <> 0
					UNION ALL
					SELECT p.book_id, p.funding_id, p.account_id, 0, p.qty
					  FROM ledger.funding_payment p
					 WHERE check_trades.book_id IS NULL OR p.book_id = check_trades.book_id
					UNION ALL
					(SELECT DISTINCT ON (o.book_id, o.id, o.account_id) o.book_id, o.id, o.account_id, o.amount, 0
					   FROM ledger.checkpoint_cause o
					  WHERE o.kind = 'funding'
						AND (check_trades.book_id IS NULL OR o.book_id = check_trades.book_id)
					  ORDER BY o.book_id, o.id, o.account_id, o.checkpoint_id DESC)) u
			 GROUP BY u.book_id, u.funding_id, u.account_id
			HAVING sum(u.due) <> sum(u.found)
			 ORDER BY u.book_id, u.funding_id, u.account_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'resets', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, reset %s: %s', f.book_id, f.account_id, f.reset_id, f.fault) AS offender
			  FROM (SELECT u.book_id, u.cause AS reset_id, u.account_id,
						   format('%s in %s entries, expected %s in %s',
								  sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS fault
					  FROM (SELECT r.book_id, r.reset_id AS cause, l.account_id,
								   l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
							  FROM ledger.reset r
							 CROSS JOIN LATERAL (VALUES (r.account_id, r.amount), (r.payer_account, -r.amount)) AS l(account_id, amount)
							 WHERE check_trades.book_id IS NULL OR r.book_id = check_trades.book_id
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind = 'reset'
							   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)) u
					 GROUP BY u.book_id, u.cause, u.account_id
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT r.book_id, r.reset_id, r.account_id,
						   format('balance %s before and %s after, payer %s and %s, amount %s',
								  r.balance_before, r.balance_after, r.payer_before, r.payer_after, r.amount)
					  FROM ledger.reset r
					 WHERE (r.balance_after - r.balance_before <> r.amount
							OR r.payer_before - r.payer_after <> r.amount)
					   AND (check_trades.book_id IS NULL OR r.book_id = check_trades.book_id)
					UNION ALL
					-- of an account without slots, the entry says the same
					SELECT r.book_id, r.reset_id, r.account_id,
						   format('balance %s after, its entry says %s', r.balance_after, e.balance_after)
					  FROM ledger.reset r
					  JOIN ledger.entry e ON e.book_id = r.book_id AND e.account_id = r.account_id
										 AND e.kind = 'reset' AND e.cause = r.reset_id
					 WHERE r.account_id > 0 AND e.balance_after <> r.balance_after
					   AND (check_trades.book_id IS NULL OR r.book_id = check_trades.book_id)
					UNION ALL
					-- the payer is what the stage says; of an instrument's fund, it is that instrument
					SELECT r.book_id, r.reset_id, r.account_id, format('account %s paid in stage %s', r.payer_account, r.stage)
					  FROM ledger.reset r
					  LEFT JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.payer_account
					  LEFT JOIN ledger.policy p ON p.policy_code = r.policy_code AND p.version = r.policy_version
					 WHERE (a.kind = CASE r.stage WHEN 'fund' THEN 'insurance_fund' ELSE r.stage END AND a.asset_code = r.asset_code
							AND (a.fund_instrument_id IS NULL OR a.fund_instrument_id = r.instrument_id AND p.fund_scope = 'instrument')) IS NOT TRUE
					   AND (check_trades.book_id IS NULL OR r.book_id = check_trades.book_id)
					UNION ALL
					-- a reset says what its shortfall says
					SELECT r.book_id, r.reset_id, r.account_id, format('it is not as shortfall %s says', r.shortfall_id)
					  FROM ledger.reset r
					  LEFT JOIN ledger.shortfall s ON s.book_id = r.book_id AND s.shortfall_id = r.shortfall_id
					 WHERE (r.account_id, r.cause, r.cause_kind, r.asset_code, r.shortfall, r.instrument_id, r.owner_id, r.policy_code, r.policy_version)
						   IS DISTINCT FROM
						   (s.account_id, s.cause, s.cause_kind, s.asset_code, s.amount, s.instrument_id, s.owner_id, s.policy_code, s.policy_version)
					   AND (check_trades.book_id IS NULL OR r.book_id = check_trades.book_id)) f
			 ORDER BY f.book_id, f.reset_id, f.account_id, f.fault
			 LIMIT 1) v;

	-- Every unit of a shortfall has a payer, and the policy in force knows him.
	-- What suspense paid stands open until somebody else has.
	RETURN QUERY
	SELECT 'shortfalls', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, shortfall %s: %s', f.book_id, f.account_id, f.shortfall_id, f.fault) AS offender
			  FROM (SELECT s.book_id, s.account_id, s.shortfall_id,
						   CASE WHEN r.paid IS DISTINCT FROM s.amount THEN format('%s of %s are paid', coalesce(r.paid, 0), s.amount)
								WHEN r.by_fund > s.amount - s.operational THEN format('the fund paid %s, of which %s were not the market''s',
																					  r.by_fund, s.operational)
								WHEN r.stages <@ (y.stages || CASE WHEN 'suspense' = ANY (y.stages) THEN ARRAY['house'] END) IS NOT TRUE
								THEN format('paid by %s, version %s of policy %s knows %s', r.stages, s.policy_version, s.policy_code, y.stages)
								WHEN o.remaining > r.by_suspense OR o.remaining IS NOT NULL AND r.by_suspense = 0
								THEN format('%s stand open, suspense paid %s', o.remaining, r.by_suspense)
						   END AS fault
					  FROM ledger.shortfall s
					  LEFT JOIN LATERAL (
						SELECT sum(r.amount) AS paid, coalesce(sum(r.amount) FILTER (WHERE r.stage = 'fund'), 0) AS by_fund,
							   coalesce(sum(r.amount) FILTER (WHERE r.stage = 'suspense'), 0) AS by_suspense,
							   array_agg(CASE WHEN r.stage = 'fund' AND 'fund_if_whole' = ANY (p.stages) THEN 'fund_if_whole' ELSE r.stage END) AS stages
						  FROM ledger.reset r
						  JOIN ledger.policy p ON p.policy_code = r.policy_code AND p.version = r.policy_version
						 WHERE r.book_id = s.book_id AND r.shortfall_id = s.shortfall_id) r ON true
					  LEFT JOIN ledger.policy y ON y.policy_code = s.policy_code AND y.version = s.policy_version
					  LEFT JOIN ledger.open_shortfall o ON o.book_id = s.book_id AND o.shortfall_id = s.shortfall_id
					 WHERE check_trades.book_id IS NULL OR s.book_id = check_trades.book_id
					UNION ALL
					SELECT o.book_id, o.account_id, o.shortfall_id, 'it stands open, and there is none'
					  FROM ledger.open_shortfall o
					 WHERE NOT EXISTS (SELECT FROM ledger.shortfall s
										WHERE s.book_id = o.book_id AND s.shortfall_id = o.shortfall_id
										  AND s.account_id = o.account_id AND s.asset_code = o.asset_code)
					   AND (check_trades.book_id IS NULL OR o.book_id = check_trades.book_id)) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.shortfall_id, f.fault
			 LIMIT 1) v;

	-- What the caps of the fund count is what the rows say.
	RETURN QUERY
	SELECT 'fund_use', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, asset %s, %s, %s %s: %s, the rows say %s', u.book_id, u.asset_code, u.day, u.scope, u.subject,
						  sum(u.used), sum(u.paid)) AS offender
			  FROM (SELECT f.book_id, f.asset_code, f.day, f.scope, f.subject, f.amount AS used, 0 AS paid
					  FROM ledger.fund_use f
					 WHERE (check_trades.book_id IS NULL OR f.book_id = check_trades.book_id)
					   AND f.day > (opening_at AT TIME ZONE 'UTC')::date IS NOT FALSE
					UNION ALL
					SELECT s.book_id, s.asset_code, p.period, k.scope, k.subject, 0, p.amount
					  FROM (SELECT r.book_id, r.period, r.shortfall_id, r.amount FROM ledger.reset r WHERE r.stage = 'fund'
							UNION ALL
							SELECT y.book_id, y.period, y.shortfall_id, y.amount FROM ledger.shortfall_payment y WHERE y.stage = 'fund') p
					  JOIN ledger.shortfall s ON s.book_id = p.book_id AND s.shortfall_id = p.shortfall_id
					 CROSS JOIN LATERAL (VALUES
						(CASE WHEN s.owner_id IS NULL THEN 'account' ELSE 'owner' END, coalesce(s.owner_id, s.account_id::text)),
						('policy', s.policy_code)) AS k(scope, subject)
					 WHERE (check_trades.book_id IS NULL OR s.book_id = check_trades.book_id)
					   AND p.period > (opening_at AT TIME ZONE 'UTC')::date IS NOT FALSE) u
			 GROUP BY u.book_id, u.asset_code, u.day, u.scope, u.subject
			HAVING sum(u.used) <> sum(u.paid)
			 ORDER BY u.book_id, u.asset_code, u.day, u.scope, u.subject
			 LIMIT 1) v;

	-- A debt is what the shortfall says, and has been paid and waived as the rows
	-- say; nobody gets back more than he paid.
	RETURN QUERY
	SELECT 'debts', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, debt %s: %s', f.book_id, f.debt_id, f.fault) AS offender
			  FROM (SELECT d.book_id, d.debt_id,
						   CASE WHEN s.amount IS DISTINCT FROM d.principal OR s.account_id IS DISTINCT FROM d.account_id
								THEN format('%s of account %s, shortfall %s is %s of account %s', d.principal, d.account_id,
											d.shortfall_id, s.amount, s.account_id)
								WHEN d.repaid <> y.repaid THEN format('%s are repaid, the rows say %s', d.repaid, y.repaid)
								WHEN d.waived <> w.waived THEN format('%s are waived, the rows say %s', d.waived, w.waived)
								-- penalties come on top of what was agreed
								WHEN i.instalments > 0 AND o.outstanding - i.unpaid NOT BETWEEN 0 AND d.penalty
								THEN format('%s of the instalments are unpaid, of the debt %s', i.unpaid, o.outstanding)
						   END AS fault
					  FROM ledger.debt d
					  LEFT JOIN ledger.shortfall s ON s.book_id = d.book_id AND s.shortfall_id = d.shortfall_id
					 CROSS JOIN LATERAL (SELECT coalesce(sum(r.amount), 0) AS repaid FROM ledger.repayment r
										  WHERE r.book_id = d.book_id AND r.debt_id = d.debt_id) y
					 CROSS JOIN LATERAL (SELECT coalesce(sum(r.amount), 0) AS waived FROM ledger.waiver r
										  WHERE r.book_id = d.book_id AND r.debt_id = d.debt_id) w
					 CROSS JOIN LATERAL (SELECT d.principal + d.penalty - d.repaid - d.waived AS outstanding) o
					 CROSS JOIN LATERAL (SELECT count(*) AS instalments, coalesce(sum(n.amount - n.paid), 0) AS unpaid FROM ledger.instalment n
										  WHERE n.book_id = d.book_id AND n.debt_id = d.debt_id) i
					 WHERE check_trades.book_id IS NULL OR d.book_id = check_trades.book_id
					UNION ALL
					SELECT s.book_id, 0, format('shortfall %s of account %s has none, and its policy wants one', s.shortfall_id, s.account_id)
					  FROM ledger.shortfall s
					  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version AND p.recourse = 'debt'
					 WHERE s.account_id > 0
					   AND NOT EXISTS (SELECT FROM ledger.debt d WHERE d.book_id = s.book_id AND d.shortfall_id = s.shortfall_id)
					   AND (check_trades.book_id IS NULL OR s.book_id = check_trades.book_id)
					UNION ALL
					SELECT y.book_id, max(y.debt_id), format('payer %s of shortfall %s paid %s and got back %s', y.payee_account, y.shortfall_id, max(p.amount), sum(y.amount))
					  FROM ledger.repayment y
					  LEFT JOIN (SELECT r.book_id, r.shortfall_id, r.reset_id, NULL::bigint AS payment_id, r.payer_account AS payee_account, r.stage, r.amount
								   FROM ledger.reset r
								 UNION ALL
								 SELECT p.book_id, p.shortfall_id, NULL, p.payment_id, p.account_id, p.stage, p.amount
								   FROM ledger.shortfall_payment p) p
							 ON p.book_id = y.book_id AND p.shortfall_id = y.shortfall_id AND p.stage = y.stage
							AND (p.payee_account = y.payee_account OR y.stage = 'adl')
							AND (p.reset_id = y.reset_id OR p.payment_id = y.payment_id)
					 WHERE y.stage <> 'penalty'
					   AND (check_trades.book_id IS NULL OR y.book_id = check_trades.book_id)
					 GROUP BY y.book_id, y.shortfall_id, y.stage, y.reset_id, y.payment_id, y.payee_account
					HAVING sum(y.amount) > max(p.amount) IS NOT FALSE
					UNION ALL
					-- each journal pays out what the rows say
					SELECT u.book_id, max(u.debt_id), format('journal %s pays %s to account %s, the rows say %s', u.journal_id, sum(u.paid), u.account_id, sum(u.due))
					  FROM (SELECT j.book_id, j.journal_id, (j.metadata->>'debt_id')::bigint AS debt_id, l.account_id, l.amount AS paid, 0 AS due
							  FROM ledger.journal j
							 CROSS JOIN LATERAL unnest(j.accounts, j.amounts) AS l(account_id, amount)
							 WHERE j.kind = 'repayment'
							   AND (check_trades.book_id IS NULL OR j.book_id = check_trades.book_id)
							UNION ALL
							SELECT y.book_id, y.journal_id, y.debt_id, l.account_id, 0, l.amount
							  FROM ledger.repayment y
							 CROSS JOIN LATERAL (VALUES (y.payee_account, y.amount), (y.account_id, -y.amount)) AS l(account_id, amount)
							 WHERE check_trades.book_id IS NULL OR y.book_id = check_trades.book_id) u
					 GROUP BY u.book_id, u.journal_id, u.account_id
					HAVING sum(u.paid) <> sum(u.due)) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.debt_id, f.fault
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'freezes', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s is %s: %s', a.book_id, a.account_id, a.status,
						  CASE a.status WHEN 'frozen' THEN 'no freeze is open' ELSE format('freeze %s is open', min(f.freeze_id)) END) AS offender
			  FROM ledger.account a
			  LEFT JOIN ledger.freeze f ON f.book_id = a.book_id AND f.lifted_at IS NULL
									   AND (f.account_id = a.account_id OR f.owner_id = a.owner_id)
			 WHERE a.kind = 'trader' AND a.status <> 'closed'
			   AND (check_trades.book_id IS NULL OR a.book_id = check_trades.book_id)
			 GROUP BY a.book_id, a.account_id, a.status
			HAVING (a.status = 'frozen') <> (count(f.freeze_id) > 0)
			 ORDER BY a.book_id, a.account_id
			 LIMIT 1) v;

	-- A bust mirrors every trade of its execution, and there are no other trades of
	-- that kind.
	RETURN QUERY
	SELECT 'busts', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, execution %s, account %s: %s at %s, mirrored %s', u.book_id, u.execution_id, u.account_id,
						  sum(u.qty), u.price, sum(u.mirrored)) AS offender
			  FROM (SELECT b.book_id, b.execution_id, t.account_id, t.instrument_id, t.price,
						   CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty, 0 AS mirrored, 1 AS trades
					  FROM ledger.bust b
					  JOIN ledger.trade t ON t.book_id = b.book_id AND t.execution_id = b.execution_id
					 WHERE check_trades.book_id IS NULL OR b.book_id = check_trades.book_id
					UNION ALL
					SELECT t.book_id, coalesce(b.execution_id, t.execution_id), t.account_id, t.instrument_id, t.price,
						   0, CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END, -1
					  FROM ledger.trade t
					  LEFT JOIN ledger.bust b ON b.book_id = t.book_id AND b.bust_execution_id = t.execution_id
					 WHERE t.kind = 'bust'
					   AND (check_trades.book_id IS NULL OR t.book_id = check_trades.book_id)) u
			 GROUP BY u.book_id, u.execution_id, u.account_id, u.instrument_id, u.price
			HAVING sum(u.qty) + sum(u.mirrored) <> 0 OR sum(u.trades) <> 0
			 ORDER BY u.book_id, u.execution_id, u.account_id
			 LIMIT 1) v;

	-- A step of a liquidation is a takeover, its orders had the trades that they say, and what an account was charged is
	-- what the row of its liquidation says.
	RETURN QUERY
	SELECT 'liquidations', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, liquidation %s: %s', f.book_id, f.liquidation_id, f.fault) AS offender
			  FROM (SELECT l.book_id, l.liquidation_id,
						   format('step %s: %s at %s, taken over %s at %s', s.step, s.qty, s.price, coalesce(k.qty::text, 'nothing'), k.price) AS fault
					  FROM ledger.liquidation l
					  JOIN ledger.liquidation_step s ON s.book_id = l.book_id AND s.liquidation_id = l.liquidation_id
					  LEFT JOIN ledger.takeover k ON k.book_id = s.book_id AND k.execution_id = s.execution_id
					 WHERE (k.account_id, k.instrument_id, k.qty, k.price) IS DISTINCT FROM (l.account_id, s.instrument_id, s.qty, s.price)
					   AND (k.execution_id IS NOT NULL OR NOT EXISTS (SELECT FROM ledger.checkpoint c WHERE c.book_id = l.book_id))
					UNION ALL
					SELECT l.book_id, l.liquidation_id, format('it has %s steps, %s rows', l.steps, s.n)
					  FROM ledger.liquidation l
					 CROSS JOIN LATERAL (SELECT count(*) AS n FROM ledger.liquidation_step s
										  WHERE s.book_id = l.book_id AND s.liquidation_id = l.liquidation_id) s
					 WHERE s.n <> l.steps
					UNION ALL
					SELECT o.book_id, o.liquidation_id, format('orders in instrument %s filled %s, its trades are %s', o.instrument_id, o.filled, coalesce(t.qty, 0))
					  FROM (SELECT o.book_id, o.liquidation_id, o.account_id, o.instrument_id, sum(o.filled_qty) AS filled
							  FROM ledger.liquidation_order o GROUP BY 1, 2, 3, 4) o
					  LEFT JOIN (SELECT t.book_id, t.liquidation_id, t.account_id, t.instrument_id, sum(t.qty) AS qty FROM ledger.trade t
								  WHERE t.liquidation_id IS NOT NULL GROUP BY 1, 2, 3, 4) t
							 ON t.book_id = o.book_id AND t.liquidation_id = o.liquidation_id
							AND t.account_id = o.account_id AND t.instrument_id = o.instrument_id
					 WHERE o.filled > coalesce(t.qty, 0)
					   AND NOT EXISTS (SELECT FROM ledger.checkpoint c WHERE c.book_id = o.book_id)
					UNION ALL
					SELECT e.book_id, e.cause, format('%s of account %s is %s, expected %s', e.kind, e.account_id, e.amount, coalesce(x.amount, 0))
					  FROM (SELECT e.book_id, e.cause, e.kind, e.account_id, sum(e.amount) AS amount FROM ledger.entry e
							 WHERE e.kind IN ('liquidation_fee', 'liquidation_surplus') GROUP BY 1, 2, 3, 4) e
					  LEFT JOIN ledger.liquidation l ON l.book_id = e.book_id AND l.liquidation_id = e.cause
					  LEFT JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id AND a.asset_code = l.asset_code
					 CROSS JOIN LATERAL (
						SELECT CASE WHEN e.kind = 'liquidation_surplus'
									THEN CASE WHEN a.account_id = l.account_id THEN -l.surplus WHEN a.kind = 'insurance_fund' THEN l.surplus END
									WHEN a.account_id = l.account_id THEN -(l.fee_to_fund + l.fee_to_liquidator + l.fee_to_venue)
									WHEN a.kind = 'insurance_fund' THEN l.fee_to_fund
									WHEN a.kind = 'liquidity' THEN l.fee_to_liquidator
									WHEN a.kind = 'fee' THEN l.fee_to_venue END AS amount) x
					 WHERE e.amount IS DISTINCT FROM x.amount
					UNION ALL
					SELECT l.book_id, l.liquidation_id, format('%s was charged, its entries say %s', l.fee_to_fund + l.fee_to_liquidator + l.fee_to_venue + l.surplus, -coalesce(e.amount, 0))
					  FROM ledger.liquidation l
					  LEFT JOIN (SELECT e.book_id, e.account_id, e.cause, sum(e.amount) AS amount FROM ledger.entry e
								  WHERE e.kind IN ('liquidation_fee', 'liquidation_surplus') GROUP BY 1, 2, 3) e
							 ON e.book_id = l.book_id AND e.account_id = l.account_id AND e.cause = l.liquidation_id
					 WHERE l.fee_to_fund + l.fee_to_liquidator + l.fee_to_venue + l.surplus <> -coalesce(e.amount, 0)
					   AND NOT EXISTS (SELECT FROM ledger.checkpoint c WHERE c.book_id = l.book_id)) f
			 WHERE check_trades.book_id IS NULL OR f.book_id = check_trades.book_id
			 ORDER BY f.book_id, f.liquidation_id
			 LIMIT 1) v;

	-- A takeover is two trades of its kind, and there are no others.
	RETURN QUERY
	SELECT 'takeovers', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, execution %s, account %s, instrument %s: %s traded at %s, expected %s at %s', u.book_id, u.execution_id,
						  u.account_id, u.instrument_id, sum(u.found), max(u.price), sum(u.due), max(u.due_price)) AS offender
			  FROM (SELECT k.book_id, k.execution_id, k.instrument_id, l.account_id, l.qty AS due, k.price AS due_price,
						   1 AS legs, 0 AS found, NULL::numeric AS price, 0 AS trades
					  FROM ledger.takeover k
					 CROSS JOIN LATERAL (VALUES (k.account_id, -k.qty), (k.liquidity_account, k.qty)) AS l(account_id, qty)
					 WHERE check_trades.book_id IS NULL OR k.book_id = check_trades.book_id
					UNION ALL
					SELECT t.book_id, t.execution_id, t.instrument_id, t.account_id, 0, NULL, 0,
						   CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END, t.price, 1
					  FROM ledger.trade t
					 WHERE t.kind = 'takeover'
					   AND (check_trades.book_id IS NULL OR t.book_id = check_trades.book_id)) u
			 GROUP BY u.book_id, u.execution_id, u.account_id, u.instrument_id
			HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.trades) OR max(u.price) IS DISTINCT FROM max(u.due_price)
			 ORDER BY u.book_id, u.execution_id, u.account_id
			 LIMIT 1) v;

	-- Two legs within an asset, else two in either, on the liquidity account of
	-- each; in all, what was taken is worth what was given, to a unit.
	RETURN QUERY
	SELECT 'exchanges', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, exchange %s, account %s: %s', f.book_id, f.exchange_id, f.account_id, f.fault) AS offender
			  FROM (SELECT u.book_id, u.cause AS exchange_id, u.account_id,
						   format('%s in %s entries, expected %s in %s',
								  sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS fault
					  FROM (SELECT x.book_id, x.exchange_id AS cause, l.account_id,
								   l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
							  FROM ledger.exchange x
							  LEFT JOIN ledger.account i ON i.book_id = x.book_id AND i.kind = 'liquidity'
														AND i.asset_code = x.from_asset
							  LEFT JOIN ledger.account o ON o.book_id = x.book_id AND o.kind = 'liquidity'
														AND o.asset_code = x.asset_code
							 CROSS JOIN LATERAL (VALUES (x.from_account, -x.from_amount, true), (x.account_id, x.amount, true),
														(i.account_id, x.from_amount, x.from_asset <> x.asset_code),
														(o.account_id, -x.amount, x.from_asset <> x.asset_code)) AS l(account_id, amount, posted)
							 WHERE l.posted
							   AND (check_trades.book_id IS NULL OR x.book_id = check_trades.book_id)
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind = 'exchange'
							   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)) u
					 GROUP BY u.book_id, u.cause, u.account_id
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT x.book_id, x.exchange_id, x.account_id,
						   format('%s %s for %s %s of account %s', x.amount, x.asset_code,
								  x.from_amount, x.from_asset, x.from_account)
					  FROM ledger.exchange x
					  LEFT JOIN ledger.account a ON a.book_id = x.book_id AND a.account_id = x.account_id
					  LEFT JOIN ledger.account g ON g.book_id = x.book_id AND g.account_id = x.from_account
					 WHERE (x.amount * x.index_price <= x.from_amount * x.from_index_price * (1 - x.haircut)
							AND (x.amount + ('1e-' || scale(x.amount))::numeric) * x.index_price
								> x.from_amount * x.from_index_price * (1 - x.haircut)
							AND (x.from_asset <> x.asset_code OR x.amount = x.from_amount)
							AND a.kind = 'trader' AND g.kind = 'trader' AND a.account_id <> g.account_id
							AND a.parent_id IS NULL AND g.parent_id IS NULL
							AND a.asset_code = x.asset_code AND g.asset_code = x.from_asset) IS NOT TRUE
					   AND (check_trades.book_id IS NULL OR x.book_id = check_trades.book_id)) f
			 ORDER BY f.book_id, f.exchange_id, f.account_id, f.fault
			 LIMIT 1) v;

	-- Positions, from all that ever changed them, in one pass.  The value of an
	-- inverse trade is qty * multiplier / price with 8 decimals more than the
	-- asset, rounded half up: twice that and 1, halved, without its fraction.
	RETURN QUERY
	WITH source AS (
		SELECT p.book_id, p.account_id, p.instrument_id,
			   p.qty, p.trades, p.cost, 0 AS qty_due, 0 AS trades_due, 0 AS cost_due
		  FROM ledger.position p
		 WHERE check_trades.book_id IS NULL OR p.book_id = check_trades.book_id
		UNION ALL
		SELECT t.book_id, t.account_id, t.instrument_id, 0, 0, 0,
			   sum(d.qty), count(*), sum(e.value)
		  FROM ledger.trade t
		  JOIN ledger.instrument i ON i.instrument_id = t.instrument_id
		  JOIN ledger.asset a ON a.asset_code = i.settle_asset
		 CROSS JOIN LATERAL (SELECT CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty) d
		 CROSS JOIN LATERAL (SELECT CASE WHEN i.kind <> 'inverse' THEN d.qty * t.price * i.multiplier
									 ELSE -sign(d.qty) * div(2 * t.qty * i.multiplier * ('1e' || a.scale + 8)::numeric + t.price, 2 * t.price)
										  * ('1e-' || a.scale + 8)::numeric END AS value) e
		 WHERE check_trades.book_id IS NULL OR t.book_id = check_trades.book_id
		 GROUP BY t.book_id, t.account_id, t.instrument_id
		UNION ALL
		SELECT t.book_id, t.account_id, t.instrument_id, 0, 0, 0, 0, 0, e.amount
		  FROM ledger.entry e
		  JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause AND t.account_id = e.account_id
		 WHERE e.kind IN ('realized_pnl', 'bust_pnl')
		   AND (check_trades.book_id IS NULL OR e.book_id = check_trades.book_id)
		   AND (check_trades.book_id IS NULL OR t.book_id = check_trades.book_id)
		UNION ALL
		SELECT s.book_id, s.account_id, s.instrument_id, 0, 0, 0, 0, 0, s.amount
		  FROM ledger.settlement s
		 WHERE s.execution_id IS NULL
		   AND (check_trades.book_id IS NULL OR s.book_id = check_trades.book_id)
		UNION ALL
		(SELECT DISTINCT ON (o.book_id, o.account_id, o.instrument_id)
				o.book_id, o.account_id, o.instrument_id, 0, 0, 0, o.qty, o.trades, o.cost
		   FROM ledger.checkpoint_position o
		  WHERE check_trades.book_id IS NULL OR o.book_id = check_trades.book_id
		  ORDER BY o.book_id, o.account_id, o.instrument_id, o.checkpoint_id DESC)
	), wrong AS MATERIALIZED (
		SELECT s.book_id, s.account_id, s.instrument_id,
			   sum(s.qty) AS qty, sum(s.trades) AS trades, sum(s.cost) AS cost,
			   sum(s.qty_due) AS qty_due, sum(s.trades_due) AS trades_due, sum(s.cost_due) AS cost_due
		  FROM source s
		 GROUP BY s.book_id, s.account_id, s.instrument_id
		HAVING sum(s.qty) <> sum(s.qty_due) OR sum(s.trades) <> sum(s.trades_due) OR sum(s.cost) <> sum(s.cost_due)
	)
	(SELECT 'quantity', count(*),
			(SELECT format('book %s, account %s, instrument %s: %s after %s trades, expected %s after %s', w.book_id,
						   w.account_id, w.instrument_id, w.qty, w.trades, w.qty_due, w.trades_due)
			   FROM wrong w WHERE w.qty <> w.qty_due OR w.trades <> w.trades_due
			  ORDER BY w.book_id, w.account_id, w.instrument_id LIMIT 1)
	   FROM wrong w WHERE w.qty <> w.qty_due OR w.trades <> w.trades_due)
	UNION ALL
	(SELECT 'cost', count(*),
			(SELECT format('book %s, account %s, instrument %s: cost %s, expected %s', w.book_id, w.account_id,
						   w.instrument_id, w.cost, w.cost_due)
			   FROM wrong w WHERE w.cost <> w.cost_due
			  ORDER BY w.book_id, w.account_id, w.instrument_id LIMIT 1)
	   FROM wrong w WHERE w.cost <> w.cost_due);

	-- What rounding left between the values of an execution is in settlement,
	-- and at most a unit for each trade.
	RETURN QUERY
	SELECT 'executions', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, execution %s, instrument %s: quantity %s and value %s are left over',
						  u.book_id, u.execution_id, u.instrument_id, sum(u.qty), sum(u.value) - sum(u.residue)) AS offender
			  FROM (SELECT t.book_id, t.execution_id, t.instrument_id, d.qty, e.value, 0 AS residue,
						   CASE WHEN i.kind = 'inverse' THEN ('1e-' || a.scale + 8)::numeric ELSE 0 END AS tolerance
					  FROM ledger.trade t
					  JOIN ledger.instrument i ON i.instrument_id = t.instrument_id
					  JOIN ledger.asset a ON a.asset_code = i.settle_asset
					 CROSS JOIN LATERAL (SELECT CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty) d
					 CROSS JOIN LATERAL (SELECT CASE WHEN i.kind <> 'inverse' THEN d.qty * t.price * i.multiplier
									 ELSE -sign(d.qty) * div(2 * t.qty * i.multiplier * ('1e' || a.scale + 8)::numeric + t.price, 2 * t.price)
										  * ('1e-' || a.scale + 8)::numeric END AS value) e
					 WHERE check_trades.book_id IS NULL OR t.book_id = check_trades.book_id
					UNION ALL
					SELECT s.book_id, s.execution_id, s.instrument_id, 0, 0, s.amount, 0
					  FROM ledger.settlement s
					 WHERE s.execution_id IS NOT NULL
					   AND (check_trades.book_id IS NULL OR s.book_id = check_trades.book_id)) u
			 GROUP BY u.book_id, u.execution_id, u.instrument_id
			HAVING sum(u.qty) <> 0 OR sum(u.value) <> sum(u.residue) OR abs(sum(u.residue)) > sum(u.tolerance)
			 ORDER BY u.book_id, u.execution_id, u.instrument_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'open_interest', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, instrument %s: long less short is %s', p.book_id, p.instrument_id, sum(p.qty)) AS offender
			  FROM ledger.position p
			 WHERE check_trades.book_id IS NULL OR p.book_id = check_trades.book_id
			 GROUP BY p.book_id, p.instrument_id
			HAVING sum(p.qty) <> 0
			 ORDER BY p.book_id, p.instrument_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'clearing', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, asset %s: balance %s, costs %s, residues %s', u.book_id, u.asset_code,
						  sum(u.balance), sum(u.cost), sum(u.residue)) AS offender
			  FROM (SELECT a.book_id, a.asset_code, b.amount AS balance, 0 AS cost, 0 AS residue
					  FROM ledger.account a
					  JOIN ledger.balance b ON b.book_id = a.book_id AND b.account_id = a.account_id
					 WHERE a.kind = 'clearing'
					   AND (check_trades.book_id IS NULL OR a.book_id = check_trades.book_id)
					UNION ALL
					SELECT p.book_id, i.settle_asset, 0, p.cost, 0
					  FROM ledger.position p
					  JOIN ledger.instrument i ON i.instrument_id = p.instrument_id
					 WHERE check_trades.book_id IS NULL OR p.book_id = check_trades.book_id
					UNION ALL
					SELECT s.book_id, i.settle_asset, 0, 0, s.amount
					  FROM (SELECT s.book_id, s.instrument_id, s.amount
							  FROM ledger.settlement s
							 WHERE s.kind = 'residue'
							UNION ALL
							(SELECT DISTINCT ON (o.book_id, o.account_id, o.instrument_id) o.book_id, o.instrument_id, o.residue
							   FROM ledger.checkpoint_position o
							  ORDER BY o.book_id, o.account_id, o.instrument_id, o.checkpoint_id DESC)) s
					  JOIN ledger.instrument i ON i.instrument_id = s.instrument_id
					 WHERE check_trades.book_id IS NULL OR s.book_id = check_trades.book_id) u
			 GROUP BY u.book_id, u.asset_code
			HAVING sum(u.balance) <> sum(u.residue) - sum(u.cost)
			 ORDER BY u.book_id, u.asset_code
			 LIMIT 1) v;

	-- the same for each instrument, by the entries that its trades and
	-- settlements made
	RETURN QUERY
	SELECT 'clearing_by_instrument', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, instrument %s: entries %s, costs %s, residues %s', u.book_id, u.instrument_id,
						  sum(u.entries), sum(u.cost), sum(u.residue)) AS offender
			  FROM (SELECT t.book_id, t.instrument_id, e.amount AS entries, 0 AS cost, 0 AS residue
					  FROM ledger.account a
					  JOIN ledger.entry e ON e.book_id = a.book_id AND e.account_id = a.account_id
					  JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause
					 WHERE a.kind = 'clearing' AND e.kind IN ('realized_pnl', 'bust_pnl')
					   AND (check_trades.book_id IS NULL OR a.book_id = check_trades.book_id)
					UNION ALL
					SELECT s.book_id, s.instrument_id, e.amount, 0, 0
					  FROM ledger.account a
					  JOIN ledger.entry e ON e.book_id = a.book_id AND e.account_id = a.account_id
					  JOIN ledger.settlement s ON s.book_id = e.book_id AND s.settlement_id = e.cause
					 WHERE a.kind = 'clearing' AND e.kind IN ('settlement', 'bust_settlement')
					   AND (check_trades.book_id IS NULL OR a.book_id = check_trades.book_id)
					UNION ALL
					SELECT p.book_id, p.instrument_id, 0, p.cost, 0
					  FROM ledger.position p
					 WHERE check_trades.book_id IS NULL OR p.book_id = check_trades.book_id
					UNION ALL
					SELECT s.book_id, s.instrument_id, 0, 0, s.amount
					  FROM ledger.settlement s
					 WHERE s.kind = 'residue'
					   AND (check_trades.book_id IS NULL OR s.book_id = check_trades.book_id)
					UNION ALL
					-- the entries that went were the residues less the costs that went
					(SELECT DISTINCT ON (o.book_id, o.account_id, o.instrument_id)
							o.book_id, o.instrument_id, o.residue - o.cost, 0, o.residue
					   FROM ledger.checkpoint_position o
					  WHERE check_trades.book_id IS NULL OR o.book_id = check_trades.book_id
					  ORDER BY o.book_id, o.account_id, o.instrument_id, o.checkpoint_id DESC)) u
			 GROUP BY u.book_id, u.instrument_id
			HAVING sum(u.entries) <> sum(u.residue) - sum(u.cost)
			 ORDER BY u.book_id, u.instrument_id
			 LIMIT 1) v;

	-- What everybody could claim at the mark is what came in from outside,
	-- less the residues.  Long and short being equal, any one price does for
	-- an instrument without a mark: its positions count with a mark of 0.
	RETURN QUERY
	SELECT 'equity', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, asset %s: equity %s at the mark, external %s, residues %s', u.book_id, u.asset_code,
						  sum(u.equity), sum(u.outside), sum(u.residue)) AS offender
			  FROM (SELECT a.book_id, a.asset_code,
						   CASE WHEN a.kind <> 'external' THEN b.amount ELSE 0 END AS equity,
						   CASE WHEN a.kind = 'external' THEN b.amount ELSE 0 END AS outside,
						   0 AS residue
					  FROM ledger.account a
					  JOIN ledger.balance b ON b.book_id = a.book_id AND b.account_id = a.account_id
					 WHERE a.kind <> 'clearing'
					   AND (check_trades.book_id IS NULL OR a.book_id = check_trades.book_id)
					UNION ALL
					SELECT p.book_id, i.settle_asset, p.qty * i.multiplier
						   * coalesce(CASE WHEN i.kind = 'inverse' THEN -1 / m.price ELSE m.price END, 0) - p.cost, 0, 0
					  FROM ledger.position p
					  JOIN ledger.instrument i ON i.instrument_id = p.instrument_id
					  LEFT JOIN ledger.mark_price m ON m.instrument_id = p.instrument_id
					 WHERE check_trades.book_id IS NULL OR p.book_id = check_trades.book_id
					UNION ALL
					SELECT s.book_id, i.settle_asset, 0, 0, s.amount
					  FROM (SELECT s.book_id, s.instrument_id, s.amount
							  FROM ledger.settlement s
							 WHERE s.kind = 'residue'
							UNION ALL
							(SELECT DISTINCT ON (o.book_id, o.account_id, o.instrument_id) o.book_id, o.instrument_id, o.residue
							   FROM ledger.checkpoint_position o
							  ORDER BY o.book_id, o.account_id, o.instrument_id, o.checkpoint_id DESC)) s
					  JOIN ledger.instrument i ON i.instrument_id = s.instrument_id
					 WHERE check_trades.book_id IS NULL OR s.book_id = check_trades.book_id) u
			 GROUP BY u.book_id, u.asset_code
			HAVING sum(u.equity) + sum(u.outside) + sum(u.residue) <> 0
			 ORDER BY u.book_id, u.asset_code
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_trades(int) IS
	'What risk.verify() says of trades and what follows from them, of one book or all: fees, margin, settlements, fundings, resets, exchanges, positions, executions and clearing.';
