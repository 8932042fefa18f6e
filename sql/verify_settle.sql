-- verify_settle.sql
--		The proof of the books, its checks of what risk.settle() did.
--
-- verify.sql says what a check may use, and how it is written.

CREATE FUNCTION risk.check_suspense(book_id int DEFAULT NULL)
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
	-- What suspense paid for a shortfall has been paid onto it, was repaid by the
	-- account itself, or stands open; and so it is in all, by the entries.
	RETURN QUERY
	WITH part AS (
		SELECT r.book_id, r.asset_code, r.shortfall_id, r.amount AS paid, 0 AS returned, 0 AS repaid, 0 AS remaining
		  FROM ledger.reset r
		 WHERE r.stage = 'suspense'
		   AND (check_suspense.book_id IS NULL OR r.book_id = check_suspense.book_id)
		UNION ALL
		SELECT y.book_id, y.asset_code, y.shortfall_id, 0, y.amount, 0, 0
		  FROM ledger.shortfall_payment y
		 WHERE check_suspense.book_id IS NULL OR y.book_id = check_suspense.book_id
		UNION ALL
		SELECT y.book_id, r.asset_code, r.shortfall_id, 0, 0, y.amount, 0
		  FROM ledger.repayment y
		  JOIN ledger.reset r ON r.book_id = y.book_id AND r.reset_id = y.reset_id
		 WHERE y.stage = 'suspense'
		   AND (check_suspense.book_id IS NULL OR y.book_id = check_suspense.book_id)
		UNION ALL
		SELECT o.book_id, o.asset_code, o.shortfall_id, 0, 0, 0, o.remaining
		  FROM ledger.open_shortfall o
		 WHERE check_suspense.book_id IS NULL OR o.book_id = check_suspense.book_id
	)
	SELECT 'suspense', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, f.offender
			  FROM (SELECT u.book_id, u.shortfall_id,
						   format('book %s, shortfall %s: suspense paid %s, of which %s came back, %s were repaid and %s stand open',
								  u.book_id, u.shortfall_id, sum(u.paid), sum(u.returned), sum(u.repaid), sum(u.remaining)) AS offender
					  FROM part u
					 GROUP BY u.book_id, u.shortfall_id
					HAVING sum(u.paid) <> sum(u.returned) + sum(u.remaining) + sum(u.repaid)
					UNION ALL
					SELECT u.book_id, 0,
						   format('book %s, asset %s: entries of suspense are %s, expected %s', u.book_id, u.asset_code,
								  sum(u.entries), sum(u.due))
					  FROM (SELECT a.book_id, a.asset_code, e.amount AS entries, 0 AS due
							  FROM ledger.account a
							  JOIN ledger.entry e ON e.book_id = a.book_id AND e.account_id = a.account_id
							 WHERE a.kind = 'suspense'
							   AND e.kind IN ('reset', 'adl_gain', 'loss_share', 'shortfall_payment', 'repayment')
							   AND (check_suspense.book_id IS NULL OR a.book_id = check_suspense.book_id)
							UNION ALL
							SELECT p.book_id, p.asset_code, 0, p.returned + p.repaid - p.paid
							  FROM part p) u
					 GROUP BY u.book_id, u.asset_code
					HAVING sum(u.entries) <> sum(u.due)) f
			 ORDER BY f.book_id, f.shortfall_id, f.offender
			 LIMIT 1) v;

	-- A payment is two entries, by a stage that the policy has after suspense, and
	-- within the claim.  The house stands in where nobody is left.
	RETURN QUERY
	SELECT 'shortfall_payments', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, payment %s, account %s: %s', f.book_id, f.payment_id, f.account_id, f.fault) AS offender
			  FROM (SELECT u.book_id, u.payment_id, u.account_id,
						   format('%s %s in %s entries, expected %s in %s', u.kind, sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS fault
					  FROM (SELECT y.book_id, y.payment_id, l.account_id, l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries,
								   CASE y.stage WHEN 'adl' THEN 'adl_gain' WHEN 'socialise' THEN 'loss_share' ELSE 'shortfall_payment' END AS kind
							  FROM ledger.shortfall_payment y
							  LEFT JOIN ledger.account s ON s.book_id = y.book_id AND s.kind = 'suspense' AND s.asset_code = y.asset_code
							 CROSS JOIN LATERAL (VALUES (y.account_id, -y.amount), (s.account_id, y.amount)) AS l(account_id, amount)
							 WHERE check_suspense.book_id IS NULL OR y.book_id = check_suspense.book_id
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1, e.kind
							  FROM ledger.entry e
							 WHERE e.kind IN ('adl_gain', 'loss_share', 'shortfall_payment')
							   AND (check_suspense.book_id IS NULL OR e.book_id = check_suspense.book_id)) u
					 GROUP BY u.book_id, u.payment_id, u.account_id, u.kind
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT y.book_id, y.payment_id, y.account_id,
						   CASE WHEN s.account_id IS NULL THEN format('there is no shortfall %s in %s', y.shortfall_id, y.asset_code)
								WHEN (y.stage = 'house' OR y.stage = ANY (p.stages[array_position(p.stages, 'suspense') + 1:])) IS NOT TRUE
								THEN format('policy %s has no stage %s after suspense', s.policy_code, y.stage)
								WHEN (a.kind = CASE y.stage WHEN 'adl' THEN 'liquidity' WHEN 'fund' THEN 'insurance_fund'
													WHEN 'socialise' THEN 'trader' ELSE y.stage END) IS NOT TRUE
								THEN format('a %s account paid in stage %s', a.kind, y.stage)
								WHEN y.account_id = s.account_id OR a.owner_id = s.owner_id AND y.stage = 'socialise'
								THEN 'who was bankrupt paid for it'
								WHEN y.stage = 'socialise' AND (y.amount <= y.claim) IS NOT TRUE
								THEN format('%s paid with a claim of %s', y.amount, y.claim)
						   END
					  FROM ledger.shortfall_payment y
					  LEFT JOIN ledger.shortfall s ON s.book_id = y.book_id AND s.shortfall_id = y.shortfall_id AND s.asset_code = y.asset_code
					  LEFT JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version
					  LEFT JOIN ledger.account a ON a.book_id = y.book_id AND a.account_id = y.account_id
					 WHERE check_suspense.book_id IS NULL OR y.book_id = check_suspense.book_id) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.payment_id, f.account_id, f.fault
			 LIMIT 1) v;

	-- What the liquidity account gained by a trade went to the fund, and nothing else.
	RETURN QUERY
	SELECT 'takeover_results', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, trade %s: the liquidity account realised %s, and %s of it went to the fund',
						  f.book_id, f.trade_id, coalesce(f.realized, 0), coalesce(f.moved, 0)) AS offender
			  FROM (SELECT e.book_id, e.cause AS trade_id,
						   sum(e.amount) FILTER (WHERE e.kind = 'realized_pnl' AND a.kind = 'liquidity') AS realized,
						   -sum(e.amount) FILTER (WHERE e.kind = 'takeover_result' AND a.kind = 'liquidity') AS moved
					  FROM ledger.entry e
					  JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
					 WHERE e.kind IN ('realized_pnl', 'takeover_result') AND a.kind IN ('liquidity', 'insurance_fund')
					   AND (check_suspense.book_id IS NULL OR e.book_id = check_suspense.book_id)
					 GROUP BY e.book_id, e.cause) f
			  LEFT JOIN ledger.trade t ON t.book_id = f.book_id AND t.trade_id = f.trade_id
			 WHERE coalesce(f.moved, 0) <> CASE t.kind WHEN 'trade' THEN greatest(f.realized, 0) ELSE 0 END
			 ORDER BY f.book_id, f.trade_id
			 LIMIT 1) v;

	-- Each is two trades of kind adl, against what was taken over, at its
	-- bankruptcy price or, for lack of capacity, at the price of the takeover,
	-- not more of it than was taken over, and there are no other such trades.  The gain, but of inverse contracts, is computed again.
	-- What was taken over before the books were cut off may be gone.
	RETURN QUERY
	SELECT 'deleveragings', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, execution %s: %s', f.book_id, f.execution_id, f.fault) AS offender
			  FROM (SELECT u.book_id, u.execution_id,
						   format('account %s traded %s at %s, expected %s at %s', u.account_id, sum(u.found), max(u.price),
								  sum(u.due), max(u.due_price)) AS fault
					  FROM (SELECT d.book_id, d.execution_id, d.instrument_id, l.account_id, l.trade_id,
								   coalesce(sign(k.qty), (SELECT CASE t.side WHEN 'buy' THEN 1 ELSE -1 END FROM ledger.trade t
																   WHERE t.book_id = d.book_id AND t.trade_id = d.trade_id))
								   * l.side * d.qty AS due, d.price AS due_price, 1 AS legs,
								   0 AS found, NULL::numeric AS price, 0 AS trades
							  FROM ledger.deleveraging d
							  LEFT JOIN ledger.takeover k ON k.book_id = d.book_id AND k.takeover_id = d.takeover_id
							 CROSS JOIN LATERAL (VALUES (d.account_id, d.trade_id, 1), (d.liquidity_account, d.liquidity_trade_id, -1))
								   AS l(account_id, trade_id, side)
							 WHERE check_suspense.book_id IS NULL OR d.book_id = check_suspense.book_id
							UNION ALL
							SELECT t.book_id, t.execution_id, t.instrument_id, t.account_id, t.trade_id, 0, NULL, 0,
								   CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END, t.price, 1
							  FROM ledger.trade t
							 WHERE t.kind = 'adl'
							   AND (check_suspense.book_id IS NULL OR t.book_id = check_suspense.book_id)) u
					 GROUP BY u.book_id, u.execution_id, u.instrument_id, u.account_id, u.trade_id
					HAVING sum(u.due) IS DISTINCT FROM sum(u.found) OR sum(u.legs) <> sum(u.trades)
						OR max(u.price) IS DISTINCT FROM max(u.due_price)
					UNION ALL
					SELECT d.book_id, d.execution_id,
						   CASE WHEN k.takeover_id IS NULL AND EXISTS (SELECT FROM ledger.checkpoint c WHERE c.book_id = d.book_id) THEN NULL
								WHEN (k.liquidity_account, k.instrument_id) IS DISTINCT FROM (d.liquidity_account, d.instrument_id)
									 OR d.shortfall_id <> k.shortfall_id OR d.shortfall_id IS NULL AND NOT k.for_adl
								THEN format('it is not of takeover %s', d.takeover_id)
								WHEN d.shortfall_id IS NULL AND d.price <> k.price
								THEN format('the price is %s, and that of the takeover %s', d.price, k.price)
								WHEN d.shortfall_id IS NOT NULL AND abs(d.price - k.bankruptcy_price) < 1e-18 IS NOT TRUE
								THEN format('the price is %s, and the bankruptcy price %s', d.price, k.bankruptcy_price)
								WHEN d.placed > abs(k.qty) THEN format('%s of takeover %s are closed, %s were taken over', d.placed, d.takeover_id, abs(k.qty))
								WHEN i.kind <> 'inverse' AND d.gain <> sign(k.qty) * d.qty * i.multiplier * (d.price - k.price)
								THEN format('a gain of %s, expected %s', d.gain, sign(k.qty) * d.qty * i.multiplier * (d.price - k.price))
								WHEN a.owner_id = b.owner_id OR a.account_id = b.account_id THEN 'the owner is the same'
						   END
					  FROM (SELECT d.*, sum(d.qty) OVER (PARTITION BY d.book_id, d.takeover_id) AS placed FROM ledger.deleveraging d) d
					  LEFT JOIN ledger.takeover k ON k.book_id = d.book_id AND k.takeover_id = d.takeover_id
					  LEFT JOIN ledger.instrument i ON i.instrument_id = d.instrument_id
					  LEFT JOIN ledger.account a ON a.book_id = d.book_id AND a.account_id = d.account_id
					  LEFT JOIN ledger.account b ON b.book_id = d.book_id AND b.account_id = k.account_id
					 WHERE check_suspense.book_id IS NULL OR d.book_id = check_suspense.book_id) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.execution_id, f.fault
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_suspense(int) IS
	'What risk.verify() says of what stood on suspense, who paid for it, and whose positions were closed for it, of one book or all.';
