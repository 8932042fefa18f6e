-- settle_tables.sql
--		What was paid onto suspense after the commit, and whose positions were
--		closed for it.

CREATE FUNCTION risk.create_settle_tables(partitioned boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	by_period text := CASE WHEN partitioned THEN ' PARTITION BY RANGE (period)' ELSE '' END;
BEGIN
	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.shortfall_payment (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		payment_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		shortfall_id bigint NOT NULL,
		account_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		asset_code text NOT NULL,
		stage text NOT NULL CHECK (stage IN ('adl', 'fund', 'socialise', 'house', 'receivable')),
		amount numeric NOT NULL CHECK (amount > 0),
		claim numeric,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, payment_id, period),
		CONSTRAINT shortfall_payment_is_within_the_claim
			CHECK ((stage = 'socialise') = (claim IS NOT NULL) AND (claim >= amount) IS NOT FALSE)
	)$table$ || by_period;
	CREATE INDEX IF NOT EXISTS shortfall_payment_shortfall
		ON ledger.shortfall_payment (book_id, shortfall_id);
	COMMENT ON TABLE ledger.shortfall_payment IS
		'What was paid onto suspense for a shortfall, by risk.settle(): one row for each payer. Append-only.';
	COMMENT ON COLUMN ledger.shortfall_payment.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.shortfall_payment.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.shortfall_payment.payment_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.shortfall_payment.shortfall_id IS 'The shortfall, see ledger.shortfall.';
	COMMENT ON COLUMN ledger.shortfall_payment.account_id IS 'Who paid. In stage adl the liquidity account, what it gained by closing positions against others, see ledger.deleveraging.';
	COMMENT ON COLUMN ledger.shortfall_payment.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.shortfall_payment.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.shortfall_payment.stage IS 'The stage of the policy: adl, fund, socialise, house or receivable.';
	COMMENT ON COLUMN ledger.shortfall_payment.amount IS 'What was paid.';
	COMMENT ON COLUMN ledger.shortfall_payment.claim IS 'Of a payer of a socialised loss, the most that could be asked of it, see risk.loss_claims(); NULL in other stages.';
	COMMENT ON COLUMN ledger.shortfall_payment.who IS 'Who ran the transaction.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.deleveraging (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		deleveraging_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		takeover_id bigint NOT NULL,
		shortfall_id bigint,
		account_id bigint NOT NULL,
		liquidity_account bigint NOT NULL,
		instrument_id int NOT NULL,
		rank int NOT NULL CHECK (rank > 0),
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		execution_id bigint NOT NULL,
		trade_id bigint NOT NULL,
		liquidity_trade_id bigint NOT NULL,
		formula text NOT NULL,
		score numeric,
		qty numeric NOT NULL CHECK (qty > 0),
		price numeric NOT NULL,
		mark_price numeric NOT NULL,
		gain numeric NOT NULL,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, deleveraging_id, period)
	)$table$ || by_period;
	CREATE INDEX IF NOT EXISTS deleveraging_takeover
		ON ledger.deleveraging (book_id, takeover_id);
	COMMENT ON TABLE ledger.deleveraging IS
		'Positions that were closed, in whole or in part, because the liquidity account had taken over the other side from a bankrupt account: one row for each counterparty and takeover. Append-only.';
	COMMENT ON COLUMN ledger.deleveraging.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.deleveraging.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.deleveraging.deleveraging_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.deleveraging.takeover_id IS 'What the liquidity account had taken over, see ledger.takeover.';
	COMMENT ON COLUMN ledger.deleveraging.shortfall_id IS 'The shortfall that its gain paid for; NULL: it was closed for lack of capacity.';
	COMMENT ON COLUMN ledger.deleveraging.account_id IS 'Whose position was closed.';
	COMMENT ON COLUMN ledger.deleveraging.liquidity_account IS 'The liquidity account.';
	COMMENT ON COLUMN ledger.deleveraging.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.deleveraging.rank IS 'The place among those who could be closed against, from 1: highest score first, of equals the smaller account_id.';
	COMMENT ON COLUMN ledger.deleveraging.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.deleveraging.execution_id IS 'The execution of its two trades.';
	COMMENT ON COLUMN ledger.deleveraging.trade_id IS 'The trade of the account.';
	COMMENT ON COLUMN ledger.deleveraging.liquidity_trade_id IS 'The trade of the liquidity account.';
	COMMENT ON COLUMN ledger.deleveraging.formula IS 'What the rank goes by: bitmex, coinex or pnl_equity.';
	COMMENT ON COLUMN ledger.deleveraging.score IS 'The score by that formula; NULL: none.';
	COMMENT ON COLUMN ledger.deleveraging.qty IS 'Contracts that were closed.';
	COMMENT ON COLUMN ledger.deleveraging.price IS 'At what price: the bankruptcy price of the account that was taken over; for lack of capacity the price of the takeover, so that nobody else gains or loses by it.';
	COMMENT ON COLUMN ledger.deleveraging.mark_price IS 'The mark price then.';
	COMMENT ON COLUMN ledger.deleveraging.gain IS 'What the liquidity account gained against the price at which it took the position over, exact.';
	COMMENT ON COLUMN ledger.deleveraging.who IS 'Who ran the transaction.';

	CREATE OR REPLACE VIEW ledger.realized_result WITH (security_invoker = true) AS
	SELECT e.book_id, e.account_id, e.seq, e.period, e.kind, e.amount,
		   CASE WHEN e.kind IN ('realized_pnl', 'bust_pnl') THEN (
					SELECT t.instrument_id FROM ledger.trade t WHERE t.book_id = e.book_id AND t.trade_id = e.cause)
				WHEN e.kind IN ('settlement', 'bust_settlement') THEN (
					SELECT t.instrument_id FROM ledger.settlement t WHERE t.book_id = e.book_id AND t.settlement_id = e.cause)
				ELSE (SELECT f.instrument_id FROM ledger.shortfall_payment y
						JOIN ledger.shortfall f ON f.book_id = y.book_id AND f.shortfall_id = y.shortfall_id
					   WHERE y.book_id = e.book_id AND y.payment_id = e.cause) END AS instrument_id
	  FROM ledger.entry e
	 WHERE e.slot = 0 AND e.account_id > 0
	   AND e.kind IN ('realized_pnl', 'bust_pnl', 'settlement', 'bust_settlement', 'loss_share');
	COMMENT ON VIEW ledger.realized_result IS
		'What traders have realised by instrument: the entries of profit and loss, less what was shared away of it. What risk.retire() took of them stands in ledger.checkpoint_cause.';
	COMMENT ON COLUMN ledger.realized_result.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.realized_result.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.realized_result.seq IS 'The entry.';
	COMMENT ON COLUMN ledger.realized_result.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.realized_result.kind IS 'realized_pnl, settlement, what a bust took back of either, or loss_share.';
	COMMENT ON COLUMN ledger.realized_result.amount IS 'In units of the asset; a loss and a loss share are below 0.';
	COMMENT ON COLUMN ledger.realized_result.instrument_id IS 'The instrument; NULL: a share of a loss that no instrument made.';
END
$function$;
COMMENT ON FUNCTION risk.create_settle_tables(boolean) IS
	'Makes the tables of what risk.settle() did; with true they are partitioned by period. Called by risk.install().';

CREATE FUNCTION risk.loss_claims(book_id int, shortfall_id bigint)
RETURNS TABLE (account_id bigint, claim numeric, weight numeric)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT c.account_id, c.claim, CASE c.share_rule WHEN 'claims' THEN c.claim ELSE c.contracts END
	  FROM (SELECT a.account_id, s.share_rule, v.contracts,
				   trunc(greatest(CASE s.share_rule WHEN 'claims' THEN least(r.realized + greatest(v.pnl, 0), x.spare)
													ELSE x.spare END, 0), s.scale) AS claim
			  FROM (SELECT f.account_id, f.owner_id, f.asset_code, t.scale, p.share_rule,
						   CASE p.share_scope WHEN 'instrument' THEN f.instrument_id END AS instrument_id,
						   (SELECT coalesce(o.parent_id, o.account_id) FROM ledger.account o
							 WHERE o.book_id = f.book_id AND o.account_id = f.account_id) AS family
					  FROM ledger.shortfall f
					  JOIN ledger.asset t ON t.asset_code = f.asset_code
					  JOIN ledger.policy p ON p.policy_code = f.policy_code AND p.version = f.policy_version
					 WHERE f.book_id = loss_claims.book_id AND f.shortfall_id = loss_claims.shortfall_id) s
			 CROSS JOIN LATERAL (
				SELECT n.account_id FROM ledger.account n
				 WHERE n.book_id = loss_claims.book_id AND n.kind = 'trader' AND n.asset_code = s.asset_code
				   AND n.status <> 'closed' AND coalesce(n.parent_id, n.account_id) <> s.family
				   AND (n.owner_id = s.owner_id) IS NOT TRUE
				   AND EXISTS (SELECT FROM ledger.position h
								WHERE h.book_id = n.book_id AND h.account_id = n.account_id
								  AND (h.instrument_id = s.instrument_id OR s.instrument_id IS NULL))) a
			 CROSS JOIN LATERAL (
				SELECT b.amount, coalesce(b.floor, b.amount) AS floor FROM ledger.balance b
				 WHERE b.book_id = loss_claims.book_id AND b.slot = 0 AND b.account_id = a.account_id
				OFFSET 0) b
			 CROSS JOIN LATERAL (
				SELECT coalesce(sum(o.unrealized_pnl), 0) AS all_pnl, coalesce(sum(o.maintenance_margin), 0) AS maintenance,
					   coalesce(sum(o.unrealized_pnl) FILTER (WHERE o.instrument_id = s.instrument_id OR s.instrument_id IS NULL), 0) AS pnl,
					   coalesce(sum(CASE WHEN s.instrument_id IS NULL THEN o.notional
										 WHEN o.instrument_id = s.instrument_id THEN abs(o.qty) END), 0) AS contracts
				  FROM ledger.position_value o
				 WHERE o.book_id = loss_claims.book_id AND o.account_id = a.account_id
				OFFSET 0) v
			 CROSS JOIN LATERAL (
				SELECT b.amount + v.all_pnl - greatest(v.maintenance, b.floor) AS spare
				OFFSET 0) x
			 CROSS JOIN LATERAL (
				-- what has been realised and not been shared away already
				SELECT coalesce(sum(e.amount), 0) AS realized
				  FROM (SELECT e.instrument_id, e.amount FROM ledger.realized_result e
						 WHERE e.book_id = loss_claims.book_id AND e.account_id = a.account_id
						UNION ALL
						SELECT i.instrument_id, k.amount
						  FROM (SELECT h.instrument_id FROM ledger.position h
								 WHERE h.book_id = loss_claims.book_id AND h.account_id = a.account_id
								UNION ALL SELECT 0) i
						 CROSS JOIN LATERAL (
							SELECT o.amount FROM ledger.checkpoint_cause o
							 WHERE o.book_id = loss_claims.book_id AND o.kind = 'realized' AND o.id = i.instrument_id
							   AND o.account_id = a.account_id
							 ORDER BY o.checkpoint_id DESC LIMIT 1) k) e
				 WHERE s.share_rule = 'claims' AND x.spare > 0
				   AND (s.instrument_id IS NULL OR e.instrument_id = s.instrument_id)
				OFFSET 0) r) c
	 WHERE c.claim > 0 AND CASE c.share_rule WHEN 'claims' THEN c.claim ELSE c.contracts END > 0
	 ORDER BY c.account_id
$function$;
COMMENT ON FUNCTION risk.loss_claims(int, bigint) IS
	'Who would bear a shortfall if it were shared now, by the version of the policy that it happened under: the most that can be asked of each account, and its weight. By share_rule claims both are min(max(0, realised + max(0, profit not yet realised)), equity - maintenance margin), rounded down to the scale of the asset: realised profits and losses since the instrument was listed (an instrument is settled once, at its end), those of retired periods included, without fees and funding, less what was shared away before. By open_interest the weight is the contracts held, on either side (in a wider scope than one instrument the notional), the most that can be asked is equity - maintenance margin. Nobody is taken below the floor. share_scope instrument: of the instrument that caused it; asset and book, or where no instrument did: of all instruments, of accounts in the asset of the shortfall. The owner of the account that is bankrupt is left out, and so is that account itself with its parent and children.';

REVOKE ALL ON FUNCTION risk.create_settle_tables(boolean), risk.loss_claims(int, bigint) FROM PUBLIC;
