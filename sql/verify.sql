-- verify.sql
--		The proof of the books: every balance, position and reset computed
--		again from the rows that caused it.  The checks are in the verify_*.sql
--		before this file, by topic, and in seal.sql.
--
-- Plain SQL over whole tables, on purpose without the functions that posting
-- uses: a fault there must not hide itself here.  Needs SELECT on the tables
-- and nothing else.  Each check is a query for its offenders; of these the
-- first is shown, with the number of them, or one row with 0.

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
	  FROM unnest(ARRAY['relayed_event', 'event_cursor', 'gainer_hold',
						'account', 'added_risk', 'asset', 'balance', 'below_floor', 'book', 'entry', 'event', 'exchange', 'hold', 'hold_release', 'idempotency', 'instrument', 'journal',
						'margin_scale', 'margin_setting', 'mark_price', 'open_hold', 'order_reserve', 'policy', 'position', 'reset', 'reversal', 'settlement',
						'shortfall', 'open_shortfall', 'takeover', 'fund_use', 'shortfall_payment', 'deleveraging', 'alert_state', 'freeze', 'debt', 'instalment', 'repayment', 'waiver', 'bust', 'trade', 'transfer', 'transfer_rule', 'unmatched_execution', 'late_fill', 'funding', 'funding_payment',
						'seal', 'seal_range', 'checkpoint', 'checkpoint_balance', 'checkpoint_position', 'checkpoint_cause']) AS t(name)
	 WHERE to_regclass(format('ledger.%I', t.name)) IS NULL;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'there is no complete ledger here'
			USING ERRCODE = '55000', DETAIL = format('Missing: %s.', missing),
				  HINT = 'Run SELECT risk.install().';
	END IF;

	RETURN QUERY SELECT c.* FROM risk.check_entries(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_transfers(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_trades(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_suspense(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_accounts(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_events(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_funds(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_seals(verify.book_id) c;
	RETURN QUERY SELECT c.* FROM risk.check_checkpoints(verify.book_id) c;

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
