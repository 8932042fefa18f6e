-- Making a ledger, and making it whole again.

CREATE FUNCTION risk.install(partition text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	width interval := CASE install.partition WHEN 'month' THEN interval '1 month' WHEN 'day' THEN interval '1 day' END;
	partitioned boolean;
	unposted text;
BEGIN
	IF install.partition IS NOT NULL AND width IS NULL THEN
		RAISE EXCEPTION 'a ledger cannot be partitioned by "%"', install.partition
			USING ERRCODE = '22023', HINT = 'It can be by month or by day; leave it out for plain tables.';
	END IF;
	-- Functions of the extension write to the tables as the extension's owner.
	-- If somebody else owned the tables, a trigger of his would run as that
	-- owner.
	IF (SELECT e.extowner FROM pg_extension e WHERE e.extname = 'risk_ext')
		<> (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) THEN
		RAISE EXCEPTION 'only the owner of extension risk_ext can install a ledger'
			USING ERRCODE = '42501',
				  DETAIL = format('The owner is %s.', (SELECT pg_get_userbyid(e.extowner) FROM pg_extension e
														WHERE e.extname = 'risk_ext')),
				  HINT = 'Call risk.install() as that role.';
	END IF;

	-- How a table is stored is settled when it is made.
	SELECT c.relkind = 'p' INTO partitioned FROM pg_class c WHERE c.oid = to_regclass('ledger.entry');
	IF NOT partitioned AND width IS NOT NULL
		OR width <> (SELECT risk.partition_width(p.from_period, p.to_period) FROM risk.partitions() p
					  WHERE p.table_name = 'entry' AND p.to_period IS NOT NULL ORDER BY p.to_period DESC LIMIT 1) THEN
		RAISE EXCEPTION 'the ledger that is there is not partitioned by %', install.partition
			USING ERRCODE = '55000',
				  HINT = CASE WHEN partitioned THEN 'risk.create_partitions() can make coming partitions of another width.'
						 ELSE 'Plain tables stay plain; a new ledger can be made partitioned.' END;
	END IF;
	PERFORM risk.create_tables(coalesce(partitioned, width IS NOT NULL));
	PERFORM risk.create_shortfall_tables(coalesce(partitioned, width IS NOT NULL));
	PERFORM risk.create_freeze_tables();
	PERFORM risk.create_recourse_tables();
	PERFORM risk.create_bust_tables();
	PERFORM risk.create_pending_deposit_tables();
	PERFORM risk.create_price_band_tables();
	PERFORM risk.create_alert_tables();
	PERFORM risk.create_stop_order_tables();
	PERFORM risk.create_sweep_tables();
	PERFORM risk.create_liquidation_tables();
	PERFORM risk.create_liquidation_order_tables();
	PERFORM risk.create_notice_tables();
	PERFORM risk.create_fund_tables();
	PERFORM risk.create_gainer_tables();
	PERFORM risk.create_settle_tables(coalesce(partitioned, width IS NOT NULL));
	PERFORM risk.create_checkpoint_tables();
	PERFORM risk.create_wiring();

	-- Where the triggers are missing, rows may have come in that nothing
	-- posted.  The locks keep more of them out until the triggers are back.
	LOCK TABLE ledger.trade, ledger.transfer, ledger.journal, ledger.reversal, ledger.funding IN SHARE ROW EXCLUSIVE MODE;
	SELECT u.what INTO unposted
	  FROM (SELECT format('transfer %s of book %s', t.transfer_id, t.book_id)
			  FROM ledger.transfer t
			 WHERE NOT EXISTS (SELECT FROM ledger.entry e
								WHERE e.book_id = t.book_id AND e.account_id = t.from_account
								  AND e.cause = t.transfer_id AND e.kind = t.kind)
			UNION ALL
			SELECT format('journal %s of book %s', j.journal_id, j.book_id)
			  FROM ledger.journal j
			 WHERE NOT EXISTS (SELECT FROM ledger.entry e
								WHERE e.book_id = j.book_id AND e.account_id = j.accounts[array_lower(j.accounts, 1)]
								  AND e.cause = j.journal_id AND e.kind = j.kind)
			UNION ALL
			SELECT format('reversal %s of book %s', r.reversal_id, r.book_id)
			  FROM ledger.reversal r
			 WHERE NOT EXISTS (SELECT FROM ledger.entry e
								WHERE e.book_id = r.book_id AND e.cause = r.reversal_id AND e.kind = 'reversal')
			UNION ALL
			SELECT format('a trade of account %s in instrument %s of book %s',
						  t.account_id, t.instrument_id, t.book_id)
			  FROM (SELECT book_id, account_id, instrument_id, count(*) AS trades
					  FROM ledger.trade GROUP BY book_id, account_id, instrument_id) t
			  LEFT JOIN ledger.position p USING (book_id, account_id, instrument_id)
			  LEFT JOIN LATERAL (
				SELECT o.trades FROM ledger.checkpoint_position o
				 WHERE o.book_id = t.book_id AND o.account_id = t.account_id AND o.instrument_id = t.instrument_id
				 ORDER BY o.checkpoint_id DESC LIMIT 1) o ON true
			 WHERE p.trades IS DISTINCT FROM t.trades + coalesce(o.trades, 0)
			UNION ALL
			SELECT format('funding %s of book %s', f.funding_id, f.book_id)
			  FROM ledger.funding f
			 WHERE f.rate <> 0
			   AND NOT EXISTS (SELECT FROM ledger.funding_payment p
								WHERE p.book_id = f.book_id AND p.funding_id = f.funding_id)
			   -- what went before is proven by checkpoints
			   AND f.funding_at >= coalesce((SELECT max(k.before)::timestamp AT TIME ZONE 'UTC' FROM ledger.checkpoint k), '-infinity')
			   AND EXISTS (SELECT FROM (
							SELECT t.account_id, CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END AS qty
							  FROM ledger.trade t
							 WHERE t.book_id = f.book_id AND t.instrument_id = f.instrument_id
							   AND t.executed_at < f.funding_at
							UNION ALL
							(SELECT DISTINCT ON (o.account_id) o.account_id, o.qty
							   FROM ledger.checkpoint_position o
							  WHERE o.book_id = f.book_id AND o.instrument_id = f.instrument_id
							  ORDER BY o.account_id, o.checkpoint_id DESC)) t
							GROUP BY t.account_id
						   HAVING sum(t.qty) <> 0)) AS u(what)
	 ORDER BY u.what LIMIT 1;
	IF unposted IS NOT NULL THEN
		RAISE EXCEPTION 'rows were inserted while posting was not installed'
			USING ERRCODE = '55000',
				  DETAIL = format('%s has not been posted.', upper(left(unposted, 1)) || substr(unposted, 2)),
				  HINT = 'Take those rows out with the append-only triggers disabled, run risk.install(), and insert them again.';
	END IF;

	-- Accounts may have come in as well, and assets.  What they lack is zero.
	-- create_triggers() puts the guard back in its mode.
	IF EXISTS (SELECT FROM pg_trigger t
				WHERE t.tgrelid = 'ledger.balance'::regclass AND t.tgname = 'written_by_posting') THEN
		ALTER TABLE ledger.balance DISABLE TRIGGER written_by_posting;
	END IF;
	INSERT INTO ledger.balance (book_id, account_id, floor)
	SELECT a.book_id, a.account_id, risk.initial_floor(a.kind)
	  FROM ledger.account a
	 WHERE NOT EXISTS (SELECT FROM ledger.balance b
						WHERE b.book_id = a.book_id AND b.slot = 0 AND b.account_id = a.account_id);

	PERFORM risk.create_triggers();
	PERFORM risk.create_partitions(width => width);
	-- the trigger says which of those that came in are in margin groups
	UPDATE ledger.account a SET in_group = true
	  FROM ledger.policy p
	 WHERE p.policy_code = a.policy_code AND p.collateral_group
	   AND NOT a.in_group AND a.kind = 'trader' AND a.owner_id IS NOT NULL AND a.parent_id IS NULL;
	PERFORM risk.create_views();
	PERFORM risk.open_system_accounts(b.book_id, a.asset_code)
	   FROM (SELECT b.book_id FROM ledger.book b ORDER BY b.book_id) b,
			(SELECT s.asset_code FROM ledger.asset s ORDER BY s.asset_code) a;

	PERFORM risk.change_policy(s.policy_code, s.rules)
	   FROM risk.shipped_policies() s
	  WHERE NOT EXISTS (SELECT FROM ledger.policy p WHERE p.policy_code = s.policy_code);

	-- A rule that the owner took back has a row, and stays taken back.
	INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, reason)
	SELECT s.kind, s.from_kind, s.to_kind, 'as shipped'
	  FROM risk.shipped_transfer_rules() s
	 WHERE NOT EXISTS (SELECT FROM ledger.transfer_rule r
						WHERE r.kind = s.kind AND r.from_kind = s.from_kind AND r.to_kind = s.to_kind);

	IF NOT EXISTS (SELECT FROM ledger.book) THEN
		PERFORM risk.create_book(1, 'main');
	END IF;

	PERFORM risk.grant_roles();
	-- tables that are new since then
	IF (SELECT c.relrowsecurity FROM pg_class c WHERE c.oid = 'ledger.account'::regclass) THEN
		PERFORM risk.protect_owners();
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.install(text) IS
	'Makes schema ledger with its tables, triggers, views, policies, transfer rules and book 1, or makes whole what is missing of it: tables stay as they are, triggers, views and the privileges of risk.grant_roles() are put back. The tables belong to the caller, who must own the extension (42501). partition: month or day makes the tables that have a period partitioned by it, for the life of the ledger, with the first partitions, see risk.create_partitions(); NULL: plain tables, or, where there is a ledger, as it is. 55000 when rows were inserted while the triggers were missing, or when the ledger that is there is not partitioned like that; 22023 for another partition.';

REVOKE ALL ON FUNCTION risk.install(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA risk TO PUBLIC;
