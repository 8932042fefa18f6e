-- fund.sql
--		Insurance funds as they are shown: every movement of every fund, for
--		everybody, and a warning when one runs low.

CREATE FUNCTION risk.create_fund_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.fund_level (
		book_id int NOT NULL REFERENCES ledger.book,
		asset_code text NOT NULL REFERENCES ledger.asset,
		warn_below numeric NOT NULL CHECK (warn_below > 0 AND warn_below < 'Infinity'),
		low_since timestamptz,
		PRIMARY KEY (book_id, asset_code)
	);
	COMMENT ON TABLE ledger.fund_level IS
		'Below which balance the venue is warned of an insurance fund. Judged by risk.watch_funds().';
	COMMENT ON COLUMN ledger.fund_level.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.fund_level.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.fund_level.warn_below IS 'The balance below which there is an event fund_low, in units of the asset.';
	COMMENT ON COLUMN ledger.fund_level.low_since IS 'Since when it is known to be below; NULL: it was not when it was last looked at.';
END
$function$;
COMMENT ON FUNCTION risk.create_fund_tables() IS
	'Makes the table of warnings about funds. Called by risk.install().';

CREATE FUNCTION risk.watch_funds() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	changed bigint;
BEGIN
	WITH judged AS (
		SELECT l.book_id, l.asset_code, f.account_id, l.warn_below, f.balance
		  FROM ledger.fund_level l
		  JOIN ledger.fund_status f ON f.book_id = l.book_id AND f.asset_code = l.asset_code
		 WHERE (f.balance < l.warn_below) <> (l.low_since IS NOT NULL)
	), noted AS (
		-- of two that look at once the second finds nothing to change
		UPDATE ledger.fund_level l
		   SET low_since = CASE WHEN j.balance < j.warn_below THEN clock_timestamp() END
		  FROM judged j
		 WHERE l.book_id = j.book_id AND l.asset_code = j.asset_code
		   AND (j.balance < j.warn_below) <> (l.low_since IS NOT NULL)
		RETURNING l.book_id, j.account_id, j.asset_code, j.balance, j.warn_below)
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	SELECT n.book_id, n.account_id, CASE WHEN n.balance < n.warn_below THEN 'fund_low' ELSE 'fund_recovered' END,
		   jsonb_build_object('asset_code', n.asset_code, 'amount', n.balance, 'warn_below', n.warn_below)
		   || CASE WHEN n.balance < n.warn_below
				   THEN jsonb_build_object('steps', jsonb_build_array(
							format('Put %s %s or more into the fund, account %s.', n.warn_below - n.balance, n.asset_code, n.account_id)))
				   ELSE '{}' END
	  FROM noted n ORDER BY n.book_id, n.asset_code;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$function$;
COMMENT ON FUNCTION risk.watch_funds() IS
	'Compares the funds with ledger.fund_level and writes an event for each one that fell below its level (fund_low, with the balance and what is missing) or is back at it (fund_recovered), once for each crossing; returns how many. Run by the background worker, or by cron.';

CREATE FUNCTION risk.create_fund_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	-- Shows the entries of funds to everybody, and nothing that is whose.
	CREATE OR REPLACE VIEW ledger.fund_history WITH (security_barrier = true) AS
	SELECT m.book_id, m.account_id, m.asset_code, m.posted_at, m.kind, m.amount,
		   sum(m.amount) OVER (PARTITION BY m.book_id, m.account_id
							   ORDER BY m.posted_at, m.slot, m.seq ROWS UNBOUNDED PRECEDING) AS balance,
		   m.cause_kind, m.cause,
		   CASE m.cause_kind
				WHEN 'reset' THEN (SELECT r.instrument_id FROM ledger.reset r WHERE r.book_id = m.book_id AND r.reset_id = m.cause)
				WHEN 'shortfall_payment' THEN (SELECT s.instrument_id FROM ledger.shortfall_payment y
												 JOIN ledger.shortfall s ON s.book_id = y.book_id AND s.shortfall_id = y.shortfall_id
												WHERE y.book_id = m.book_id AND y.payment_id = m.cause)
				WHEN 'trade' THEN (SELECT t.instrument_id FROM ledger.trade t WHERE t.book_id = m.book_id AND t.trade_id = m.cause)
		   END AS instrument_id,
		   CASE m.cause_kind
				WHEN 'reset' THEN (SELECT r.shortfall_id FROM ledger.reset r WHERE r.book_id = m.book_id AND r.reset_id = m.cause)
				WHEN 'shortfall_payment' THEN (SELECT y.shortfall_id FROM ledger.shortfall_payment y
												WHERE y.book_id = m.book_id AND y.payment_id = m.cause)
		   END AS shortfall_id,
		   m.slot, m.seq
	  FROM (SELECT e.book_id, e.account_id, a.asset_code, e.posted_at, e.slot, e.seq, e.kind, e.amount, e.cause,
				   CASE WHEN e.kind IN ('reset', 'reversal') THEN e.kind
						WHEN e.kind IN ('shortfall_payment', 'adl_gain') THEN 'shortfall_payment'
						WHEN e.kind IN ('trade_fee', 'fee_cut', 'takeover_result') THEN 'trade'
						WHEN e.kind IN ('journal', 'adjustment', 'repayment', 'waiver') THEN 'journal'
						WHEN e.kind IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee') THEN 'transfer'
						ELSE split_part(e.kind, '_', 1) END AS cause_kind
			  FROM ledger.account a
			  JOIN ledger.entry e ON e.book_id = a.book_id AND e.account_id = a.account_id
			 WHERE a.kind = 'insurance_fund'
			   -- a pair, between two slots of the account
			   AND e.kind <> 'fold'
			   -- what went before stands in the balance of the last checkpoint
			   AND e.period >= coalesce((SELECT max(k.before) FROM ledger.checkpoint k WHERE k.book_id = e.book_id), '-infinity')
			UNION ALL
			SELECT a.book_id, a.account_id, a.asset_code, o.posted_at, 0, 0, 'opening', o.amount, o.checkpoint_id, 'checkpoint'
			  FROM ledger.account a
			 CROSS JOIN LATERAL (
				SELECT max(l.posted_at) AS posted_at, sum(l.amount) AS amount, max(l.checkpoint_id) AS checkpoint_id
				  FROM (SELECT DISTINCT ON (o.slot) o.* FROM ledger.checkpoint_balance o
						 WHERE o.book_id = a.book_id AND o.account_id = a.account_id
						 ORDER BY o.slot, o.checkpoint_id DESC) l
				HAVING count(*) > 0) o
			 WHERE a.kind = 'insurance_fund') m;
	COMMENT ON VIEW ledger.fund_history IS
		'Every movement of every insurance fund with its cause, and the balance after it. The amounts of a fund sum to its balance in ledger.fund_status. For everybody to read: it says what happened and in which instrument, and not to whom; ledger.fund_movement adds that for those who may know.';
	COMMENT ON COLUMN ledger.fund_history.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.fund_history.account_id IS 'The fund''s account.';
	COMMENT ON COLUMN ledger.fund_history.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.fund_history.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.fund_history.kind IS 'The kind of the entry: reset (it paid for a balance below its floor), shortfall_payment (the same after the commit), deposit, withdrawal, transfer, fee, trade_fee (its part of the fee of a trade), takeover_result (what the liquidity account gained by a trade), repayment (of a debt) and so on. opening: what it had when older entries were retired.';
	COMMENT ON COLUMN ledger.fund_history.amount IS 'What came in; below 0: what went out.';
	COMMENT ON COLUMN ledger.fund_history.balance IS 'What was in the fund after it.';
	COMMENT ON COLUMN ledger.fund_history.cause_kind IS 'What the cause is a row of.';
	COMMENT ON COLUMN ledger.fund_history.cause IS 'The number of that row.';
	COMMENT ON COLUMN ledger.fund_history.instrument_id IS 'The instrument that it is about; NULL: none.';
	COMMENT ON COLUMN ledger.fund_history.shortfall_id IS 'The shortfall that was paid for; NULL: none.';
	COMMENT ON COLUMN ledger.fund_history.slot IS 'The slot of the fund''s balance.';
	COMMENT ON COLUMN ledger.fund_history.seq IS 'The entry in that slot.';

	CREATE OR REPLACE VIEW ledger.fund_movement WITH (security_invoker = true) AS
	SELECT h.*,
		   coalesce(s.account_id, t.account_id,
					CASE WHEN x.from_account = h.account_id THEN x.to_account ELSE x.from_account END) AS other_account,
		   s.owner_id, s.policy_code
	  FROM ledger.fund_history h
	  LEFT JOIN ledger.shortfall s ON s.book_id = h.book_id AND s.shortfall_id = h.shortfall_id
	  LEFT JOIN ledger.trade t ON h.cause_kind = 'trade' AND t.book_id = h.book_id AND t.trade_id = h.cause
	  LEFT JOIN ledger.transfer x ON h.cause_kind = 'transfer' AND x.book_id = h.book_id AND x.transfer_id = h.cause;
	COMMENT ON VIEW ledger.fund_movement IS
		'ledger.fund_history, and whose loss, trade or transfer each movement came from; NULL where the reader may not see that row.';
	COMMENT ON COLUMN ledger.fund_movement.other_account IS 'Whose shortfall or trade it was, or the other side of the transfer.';
	COMMENT ON COLUMN ledger.fund_movement.owner_id IS 'The owner whose shortfall was paid for.';
	COMMENT ON COLUMN ledger.fund_movement.policy_code IS 'The policy by which it was paid.';
	EXECUTE (SELECT string_agg(format('COMMENT ON COLUMN ledger.fund_movement.%I IS ''As in ledger.fund_history.''', a.attname), '; ')
			   FROM pg_attribute a WHERE a.attrelid = 'ledger.fund_history'::regclass AND a.attnum > 0);
END
$function$;
COMMENT ON FUNCTION risk.create_fund_views() IS
	'Makes or replaces the views of the movements of funds. A part of risk.create_views().';

CREATE FUNCTION risk.check_funds(book_id int DEFAULT NULL)
RETURNS TABLE (check_name text, violations bigint, first_offender text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT 'fund_history', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n,
				   format('book %s, fund %s: balance %s, its history %s', s.book_id, s.account_id, s.balance, coalesce(h.amount, 0)) AS offender
			  FROM ledger.fund_status s
			  LEFT JOIN (SELECT h.book_id, h.account_id, sum(h.amount) AS amount
						   FROM ledger.fund_history h GROUP BY h.book_id, h.account_id) h
				   ON h.book_id = s.book_id AND h.account_id = s.account_id
			 WHERE s.balance <> coalesce(h.amount, 0)
			   AND (check_funds.book_id IS NULL OR s.book_id = check_funds.book_id)
			 ORDER BY s.book_id, s.account_id
			 LIMIT 1) v;

	-- A hold on a gain is for a payout, of which no more is held than was paid.
	RETURN QUERY
	SELECT 'gainer_holds', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, hold %s: %s', f.book_id, f.hold_id, f.fault) AS offender
			  FROM (SELECT g.book_id, g.hold_id,
						   CASE WHEN h.hold_id IS NULL OR h.account_id <> g.account_id THEN format('account %s has no such hold', g.account_id)
								WHEN h.amount > g.gain OR sum(h.amount) OVER (PARTITION BY g.book_id, g.shortfall_id, g.fund_account, g.paid) > g.paid
								THEN format('it holds %s for a gain of %s and a payout of %s', h.amount, g.gain, g.paid)
								WHEN NOT EXISTS (SELECT FROM ledger.reset r
												  WHERE r.book_id = g.book_id AND r.shortfall_id = g.shortfall_id
													AND r.payer_account = g.fund_account AND r.amount = g.paid
												 UNION ALL
												 SELECT FROM ledger.shortfall_payment y
												  WHERE y.book_id = g.book_id AND y.shortfall_id = g.shortfall_id
													AND y.account_id = g.fund_account AND y.amount = g.paid)
								 AND NOT EXISTS (SELECT FROM ledger.checkpoint k WHERE k.book_id = g.book_id)
								THEN format('the fund did not pay %s for shortfall %s', g.paid, g.shortfall_id)
						   END AS fault
					  FROM ledger.gainer_hold g
					  LEFT JOIN ledger.hold h ON h.book_id = g.book_id AND h.hold_id = g.hold_id
					 WHERE check_funds.book_id IS NULL OR g.book_id = check_funds.book_id) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.hold_id
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_funds(int) IS
	'What risk.verify() says of insurance funds, of one book or all: what is shown of a fund sums to its balance, and holds on gains are for what it paid.';

REVOKE ALL ON FUNCTION risk.create_fund_tables(), risk.watch_funds(), risk.create_fund_views() FROM PUBLIC;
