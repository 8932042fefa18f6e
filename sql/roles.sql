-- roles.sql
--		Who may do what: the roles of a ledger with their privileges in one
--		list, and row policies by which an owner sees no rows but its own.
--
-- Posting, the checks and the guards run as the owner of the tables and are
-- bound by none of this: they see every row.

CREATE FUNCTION risk.role_privileges(
	OUT role_name text, OUT privileges text, OUT object_kind text, OUT object_name text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT r.role_name, p.privileges, p.object_kind, p.object_name
	  FROM (VALUES
		('reader', 'USAGE', 'SCHEMA', 'ledger'),
		('reader', 'SELECT', 'ALL TABLES IN SCHEMA', 'ledger'),

		('writer', 'INSERT', 'TABLE', 'ledger.trade, ledger.transfer, ledger.journal, ledger.hold, ledger.hold_release'),
		('writer', 'INSERT (book_id, account_id, instrument_id, side, triggers, trigger_price, qty, limit_price, one_cancels_other)', 'TABLE', 'ledger.stop_order'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.place_stop_order(bigint, int, text, numeric, numeric, numeric, bigint, text, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.cancel_stop_order(bigint, text, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.repay(bigint, numeric, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.announce_deposit(bigint, numeric, text, timestamptz, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.confirm_deposit(bigint, numeric, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.cancel_deposit(bigint, text, int)'),
		('writer', 'INSERT, UPDATE', 'TABLE', 'ledger.mark_price, ledger.index_price'),
		('writer', 'INSERT, UPDATE, DELETE', 'TABLE', 'ledger.order_reserve, ledger.margin_setting'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.transfer_once(int, bigint, bigint, numeric, text, text, bigint)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.original_of_key(int, text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.book_trade(bigint, int, text, numeric, numeric, bigint, numeric, text, timestamptz, int, text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.post(int, bigint[], numeric[], text, text, timestamptz, jsonb)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.post_batch(int, bigint[], bigint[], numeric[], text[], text[], text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.post_batch_into(regclass, int, bigint[], bigint[], numeric[], text[], text[], text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.hold(bigint, numeric, text, timestamptz, text, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.request_withdrawal(bigint, numeric, timestamptz, text, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.capture(bigint, numeric, bigint, text, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.release(bigint, numeric, text, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.deposit(bigint, numeric, int, text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.withdraw(bigint, numeric, int, text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.add_margin(bigint, numeric, int, text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.remove_margin(bigint, numeric, int, text)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.set_mark_prices(int[], numeric[], timestamptz)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.tick_is_held(int, numeric, timestamptz)'),

		('operator', 'INSERT, UPDATE (status, policy_code, owner_id)', 'TABLE', 'ledger.account'),
		('operator', 'INSERT', 'TABLE', 'ledger.policy, ledger.funding, ledger.margin_scale'),
		('operator', 'INSERT, UPDATE, DELETE', 'TABLE', 'ledger.margin_tier, ledger.position_limit, ledger.dynamic_margin, ledger.collateral, ledger.price_band'),
		('operator', 'UPDATE (limit_mode, open_interest_limit, open_interest_lo, open_interest_hi, state, max_mark_age)', 'TABLE', 'ledger.instrument'),
		('operator', 'INSERT', 'TABLE', 'ledger.reversal'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.reverse_transfer(bigint, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.reverse_journal(bigint, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.expire_holds(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.set_floor(bigint, numeric, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.fold_slots(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.seal(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.settle(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.relay_events()'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.watch_funds()'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.hold_gainers()'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.release_gainer(bigint, text, int)'),
		('reader', 'EXECUTE', 'FUNCTION', 'risk.worker_pid()'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.start_worker()'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.stop_worker()'),
		('operator', 'INSERT, UPDATE (warn_below), DELETE', 'TABLE', 'ledger.fund_level'),
		('reader', 'EXECUTE', 'FUNCTION', 'risk.read_events(text, int, int)'),
		('writer', 'EXECUTE', 'FUNCTION', 'risk.acknowledge_events(text, bigint, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.acknowledge_events(text, bigint, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.change_policy(text, jsonb)'),
		('reader', 'EXECUTE', 'FUNCTION', 'risk.loss_claims(int, bigint)'),
		('reader', 'EXECUTE', 'FUNCTION', 'risk.check_order(bigint, int, text, numeric, numeric, int, boolean, numeric)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.pay_funding(int, numeric, timestamptz, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.update_volatility(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.confirm_held_ticks()'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.trigger_stop_orders(int, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.sweep(int, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.sweep_account(int, bigint)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.sweep_order(int, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.reband(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.reband_due(int, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.alert(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.alert_account(int, bigint)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.freeze(bigint, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.freeze_owner(text, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.lift_freeze(bigint, text, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.apply_freezes(int, bigint, text)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.close_accounts(int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.plan_instalments(bigint, int, timestamptz, interval, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.accrue_penalties(timestamptz)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.waive(bigint, numeric, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.bust(bigint, text, int)'),
		('operator', 'EXECUTE', 'FUNCTION', 'risk.expire_deposits()'),

		('owner', 'INSERT, UPDATE', 'TABLE', 'ledger.asset, ledger.book'),
		('owner', 'INSERT', 'TABLE', 'ledger.transfer_rule'),
		('owner', 'INSERT, UPDATE, DELETE', 'TABLE', 'ledger.instrument'),
		-- moves margin, too, so it takes a writer who is an operator
		('owner', 'SELECT, UPDATE', 'SEQUENCE', 'ledger.account_account_id_seq'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.open_isolated(bigint, int, numeric, text, int, bigint)'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.create_book(int, text)'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.open_fund(int, int)'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.settle_instrument(int, numeric)'),
		('owner', 'EXECUTE', 'FUNCTION', 'risk.open_system_accounts(int, text)')
	   ) AS p(part, privileges, object_kind, object_name)
	  JOIN (VALUES
		('reader', 'risk_reader'), ('reader', 'risk_writer'), ('reader', 'risk_operator'), ('reader', 'risk_owner'),
		('writer', 'risk_writer'), ('writer', 'risk_owner'),
		('operator', 'risk_operator'), ('operator', 'risk_owner'),
		('owner', 'risk_owner')
	   ) AS r(part, role_name) ON r.part = p.part
$function$;
COMMENT ON FUNCTION risk.role_privileges() IS
	'What risk.grant_roles() grants: role, privileges, kind of object and objects, each as GRANT takes them. risk_reader reads all tables; risk_writer also writes trades, transfers, journals, holds, mark and index prices, order reserves and margin settings; risk_operator reads, opens accounts and changes their state, and sets policies, limits, floors and fundings; risk_owner does all of it, and makes assets, instruments, books and transfer rules.';

CREATE FUNCTION risk.make_role(role_name text, purpose text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = make_role.role_name) THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles r
					WHERE r.rolname = current_user AND (r.rolsuper OR r.rolcreaterole)) THEN
		RETURN false;
	END IF;
	BEGIN
		EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
		EXECUTE format('COMMENT ON ROLE %I IS %L', role_name, purpose);
	EXCEPTION WHEN duplicate_object OR unique_violation THEN
		NULL;	-- made for another database at the same time
	END;
	RETURN true;
END
$function$;
COMMENT ON FUNCTION risk.make_role(text, text) IS
	'Whether a role is there, made now if it was not; false when the caller may not create roles.';

CREATE FUNCTION risk.grant_roles() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- risk.install() silences notices; this one says what is left to do
SET client_min_messages = notice
AS $function$
DECLARE
	missing text[] := '{}';
	role record;
	granted record;
BEGIN
	REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
	REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC;
	REVOKE ALL ON ALL SEQUENCES IN SCHEMA ledger FROM PUBLIC;

	FOR role IN
		SELECT v.name, v.purpose
		  FROM (VALUES ('risk_reader', 'Reads every ledger.'),
					   ('risk_writer', 'Writes trades, transfers and mark prices.'),
					   ('risk_operator', 'Runs a ledger: accounts, policies, limits, floors, fundings.'),
					   ('risk_owner', 'All that can be done to a ledger without owning its tables.')
			   ) AS v(name, purpose)
	LOOP
		IF risk.make_role(role.name, role.purpose) THEN
			FOR granted IN
				SELECT p.* FROM risk.role_privileges() p WHERE p.role_name = role.name
			LOOP
				EXECUTE format('GRANT %s ON %s %s TO %I', granted.privileges, granted.object_kind,
							   granted.object_name, role.name);
			END LOOP;
		ELSE
			missing := missing || role.name;
		END IF;
	END LOOP;
	-- ALL TABLES are the partitions, too
	IF EXISTS (SELECT FROM risk.partitions()) OR EXISTS (SELECT FROM risk.detached_tables()) THEN
		PERFORM risk.close_partitions();
	END IF;
	IF missing <> '{}' THEN
		RAISE NOTICE 'there are no roles %', array_to_string(missing, ', ')
			USING DETAIL = format('"%s" may not create roles.', current_user),
				  HINT = 'Let somebody create them who may, and run SELECT risk.grant_roles(); the ledger works without them.';
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.grant_roles() IS
	'Makes the roles risk_reader, risk_writer, risk_operator and risk_owner where they are missing, grants each what risk.role_privileges() lists, and takes from PUBLIC what it has in schema ledger. Called by risk.install(); may be repeated, and takes nothing from anybody else. For the owner of the ledger; who may not create roles gets a NOTICE that names the missing ones.';

CREATE FUNCTION risk.protect_owners(enabled boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	-- what says nothing of anybody, and is for all to read
	public_tables CONSTANT text[] := ARRAY['asset', 'book', 'collateral', 'dynamic_margin', 'funding', 'index_price', 'instrument', 'margin_scale', 'margin_change', 'margin_tier',
		'mark_price', 'mark_price_history', 'price_band', 'held_tick', 'policy', 'transfer_rule', 'fund_status', 'fund_history', 'fund_movement', 'open_interest', 'risk_limit',
		-- views that show the rows of whoever asks
		'account_risk', 'liquidation_terms', 'adl_position', 'adl_queue', 'margin_group', 'position_limit_usage', 'position_risk', 'position_value', 'open_debt', 'pending_margin', 'negative_balance_report'];
	-- those whose debt, or liquidation, the policies let through
	own_debts CONSTANT text := '(book_id, debt_id) IN (SELECT d.book_id, d.debt_id FROM ledger.debt d)';
	own_accounts CONSTANT text := '(book_id, %s) IN (SELECT a.book_id, a.account_id FROM ledger.account a WHERE a.owner_id = current_user)';
	protected record;
BEGIN
	IF (SELECT count(*) FROM pg_roles r
		 WHERE r.rolname IN ('risk_reader', 'risk_writer', 'risk_operator', 'risk_owner')) < 4
		OR NOT risk.make_role('risk_trader', 'Sees its own accounts, and what hangs on them.') THEN
		RAISE EXCEPTION 'the roles of the ledger are missing'
			USING ERRCODE = '42704', DETAIL = 'Needed are risk_reader, risk_writer, risk_operator, risk_owner and risk_trader.',
				  HINT = 'Let somebody create them who may, and run SELECT risk.grant_roles() first.';
	END IF;

	FOR protected IN
		SELECT c.oid::regclass AS name,
			   CASE c.relname
					WHEN 'account' THEN 'owner_id = current_user'
					WHEN 'position_limit' THEN 'owner_id IS NULL OR owner_id = current_user'
					WHEN 'transfer' THEN format(own_accounts, 'from_account') || ' OR ' || format(own_accounts, 'to_account')
					WHEN 'journal' THEN 'EXISTS (SELECT FROM ledger.account a WHERE a.book_id = journal.book_id AND a.account_id = ANY (accounts) AND a.owner_id = current_user)'
					WHEN 'freeze' THEN format(own_accounts, 'account_id') || ' OR owner_id = current_user'
					WHEN 'instalment' THEN own_debts
					WHEN 'repayment' THEN own_debts
					WHEN 'waiver' THEN own_debts
					WHEN 'liquidation_step' THEN '(book_id, liquidation_id) IN (SELECT l.book_id, l.liquidation_id FROM ledger.liquidation l)'
					ELSE format(own_accounts, 'account_id')
			   END AS own_rows
		  FROM pg_class c
		 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		   AND c.relname <> 'wiring'
		   AND (c.relname IN ('transfer', 'journal', 'position_limit', 'instalment', 'repayment', 'waiver', 'liquidation_step')
				OR EXISTS (SELECT FROM pg_attribute t
							WHERE t.attrelid = c.oid AND t.attname = 'account_id' AND NOT t.attisdropped))
		 ORDER BY c.relname
	LOOP
		EXECUTE format('DROP POLICY IF EXISTS venue_sees_all ON %s', protected.name);
		EXECUTE format('DROP POLICY IF EXISTS owner_sees_own ON %s', protected.name);
		IF enabled THEN
			EXECUTE format('CREATE POLICY venue_sees_all ON %s TO risk_reader, risk_writer, risk_operator, risk_owner, CURRENT_USER USING (true)',
						   protected.name);
			EXECUTE format('CREATE POLICY owner_sees_own ON %s FOR SELECT TO risk_trader USING (%s)',
						   protected.name, protected.own_rows);
			EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', protected.name);
			EXECUTE format('GRANT SELECT ON %s TO risk_trader', protected.name);
		ELSE
			EXECUTE format('REVOKE SELECT ON %s FROM risk_trader', protected.name);
			EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', protected.name);
		END IF;
	END LOOP;
	IF enabled THEN
		GRANT USAGE ON SCHEMA ledger TO risk_trader;
		EXECUTE (SELECT format('GRANT SELECT ON %s TO risk_trader', string_agg('ledger.' || t.name, ', '))
				   FROM unnest(public_tables) AS t(name));
	ELSE
		REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM risk_trader;
		REVOKE ALL ON SCHEMA ledger FROM risk_trader;
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.protect_owners(boolean) IS
	'Puts row policies on every table of the ledger that is about accounts, and makes the role risk_trader, which may read. A member of it sees the accounts whose owner_id is its own name (current_user, so a pool may SET ROLE), and what hangs on them, in tables and views alike; members of risk_reader, risk_writer, risk_operator and risk_owner, and the owner of the ledger, see every row; any other role sees none, whatever was granted to it. Postings and checks see every row. With false the policies and the grants to risk_trader go. Under policies COPY into a protected table and risk.verify() are for the owner of the tables and for roles with BYPASSRLS. For the owner of the ledger; 42704 without the roles.';

REVOKE ALL ON FUNCTION
	risk.make_role(text, text), risk.grant_roles(), risk.protect_owners(boolean)
FROM PUBLIC;
