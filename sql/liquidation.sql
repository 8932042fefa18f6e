-- liquidation.sql
--		How an account is liquidated: orders cancelled, then step by step what
--		its policy says, until its margin level is above 100 % again or nothing
--		is left.
--
-- One account at a time, in one transaction, with its balance locked.  The
-- figures are those of the views, read again after each step.

CREATE FUNCTION risk.create_liquidation_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.liquidation (
		book_id int NOT NULL REFERENCES ledger.book,
		liquidation_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		ended_at timestamptz,
		owner_id text,
		asset_code text NOT NULL REFERENCES ledger.asset,
		policy_code text NOT NULL,
		policy_version int NOT NULL,
		status_before text NOT NULL,
		execution text NOT NULL CHECK (execution IN ('takeover', 'mark', 'order')),
		outcome text CHECK (outcome IN ('restored', 'closed')),
		equity_before numeric NOT NULL,
		requirement_before numeric NOT NULL,
		level_before numeric,
		equity_after numeric,
		requirement_after numeric,
		level_after numeric,
		steps int NOT NULL DEFAULT 0,
		cancelled_orders int NOT NULL DEFAULT 0,
		fee_owed numeric NOT NULL DEFAULT 0,
		fee_to_fund numeric NOT NULL DEFAULT 0 CHECK (fee_to_fund >= 0),
		fee_to_liquidator numeric NOT NULL DEFAULT 0 CHECK (fee_to_liquidator >= 0),
		fee_to_venue numeric NOT NULL DEFAULT 0 CHECK (fee_to_venue >= 0),
		surplus numeric NOT NULL DEFAULT 0 CHECK (surplus >= 0),
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, liquidation_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account,
		CONSTRAINT liquidation_ends_with_an_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
	);
	CREATE INDEX IF NOT EXISTS liquidation_account ON ledger.liquidation (book_id, account_id);
	COMMENT ON TABLE ledger.liquidation IS
		'One row for each liquidation of an account. Written by risk.sweep(). Amounts are in the asset of the account; equity and requirement are those that it was judged by, of its margin group in the unit of account where it is in one.';
	COMMENT ON COLUMN ledger.liquidation.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.liquidation.liquidation_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.liquidation.account_id IS 'Who was liquidated.';
	COMMENT ON COLUMN ledger.liquidation.started_at IS 'When it began.';
	COMMENT ON COLUMN ledger.liquidation.ended_at IS 'When it ended.';
	COMMENT ON COLUMN ledger.liquidation.owner_id IS 'Whose account it was.';
	COMMENT ON COLUMN ledger.liquidation.asset_code IS 'The asset of the account.';
	COMMENT ON COLUMN ledger.liquidation.policy_code IS 'Its policy.';
	COMMENT ON COLUMN ledger.liquidation.policy_version IS 'The version in force then.';
	COMMENT ON COLUMN ledger.liquidation.status_before IS 'The state of the account before; what it comes back to when orders of it were out.';
	COMMENT ON COLUMN ledger.liquidation.execution IS 'takeover: the liquidity account takes positions at the bankruptcy price, or at the mark where policy.surplus_to says trader; mark: at the mark; order: the matching engine, see ledger.liquidation_order, and the liquidity account what it does not trade in time. With no equity left, and in a margin group, at the mark.';
	COMMENT ON COLUMN ledger.liquidation.outcome IS 'restored: the margin level is above 100 % and the buffer again; closed: no position is left.';
	COMMENT ON COLUMN ledger.liquidation.equity_before IS 'Equity at the beginning.';
	COMMENT ON COLUMN ledger.liquidation.requirement_before IS 'Requirement at the beginning.';
	COMMENT ON COLUMN ledger.liquidation.level_before IS 'Margin level at the beginning, in percent.';
	COMMENT ON COLUMN ledger.liquidation.equity_after IS 'Equity in the end, before others pay for a shortfall; while an order is out, when it was placed.';
	COMMENT ON COLUMN ledger.liquidation.requirement_after IS 'Requirement in the end.';
	COMMENT ON COLUMN ledger.liquidation.level_after IS 'Margin level in the end, in percent; NULL: no position is left.';
	COMMENT ON COLUMN ledger.liquidation.steps IS 'How many rows it has in ledger.liquidation_step; its orders are apart, in ledger.liquidation_order.';
	COMMENT ON COLUMN ledger.liquidation.cancelled_orders IS 'How many order reserves were released.';
	COMMENT ON COLUMN ledger.liquidation.fee_owed IS 'The fee for what was closed at the mark: each part at the rate in force, rounded up. Nothing for what was taken over at the bankruptcy price, or without equity: nothing is left above bankruptcy there.';
	COMMENT ON COLUMN ledger.liquidation.fee_to_fund IS 'What of the fee was charged and went to the insurance fund, rounded down.';
	COMMENT ON COLUMN ledger.liquidation.fee_to_liquidator IS 'What of it went to the liquidity account, which closed the positions, rounded down.';
	COMMENT ON COLUMN ledger.liquidation.fee_to_venue IS 'What of it went to the fee account: the rest.';
	COMMENT ON COLUMN ledger.liquidation.surplus IS 'What went to the insurance fund (policy.surplus_to fund): of what its orders brought above the bankruptcy price, and what was left of the balance when everything was closed at the mark.';
	COMMENT ON COLUMN ledger.liquidation.who IS 'Who ran it.';

	CREATE TABLE IF NOT EXISTS ledger.liquidation_step (
		book_id int NOT NULL,
		liquidation_id bigint NOT NULL,
		step int NOT NULL CHECK (step > 0),
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		execution_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		qty_before numeric NOT NULL,
		qty numeric NOT NULL CHECK (qty <> 0),
		price numeric NOT NULL,
		mark_price numeric,
		bankruptcy_price numeric,
		maintenance_before numeric NOT NULL,
		maintenance_after numeric NOT NULL,
		fee_owed numeric NOT NULL,
		fee numeric NOT NULL,
		level_before numeric,
		level_after numeric,
		PRIMARY KEY (book_id, liquidation_id, step),
		FOREIGN KEY (book_id, liquidation_id) REFERENCES ledger.liquidation
	);
	COMMENT ON TABLE ledger.liquidation_step IS
		'The steps of liquidations: one position, or a part of it, closed. Append-only.';
	COMMENT ON COLUMN ledger.liquidation_step.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.liquidation_step.liquidation_id IS 'The liquidation.';
	COMMENT ON COLUMN ledger.liquidation_step.step IS 'Counts its steps.';
	COMMENT ON COLUMN ledger.liquidation_step.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.liquidation_step.execution_id IS 'The execution that closed it, see ledger.takeover.';
	COMMENT ON COLUMN ledger.liquidation_step.posted_at IS 'When.';
	COMMENT ON COLUMN ledger.liquidation_step.qty_before IS 'The position before it, signed.';
	COMMENT ON COLUMN ledger.liquidation_step.qty IS 'How much of it was closed, with the same sign.';
	COMMENT ON COLUMN ledger.liquidation_step.price IS 'At what price.';
	COMMENT ON COLUMN ledger.liquidation_step.mark_price IS 'The mark then; NULL: there was none.';
	COMMENT ON COLUMN ledger.liquidation_step.bankruptcy_price IS 'position_risk.bankruptcy_price then.';
	COMMENT ON COLUMN ledger.liquidation_step.maintenance_before IS 'Maintenance margin of the position before it.';
	COMMENT ON COLUMN ledger.liquidation_step.maintenance_after IS 'Maintenance margin of what was left of it.';
	COMMENT ON COLUMN ledger.liquidation_step.fee_owed IS 'The fee for it.';
	COMMENT ON COLUMN ledger.liquidation_step.fee IS 'What of that was charged at once: at most half of the maintenance that it freed, rounded down. The rest is charged in the end, out of what is left above the requirement.';
	COMMENT ON COLUMN ledger.liquidation_step.level_before IS 'Margin level before it, in percent.';
	COMMENT ON COLUMN ledger.liquidation_step.level_after IS 'Margin level after it and its fee, in percent; NULL: no position is left.';
END
$function$;
COMMENT ON FUNCTION risk.create_liquidation_tables() IS
	'Makes the tables of liquidations. Called by risk.install().';

CREATE FUNCTION risk.take_part(
	book_id int, account_id bigint, instrument_id int, qty numeric, price numeric, bankruptcy_price numeric, mark_price numeric)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'risk_take_part';
COMMENT ON FUNCTION risk.take_part(int, bigint, int, numeric, numeric, numeric, numeric) IS
	'The liquidity account takes a part of a position, signed as the account holds it, at that price; returns the number of the execution. A part of a liquidation.';

CREATE FUNCTION risk.close_insolvent(book_id int, account_id bigint) RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'risk_close_insolvent';
COMMENT ON FUNCTION risk.close_insolvent(int, bigint) IS
	'Without equity: the liquidity account takes every position of a trader at the mark, and others pay the shortfall, as at the end of a transaction that leaves the balance below its floor. Nothing happens while the equity reaches the floor. A part of a liquidation.';

CREATE FUNCTION risk.charge_liquidation(
	book_id int, account_id bigint, liquidation_id bigint, kind text, to_fund numeric, to_liquidity numeric, to_fee numeric)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'risk_charge_liquidation';
COMMENT ON FUNCTION risk.charge_liquidation(int, bigint, bigint, text, numeric, numeric, numeric) IS
	'Charges an account for its liquidation: entries of that kind to the insurance fund, the liquidity account and the fee account. A part of a liquidation.';

-- How far one position may be closed so that the account just comes above the
-- level: whole lots, searched by halving, since equity less requirement only
-- grows with what is closed at the mark.
CREATE FUNCTION risk.next_step(book_id int, account_id bigint, instrument_id int) RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	v record;
	r record;
	quantum numeric;
	part numeric;
	lots numeric;
	enough numeric;
	too_few numeric := 0;
	rest numeric;
	maintenance numeric;
BEGIN
	SELECT p.qty, p.cost, p.notional, p.maintenance_margin, p.maintenance_basis, p.tier_floors, p.tier_rates,
		   p.liquidation_fee_rate AS fee_rate, p.liquidation_requirement AS requirement, i.lot,
		   y.step_rule, y.step_portion, y.execution = 'takeover' AND y.surplus_to = 'fund' AS at_bankruptcy,
		   100 + y.liquidation_buffer AS level,
		   (SELECT max(f) FROM unnest(p.tier_floors) AS f WHERE f < p.notional) AS tier_floor
	  INTO v
	  FROM ledger.position_value p
	  JOIN ledger.instrument i ON i.instrument_id = p.instrument_id
	  JOIN ledger.account a ON a.book_id = p.book_id AND a.account_id = p.account_id
	 CROSS JOIN LATERAL (
		SELECT * FROM ledger.policy y
		 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
		 ORDER BY y.version DESC LIMIT 1) y
	 WHERE p.book_id = next_step.book_id AND p.account_id = next_step.account_id AND p.instrument_id = next_step.instrument_id;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF v.step_rule = 'all' OR v.notional = 0 OR v.step_rule = 'tier' AND coalesce(v.tier_floor, 0) = 0 THEN
		RETURN v.qty;
	END IF;
	-- without equity there is nothing to be gained by steps
	SELECT coalesce(k.group_equity, k.equity) AS equity, coalesce(k.group_requirement, k.liquidation_requirement) AS required,
		   k.maintenance_margin, k.group_equity IS NOT NULL AS in_group
	  INTO r
	  FROM ledger.account_risk k
	 WHERE k.book_id = next_step.book_id AND k.account_id = next_step.account_id;
	IF r.equity <= 0 THEN
		RETURN v.qty;
	END IF;
	quantum := coalesce(v.lot, 1e-8);

	IF v.step_rule = 'tier' THEN
		part := abs(v.qty) * (v.notional - v.tier_floor) / v.notional;
	ELSIF v.step_rule = 'portion' THEN
		part := abs(v.qty) * v.step_portion;
	ELSIF r.in_group THEN
		RETURN v.qty;		-- what is short is another member's as well
	ELSE
		enough := ceil(abs(v.qty) / quantum);
		WHILE enough - too_few > 1 LOOP
			lots := div(enough + too_few, 2);
			rest := greatest(abs(v.qty) - lots * quantum, 0) / abs(v.qty);
			maintenance := CASE v.maintenance_basis
						   WHEN 'mark' THEN risk.maintenance_margin(v.notional * rest, v.tier_floors, v.tier_rates)
						   WHEN 'entry' THEN risk.maintenance_margin(abs(v.cost) * rest, v.tier_floors, v.tier_rates)
						   ELSE (SELECT coalesce(max(l.maintenance_amount), 0) FROM ledger.risk_limit l
								  WHERE l.instrument_id = next_step.instrument_id
									AND l.notional_floor = (SELECT coalesce(max(f), 0) FROM unnest(v.tier_floors) f WHERE f < abs(v.cost) * rest)) END;
			-- the equity falls by its share, or by half of what is freed at the most
			IF 100 * (r.equity - CASE WHEN v.at_bankruptcy THEN r.equity * v.maintenance_margin / nullif(r.maintenance_margin, 0) * (1 - rest)
									  ELSE least(v.notional * (1 - rest) * v.fee_rate, (v.maintenance_margin - maintenance) / 2) END)
				> v.level * (r.required - v.requirement + maintenance + v.notional * rest * v.fee_rate) THEN
				enough := lots;
			ELSE
				too_few := lots;
			END IF;
		END LOOP;
		part := enough * quantum;
	END IF;

	part := ceil(part / quantum) * quantum;
	-- less than a lot is not left behind
	IF part >= abs(v.qty) OR abs(v.qty) - part < quantum THEN
		RETURN v.qty;
	END IF;
	RETURN sign(v.qty) * trim_scale(part);
END
$function$;
COMMENT ON FUNCTION risk.next_step(int, bigint, int) IS
	'How much of a position the next step of a liquidation would close, signed as the position, by the step_rule of the policy: down to the floor of its tier, a portion, or what is short (in whole lots, rounded up; without instrument.lot to 8 decimals); all of it in the lowest tier, without equity, where less than a lot would be left, and for what is short in a margin group. NULL without a position.';

CREATE FUNCTION risk.liquidate(book_id int, account_id bigint, liquidation_id bigint DEFAULT NULL, by_order boolean DEFAULT true)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	rules record;
	state record;
	held record;
	number bigint := liquidation_id;
	orders jsonb;
	n int := 0;
	part numeric;
	price numeric;
	order_price numeric;
	at_mark boolean;
	execution bigint;
	owed numeric;
	fee numeric;
	maintenance numeric;
	sums record;
	rest numeric;
	left_over numeric := 0;
	level_before numeric;
	is_step boolean := false;		-- one is done, and not written yet
	ended text;
	last_takeover bigint;
	maintenances jsonb;
	taken int;
	insolvent boolean := false;
	started boolean := false;		-- this time round
BEGIN
	SELECT a.owner_id, a.asset_code, a.status, s.scale, ('1e-' || s.scale)::numeric AS unit, y.*, 100 + y.liquidation_buffer AS stop_level INTO rules
	  FROM ledger.account a
	  JOIN ledger.asset s ON s.asset_code = a.asset_code
	 CROSS JOIN LATERAL (
		SELECT * FROM ledger.policy y
		 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
		 ORDER BY y.version DESC LIMIT 1) y
	 WHERE a.book_id = liquidate.book_id AND a.account_id = liquidate.account_id;
	SELECT l.steps INTO n FROM ledger.liquidation l WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number;

	LOOP
		SELECT r.balance, r.equity AS own_equity, r.notional, r.group_equity IS NOT NULL AS in_group,
			   coalesce(r.group_equity, r.equity) AS equity, coalesce(r.group_requirement, r.liquidation_requirement) AS requirement,
			   coalesce(r.group_level, r.margin_level) AS level,
			   EXISTS (SELECT FROM ledger.position p
						WHERE p.book_id = r.book_id AND p.account_id = r.account_id AND p.qty <> 0 OFFSET 0) AS has_position
		  INTO state
		  FROM ledger.account_risk r
		 WHERE r.book_id = liquidate.book_id AND r.account_id = liquidate.account_id;

		IF number IS NULL THEN
			INSERT INTO ledger.liquidation AS l (book_id, account_id, owner_id, asset_code, policy_code, policy_version, status_before, execution,
												 equity_before, requirement_before, level_before)
			VALUES (liquidate.book_id, liquidate.account_id, rules.owner_id, rules.asset_code, rules.policy_code, rules.version, rules.status,
					rules.execution, state.equity, state.requirement, state.level)
			RETURNING l.liquidation_id, l.steps INTO number, n;
			started := true;
			WITH gone AS (
				DELETE FROM ledger.order_reserve o
				 WHERE o.book_id = liquidate.book_id AND o.account_id = liquidate.account_id
				RETURNING o.order_id, o.instrument_id, o.amount)
			SELECT jsonb_agg(jsonb_build_object('order_id', g.order_id, 'instrument_id', g.instrument_id, 'amount', g.amount)
							 ORDER BY g.order_id) INTO orders
			  FROM gone g;
			IF orders IS NOT NULL THEN
				INSERT INTO ledger.event (book_id, account_id, kind, payload)
				VALUES (liquidate.book_id, liquidate.account_id, 'cancel_orders',
						jsonb_build_object('liquidation_id', number, 'orders', orders));
			END IF;
		ELSIF is_step THEN
			-- the level after a step is the one before the next
			INSERT INTO ledger.liquidation_step (book_id, liquidation_id, step, instrument_id, execution_id, qty_before, qty, price, mark_price,
				bankruptcy_price, maintenance_before, maintenance_after, fee_owed, fee, level_before, level_after)
			VALUES (liquidate.book_id, number, n, held.instrument_id, execution, held.qty, part, trim_scale(price), held.mark_price,
				held.bankruptcy_price, trim_scale(held.maintenance_margin), trim_scale(maintenance), owed, fee, level_before, state.level);
			is_step := false;
		END IF;
		EXIT WHEN NOT state.has_position OR NOT started AND state.equity * 100 > state.requirement * rules.stop_level;
		started := false;

		-- Without equity there are no steps: all is taken over at once, so that
		-- who pays knows what the loss was made of.
		IF state.own_equity < 0 AND NOT state.in_group THEN
			SELECT coalesce(max(t.takeover_id), 0) INTO last_takeover
			  FROM ledger.takeover t WHERE t.book_id = liquidate.book_id;
			SELECT jsonb_object_agg(v.instrument_id, v.maintenance_margin) INTO maintenances
			  FROM ledger.position_value v
			 WHERE v.book_id = liquidate.book_id AND v.account_id = liquidate.account_id;
			PERFORM risk.close_insolvent(liquidate.book_id, liquidate.account_id);
			INSERT INTO ledger.liquidation_step (book_id, liquidation_id, step, instrument_id, execution_id, qty_before, qty, price, mark_price,
				bankruptcy_price, maintenance_before, maintenance_after, fee_owed, fee, level_before, level_after)
			SELECT t.book_id, number, n + row_number() OVER (ORDER BY t.takeover_id), t.instrument_id, t.execution_id, t.qty, t.qty, t.price, t.mark_price,
				   t.bankruptcy_price, trim_scale((maintenances ->> t.instrument_id::text)::numeric), 0, 0, 0, state.level, NULL
			  FROM ledger.takeover t
			 WHERE t.book_id = liquidate.book_id AND t.takeover_id > last_takeover AND t.account_id = liquidate.account_id;
			GET DIAGNOSTICS taken = ROW_COUNT;
			n := n + taken;
			insolvent := taken > 0;
			IF insolvent THEN
				state.has_position := false;
				state.balance := 0;
				EXIT;
			END IF;
		END IF;

		-- the position with the largest maintenance first, one step each time
		SELECT v.instrument_id, v.qty, v.notional, v.maintenance_margin, v.mark_price, v.liquidation_fee_rate, p.bankruptcy_price,
			   i.kind, p.entry_price, v.cost
		  INTO held
		  FROM ledger.position_value v
		  JOIN ledger.position_risk p ON p.book_id = v.book_id AND p.account_id = v.account_id AND p.instrument_id = v.instrument_id
		  JOIN ledger.instrument i ON i.instrument_id = v.instrument_id
		 WHERE v.book_id = liquidate.book_id AND v.account_id = liquidate.account_id
		 ORDER BY v.mark_price IS NULL, v.maintenance_margin DESC, v.notional DESC, v.instrument_id
		 LIMIT 1;
		part := CASE WHEN n >= 100 THEN held.qty
					 ELSE risk.next_step(liquidate.book_id, liquidate.account_id, held.instrument_id) END;

		-- rounded so that nobody pays for it: a long is sold higher, a short bought back lower
		order_price := CASE WHEN state.in_group THEN NULL
							WHEN held.qty > 0 THEN ceil(held.bankruptcy_price * 1e18) / 1e18
							ELSE floor(held.bankruptcy_price * 1e18) / 1e18 END;
		price := CASE WHEN rules.execution <> 'mark' AND rules.surplus_to = 'fund' AND state.equity > 0 THEN order_price END;
		IF rules.execution = 'order' AND by_order AND state.equity > 0 THEN
			PERFORM risk.place_liquidation_order(liquidate.book_id, number, held.instrument_id, part, order_price, state.level);
			UPDATE ledger.liquidation l SET steps = n, equity_after = state.equity, requirement_after = state.requirement, level_after = state.level
			 WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number;
			RETURN number;
		END IF;
		n := n + 1;
		at_mark := coalesce(price, 0) <= 0;
		IF at_mark THEN
			price := coalesce(held.mark_price, nullif(greatest(round(held.entry_price, 18), 0), 0), 1e-18);
		END IF;
		execution := risk.take_part(liquidate.book_id, liquidate.account_id, held.instrument_id, part,
									trim_scale(price), held.bankruptcy_price, held.mark_price);

		-- what it frees, what it costs, and what can be charged at once
		maintenance := 0;
		IF part <> held.qty THEN
			SELECT v.maintenance_margin INTO STRICT maintenance
			  FROM ledger.position_value v
			 WHERE v.book_id = liquidate.book_id AND v.account_id = liquidate.account_id AND v.instrument_id = held.instrument_id;
		END IF;
		owed := CASE WHEN at_mark AND state.equity > 0
					 THEN round(ceil(held.notional * abs(part) / abs(held.qty) * held.liquidation_fee_rate / rules.unit) * rules.unit, rules.scale)
					 ELSE 0 END;
		fee := 0;
		IF owed > 0 THEN
			SELECT greatest(least(owed, trunc((held.maintenance_margin - maintenance) / 2, rules.scale), trunc(r.equity, rules.scale)), 0) INTO fee
			  FROM ledger.account_risk r
			 WHERE r.book_id = liquidate.book_id AND r.account_id = liquidate.account_id;
			PERFORM risk.charge_liquidation_fee(liquidate.book_id, number, fee);
			UPDATE ledger.liquidation l SET fee_owed = l.fee_owed + owed
			 WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number;
		END IF;
		level_before := state.level;
		is_step := true;
	END LOOP;

	-- The rest of the fee comes out of what is left above the requirement,
	-- strictly: at exactly 100 % the account would be due again.
	ended := CASE WHEN state.has_position THEN 'restored' ELSE 'closed' END;
	SELECT l.fee_owed, l.fee_to_fund + l.fee_to_liquidator + l.fee_to_venue AS charged INTO sums
	  FROM ledger.liquidation l
	 WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number;
	rest := CASE WHEN ended = 'closed' THEN trunc(state.balance, rules.scale)
				 WHEN state.in_group THEN 0
				 ELSE round((ceil((state.equity - state.requirement * rules.stop_level / 100) / rules.unit) - 1) * rules.unit, rules.scale) END;
	rest := greatest(least(rest, sums.fee_owed - sums.charged), 0);
	PERFORM risk.charge_liquidation_fee(liquidate.book_id, number, rest);
	IF ended = 'closed' AND rules.execution = 'mark' AND rules.surplus_to = 'fund' AND NOT state.in_group THEN
		left_over := greatest(trunc(state.balance - rest, rules.scale), 0);
		IF left_over > 0 THEN
			PERFORM risk.charge_liquidation(liquidate.book_id, liquidate.account_id, number, 'liquidation_surplus', left_over, 0, 0);
		END IF;
	END IF;

	IF rest > 0 OR left_over > 0 THEN
		SELECT coalesce(r.group_equity, r.equity) AS equity, coalesce(r.group_requirement, r.liquidation_requirement) AS requirement,
			   coalesce(r.group_level, r.margin_level) AS level
		  INTO state.equity, state.requirement, state.level
		  FROM ledger.account_risk r
		 WHERE r.book_id = liquidate.book_id AND r.account_id = liquidate.account_id;
	END IF;
	UPDATE ledger.liquidation l
	   SET ended_at = clock_timestamp(), outcome = ended, steps = n, surplus = l.surplus + left_over,
		   cancelled_orders = l.cancelled_orders + coalesce(jsonb_array_length(orders), 0),
		   equity_after = state.equity,
		   requirement_after = CASE WHEN insolvent THEN 0 ELSE state.requirement END,
		   level_after = CASE WHEN NOT insolvent THEN state.level END
	 WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number;
	IF rules.status = 'liquidating' THEN
		UPDATE ledger.account a SET status = (SELECT l.status_before FROM ledger.liquidation l
											   WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number)
		 WHERE a.book_id = liquidate.book_id AND a.account_id = liquidate.account_id;
	END IF;
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	SELECT l.book_id, l.account_id, 'liquidation',
		   jsonb_build_object('liquidation_id', l.liquidation_id, 'outcome', l.outcome, 'steps', l.steps, 'fee', l.fee_to_fund + l.fee_to_liquidator + l.fee_to_venue,
							  'surplus', l.surplus, 'level_before', l.level_before, 'level_after', l.level_after, 'equity_after', l.equity_after)
	  FROM ledger.liquidation l
	 WHERE l.book_id = liquidate.book_id AND l.liquidation_id = number;
	RETURN number;
END
$function$;
COMMENT ON FUNCTION risk.liquidate(int, bigint, bigint, boolean) IS
	'Liquidates an account that risk.sweep_account() has locked and judged, or goes on with a liquidation of it that has begun, and returns the number of the liquidation. by_order false: where the policy has execution order, the liquidity account takes what is left.';

CREATE FUNCTION risk.charge_liquidation_fee(book_id int, liquidation_id bigint, fee numeric) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	l record;
	to_fund numeric;
	to_liquidator numeric;
BEGIN
	IF fee <= 0 THEN
		RETURN;
	END IF;
	SELECT q.account_id, s.scale, y.liquidation_fee_to_fund, y.liquidation_fee_to_liquidator INTO l
	  FROM ledger.liquidation q
	  JOIN ledger.asset s ON s.asset_code = q.asset_code
	  JOIN ledger.policy y ON y.policy_code = q.policy_code AND y.version = q.policy_version
	 WHERE q.book_id = charge_liquidation_fee.book_id AND q.liquidation_id = charge_liquidation_fee.liquidation_id;
	to_fund := trunc(fee * l.liquidation_fee_to_fund, l.scale);
	to_liquidator := trunc(fee * l.liquidation_fee_to_liquidator, l.scale);
	PERFORM risk.charge_liquidation(charge_liquidation_fee.book_id, l.account_id, charge_liquidation_fee.liquidation_id, 'liquidation_fee',
									to_fund, to_liquidator, fee - to_fund - to_liquidator);
	UPDATE ledger.liquidation q
	   SET fee_to_fund = q.fee_to_fund + to_fund, fee_to_liquidator = q.fee_to_liquidator + to_liquidator,
		   fee_to_venue = q.fee_to_venue + fee - to_fund - to_liquidator
	 WHERE q.book_id = charge_liquidation_fee.book_id AND q.liquidation_id = charge_liquidation_fee.liquidation_id;
END
$function$;
COMMENT ON FUNCTION risk.charge_liquidation_fee(int, bigint, numeric) IS
	'Charges a part of the fee of a liquidation and splits it as the policy says: shares rounded down, the rest to the venue.';

REVOKE ALL ON FUNCTION
	risk.create_liquidation_tables(), risk.take_part(int, bigint, int, numeric, numeric, numeric, numeric), risk.close_insolvent(int, bigint),
	risk.charge_liquidation(int, bigint, bigint, text, numeric, numeric, numeric),
	risk.liquidate(int, bigint, bigint, boolean), risk.charge_liquidation_fee(int, bigint, numeric)
FROM PUBLIC;
