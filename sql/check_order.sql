-- check_order.sql
--		What an order would do to the account that places it, asked before it
--		is placed.
--
-- Nothing is reckoned here that is reckoned elsewhere: the trade is booked in
-- memory by the code that posts trades, and the figures are the texts of the
-- views, with the position and the balance as the trade would leave them.

CREATE FUNCTION risk.try_trade(
	book_id int, account_id bigint, instrument_id int, side text, qty numeric, price numeric, fee numeric,
	OUT qty_before numeric, OUT qty_after numeric, OUT cost_after numeric, OUT adds_risk boolean, OUT realized_pnl numeric,
	OUT margin_moved numeric, OUT balance_change numeric, OUT open_interest_change numeric)
LANGUAGE c STABLE STRICT COST 1000
AS 'MODULE_PATHNAME', 'risk_try_trade';
COMMENT ON FUNCTION risk.try_trade(int, bigint, int, text, numeric, numeric, numeric) IS
	'What a trade of this moment would make of its position and balance; raises what booking it would raise at once. Books nothing and locks nothing. A part of risk.check_order().';

CREATE FUNCTION risk.try_limits(
	book_id int, account_id bigint, instrument_id int, qty_before numeric, qty_after numeric, cost_after numeric, open_interest_change numeric)
RETURNS void
LANGUAGE c STABLE STRICT COST 1000
AS 'MODULE_PATHNAME', 'risk_try_limits';
COMMENT ON FUNCTION risk.try_limits(int, bigint, int, numeric, numeric, numeric, numeric) IS
	'Raises 23514 when a trade that leaves such a position is beyond a limit of the instrument, whatever its limit_mode. A part of risk.check_order().';

-- Made of the texts of the views, so that there is one of each.  The plan is
-- kept for the session.
DO $do$
BEGIN
	EXECUTE format($create$
CREATE FUNCTION risk.account_after(
	book_id int, account_id bigint, instrument_id int, qty numeric, cost numeric, balance_change numeric, open_interest_change numeric)
RETURNS TABLE (
	balance numeric, unrealized_pnl numeric, equity numeric, notional numeric, initial_margin numeric, maintenance_margin numeric,
	liquidation_requirement numeric, free_collateral numeric, withdrawable numeric, margin_level numeric, group_level numeric,
	leverage numeric, collateral numeric, liquidatable boolean, stale_marks bigint,
	entry_price numeric, liquidation_price numeric, bankruptcy_price numeric, distance_percent numeric)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS %L$create$,
	replace(replace(replace($body$
#variable_conflict use_column
DECLARE
	members bigint[];
BEGIN
	-- the account, and those that stand in for it
	SELECT array_agg(m.account_id) INTO members
	  FROM ledger.account a
	  JOIN ledger.account m ON m.book_id = a.book_id
							AND (m.account_id = a.account_id
								 OR a.in_group AND m.in_group AND m.owner_id = a.owner_id AND m.status <> 'closed')
	 WHERE a.book_id = $1 AND a.account_id = $2;
	RETURN QUERY
	WITH after_position AS (
		SELECT p.book_id, p.account_id, p.instrument_id, p.qty, p.cost
		  FROM unnest(members) AS m(id)
		 CROSS JOIN LATERAL (
			SELECT p.book_id, p.account_id, p.instrument_id, p.qty, p.cost FROM ledger.position p
			 WHERE p.book_id = $1 AND p.account_id = m.id
			OFFSET 0) p
		 WHERE p.account_id <> $2 OR p.instrument_id <> $3
		UNION ALL
		SELECT $1, $2, $3, $4, $5),
	after_balance AS (
		SELECT b.book_id, b.slot, b.account_id, b.floor,
			   b.amount + CASE WHEN b.account_id = $2 AND b.slot = 0 THEN $6 ELSE 0 END AS amount
		  FROM ledger.balance b
		 WHERE b.book_id = $1 AND b.account_id = ANY (members)),
	after_open_interest AS (
		SELECT $1 AS book_id, i.instrument_id,
			   coalesce((SELECT o.open_interest FROM ledger.open_interest o
						  WHERE o.book_id = $1 AND o.instrument_id = i.instrument_id), 0)
			   + CASE WHEN i.instrument_id = $3 THEN $7 ELSE 0 END AS open_interest
		  FROM ledger.instrument i),
	after_position_value AS ({position_value_text})
	SELECT r.balance, r.unrealized_pnl, r.equity, r.notional, r.initial_margin, r.maintenance_margin, r.liquidation_requirement,
		   r.free_collateral, r.withdrawable, r.margin_level, r.group_level, r.leverage, r.collateral, r.liquidatable,
		   (SELECT count(*) FROM after_position_value v WHERE v.account_id = $2 AND v.mark_stale),
		   q.entry_price, q.liquidation_price, q.bankruptcy_price, q.distance_percent
	  FROM ({account_risk_text}) r
	  LEFT JOIN ({position_risk_text}) q ON q.book_id = r.book_id AND q.account_id = r.account_id AND q.instrument_id = $3
	 WHERE r.book_id = $1 AND r.account_id = $2;
END
$body$,
		'{position_value_text}', replace(replace(risk.position_value_text(), '{', 'after_'), '}', '')),
		'{account_risk_text}', replace(replace(replace(risk.account_risk_text(), '{margin_group}', '(' || risk.margin_group_text() || ')'),
											   '{', 'after_'), '}', '')),
		'{position_risk_text}', replace(replace(risk.position_risk_text(), '{', 'after_'), '}', '')));
END
$do$;
COMMENT ON FUNCTION risk.account_after(int, bigint, int, numeric, numeric, numeric, numeric) IS
	'What ledger.account_risk and ledger.position_risk would show of an account and one position of it, if that position had this quantity and cost, and the balance and the open interest of the instrument had changed by so much. In the units and with the rounding of these views; stale_marks counts the positions whose mark is missing, stale or halted. No row for an unknown account.';

CREATE FUNCTION risk.check_order(
	account_id bigint, instrument_id int, side text, qty numeric, price numeric, book_id int DEFAULT 1,
	reduce_only boolean DEFAULT false, fee numeric DEFAULT 0,
	OUT allowed boolean, OUT rule text, OUT reason text, OUT warnings text[],
	OUT adds_risk boolean, OUT qty_before numeric, OUT qty_after numeric, OUT realized_pnl numeric, OUT margin_moved numeric,
	OUT balance_after numeric, OUT unrealized_pnl_after numeric, OUT equity_after numeric, OUT notional_after numeric,
	OUT initial_margin_after numeric, OUT maintenance_margin_after numeric, OUT liquidation_requirement_after numeric,
	OUT free_collateral_after numeric, OUT withdrawable_after numeric, OUT margin_level_after numeric, OUT group_level_after numeric,
	OUT leverage_after numeric, OUT entry_price_after numeric, OUT liquidation_price_after numeric, OUT bankruptcy_price_after numeric,
	OUT distance_percent_after numeric, OUT shortfall_after numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
	outcome record;
	state record;
	terms record;
	message text;
	detail text;
	constraint_broken text;
	column_wrong text;
	code text;
BEGIN
	IF account_id IS NULL OR instrument_id IS NULL OR side IS NULL OR qty IS NULL OR price IS NULL OR book_id IS NULL
		OR reduce_only IS NULL OR fee IS NULL THEN
		RAISE EXCEPTION 'an order has no part that is NULL'
			USING ERRCODE = '22004', HINT = 'Give a market order the price that it may come to.';
	END IF;
	IF side NOT IN ('buy', 'sell') THEN
		RAISE EXCEPTION 'unknown side %', side USING ERRCODE = '22023', HINT = 'It is buy or sell.';
	END IF;
	allowed := false;
	warnings := '{}';

	-- what booking it would refuse at once
	BEGIN
		SELECT * INTO STRICT outcome
		  FROM risk.try_trade(check_order.book_id, check_order.account_id, check_order.instrument_id, side, check_order.qty, price, fee);
	EXCEPTION
		WHEN foreign_key_violation OR object_not_in_prerequisite_state OR invalid_parameter_value OR numeric_value_out_of_range THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, code = RETURNED_SQLSTATE,
				column_wrong = COLUMN_NAME;
			message := regexp_replace(message, '^trade -1: ', '');
			IF column_wrong <> '' OR code = '22003' THEN
				RAISE EXCEPTION 'order: %', message USING ERRCODE = code, DETAIL = detail;
			END IF;
			rule := CASE code WHEN '23503' THEN 'unknown' WHEN '55000' THEN 'state' ELSE 'account' END;
			reason := concat_ws('. ', message, nullif(detail, ''));
			RETURN;
	END;
	adds_risk := outcome.adds_risk;
	qty_before := outcome.qty_before;
	qty_after := outcome.qty_after;
	realized_pnl := outcome.realized_pnl;
	margin_moved := outcome.margin_moved;

	SELECT * INTO STRICT state
	  FROM risk.account_after(check_order.book_id, check_order.account_id, check_order.instrument_id, outcome.qty_after, outcome.cost_after,
							  outcome.balance_change, outcome.open_interest_change);
	balance_after := state.balance;
	unrealized_pnl_after := state.unrealized_pnl;
	equity_after := state.equity;
	notional_after := state.notional;
	initial_margin_after := state.initial_margin;
	maintenance_margin_after := state.maintenance_margin;
	liquidation_requirement_after := state.liquidation_requirement;
	free_collateral_after := state.free_collateral;
	withdrawable_after := state.withdrawable;
	margin_level_after := state.margin_level;
	group_level_after := state.group_level;
	leverage_after := state.leverage;
	entry_price_after := state.entry_price;
	liquidation_price_after := state.liquidation_price;
	bankruptcy_price_after := state.bankruptcy_price;
	distance_percent_after := state.distance_percent;

	SELECT i.limit_mode, i.state AS instrument_state, m.price AS mark_price, w.width, b.floor,
		   y.stages[cardinality(y.stages)] = 'reject' AS rejects, y.refuse_uncovered
	  INTO STRICT terms
	  FROM ledger.instrument i
	  LEFT JOIN ledger.mark_price m ON m.instrument_id = i.instrument_id
	  LEFT JOIN ledger.price_band w ON w.instrument_id = i.instrument_id
	  JOIN ledger.account a ON a.book_id = check_order.book_id AND a.account_id = check_order.account_id
	  JOIN ledger.balance b ON b.book_id = a.book_id AND b.slot = 0 AND b.account_id = a.account_id
	 CROSS JOIN LATERAL (
		SELECT y.* FROM ledger.policy y
		 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
		 ORDER BY y.version DESC LIMIT 1) y
	 WHERE i.instrument_id = check_order.instrument_id;

	-- what is left to others when the account, and its margin group, have given all; a fee is cut before that
	shortfall_after := CASE WHEN state.balance < terms.floor
							THEN greatest(terms.floor - state.balance - state.unrealized_pnl - greatest(state.collateral, 0)
										  - least(greatest(fee, 0), terms.floor - state.balance), 0)
							ELSE 0 END;

	IF reduce_only AND (adds_risk OR sign(qty_before) * CASE side WHEN 'buy' THEN 1 ELSE -1 END >= 0) THEN
		rule := 'reduce_only';
		reason := format('a reduce-only order to %s %s does not fit the position of %s', side, trim_scale(qty), trim_scale(qty_before));
	END IF;

	-- what limits say at commit
	IF adds_risk THEN
		BEGIN
			PERFORM risk.try_limits(check_order.book_id, check_order.account_id, check_order.instrument_id, outcome.qty_before, outcome.qty_after,
									outcome.cost_after, outcome.open_interest_change);
		EXCEPTION WHEN check_violation THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, constraint_broken = CONSTRAINT_NAME;
			message := concat_ws('. ', regexp_replace(message, '^trade -1: ', ''), detail);
			IF terms.limit_mode = 'report' THEN
				warnings := warnings || message;
			ELSIF rule IS NULL THEN
				rule := constraint_broken;
				reason := message;
			END IF;
		END;
	END IF;

	IF rule IS NULL AND adds_risk AND (state.free_collateral < 0 OR state.liquidatable) THEN
		rule := 'uncovered';
		reason := CASE WHEN state.free_collateral < 0 THEN format('free collateral would be %s', state.free_collateral)
					   ELSE format('the account could be liquidated at once: equity would be %s, the requirement %s',
								   state.equity, trim_scale(state.liquidation_requirement)) END;
	END IF;
	IF shortfall_after > 0 THEN
		message := format('the balance would be %s, and %s would be left to others', state.balance, shortfall_after);
		IF rule IS NULL AND terms.rejects THEN
			rule := 'shortfall';
			reason := message;
		ELSE
			warnings := warnings || message;
		END IF;
	END IF;

	IF terms.mark_price IS NULL THEN
		warnings := warnings || format('instrument %s has no mark price: the position counts at its cost', instrument_id);
	ELSIF state.stale_marks > 0 THEN
		warnings := warnings || format('%s of the marks that the account is valued with are missing or stale', state.stale_marks);
	END IF;
	IF (side = 'buy' AND price > terms.mark_price * (1 + terms.width)) OR (side = 'sell' AND price < terms.mark_price * (1 - terms.width)) THEN
		warnings := warnings || format('the price %s is beyond the band of %s %% around the mark %s',
									   trim_scale(price), trim_scale(100 * terms.width), trim_scale(terms.mark_price));
	END IF;
	allowed := rule IS NULL;
END
$function$;
COMMENT ON FUNCTION risk.check_order(bigint, int, text, numeric, numeric, int, boolean, numeric) IS
	'Whether an order to buy or sell qty at price may go out, and where its account would stand if all of it were filled at that price now, for that fee (below zero: a rebate), with its other orders still open. allowed is true when a trade of kind trade would be booked, is within the limits that are enforced (instrument.limit_mode refuse), and, where it adds risk, leaves free_collateral at zero or above and the account not liquidatable; what does not add risk needs no collateral. reduce_only: it may close, and no more than there is. rule says what stands against it: unknown (account, instrument), account (another asset; not the account for that instrument), state (of account or instrument; the side or margin mode of the position), reduce_only, max_qty, max_notional, notional_cap, open_interest_limit, uncovered, shortfall (the policy rejects what the account cannot pay); reason says it in words, with the figures. warnings do not stand against it: limits that are only reported, what others would have to pay, marks that are missing or stale, a price beyond ledger.price_band from the mark on the side that costs. The figures are those that ledger.account_risk and ledger.position_risk would show, to the last digit, before what is below its floor is settled at commit; shortfall_after is what would then be left to others, exact but for the rounding of exchanges in a margin group. Where rule is unknown, account or state there are none. margin_moved is what a child account would get from its parent (below zero: give back). Of the other side of the trade it is assumed that it had no position: the open interest is the highest that can come of it. Reads what its caller''s snapshot shows, writes nothing, locks no row. Errors: 22004 for NULL, 22023 for a side, qty, price or fee that no trade can have, 22003 for numbers out of range.';

REVOKE ALL ON FUNCTION
	risk.try_trade(int, bigint, int, text, numeric, numeric, numeric), risk.try_limits(int, bigint, int, numeric, numeric, numeric, numeric),
	risk.account_after(int, bigint, int, numeric, numeric, numeric, numeric),
	risk.check_order(bigint, int, text, numeric, numeric, int, boolean, numeric)
FROM PUBLIC;
