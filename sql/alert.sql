-- alert.sql
--		Traders are warned when their margin level falls to a level of the
--		policy (alert_levels): once, until it has recovered.
--
-- Who is to be looked at is found by alert_price and rearm_price of positions,
-- which postings keep as they do trigger_price, see src/trigger_price.c.  Who
-- is found is judged in full, in the views, with the balance locked.

CREATE FUNCTION risk.create_alert_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.alert_state (
		book_id int NOT NULL,
		account_id bigint NOT NULL,
		fired_level numeric NOT NULL CHECK (fired_level > 0),
		changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (book_id, account_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account
	);
	COMMENT ON TABLE ledger.alert_state IS
		'Accounts with open positions that have been warned, and have not recovered since. Written by risk.alert(), and by the posting that closes the last position.';
	COMMENT ON COLUMN ledger.alert_state.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.alert_state.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.alert_state.fired_level IS 'The lowest alert level that was told, in percent; those above it are told, too. A level is forgotten, and can be told again, when the margin level is alert_hysteresis above it.';
	COMMENT ON COLUMN ledger.alert_state.changed_at IS 'Since when that is so.';
END
$function$;
COMMENT ON FUNCTION risk.create_alert_tables() IS
	'Makes the table of alerts that were told. Called by risk.install().';

CREATE FUNCTION risk.note_alert(book_id int, account_id bigint, fired_level numeric) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'risk_note_alert';
COMMENT ON FUNCTION risk.note_alert(int, bigint, numeric) IS
	'Notes the lowest alert level that an account has been told of (NULL: none), and reckons its triggers anew. A part of risk.alert_account().';

CREATE FUNCTION risk.due_alerts(instrument_id int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
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
		   AND p.alert_price IS NOT NULL AND p.alert_price >= coalesce(m.price, 'Infinity')
		UNION ALL
		SELECT p.book_id, p.account_id FROM ledger.position p
		 WHERE p.instrument_id = i.instrument_id AND p.qty < 0
		   AND p.alert_price IS NOT NULL AND p.alert_price <= coalesce(m.price, 0)
		UNION ALL
		SELECT p.book_id, p.account_id FROM ledger.position p
		 WHERE p.instrument_id = i.instrument_id AND p.qty > 0
		   AND p.rearm_price IS NOT NULL AND p.rearm_price <= coalesce(m.price, 0)
		UNION ALL
		SELECT p.book_id, p.account_id FROM ledger.position p
		 WHERE p.instrument_id = i.instrument_id AND p.qty < 0
		   AND p.rearm_price IS NOT NULL AND p.rearm_price >= coalesce(m.price, 'Infinity')) d
	 WHERE $1 IS NULL OR i.instrument_id = $1
	 ORDER BY 1, 2;
END
$function$;
COMMENT ON FUNCTION risk.due_alerts(int) IS
	'The accounts that may have reached an alert level, or recovered from one, by the mark of an instrument, or of any: no other has, but not all of these have.';

CREATE FUNCTION risk.alert_account(book_id int, account_id bigint)
RETURNS TABLE (result text, level numeric, margin_level numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
	state record;
	fired numeric;
	still_fired numeric;
	was numeric;
	missing numeric;
BEGIN
	PERFORM risk.require_read_committed('alerts run');
	level := NULL;
	margin_level := NULL;
	PERFORM FROM ledger.account a
	  WHERE a.book_id = alert_account.book_id AND a.account_id = alert_account.account_id AND a.kind = 'trader';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'account % of book % is no account of a trader', alert_account.account_id, alert_account.book_id
			USING ERRCODE = '23503', HINT = 'See the table account.';
	END IF;
	PERFORM FROM ledger.balance b
	  WHERE b.book_id = alert_account.book_id AND b.slot = 0 AND b.account_id = alert_account.account_id
		AND risk.lock_if_free('ledger.balance', b.ctid);
	IF NOT FOUND THEN
		result := 'busy';
		RETURN NEXT;
		RETURN;
	END IF;

	SELECT r.asset_code, s.scale, y.alert_levels, y.alert_hysteresis AS hysteresis, r.notional > 0 AS has_position,
		   r.group_equity IS NOT NULL AS in_group,
		   coalesce(r.group_equity, r.equity) AS equity, coalesce(r.group_requirement, r.liquidation_requirement) AS requirement,
		   coalesce(r.group_level, r.margin_level) AS margin_level, r.liquidatable
	  INTO state
	  FROM ledger.account_risk r
	  JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.account_id
	  JOIN ledger.asset s ON s.asset_code = r.asset_code
	 CROSS JOIN LATERAL (
		SELECT * FROM ledger.policy y
		 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
		 ORDER BY y.version DESC LIMIT 1) y
	 WHERE r.book_id = alert_account.book_id AND r.account_id = alert_account.account_id;
	SELECT s.fired_level INTO was
	  FROM ledger.alert_state s
	 WHERE s.book_id = alert_account.book_id AND s.account_id = alert_account.account_id;
	margin_level := state.margin_level;

	-- what it has recovered from can be told again; a level stays told that the policy does not name any more
	SELECT min(l) INTO still_fired
	  FROM unnest(state.alert_levels || was) AS l
	 WHERE l >= was AND state.has_position AND 100 * state.equity < (l + state.hysteresis) * state.requirement;
	fired := still_fired;
	FOR level IN
		SELECT DISTINCT l FROM unnest(state.alert_levels) AS l
		 WHERE state.has_position AND 100 * state.equity <= l * state.requirement AND (still_fired IS NULL OR l < still_fired)
		 ORDER BY l DESC
	LOOP
		-- so much more, and the level is forgotten again
		missing := greatest(ceil(((level + state.hysteresis) * state.requirement / 100 - state.equity) * 10 ^ state.scale::numeric) / 10 ^ state.scale::numeric, 0);
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		VALUES (alert_account.book_id, alert_account.account_id, 'alert', jsonb_build_object(
			'level', trim_scale(level), 'margin_level', round(state.margin_level, 2), 'equity', trim_scale(state.equity), 'requirement', trim_scale(state.requirement),
			'amount', round(missing, state.scale),
			'asset_code', CASE WHEN NOT state.in_group THEN state.asset_code END,
			'by', CASE WHEN state.liquidatable THEN 'at once' ELSE 'next check' END,
			'steps', jsonb_build_array(
				CASE WHEN state.in_group THEN format('Add collateral worth %s to any account of the margin group.', round(missing, state.scale))
					 ELSE format('Deposit %s %s.', round(missing, state.scale), state.asset_code) END,
				'Or reduce a position, or place a stop order.',
				CASE WHEN state.liquidatable THEN 'The account is about to be liquidated.'
					 ELSE 'At a margin level of 100 % the account is liquidated.' END)));
		fired := level;
		result := 'alert';
		RETURN NEXT;
	END LOOP;
	PERFORM risk.note_alert(alert_account.book_id, alert_account.account_id, fired);
	IF result IS NULL THEN
		level := NULL;
		result := CASE WHEN was IS NOT NULL AND still_fired IS DISTINCT FROM was THEN 'recovered' ELSE 'none' END;
		RETURN NEXT;
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.alert_account(int, bigint) IS
	'Looks at one account, with its balance locked. Where the margin level (of its margin group, where it is in one) is at or below a level of the policy that has not been told, an event alert tells it: payload level, margin_level, equity, requirement, amount (to add for the level to be forgotten again: up to level + alert_hysteresis, rounded up; of a margin group in the unit of account, and asset_code is null), by (next check, or at once: the account can be liquidated already) and steps. Several levels that are crossed at once are several events, the highest first. result: alert, one row for each; recovered; none; busy (another transaction has the account locked: nothing was done). Errors: 23503 for what is no account of a trader, 55000 at other isolation levels than READ COMMITTED.';

CREATE FUNCTION risk.alert(instrument_id int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint, result text, level numeric, margin_level numeric)
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
	PERFORM risk.reband();
	SELECT array_agg(d.book_id ORDER BY d.place), array_agg(d.account_id ORDER BY d.place) INTO books, accounts
	  FROM risk.due_alerts(alert.instrument_id) WITH ORDINALITY AS d(book_id, account_id, place);
	FOR i IN 1 .. coalesce(cardinality(books), 0) LOOP
		RETURN QUERY
		SELECT books[i], accounts[i], a.* FROM risk.alert_account(books[i], accounts[i]) a;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.alert(int) IS
	'Looks at the accounts that may have reached an alert level, or recovered from one, by the mark of an instrument, or of any, and warns those that have: says for each what it did, see risk.alert_account(). By book and account. Several sessions may run it at once: an account is handled by one of them, the others say busy. All in the transaction of the caller; the background worker takes each account in a transaction of its own.';

REVOKE ALL ON FUNCTION
	risk.create_alert_tables(), risk.note_alert(int, bigint, numeric), risk.due_alerts(int), risk.alert_account(int, bigint), risk.alert(int)
FROM PUBLIC;
