-- Evidence: seals over the entries of a book, each chained to the one before.
--
-- What a seal covers.  The entries of one slot of an account are numbered
-- without a gap, and whoever writes the next one holds the lock on the balance
-- row until the end of the transaction.  So, in any snapshot, a balance shows
-- the number of its last committed entry, all before it are committed, and
-- none can come in among them later.  A seal takes, for each slot, the numbers
-- since the last seal up to the one its snapshot shows: what commits later has
-- a higher number and is taken by the next seal.  A seal waits for no posting,
-- and no posting waits for it.
--
-- What a seal costs.  A pass over the balances of the book, which asks of each
-- only whether it was written since the last seal, and then the new entries.
-- It was not, if the transaction that wrote the row had ended before the oldest
-- one that was open then.  No clock comes into this.  Numbers of transactions
-- are those of one cluster: where the seal came with a dump, or the numbers
-- have gone half way round since, every balance is looked up.

CREATE FUNCTION risk.add_row(internal, VARIADIC "any") RETURNS internal
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'risk_add_row';
COMMENT ON FUNCTION risk.add_row(internal, "any") IS
	'A part of risk.rows_digest() and risk.rows_marks().';

CREATE FUNCTION risk.finish_digest(internal) RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'risk_rows_digest';
COMMENT ON FUNCTION risk.finish_digest(internal) IS
	'A part of risk.rows_digest().';

CREATE FUNCTION risk.finish_marks(internal) RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'risk_rows_marks';
COMMENT ON FUNCTION risk.finish_marks(internal) IS
	'A part of risk.rows_marks().';

CREATE AGGREGATE risk.rows_digest(VARIADIC "any") (
	SFUNC = risk.add_row, STYPE = internal, FINALFUNC = risk.finish_digest,
	FINALFUNC_MODIFY = SHAREABLE, PARALLEL = SAFE);
COMMENT ON AGGREGATE risk.rows_digest(VARIADIC "any") IS
	'The SHA-256 of rows, 32 bytes: of what COPY BINARY writes for these columns (without its header and trailer), text in UTF-8, in the order given. NULL for no rows. Columns are integer, bigint, numeric, text, bytea, date or timestamptz (42804).';

CREATE AGGREGATE risk.rows_marks(VARIADIC "any") (
	SFUNC = risk.add_row, STYPE = internal, FINALFUNC = risk.finish_marks,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE risk.rows_marks(VARIADIC "any") IS
	'The CRC-32C of each row, 4 bytes each, of the same form as in risk.rows_digest(): to find the row in which a digest differs.';

CREATE FUNCTION risk.seal(book_id int DEFAULT 1)
RETURNS TABLE (seal_id bigint, sealed_at timestamptz, entries bigint, total_entries bigint, head text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
-- a plan by statistics from before the entries came would read all of them
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
	last ledger.seal;
	fresh record;
	next_id bigint;
	next_time timestamptz;
	oldest_open xid8;
	unsealed_age int := 2147483647;
BEGIN
	IF NOT EXISTS (SELECT FROM ledger.book b WHERE b.book_id = seal.book_id) THEN
		RAISE EXCEPTION 'there is no book %', coalesce(seal.book_id::text, 'NULL')
			USING ERRCODE = '23503', HINT = 'Make it with risk.create_book().';
	END IF;
	-- one at a time in each book
	PERFORM pg_advisory_xact_lock('ledger.seal'::regclass::oid::int, seal.book_id);
	SELECT s.* INTO last FROM ledger.seal s WHERE s.book_id = seal.book_id ORDER BY s.seal_id DESC LIMIT 1;
	next_id := coalesce(last.seal_id, 0) + 1;
	next_time := greatest(clock_timestamp(), last.sealed_at);
	oldest_open := pg_snapshot_xmin(pg_current_snapshot());
	SELECT age(last.open_since::xid) INTO unsealed_age
	  FROM ledger.seal s
	 WHERE s.book_id = last.book_id AND s.seal_id = last.seal_id AND s.xmin = last.transaction_id::xid
	   AND oldest_open::text::numeric - last.open_since::text::numeric BETWEEN 0 AND 2000000000;
	unsealed_age := coalesce(unsealed_age, 2147483647);

	-- One snapshot for the balances and the entries.  A conflict is with a seal
	-- that the snapshot of the transaction is too old to see, and raises 40001.
	WITH r AS (
		INSERT INTO ledger.seal_range (book_id, slot, account_id, from_seq, to_seq, seal_id, digest, marks)
		SELECT b.book_id, b.slot, b.account_id, sealed.seq + 1, b.seq, next_id,
			   coalesce(e.digest, ''), coalesce(e.marks, '')
		  FROM ledger.balance b
		 CROSS JOIN LATERAL (
			SELECT coalesce((SELECT o.to_seq FROM ledger.seal_range o
							  WHERE o.book_id = b.book_id AND o.slot = b.slot AND o.account_id = b.account_id
							  ORDER BY o.from_seq DESC LIMIT 1), 0) AS seq
			OFFSET 0) sealed
		 CROSS JOIN LATERAL (
			SELECT risk.rows_digest(e.book_id, e.slot, e.account_id, e.seq, e.posted_at, e.effective_at,
									e.cause, e.period, e.amount, e.balance_after, e.kind) AS digest,
				   risk.rows_marks(e.book_id, e.slot, e.account_id, e.seq, e.posted_at, e.effective_at,
								   e.cause, e.period, e.amount, e.balance_after, e.kind) AS marks
			  FROM (SELECT e.* FROM ledger.entry e
					 WHERE e.book_id = b.book_id AND e.slot = b.slot AND e.account_id = b.account_id
					   AND e.seq > sealed.seq AND e.seq <= b.seq
					 ORDER BY e.seq, e.period) e) e
		 WHERE b.book_id = seal.book_id AND age(b.xmin) <= unsealed_age AND b.seq > sealed.seq
		ON CONFLICT DO NOTHING
		RETURNING *)
	SELECT count(*) AS ranges, coalesce(sum(r.to_seq - r.from_seq + 1), 0)::bigint AS entries,
		   risk.rows_digest(r.slot, r.account_id, r.from_seq, r.to_seq, r.digest, r.marks
							ORDER BY r.slot, r.account_id) AS digest,
		   (array_agg(format('Account %s, slot %s has %s entries from seq %s to %s.', r.account_id, r.slot,
							 length(r.marks) / 4, r.from_seq, r.to_seq) ORDER BY r.slot, r.account_id)
			FILTER (WHERE length(r.marks) <> 4 * (r.to_seq - r.from_seq + 1)))[1] AS fault
	  INTO fresh
	  FROM r;
	IF fresh.fault IS NOT NULL THEN
		RAISE EXCEPTION 'the entries of book % cannot be sealed', seal.book_id
			USING ERRCODE = 'XX001', DETAIL = fresh.fault, HINT = 'See what risk.verify() says.';
	END IF;

	IF fresh.entries > 0 THEN
		INSERT INTO ledger.seal AS s (book_id, seal_id, sealed_at, entries, total_entries, ranges,
									  transaction_id, open_since, head, who)
		SELECT seal.book_id, next_id, next_time, fresh.entries, t.total_entries, fresh.ranges,
			   pg_current_xact_id(), oldest_open,
			   risk.rows_digest(last.head, seal.book_id, next_id, next_time, fresh.entries, t.total_entries, fresh.ranges,
								pg_current_xact_id()::text, oldest_open::text, session_user::text, fresh.digest),
			   session_user
		  FROM (SELECT coalesce(last.total_entries, 0) + fresh.entries AS total_entries) t
		 GROUP BY t.total_entries
		ON CONFLICT DO NOTHING
		RETURNING s.* INTO STRICT last;
		INSERT INTO ledger.event (book_id, kind, payload)
		VALUES (last.book_id, 'seal', jsonb_build_object('seal_id', last.seal_id, 'total_entries', last.total_entries,
														 'head', encode(last.head, 'hex')));
	END IF;

	IF last.seal_id IS NOT NULL THEN
		RETURN QUERY SELECT last.seal_id, last.sealed_at, last.entries, last.total_entries, encode(last.head, 'hex');
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.seal(int) IS
	'Seals the entries of a book that were committed since its last seal, and returns the last seal: its number, when it was made, how many entries it has, how many all seals have up to it, and its head, the SHA-256 that stands for all of them. Without new entries, or any, no seal is made. Keep the heads where nobody who can write to this database can: against one who rewrites the whole chain nothing else helps. risk.verify_seal() asks for a head again. Costs a short look at each balance of the book, and a pass over the new entries; waits for another seal of the same book, and for nothing else. 23503 for an unknown book, XX001 when entries are missing, 40001 at REPEATABLE READ when the book was sealed meanwhile.';

CREATE FUNCTION risk.check_seals(book_id int DEFAULT NULL, last_seal bigint DEFAULT NULL)
RETURNS TABLE (check_name text, violations bigint, first_offender text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET row_security = off
AS $function$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH chain AS (
		SELECT s.*, lag(s.seal_id, 1, 0::bigint) OVER w AS last_id, lag(s.head) OVER w AS last_head,
			   lag(s.total_entries, 1, 0::bigint) OVER w AS last_total, lag(s.sealed_at, 1, '-infinity') OVER w AS last_time
		  FROM ledger.seal s
		 WHERE (check_seals.book_id IS NULL OR s.book_id = check_seals.book_id)
		   AND (last_seal IS NULL OR s.seal_id <= last_seal)
		WINDOW w AS (PARTITION BY s.book_id ORDER BY s.seal_id)
	), covered AS (
		SELECT r.book_id, r.seal_id, count(*) AS ranges, sum(r.to_seq::numeric - r.from_seq + 1) AS entries,
			   risk.rows_digest(r.slot, r.account_id, r.from_seq, r.to_seq, r.digest, r.marks
								ORDER BY r.slot, r.account_id) AS digest
		  FROM ledger.seal_range r
		 WHERE (check_seals.book_id IS NULL OR r.book_id = check_seals.book_id)
		   AND (last_seal IS NULL OR r.seal_id <= last_seal)
		 GROUP BY r.book_id, r.seal_id
	), told AS (
		SELECT e.book_id, n.seal_id, min(e.payload ->> 'head') AS head, count(*) AS n
		  FROM ledger.event e
		 CROSS JOIN LATERAL (
			-- 0 for what is no number of a seal: it is missing, too
			SELECT CASE WHEN e.payload ->> 'seal_id' ~ '^[0-9]{1,18}$' THEN (e.payload ->> 'seal_id')::bigint ELSE 0 END AS seal_id) n
		 WHERE e.kind = 'seal'
		   AND (check_seals.book_id IS NULL OR e.book_id = check_seals.book_id)
		   AND (last_seal IS NULL OR n.seal_id <= last_seal)
		 GROUP BY e.book_id, n.seal_id
	), computed AS (
		SELECT c.book_id, c.seal_id,
			   risk.rows_digest(c.last_head, c.book_id, c.seal_id, c.sealed_at, c.entries, c.total_entries, c.ranges,
								c.transaction_id::text, c.open_since::text, c.who, r.digest) AS head
		  FROM chain c LEFT JOIN covered r USING (book_id, seal_id)
		 GROUP BY c.book_id, c.seal_id
	)
	SELECT 'seals', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, seal %s: %s', book_id, seal_id, f.fault) AS offender
			  FROM chain c
			  FULL JOIN covered r USING (book_id, seal_id)
			  FULL JOIN told t USING (book_id, seal_id)
			  LEFT JOIN computed p USING (book_id, seal_id)
			 CROSS JOIN LATERAL (
				SELECT CASE WHEN c.head IS NULL AND t.n > 0 THEN format('missing, its event says head %s', t.head)
							WHEN c.head IS NULL THEN format('missing, %s ranges of entries name it', r.ranges)
							WHEN seal_id <> c.last_id + 1 THEN format('the one before is seal %s', c.last_id)
							WHEN t.n IS NULL THEN 'its event is missing'
							WHEN t.n > 1 THEN format('there are %s events of it', t.n)
							WHEN t.head IS DISTINCT FROM encode(c.head, 'hex')
							THEN format('head %s, its event says %s', encode(c.head, 'hex'), t.head)
							WHEN c.entries IS DISTINCT FROM r.entries OR c.ranges IS DISTINCT FROM r.ranges
								 OR c.total_entries <> c.last_total::numeric + c.entries
							THEN format('%s entries after %s in %s ranges make %s; the ranges are %s with %s entries', c.entries,
										c.last_total, c.ranges, c.total_entries, coalesce(r.ranges, 0), coalesce(r.entries, 0))
							WHEN c.sealed_at < c.last_time THEN format('made at %s, before %s', c.sealed_at, c.last_time)
							WHEN c.head <> p.head THEN format('head %s, computed %s', encode(c.head, 'hex'), encode(p.head, 'hex'))
					   END AS fault) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY book_id, seal_id
			 LIMIT 1) v;

	-- Each range again from its entries; the first one of a slot has all that
	-- is before it as well.  Where it differs, the marks tell which entry it is.
	-- Of the range that a checkpoint divides, the checkpoint has the digest of
	-- the rest; what is before it went, or is kept and proven by it.
	RETURN QUERY
	WITH opening AS (
		SELECT DISTINCT ON (o.book_id, o.slot, o.account_id) o.*
		  FROM ledger.checkpoint_balance o
		 WHERE check_seals.book_id IS NULL OR o.book_id = check_seals.book_id
		 ORDER BY o.book_id, o.slot, o.account_id, o.checkpoint_id DESC
	), range AS (
		SELECT r.book_id, r.slot, r.account_id, r.from_seq, r.to_seq, r.seal_id, r.marks,
			   CASE WHEN o.seq >= r.from_seq THEN o.seq + 1
					WHEN r.from_seq = 1 THEN -9223372036854775808 ELSE r.from_seq END AS first_seq,
			   CASE WHEN o.seq < r.from_seq OR o.seq IS NULL THEN r.digest
					WHEN o.sealed_to = r.to_seq THEN o.sealed_digest END AS digest
		  FROM ledger.seal_range r
		  LEFT JOIN opening o ON o.book_id = r.book_id AND o.slot = r.slot AND o.account_id = r.account_id
		 WHERE (o.seq >= r.to_seq) IS NOT TRUE
	), wrong AS MATERIALIZED (
		SELECT r.*
		  FROM range r
		 CROSS JOIN LATERAL (
			SELECT risk.rows_digest(e.book_id, e.slot, e.account_id, e.seq, e.posted_at, e.effective_at,
									e.cause, e.period, e.amount, e.balance_after, e.kind) AS digest
			  FROM (SELECT e.* FROM ledger.entry e
					 WHERE e.book_id = r.book_id AND e.slot = r.slot AND e.account_id = r.account_id
					   AND e.seq >= r.first_seq AND e.seq <= r.to_seq
					 ORDER BY e.seq, e.period) e) e
		 WHERE (check_seals.book_id IS NULL OR r.book_id = check_seals.book_id)
		   AND (last_seal IS NULL OR r.seal_id <= last_seal)
		   AND e.digest IS DISTINCT FROM r.digest
	)
	SELECT 'sealed_entries', count(*),
		   (SELECT format('book %s, account %s, slot %s, seq %s of seal %s: %s', w.book_id, w.account_id, w.slot,
						  coalesce(f.seq, greatest(w.from_seq, w.first_seq)), w.seal_id,
						  coalesce(f.fault, format('this entry or one after it, up to seq %s, is not as it was sealed', w.to_seq)))
			  FROM (SELECT * FROM wrong ORDER BY book_id, seal_id, slot, account_id LIMIT 1) w
			  LEFT JOIN LATERAL (
				SELECT seq, CASE WHEN s.mark IS NULL THEN 'it was not there when it was sealed'
								 WHEN e.n IS NULL THEN 'missing'
								 WHEN e.n > 1 THEN format('there are %s', e.n)
								 ELSE 'not as it was sealed' END AS fault
				  FROM (SELECT w.from_seq::numeric + n AS seq, substr(w.marks, 4 * n + 1, 4) AS mark
						  FROM generate_series(0, length(w.marks) / 4 - 1) n
						 WHERE w.from_seq::numeric + n >= w.first_seq) s
				  FULL JOIN (SELECT e.seq::numeric AS seq, count(*) AS n,
									risk.rows_marks(e.book_id, e.slot, e.account_id, e.seq, e.posted_at, e.effective_at,
													e.cause, e.period, e.amount, e.balance_after, e.kind) AS mark
							   FROM ledger.entry e
							  WHERE e.book_id = w.book_id AND e.slot = w.slot AND e.account_id = w.account_id
								AND e.seq >= w.first_seq AND e.seq <= w.to_seq
							  GROUP BY e.seq) e USING (seq)
				 WHERE e.mark IS DISTINCT FROM s.mark
				 ORDER BY seq LIMIT 1) f ON true)
	  FROM wrong;
END
$function$;
COMMENT ON FUNCTION risk.check_seals(int, bigint) IS
	'What risk.verify() says of seals, of one book or all, up to a seal or to the last. seals: the chain is without a gap, each head is the digest of its seal, of its ranges and of the head before, and each seal has its event. sealed_entries: every sealed entry after the last checkpoint is there as it was sealed, and no other one; violations counts ranges of entries.';

CREATE FUNCTION risk.verify_seal(book_id int, expected_head text)
RETURNS TABLE (check_name text, violations bigint, first_offender text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
#variable_conflict use_column
DECLARE
	last ledger.seal;
	named ledger.seal;
BEGIN
	SELECT s.* INTO named FROM ledger.seal s
	 WHERE s.book_id = verify_seal.book_id AND encode(s.head, 'hex') = lower(trim(expected_head)) ORDER BY s.seal_id LIMIT 1;
	SELECT s.* INTO last FROM ledger.seal s
	 WHERE s.book_id = verify_seal.book_id ORDER BY s.seal_id DESC LIMIT 1;
	RETURN QUERY SELECT 'head', (named.seal_id IS NULL)::int::bigint,
		CASE WHEN named.seal_id IS NOT NULL THEN NULL
			 WHEN last.seal_id IS NULL THEN format('book %s has no seals', verify_seal.book_id)
			 ELSE format('book %s: none of its seals has that head; the last is seal %s of %s entries, head %s',
						 verify_seal.book_id, last.seal_id, last.total_entries, encode(last.head, 'hex')) END;
	RETURN QUERY SELECT c.* FROM risk.check_seals(verify_seal.book_id, named.seal_id) c;
	-- not a fault, and nothing that could be looked at
	RETURN QUERY
	SELECT 'retired', 0::bigint,
		   format('book %s: of %s entries, %s of before %s are not there to be looked at; checkpoint %s stands for them',
				  k.book_id, named.total_entries,
				  (SELECT coalesce(sum(least(r.to_seq, o.seq) - r.from_seq + 1), 0)
					 FROM (SELECT DISTINCT ON (o.slot, o.account_id) o.* FROM ledger.checkpoint_balance o
							WHERE o.book_id = k.book_id ORDER BY o.slot, o.account_id, o.checkpoint_id DESC) o
					 JOIN ledger.seal_range r ON r.book_id = o.book_id AND r.slot = o.slot AND r.account_id = o.account_id
					WHERE r.from_seq <= o.seq AND r.seal_id <= named.seal_id),
				  k.before, k.checkpoint_id)
	  FROM ledger.checkpoint k
	 WHERE k.book_id = verify_seal.book_id AND named.seal_id IS NOT NULL
	 ORDER BY k.checkpoint_id DESC LIMIT 1;
END
$function$;
COMMENT ON FUNCTION risk.verify_seal(int, text) IS
	'Whether a book still has the seal whose head was noted (in hexadecimal), and all that it stands for: the checks head, seals and sealed_entries as in risk.verify(), up to that seal. Where old periods were retired a line retired says which entries are not there, with 0 violations. A head stands for its number, the number of entries and everything before it, so that a chain that was rewritten or cut has no such head.';

REVOKE ALL ON FUNCTION risk.seal(int) FROM PUBLIC;
