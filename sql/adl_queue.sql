-- adl_queue.sql
--		The order in which positions are deleveraged, for who deleverages and
--		for the screen of who may be.

CREATE FUNCTION risk.create_adl_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	-- The account is looked up for each position of the instrument, so that a
	-- queue costs no more than the accounts in it have positions.
	ranked CONSTANT text := $ranked$
		SELECT v.book_id, v.account_id, v.instrument_id, a.owner_id,
			   CASE WHEN v.qty > 0 THEN 'long' ELSE 'short' END AS side,
			   v.qty, v.cost, v.kind, v.multiplier, v.mark_price, v.unrealized_pnl, v.maintenance_margin,
			   c.equity, c.maintenance_margin AS account_maintenance,
			   CASE WHEN v.mark_price IS NOT NULL
					THEN risk.adl_rank_bitmex(v.cost + v.unrealized_pnl, v.cost, v.cost + v.unrealized_pnl - c.share) END AS bitmex,
			   CASE WHEN v.mark_price IS NOT NULL
					THEN risk.adl_rank_coinex(v.unrealized_pnl, v.cost, v.leverage) END AS coinex,
			   CASE WHEN v.mark_price IS NOT NULL
					THEN risk.adl_rank_pnl_equity(v.unrealized_pnl, c.equity) END AS pnl_equity,
			   a.policy_code
		  FROM %1$s v
		 CROSS JOIN LATERAL (
			SELECT n.owner_id, n.policy_code, n.kind FROM ledger.account n
			 WHERE n.book_id = v.book_id AND n.account_id = v.account_id
			OFFSET 0) a
		 CROSS JOIN LATERAL (
			SELECT s.equity, s.maintenance_margin,
				   CASE WHEN s.positions = 1 THEN s.equity
						WHEN s.maintenance_margin > 0 THEN s.equity * v.maintenance_margin / s.maintenance_margin
						ELSE s.equity * v.notional / nullif(s.notional, 0) END AS share
			  FROM (SELECT count(*) AS positions, sum(o.maintenance_margin) AS maintenance_margin, sum(o.notional) AS notional,
						   sum(o.unrealized_pnl)
						   + (SELECT b.amount FROM ledger.balance b
							   WHERE b.book_id = v.book_id AND b.slot = 0 AND b.account_id = v.account_id) AS equity
					  FROM %1$s o
					 WHERE o.book_id = v.book_id AND o.account_id = v.account_id) s
			OFFSET 0) c
		 WHERE a.kind = 'trader'$ranked$;
BEGIN
	EXECUTE 'CREATE OR REPLACE VIEW ledger.adl_position WITH (security_invoker = true) AS ' || format(ranked, 'ledger.position_value');
	COMMENT ON VIEW ledger.adl_position IS
		'Every open position of a trader with what its place in the queues of auto-deleveraging goes by: one score for each formula, NULL where there is none.';
	COMMENT ON COLUMN ledger.adl_position.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.adl_position.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.adl_position.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.adl_position.owner_id IS 'Whose account it is.';
	COMMENT ON COLUMN ledger.adl_position.side IS 'long or short.';
	COMMENT ON COLUMN ledger.adl_position.qty IS 'Quantity in contracts, long > 0.';
	COMMENT ON COLUMN ledger.adl_position.cost IS 'Signed value paid and not yet realised: the entry value of the scores.';
	COMMENT ON COLUMN ledger.adl_position.kind IS 'Kind of contract.';
	COMMENT ON COLUMN ledger.adl_position.multiplier IS 'Units of the underlying in one contract.';
	COMMENT ON COLUMN ledger.adl_position.mark_price IS 'The mark price; NULL when there is none.';
	COMMENT ON COLUMN ledger.adl_position.unrealized_pnl IS 'Profit (above zero) or loss at the mark.';
	COMMENT ON COLUMN ledger.adl_position.maintenance_margin IS 'Maintenance margin of the position.';
	COMMENT ON COLUMN ledger.adl_position.equity IS 'Equity of the account.';
	COMMENT ON COLUMN ledger.adl_position.account_maintenance IS 'Maintenance margin of all positions of the account.';
	COMMENT ON COLUMN ledger.adl_position.bitmex IS 'risk.adl_rank_bitmex(): left to lose is the share of the equity, in proportion to maintenance margin, or to notional when there is none.';
	COMMENT ON COLUMN ledger.adl_position.coinex IS 'risk.adl_rank_coinex() at the leverage in force.';
	COMMENT ON COLUMN ledger.adl_position.pnl_equity IS 'risk.adl_rank_pnl_equity().';
	COMMENT ON COLUMN ledger.adl_position.policy_code IS 'The policy of the account.';

	-- A place is a place among all, so this one reads all rows, with the rights
	-- of its owner, and shows those that whoever asks may see.  What another view
	-- reads goes by who asks, even from within this one: its text is put in.
	EXECUTE $queue$
		CREATE OR REPLACE VIEW ledger.adl_queue WITH (security_barrier = true) AS
		SELECT q.book_id, q.account_id, q.instrument_id, q.side, q.qty, q.formula, q.score, q.place AS rank, q.positions,
			   (5 - (q.place - 1) * 5 / q.positions)::int AS lights
		  FROM (SELECT p.*, y.formula,
					   CASE y.formula WHEN 'bitmex' THEN p.bitmex WHEN 'coinex' THEN p.coinex ELSE p.pnl_equity END AS score,
					   CASE y.formula WHEN 'bitmex' THEN p.bitmex_place WHEN 'coinex' THEN p.coinex_place
							ELSE p.pnl_equity_place END AS place
				  FROM (SELECT a.*,
							   count(*) OVER (PARTITION BY a.book_id, a.instrument_id, a.side) AS positions,
							   row_number() OVER (PARTITION BY a.book_id, a.instrument_id, a.side
												  ORDER BY a.bitmex DESC NULLS LAST, a.account_id) AS bitmex_place,
							   row_number() OVER (PARTITION BY a.book_id, a.instrument_id, a.side
												  ORDER BY a.coinex DESC NULLS LAST, a.account_id) AS coinex_place,
							   row_number() OVER (PARTITION BY a.book_id, a.instrument_id, a.side
												  ORDER BY a.pnl_equity DESC NULLS LAST, a.account_id) AS pnl_equity_place
						  FROM ($queue$ || format(ranked, format('(%s)', rtrim(pg_get_viewdef('ledger.position_value'::regclass), ';'))) || $queue$) a) p
				 CROSS JOIN LATERAL (
					SELECT coalesce((SELECT y.adl_formula FROM ledger.policy y
									  WHERE y.policy_code = p.policy_code AND y.effective_at <= clock_timestamp()
									  ORDER BY y.version DESC LIMIT 1), 'bitmex') AS formula
					OFFSET 0) y) q
		 WHERE NOT row_security_active('ledger.account'::regclass)
			OR q.owner_id = current_user
			OR EXISTS (SELECT FROM pg_roles r
						WHERE r.rolname IN ('risk_reader', 'risk_writer', 'risk_operator', 'risk_owner')
						  AND pg_has_role(current_user, r.oid, 'USAGE'))$queue$;
	COMMENT ON VIEW ledger.adl_queue IS
		'Where every open position of a trader stands in the queue of auto-deleveraging of its instrument and side, by the formula of the policy of its account. When an account on the other side is bankrupt, positions are closed from the front of it. Under row policies everybody sees the own positions, at their places among all.';
	COMMENT ON COLUMN ledger.adl_queue.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.adl_queue.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.adl_queue.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.adl_queue.side IS 'long or short.';
	COMMENT ON COLUMN ledger.adl_queue.qty IS 'Quantity in contracts, long > 0.';
	COMMENT ON COLUMN ledger.adl_queue.formula IS 'bitmex, coinex or pnl_equity.';
	COMMENT ON COLUMN ledger.adl_queue.score IS 'What the place goes by, the highest first; NULL: none, last.';
	COMMENT ON COLUMN ledger.adl_queue.rank IS 'The place, from 1; of equal scores the smaller account_id is first. Where policies differ, it is the place by this formula among all.';
	COMMENT ON COLUMN ledger.adl_queue.positions IS 'How many positions there are in the queue.';
	COMMENT ON COLUMN ledger.adl_queue.lights IS 'The fifth of the queue that it is in, as lights on a screen: 5 is the first fifth, next to be deleveraged, 1 the last.';
END
$function$;
COMMENT ON FUNCTION risk.create_adl_views() IS
	'Makes or replaces ledger.adl_position and ledger.adl_queue. A part of risk.create_views().';
REVOKE ALL ON FUNCTION risk.create_adl_views() FROM PUBLIC;
