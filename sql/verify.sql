-- verify.sql
--		The proof of the books: every balance, position and reset computed
--		again from the rows that caused it.
--
-- Plain SQL over whole tables, on purpose without the functions that posting
-- uses: a fault there must not hide itself here.  Needs SELECT on the tables
-- and nothing else.

CREATE FUNCTION risk.verify(book_id int DEFAULT NULL)
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
	missing text;
BEGIN
	SELECT string_agg('ledger.' || t.name, ', ' ORDER BY t.name) INTO missing
	  FROM unnest(ARRAY['account', 'added_risk', 'asset', 'balance', 'below_floor', 'book', 'entry', 'event', 'exchange', 'hold', 'hold_release', 'idempotency', 'instrument', 'journal',
						'margin_scale', 'margin_setting', 'mark_price', 'open_hold', 'order_reserve', 'policy', 'position', 'reset', 'reversal', 'settlement',
						'trade', 'transfer', 'transfer_rule', 'unmatched_execution', 'funding', 'funding_payment',
						'seal', 'seal_range']) AS t(name)
	 WHERE to_regclass(format('ledger.%I', t.name)) IS NULL;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'there is no complete ledger here'
			USING ERRCODE = '55000', DETAIL = format('Missing: %s.', missing),
				  HINT = 'Run SELECT risk.install().';
	END IF;

	-- Each check is a query for its offenders; of these the first is shown,
	-- with the number of them, or one row with 0.

	RETURN QUERY
	SELECT 'sum_zero', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, asset %s: all balances together are %s', a.book_id, a.asset_code, sum(b.amount)) AS offender
			  FROM ledger.balance b
			  JOIN ledger.account a ON a.book_id = b.book_id AND a.account_id = b.account_id
			 WHERE verify.book_id IS NULL OR a.book_id = verify.book_id
			 GROUP BY a.book_id, a.asset_code
			HAVING sum(b.amount) <> 0
			 ORDER BY a.book_id, a.asset_code
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'balances', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, slot %s: balance %s at seq %s of %s, entries %s up to seq %s of %s',
						  u.book_id, u.account_id, u.slot, sum(u.amount), sum(u.seq), max(u.posted_at),
						  sum(u.entries), sum(u.entry_seq), max(u.entry_posted_at)) AS offender
			  FROM (SELECT b.book_id, b.account_id, b.slot, b.amount, b.seq, b.posted_at,
						   0 AS entries, 0 AS entry_seq, '-infinity'::timestamptz AS entry_posted_at, 1 AS balance_rows
					  FROM ledger.balance b
					 WHERE verify.book_id IS NULL OR b.book_id = verify.book_id
					UNION ALL
					SELECT e.book_id, e.account_id, e.slot, 0, 0, '-infinity',
						   sum(e.amount), max(e.seq), max(e.posted_at), 0
					  FROM ledger.entry e
					 WHERE verify.book_id IS NULL OR e.book_id = verify.book_id
					 GROUP BY e.book_id, e.slot, e.account_id) u
			 GROUP BY u.book_id, u.account_id, u.slot
			HAVING sum(u.amount) <> sum(u.entries) OR sum(u.seq) <> sum(u.entry_seq)
				OR max(u.posted_at) <> max(u.entry_posted_at) OR sum(u.balance_rows) <> 1
			 ORDER BY u.book_id, u.account_id, u.slot
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'slots', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, slot %s: %s', u.book_id, u.account_id, u.slot, u.fault) AS offender
			  FROM (SELECT a.book_id, a.account_id, b.slot,
						   CASE WHEN b.slot < 0 THEN 'a slot is 0 or above'
								WHEN b.slot > 0 AND a.kind = 'trader' THEN 'a trader has slot 0 only'
								WHEN b.slot > 0 AND b.floor IS NOT NULL THEN 'only slot 0 has a floor'
								WHEN b.slot = 0 AND b.floor IS NULL
									 AND a.kind IN ('trader', 'insurance_fund', 'liquidity') THEN 'the floor is missing'
						   END AS fault
					  FROM ledger.balance b
					  JOIN ledger.account a ON a.book_id = b.book_id AND a.account_id = b.account_id
					 WHERE verify.book_id IS NULL OR b.book_id = verify.book_id
					UNION ALL
					SELECT a.book_id, a.account_id, 0, 'the balance row is missing'
					  FROM ledger.account a
					  LEFT JOIN ledger.balance b ON b.book_id = a.book_id AND b.slot = 0 AND b.account_id = a.account_id
					 WHERE b.book_id IS NULL
					   AND (verify.book_id IS NULL OR a.book_id = verify.book_id)) u
			 WHERE u.fault IS NOT NULL
			 ORDER BY u.book_id, u.account_id, u.slot
			 LIMIT 1) v;

	-- the chain of entries of each slot, in one pass
	RETURN QUERY
	WITH link AS (
		SELECT e.book_id, e.account_id, e.slot, e.seq, e.balance_after, e.posted_at,
			   lag(e.seq, 1, 0::bigint) OVER chain + 1 AS next_seq,
			   lag(e.balance_after, 1, 0::numeric) OVER chain + e.amount AS next_balance,
			   lag(e.posted_at, 1, '-infinity'::timestamptz) OVER chain AS last_posted_at
		  FROM ledger.entry e
		 WHERE verify.book_id IS NULL OR e.book_id = verify.book_id
		WINDOW chain AS (PARTITION BY e.book_id, e.slot, e.account_id ORDER BY e.seq)
	), broken AS MATERIALIZED (
		SELECT l.*,
			   format('book %s, account %s, slot %s, seq %s', l.book_id, l.account_id, l.slot, l.seq) AS place
		  FROM link l
		 WHERE l.seq <> l.next_seq OR l.balance_after <> l.next_balance OR l.posted_at < l.last_posted_at
	)
	(SELECT 'contiguous_seq', count(*),
			(SELECT format('%s: expected seq %s', b.place, b.next_seq)
			   FROM broken b WHERE b.seq <> b.next_seq
			  ORDER BY b.book_id, b.account_id, b.slot, b.seq LIMIT 1)
	   FROM broken b WHERE b.seq <> b.next_seq)
	UNION ALL
	(SELECT 'balance_after', count(*),
			(SELECT format('%s: balance_after %s, expected %s', b.place, b.balance_after, b.next_balance)
			   FROM broken b WHERE b.balance_after <> b.next_balance
			  ORDER BY b.book_id, b.account_id, b.slot, b.seq LIMIT 1)
	   FROM broken b WHERE b.balance_after <> b.next_balance)
	UNION ALL
	(SELECT 'posted_at', count(*),
			(SELECT format('%s: posted at %s, before %s', b.place, b.posted_at, b.last_posted_at)
			   FROM broken b WHERE b.posted_at < b.last_posted_at
			  ORDER BY b.book_id, b.account_id, b.slot, b.seq LIMIT 1)
	   FROM broken b WHERE b.posted_at < b.last_posted_at);

	-- Every posting moves money from some accounts to others.  A kind of entry
	-- that no check below asks the reason of would be a way around all of them.
	RETURN QUERY
	SELECT 'causes', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, %s %s: its entries together are %s',
						  e.book_id, e.kind, e.cause, sum(e.amount)) AS offender
			  FROM ledger.entry e
			 WHERE verify.book_id IS NULL OR e.book_id = verify.book_id
			 GROUP BY e.book_id, e.kind, e.cause
			HAVING sum(e.amount) <> 0
				OR e.kind NOT IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee',
								  'journal', 'adjustment', 'reversal', 'realized_pnl', 'trade_fee', 'fee_cut', 'isolated_margin', 'settlement', 'reset',
								  'funding', 'late_funding', 'fold', 'exchange')
			 ORDER BY e.book_id, e.kind, e.cause
			 LIMIT 1) v;

	-- A fold is a pair: out of a slot >= 1 and into slot 0, or back, of one
	-- system account at one time.
	RETURN QUERY
	SELECT 'folds', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, fold %s: %s in %s entries, %s of them in slot 0, from %s to %s',
						  e.book_id, e.account_id, e.cause, sum(e.amount), count(*),
						  count(*) FILTER (WHERE e.slot = 0), min(e.posted_at), max(e.posted_at)) AS offender
			  FROM ledger.entry e
			 WHERE e.kind = 'fold'
			   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)
			 GROUP BY e.book_id, e.account_id, e.cause
			HAVING (e.account_id < 0 AND sum(e.amount) = 0 AND count(*) = 2
					AND count(*) FILTER (WHERE e.slot = 0 AND e.seq = e.cause) = 1
					AND min(e.posted_at) = max(e.posted_at)) IS NOT TRUE
			 ORDER BY e.book_id, e.account_id, e.cause
			 LIMIT 1) v;

	-- The rows that ask for entries, against the entries that are there: one
	-- for each leg, with its amount.
	RETURN QUERY
	SELECT 'transfers', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, %s %s, account %s: %s in %s entries, expected %s in %s', u.book_id, u.kind, u.cause,
						  u.account_id, sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS offender
			  FROM (SELECT t.book_id, t.kind, t.transfer_id AS cause, l.account_id,
						   l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
					  FROM ledger.transfer t
					 CROSS JOIN LATERAL (VALUES (t.from_account, -t.amount), (t.to_account, t.amount)) AS l(account_id, amount)
					 WHERE verify.book_id IS NULL OR t.book_id = verify.book_id
					UNION ALL
					SELECT e.book_id, e.kind, e.cause, e.account_id, 0, 0, e.amount, 1
					  FROM ledger.entry e
					 WHERE e.kind IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee')
					   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
			 GROUP BY u.book_id, u.cause, u.account_id, u.kind
			HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
			 ORDER BY u.book_id, u.cause, u.account_id, u.kind
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'transfer_rules', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, transfer %s: a %s from %s to %s was never allowed', t.book_id, t.transfer_id, t.kind,
						  f.kind, o.kind) AS offender
			  FROM ledger.transfer t
			  JOIN ledger.account f ON f.book_id = t.book_id AND f.account_id = t.from_account
			  JOIN ledger.account o ON o.book_id = t.book_id AND o.account_id = t.to_account
			 WHERE NOT EXISTS (SELECT FROM ledger.transfer_rule r
								WHERE r.kind = t.kind AND r.from_kind = f.kind AND r.to_kind = o.kind AND r.allowed)
			   AND (verify.book_id IS NULL OR t.book_id = verify.book_id)
			 ORDER BY t.book_id, t.transfer_id
			 LIMIT 1) v;

	-- The same for journals, whose legs sum to zero in each asset.
	RETURN QUERY
	SELECT 'journals', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, journal %s%s: %s', f.book_id, f.journal_id, f.place, f.fault) AS offender
			  FROM (SELECT u.book_id, u.journal_id, format(', account %s', u.account_id) AS place,
						   format('%s in %s entries, expected %s in %s',
								  sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS fault
					  FROM (SELECT j.book_id, j.journal_id, j.kind, l.account_id,
								   l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
							  FROM ledger.journal j
							 CROSS JOIN LATERAL unnest(j.accounts, j.amounts) AS l(account_id, amount)
							 WHERE verify.book_id IS NULL OR j.book_id = verify.book_id
							UNION ALL
							SELECT e.book_id, e.cause, e.kind, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind IN ('journal', 'adjustment')
							   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
					 GROUP BY u.book_id, u.journal_id, u.account_id, u.kind
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT j.book_id, j.journal_id, '', format('its legs in %s sum to %s', a.asset_code, sum(l.amount))
					  FROM ledger.journal j
					 CROSS JOIN LATERAL unnest(j.accounts, j.amounts) AS l(account_id, amount)
					  LEFT JOIN ledger.account a ON a.book_id = j.book_id AND a.account_id = l.account_id
					 WHERE verify.book_id IS NULL OR j.book_id = verify.book_id
					 GROUP BY j.book_id, j.journal_id, a.asset_code
					HAVING sum(l.amount) <> 0) f
			 ORDER BY f.book_id, f.journal_id, f.place, f.fault
			 LIMIT 1) v;

	-- A reversal is the mirror of its original.
	RETURN QUERY
	SELECT 'reversals', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, reversal %s, account %s: %s in %s entries, expected %s in %s', u.book_id, u.reversal_id,
						  u.account_id, sum(u.found), sum(u.entries), sum(u.due), sum(u.legs)) AS offender
			  FROM (SELECT r.book_id, r.reversal_id, l.account_id, -l.amount AS due, 1 AS legs, 0 AS found, 0 AS entries
					  FROM ledger.reversal r
					  LEFT JOIN ledger.transfer t ON r.original_kind = 'transfer' AND t.book_id = r.book_id
												 AND t.transfer_id = r.original_id
					  LEFT JOIN ledger.journal j ON r.original_kind = 'journal' AND j.book_id = r.book_id
												AND j.journal_id = r.original_id
					  LEFT JOIN LATERAL (
						SELECT x.account_id, x.amount
						  FROM (VALUES (t.from_account, -t.amount), (t.to_account, t.amount)) AS x(account_id, amount)
						 WHERE t.transfer_id IS NOT NULL
						UNION ALL
						SELECT x.account_id, x.amount FROM unnest(j.accounts, j.amounts) AS x(account_id, amount)) l ON true
					 WHERE verify.book_id IS NULL OR r.book_id = verify.book_id
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
					  FROM ledger.entry e
					 WHERE e.kind = 'reversal'
					   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
			 GROUP BY u.book_id, u.reversal_id, u.account_id
			HAVING sum(u.due) IS DISTINCT FROM sum(u.found) OR sum(u.legs) <> sum(u.entries)
			 ORDER BY u.book_id, u.reversal_id, u.account_id
			 LIMIT 1) v;

	-- A key stands for one row, which is what it was when the key was given:
	-- each field after its length in bytes, as ledger.idempotency.digest says.
	RETURN QUERY
	SELECT 'idempotency', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, key "%s": %s', f.book_id, f.idempotency_key, f.fault) AS offender
			  FROM (SELECT book_id, idempotency_key,
						   CASE WHEN r.id IS NULL THEN format('%s %s is missing, or has another key', kind, i.id)
								WHEN i.id IS NULL THEN format('%s %s has a key that is not recorded', kind, r.id)
								WHEN i.id <> r.id THEN format('it stands for %s %s, and %s %s has it', kind, i.id, kind, r.id)
								WHEN i.digest <> sha256(d.bytes) THEN format('%s %s is not what the key was given for', kind, r.id)
						   END AS fault
					  FROM ledger.idempotency i
					  FULL JOIN (
						SELECT t.book_id, t.idempotency_key, 'transfer' AS kind, t.transfer_id AS id,
							   ARRAY[t.from_account::text, t.to_account::text, trim_scale(t.amount)::text, t.kind, t.hold_id::text] AS fields
						  FROM ledger.transfer t WHERE t.idempotency_key IS NOT NULL
						UNION ALL
						SELECT t.book_id, t.idempotency_key, 'trade', t.trade_id,
							   ARRAY[t.account_id::text, t.execution_id::text, t.instrument_id::text, t.side,
									 trim_scale(t.qty)::text, trim_scale(t.price)::text, trim_scale(t.fee)::text, t.kind]
						  FROM ledger.trade t WHERE t.idempotency_key IS NOT NULL
						UNION ALL
						SELECT h.book_id, h.idempotency_key, 'hold', h.hold_id,
							   ARRAY[h.account_id::text, trim_scale(h.amount)::text, h.purpose,
									 to_char(h.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')]
						  FROM ledger.hold h WHERE h.idempotency_key IS NOT NULL
						UNION ALL
						SELECT j.book_id, j.idempotency_key, 'journal', j.journal_id,
							   ARRAY[j.accounts::text,
									 (SELECT array_agg(trim_scale(u.amount) ORDER BY u.place)
										FROM unnest(j.amounts) WITH ORDINALITY AS u(amount, place))::text,
									 j.kind, to_char(j.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), j.metadata::text]
						  FROM ledger.journal j WHERE j.idempotency_key IS NOT NULL) r
						   USING (book_id, idempotency_key, kind)
					 CROSS JOIN LATERAL (
						SELECT string_agg(CASE WHEN u.field IS NULL THEN '\xffffffff'
											   ELSE int4send(octet_length(u.field)) || convert_to(u.field, getdatabaseencoding()) END,
										  ''::bytea ORDER BY u.place) AS bytes
						  FROM unnest(kind || r.fields) WITH ORDINALITY AS u(field, place)) d
					 WHERE verify.book_id IS NULL OR book_id = verify.book_id) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.idempotency_key, f.fault
			 LIMIT 1) v;

	-- A fee is what the trade says.  What could not be paid of the fees of an
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
							   AND (verify.book_id IS NULL OR t.book_id = verify.book_id)
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, e.amount
							  FROM ledger.entry e
							  JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
							 WHERE e.kind = 'trade_fee' AND a.kind <> 'fee'
							   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
					 GROUP BY u.book_id, u.trade_id, u.account_id
					HAVING sum(u.due) <> sum(u.found)
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, format('%s of its fees came back', e.amount)
					  FROM ledger.entry e
					  LEFT JOIN ledger.account a ON a.book_id = e.book_id AND a.account_id = e.account_id
					  LEFT JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause
											  AND t.account_id = e.account_id AND t.fee > 0
					 WHERE e.kind = 'fee_cut'
					   AND (a.kind = 'fee' AND e.amount < 0 OR e.amount > 0 AND t.trade_id IS NOT NULL) IS NOT TRUE
					   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) f
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
					   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)
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
					   AND (verify.book_id IS NULL OR c.book_id = verify.book_id)
					UNION ALL
					SELECT c.book_id, c.account_id, format('it holds %s of instrument %s', p.qty, p.instrument_id)
					  FROM ledger.account c
					  JOIN ledger.position p ON p.book_id = c.book_id AND p.account_id = c.account_id
					 WHERE c.parent_id IS NOT NULL
					   AND (p.instrument_id <> c.isolated_instrument_id
							OR p.qty < 0 AND c.isolated_side = 'long' OR p.qty > 0 AND c.isolated_side = 'short')
					   AND (verify.book_id IS NULL OR c.book_id = verify.book_id)) f
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
					 WHERE s.kind = 'profit'
					   AND (verify.book_id IS NULL OR s.book_id = verify.book_id)
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
					  FROM ledger.entry e
					 WHERE e.kind = 'settlement'
					   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
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
							   AND (verify.book_id IS NULL OR p.book_id = verify.book_id)
							UNION ALL
							SELECT e.book_id, e.kind, e.cause, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind IN ('funding', 'late_funding')
							   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
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
					   AND (verify.book_id IS NULL OR p.book_id = verify.book_id)) f
			 ORDER BY f.book_id, f.cause, f.account_id, f.fault
			 LIMIT 1) v;

	-- What took part in a funding, at once or late, is the position that the
	-- trades executed before it make.  Each position lasts from one trade to
	-- the next, and the fundings in between are looked up.
	RETURN QUERY
	SELECT 'funded_positions', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, funding %s, account %s: a quantity of %s took part, expected %s',
						  u.book_id, u.funding_id, u.account_id, sum(u.found), sum(u.due)) AS offender
			  FROM (SELECT h.book_id, g.funding_id, h.account_id, h.qty AS due, 0 AS found
					  FROM (SELECT t.book_id, t.instrument_id, t.account_id, t.executed_at,
								   sum(CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END) OVER held AS qty,
								   lead(t.executed_at, 1, 'infinity'::timestamptz) OVER held AS until
							  FROM ledger.trade t
							 WHERE verify.book_id IS NULL OR t.book_id = verify.book_id
							WINDOW held AS (PARTITION BY t.book_id, t.instrument_id, t.account_id
											ORDER BY t.executed_at, t.trade_id
											ROWS UNBOUNDED PRECEDING)) h
					  JOIN ledger.funding g ON g.book_id = h.book_id AND g.instrument_id = h.instrument_id
										   AND g.funding_at > h.executed_at AND g.funding_at <= h.until
					 WHERE h.qty <> 0 AND g.rate <> 0
					UNION ALL
					SELECT p.book_id, p.funding_id, p.account_id, 0, p.qty
					  FROM ledger.funding_payment p
					 WHERE verify.book_id IS NULL OR p.book_id = verify.book_id) u
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
							 WHERE verify.book_id IS NULL OR r.book_id = verify.book_id
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind = 'reset'
							   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
					 GROUP BY u.book_id, u.cause, u.account_id
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT r.book_id, r.reset_id, r.account_id,
						   format('balance %s before and %s after, payer %s and %s, amount %s',
								  r.balance_before, r.balance_after, r.payer_before, r.payer_after, r.amount)
					  FROM ledger.reset r
					 WHERE (r.balance_after - r.balance_before <> r.amount
							OR r.payer_before - r.payer_after <> r.amount)
					   AND (verify.book_id IS NULL OR r.book_id = verify.book_id)
					UNION ALL
					-- of an account without slots, the entry says the same
					SELECT r.book_id, r.reset_id, r.account_id,
						   format('balance %s after, its entry says %s', r.balance_after, e.balance_after)
					  FROM ledger.reset r
					  JOIN ledger.entry e ON e.book_id = r.book_id AND e.account_id = r.account_id
										 AND e.kind = 'reset' AND e.cause = r.reset_id
					 WHERE r.account_id > 0 AND e.balance_after <> r.balance_after
					   AND (verify.book_id IS NULL OR r.book_id = verify.book_id)
					UNION ALL
					SELECT r.book_id, min(r.reset_id), r.account_id,
						   format('paid %s for %s %s, shortfall %s to %s', sum(r.amount), r.cause_kind, r.cause,
								  min(r.shortfall), max(r.shortfall))
					  FROM ledger.reset r
					 WHERE verify.book_id IS NULL OR r.book_id = verify.book_id
					 GROUP BY r.book_id, r.account_id, r.cause_kind, r.cause
					HAVING sum(r.amount) <> min(r.shortfall) OR sum(r.amount) <> max(r.shortfall)) f
			 ORDER BY f.book_id, f.reset_id, f.account_id, f.fault
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
							   AND (verify.book_id IS NULL OR x.book_id = verify.book_id)
							UNION ALL
							SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind = 'exchange'
							   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)) u
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
					   AND (verify.book_id IS NULL OR x.book_id = verify.book_id)) f
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
		 WHERE verify.book_id IS NULL OR p.book_id = verify.book_id
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
		 WHERE verify.book_id IS NULL OR t.book_id = verify.book_id
		 GROUP BY t.book_id, t.account_id, t.instrument_id
		UNION ALL
		SELECT t.book_id, t.account_id, t.instrument_id, 0, 0, 0, 0, 0, e.amount
		  FROM ledger.entry e
		  JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause AND t.account_id = e.account_id
		 WHERE e.kind = 'realized_pnl'
		   AND (verify.book_id IS NULL OR e.book_id = verify.book_id)
		   AND (verify.book_id IS NULL OR t.book_id = verify.book_id)
		UNION ALL
		SELECT s.book_id, s.account_id, s.instrument_id, 0, 0, 0, 0, 0, s.amount
		  FROM ledger.settlement s
		 WHERE s.execution_id IS NULL
		   AND (verify.book_id IS NULL OR s.book_id = verify.book_id)
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
					 WHERE verify.book_id IS NULL OR t.book_id = verify.book_id
					UNION ALL
					SELECT s.book_id, s.execution_id, s.instrument_id, 0, 0, s.amount, 0
					  FROM ledger.settlement s
					 WHERE s.execution_id IS NOT NULL
					   AND (verify.book_id IS NULL OR s.book_id = verify.book_id)) u
			 GROUP BY u.book_id, u.execution_id, u.instrument_id
			HAVING sum(u.qty) <> 0 OR sum(u.value) <> sum(u.residue) OR abs(sum(u.residue)) > sum(u.tolerance)
			 ORDER BY u.book_id, u.execution_id, u.instrument_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'open_interest', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, instrument %s: long less short is %s', p.book_id, p.instrument_id, sum(p.qty)) AS offender
			  FROM ledger.position p
			 WHERE verify.book_id IS NULL OR p.book_id = verify.book_id
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
					   AND (verify.book_id IS NULL OR a.book_id = verify.book_id)
					UNION ALL
					SELECT p.book_id, i.settle_asset, 0, p.cost, 0
					  FROM ledger.position p
					  JOIN ledger.instrument i ON i.instrument_id = p.instrument_id
					 WHERE verify.book_id IS NULL OR p.book_id = verify.book_id
					UNION ALL
					SELECT s.book_id, i.settle_asset, 0, 0, s.amount
					  FROM ledger.settlement s
					  JOIN ledger.instrument i ON i.instrument_id = s.instrument_id
					 WHERE s.kind = 'residue'
					   AND (verify.book_id IS NULL OR s.book_id = verify.book_id)) u
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
					 WHERE a.kind = 'clearing' AND e.kind = 'realized_pnl'
					   AND (verify.book_id IS NULL OR a.book_id = verify.book_id)
					UNION ALL
					SELECT s.book_id, s.instrument_id, e.amount, 0, 0
					  FROM ledger.account a
					  JOIN ledger.entry e ON e.book_id = a.book_id AND e.account_id = a.account_id
					  JOIN ledger.settlement s ON s.book_id = e.book_id AND s.settlement_id = e.cause
					 WHERE a.kind = 'clearing' AND e.kind = 'settlement'
					   AND (verify.book_id IS NULL OR a.book_id = verify.book_id)
					UNION ALL
					SELECT p.book_id, p.instrument_id, 0, p.cost, 0
					  FROM ledger.position p
					 WHERE verify.book_id IS NULL OR p.book_id = verify.book_id
					UNION ALL
					SELECT s.book_id, s.instrument_id, 0, 0, s.amount
					  FROM ledger.settlement s
					 WHERE s.kind = 'residue'
					   AND (verify.book_id IS NULL OR s.book_id = verify.book_id)) u
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
					   AND (verify.book_id IS NULL OR a.book_id = verify.book_id)
					UNION ALL
					SELECT p.book_id, i.settle_asset, p.qty * i.multiplier
						   * coalesce(CASE WHEN i.kind = 'inverse' THEN -1 / m.price ELSE m.price END, 0) - p.cost, 0, 0
					  FROM ledger.position p
					  JOIN ledger.instrument i ON i.instrument_id = p.instrument_id
					  LEFT JOIN ledger.mark_price m ON m.instrument_id = p.instrument_id
					 WHERE verify.book_id IS NULL OR p.book_id = verify.book_id
					UNION ALL
					SELECT s.book_id, i.settle_asset, 0, 0, s.amount
					  FROM ledger.settlement s
					  JOIN ledger.instrument i ON i.instrument_id = s.instrument_id
					 WHERE s.kind = 'residue'
					   AND (verify.book_id IS NULL OR s.book_id = verify.book_id)) u
			 GROUP BY u.book_id, u.asset_code
			HAVING sum(u.equity) + sum(u.outside) + sum(u.residue) <> 0
			 ORDER BY u.book_id, u.asset_code
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'floors', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s: balance %s, floor %s', b.book_id, b.account_id, sum(b.amount), max(b.floor)) AS offender
			  FROM ledger.balance b
			 WHERE verify.book_id IS NULL OR b.book_id = verify.book_id
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
			   AND (verify.book_id IS NULL OR b.book_id = verify.book_id)
			 ORDER BY b.book_id, b.account_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'below_floor', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s', b.book_id, b.account_id) AS offender
			  FROM ledger.below_floor b
			 WHERE verify.book_id IS NULL OR b.book_id = verify.book_id
			 ORDER BY b.book_id, b.account_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'unmatched_execution', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, execution %s, instrument %s: quantity %s and value %s', u.book_id, u.execution_id,
						  u.instrument_id, u.qty, u.value) AS offender
			  FROM ledger.unmatched_execution u
			 WHERE verify.book_id IS NULL OR u.book_id = verify.book_id
			 ORDER BY u.book_id, u.execution_id, u.instrument_id
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'added_risk', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, instrument %s: left over', r.book_id, r.account_id, r.instrument_id) AS offender
			  FROM ledger.added_risk r
			 WHERE verify.book_id IS NULL OR r.book_id = verify.book_id
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
			   AND (verify.book_id IS NULL OR r.book_id = verify.book_id)
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
								   FROM ledger.transfer WHERE hold_id IS NOT NULL GROUP BY book_id, hold_id) t USING (book_id, hold_id)
					  FULL JOIN (SELECT book_id, hold_id, sum(amount) AS released, bool_or(amount IS NULL) AS entirely
								   FROM ledger.hold_release GROUP BY book_id, hold_id) r USING (book_id, hold_id)
					 CROSS JOIN LATERAL (SELECT CASE WHEN r.entirely THEN 0
													 ELSE h.amount - coalesce(t.captured, 0) - coalesce(r.released, 0) END AS due) d
					 WHERE verify.book_id IS NULL OR book_id = verify.book_id) f
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
			   AND (verify.book_id IS NULL OR book_id = verify.book_id)
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
			   AND (verify.book_id IS NULL OR a.book_id = verify.book_id)
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

	RETURN QUERY
	SELECT c.* FROM risk.check_seals(verify.book_id) c;

	-- The triggers are those of every book.  Both definitions are brought to
	-- one form: events in the order that the server prints, no parentheses.
	RETURN QUERY
	SELECT 'guards', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('table ledger.%s, trigger %s: %s', f.table_name, f.trigger_name, f.fault) AS offender
			  FROM (SELECT e.table_name, e.trigger_name,
						   CASE WHEN t.oid IS NULL THEN 'missing'
								WHEN t.tgenabled <> e.enabled
								THEN format('in mode %s, expected %s', t.tgenabled, e.enabled)
								WHEN translate(lower(pg_get_triggerdef(t.oid)), '()', '')
									 <> translate(lower(replace(e.definition, 'UPDATE OR DELETE', 'DELETE OR UPDATE')), '()', '')
								THEN 'is ' || pg_get_triggerdef(t.oid)
						   END AS fault
					  FROM risk.ledger_triggers() e
					  LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(format('ledger.%I', e.table_name))
											AND t.tgname = e.trigger_name AND NOT t.tgisinternal
					UNION ALL
					SELECT c.relname, t.tgname, 'a foreign key that is not enforced'
					  FROM pg_trigger t
					  JOIN pg_class c ON c.oid = t.tgrelid
					  JOIN pg_namespace s ON s.oid = c.relnamespace
					 WHERE s.nspname = 'ledger' AND t.tgisinternal AND t.tgenabled <> 'O') f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.table_name, f.trigger_name
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.verify(int) IS
	'Proves the books, of one book or of all: one row for each check, always the same ones in the same order, with the number of violations and the first of them. No row with violations > 0 means that the books are right. Reads the tables only, as of the snapshot of the statement. Errors: 55000 without a ledger; 42501 where the caller may not see every row';
