-- bust.sql
--		Busts: an execution that should not have been is taken back on all sides.

CREATE FUNCTION risk.create_bust_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.bust (
		book_id int NOT NULL REFERENCES ledger.book,
		execution_id bigint NOT NULL,
		bust_execution_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		reason text NOT NULL CHECK (reason <> ''),
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, execution_id),
		UNIQUE (book_id, bust_execution_id)
	);
	COMMENT ON TABLE ledger.bust IS
		'Executions that were taken back by mirrored trades at the same prices, each once. Written by risk.bust(). Append-only.';
	COMMENT ON COLUMN ledger.bust.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.bust.execution_id IS 'The execution that was taken back.';
	COMMENT ON COLUMN ledger.bust.bust_execution_id IS 'The execution of the mirrored trades, of kind bust; below zero.';
	COMMENT ON COLUMN ledger.bust.posted_at IS 'When.';
	COMMENT ON COLUMN ledger.bust.reason IS 'Why.';
	COMMENT ON COLUMN ledger.bust.who IS 'Who took it back.';
END
$function$;
COMMENT ON FUNCTION risk.create_bust_tables() IS
	'Makes the table of busts. Called by risk.install().';

CREATE FUNCTION risk.replay_trades(
	kind text, multiplier numeric, scale int, qty numeric, cost numeric, qtys numeric[], prices numeric[],
	OUT new_qty numeric, OUT new_cost numeric, OUT realized numeric)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'risk_replay_trades';
COMMENT ON FUNCTION risk.replay_trades(text, numeric, int, numeric, numeric, numeric[], numeric[]) IS
	'The position that trades make of another, by signed quantities and prices in the order given, and the profit that they realise together, each rounded down to the scale of the asset as posting does. Errors: 22023 for arrays that differ in length or hold what is no number.';

CREATE FUNCTION risk.settle_position(book_id int, account_id bigint, instrument_id int, amount numeric) RETURNS void
LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'risk_settle_position';
COMMENT ON FUNCTION risk.settle_position(int, bigint, int, numeric) IS
	'Pays what a bust settles out of a position into the balance, or back (below zero): the cost grows by it, clearing gives it. A part of risk.bust().';

-- What the account would have realised without busted trades, less what it has
-- realised with them and their mirrors: the difference is in the position,
-- and is settled.  NULL where that cannot be told.
CREATE FUNCTION risk.unrealized_by_bust(book_id int, account_id bigint, instrument_id int, execution_id bigint) RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	contract record;
	held record;
	trades record;
	since record;
	booked numeric;
BEGIN
	SELECT i.kind, i.multiplier, s.scale::int AS scale INTO contract
	  FROM ledger.instrument i JOIN ledger.asset s ON s.asset_code = i.settle_asset
	 WHERE i.instrument_id = unrealized_by_bust.instrument_id;
	SELECT p.qty, p.cost INTO held FROM ledger.position p
	 WHERE p.book_id = unrealized_by_bust.book_id AND p.account_id = unrealized_by_bust.account_id
	   AND p.instrument_id = unrealized_by_bust.instrument_id;
	IF held.qty = 0 THEN
		RETURN 0;	-- all of it is realised
	END IF;
	-- the trades since the first that was busted, their mirror among them
	SELECT array_agg(t.trade_id ORDER BY t.trade_id) AS ids,
		   array_agg(CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END ORDER BY t.trade_id) AS qtys,
		   array_agg(t.price ORDER BY t.trade_id) AS prices,
		   array_agg(CASE t.side WHEN 'buy' THEN t.qty ELSE -t.qty END ORDER BY t.trade_id) FILTER (WHERE NOT t.busted) AS kept_qtys,
		   array_agg(t.price ORDER BY t.trade_id) FILTER (WHERE NOT t.busted) AS kept_prices,
		   min(t.executed_at) AS first_executed_at
	  INTO trades
	  FROM (SELECT t.*, EXISTS (SELECT FROM ledger.bust o
								 WHERE o.book_id = t.book_id AND t.execution_id IN (o.execution_id, o.bust_execution_id)) AS busted
			  FROM ledger.bust b
			  JOIN ledger.trade t ON t.book_id = b.book_id
			   AND t.trade_id >= (SELECT min(f.trade_id) FROM ledger.trade f
								   WHERE f.book_id = b.book_id AND f.execution_id = b.execution_id
									 AND f.account_id = unrealized_by_bust.account_id)
			 WHERE b.book_id = unrealized_by_bust.book_id AND b.execution_id = unrealized_by_bust.execution_id
			   AND t.account_id = unrealized_by_bust.account_id AND t.instrument_id = unrealized_by_bust.instrument_id) t;
	SELECT coalesce(sum(s.amount) FILTER (WHERE s.kind = 'residue'), 0) AS residues,
		   coalesce(sum(s.amount) FILTER (WHERE s.kind = 'bust'), 0) AS by_busts,
		   coalesce(bool_or(s.kind = 'profit'), false) AS settled
	  INTO since
	  FROM ledger.settlement s
	 WHERE s.book_id = unrealized_by_bust.book_id AND s.account_id = unrealized_by_bust.account_id
	   AND s.instrument_id = unrealized_by_bust.instrument_id
	   AND (s.trade_id = ANY (trades.ids) OR s.kind <> 'residue' AND s.posted_at >= trades.first_executed_at);
	IF since.settled THEN
		RETURN NULL;	-- before or after which of the trades, nobody knows
	END IF;
	SELECT coalesce(sum(e.amount), 0) + since.by_busts INTO booked
	  FROM ledger.entry e
	 WHERE e.book_id = unrealized_by_bust.book_id AND e.slot = 0 AND e.account_id = unrealized_by_bust.account_id
	   AND e.kind IN ('realized_pnl', 'bust_pnl') AND e.cause = ANY (trades.ids);
	-- the position before them, by cost = values + realised + residues
	SELECT held.qty - r.new_qty AS qty, held.cost - (r.new_cost - r.realized) - booked - since.residues AS cost INTO held
	  FROM risk.replay_trades(contract.kind, contract.multiplier, contract.scale, 0, 0, trades.qtys, trades.prices) r;
	RETURN (SELECT r.realized
			  FROM risk.replay_trades(contract.kind, contract.multiplier, contract.scale, held.qty, held.cost,
									  coalesce(trades.kept_qtys, '{}'), coalesce(trades.kept_prices, '{}')) r) - booked;
END
$function$;
COMMENT ON FUNCTION risk.unrealized_by_bust(int, bigint, int, bigint) IS
	'What an account would have realised without a busted execution, more than it has; 0 for a position that is flat, NULL where profit was settled meanwhile without a trade. A part of risk.bust().';

CREATE FUNCTION risk.bust_execution(book_id int, execution_id bigint, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	-- below zero, apart from those of the matching engine
	mirror bigint := -nextval('ledger.trade_execution_id_seq');
	leg record;
	paid record;
	fault text;
	balances jsonb;
	amount numeric;
	back numeric;
BEGIN
	PERFORM FROM ledger.balance b
	 WHERE b.book_id = bust_execution.book_id AND b.slot = 0 AND b.account_id > 0
	   AND b.account_id IN (SELECT t.account_id FROM ledger.trade t
							 WHERE t.book_id = bust_execution.book_id AND t.execution_id = bust_execution.execution_id)
	 ORDER BY b.account_id
	   FOR NO KEY UPDATE;
	SELECT CASE WHEN count(*) = 0 THEN 'There is no trade of it.'
				WHEN bool_or(t.kind NOT IN ('trade', 'liquidation', 'mirror'))
				THEN format('It is of kind %s.', min(t.kind) FILTER (WHERE t.kind NOT IN ('trade', 'liquidation', 'mirror'))) END
	  INTO fault
	  FROM ledger.trade t
	 WHERE t.book_id = bust_execution.book_id AND t.execution_id = bust_execution.execution_id;
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'execution % of book % cannot be busted', execution_id, book_id
			USING ERRCODE = CASE fault WHEN 'There is no trade of it.' THEN '23503' ELSE '22023' END, DETAIL = fault,
				  HINT = 'Name an execution of the matching engine, a trade or a liquidation.';
	END IF;
	IF EXISTS (SELECT FROM ledger.bust b
				WHERE b.book_id = bust_execution.book_id AND b.execution_id = bust_execution.execution_id) THEN
		RAISE EXCEPTION 'execution % of book % was busted before', execution_id, book_id
			USING ERRCODE = '23505',
				  DETAIL = (SELECT format('By execution %s, at %s: %s.', b.bust_execution_id, b.posted_at, b.reason) FROM ledger.bust b
							 WHERE b.book_id = bust_execution.book_id AND b.execution_id = bust_execution.execution_id),
				  HINT = 'Nothing takes a bust back; book the execution again.';
	END IF;
	INSERT INTO ledger.bust (book_id, execution_id, bust_execution_id, reason)
	VALUES (bust_execution.book_id, bust_execution.execution_id, mirror, bust_execution.reason);
	SELECT jsonb_object_agg(b.account_id, b.amount) INTO balances
	  FROM ledger.balance b
	 WHERE b.book_id = bust_execution.book_id AND b.slot = 0 AND b.account_id > 0
	   AND b.account_id IN (SELECT t.account_id FROM ledger.trade t
							 WHERE t.book_id = bust_execution.book_id AND t.execution_id = bust_execution.execution_id);

	-- A fee comes back less what was cut of it; a rebate goes back.
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, execution_id, side, qty, price, fee, kind, executed_at)
	SELECT t.book_id, t.account_id, t.instrument_id, mirror, CASE t.side WHEN 'buy' THEN 'sell' ELSE 'buy' END, t.qty, t.price,
		   CASE WHEN t.fee <= 0 THEN -t.fee ELSE -greatest(t.fee - c.cut, 0) END, 'bust', clock_timestamp()
	  FROM ledger.trade t
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(e.amount), 0) AS cut FROM ledger.entry e
		 WHERE e.book_id = t.book_id AND e.slot = 0 AND e.account_id = t.account_id AND e.kind = 'fee_cut' AND e.cause = t.trade_id) c
	 WHERE t.book_id = bust_execution.book_id AND t.execution_id = bust_execution.execution_id
	 ORDER BY t.trade_id;

	FOR leg IN
		SELECT DISTINCT t.account_id, t.instrument_id FROM ledger.trade t
		 WHERE t.book_id = bust_execution.book_id AND t.execution_id = bust_execution.execution_id AND t.account_id > 0
		 ORDER BY t.account_id, t.instrument_id
	LOOP
		amount := risk.unrealized_by_bust(bust_execution.book_id, leg.account_id, leg.instrument_id, bust_execution.execution_id);
		IF amount <> 0 THEN
			PERFORM risk.settle_position(bust_execution.book_id, leg.account_id, leg.instrument_id, amount);
		END IF;
	END LOOP;

	-- What came back pays back, first, what others paid because of these trades.
	FOR leg IN
		SELECT b.account_id, b.amount - (balances->>b.account_id::text)::numeric AS came_back, b.amount - b.floor AS spare
		  FROM ledger.balance b
		 WHERE b.book_id = bust_execution.book_id AND b.slot = 0
		   AND b.account_id IN (SELECT k::bigint FROM jsonb_object_keys(balances) k)
		 ORDER BY b.account_id
	LOOP
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		VALUES (bust_execution.book_id, leg.account_id, 'bust',
				jsonb_build_object('execution_id', bust_execution.execution_id, 'bust_execution_id', mirror,
								   'reason', bust_execution.reason, 'amount', leg.came_back));
		back := least(leg.came_back, leg.spare);
		FOR paid IN
			SELECT s.shortfall_id, s.asset_code, d.debt_id, d.principal + d.penalty - d.repaid - d.waived AS outstanding
			  FROM ledger.shortfall s
			  LEFT JOIN ledger.debt d ON d.book_id = s.book_id AND d.shortfall_id = s.shortfall_id AND d.settled_at IS NULL
			 WHERE s.book_id = bust_execution.book_id AND s.account_id = leg.account_id AND s.cause_kind = 'trade'
			   AND s.cause IN (SELECT t.trade_id FROM ledger.trade t
								WHERE t.book_id = bust_execution.book_id AND t.execution_id = bust_execution.execution_id)
			 ORDER BY s.shortfall_id DESC
		LOOP
			CONTINUE WHEN back <= 0;
			amount := risk.return_to_payers(bust_execution.book_id, paid.shortfall_id, leg.account_id,
											least(back, paid.outstanding), paid.debt_id, bust_execution.execution_id, paid.asset_code);
			IF paid.debt_id IS NOT NULL AND amount > 0 THEN
				PERFORM risk.credit_debt(bust_execution.book_id, paid.debt_id, amount);
			END IF;
			back := back - amount;
		END LOOP;
	END LOOP;
	RETURN mirror;
END
$function$;
COMMENT ON FUNCTION risk.bust_execution(int, bigint, text) IS
	'Takes an execution back. Called by risk.bust(), and run as posting does.';

CREATE FUNCTION risk.bust(execution_id bigint, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'risk_bust';
COMMENT ON FUNCTION risk.bust(bigint, text, int) IS
	'Takes an execution back and returns the number of the execution that does it: trades of kind bust, mirrored at the same prices on all sides, with the fees given back that were paid. What an account would have realised without it is settled where its position stays open. What an account gets back pays, before anything else, those who paid a shortfall that these trades caused, the last one first, and its debt. What an account cannot give back is operational: never the insurance fund''s. Liquidations that a wrong print caused are executions of their own, to be busted as well; takeovers stay, since they were at the mark. Fundings are not touched. Errors: 23505 the second time; 23503 for an unknown execution; 22023 for one that posting made; 55000 for a closed account; 23514 without a reason, or when nobody pays what is missing.';

REVOKE ALL ON FUNCTION
	risk.create_bust_tables(), risk.settle_position(int, bigint, int, numeric),
	risk.unrealized_by_bust(int, bigint, int, bigint), risk.bust_execution(int, bigint, text), risk.bust(bigint, text, int)
FROM PUBLIC;
