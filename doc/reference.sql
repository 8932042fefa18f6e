-- reference.sql
--		Writes doc/reference.md out of the comments in the database, as
--		`make reference` calls it: what psql shows and what the reference says
--		are the same text.
--
-- The topics are here.  A function that is in none of them is an error, and so
-- is a name in a topic that no function has.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
CREATE EXTENSION risk_ext;
SELECT FROM risk.install();

CREATE TEMP TABLE topic (place numeric PRIMARY KEY, title text, introduction text, names name[]);
INSERT INTO topic VALUES
(1, 'A position', '`qty` is in contracts, long > 0 and short < 0; prices are in units of the settlement asset; `multiplier` is how many units of the underlying are in one contract; `kind` is linear, inverse (settled in the coin, so that the value moves with 1 / price) or quanto (the formulas of linear, settled in an asset of choice). Results are in the settlement asset. Where a function says exact, it gives every digit that the numbers have; a quotient has at least 16 significant digits and is rounded half away from zero, as NUMERIC does. All are IMMUTABLE, STRICT (a NULL in any argument gives NULL) and PARALLEL SAFE. The forms `..._at_cost` take the signed cost of the position instead of its entry price: what `ledger.position` holds; they take a quantity of zero, which the others refuse.',
 '{unrealized_pnl,unrealized_pnl_at_cost,equity,equity_at_cost,notional,entry_price,margin_tier,maintenance_margin,initial_margin,leverage_in_force,liquidation_fee_rate,liquidation_fee,liquidation_requirement,liquidation_price,liquidation_price_at_cost,bankruptcy_price,bankruptcy_price_at_cost,is_liquidatable,is_liquidatable_at_cost,funding_payment}'),
(2, 'An account', 'The three ratios have three names that are never mixed: margin ratio (equity to notional), margin level (equity to requirement), risk ratio (requirement to equity).',
 '{free_collateral,withdrawable,max_order_qty,margin_ratio,margin_level,risk_ratio,effective_leverage,sum_unrealized_pnl,sum_notional,sum_maintenance_margin,sum_liquidation_requirement,sum_initial_margin}'),
(2.7, 'Who pays', 'The rules are rows of ledger.policy. Then: who is deleveraged first, and who bears how much of a loss that is shared.',
 '{change_policy,shipped_policies,settle,loss_claims,adl_rank_bitmex,adl_rank_coinex,adl_rank_pnl_equity,loss_shares,create_adl_views,create_settle_tables}'),
(2.8, 'Before an order', 'What an order would do to its account, asked before it is placed.',
 '{check_order,account_after,try_trade,try_limits}'),
(3, 'Volatility', 'Maintenance rates that follow the volatility of the mark price.',
 '{realized_volatility,update_volatility,volatility_scale,scaled_rate}'),
(4, 'Prices', 'The mark price decides.', '{set_mark_prices,settle_instrument,close_instrument,is_price,mark_price_skew,judge_tick,confirm_held_ticks,place_stop_order,cancel_stop_order,send_stop_orders,trigger_stop_orders,has_due_stop_order,band_tick,tick_is_held,tell_of_tick}'),
(4.5, 'The sweep and liquidations', 'The sweep finds the accounts that the marks make due by the triggers of their positions, and liquidates those that it must, in steps.', '{sweep,sweep_account,lock_if_free,require_read_committed,close_insolvent,sweep_order,due_accounts,next_step,reband,reband_accounts,reband_due,liquidate,take_part,charge_liquidation,charge_liquidation_fee,note_margin_change,create_sweep_tables,create_liquidation_tables,create_liquidation_order_tables,filled_of_order,order_verdict,due_liquidation_orders,place_liquidation_order,continue_liquidation,create_liquidation_terms_view}'),
(4.6, 'Alerts', 'Traders are warned when the margin level falls to a level of their policy, once until it has recovered. Found by prices that postings keep, as liquidations are.', '{alert,alert_account,due_alerts,note_alert,create_alert_tables}'),
(5, 'Money', 'Amounts are in the asset of the account. One with more digits than the asset has is refused, never rounded.',
 '{deposit,withdraw,transfer_once,post_batch,post_batch_into,post,book_trade,original_of_key,reverse_transfer,reverse_journal,shipped_transfer_rules,set_floor,pay_funding}'),
(5.5, 'Holds', 'Money that is promised, and captured, released or expired. What is held can neither be withdrawn nor used as margin.',
 '{hold,request_withdrawal,capture,release,expire_holds,announce_deposit,confirm_deposit,cancel_deposit,expire_deposits,lock_pending_deposit}'),
(6, 'Isolated margin', 'An isolated position has an account of its own, the child of the trader''s account.',
 '{open_isolated,add_margin,remove_margin,isolated_account,parent_of}'),
(65, 'Freezes and debts', 'Whose account is frozen, and what accounts owe for what others paid.',
 '{freeze,freeze_owner,lift_freeze,apply_freezes,repay,plan_instalments,accrue_penalties,waive,freeze_of,make_freeze,end_freeze,close_accounts,what_is_left,claim_debts,lock_debt,credit_instalments,review_debt,repay_debt,pay_debts,payers_to_return,return_to_payers,credit_debt,bust,bust_execution,unrealized_by_bust,replay_trades,is_posting,settle_position}'),
(67, 'Notices', 'Events, in the order in which they are handed out, for those who have to tell somebody.',
 '{relay_events,read_events,acknowledge_events,watch_funds,hold_gainers,release_gainer,place_gainer_holds,watched_payouts,gains_not_held,release_gainer_as_posting}'),
(68, 'Background worker', 'What has to be done when nobody asks for it. cron can call the same functions.',
 '{start_worker,stop_worker,worker_pid,wake_worker,launch_worker,end_worker}'),
(7, 'Books and their own accounts', 'A book is a closed set of accounts with its own fund. Its own accounts have many slots, so that postings do not wait for each other.',
 '{create_book,open_fund,system_account,asset_of,open_system_accounts,initial_floor,fold_slots}'),
(8, 'Time', 'What an account had at a time, and what happened between two: by the database''s time of posting.',
 '{balance_at,statement,slots_at}'),
(9, 'Proof', 'Anyone can check the books again. Seals tell whether their entries are the ones that were there.',
 '{verify,check_entries,check_transfers,check_trades,check_suspense,check_accounts,check_checkpoints,check_events,check_funds,seal,verify_seal,check_seals,rows_digest,rows_marks}'),
(9.5, 'Retention', 'Old periods leave a partitioned ledger, and checkpoints stand for them.',
 '{retire,detached_tables,kept_rows,row_causes,keep_rows_of_causes,write_openings,write_checkpoint}'),
(10, 'Roles', 'Who may do what in a ledger.',
 '{grant_roles,make_role,protect_owners,role_privileges}'),
(11, 'Installation', 'The extension owns functions; the tables belong to who installs the ledger.',
 '{install,create_tables,create_policy_table,create_shortfall_tables,create_freeze_tables,create_recourse_tables,create_bust_tables,create_pending_deposit_tables,create_pending_deposit_views,create_recourse_views,create_price_band_tables,create_stop_order_tables,create_wiring,create_triggers,create_views,bind_text,create_tier_views,position_value_text,create_position_value_view,position_risk_text,create_position_risk_view,margin_group_text,account_risk_text,create_account_risk_view,ledger_triggers,create_partitions,partitions,create_partition,close_partitions,partition_width,create_checkpoint_tables,create_notice_tables,create_fund_tables,create_fund_views,create_gainer_tables}'),
(12, 'Trigger functions', 'Called by the triggers of the ledger; here is what they refuse.',
 ARRAY(SELECT DISTINCT p.proname FROM pg_proc p
		WHERE p.pronamespace = 'risk'::regnamespace AND p.prorettype = 'trigger'::regtype
		  AND p.proname <> 'open_system_accounts' ORDER BY 1)),
(13, 'Tables of your own', 'Any table can have the check at commit, without a ledger.',
 '{guard,unguard,guards,place_guard,guard_terms}'),
(2.5, 'Margin groups', 'Accounts of one owner whose policies say `collateral_group` stand in for each other. Values are in the unit of account of the venue, the one that index prices are in.',
 '{collateral_value,collateral_share,create_collateral_views}');

CREATE TEMP VIEW documented AS
SELECT p.oid, p.proname, p.prorettype = 'trigger'::regtype AS is_trigger, obj_description(p.oid, 'pg_proc') AS comment
  FROM pg_proc p
 WHERE p.pronamespace = 'risk'::regnamespace
   -- parts of aggregates
   AND NOT 'internal'::regtype = ANY (p.proargtypes) AND p.prorettype <> 'internal'::regtype;

DO $$
DECLARE
	lost text;
BEGIN
	SELECT string_agg(d.oid::regprocedure::text, ', ') INTO lost
	  FROM documented d
	 WHERE NOT EXISTS (SELECT FROM topic t WHERE d.proname = ANY (t.names));
	IF lost IS NOT NULL THEN
		RAISE EXCEPTION 'in no topic of doc/reference.sql: %', lost;
	END IF;
	SELECT string_agg(n, ', ') INTO lost
	  FROM topic t, unnest(t.names) AS n
	 WHERE NOT EXISTS (SELECT FROM documented d WHERE d.proname = n);
	IF lost IS NOT NULL THEN
		RAISE EXCEPTION 'in doc/reference.sql, but there is no such function: %', lost;
	END IF;
END
$$;

\qecho '# Reference'
\qecho
\qecho 'Every function of schema `risk`, and every table and view of schema `ledger`. Written by `make reference` out of the comments that psql shows with `\\df+` and `\\d+`.'
\qecho
SELECT format('- [%s](#%s)', t.title, lower(replace(t.title, ' ', '-')))
  FROM (SELECT place, title FROM topic UNION ALL VALUES (98, 'Tables'), (99, 'Views')) t
 ORDER BY t.place;

SELECT string_agg(line, E'\n' ORDER BY place, in_topic NULLS FIRST, oid)
  FROM (
	SELECT t.place, NULL::bigint AS in_topic, NULL::oid AS oid,
		   format(E'\n## %s\n\n%s', t.title, t.introduction) AS line
	  FROM topic t
	UNION ALL
	SELECT t.place, n.ordinality, d.oid,
		   CASE WHEN d.is_trigger THEN format(E'\n### risk.%s()\n\n%s', d.proname, d.comment)
				ELSE format(E'\n### risk.%s\n\n```\nrisk.%s(%s)\n    returns %s\n```\n\n%s', d.proname, d.proname,
							replace(pg_get_function_arguments(d.oid), '::text', ''),
							pg_get_function_result(d.oid), upper(left(d.comment, 1)) || substr(d.comment, 2))
		   END
	  FROM topic t
	 CROSS JOIN LATERAL unnest(t.names) WITH ORDINALITY AS n(name, ordinality)
	  JOIN documented d ON d.proname = n.name
	 WHERE NOT d.is_trigger OR t.place = 12) AS part;

SELECT string_agg(line, E'\n' ORDER BY kind, relname COLLATE "C", attnum)
  FROM (
	SELECT c.relkind AS kind, c.relname, 0 AS attnum,
		   CASE WHEN c.relname = (SELECT min(f.relname COLLATE "C") FROM pg_class f
								   WHERE f.relnamespace = c.relnamespace AND f.relkind = c.relkind)
				THEN CASE c.relkind WHEN 'v' THEN E'\n## Views\n' ELSE E'\n## Tables\n' END ELSE '' END
		   || format(E'\n### ledger.%s\n\n%s\n\n| column | type | |\n|---|---|---|', c.relname,
					 obj_description(c.oid, 'pg_class')) AS line
	  FROM pg_class c
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'v')
	UNION ALL
	SELECT c.relkind, c.relname, a.attnum,
		   format('| `%s` | %s | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
				  coalesce(col_description(c.oid, a.attnum), ''))
	  FROM pg_class c
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'v')
	   AND c.relname <> 'wiring') AS part;
