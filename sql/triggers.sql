-- The trigger functions in C, and the one list of the triggers of a ledger:
-- risk.install() makes them from it, risk.verify() looks for them with it.

CREATE FUNCTION risk.post_trades() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_trades';
COMMENT ON FUNCTION risk.post_trades() IS
	'Posts the rows that a statement inserted into ledger.trade: positions, balances and entries, in the order given.';

CREATE FUNCTION risk.post_transfers() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_transfers';
COMMENT ON FUNCTION risk.post_transfers() IS
	'Posts the rows that a statement inserted into ledger.transfer.';

CREATE FUNCTION risk.post_journals() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_journals';
COMMENT ON FUNCTION risk.post_journals() IS
	'Posts the rows that a statement inserted into ledger.journal.';

CREATE FUNCTION risk.post_reversals() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_reversals';
COMMENT ON FUNCTION risk.post_reversals() IS
	'Posts the mirror of what the rows name that a statement inserted into ledger.reversal.';

CREATE FUNCTION risk.post_holds() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_holds';
COMMENT ON FUNCTION risk.post_holds() IS
	'Judges the rows that a statement inserted into ledger.hold, and opens them.';

CREATE FUNCTION risk.post_hold_releases() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_hold_releases';
COMMENT ON FUNCTION risk.post_hold_releases() IS
	'Gives back what the rows say that a statement inserted into ledger.hold_release.';

CREATE FUNCTION risk.initial_floor(kind text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT CASE WHEN kind IN ('trader', 'insurance_fund', 'liquidity') THEN 0::numeric END $function$;
COMMENT ON FUNCTION risk.initial_floor(text) IS
	'The floor of a new account of that kind: 0, or NULL for the accounts of the venue that may be below zero.';

CREATE FUNCTION risk.open_balances() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_open_balances';
COMMENT ON FUNCTION risk.open_balances() IS
	'Gives each new account its balance row, at zero, with the floor of its kind.';

CREATE FUNCTION risk.enforce_floor() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_enforce_floor';
COMMENT ON FUNCTION risk.enforce_floor() IS
	'At commit: settles every account that the transaction took below its floor, as its policy says, or raises 23514.';

CREATE FUNCTION risk.hand_over_fills() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_hand_over_fills';
COMMENT ON FUNCTION risk.hand_over_fills() IS
	'At commit, gives to the liquidity account what late fills have opened.';

CREATE FUNCTION risk.enforce_executions() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_enforce_executions';
COMMENT ON FUNCTION risk.enforce_executions() IS
	'At commit: every execution of the transaction nets to zero quantity and value, or the book''s rule for unmatched executions applies.';

CREATE FUNCTION risk.check_order_reserves() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_check_order_reserves';
COMMENT ON FUNCTION risk.check_order_reserves() IS
	'Locks the balances of the accounts whose order reserves a statement changed, in order, and judges the rows that it wrote: 22023, 23503, 55000.';

CREATE FUNCTION risk.check_margin_settings() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_check_margin_settings';
COMMENT ON FUNCTION risk.check_margin_settings() IS
	'Locks the balances of the accounts whose settings a statement changed, in order, judges what it wrote on the latest state (22023; 23514 for a leverage whose initial margin the equity does not cover; 55000 for another mode while a position is open) and records each change as an event.';

CREATE FUNCTION risk.enforce_limits() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_enforce_limits';
COMMENT ON FUNCTION risk.enforce_limits() IS
	'At commit: raises 23514 when a trade of the transaction added risk beyond a limit of an instrument whose limit_mode is refuse.';

CREATE FUNCTION risk.refuse_change() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_refuse_change';
COMMENT ON FUNCTION risk.refuse_change() IS
	'Raises 55000: the rows of the table never change.';

CREATE FUNCTION risk.refuse_write() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_refuse_write';
COMMENT ON FUNCTION risk.refuse_write() IS
	'Raises 55000 unless the write is made by posting.';

CREATE FUNCTION risk.refuse_direct_insert() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_refuse_direct_insert';
COMMENT ON FUNCTION risk.refuse_direct_insert() IS
	'Raises 55000: rows come into a partition by way of its table, where they are posted.';

-- Row triggers of the reference tables and of account: rare changes, in SQL.

CREATE FUNCTION risk.check_asset() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF NEW.asset_code IS DISTINCT FROM OLD.asset_code OR NEW.scale < OLD.scale THEN
		RAISE EXCEPTION 'asset % cannot be renamed, nor lose digits', OLD.asset_code
			USING ERRCODE = '55000',
				  DETAIL = format('The scale is %s; %s was asked for.', OLD.scale, NEW.scale),
				  HINT = 'A scale can only grow.';
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_asset() IS
	'Raises 55000 when an asset would be renamed or lose digits.';

CREATE FUNCTION risk.check_instrument() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF (NEW.instrument_id, NEW.kind, NEW.settle_asset, NEW.multiplier)
		IS DISTINCT FROM (OLD.instrument_id, OLD.kind, OLD.settle_asset, OLD.multiplier) THEN
		RAISE EXCEPTION 'instrument % cannot change what it is', OLD.instrument_id
			USING ERRCODE = '55000',
				  DETAIL = 'instrument_id, kind, settle_asset and multiplier decide what its positions are worth.',
				  HINT = 'Make another instrument; one that nothing refers to can be deleted and made again.';
	END IF;
	IF NEW.state IS DISTINCT FROM OLD.state AND (OLD.state = 'settled' OR NEW.state = 'settled'
		AND EXISTS (SELECT FROM ledger.book b JOIN ledger.position p
					   ON (p.book_id::bigint << 32) + p.instrument_id = (b.book_id::bigint << 32) + NEW.instrument_id
					WHERE p.qty <> 0)) THEN
		RAISE EXCEPTION 'instrument % cannot become %', OLD.instrument_id, NEW.state
			USING ERRCODE = '55000',
				  DETAIL = CASE OLD.state WHEN 'settled' THEN 'It is settled, and stays so.' ELSE 'It has open positions.' END,
				  HINT = CASE OLD.state WHEN 'settled' THEN 'Make another instrument.'
						 ELSE 'risk.settle_instrument() closes them at one price.' END;
	END IF;
	-- later than any funding is safe, it costs late trades a look in vain
	IF NEW.last_funding_at IS DISTINCT FROM OLD.last_funding_at AND
		(NEW.last_funding_at IS NULL OR NEW.last_funding_at <
		 (SELECT max(f.funding_at)
			FROM ledger.book b
		   CROSS JOIN LATERAL (SELECT max(g.funding_at) AS funding_at FROM ledger.funding g
								WHERE g.book_id = b.book_id AND g.instrument_id = OLD.instrument_id) f)) THEN
		RAISE EXCEPTION 'instrument % was last funded at %', OLD.instrument_id, OLD.last_funding_at
			USING ERRCODE = '55000',
				  DETAIL = format('last_funding_at would become %s, and late trades would not be noticed.',
								  coalesce(NEW.last_funding_at::text, 'NULL')),
				  HINT = 'The column is written by posting only.';
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_instrument() IS
	'Raises 55000 when a column of an instrument would change that decides what positions are worth, when last_funding_at would be before its last funding, when it is settled and would not be any more, or would be while positions are open.';

CREATE FUNCTION risk.check_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	parent ledger.account;
	fault text;
	groups boolean;
BEGIN
	SELECT p.collateral_group INTO groups FROM ledger.policy p WHERE p.policy_code = NEW.policy_code LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'account % of book % names an unknown policy', NEW.account_id, NEW.book_id
			USING ERRCODE = '23503',
				  DETAIL = format('There is no policy "%s".', NEW.policy_code),
				  HINT = 'Insert it into ledger.policy, or use one that is there.';
	END IF;
	NEW.in_group := groups AND NEW.kind = 'trader' AND NEW.owner_id IS NOT NULL AND NEW.parent_id IS NULL;
	IF TG_OP = 'UPDATE' AND NEW.status <> OLD.status THEN
		-- what a trade is late for; from one state that forbids to the next it stays
		NEW.inactive_since := CASE WHEN NEW.status = 'active' THEN NULL
								   WHEN OLD.status = 'active' THEN clock_timestamp()
								   ELSE OLD.inactive_since END;
		-- what it comes back to; a liquidation is over by then
		NEW.unfrozen_status := CASE WHEN NEW.status = 'frozen' AND OLD.status <> 'liquidating' THEN OLD.status END;
	END IF;
	IF TG_OP = 'INSERT' THEN
		IF NEW.kind = 'trader' AND NEW.status <> 'frozen'
			AND risk.freeze_of(NEW.book_id, NEW.account_id, NEW.owner_id) IS NOT NULL THEN
			NEW.unfrozen_status := NEW.status;
			NEW.status := 'frozen';
		END IF;
		IF NEW.parent_id IS NULL THEN
			RETURN NEW;
		END IF;
		-- the lock: its owner and status stay until the child is there
		SELECT a.* INTO parent
		  FROM ledger.account a
		 WHERE a.book_id = NEW.book_id AND a.account_id = NEW.parent_id
		   FOR SHARE;
		fault := CASE WHEN parent.account_id IS NULL THEN NULL	-- the foreign key says so
					  WHEN parent.kind <> 'trader' THEN format('Account %s is a %s account.', parent.account_id, parent.kind)
					  WHEN parent.parent_id IS NOT NULL THEN format('Account %s is the child of account %s.', parent.account_id, parent.parent_id)
					  WHEN parent.asset_code <> NEW.asset_code THEN format('Account %s holds %s.', parent.account_id, parent.asset_code)
					  WHEN parent.owner_id IS DISTINCT FROM NEW.owner_id THEN format('Account %s has another owner.', parent.account_id)
					  WHEN (SELECT i.settle_asset FROM ledger.instrument i
							 WHERE i.instrument_id = NEW.isolated_instrument_id) <> NEW.asset_code
					  THEN format('Instrument %s does not settle in %s.', NEW.isolated_instrument_id, NEW.asset_code)
				 END;
		IF fault IS NOT NULL THEN
			RAISE EXCEPTION 'account % of book % cannot be a child of account %', NEW.account_id, NEW.book_id, NEW.parent_id
				USING ERRCODE = '22023', DETAIL = fault,
					  HINT = 'A child has the asset and the owner of a trader''s account that is no child itself; risk.open_isolated() makes one.';
		END IF;
		IF parent.status = 'closed' THEN
			RAISE EXCEPTION 'account % of book % cannot be a child of account %', NEW.account_id, NEW.book_id, NEW.parent_id
				USING ERRCODE = '55000', DETAIL = format('Account %s is closed.', parent.account_id),
					  HINT = 'Set its status to active first.';
		END IF;
		RETURN NEW;
	END IF;

	IF (NEW.parent_id, NEW.isolated_instrument_id, NEW.isolated_side)
		IS DISTINCT FROM (OLD.parent_id, OLD.isolated_instrument_id, OLD.isolated_side) THEN
		RAISE EXCEPTION 'account % of book % cannot change its parent, instrument or side', OLD.account_id, OLD.book_id
			USING ERRCODE = '55000', HINT = 'Open another account with risk.open_isolated().';
	END IF;
	IF (NEW.book_id, NEW.account_id, NEW.kind, NEW.asset_code, NEW.fund_instrument_id)
		IS DISTINCT FROM (OLD.book_id, OLD.account_id, OLD.kind, OLD.asset_code, OLD.fund_instrument_id) THEN
		RAISE EXCEPTION 'account % of book % cannot change its book, number, kind or asset', OLD.account_id, OLD.book_id
			USING ERRCODE = '55000', HINT = 'Open another account.';
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_account() IS
	'Keeps what an account is, and what a child account has in common with its parent, and says whether it is in a margin group. Raises 55000, 22023 for a child that differs from its parent, or 23503 for an unknown policy.';

CREATE FUNCTION risk.follow_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	busy record;
BEGIN
	-- Posting reads the account after it has locked the balance, so a change
	-- that holds this lock is either seen or waited for.  Sorted, as posting
	-- sorts them.
	-- Posting itself holds what it needs: the account in debt is locked, and the
	-- others of its owner are frozen from the next posting on.
	IF NOT risk.is_posting() THEN
		PERFORM FROM ledger.balance b
		  JOIN before o ON o.book_id = b.book_id AND o.account_id = b.account_id
		  JOIN after n ON n.book_id = b.book_id AND n.account_id = b.account_id
		 WHERE b.slot = 0
		   AND (n.status, n.policy_code, n.owner_id) IS DISTINCT FROM (o.status, o.policy_code, o.owner_id)
		 ORDER BY b.book_id, b.account_id
		   FOR NO KEY UPDATE OF b;
	END IF;

	SELECT n.book_id, n.account_id, n.kind, l.fault INTO busy
	  FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	 CROSS JOIN LATERAL (SELECT CASE n.kind WHEN 'trader' THEN risk.what_is_left(n.book_id, n.account_id)
									 ELSE format('It is the %s account of the book.', n.kind) END AS fault OFFSET 0) l
	 WHERE n.status = 'closed' AND o.status <> 'closed' AND l.fault IS NOT NULL
	 ORDER BY n.book_id, n.account_id LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'account % of book % cannot be closed', busy.account_id, busy.book_id
			USING ERRCODE = '55000', DETAIL = busy.fault,
				  HINT = CASE busy.kind WHEN 'trader' THEN 'Close the positions, release the holds and withdraw the balance first.'
							ELSE 'Accounts of the venue itself stay open.' END;
	END IF;

	SELECT c.book_id, c.account_id, c.parent_id INTO busy
	  FROM before o
	  JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	  JOIN ledger.account c ON c.book_id = n.book_id
						   AND (c.account_id = n.account_id AND c.parent_id IS NOT NULL OR c.parent_id = n.account_id)
	  JOIN ledger.account p ON p.book_id = c.book_id AND p.account_id = c.parent_id
	 WHERE n.owner_id IS DISTINCT FROM o.owner_id AND c.owner_id IS DISTINCT FROM p.owner_id
	 ORDER BY c.book_id, c.account_id LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'account % of book % must have the owner of account %', busy.account_id, busy.book_id, busy.parent_id
			USING ERRCODE = '55000', DETAIL = 'It is the child of that account.',
				  HINT = 'Change the owner of both in one statement.';
	END IF;

	-- A status that is set by hand is a freeze of its own, and ends no other.
	INSERT INTO ledger.freeze (book_id, account_id, reason)
	SELECT n.book_id, n.account_id, 'operator'
	  FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	 WHERE n.status = 'frozen' AND o.status <> 'frozen' AND n.kind = 'trader'
	   AND risk.freeze_of(n.book_id, n.account_id, n.owner_id) IS NULL
	 ORDER BY n.book_id, n.account_id;
	UPDATE ledger.freeze f
	   SET lifted_at = clock_timestamp(), lifted_by = session_user, lifted_because = 'status ' || n.status
	  FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	 WHERE o.status = 'frozen' AND n.status <> 'frozen'
	   AND f.book_id = n.book_id AND f.account_id = n.account_id AND f.reason = 'operator' AND f.lifted_at IS NULL;
	SELECT n.book_id, n.account_id, n.status, risk.freeze_of(n.book_id, n.account_id, n.owner_id) AS freeze INTO busy
	  FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	 WHERE o.status = 'frozen' AND n.status <> 'frozen'
	   AND risk.freeze_of(n.book_id, n.account_id, n.owner_id) IS NOT NULL
	 ORDER BY n.book_id, n.account_id LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'account % of book % cannot become %', busy.account_id, busy.book_id, busy.status
			USING ERRCODE = '55000', DETAIL = format('It is frozen by %s.', busy.freeze),
				  HINT = 'Only the reason of a freeze lifts it: risk.lift_freeze(), or the settlement of the debt.';
	END IF;
	-- a freeze that came while this statement waited for the account
	PERFORM risk.apply_freezes(n.book_id, n.account_id)
	   FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	  WHERE n.status NOT IN ('frozen', 'closed') AND n.kind = 'trader'
		AND risk.freeze_of(n.book_id, n.account_id, n.owner_id) IS NOT NULL;

	-- what triggers go by; in a posting no policy and no group changes
	PERFORM risk.reband_accounts(c.book_id, c.ids, true)
	   FROM (SELECT n.book_id, array_agg(n.account_id) AS ids
			   FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
			  WHERE n.kind = 'trader' AND (n.policy_code, n.in_group) IS DISTINCT FROM (o.policy_code, o.in_group)
			  GROUP BY n.book_id ORDER BY n.book_id) c;

	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	SELECT n.book_id, n.account_id, 'account_change',
		   jsonb_build_object('status', jsonb_build_array(o.status, n.status),
							  'policy_code', jsonb_build_array(o.policy_code, n.policy_code),
							  'owner_id', jsonb_build_array(o.owner_id, n.owner_id))
	  FROM before o JOIN after n ON n.book_id = o.book_id AND n.account_id = o.account_id
	 WHERE (n.status, n.policy_code, n.owner_id) IS DISTINCT FROM (o.status, o.policy_code, o.owner_id)
	 ORDER BY n.book_id, n.account_id;
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION risk.follow_account() IS
	'Waits for postings in flight before a change of status, policy or owner counts, keeps accounts with money, positions or open child accounts from being closed and children with their parent''s owner (55000), and records the change.';

CREATE FUNCTION risk.ledger_triggers(
	OUT table_name text, OUT trigger_name text, OUT enabled "char", OUT definition text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT t.table_name, t.trigger_name, t.enabled,
		   format('CREATE %s %I %s ON ledger.%I %s EXECUTE FUNCTION risk.%s()',
				  CASE WHEN t.timing LIKE '%DEFERRED%' THEN 'CONSTRAINT TRIGGER' ELSE 'TRIGGER' END,
				  t.trigger_name, split_part(t.timing, '|', 1), t.table_name,
				  split_part(t.timing, '|', 2), t.function_name)
	  FROM (
		SELECT v.table_name, v.trigger_name, v.enabled::"char" AS enabled, v.timing, v.function_name
		  FROM (VALUES
			-- posting and the invariants: not in the replica role, where the rows
			-- of the other side arrive posted
			('trade', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_trades'),
			('transfer', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_transfers'),
			('journal', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_journals'),
			('reversal', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_reversals'),
			('hold', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_holds'),
			('hold_release', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_hold_releases'),
			('account', 'open_balance', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'open_balances'),
			('order_reserve', 'check_insert', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'check_order_reserves'),
			('order_reserve', 'check_update', 'O', 'AFTER UPDATE|REFERENCING OLD TABLE AS removed NEW TABLE AS inserted FOR EACH STATEMENT', 'check_order_reserves'),
			('order_reserve', 'check_delete', 'O', 'AFTER DELETE|REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'check_order_reserves'),
			('margin_setting', 'check_insert', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'check_margin_settings'),
			('margin_setting', 'check_update', 'O', 'AFTER UPDATE|REFERENCING OLD TABLE AS removed NEW TABLE AS inserted FOR EACH STATEMENT', 'check_margin_settings'),
			('margin_setting', 'check_delete', 'O', 'AFTER DELETE|REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'check_margin_settings'),
			('balance', 'floor', 'O', 'AFTER INSERT OR UPDATE|DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.amount < NEW.floor)', 'enforce_floor'),
			('late_fill', 'hand_over', 'O', 'AFTER INSERT|DEFERRABLE INITIALLY DEFERRED FOR EACH ROW', 'hand_over_fills'),
			('unmatched_execution', 'net', 'O', 'AFTER INSERT|DEFERRABLE INITIALLY DEFERRED FOR EACH ROW', 'enforce_executions'),
			('added_risk', 'limits', 'O', 'AFTER INSERT|DEFERRABLE INITIALLY DEFERRED FOR EACH ROW', 'enforce_limits'),
			('account', 'check_change', 'O', 'BEFORE INSERT OR UPDATE|FOR EACH ROW', 'check_account'),
			('account', 'follow_change', 'O', 'AFTER UPDATE|REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT', 'follow_account'),
			('policy', 'check_row', 'O', 'BEFORE INSERT|FOR EACH ROW', 'check_policy'),
			('policy', 'note_change', 'O', 'AFTER INSERT|FOR EACH ROW', 'note_margin_change'),
			('margin_tier', 'note_change', 'O', 'AFTER INSERT OR DELETE OR UPDATE|FOR EACH ROW', 'note_margin_change'),
			('margin_scale', 'note_change', 'O', 'AFTER INSERT|FOR EACH ROW', 'note_margin_change'),
			('instrument', 'note_change', 'O', 'AFTER UPDATE|FOR EACH ROW', 'note_margin_change'),
			('asset', 'check_change', 'O', 'BEFORE UPDATE|FOR EACH ROW', 'check_asset'),
			('asset', 'open_accounts', 'O', 'AFTER INSERT|FOR EACH ROW', 'open_system_accounts'),
			('instrument', 'check_change', 'O', 'BEFORE UPDATE|FOR EACH ROW', 'check_instrument'),
			('transfer_rule', 'check_row', 'O', 'BEFORE INSERT|FOR EACH ROW', 'check_transfer_rule'),
			('margin_scale', 'check_row', 'O', 'BEFORE INSERT|FOR EACH ROW', 'check_margin_scale'),
			('index_price', 'check_tick', 'O', 'BEFORE INSERT OR UPDATE|FOR EACH ROW', 'check_index_price'),
			('mark_price', 'check_tick', 'O', 'BEFORE INSERT OR UPDATE|FOR EACH ROW', 'check_mark_price'),
			('mark_price', 'keep_history', 'O', 'AFTER INSERT OR UPDATE|FOR EACH ROW', 'keep_mark_price'),
			('stop_order', 'check_row', 'O', 'BEFORE INSERT|FOR EACH ROW', 'check_stop_order'),
			('funding', 'check_row', 'O', 'BEFORE INSERT|FOR EACH ROW', 'check_funding'),
			('funding', 'post', 'O', 'AFTER INSERT|REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT', 'post_fundings')
		  ) AS v(table_name, trigger_name, enabled, timing, function_name)
		UNION ALL
		SELECT name, 'written_by_posting', 'O'::"char",
			   'BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE|FOR EACH STATEMENT', 'refuse_write'
		  FROM unnest(ARRAY['balance', 'position', 'entry', 'settlement', 'reset', 'idempotency',
							'below_floor', 'unmatched_execution', 'late_fill', 'funding_payment', 'added_risk', 'exchange', 'open_hold',
							'shortfall', 'open_shortfall', 'takeover', 'fund_use', 'shortfall_payment', 'deleveraging',
							'gainer_hold', 'alert_state']) AS name
		UNION ALL
		SELECT n.name, k.trigger_name, 'A'::"char",
			   CASE WHEN k.trigger_name = 'keep_table' THEN 'BEFORE TRUNCATE|FOR EACH STATEMENT'
					WHEN n.name IN ('account', 'balance', 'position', 'stop_order', 'debt', 'instalment', 'freeze', 'pending_deposit', 'liquidation', 'liquidation_order') THEN 'BEFORE DELETE|FOR EACH ROW'
					ELSE 'BEFORE UPDATE OR DELETE|FOR EACH ROW' END, 'refuse_change'
		  FROM unnest(ARRAY['account', 'balance', 'position', 'stop_order', 'debt', 'instalment', 'freeze', 'pending_deposit', 'liquidation', 'liquidation_order', 'liquidation_step', 'trade', 'transfer', 'entry', 'settlement', 'reset',
							'event', 'idempotency', 'mark_price_history', 'margin_scale', 'policy', 'transfer_rule',
							'funding', 'funding_payment', 'exchange', 'shortfall', 'takeover', 'repayment', 'waiver', 'bust', 'seal', 'seal_range',
							'checkpoint', 'checkpoint_balance', 'checkpoint_position', 'checkpoint_cause',
							'journal', 'hold', 'hold_release', 'reversal', 'shortfall_payment', 'deleveraging', 'relayed_event', 'gainer_hold']) AS n(name)
		 CROSS JOIN (VALUES ('keep_rows'), ('keep_table')) AS k(trigger_name)
		UNION ALL
		-- A partition has the row triggers of its table.  Triggers for statements
		-- fire for the table that the statement names, so it needs its own.
		-- One that was detached keeps them.
		SELECT p.partition_name, k.trigger_name, k.enabled::"char", k.timing, k.function_name
		  FROM (SELECT p.partition_name FROM risk.partitions() p
				UNION ALL
				SELECT d.name FROM risk.detached_tables() AS d(name)) p
		 CROSS JOIN (VALUES
			('keep_rows', 'A', 'BEFORE UPDATE OR DELETE|FOR EACH ROW', 'refuse_change'),
			('keep_table', 'A', 'BEFORE TRUNCATE|FOR EACH STATEMENT', 'refuse_change'),
			('written_by_table', 'O', 'BEFORE INSERT|FOR EACH STATEMENT', 'refuse_direct_insert')
		  ) AS k(trigger_name, enabled, timing, function_name)
	  ) AS t
$function$;
COMMENT ON FUNCTION risk.ledger_triggers() IS
	'The triggers that a ledger must have, its partitions included: table, name, mode (O: fires unless in the replica role, A: fires always), definition.';

CREATE FUNCTION risk.create_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	expected record;
	present "char";
BEGIN
	-- tables first: a row trigger comes with its clones on the partitions
	FOR expected IN
		SELECT e.*
		  FROM risk.ledger_triggers() e
		  JOIN pg_class c ON c.oid = format('ledger.%I', e.table_name)::regclass
		 ORDER BY c.relispartition, e.table_name, e.trigger_name
	LOOP
		SELECT t.tgenabled INTO present
		  FROM pg_trigger t
		 WHERE t.tgrelid = format('ledger.%I', expected.table_name)::regclass
		   AND t.tgname = expected.trigger_name AND NOT t.tgisinternal;
		IF NOT FOUND THEN
			EXECUTE expected.definition;
		END IF;
		IF expected.enabled IS DISTINCT FROM coalesce(present, 'O') THEN
			EXECUTE format('ALTER TABLE ledger.%I ENABLE %s TRIGGER %I', expected.table_name,
						   CASE expected.enabled WHEN 'A' THEN 'ALWAYS' ELSE '' END,
						   expected.trigger_name);
		END IF;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.create_triggers() IS
	'Makes the triggers of a ledger that are missing and puts all of them in their mode. Called by risk.install().';

REVOKE ALL ON FUNCTION
	risk.post_trades(), risk.post_transfers(), risk.post_journals(),
	risk.post_holds(), risk.post_hold_releases(), risk.post_reversals(), risk.open_balances(),
	risk.enforce_floor(), risk.enforce_executions(), risk.hand_over_fills(), risk.refuse_change(),
	risk.check_order_reserves(), risk.check_margin_settings(), risk.enforce_limits(),
	risk.refuse_write(), risk.refuse_direct_insert(), risk.check_asset(), risk.check_instrument(),
	risk.check_account(), risk.follow_account(), risk.create_triggers()
FROM PUBLIC;
