-- liquidation_order.sql
--		Liquidations that the matching engine executes: an order goes out as an
--		event, trades come back with the number of the liquidation.
--
-- One order at a time is out for an account, for one step.  A sweep ends it when
-- it is filled, when its time is over, or when the account has recovered or has
-- no equity left, and goes on from there; see risk.sweep_account(), which has
-- the balance locked.

CREATE FUNCTION risk.create_liquidation_order_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.liquidation_order (
		book_id int NOT NULL,
		order_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		liquidation_id bigint NOT NULL,
		account_id bigint NOT NULL,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		side text NOT NULL CHECK (side IN ('buy', 'sell')),
		qty numeric NOT NULL CHECK (qty > 0),
		limit_price numeric CHECK (limit_price > 0),
		mark_price numeric,
		fee_rate numeric NOT NULL,
		maintenance_before numeric NOT NULL,
		level_before numeric,
		placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		expires_at timestamptz NOT NULL,
		state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'filled', 'expired', 'withdrawn')),
		ended_at timestamptz,
		filled_qty numeric NOT NULL DEFAULT 0 CHECK (filled_qty >= 0),
		fee_owed numeric NOT NULL DEFAULT 0,
		fee numeric NOT NULL DEFAULT 0,
		surplus numeric NOT NULL DEFAULT 0,
		PRIMARY KEY (book_id, order_id),
		FOREIGN KEY (book_id, liquidation_id) REFERENCES ledger.liquidation,
		CONSTRAINT liquidation_order_ends_with_a_time CHECK ((state = 'open') = (ended_at IS NULL))
	);
	CREATE UNIQUE INDEX IF NOT EXISTS liquidation_order_open
		ON ledger.liquidation_order (book_id, account_id) WHERE state = 'open';
	COMMENT ON TABLE ledger.liquidation_order IS
		'Orders of liquidations whose policy has execution order: one for each step, sent to the matching engine as an event of kind liquidation_order. Its trades come back with kind liquidation and the liquidation_id. Written by risk.sweep().';
	COMMENT ON COLUMN ledger.liquidation_order.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.liquidation_order.order_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.liquidation_order.liquidation_id IS 'The liquidation.';
	COMMENT ON COLUMN ledger.liquidation_order.account_id IS 'Who is liquidated.';
	COMMENT ON COLUMN ledger.liquidation_order.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.liquidation_order.side IS 'sell closes a long position, buy a short one.';
	COMMENT ON COLUMN ledger.liquidation_order.qty IS 'How many contracts the step is to close.';
	COMMENT ON COLUMN ledger.liquidation_order.limit_price IS 'The bankruptcy price of the position, rounded to its good; NULL: at market, where there is none, and in a margin group.';
	COMMENT ON COLUMN ledger.liquidation_order.mark_price IS 'The mark when it was placed.';
	COMMENT ON COLUMN ledger.liquidation_order.fee_rate IS 'The rate of the liquidation fee when it was placed.';
	COMMENT ON COLUMN ledger.liquidation_order.maintenance_before IS 'Maintenance margin of the position when it was placed.';
	COMMENT ON COLUMN ledger.liquidation_order.level_before IS 'Margin level when it was placed, in percent.';
	COMMENT ON COLUMN ledger.liquidation_order.placed_at IS 'When it was placed.';
	COMMENT ON COLUMN ledger.liquidation_order.expires_at IS 'When what is not filled is taken over: policy.order_timeout later.';
	COMMENT ON COLUMN ledger.liquidation_order.state IS 'open; filled; expired: its time was over, or the equity used up, and the liquidity account goes on; withdrawn: the account has recovered, or has no position any more.';
	COMMENT ON COLUMN ledger.liquidation_order.ended_at IS 'When it ended; NULL while it is open.';
	COMMENT ON COLUMN ledger.liquidation_order.filled_qty IS 'How many contracts its trades closed until then.';
	COMMENT ON COLUMN ledger.liquidation_order.fee_owed IS 'The fee for them: their notional at the price of each trade, at the rate, rounded up.';
	COMMENT ON COLUMN ledger.liquidation_order.fee IS 'What of that was charged at once: of what the trades brought above limit_price where that goes to the insurance fund, else at most half of the maintenance that they freed; rounded down.';
	COMMENT ON COLUMN ledger.liquidation_order.surplus IS 'What the trades brought above limit_price, after the fee, and went to the insurance fund (policy.surplus_to fund); rounded down.';
END
$function$;
COMMENT ON FUNCTION risk.create_liquidation_order_tables() IS
	'Makes the table of the orders of liquidations. Called by risk.install().';

CREATE FUNCTION risk.filled_of_order(book_id int, order_id bigint, OUT qty numeric, OUT notional numeric, OUT gain numeric)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	-- what the orders before it had is theirs: in the order of the trades
	SELECT coalesce(sum(x.part), 0), coalesce(sum(risk.notional(x.part, x.price, i.multiplier, i.kind)) FILTER (WHERE x.part > 0), 0),
		   coalesce(sum(risk.unrealized_pnl(CASE o.side WHEN 'sell' THEN x.part ELSE -x.part END, o.limit_price, x.price, i.multiplier, i.kind))
					FILTER (WHERE x.part > 0), 0)
	  FROM ledger.liquidation_order o
	  JOIN ledger.instrument i ON i.instrument_id = o.instrument_id
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(e.filled_qty), 0) AS qty FROM ledger.liquidation_order e
		 WHERE e.book_id = o.book_id AND e.liquidation_id = o.liquidation_id AND e.instrument_id = o.instrument_id
		   AND e.order_id < o.order_id) earlier
	  LEFT JOIN LATERAL (
		SELECT t.price, t.qty - greatest(least(earlier.qty - (sum(t.qty) OVER (ORDER BY t.trade_id) - t.qty), t.qty), 0) AS part
		  FROM ledger.trade t
		 WHERE t.book_id = o.book_id AND t.liquidation_id = o.liquidation_id AND t.instrument_id = o.instrument_id
		   AND t.account_id = o.account_id AND t.side = o.side) x ON true
	 WHERE o.book_id = $1 AND o.order_id = $2
$function$;
COMMENT ON FUNCTION risk.filled_of_order(int, bigint) IS
	'What the trades of an order of a liquidation closed so far: contracts, their notional at the prices of the trades, and what they brought above limit_price (below zero: less; 0 without a limit), exact.';

CREATE FUNCTION risk.order_verdict(book_id int, order_id bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT CASE WHEN f.qty >= o.qty THEN 'filled'
				WHEN NOT EXISTS (SELECT FROM ledger.position p
								  WHERE p.book_id = o.book_id AND p.account_id = o.account_id AND p.instrument_id = o.instrument_id
									AND p.qty <> 0 OFFSET 0) THEN 'withdrawn'
				WHEN r.stale THEN NULL
				-- less what will go to the fund
				WHEN (r.equity - CASE WHEN r.surplus_to = 'fund' THEN greatest(f.gain, 0) ELSE 0 END) * 100 > r.requirement * r.stop_level
				THEN 'withdrawn'
				WHEN r.equity < 0 OR o.expires_at <= clock_timestamp() THEN 'expired' END
	  FROM ledger.liquidation_order o
	 CROSS JOIN LATERAL risk.filled_of_order(o.book_id, o.order_id) f
	 CROSS JOIN LATERAL (
		SELECT coalesce(r.group_equity, r.equity) AS equity, coalesce(r.group_requirement, r.liquidation_requirement) AS requirement,
			   100 + y.liquidation_buffer AS stop_level, y.surplus_to,
			   EXISTS (SELECT FROM ledger.position_value v
						WHERE v.book_id = o.book_id AND v.account_id = o.account_id AND v.mark_stale AND v.mark_price IS NOT NULL) AS stale
		  FROM ledger.account_risk r
		  JOIN ledger.liquidation l ON l.book_id = o.book_id AND l.liquidation_id = o.liquidation_id
		  JOIN ledger.policy y ON y.policy_code = l.policy_code AND y.version = l.policy_version
		 WHERE r.book_id = o.book_id AND r.account_id = o.account_id
		OFFSET 0) r
	 WHERE o.book_id = $1 AND o.order_id = $2 AND o.state = 'open'
$function$;
COMMENT ON FUNCTION risk.order_verdict(int, bigint) IS
	'How an open order of a liquidation is to end now, see liquidation_order.state; NULL: it stays out, and it does while a mark of the account is stale.';

CREATE FUNCTION risk.due_liquidation_orders(instrument_id int DEFAULT NULL)
RETURNS TABLE (book_id int, account_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT o.book_id, o.account_id FROM ledger.liquidation_order o
	 WHERE o.state = 'open' AND ($1 IS NULL OR o.instrument_id = $1)
	   AND risk.order_verdict(o.book_id, o.order_id) IS NOT NULL
$function$;
COMMENT ON FUNCTION risk.due_liquidation_orders(int) IS
	'The accounts whose liquidation has an order out, in an instrument or in any, that is to end.';

-- price NULL: at market
CREATE FUNCTION risk.place_liquidation_order(book_id int, liquidation_id bigint, instrument_id int, qty numeric, price numeric, level numeric)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	placed ledger.liquidation_order;
BEGIN
	INSERT INTO ledger.liquidation_order AS o (book_id, liquidation_id, account_id, instrument_id, side, qty, limit_price, mark_price, fee_rate,
											   maintenance_before, level_before, expires_at)
	SELECT l.book_id, l.liquidation_id, l.account_id, v.instrument_id, CASE WHEN v.qty > 0 THEN 'sell' ELSE 'buy' END,
		   abs(place_liquidation_order.qty), nullif(greatest(trim_scale(price), 0), 0), v.mark_price, v.liquidation_fee_rate,
		   trim_scale(v.maintenance_margin), level, clock_timestamp() + y.order_timeout
	  FROM ledger.liquidation l
	  JOIN ledger.policy y ON y.policy_code = l.policy_code AND y.version = l.policy_version
	  JOIN ledger.position_value v ON v.book_id = l.book_id AND v.account_id = l.account_id
	 WHERE l.book_id = place_liquidation_order.book_id AND l.liquidation_id = place_liquidation_order.liquidation_id
	   AND v.instrument_id = place_liquidation_order.instrument_id
	RETURNING o.* INTO placed;
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	VALUES (placed.book_id, placed.account_id, 'liquidation_order',
			jsonb_build_object('order_id', placed.order_id, 'liquidation_id', placed.liquidation_id, 'instrument_id', placed.instrument_id,
							   'side', placed.side, 'qty', placed.qty, 'limit_price', placed.limit_price, 'expires_at', placed.expires_at));
	-- a frozen account stays frozen, a closing one closing
	UPDATE ledger.account a SET status = 'liquidating'
	 WHERE a.book_id = placed.book_id AND a.account_id = placed.account_id AND a.status IN ('active', 'reduce_only');
END
$function$;
COMMENT ON FUNCTION risk.place_liquidation_order(int, bigint, int, numeric, numeric, numeric) IS
	'Places an order of a liquidation and tells the matching engine by an event; the account is liquidating while it is out. A part of risk.liquidate().';

CREATE FUNCTION risk.continue_liquidation(book_id int, order_id bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	verdict text := risk.order_verdict(continue_liquidation.book_id, continue_liquidation.order_id);
	o ledger.liquidation_order;
	filled record;
	rules record;
	state record;
	owed numeric;
	charged_fee numeric := 0;
	to_fund numeric := 0;
BEGIN
	SELECT * INTO o FROM ledger.liquidation_order q
	 WHERE q.book_id = continue_liquidation.book_id AND q.order_id = continue_liquidation.order_id;
	IF verdict IS NULL THEN
		RETURN o.liquidation_id;
	END IF;
	SELECT * INTO filled FROM risk.filled_of_order(o.book_id, o.order_id);
	SELECT s.scale, ('1e-' || s.scale)::numeric AS unit, y.surplus_to INTO rules
	  FROM ledger.liquidation l
	  JOIN ledger.asset s ON s.asset_code = l.asset_code
	  JOIN ledger.policy y ON y.policy_code = l.policy_code AND y.version = l.policy_version
	 WHERE l.book_id = o.book_id AND l.liquidation_id = o.liquidation_id;
	SELECT greatest(trunc(r.equity, rules.scale), 0) AS spare, r.group_equity IS NOT NULL AS in_group,
		   o.maintenance_before - coalesce((SELECT v.maintenance_margin FROM ledger.position_value v
											 WHERE v.book_id = o.book_id AND v.account_id = o.account_id
											   AND v.instrument_id = o.instrument_id), 0) AS freed
	  INTO state
	  FROM ledger.account_risk r
	 WHERE r.book_id = o.book_id AND r.account_id = o.account_id;

	owed := round(ceil(filled.notional * o.fee_rate / rules.unit) * rules.unit, rules.scale);
	IF rules.surplus_to = 'fund' AND o.limit_price IS NOT NULL AND NOT state.in_group THEN
		-- as if it had been closed at the bankruptcy price: the fee comes out of what it brought above that
		to_fund := least(greatest(trunc(filled.gain, rules.scale), 0), state.spare);
		charged_fee := least(owed, to_fund);
		to_fund := to_fund - charged_fee;
		owed := charged_fee;
	ELSE
		charged_fee := greatest(least(owed, trunc(state.freed / 2, rules.scale), state.spare), 0);
	END IF;
	UPDATE ledger.liquidation_order q
	   SET state = verdict, ended_at = clock_timestamp(), filled_qty = filled.qty, fee_owed = owed, fee = charged_fee,
		   surplus = to_fund
	 WHERE q.book_id = o.book_id AND q.order_id = o.order_id;
	IF verdict <> 'filled' THEN
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		VALUES (o.book_id, o.account_id, 'cancel_liquidation_order',
				jsonb_build_object('order_id', o.order_id, 'liquidation_id', o.liquidation_id, 'reason', verdict, 'filled_qty', filled.qty));
	END IF;
	UPDATE ledger.liquidation l SET fee_owed = l.fee_owed + owed, surplus = l.surplus + to_fund
	 WHERE l.book_id = o.book_id AND l.liquidation_id = o.liquidation_id;
	PERFORM risk.charge_liquidation_fee(o.book_id, o.liquidation_id, charged_fee);
	IF to_fund > 0 THEN
		PERFORM risk.charge_liquidation(o.book_id, o.account_id, o.liquidation_id, 'liquidation_surplus', to_fund, 0, 0);
	END IF;
	-- from the first time-out on the liquidity account takes what is left
	RETURN risk.liquidate(o.book_id, o.account_id, o.liquidation_id, verdict <> 'expired');
END
$function$;
COMMENT ON FUNCTION risk.continue_liquidation(int, bigint) IS
	'Ends an order of a liquidation when it is to end, charges what is due for its trades, and goes on with the liquidation: returns its number. risk.sweep_account() has locked the account.';

REVOKE ALL ON FUNCTION
	risk.create_liquidation_order_tables(), risk.filled_of_order(int, bigint), risk.order_verdict(int, bigint),
	risk.due_liquidation_orders(int), risk.place_liquidation_order(int, bigint, int, numeric, numeric, numeric),
	risk.continue_liquidation(int, bigint)
FROM PUBLIC;
