-- sweep.sql
--		Which accounts the marks of the moment make due, found by the triggers
--		of their positions and not by asking everybody.
--
-- Postings keep the triggers, see src/trigger_price.c.  What changes the
-- requirements of many accounts at once is noted in ledger.margin_change, and
-- the sweep brings the triggers that it concerns up to date before it looks.

CREATE FUNCTION risk.create_sweep_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.margin_change (
		change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		instrument_id int,
		policy_code text,
		effective_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		horizon xid8,
		who text NOT NULL DEFAULT session_user,
		CONSTRAINT margin_change_is_of_one_thing CHECK ((instrument_id IS NULL) <> (policy_code IS NULL))
	);
	COMMENT ON TABLE ledger.margin_change IS
		'Changes of what positions require that their triggers do not know yet: written by triggers, taken out by risk.sweep() when every position concerned has been judged again.';
	COMMENT ON COLUMN ledger.margin_change.change_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.margin_change.instrument_id IS 'The instrument whose tiers, scale or market data have changed; NULL: a policy has.';
	COMMENT ON COLUMN ledger.margin_change.policy_code IS 'The policy that has a new version; NULL: an instrument has changed.';
	COMMENT ON COLUMN ledger.margin_change.effective_at IS 'From when on it counts.';
	COMMENT ON COLUMN ledger.margin_change.horizon IS 'Transactions before this one may have posted without knowing of it: while one of them runs the row stays. NULL: no sweep has seen it since it counts.';
	COMMENT ON COLUMN ledger.margin_change.who IS 'Who made the change.';
END
$function$;
COMMENT ON FUNCTION risk.create_sweep_tables() IS
	'Makes the table of changes that triggers do not know yet. Called by risk.install().';

CREATE FUNCTION risk.note_margin_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF TG_TABLE_NAME = 'policy' THEN
		INSERT INTO ledger.margin_change (policy_code, effective_at) VALUES (NEW.policy_code, NEW.effective_at);
	ELSIF TG_TABLE_NAME = 'instrument' THEN
		-- more of either only makes the fee smaller
		IF NEW.depth_ratio < OLD.depth_ratio OR NEW.reference_notional IS DISTINCT FROM OLD.reference_notional THEN
			INSERT INTO ledger.margin_change (instrument_id) VALUES (NEW.instrument_id);
		END IF;
	ELSE
		INSERT INTO ledger.margin_change (instrument_id)
		SELECT DISTINCT i FROM unnest(ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN OLD.instrument_id END,
											CASE WHEN TG_OP <> 'DELETE' THEN NEW.instrument_id END]) AS i
		 WHERE i IS NOT NULL;
	END IF;
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION risk.note_margin_change() IS
	'Notes in ledger.margin_change that the tiers, scale or market data of an instrument, or a policy, have changed.';

CREATE FUNCTION risk.reband_accounts(book_id int, account_ids bigint[], wait boolean) RETURNS int
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'risk_reband_accounts';
COMMENT ON FUNCTION risk.reband_accounts(int, bigint[], boolean) IS
	'Reckons the triggers of these accounts anew and returns how many accounts it were. With wait it waits for those that another transaction has locked, without it leaves them out.';

-- Statements over views look dear to the planner and touch few rows: compiling
-- them would take longer than running them, and so would planning them again
-- for each account.  So jit is off in what follows, and plans are generic.

CREATE FUNCTION risk.reband(max_accounts int DEFAULT 1000) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $function$
DECLARE
	change ledger.margin_change;
	part record;
	done boolean := true;
BEGIN
	FOR change IN
		SELECT * FROM ledger.margin_change c
		 WHERE c.effective_at <= clock_timestamp() AND risk.lock_if_free('ledger.margin_change', c.ctid)
		 ORDER BY c.change_id
	LOOP
		done := true;
		FOR part IN
			SELECT n.book_id, array_agg(n.account_id) AS ids
			  FROM (SELECT a.book_id, a.account_id, row_number() OVER (PARTITION BY a.book_id ORDER BY a.account_id) AS place
					  FROM (SELECT DISTINCT p.book_id, p.account_id
							  FROM ledger.book b
							  JOIN ledger.position p ON (p.book_id::bigint << 32) + p.instrument_id = (b.book_id::bigint << 32) + change.instrument_id
							 WHERE p.qty <> 0 AND p.account_id > 0
							UNION
							SELECT a.book_id, a.account_id FROM ledger.account a
							 WHERE a.policy_code = change.policy_code AND a.kind = 'trader'
							   AND EXISTS (SELECT FROM ledger.position p
											WHERE p.book_id = a.book_id AND p.account_id = a.account_id AND p.qty <> 0 OFFSET 0)) a) n
			 GROUP BY n.book_id, (n.place - 1) / max_accounts
			 ORDER BY n.book_id, min(n.account_id)
		LOOP
			done := risk.reband_accounts(part.book_id, part.ids, false) = cardinality(part.ids) AND done;
		END LOOP;
		-- Whoever posted while the change was made, and did not see it, has
		-- ended by the time at which this pass counts as the last.
		IF change.horizon IS NULL THEN
			UPDATE ledger.margin_change c SET horizon = pg_snapshot_xmax(pg_current_snapshot()) WHERE c.change_id = change.change_id;
		ELSIF done AND pg_snapshot_xmin(pg_current_snapshot()) >= change.horizon THEN
			DELETE FROM ledger.margin_change c WHERE c.change_id = change.change_id;
		END IF;
	END LOOP;
	RETURN NOT EXISTS (SELECT FROM ledger.margin_change c WHERE c.effective_at <= clock_timestamp());
END
$function$;
COMMENT ON FUNCTION risk.reband(int) IS
	'Brings the triggers up to date that changes of tiers, scales, policies and market data concern (ledger.margin_change), so many accounts at a time, and says whether nothing is left to do. A change is left for another time while a transaction runs that may not have seen it, or an account is locked by another one. risk.sweep() calls it first.';

CREATE FUNCTION risk.due_accounts(instrument_id int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT DISTINCT d.book_id, d.account_id
	  FROM ledger.instrument i
	  LEFT JOIN ledger.mark_price m ON m.instrument_id = i.instrument_id
	 CROSS JOIN LATERAL (
		SELECT p.book_id, p.account_id FROM ledger.position p
		 WHERE p.instrument_id = i.instrument_id AND p.qty > 0
		   AND p.trigger_price IS NOT NULL AND p.trigger_price >= coalesce(m.price, 'Infinity')
		UNION ALL
		SELECT p.book_id, p.account_id FROM ledger.position p
		 WHERE p.instrument_id = i.instrument_id AND p.qty < 0
		   AND p.trigger_price IS NOT NULL AND p.trigger_price <= coalesce(m.price, 0)) d
	 WHERE $1 IS NULL OR i.instrument_id = $1;
END
$function$;
COMMENT ON FUNCTION risk.due_accounts(int) IS
	'The accounts whose mark in an instrument, or in any, has reached the trigger of their position: no other can be liquidated, but not all of these can. Asks for the mark as it is, not for where it moved.';

CREATE FUNCTION risk.require_read_committed(what text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION '% at READ COMMITTED', what
			USING ERRCODE = '55000', DETAIL = format('The transaction is at %s: it would judge accounts by what has passed.',
													 upper(current_setting('transaction_isolation'))),
				  HINT = 'Begin another transaction.';
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.require_read_committed(text) IS
	'55000 in a transaction at another isolation level, where accounts would be judged by its snapshot. A part of risk.sweep_account() and risk.alert_account().';

-- Who is found is judged in full, in the views, with the balance locked: what
-- a mark has done since, or somebody else, is seen.
CREATE FUNCTION risk.sweep_account(book_id int, account_id bigint)
RETURNS TABLE (result text, liquidation_id bigint, detail text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
	ids bigint[];
	locked bigint[];
	due boolean;
	stops boolean;
	open_order bigint;
BEGIN
	PERFORM risk.require_read_committed('a sweep runs');
	liquidation_id := NULL;
	detail := NULL;
	BEGIN
		-- in a margin group all members may have to pay
		SELECT array_agg(m.account_id ORDER BY m.account_id) INTO ids
		  FROM ledger.account a
		  JOIN ledger.account m ON m.book_id = a.book_id
							   AND (m.account_id = a.account_id
									OR a.in_group AND m.in_group AND m.owner_id = a.owner_id AND m.status <> 'closed')
		 WHERE a.book_id = sweep_account.book_id AND a.account_id = sweep_account.account_id AND a.kind = 'trader';
		IF ids IS NULL THEN
			RAISE EXCEPTION 'account % of book % is no account of a trader', sweep_account.account_id, sweep_account.book_id
				USING ERRCODE = '23503', HINT = 'See the table account.';
		END IF;
		SELECT array_agg(b.account_id) INTO locked
		  FROM ledger.balance b
		 WHERE b.book_id = sweep_account.book_id AND b.slot = 0 AND b.account_id = ANY (ids)
		   AND risk.lock_if_free('ledger.balance', b.ctid);
		IF cardinality(locked) IS DISTINCT FROM cardinality(ids) THEN
			RAISE SQLSTATE 'RX001';
		END IF;
		SELECT o.order_id INTO open_order FROM ledger.liquidation_order o
		 WHERE o.book_id = sweep_account.book_id AND o.account_id = sweep_account.account_id AND o.state = 'open';
		-- by the same marks, a stop order goes first: it may save the account
		SELECT r.liquidatable, risk.has_due_stop_order(r.book_id, ids) INTO due, stops
		  FROM ledger.account_risk r
		 WHERE r.book_id = sweep_account.book_id AND r.account_id = sweep_account.account_id;
		IF due AND stops AND open_order IS NULL THEN
			RAISE SQLSTATE 'RX001';
		END IF;
		IF due OR open_order IS NOT NULL THEN
			liquidation_id := CASE WHEN open_order IS NULL THEN risk.liquidate(sweep_account.book_id, sweep_account.account_id)
								   ELSE risk.continue_liquidation(sweep_account.book_id, open_order) END;
			-- who pays is settled here, so that an account whose policy refuses stops no other
			SET CONSTRAINTS ALL IMMEDIATE;
			SET CONSTRAINTS ALL DEFERRED;
			SELECT coalesce(l.outcome, 'ordered'), format('margin level %s %%, after %s', coalesce(round(l.level_before, 2)::text, 'none'), coalesce(round(l.level_after, 2)::text, 'none'))
			  INTO result, detail
			  FROM ledger.liquidation l
			 WHERE l.book_id = sweep_account.book_id AND l.liquidation_id = sweep_account.liquidation_id;
		ELSE
			PERFORM risk.reband_accounts(sweep_account.book_id, ARRAY[sweep_account.account_id], true);
			result := 'safe';
		END IF;
	EXCEPTION
		WHEN SQLSTATE 'RX001' THEN
			result := 'busy';
		WHEN foreign_key_violation THEN
			RAISE;
		WHEN OTHERS THEN
			result := 'failed';
			liquidation_id := NULL;
			detail := format('%s: %s', SQLSTATE, SQLERRM);
	END;
	RETURN NEXT;
END
$function$;
COMMENT ON FUNCTION risk.sweep_account(int, bigint) IS
	'Looks at one account: liquidates it when account_risk.liquidatable says so under the lock of its balance, else moves its triggers to where they belong. result: restored or closed, with the liquidation and its margin levels; ordered (an order of the liquidation is out, see ledger.liquidation_order); safe; busy (another transaction has the account or its margin group locked, or a stop order of it is due and goes first: nothing was done); failed (nothing was done; detail has the error). In a subtransaction: it is done whole or not at all. Errors: 23503 for what is no account of a trader, 55000 at other isolation levels than READ COMMITTED';

CREATE FUNCTION risk.sweep_order(instrument_id int DEFAULT NULL, max_accounts int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint, liquidatable boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
	books int[];
	accounts bigint[];
BEGIN
	SELECT array_agg(d.book_id), array_agg(d.account_id) INTO books, accounts
	  FROM (SELECT d.book_id, d.account_id FROM risk.due_accounts($1) d
			 WHERE NOT EXISTS (SELECT FROM ledger.liquidation_order o
								WHERE o.book_id = d.book_id AND o.account_id = d.account_id AND o.state = 'open')
			UNION
			SELECT d.book_id, d.account_id FROM risk.due_liquidation_orders($1) d) d
	 WHERE d.account_id > 0;
	-- most ticks end here: setting up the view takes longer than all the rest
	IF books IS NULL THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT d.book_id, d.account_id, coalesce(r.liquidatable, false)
	  FROM unnest(books, accounts) AS d(book_id, account_id)
	  LEFT JOIN LATERAL (
		SELECT r.liquidatable, coalesce(r.group_level, r.margin_level) AS level, r.maintenance_margin
		  FROM ledger.account_risk r
		 WHERE r.book_id = d.book_id AND r.account_id = d.account_id
		OFFSET 0) r ON true
	 ORDER BY coalesce(r.liquidatable, false) DESC, d.book_id, r.level, r.maintenance_margin DESC, d.account_id
	 LIMIT $2;
END
$function$;
COMMENT ON FUNCTION risk.sweep_order(int, int) IS
	'The accounts of risk.due_accounts(), and those whose liquidation has an order out that is to end, in the order in which a sweep takes them: those that can be liquidated first, within a book by margin level, the lowest first, then by maintenance margin, the largest first, then by number.';

-- Most who are found only came near, and keep their positions: their triggers are
-- moved on, many at a time, and only the others are judged one by one.  Who may be
-- liquidated is not kept locked before it is his turn: when somebody is left that
-- a mark has still reached, the locks are given up with all that was done, and it
-- is done again for the others alone.
CREATE FUNCTION risk.reband_due(instrument_id int DEFAULT NULL, max_accounts int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
	books int[];
	accounts bigint[];
	safe_books int[];
	safe_accounts bigint[];
BEGIN
	SELECT array_agg(d.book_id), array_agg(d.account_id) INTO safe_books, safe_accounts
	  FROM (SELECT d.book_id, d.account_id FROM risk.due_accounts($1) d
			 WHERE d.account_id > 0
			   AND NOT EXISTS (SELECT FROM ledger.liquidation_order o
								WHERE o.book_id = d.book_id AND o.account_id = d.account_id AND o.state = 'open')
			 LIMIT $2) d;
	FOR pass IN 1 .. 2 LOOP
		books := safe_books;
		accounts := safe_accounts;
		EXIT WHEN books IS NULL;
		BEGIN
			PERFORM risk.reband_accounts(d.book_id, array_agg(d.account_id), false)
			   FROM unnest(books, accounts) AS d(book_id, account_id)
			  GROUP BY d.book_id
			  ORDER BY d.book_id;
			SELECT array_agg(d.book_id), array_agg(d.account_id) INTO safe_books, safe_accounts
			  FROM (SELECT d.book_id, d.account_id FROM unnest(books, accounts) AS d(book_id, account_id)
					EXCEPT
					SELECT f.book_id, f.account_id FROM risk.due_accounts($1) f) d;
			IF pass = 1 AND coalesce(cardinality(safe_books), 0) < cardinality(books) THEN
				RAISE SQLSTATE 'RX001';
			END IF;
			EXIT;
		EXCEPTION
			WHEN SQLSTATE 'RX001' THEN
				NULL;
			WHEN OTHERS THEN
				RETURN;		-- whose fault it was comes out when each is looked at by itself
		END;
	END LOOP;
	RETURN QUERY
	SELECT d.book_id, d.account_id FROM unnest(safe_books, safe_accounts) AS d(book_id, account_id)
	 ORDER BY d.book_id, d.account_id;
END
$function$;
COMMENT ON FUNCTION risk.reband_due(int, int) IS
	'Of the accounts of risk.due_accounts(), at most so many: moves the triggers of those that are safe to where they belong, and returns them. The others are still to be looked at, those among them that another transaction has locked. Called by risk.sweep(), and by the background worker before it looks at who is left.';

CREATE FUNCTION risk.sweep(instrument_id int DEFAULT NULL, max_accounts int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint, result text, liquidation_id bigint, detail text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
	books int[];
	accounts bigint[];
BEGIN
	PERFORM risk.trigger_stop_orders(sweep.instrument_id);
	PERFORM risk.reband();
	RETURN QUERY
	SELECT s.book_id, s.account_id, 'safe', NULL::bigint, NULL FROM risk.reband_due(sweep.instrument_id, sweep.max_accounts) s;
	SELECT array_agg(o.book_id ORDER BY o.place), array_agg(o.account_id ORDER BY o.place) INTO books, accounts
	  FROM risk.sweep_order(sweep.instrument_id, sweep.max_accounts) WITH ORDINALITY AS o(book_id, account_id, liquidatable, place);
	FOR i IN 1 .. coalesce(cardinality(books), 0) LOOP
		RETURN QUERY
		SELECT books[i], accounts[i], a.* FROM risk.sweep_account(books[i], accounts[i]) a;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.sweep(int, int) IS
	'Looks at the accounts whose triggers the marks of an instrument, or of all, have reached, at most so many, and liquidates those that are due, after the stop orders that the marks have reached; says for each what it did, see risk.sweep_account(). First those whose triggers alone had to move, at most as many again, as safe; then the others in the order of risk.sweep_order(). Several sessions may run it at once: an account is handled by one of them, the others say busy. All in the transaction of the caller; cancelled, it has done nothing: from cron, give max_accounts; the background worker takes each account in a transaction of its own.';

REVOKE ALL ON FUNCTION
	risk.create_sweep_tables(), risk.note_margin_change(), risk.reband_accounts(int, bigint[], boolean), risk.reband(int),
	risk.due_accounts(int), risk.reband_due(int, int), risk.require_read_committed(text), risk.sweep_account(int, bigint), risk.sweep_order(int, int), risk.sweep(int, int)
FROM PUBLIC;
