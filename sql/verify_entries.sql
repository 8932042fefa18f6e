-- verify_entries.sql
--		The proof of the books, its checks of entries: balances from entries, and
--		entries from the transfers, journals and reversals that asked for them.
--
-- verify.sql says what a check may use, and how it is written.

CREATE FUNCTION risk.check_entries(book_id int DEFAULT NULL)
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
	-- Entries with a period before it are copies that a checkpoint kept: they
	-- have a cause, and no place in the chain of a balance.
	since date := coalesce((SELECT max(k.before) FROM ledger.checkpoint k), '-infinity');
BEGIN
	RETURN QUERY
	SELECT 'sum_zero', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, asset %s: all balances together are %s', a.book_id, a.asset_code, sum(b.amount)) AS offender
			  FROM ledger.balance b
			  JOIN ledger.account a ON a.book_id = b.book_id AND a.account_id = b.account_id
			 WHERE check_entries.book_id IS NULL OR a.book_id = check_entries.book_id
			 GROUP BY a.book_id, a.asset_code
			HAVING sum(b.amount) <> 0
			 ORDER BY a.book_id, a.asset_code
			 LIMIT 1) v;

	RETURN QUERY
	SELECT 'balances', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, account %s, slot %s: balance %s at seq %s of %s, entries %s up to seq %s of %s',
						  u.book_id, u.account_id, u.slot, sum(u.amount), sum(u.seq), max(u.posted_at),
						  sum(u.entries), max(u.entry_seq), max(u.entry_posted_at)) AS offender
			  FROM (SELECT b.book_id, b.account_id, b.slot, b.amount, b.seq, b.posted_at,
						   0 AS entries, 0 AS entry_seq, '-infinity'::timestamptz AS entry_posted_at, 1 AS balance_rows
					  FROM ledger.balance b
					 WHERE check_entries.book_id IS NULL OR b.book_id = check_entries.book_id
					UNION ALL
					SELECT e.book_id, e.account_id, e.slot, 0, 0, '-infinity',
						   sum(e.amount), max(e.seq), max(e.posted_at), 0
					  FROM ledger.entry e
					 WHERE e.period >= since
					   AND (check_entries.book_id IS NULL OR e.book_id = check_entries.book_id)
					 GROUP BY e.book_id, e.slot, e.account_id
					UNION ALL
					(SELECT DISTINCT ON (o.book_id, o.slot, o.account_id)
							o.book_id, o.account_id, o.slot, 0, 0, '-infinity', o.amount, o.seq, o.posted_at, 0
					   FROM ledger.checkpoint_balance o
					  WHERE check_entries.book_id IS NULL OR o.book_id = check_entries.book_id
					  ORDER BY o.book_id, o.slot, o.account_id, o.checkpoint_id DESC)) u
			 GROUP BY u.book_id, u.account_id, u.slot
			HAVING sum(u.amount) <> sum(u.entries) OR sum(u.seq) <> max(u.entry_seq)
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
					 WHERE check_entries.book_id IS NULL OR b.book_id = check_entries.book_id
					UNION ALL
					SELECT a.book_id, a.account_id, 0, 'the balance row is missing'
					  FROM ledger.account a
					  LEFT JOIN ledger.balance b ON b.book_id = a.book_id AND b.slot = 0 AND b.account_id = a.account_id
					 WHERE b.book_id IS NULL
					   AND (check_entries.book_id IS NULL OR a.book_id = check_entries.book_id)) u
			 WHERE u.fault IS NOT NULL
			 ORDER BY u.book_id, u.account_id, u.slot
			 LIMIT 1) v;

	-- the chain of entries of each slot, in one pass; a checkpoint stands for
	-- all entries up to its own
	RETURN QUERY
	WITH entry AS (
		SELECT e.book_id, e.account_id, e.slot, e.seq, e.amount, e.balance_after, e.posted_at, false AS opening
		  FROM ledger.entry e
		 WHERE e.period >= since
		   AND (check_entries.book_id IS NULL OR e.book_id = check_entries.book_id)
		UNION ALL
		(SELECT DISTINCT ON (o.book_id, o.slot, o.account_id)
				o.book_id, o.account_id, o.slot, o.seq, 0, o.amount, o.posted_at, true
		   FROM ledger.checkpoint_balance o
		  WHERE check_entries.book_id IS NULL OR o.book_id = check_entries.book_id
		  ORDER BY o.book_id, o.slot, o.account_id, o.checkpoint_id DESC)
	), link AS (
		SELECT e.book_id, e.account_id, e.slot, e.seq, e.balance_after, e.posted_at, e.opening,
			   lag(e.seq, 1, 0::bigint) OVER chain + 1 AS next_seq,
			   lag(e.balance_after, 1, 0::numeric) OVER chain + e.amount AS next_balance,
			   lag(e.posted_at, 1, '-infinity'::timestamptz) OVER chain AS last_posted_at
		  FROM entry e
		WINDOW chain AS (PARTITION BY e.book_id, e.slot, e.account_id ORDER BY e.seq, e.opening DESC)
	), broken AS MATERIALIZED (
		SELECT l.*,
			   format('book %s, account %s, slot %s, seq %s', l.book_id, l.account_id, l.slot, l.seq) AS place
		  FROM link l
		 WHERE NOT l.opening
		   AND (l.seq <> l.next_seq OR l.balance_after <> l.next_balance OR l.posted_at < l.last_posted_at)
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
			 WHERE check_entries.book_id IS NULL OR e.book_id = check_entries.book_id
			 GROUP BY e.book_id, e.kind, e.cause
			HAVING sum(e.amount) <> 0
				OR e.kind NOT IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee',
								  'journal', 'adjustment', 'repayment', 'waiver', 'reversal', 'realized_pnl', 'bust_pnl', 'trade_fee', 'fee_cut', 'isolated_margin', 'settlement', 'bust_settlement', 'reset',
								  'funding', 'late_funding', 'fold', 'exchange', 'adl_gain', 'loss_share', 'shortfall_payment', 'liquidation_fee', 'liquidation_surplus', 'takeover_result')
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
			   AND (check_entries.book_id IS NULL OR e.book_id = check_entries.book_id)
			 GROUP BY e.book_id, e.account_id, e.cause
			HAVING (e.account_id < 0 AND sum(e.amount) = 0 AND count(*) = 2
					AND count(*) FILTER (WHERE e.slot = 0 AND e.seq = e.cause) = 1
					AND min(e.posted_at) = max(e.posted_at)) IS NOT TRUE
			 ORDER BY e.book_id, e.account_id, e.cause
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_entries(int) IS
	'What risk.verify() says of balances and entries, of one book or all: sums, chains, and that every kind of entry is a known one.';

CREATE FUNCTION risk.check_transfers(book_id int DEFAULT NULL)
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
					 WHERE check_transfers.book_id IS NULL OR t.book_id = check_transfers.book_id
					UNION ALL
					SELECT e.book_id, e.kind, e.cause, e.account_id, 0, 0, e.amount, 1
					  FROM ledger.entry e
					 WHERE e.kind IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee')
					   AND (check_transfers.book_id IS NULL OR e.book_id = check_transfers.book_id)) u
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
			   AND (check_transfers.book_id IS NULL OR t.book_id = check_transfers.book_id)
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
							 WHERE check_transfers.book_id IS NULL OR j.book_id = check_transfers.book_id
							UNION ALL
							SELECT e.book_id, e.cause, e.kind, e.account_id, 0, 0, e.amount, 1
							  FROM ledger.entry e
							 WHERE e.kind IN ('journal', 'adjustment', 'repayment', 'waiver')
							   AND (check_transfers.book_id IS NULL OR e.book_id = check_transfers.book_id)) u
					 GROUP BY u.book_id, u.journal_id, u.account_id, u.kind
					HAVING sum(u.due) <> sum(u.found) OR sum(u.legs) <> sum(u.entries)
					UNION ALL
					SELECT j.book_id, j.journal_id, '', format('its legs in %s sum to %s', a.asset_code, sum(l.amount))
					  FROM ledger.journal j
					 CROSS JOIN LATERAL unnest(j.accounts, j.amounts) AS l(account_id, amount)
					  LEFT JOIN ledger.account a ON a.book_id = j.book_id AND a.account_id = l.account_id
					 WHERE check_transfers.book_id IS NULL OR j.book_id = check_transfers.book_id
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
					 WHERE check_transfers.book_id IS NULL OR r.book_id = check_transfers.book_id
					UNION ALL
					SELECT e.book_id, e.cause, e.account_id, 0, 0, e.amount, 1
					  FROM ledger.entry e
					 WHERE e.kind = 'reversal'
					   AND (check_transfers.book_id IS NULL OR e.book_id = check_transfers.book_id)) u
			 GROUP BY u.book_id, u.reversal_id, u.account_id
			HAVING sum(u.due) IS DISTINCT FROM sum(u.found) OR sum(u.legs) <> sum(u.entries)
			 ORDER BY u.book_id, u.reversal_id, u.account_id
			 LIMIT 1) v;

	-- A key stands for one row, which is what it was when the key was given:
	-- each field after its length in bytes, as ledger.idempotency.digest says.
	-- Keys of rows that went are those of the last checkpoint, all together.
	RETURN QUERY
	SELECT 'idempotency', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s%s: %s', f.book_id, ', key "' || f.idempotency_key || '"', f.fault) AS offender
			  FROM (SELECT book_id, idempotency_key,
						   CASE WHEN r.id IS NULL AND kind <> 'hold' AND EXISTS (SELECT FROM ledger.checkpoint k WHERE k.book_id = i.book_id) THEN NULL
								WHEN r.id IS NULL THEN format('%s %s is missing, or has another key', kind, i.id)
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
									 trim_scale(t.qty)::text, trim_scale(t.price)::text, trim_scale(t.fee)::text, t.kind, t.liquidation_id::text]
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
					 WHERE check_transfers.book_id IS NULL OR book_id = check_transfers.book_id
					UNION ALL
					SELECT k.book_id, NULL, format('%s keys stand for rows that are not there, and %s for rows that checkpoint %s took',
												   coalesce(g.keys, 0), k.keys, k.checkpoint_id)
					  FROM (SELECT DISTINCT ON (k.book_id) k.* FROM ledger.checkpoint k ORDER BY k.book_id, k.checkpoint_id DESC) k
					  LEFT JOIN (
						SELECT i.book_id, count(*) AS keys,
							   risk.rows_digest(i.idempotency_key, i.kind, i.id, i.digest ORDER BY i.idempotency_key COLLATE "C") AS digest
						  FROM ledger.idempotency i
						 WHERE i.kind <> 'hold' AND EXISTS (SELECT FROM ledger.checkpoint)
						   AND NOT EXISTS (SELECT FROM (
								SELECT t.book_id, 'transfer' AS kind, t.transfer_id AS id FROM ledger.transfer t WHERE t.idempotency_key IS NOT NULL
								UNION ALL
								SELECT t.book_id, 'trade', t.trade_id FROM ledger.trade t WHERE t.idempotency_key IS NOT NULL
								UNION ALL
								SELECT j.book_id, 'journal', j.journal_id FROM ledger.journal j WHERE j.idempotency_key IS NOT NULL) r
								WHERE r.book_id = i.book_id AND r.kind = i.kind AND r.id = i.id)
						 GROUP BY i.book_id) g ON g.book_id = k.book_id
					 WHERE (coalesce(g.keys, 0) <> k.keys OR g.digest IS DISTINCT FROM k.keys_digest)
					   AND (check_transfers.book_id IS NULL OR k.book_id = check_transfers.book_id)) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.idempotency_key, f.fault
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_transfers(int) IS
	'What risk.verify() says of transfers, journals, reversals and idempotency keys, of one book or all: one entry for each leg, with its amount.';
