-- retention.sql
--		Old periods leave the tables, and the books stay proven: what they were
--		is in checkpoints, and the proof begins there.
--
-- What goes is whole causes.  A row and the entries that it made have the day
-- on which each was written, and midnight may lie between them.  A cause with
-- rows on both sides is kept: those of its rows that would go are copied into
-- the partition <table>_kept, which has all periods before the checkpoint.  So
-- every check that compares rows with their entries finds both or neither, and
-- whoever attaches an old partition again is refused, for the periods are taken.
--
-- Locks.  Nobody writes into periods that ended two days ago, so all that is
-- computed is computed beside the postings.  Reversals and fundings, which may
-- reach back, wait from the second step on.  Detaching locks everybody out of
-- the tables, but only for as long as the catalogue takes.  It cannot be done
-- CONCURRENTLY: not in a function, and not with a default partition.

CREATE FUNCTION risk.row_causes(
	OUT table_name text, OUT joins text, OUT kind text, OUT id text, OUT stays text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT v.table_name, v.joins, v.kind, v.id, v.stays
	  FROM (VALUES (
		-- what the liquidity account may still hand on by auto-deleveraging
		'LEFT JOIN ledger.takeover k ON k.book_id = t.book_id AND k.takeover_id = t.takeover_id',
		$$(EXISTS (SELECT FROM ledger.open_shortfall o WHERE o.book_id = k.book_id AND o.shortfall_id = k.shortfall_id)
		   OR k.for_adl AND EXISTS (SELECT FROM ledger.position p
									 WHERE p.book_id = k.book_id AND p.account_id = k.liquidity_account
									   AND p.instrument_id = k.instrument_id AND sign(p.qty) = sign(k.qty)))$$
	   )) AS takeover(found, is_open)
	 CROSS JOIN LATERAL (VALUES
		('transfer', '', $$'transfer'$$, 't.transfer_id', 'false'),
		('journal', '', $$'journal'$$, 't.journal_id', 'false'),
		-- later fundings ask for the trades that were executed since
		('trade', '', $$'execution'$$, 't.execution_id', 't.executed_at >= $2'),
		('settlement', '', $$CASE WHEN t.execution_id IS NULL THEN 'settlement' ELSE 'execution' END$$,
		 'coalesce(t.execution_id, t.settlement_id)', 'false'),
		('exchange', '', $$'exchange'$$, 't.exchange_id', 'false'),
		('shortfall', '', $$'shortfall'$$, 't.shortfall_id', 'false'),
		('shortfall_payment', '', $$'shortfall'$$, 't.shortfall_id', 'false'),
		('deleveraging', takeover.found, $$'execution'$$, 't.execution_id', takeover.is_open),
		('reset', '', $$'shortfall'$$, 't.shortfall_id', 'false'),
		('takeover', takeover.found, $$'execution'$$, 't.execution_id', takeover.is_open),
		('funding_payment',
		 'LEFT JOIN ledger.trade d ON t.trade_id <> 0 AND d.book_id = t.book_id AND d.trade_id = t.trade_id'
		 ' LEFT JOIN ledger.funding f ON f.book_id = t.book_id AND f.funding_id = t.funding_id',
		 $$CASE t.trade_id WHEN 0 THEN 'funding' ELSE 'execution' END$$,
		 'CASE t.trade_id WHEN 0 THEN t.funding_id ELSE d.execution_id END', 'f.funding_at >= $2'),
		('entry',
		 $$LEFT JOIN ledger.trade d ON t.kind IN ('realized_pnl', 'bust_pnl', 'trade_fee', 'fee_cut', 'late_funding', 'isolated_margin', 'takeover_result')
			AND d.book_id = t.book_id AND d.trade_id = t.cause
		  LEFT JOIN ledger.reset s ON t.kind = 'reset' AND s.book_id = t.book_id AND s.reset_id = t.cause
		  LEFT JOIN ledger.shortfall_payment y ON t.kind IN ('adl_gain', 'loss_share', 'shortfall_payment')
			AND y.book_id = t.book_id AND y.payment_id = t.cause
		  LEFT JOIN ledger.reversal r ON t.kind = 'reversal' AND r.book_id = t.book_id AND r.reversal_id = t.cause$$,
		 $$CASE WHEN d.trade_id IS NOT NULL THEN 'execution'
				WHEN s.reset_id IS NOT NULL OR y.payment_id IS NOT NULL THEN 'shortfall'
				WHEN r.reversal_id IS NOT NULL THEN r.original_kind
				WHEN t.kind IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee') THEN 'transfer'
				WHEN t.kind IN ('adjustment', 'repayment', 'waiver') THEN 'journal'
				WHEN t.kind = 'bust_settlement' THEN 'settlement'
				ELSE t.kind END$$,
		 'coalesce(d.execution_id, s.shortfall_id, y.shortfall_id, r.original_id, t.cause)', 'false'),
		-- tables without periods: their rows stay, and so do the causes of these
		('reversal', '', 't.original_kind', 't.original_id', 'true'),
		('open_shortfall', '', $$'shortfall'$$, 't.shortfall_id', 'true'),
		('bust', '', $$'execution'$$, 't.execution_id', 'true'),
		('debt', '', $$'shortfall'$$, 't.shortfall_id', 'true'),
		('repayment', '', $$'journal'$$, 't.journal_id', 'true'),
		('waiver', '', $$'journal'$$, 't.journal_id', 'true')
	   ) AS v(table_name, joins, kind, id, stays)
$function$;
COMMENT ON FUNCTION risk.row_causes() IS
	'For each table with a period, as SQL about its row t: the kind and number of the cause that it belongs to, the joins that these need, and whether the cause stays in any case ($2: the first instant of the day from which on all stays). Rows of one cause go together. Entries of a kind that is not named here belong to the cause with that kind and number. Of tables without periods, those are here whose rows risk.verify() compares with entries or with rows of other tables.';

CREATE FUNCTION risk.kept_rows(book_id int, before date, OUT kept bigint, OUT digest bytea)
RETURNS record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET intervalstyle = 'postgres'
SET bytea_output = 'hex'
SET row_security = off
AS $function$
BEGIN
	EXECUTE (SELECT 'SELECT count(*), risk.rows_digest(k.table_name, k.content ORDER BY k.table_name COLLATE "C", k.content COLLATE "C") FROM ('
					|| string_agg(format('SELECT %L::text AS table_name, jsonb_strip_nulls(to_jsonb(t))::text AS content FROM ledger.%I t'
										 ' WHERE t.book_id = $1 AND t.%s', c.relname, c.relname,
										 CASE c.relname WHEN 'funding' THEN 'funding_at < $2::timestamptz' ELSE 'period < $2' END),
								  ' UNION ALL ' ORDER BY c.relname) || ') k'
			   FROM pg_class c
			  WHERE c.relnamespace = 'ledger'::regnamespace AND NOT c.relispartition
				AND (c.relname = 'funding' OR c.relkind = 'p'))
	   INTO kept, digest
	  USING kept_rows.book_id, kept_rows.before;
END
$function$;
COMMENT ON FUNCTION risk.kept_rows(int, date) IS
	'How many rows of a book are kept of the periods before a day, fundings of that time among them, and their digest: risk.rows_digest() of the name of the table and of the row as jsonb, without what is NULL, at UTC, in the order of their bytes.';

CREATE FUNCTION risk.detached_tables() RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT DISTINCT t.name
	  FROM ledger.checkpoint k
	 CROSS JOIN LATERAL unnest(k.tables) AS t(name)
	  JOIN pg_class c ON c.oid = to_regclass(format('ledger.%I', t.name)) AND NOT c.relispartition
	 ORDER BY t.name
$function$;
COMMENT ON FUNCTION risk.detached_tables() IS
	'The tables that risk.retire() detached and that are still there: append-only, and for the owner of the ledger to dump and to drop.';

CREATE FUNCTION risk.keep_rows_of_causes(before date) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	rows_of record;
	members text;
	since timestamptz := before::timestamp AT TIME ZONE 'UTC';
BEGIN
	CREATE TEMP TABLE kept_cause (book_id int, kind text, id bigint) ON COMMIT DROP;
	SELECT string_agg(format('SELECT t.book_id, %s AS kind, (%s)::bigint AS id, %s AS goes, %s AS stays FROM ledger.%I t %s',
							 c.kind, c.id, CASE WHEN p.table_name IS NULL THEN 'false' ELSE 't.period < $1' END, c.stays, c.table_name, c.joins),
					  ' UNION ALL ') INTO members
	  FROM risk.row_causes() c
	  LEFT JOIN (SELECT DISTINCT p.table_name FROM risk.partitions() p) p ON p.table_name = c.table_name;
	EXECUTE 'INSERT INTO pg_temp.kept_cause SELECT m.book_id, m.kind, m.id FROM (' || members || ') m'
			' GROUP BY m.book_id, m.kind, m.id HAVING bool_or(m.goes) AND bool_or(NOT m.goes OR m.stays)'
	  USING before, since;
	ANALYZE pg_temp.kept_cause;
	FOR rows_of IN SELECT c.* FROM risk.row_causes() c WHERE c.table_name IN (SELECT p.table_name FROM risk.partitions() p) LOOP
		EXECUTE format('CREATE TEMP TABLE %I (LIKE ledger.%I) ON COMMIT DROP', 'kept_' || rows_of.table_name, rows_of.table_name);
		EXECUTE format('INSERT INTO pg_temp.%I SELECT t.* FROM ledger.%I t %s WHERE t.period < $1'
					   ' AND EXISTS (SELECT FROM pg_temp.kept_cause k WHERE k.book_id = t.book_id AND k.kind = %s AND k.id = %s)',
					   'kept_' || rows_of.table_name, rows_of.table_name, rows_of.joins, rows_of.kind, rows_of.id)
		  USING before;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.keep_rows_of_causes(date) IS
	'Finds the causes that have rows both before a day and later, and copies those of before it into temporary tables. A part of risk.retire().';

CREATE FUNCTION risk.write_openings(checkpoint_id int, since date, before date) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
	-- openings count as a trade that came before all that are there
	opening_at timestamptz := since::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond';
BEGIN
	INSERT INTO ledger.checkpoint_balance (book_id, slot, account_id, checkpoint_id, seq, posted_at, amount,
										   sealed_to, sealed_digest)
	SELECT l.book_id, l.slot, l.account_id, write_openings.checkpoint_id, l.seq, l.posted_at, l.balance_after,
		   r.to_seq, d.digest
	  FROM (SELECT DISTINCT ON (e.book_id, e.slot, e.account_id) e.*
			  FROM ledger.entry e
			 WHERE e.period >= since AND e.period < before
			 ORDER BY e.book_id, e.slot, e.account_id, e.seq DESC) l
	  LEFT JOIN LATERAL (
		SELECT r.to_seq FROM ledger.seal_range r
		 WHERE r.book_id = l.book_id AND r.slot = l.slot AND r.account_id = l.account_id AND r.from_seq <= l.seq
		 ORDER BY r.from_seq DESC LIMIT 1) r ON r.to_seq > l.seq
	  LEFT JOIN LATERAL (
		SELECT risk.rows_digest(e.book_id, e.slot, e.account_id, e.seq, e.posted_at, e.effective_at,
								e.cause, e.period, e.amount, e.balance_after, e.kind) AS digest
		  FROM (SELECT e.* FROM ledger.entry e
				 WHERE e.book_id = l.book_id AND e.slot = l.slot AND e.account_id = l.account_id
				   AND e.seq > l.seq AND e.seq <= r.to_seq
				 ORDER BY e.seq, e.period) e) d ON true;

	-- All that is before the day, less what is kept, and what went earlier.  The
	-- value of a trade is the one that risk.verify() has for it.
	WITH old_trade AS (
		SELECT 1 AS sign, t.* FROM ledger.trade t WHERE t.period < before
		UNION ALL
		SELECT -1, t.* FROM pg_temp.kept_trade t
	), change AS (
		SELECT t.book_id, t.account_id, t.instrument_id, t.sign AS trades, t.sign * d.qty AS qty, t.sign * v.value AS cost, 0 AS residue
		  FROM old_trade t
		  JOIN ledger.instrument i ON i.instrument_id = t.instrument_id
		  JOIN ledger.asset a ON a.asset_code = i.settle_asset
		 CROSS JOIN LATERAL (SELECT CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty) d
		 CROSS JOIN LATERAL (SELECT CASE WHEN i.kind <> 'inverse' THEN d.qty * t.price * i.multiplier
									 ELSE -sign(d.qty) * div(2 * t.qty * i.multiplier * ('1e' || a.scale + 8)::numeric + t.price, 2 * t.price)
										  * ('1e-' || a.scale + 8)::numeric END AS value) v
		UNION ALL
		SELECT t.book_id, t.account_id, t.instrument_id, 0, 0, e.sign * e.amount, 0
		  FROM (SELECT 1 AS sign, e.* FROM ledger.entry e WHERE e.period < before AND e.kind IN ('realized_pnl', 'bust_pnl')
				UNION ALL
				SELECT -1, e.* FROM pg_temp.kept_entry e WHERE e.kind IN ('realized_pnl', 'bust_pnl')) e
		  JOIN ledger.trade t ON t.book_id = e.book_id AND t.trade_id = e.cause AND t.account_id = e.account_id
		UNION ALL
		SELECT s.book_id, s.account_id, s.instrument_id, 0, 0,
			   CASE WHEN s.execution_id IS NULL THEN s.sign * s.amount ELSE 0 END,
			   CASE s.kind WHEN 'residue' THEN s.sign * s.amount ELSE 0 END
		  FROM (SELECT 1 AS sign, s.* FROM ledger.settlement s WHERE s.period < before
				UNION ALL
				SELECT -1, s.* FROM pg_temp.kept_settlement s) s
	)
	INSERT INTO ledger.checkpoint_position (book_id, instrument_id, account_id, checkpoint_id, trades, qty, cost, residue)
	SELECT c.book_id, c.instrument_id, c.account_id, write_openings.checkpoint_id, coalesce(o.trades, 0) + c.trades,
		   coalesce(o.qty, 0) + c.qty, coalesce(o.cost, 0) + c.cost, coalesce(o.residue, 0) + c.residue
	  FROM (SELECT c.book_id, c.account_id, c.instrument_id, sum(c.trades) AS trades, sum(c.qty) AS qty,
				   sum(c.cost) AS cost, sum(c.residue) AS residue
			  FROM change c
			 GROUP BY c.book_id, c.account_id, c.instrument_id) c
	  LEFT JOIN LATERAL (
		SELECT o.* FROM ledger.checkpoint_position o
		 WHERE o.book_id = c.book_id AND o.account_id = c.account_id AND o.instrument_id = c.instrument_id
		 ORDER BY o.checkpoint_id DESC LIMIT 1) o ON true
	 WHERE (c.trades, c.qty, c.cost, c.residue) <> (0, 0, 0, 0);

	WITH old_trade AS (
		SELECT 1 AS sign, t.* FROM ledger.trade t WHERE t.period < before
		UNION ALL
		SELECT -1, t.* FROM pg_temp.kept_trade t
	), step AS (
		SELECT t.book_id, t.instrument_id, t.account_id, t.executed_at, t.trade_id,
			   t.sign * CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty
		  FROM old_trade t
		UNION ALL
		SELECT o.book_id, o.instrument_id, o.account_id, opening_at, 0, o.qty
		  FROM (SELECT DISTINCT ON (o.book_id, o.account_id, o.instrument_id) o.*
				  FROM ledger.checkpoint_position o
				 WHERE o.checkpoint_id < write_openings.checkpoint_id
				 ORDER BY o.book_id, o.account_id, o.instrument_id, o.checkpoint_id DESC) o
	), change AS (
		-- trades executed before a funding, less what took part in it
		SELECT h.book_id, 'funding' AS kind, g.funding_id AS id, h.account_id, h.qty AS amount
		  FROM (SELECT s.book_id, s.instrument_id, s.account_id, s.executed_at, sum(s.qty) OVER held AS qty,
					   lead(s.executed_at, 1, 'infinity'::timestamptz) OVER held AS until
				  FROM step s
				WINDOW held AS (PARTITION BY s.book_id, s.instrument_id, s.account_id
								ORDER BY s.executed_at, s.trade_id
								ROWS UNBOUNDED PRECEDING)) h
		  JOIN ledger.funding g ON g.book_id = h.book_id AND g.instrument_id = h.instrument_id
							   AND g.funding_at > h.executed_at AND g.funding_at <= h.until
		 WHERE g.rate <> 0 AND g.funding_at < before::timestamp AT TIME ZONE 'UTC'
		UNION ALL
		SELECT p.book_id, 'funding', p.funding_id, p.account_id, p.sign * -p.qty
		  FROM (SELECT 1 AS sign, p.* FROM ledger.funding_payment p WHERE p.period < before
				UNION ALL
				SELECT -1, p.* FROM pg_temp.kept_funding_payment p) p
		UNION ALL
		SELECT t.book_id, 'hold', t.hold_id, t.from_account, t.sign * t.amount
		  FROM (SELECT 1 AS sign, t.* FROM ledger.transfer t WHERE t.period < before AND t.hold_id IS NOT NULL
				UNION ALL
				SELECT -1, t.* FROM pg_temp.kept_transfer t WHERE t.hold_id IS NOT NULL) t
		UNION ALL
		SELECT r.book_id, 'realized', coalesce(r.instrument_id, 0), r.account_id, r.amount
		  FROM ledger.realized_result r
		 WHERE r.period < before
		   AND NOT EXISTS (SELECT FROM pg_temp.kept_entry k
							WHERE k.book_id = r.book_id AND k.slot = 0 AND k.account_id = r.account_id AND k.seq = r.seq)
	)
	INSERT INTO ledger.checkpoint_cause (book_id, kind, id, account_id, checkpoint_id, amount)
	SELECT c.book_id, c.kind, c.id, c.account_id, write_openings.checkpoint_id, coalesce(o.amount, 0) + c.amount
	  FROM (SELECT c.book_id, c.kind, c.id, c.account_id, sum(c.amount) AS amount
			  FROM change c
			 GROUP BY c.book_id, c.kind, c.id, c.account_id) c
	  LEFT JOIN LATERAL (
		SELECT o.* FROM ledger.checkpoint_cause o
		 WHERE o.book_id = c.book_id AND o.kind = c.kind AND o.id = c.id AND o.account_id = c.account_id
		 ORDER BY o.checkpoint_id DESC LIMIT 1) o ON true
	 WHERE c.amount <> 0;
END
$function$;
COMMENT ON FUNCTION risk.write_openings(int, date, date) IS
	'Writes what the rows before a day, less those that risk.keep_rows_of_causes() keeps, leave of balances, positions, holds, fundings and realised results: the rows of a checkpoint. since: the day of the checkpoint before. A part of risk.retire().';

CREATE FUNCTION risk.write_checkpoint(checkpoint_id int, before date, tables text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	said record;
	made ledger.checkpoint;
BEGIN
	FOR said IN
		SELECT b.book_id, l.head AS last_head, s.seal_id, s.head AS seal_head, r.kept, r.digest AS kept_digest,
			   coalesce(i.keys, 0) AS keys, i.digest AS keys_digest, clock_timestamp() AS posted_at,
			   (SELECT risk.rows_digest(o.slot, o.account_id, o.seq, o.posted_at, o.amount, o.sealed_to, o.sealed_digest
										ORDER BY o.slot, o.account_id)
				  FROM ledger.checkpoint_balance o
				 WHERE o.book_id = b.book_id AND o.checkpoint_id = write_checkpoint.checkpoint_id) AS balances,
			   (SELECT risk.rows_digest(o.instrument_id, o.account_id, o.trades, o.qty, o.cost, o.residue
										ORDER BY o.account_id, o.instrument_id)
				  FROM ledger.checkpoint_position o
				 WHERE o.book_id = b.book_id AND o.checkpoint_id = write_checkpoint.checkpoint_id) AS positions,
			   (SELECT risk.rows_digest(o.kind, o.id, o.account_id, o.amount ORDER BY o.kind COLLATE "C", o.id, o.account_id)
				  FROM ledger.checkpoint_cause o
				 WHERE o.book_id = b.book_id AND o.checkpoint_id = write_checkpoint.checkpoint_id) AS causes
		  FROM ledger.book b
		 CROSS JOIN LATERAL risk.kept_rows(b.book_id, write_checkpoint.before) r
		  LEFT JOIN pg_temp.gone_key i ON i.book_id = b.book_id
		  LEFT JOIN LATERAL (SELECT s.* FROM ledger.seal s WHERE s.book_id = b.book_id ORDER BY s.seal_id DESC LIMIT 1) s ON true
		  LEFT JOIN LATERAL (SELECT l.* FROM ledger.checkpoint l WHERE l.book_id = b.book_id ORDER BY l.checkpoint_id DESC LIMIT 1) l ON true
		 ORDER BY b.book_id
	LOOP
		INSERT INTO ledger.checkpoint AS k (book_id, checkpoint_id, before, posted_at, seal_id, seal_head, kept, kept_digest,
											keys, keys_digest, tables, head, who)
		SELECT said.book_id, write_checkpoint.checkpoint_id, write_checkpoint.before, said.posted_at, said.seal_id,
			   said.seal_head, said.kept, said.kept_digest, said.keys, said.keys_digest, write_checkpoint.tables,
			   risk.rows_digest(said.last_head, said.book_id, write_checkpoint.checkpoint_id, write_checkpoint.before,
								said.posted_at, said.seal_id, said.seal_head, said.kept, said.kept_digest,
								said.keys, said.keys_digest, array_to_string(write_checkpoint.tables, ','),
								session_user::text, said.balances, said.positions, said.causes),
			   session_user
		RETURNING k.* INTO STRICT made;
		INSERT INTO ledger.event (book_id, kind, payload)
		VALUES (made.book_id, 'checkpoint', jsonb_build_object('checkpoint_id', made.checkpoint_id, 'before', made.before,
															   'head', encode(made.head, 'hex')));
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.write_checkpoint(int, date, text[]) IS
	'Writes the checkpoint of every book, when its rows are there and the tables are detached, and records it as an event. A part of risk.retire().';

CREATE FUNCTION risk.retire(before date) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET row_security = off
SET lock_timeout = '5s'
AS $function$
#variable_conflict use_column
DECLARE
	today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
	since date;
	cut date;
	next_id int;
	fault record;
	part record;
	detached text[];
	in_default boolean;
BEGIN
	IF (retire.before <= today - 2) IS NOT TRUE THEN
		RAISE EXCEPTION 'periods before % cannot be retired yet', coalesce(retire.before::text, 'NULL')
			USING ERRCODE = '22023', DETAIL = format('Today is %s, in UTC, and what is posted at midnight may be of the day before.', today),
				  HINT = format('A period can go two days after it ended: name %s or a day before it.', today - 2);
	END IF;
	IF NOT EXISTS (SELECT FROM risk.partitions()) THEN
		RAISE EXCEPTION 'the tables of the ledger are not partitioned'
			USING ERRCODE = '55000', DETAIL = 'Only partitions can be detached.',
				  HINT = 'Plain tables stay plain; a new ledger can be made partitioned: risk.install(partition => ''month'').';
	END IF;
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'periods cannot be retired in a transaction that is %', current_setting('transaction_isolation')
			USING ERRCODE = '55000', DETAIL = 'It would not see what was posted while it waited for locks.',
				  HINT = 'Call risk.retire() at READ COMMITTED.';
	END IF;
	PERFORM pg_advisory_xact_lock('ledger.checkpoint'::regclass::oid::int, 0);
	SELECT coalesce(max(k.before), '-infinity'), coalesce(max(k.checkpoint_id), 0) + 1 INTO since, next_id FROM ledger.checkpoint k;
	SELECT max(p.to_period) INTO cut FROM risk.partitions() p WHERE p.to_period <= retire.before AND p.to_period > since;
	IF cut IS NULL THEN
		RETURN;
	END IF;

	-- 1. What must be so.
	SELECT x.fault, x.remedy INTO fault
	  FROM (SELECT format('Partition %s has periods on both sides of %s.', p.partition_name, cut) AS fault,
				   'Name a day on which a partition of every table ends.' AS remedy
			  FROM risk.partitions() p WHERE p.from_period < cut AND p.to_period > cut
			UNION ALL
			SELECT format('Table %s has no partition after it.', t.table_name), 'Run SELECT risk.create_partitions().'
			  FROM (SELECT p.table_name FROM risk.partitions() p GROUP BY p.table_name
					HAVING max(p.to_period) <= cut OR max(p.to_period) IS NULL) t
			UNION ALL
			SELECT format('What rows of table %s belong to is not known.', p.table_name), 'It has to be in risk.row_causes().'
			  FROM risk.partitions() p WHERE p.table_name NOT IN (SELECT c.table_name FROM risk.row_causes() c)) x
	 ORDER BY x.fault LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'periods before % cannot be retired', cut
			USING ERRCODE = '55000', DETAIL = fault.fault, HINT = fault.remedy;
	END IF;
	-- from here on the old partitions stand still
	FOR part IN SELECT p.* FROM risk.partitions() p WHERE p.to_period <= cut ORDER BY p.partition_name LOOP
		EXECUTE format('LOCK TABLE ledger.%I IN SHARE MODE', part.partition_name);
	END LOOP;
	FOR part IN SELECT p.* FROM risk.partitions() p WHERE p.from_period IS NULL ORDER BY p.partition_name LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM ledger.%I WHERE period < $1)', part.partition_name) INTO in_default USING cut;
		IF in_default THEN
			RAISE EXCEPTION 'periods before % cannot be retired', cut
				USING ERRCODE = '55000', DETAIL = format('Partition %s has rows of them.', part.partition_name),
					  HINT = 'Make their partition first, with risk.create_partition(table_name, from_period, to_period).';
		END IF;
	END LOOP;
	SELECT v.* INTO fault FROM risk.verify() v WHERE v.violations > 0 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'periods before % cannot be retired while the books are wrong', cut
			USING ERRCODE = '55000', DETAIL = format('Check %s: %s.', fault.check_name, fault.first_offender),
				  HINT = 'A checkpoint says that what goes was right. See what risk.verify() says.';
	END IF;
	SELECT e.* INTO fault
	  FROM (SELECT e.book_id, e.account_id, e.slot, max(e.seq) AS seq FROM ledger.entry e
			 WHERE e.period >= since AND e.period < cut GROUP BY e.book_id, e.account_id, e.slot) e
	 WHERE NOT EXISTS (SELECT FROM ledger.seal_range r
						WHERE r.book_id = e.book_id AND r.slot = e.slot AND r.account_id = e.account_id AND r.to_seq >= e.seq)
	 ORDER BY e.book_id, e.account_id, e.slot LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'periods before % are not sealed', cut
			USING ERRCODE = '55000',
				  DETAIL = format('Book %s, account %s, slot %s: entry %s is in no seal.', fault.book_id, fault.account_id, fault.slot, fault.seq),
				  HINT = format('Run SELECT risk.seal(%s), and keep its head.', fault.book_id);
	END IF;

	-- 2. What the checkpoint says.
	LOCK TABLE ledger.reversal, ledger.funding IN SHARE ROW EXCLUSIVE MODE;
	PERFORM risk.keep_rows_of_causes(cut);
	PERFORM risk.write_openings(next_id, since, cut);
	CREATE TEMP TABLE gone_key (book_id int, keys bigint, digest bytea) ON COMMIT DROP;
	EXECUTE (SELECT 'INSERT INTO pg_temp.gone_key SELECT i.book_id, count(*),'
					' risk.rows_digest(i.idempotency_key, i.kind, i.id, i.digest ORDER BY i.idempotency_key COLLATE "C")'
					' FROM ledger.idempotency i WHERE i.kind IN (' || string_agg(quote_literal(t.relname), ', ') || ')'
					' AND NOT EXISTS (SELECT FROM ('
					|| string_agg(format('SELECT t.book_id, %1$L AS kind, t.%2$I AS id FROM ledger.%1$I t WHERE t.idempotency_key IS NOT NULL AND t.period >= $1'
										 ' UNION ALL SELECT t.book_id, %1$L, t.%2$I FROM pg_temp.%3$I t',
										 t.relname, t.relname || '_id', 'kept_' || t.relname), ' UNION ALL ') || ') r'
					' WHERE r.book_id = i.book_id AND r.kind = i.kind AND r.id = i.id) GROUP BY i.book_id'
			   FROM pg_class t
			   JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'idempotency_key' AND NOT a.attisdropped
			  WHERE t.relnamespace = 'ledger'::regnamespace AND t.relkind = 'p')
	  USING cut;

	-- 3. The old partitions go.  Whoever posts waits now, so the wait for those
	-- in flight is short, shorter than it takes to call it a deadlock: then it
	-- begins anew.
	FOR attempt IN 1 .. 20 LOOP
		BEGIN
			SET LOCAL lock_timeout = '500ms';
			EXECUTE (SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', string_agg(DISTINCT format('ONLY ledger.%I', p.table_name), ', '))
					   FROM risk.partitions() p);
			EXIT;
		EXCEPTION WHEN lock_not_available THEN
			IF attempt = 20 THEN
				RAISE;
			END IF;
			PERFORM pg_sleep(0.5);
		END;
	END LOOP;
	SELECT array_agg(p.partition_name ORDER BY p.partition_name) INTO detached
	  FROM risk.partitions() p WHERE p.to_period <= cut AND p.to_period > since;
	FOR part IN SELECT p.* FROM risk.partitions() p WHERE p.to_period <= cut ORDER BY p.partition_name LOOP
		EXECUTE format('ALTER TABLE ledger.%I DETACH PARTITION ledger.%I', part.table_name, part.partition_name);
		IF part.partition_name = ANY (detached) THEN
			EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', part.partition_name,
						   format('The rows of ledger.%s with a period from %s on and before %s. Detached: they are proven by the checkpoints of before %s and by the seals.',
								  part.table_name, part.from_period, part.to_period, cut));
		ELSE
			EXECUTE format('DROP TABLE ledger.%I', part.partition_name);
		END IF;
	END LOOP;
	FOR part IN SELECT DISTINCT p.table_name FROM risk.partitions() p ORDER BY p.table_name LOOP
		EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
					   part.table_name || '_kept', part.table_name);
		EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', part.table_name || '_kept',
					   format('Rows of ledger.%s with a period before %s that are kept, because others of their cause are there.', part.table_name, cut));
		EXECUTE format('INSERT INTO ledger.%I SELECT * FROM pg_temp.%I', part.table_name || '_kept', 'kept_' || part.table_name);
		EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (''-infinity'') TO (%L)',
					   part.table_name, part.table_name || '_kept', cut);
	END LOOP;
	PERFORM risk.write_checkpoint(next_id, cut, detached);
	PERFORM risk.create_triggers();
	PERFORM risk.close_partitions();
	FOR part IN SELECT DISTINCT p.table_name FROM risk.partitions() p LOOP
		EXECUTE format('DROP TABLE pg_temp.%I', 'kept_' || part.table_name);
	END LOOP;
	DROP TABLE pg_temp.kept_cause, pg_temp.gone_key;
	RETURN QUERY SELECT t.name FROM unnest(detached) AS t(name);
END
$function$;
COMMENT ON FUNCTION risk.retire(date) IS
	'Takes old periods out of the tables: writes a checkpoint for each book, detaches every partition whose periods are all before that day, and returns their names. risk.verify() proves the books from the checkpoint on. The detached tables keep their names and their rows, take no more, and are for the owner to dump and drop; they are not attached again. Kept are causes with rows on both sides of the day, and those of what is open: debts, shortfalls on suspense, and takeovers that auto-deleveraging may still ask for. Before it: the books are right, their old entries are sealed, and partitions end on that day or before it, in every table. Reads the whole ledger, and then locks everybody out of the tables for as long as detaching takes, which cannot be done CONCURRENTLY in a function. Whoever wants to be sure calls risk.verify() in the same transaction. Nothing to detach: no rows. For the owner of the ledger, at READ COMMITTED. 22023 for a day that is not two days ago; 55000 for plain tables, wrong books, entries that are not sealed, or partitions that do not end together; 55P03 when others read or write the tables for too long: try again.';

CREATE FUNCTION risk.check_checkpoints(book_id int DEFAULT NULL)
RETURNS TABLE (check_name text, violations bigint, first_offender text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET row_security = off
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
	since date := (SELECT max(k.before) FROM ledger.checkpoint k);
BEGIN
	RETURN QUERY
	WITH chain AS (
		SELECT k.*, lag(k.checkpoint_id) OVER w AS last_id, lag(k.head) OVER w AS last_head, lag(k.before) OVER w AS last_before
		  FROM ledger.checkpoint k
		 WHERE check_checkpoints.book_id IS NULL OR k.book_id = check_checkpoints.book_id
		WINDOW w AS (PARTITION BY k.book_id ORDER BY k.checkpoint_id)
	), balances AS (
		SELECT o.book_id, o.checkpoint_id, risk.rows_digest(o.slot, o.account_id, o.seq, o.posted_at, o.amount, o.sealed_to, o.sealed_digest
															ORDER BY o.slot, o.account_id) AS digest
		  FROM ledger.checkpoint_balance o
		 WHERE check_checkpoints.book_id IS NULL OR o.book_id = check_checkpoints.book_id
		 GROUP BY o.book_id, o.checkpoint_id
	), positions AS (
		SELECT o.book_id, o.checkpoint_id, risk.rows_digest(o.instrument_id, o.account_id, o.trades, o.qty, o.cost, o.residue
															ORDER BY o.account_id, o.instrument_id) AS digest
		  FROM ledger.checkpoint_position o
		 WHERE check_checkpoints.book_id IS NULL OR o.book_id = check_checkpoints.book_id
		 GROUP BY o.book_id, o.checkpoint_id
	), causes AS (
		SELECT o.book_id, o.checkpoint_id, risk.rows_digest(o.kind, o.id, o.account_id, o.amount
															ORDER BY o.kind COLLATE "C", o.id, o.account_id) AS digest
		  FROM ledger.checkpoint_cause o
		 WHERE check_checkpoints.book_id IS NULL OR o.book_id = check_checkpoints.book_id
		 GROUP BY o.book_id, o.checkpoint_id
	), told AS (
		SELECT e.book_id, n.checkpoint_id, min(e.payload ->> 'head') AS head, count(*) AS n
		  FROM ledger.event e
		 CROSS JOIN LATERAL (
			SELECT CASE WHEN e.payload ->> 'checkpoint_id' ~ '^[0-9]{1,9}$' THEN (e.payload ->> 'checkpoint_id')::int ELSE 0 END AS checkpoint_id) n
		 WHERE e.kind = 'checkpoint'
		   AND (check_checkpoints.book_id IS NULL OR e.book_id = check_checkpoints.book_id)
		 GROUP BY e.book_id, n.checkpoint_id
	), computed AS (
		SELECT k.book_id, k.checkpoint_id,
			   risk.rows_digest(k.last_head, k.book_id, k.checkpoint_id, k.before, k.posted_at, k.seal_id, k.seal_head,
								k.kept, k.kept_digest, k.keys, k.keys_digest, array_to_string(k.tables, ','), k.who,
								b.digest, p.digest, c.digest) AS head
		  FROM chain k
		  LEFT JOIN balances b USING (book_id, checkpoint_id)
		  LEFT JOIN positions p USING (book_id, checkpoint_id)
		  LEFT JOIN causes c USING (book_id, checkpoint_id)
		 GROUP BY k.book_id, k.checkpoint_id
	)
	SELECT 'checkpoints', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, checkpoint %s: %s', f.book_id, coalesce(f.checkpoint_id::text, 'none'), f.fault) AS offender
			  FROM (SELECT book_id, checkpoint_id,
						   CASE WHEN k.head IS NULL AND t.n > 0 THEN format('missing, its event says head %s', t.head)
								WHEN k.head IS NULL THEN 'missing, rows of it are there'
								WHEN checkpoint_id <> k.last_id + 1 THEN format('the one before is checkpoint %s', k.last_id)
								WHEN k.before <= k.last_before THEN format('of before %s, and the one before it of before %s', k.before, k.last_before)
								WHEN t.n IS NULL THEN 'its event is missing'
								WHEN t.n > 1 THEN format('there are %s events of it', t.n)
								WHEN t.head IS DISTINCT FROM encode(k.head, 'hex')
								THEN format('head %s, its event says %s', encode(k.head, 'hex'), t.head)
								WHEN k.head <> c.head THEN format('head %s, computed %s', encode(k.head, 'hex'), encode(c.head, 'hex'))
								WHEN s.head IS DISTINCT FROM k.seal_head
								THEN format('it names seal %s with head %s, which is not there', k.seal_id, encode(k.seal_head, 'hex'))
						   END AS fault
					  FROM chain k
					  FULL JOIN (SELECT book_id, checkpoint_id FROM balances UNION SELECT book_id, checkpoint_id FROM positions
								 UNION SELECT book_id, checkpoint_id FROM causes) r USING (book_id, checkpoint_id)
					  FULL JOIN told t USING (book_id, checkpoint_id)
					  LEFT JOIN computed c USING (book_id, checkpoint_id)
					  LEFT JOIN LATERAL (SELECT s.head FROM ledger.seal s WHERE s.book_id = k.book_id AND s.seal_id = k.seal_id) s ON true
					UNION ALL
					-- what is there of before the last of them
					SELECT b.book_id, k.checkpoint_id,
						   CASE WHEN coalesce(k.before, since) <> since THEN format('the last one is of before %s, others are of before %s', k.before, since)
								WHEN r.kept <> coalesce(k.kept, 0) THEN format('%s rows of before %s, it kept %s', r.kept, since, coalesce(k.kept, 0))
								WHEN r.digest IS DISTINCT FROM k.kept_digest THEN format('the rows of before %s are not those that it kept', since)
						   END
					  FROM ledger.book b
					  LEFT JOIN LATERAL (SELECT k.* FROM ledger.checkpoint k WHERE k.book_id = b.book_id ORDER BY k.checkpoint_id DESC LIMIT 1) k ON true
					 CROSS JOIN LATERAL risk.kept_rows(b.book_id, since) r
					 WHERE since IS NOT NULL
					   AND (check_checkpoints.book_id IS NULL OR b.book_id = check_checkpoints.book_id)) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.checkpoint_id, f.fault
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_checkpoints(int) IS
	'What risk.verify() says of checkpoints, of one book or all: the chain is without a gap, each head is the digest of its checkpoint, of its rows and of the head before, each has its event and its seal, and of the periods before the last one the tables have what it kept and nothing else.';

REVOKE ALL ON FUNCTION
	risk.keep_rows_of_causes(date), risk.write_openings(int, date, date), risk.write_checkpoint(int, date, text[]),
	risk.retire(date)
FROM PUBLIC;
