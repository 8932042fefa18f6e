-- stop_order.sql
--		Stop-loss and take-profit orders: a mark that reaches their price sends
--		them out, before anything is liquidated by the same mark.

CREATE FUNCTION risk.create_stop_order_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.stop_order (
		book_id int NOT NULL DEFAULT 1,
		stop_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		side text NOT NULL CHECK (side IN ('buy', 'sell')),
		triggers text NOT NULL CHECK (triggers IN ('at_or_above', 'at_or_below')),
		trigger_price numeric NOT NULL CHECK (trigger_price > 0 AND trigger_price < 1e20),
		qty numeric NOT NULL CHECK (qty > 0 AND qty < 1e20 AND scale(trim_scale(qty)) <= 18),
		limit_price numeric CHECK (limit_price > 0 AND limit_price < 1e20),
		one_cancels_other bigint,
		state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'ordered', 'executed', 'cancelled')),
		placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		ended_at timestamptz,
		mark_price numeric,
		closed_qty numeric,
		execution_id bigint,
		reason text,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, stop_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account,
		CONSTRAINT stop_order_ends_with_a_time CHECK ((state = 'open') = (ended_at IS NULL))
	);
	CREATE INDEX IF NOT EXISTS stop_order_trigger
		ON ledger.stop_order (instrument_id, triggers, trigger_price) WHERE state = 'open';
	CREATE INDEX IF NOT EXISTS stop_order_account
		ON ledger.stop_order (book_id, account_id) WHERE state = 'open';
	COMMENT ON TABLE ledger.stop_order IS
		'Orders that wait for a mark price: stop-loss and take-profit. They reduce a position and never turn it over. An INSERT places one, risk.cancel_stop_order() takes it back, risk.trigger_stop_orders() sends out what the marks have reached. Rows stay as a record.';
	COMMENT ON COLUMN ledger.stop_order.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.stop_order.stop_id IS 'Number of the order.';
	COMMENT ON COLUMN ledger.stop_order.account_id IS 'The trader''s account, a child account for an isolated position.';
	COMMENT ON COLUMN ledger.stop_order.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.stop_order.side IS 'buy closes a short position, sell a long one.';
	COMMENT ON COLUMN ledger.stop_order.triggers IS 'On which side of trigger_price the mark sends it out. Left out: at_or_below for a trigger price at or below the mark of the moment, at_or_above for one above it.';
	COMMENT ON COLUMN ledger.stop_order.trigger_price IS 'The mark price that sends it out.';
	COMMENT ON COLUMN ledger.stop_order.qty IS 'The most contracts that it closes, above zero; never more than the position has then.';
	COMMENT ON COLUMN ledger.stop_order.limit_price IS 'The worst price that the order may trade at; told in its event. With policy.stop_execution liquidity it is executed at the mark, and cancelled when that is worse than this. NULL: at market.';
	COMMENT ON COLUMN ledger.stop_order.one_cancels_other IS 'Orders of one account and instrument with the same number are a group: when one goes out the others are cancelled. NULL: it stands alone.';
	COMMENT ON COLUMN ledger.stop_order.state IS 'open; ordered: its event was sent, the matching engine trades it; executed: against the liquidity account; cancelled.';
	COMMENT ON COLUMN ledger.stop_order.placed_at IS 'When it was placed.';
	COMMENT ON COLUMN ledger.stop_order.ended_at IS 'When it went out or was cancelled; NULL while it is open.';
	COMMENT ON COLUMN ledger.stop_order.mark_price IS 'The mark that sent it out.';
	COMMENT ON COLUMN ledger.stop_order.closed_qty IS 'How many contracts it was for then.';
	COMMENT ON COLUMN ledger.stop_order.execution_id IS 'Of its trades, where it was executed against the liquidity account.';
	COMMENT ON COLUMN ledger.stop_order.reason IS 'Why it was cancelled.';
	COMMENT ON COLUMN ledger.stop_order.who IS 'Who placed it; set by the database.';
END
$function$;
COMMENT ON FUNCTION risk.create_stop_order_tables() IS
	'Makes the table of stop orders. Called by risk.install().';

CREATE FUNCTION risk.check_stop_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	account ledger.account;
	instrument ledger.instrument;
	mark numeric;
	fault text;
BEGIN
	SELECT * INTO account FROM ledger.account a WHERE a.book_id = NEW.book_id AND a.account_id = NEW.account_id;
	SELECT * INTO instrument FROM ledger.instrument i WHERE i.instrument_id = NEW.instrument_id;
	IF account.account_id IS NULL OR instrument.instrument_id IS NULL THEN
		RAISE EXCEPTION 'stop order for account % of book % cannot be placed', NEW.account_id, NEW.book_id
			USING ERRCODE = '23503',
				  DETAIL = CASE WHEN account.account_id IS NULL THEN 'There is no such account.'
						   ELSE format('There is no instrument %s.', coalesce(NEW.instrument_id::text, 'NULL')) END,
				  HINT = 'Place it on the account and in the instrument of the position that it is to close.';
	END IF;
	fault := CASE WHEN account.kind <> 'trader' THEN format('Account %s is a %s account.', account.account_id, account.kind)
				  WHEN account.asset_code <> instrument.settle_asset THEN
					format('Account %s holds %s, instrument %s settles in %s.', account.account_id, account.asset_code,
						   instrument.instrument_id, instrument.settle_asset)
				  WHEN account.isolated_instrument_id <> NEW.instrument_id THEN
					format('Account %s holds instrument %s only.', account.account_id, account.isolated_instrument_id)
				  WHEN NEW.state <> 'open' OR (NEW.mark_price, NEW.closed_qty, NEW.execution_id, NEW.reason) IS DISTINCT FROM (NULL::numeric, NULL::numeric, NULL::bigint, NULL::text)
					THEN 'It says how it ended.'
				  WHEN NEW.who <> session_user THEN format('"%s" is not who places it.', NEW.who)
			 END;
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'stop order for account % of book % cannot be placed', NEW.account_id, NEW.book_id
			USING ERRCODE = '22023', DETAIL = fault,
				  HINT = 'Place it on the trader''s account that holds the position, and leave out what the database sets.';
	END IF;
	IF account.status = 'closed' OR instrument.state = 'settled' THEN
		RAISE EXCEPTION 'stop order for account % of book % cannot be placed', NEW.account_id, NEW.book_id
			USING ERRCODE = '55000',
				  DETAIL = CASE account.status WHEN 'closed' THEN 'The account is closed.'
						   ELSE format('Instrument %s is settled.', NEW.instrument_id) END,
				  HINT = 'There is no position that it could close.';
	END IF;
	NEW.placed_at := clock_timestamp();
	IF NEW.triggers IS NULL THEN
		SELECT m.price INTO mark FROM ledger.mark_price m WHERE m.instrument_id = NEW.instrument_id;
		IF mark IS NULL THEN
			RAISE EXCEPTION 'stop order for account % of book % cannot be placed', NEW.account_id, NEW.book_id
				USING ERRCODE = '55000', DETAIL = format('Instrument %s has no mark price to compare %s with.', NEW.instrument_id, NEW.trigger_price),
					  HINT = 'Say in the column triggers on which side it goes out.';
		END IF;
		NEW.triggers := CASE WHEN NEW.trigger_price <= mark THEN 'at_or_below' ELSE 'at_or_above' END;
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_stop_order() IS
	'Judges a stop order, and says on which side of its price it goes out where that is left out. Raises 23503 for an unknown account or instrument, 22023 for an account that cannot hold the position and for columns that the database sets, 55000 for a closed account, a settled instrument, or where there is no mark to compare with.';

CREATE FUNCTION risk.place_stop_order(
	account_id bigint, instrument_id int, side text, trigger_price numeric, qty numeric,
	limit_price numeric DEFAULT NULL, one_cancels_other bigint DEFAULT NULL, triggers text DEFAULT NULL, book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	INSERT INTO ledger.stop_order (book_id, account_id, instrument_id, side, trigger_price, qty, limit_price, one_cancels_other, triggers)
	VALUES ($9, $1, $2, $3, $4, $5, $6, $7, $8)
	RETURNING stop_id
$function$;
COMMENT ON FUNCTION risk.place_stop_order(bigint, int, text, numeric, numeric, numeric, bigint, text, int) IS
	'Places a stop-loss or take-profit order, see ledger.stop_order, and returns its stop_id.';

CREATE FUNCTION risk.cancel_stop_order(stop_id bigint, reason text DEFAULT 'cancelled', book_id int DEFAULT 1) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	found_state text;
BEGIN
	UPDATE ledger.stop_order s
	   SET state = 'cancelled', ended_at = clock_timestamp(), reason = coalesce(cancel_stop_order.reason, 'cancelled')
	 WHERE s.book_id = cancel_stop_order.book_id AND s.stop_id = cancel_stop_order.stop_id AND s.state = 'open';
	IF FOUND THEN
		RETURN;
	END IF;
	SELECT s.state INTO found_state FROM ledger.stop_order s
	 WHERE s.book_id = cancel_stop_order.book_id AND s.stop_id = cancel_stop_order.stop_id;
	RAISE EXCEPTION 'stop order % of book % cannot be cancelled', stop_id, book_id
		USING ERRCODE = CASE WHEN found_state IS NULL THEN '23503' ELSE '55000' END,
			  DETAIL = CASE WHEN found_state IS NULL THEN 'There is no such order.' ELSE format('It is %s.', found_state) END,
			  HINT = 'Only an open order can be cancelled; see ledger.stop_order.';
END
$function$;
COMMENT ON FUNCTION risk.cancel_stop_order(bigint, text, int) IS
	'Takes back a stop order that is open. Errors: 23503 for an unknown order, 55000 for one that went out or was cancelled.';

CREATE FUNCTION risk.has_due_stop_order(book_id int, account_ids bigint[]) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	RETURN EXISTS (
		SELECT FROM ledger.stop_order s
		  JOIN ledger.mark_price m ON m.instrument_id = s.instrument_id
		  JOIN ledger.instrument i ON i.instrument_id = s.instrument_id AND i.state IN ('open', 'close_only')
		 WHERE s.book_id = $1 AND s.account_id = ANY ($2) AND s.state = 'open'
		   AND CASE s.triggers WHEN 'at_or_below' THEN s.trigger_price >= m.price ELSE s.trigger_price <= m.price END
		   AND (m.observed_at < clock_timestamp() - i.max_mark_age) IS NOT TRUE);
END
$function$;
COMMENT ON FUNCTION risk.has_due_stop_order(int, bigint[]) IS
	'Whether one of these accounts has an open stop order that the mark of the moment has reached, so that risk.trigger_stop_orders() would send it out. Such an account is not liquidated before that.';

CREATE FUNCTION risk.send_stop_orders(book_ids int[], stop_ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	-- Of a group the first by number goes out.  An account's orders in one
	-- instrument close its position in the order of their numbers: each gets
	-- what those before it have left.
	WITH out AS (
		SELECT s.book_id, s.stop_id, s.account_id, s.instrument_id, s.side, s.qty, s.limit_price, m.price,
			   row_number() OVER (PARTITION BY s.book_id, s.account_id, s.instrument_id, s.one_cancels_other ORDER BY s.stop_id) > 1
			   AND s.one_cancels_other IS NOT NULL AS beaten,
			   CASE WHEN (s.side = 'sell') = (p.qty > 0) THEN abs(p.qty) ELSE 0 END AS open_qty,
			   (SELECT y.stop_execution FROM ledger.policy y
				 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
				 ORDER BY y.version DESC LIMIT 1) AS execution
		  FROM ledger.stop_order s
		  JOIN ledger.account a ON a.book_id = s.book_id AND a.account_id = s.account_id
		  JOIN ledger.mark_price m ON m.instrument_id = s.instrument_id
		  LEFT JOIN ledger.position p ON p.book_id = s.book_id AND p.account_id = s.account_id AND p.instrument_id = s.instrument_id
		 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(send_stop_orders.book_ids, send_stop_orders.stop_ids))
	), judged AS (
		SELECT o.*,
			   CASE WHEN o.beaten THEN 'another order of its group went out'
					WHEN o.execution = 'liquidity' AND (CASE o.side WHEN 'sell' THEN o.price < o.limit_price ELSE o.price > o.limit_price END)
					THEN 'the mark is beyond its limit price' END AS refusal
		  FROM out o
	), shared AS (
		SELECT j.*, coalesce(sum(j.qty) FILTER (WHERE j.refusal IS NULL)
							 OVER (PARTITION BY j.book_id, j.account_id, j.instrument_id ORDER BY j.stop_id), 0) AS until_here
		  FROM judged j
	), closes AS (
		SELECT h.*,
			   CASE WHEN h.refusal IS NULL THEN greatest(least(h.until_here, h.open_qty) - least(h.until_here - h.qty, h.open_qty), 0)
					ELSE 0 END AS part
		  FROM shared h
	)
	UPDATE ledger.stop_order s
	   SET state = CASE WHEN c.part = 0 THEN 'cancelled' WHEN c.execution = 'liquidity' THEN 'executed' ELSE 'ordered' END,
		   ended_at = clock_timestamp(), mark_price = c.price, closed_qty = c.part,
		   execution_id = CASE WHEN c.part > 0 AND c.execution = 'liquidity' THEN -nextval('ledger.trade_execution_id_seq') END,
		   reason = CASE WHEN c.part = 0 THEN coalesce(c.refusal, 'there is no position that it could close') END
	  FROM closes c
	 WHERE s.book_id = c.book_id AND s.stop_id = c.stop_id;

	INSERT INTO ledger.trade (book_id, account_id, instrument_id, execution_id, side, qty, price, executed_at)
	SELECT s.book_id, CASE WHEN l.trader THEN s.account_id ELSE risk.system_account(s.book_id, 'liquidity', i.settle_asset) END,
		   s.instrument_id, s.execution_id, CASE WHEN (s.side = 'buy') = l.trader THEN 'buy' ELSE 'sell' END,
		   s.closed_qty, s.mark_price, s.ended_at
	  FROM ledger.stop_order s
	  JOIN ledger.instrument i ON i.instrument_id = s.instrument_id
	 CROSS JOIN (VALUES (true), (false)) AS l(trader)
	 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(send_stop_orders.book_ids, send_stop_orders.stop_ids)) AND s.state = 'executed'
	 ORDER BY s.book_id, s.stop_id, l.trader DESC;

	-- who pays is settled here, so that an account whose policy refuses stops no other
	SET CONSTRAINTS ALL IMMEDIATE;
	SET CONSTRAINTS ALL DEFERRED;
END
$function$;
COMMENT ON FUNCTION risk.send_stop_orders(int[], bigint[]) IS
	'Sends out these stop orders, whose rows and accounts are locked: each is ordered, executed or cancelled then. Errors: those of the trades. A part of risk.trigger_stop_orders().';

-- In one transaction, and without a wait for traders: orders and accounts that
-- another session is at are left to it, and what is executed is one INSERT.
CREATE FUNCTION risk.trigger_stop_orders(instrument_id int DEFAULT NULL, max_orders int DEFAULT NULL)
RETURNS TABLE (book_id int, stop_id bigint, account_id bigint, result text, closed_qty numeric, mark_price numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	due_books int[];
	due_stops bigint[];
	out_books int[];
	out_stops bigint[];
	part record;
BEGIN
	-- by instrument, so that each is a range of the index
	SELECT array_agg(d.book_id), array_agg(d.stop_id) INTO due_books, due_stops
	  FROM (SELECT s.book_id, s.stop_id
			  FROM ledger.mark_price m
			  JOIN ledger.instrument i ON i.instrument_id = m.instrument_id AND i.state IN ('open', 'close_only')
			 CROSS JOIN LATERAL (
				SELECT s.book_id, s.stop_id FROM ledger.stop_order s
				 WHERE s.instrument_id = m.instrument_id AND s.state = 'open'
				   AND s.triggers = 'at_or_below' AND s.trigger_price >= m.price
				UNION ALL
				SELECT s.book_id, s.stop_id FROM ledger.stop_order s
				 WHERE s.instrument_id = m.instrument_id AND s.state = 'open'
				   AND s.triggers = 'at_or_above' AND s.trigger_price <= m.price) s
			 WHERE (trigger_stop_orders.instrument_id IS NULL OR m.instrument_id = trigger_stop_orders.instrument_id)
			   AND (m.observed_at < clock_timestamp() - i.max_mark_age) IS NOT TRUE
			 ORDER BY s.stop_id
			 LIMIT max_orders) d;
	IF due_stops IS NULL THEN
		RETURN;
	END IF;
	SELECT array_agg(s.book_id), array_agg(s.stop_id) INTO out_books, out_stops
	  FROM (SELECT s.book_id, s.stop_id, s.ctid FROM ledger.stop_order s
			 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(due_books, due_stops)) AND s.state = 'open'
			OFFSET 0) s
	 WHERE risk.lock_if_free('ledger.stop_order', s.ctid);
	IF out_stops IS NULL THEN
		RETURN;
	END IF;
	-- Positions hold still behind the balances, which are those that a posting
	-- would lock.  An order is left for another time while one of them is locked.
	WITH backing AS MATERIALIZED (
		SELECT s.book_id, s.stop_id, m.account_id
		  FROM ledger.stop_order s
		  JOIN ledger.account a ON a.book_id = s.book_id AND a.account_id = s.account_id
		 CROSS JOIN LATERAL (
			SELECT a.account_id
			UNION ALL
			SELECT a.parent_id WHERE a.parent_id IS NOT NULL
			UNION ALL
			SELECT m.account_id FROM ledger.account m
			 WHERE a.in_group AND m.book_id = a.book_id AND m.owner_id = a.owner_id AND m.in_group AND m.status <> 'closed') m
		 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(out_books, out_stops)) AND s.state = 'open'
	), locked AS MATERIALIZED (
		SELECT l.book_id, l.account_id
		  FROM (SELECT b.book_id, b.account_id, b.ctid FROM ledger.balance b
				 WHERE b.slot = 0 AND (b.book_id, b.account_id) IN (SELECT k.book_id, k.account_id FROM backing k)
				OFFSET 0) l
		 WHERE risk.lock_if_free('ledger.balance', l.ctid)
	)
	SELECT array_agg(o.book_id), array_agg(o.stop_id) INTO out_books, out_stops
	  FROM (SELECT k.book_id, k.stop_id
			  FROM backing k
			  LEFT JOIN locked l ON l.book_id = k.book_id AND l.account_id = k.account_id
			 GROUP BY k.book_id, k.stop_id
			HAVING bool_and(l.account_id IS NOT NULL)) o;
	IF out_stops IS NULL THEN
		RETURN;
	END IF;

	-- all at once; when one of them is refused, account by account
	BEGIN
		PERFORM risk.send_stop_orders(out_books, out_stops);
	EXCEPTION
		WHEN check_violation OR object_not_in_prerequisite_state OR numeric_value_out_of_range THEN
			FOR part IN
				SELECT array_agg(s.book_id) AS books, array_agg(s.stop_id) AS stops
				  FROM ledger.stop_order s
				 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(out_books, out_stops))
				 GROUP BY s.book_id, s.account_id
				 ORDER BY s.book_id, s.account_id
			LOOP
				BEGIN
					PERFORM risk.send_stop_orders(part.books, part.stops);
				EXCEPTION
					WHEN check_violation OR object_not_in_prerequisite_state OR numeric_value_out_of_range THEN
						UPDATE ledger.stop_order s
						   SET state = 'cancelled', ended_at = clock_timestamp(), mark_price = m.price, closed_qty = 0,
							   reason = format('%s: %s', SQLSTATE, SQLERRM)
						  FROM ledger.mark_price m
						 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(part.books, part.stops))
						   AND m.instrument_id = s.instrument_id;
				END;
			END LOOP;
	END;

	-- the others of a group, whether the marks have reached them or not
	UPDATE ledger.stop_order s
	   SET state = 'cancelled', ended_at = clock_timestamp(), reason = 'another order of its group went out'
	  FROM ledger.stop_order o
	 WHERE (o.book_id, o.stop_id) IN (SELECT * FROM unnest(out_books, out_stops)) AND o.state IN ('ordered', 'executed')
	   AND s.book_id = o.book_id AND s.account_id = o.account_id AND s.instrument_id = o.instrument_id
	   AND s.one_cancels_other = o.one_cancels_other AND s.state = 'open';

	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	SELECT s.book_id, s.account_id, 'stop_order',
		   jsonb_build_object('stop_id', s.stop_id, 'result', s.state, 'instrument_id', s.instrument_id, 'side', s.side,
							  'qty', s.closed_qty, 'limit_price', s.limit_price, 'trigger_price', s.trigger_price,
							  'mark_price', s.mark_price, 'execution_id', s.execution_id, 'reason', s.reason)
	  FROM ledger.stop_order s
	 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(out_books, out_stops))
	 ORDER BY s.book_id, s.stop_id;

	RETURN QUERY
	SELECT s.book_id, s.stop_id, s.account_id, s.state, s.closed_qty, s.mark_price
	  FROM ledger.stop_order s
	 WHERE (s.book_id, s.stop_id) IN (SELECT * FROM unnest(out_books, out_stops))
	 ORDER BY s.book_id, s.stop_id;
END
$function$;
COMMENT ON FUNCTION risk.trigger_stop_orders(int, int) IS
	'Sends out the stop orders that the marks of the moment have reached, of one instrument or of all, at most so many, and returns what became of each: ordered (an event of kind stop_order tells the matching engine), executed (policy.stop_execution liquidity: traded at the mark with the liquidity account), or cancelled, with the reason in its row: because there is nothing that it could close, or the account''s trade is refused (its state, or a policy that lets nobody pay), which stops no other account. A stale mark, or a halted instrument, sends out nothing; an order of an account that another transaction has locked waits for the next time. To be run before a mark liquidates anything; several sessions may run it at once, each order goes out once.';

REVOKE ALL ON FUNCTION
	risk.create_stop_order_tables(), risk.check_stop_order(), risk.cancel_stop_order(bigint, text, int), risk.send_stop_orders(int[], bigint[]), risk.trigger_stop_orders(int, int), risk.has_due_stop_order(int, bigint[]),
	risk.place_stop_order(bigint, int, text, numeric, numeric, numeric, bigint, text, int)
FROM PUBLIC;
