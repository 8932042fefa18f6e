-- risk_views.sql
--		What every position and every account stands at, as views over the
--		tables of a ledger.
--
-- Rows of the large tables are looked up by their whole key, each in a
-- subquery that is planned by itself (OFFSET 0): a join would leave the planner
-- free to read a whole book for a few accounts, and it does while a young
-- ledger has no statistics.
--
-- The formulas are the C functions of formulas.sql; here is only what goes
-- into them: the mark, the tier, and the other positions of the account.
--
-- Maintenance margin and liquidation fee go by the policy in force of the
-- account.  The rate of the fee is that of the size at entry: it does not move
-- with the price, so one rate holds at the mark and at the liquidation price,
-- and what is required there is the equity exactly.
--
-- A position without a mark is valued at its cost, with profit 0 and margins
-- on abs(cost), wherever it counts towards its account.  Its own row in
-- position_risk shows NULL for all that depends on the mark.
--
-- The views read with the rights of whoever asks, so that row policies hold in
-- them; open_interest and fund_status show sums, and those are for everybody.

CREATE FUNCTION risk.bind_text(view_text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $function$ SELECT replace(replace(view_text, '{', 'ledger.'), '}', '') $function$;
COMMENT ON FUNCTION risk.bind_text(text) IS
	'The text of a view with the names in braces as those of the tables and views of the ledger. risk.account_after() has the same texts with what is not booked yet in their place.';

CREATE FUNCTION risk.create_tier_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE OR REPLACE VIEW ledger.risk_limit WITH (security_invoker = true) AS
	SELECT t.instrument_id,
		   t.notional_floor,
		   coalesce(lead(t.notional_floor) OVER tiers, t.notional_cap) AS notional_cap,
		   t.maintenance_rate,
		   sum(t.notional_floor * t.rate_step) OVER tiers AS maintenance_deduction,
		   t.max_leverage,
		   t.stated_rate,
		   t.margin_scale,
		   t.maintenance_amount
	  FROM (SELECT m.instrument_id, m.notional_floor, r.maintenance_rate, m.max_leverage, m.notional_cap, m.maintenance_amount,
				   m.maintenance_rate AS stated_rate, r.margin_scale,
				   r.maintenance_rate - lag(r.maintenance_rate, 1, 0::numeric)
						OVER (PARTITION BY m.instrument_id ORDER BY m.notional_floor) AS rate_step
			  FROM (SELECT g.instrument_id, g.notional_floor, g.maintenance_rate, g.max_leverage, g.notional_cap,
						   g.maintenance_amount
					  FROM ledger.margin_tier g
					UNION ALL
					SELECT i.instrument_id, 0::numeric, 0::numeric, 1::numeric, NULL::numeric, 0::numeric
					  FROM ledger.instrument i
					 WHERE NOT EXISTS (SELECT FROM ledger.margin_tier z
										WHERE z.instrument_id = i.instrument_id
										  AND z.notional_floor = 0)) m
			 CROSS JOIN LATERAL (
				-- the scale in force at the time of the mark
				SELECT coalesce(c.scale, 1) AS margin_scale,
					   CASE WHEN c.scale IS NULL THEN m.maintenance_rate
							ELSE trim_scale(risk.scaled_rate(m.maintenance_rate, c.scale, m.max_leverage))
					   END AS maintenance_rate
				  FROM (SELECT (SELECT s.scale FROM ledger.margin_scale s
								 WHERE s.instrument_id = m.instrument_id
								   AND s.effective_at <= coalesce((SELECT k.observed_at FROM ledger.mark_price k
																	WHERE k.instrument_id = m.instrument_id), now())
								 ORDER BY s.effective_at DESC LIMIT 1) AS scale
						OFFSET 0) c
				OFFSET 0) r) t
	WINDOW tiers AS (PARTITION BY t.instrument_id ORDER BY t.notional_floor);

	COMMENT ON VIEW ledger.risk_limit IS
		'The margin tiers as they are applied. Every instrument has rows from notional 0 up without gaps; where ledger.margin_tier has none, there is no maintenance margin and the leverage is 1.';
	COMMENT ON COLUMN ledger.risk_limit.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.risk_limit.notional_floor IS 'The tier holds for notionals above this, in the settlement asset.';
	COMMENT ON COLUMN ledger.risk_limit.notional_cap IS 'The tier holds for notionals up to and including this. On the last tier, the largest position there may be, as ledger.margin_tier says; NULL: without limit.';
	COMMENT ON COLUMN ledger.risk_limit.maintenance_rate IS 'Rate of the maintenance margin, scaled where margin_scale is not 1, before the deduction.';
	COMMENT ON COLUMN ledger.risk_limit.maintenance_deduction IS 'The cumulative maintenance amount: maintenance margin = notional * maintenance_rate - maintenance_deduction. With it each rate holds for its own stretch of the notional only. Below zero where rates fall from tier to tier.';
	COMMENT ON COLUMN ledger.risk_limit.max_leverage IS 'Highest leverage: initial margin = notional / max_leverage.';
	COMMENT ON COLUMN ledger.risk_limit.stated_rate IS 'The rate as ledger.margin_tier states it.';
	COMMENT ON COLUMN ledger.risk_limit.margin_scale IS 'What the stated rates are multiplied with, as ledger.margin_scale says for the time of the mark; rates are bounded by risk.scaled_rate(), and the deductions derived from the rates that result.';

	COMMENT ON COLUMN ledger.risk_limit.maintenance_amount IS 'The maintenance margin of a position of that size at entry, for accounts whose policy takes it as an amount. Not scaled.';
	-- One look-up of the positions for each book and instrument; a view that
	-- asks for one of these reads no other.
	CREATE OR REPLACE VIEW ledger.open_interest WITH (security_barrier = true) AS
	SELECT b.book_id, i.instrument_id, p.open_interest, i.open_interest_limit,
		   coalesce(p.open_interest > i.open_interest_limit, false) AS exceeded,
		   i.open_interest_lo, i.open_interest_hi
	  FROM ledger.book b
	 CROSS JOIN ledger.instrument i
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(n.qty) FILTER (WHERE n.qty > 0), 0) AS open_interest
		  FROM ledger.position n
		 WHERE (n.book_id::bigint << 32) + n.instrument_id = (b.book_id::bigint << 32) + i.instrument_id
		HAVING count(*) > 0) p;

	COMMENT ON VIEW ledger.open_interest IS
		'How much of each instrument is open in each book.';
	COMMENT ON COLUMN ledger.open_interest.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.open_interest.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.open_interest.open_interest IS 'Sum of the long positions, in contracts.';
	COMMENT ON COLUMN ledger.open_interest.open_interest_limit IS 'The most there may be; NULL: no limit.';
	COMMENT ON COLUMN ledger.open_interest.exceeded IS 'Whether there is more than that.';
	COMMENT ON COLUMN ledger.open_interest.open_interest_lo IS 'From here on initial margin grows; NULL: it does not.';
	COMMENT ON COLUMN ledger.open_interest.open_interest_hi IS 'From here on initial margin is the whole notional.';
END
$function$;
COMMENT ON FUNCTION risk.create_tier_views() IS
	'Makes or replaces the views of tiers and of the open interest. A part of risk.create_views().';

-- The limits of an instrument come as arrays, so that they can be read
-- once for each instrument and not for each position.  OFFSET 0, here and
-- below: what is inside is computed once for each row, not once for each
-- column that uses it.
CREATE FUNCTION risk.position_value_text() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$ SELECT $view$
	SELECT p.book_id, p.account_id, p.instrument_id, i.symbol, i.kind, i.multiplier, s.scale,
		   p.qty, p.cost,
		   m.price AS mark_price,
		   m.observed_at AS mark_observed_at,
		   v.unrealized_pnl,
		   v.notional,
		   g.maintenance_margin,
		   g.initial_margin,
		   l.floors AS tier_floors,
		   l.rates AS tier_rates,
		   g.leverage,
		   l.cap AS notional_cap,
		   g.maintenance_basis,
		   g.fee_rate AS liquidation_fee_rate,
		   g.fee AS liquidation_fee,
		   g.maintenance_margin + g.fee AS liquidation_requirement,
		   a.liquidation_trigger,
		   m.price IS NULL OR i.state = 'halted' OR coalesce(m.observed_at < clock_timestamp() - i.max_mark_age, false) AS mark_stale,
		   a.profit_backs_margin
	  FROM {position} p
	  JOIN ledger.instrument i ON i.instrument_id = p.instrument_id
	  JOIN ledger.asset s ON s.asset_code = i.settle_asset
	  LEFT JOIN ledger.mark_price m ON m.instrument_id = p.instrument_id
	 CROSS JOIN LATERAL (
		SELECT coalesce(n.parent_id, n.account_id) AS chooser, y.*
		  FROM ledger.account n
		  LEFT JOIN LATERAL (
			SELECT * FROM ledger.policy y
			 WHERE y.policy_code = n.policy_code AND y.effective_at <= clock_timestamp()
			 ORDER BY y.version DESC
			 LIMIT 1) y ON true
		 WHERE n.book_id = p.book_id AND n.account_id = p.account_id
		OFFSET 0) a
	 CROSS JOIN LATERAL (
		SELECT (SELECT n.leverage
				  FROM ledger.margin_setting n
				 WHERE n.book_id = p.book_id AND n.instrument_id = p.instrument_id
				   AND n.account_id = a.chooser) AS leverage
		OFFSET 0) c
	 CROSS JOIN LATERAL (
		SELECT array_agg(r.notional_floor ORDER BY r.notional_floor) AS floors,
			   array_agg(r.maintenance_rate ORDER BY r.notional_floor) AS rates,
			   array_agg(r.max_leverage ORDER BY r.notional_floor) AS leverages,
			   array_agg(r.maintenance_amount ORDER BY r.notional_floor) AS amounts,
			   max(r.margin_scale) AS margin_scale,
			   (array_agg(r.notional_cap ORDER BY r.notional_floor DESC))[1] AS cap
		  FROM ledger.risk_limit r
		 WHERE r.instrument_id = p.instrument_id) l
	 CROSS JOIN LATERAL (
		-- read where the margin depends on it, once for each instrument
		SELECT CASE WHEN i.open_interest_lo IS NOT NULL
					THEN (SELECT n.open_interest FROM {open_interest} n
						   WHERE n.book_id = p.book_id AND n.instrument_id = p.instrument_id)
			   END AS qty
		OFFSET 0) o
	 CROSS JOIN LATERAL (
		SELECT coalesce(risk.unrealized_pnl_at_cost(p.qty, p.cost, m.price, i.multiplier, i.kind), 0)
				AS unrealized_pnl,
			   coalesce(risk.notional(p.qty, m.price, i.multiplier, i.kind), abs(p.cost))
				AS notional
		OFFSET 0) v
	 CROSS JOIN LATERAL (
		SELECT coalesce(a.maintenance_basis, 'mark') AS maintenance_basis,
			   CASE a.maintenance_basis
			   WHEN 'entry' THEN risk.maintenance_margin(abs(p.cost), l.floors, l.rates)
			   WHEN 'amount' THEN l.amounts[risk.margin_tier(abs(p.cost), l.floors, l.rates)]
			   ELSE risk.maintenance_margin(v.notional, l.floors, l.rates)
			   END AS maintenance_margin,
			   CASE WHEN i.open_interest_lo IS NULL THEN risk.initial_margin(v.notional, e.leverage, s.scale)
					ELSE risk.initial_margin(v.notional, e.leverage, s.scale,
											 o.qty, i.open_interest_lo, i.open_interest_hi)
			   END AS initial_margin,
			   e.leverage,
			   e.fee_rate,
			   CASE WHEN a.liquidation_fee_base IS NULL THEN 0
					ELSE risk.liquidation_fee(v.notional, e.fee_rate) END AS fee
		  FROM (
			SELECT coalesce(risk.leverage_in_force(t.max_leverage, c.leverage), t.max_leverage) AS leverage,
				   CASE WHEN a.liquidation_fee_base IS NULL THEN 0
						ELSE risk.liquidation_fee_rate(
								notional => abs(p.cost), base_rate => a.liquidation_fee_base,
								by_size => CASE WHEN i.reference_notional IS NULL THEN 0 ELSE a.liquidation_fee_by_size END,
								reference_notional => coalesce(i.reference_notional, 1),
								by_volatility => a.liquidation_fee_by_volatility, volatility_ratio => l.margin_scale,
								by_depth => a.liquidation_fee_by_depth, depth_ratio => i.depth_ratio,
								minimum_rate => a.liquidation_fee_minimum, maximum_rate => a.liquidation_fee_maximum)
				   END AS fee_rate
			  FROM (SELECT l.leverages[risk.margin_tier(v.notional, l.floors, l.rates)] AS max_leverage OFFSET 0) t
			OFFSET 0) e
		OFFSET 0) g
	 WHERE p.qty <> 0
$view$ $function$;
COMMENT ON FUNCTION risk.position_value_text() IS
	'The text of ledger.position_value. What it reads of positions and balances is in braces: see risk.bind_text().';

CREATE FUNCTION risk.create_position_value_view() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	EXECUTE 'CREATE OR REPLACE VIEW ledger.position_value WITH (security_invoker = true) AS ' || risk.bind_text(risk.position_value_text());

	COMMENT ON VIEW ledger.position_value IS
		'Every open position as it counts towards its account: at the mark, or at its cost when there is no mark.';
	COMMENT ON COLUMN ledger.position_value.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.position_value.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.position_value.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.position_value.symbol IS 'Symbol of the instrument.';
	COMMENT ON COLUMN ledger.position_value.kind IS 'Kind of contract.';
	COMMENT ON COLUMN ledger.position_value.multiplier IS 'Units of the underlying in one contract.';
	COMMENT ON COLUMN ledger.position_value.scale IS 'Digits after the point of amounts in the settlement asset.';
	COMMENT ON COLUMN ledger.position_value.qty IS 'Quantity in contracts, long > 0.';
	COMMENT ON COLUMN ledger.position_value.cost IS 'Signed value paid and not yet realised.';
	COMMENT ON COLUMN ledger.position_value.mark_price IS 'The mark price; NULL when there is none.';
	COMMENT ON COLUMN ledger.position_value.mark_observed_at IS 'When the mark price was observed.';
	COMMENT ON COLUMN ledger.position_value.unrealized_pnl IS 'Profit (above zero) or loss at the mark; 0 without a mark.';
	COMMENT ON COLUMN ledger.position_value.notional IS 'Size at the mark; abs(cost) without a mark.';
	COMMENT ON COLUMN ledger.position_value.maintenance_margin IS 'Maintenance margin: of that notional, of the notional at entry, or an amount, as maintenance_basis says.';
	COMMENT ON COLUMN ledger.position_value.initial_margin IS 'Initial margin of that notional at that leverage, more where it grows with the open interest, rounded up to the scale of the asset.';
	COMMENT ON COLUMN ledger.position_value.tier_floors IS 'Floors of the tiers of the instrument, ascending; as in ledger.risk_limit.';
	COMMENT ON COLUMN ledger.position_value.tier_rates IS 'Maintenance rates of these tiers.';
	COMMENT ON COLUMN ledger.position_value.leverage IS 'The leverage that it is margined at: what the trader chose in ledger.margin_setting, at most the highest of its tier, which holds without a choice.';
	COMMENT ON COLUMN ledger.position_value.notional_cap IS 'The largest notional that a position in the instrument may have; NULL: no limit.';

	COMMENT ON COLUMN ledger.position_value.maintenance_basis IS 'What the maintenance margin is taken on, by the policy of the account: mark, entry or amount.';
	COMMENT ON COLUMN ledger.position_value.liquidation_fee_rate IS 'Rate of the liquidation fee, risk.liquidation_fee_rate() of the notional at entry, abs(cost), by the policy of the account; 0: no fee.';
	COMMENT ON COLUMN ledger.position_value.liquidation_fee IS 'Liquidation fee on the whole position at the mark: notional * liquidation_fee_rate. Exact; what is charged is rounded, see risk.liquidation_fee().';
	COMMENT ON COLUMN ledger.position_value.liquidation_requirement IS 'maintenance_margin + liquidation_fee: what the position adds to the requirement of its account.';
	COMMENT ON COLUMN ledger.position_value.mark_stale IS 'Whether the mark cannot be relied on: there is none, it is older than instrument.max_mark_age, or the instrument is halted. Nothing is withdrawn or liquidated by it.';
	COMMENT ON COLUMN ledger.position_value.profit_backs_margin IS 'Whether its profit covers initial margin when a withdrawal is judged, by the policy of the account.';
	COMMENT ON COLUMN ledger.position_value.liquidation_trigger IS 'Whether the account is to be liquidated below its requirement, or at_or_below, by its policy.';
END
$function$;
COMMENT ON FUNCTION risk.create_position_value_view() IS
	'Makes or replaces ledger.position_value. A part of risk.create_views().';

-- Bankruptcy price: of one position, where the account's equity is zero.
-- Of several, each may lose its share of the equity from the mark on:
-- "limit" is what it may lose from its cost on.  Limits are whole units of
-- the asset, rounded down, and the price is rounded so that the loss is
-- within the limit: closing every position at its bankruptcy price leaves
-- the balance at zero or above, and the fund is not needed.
CREATE FUNCTION risk.position_risk_text() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$ SELECT $view$
	SELECT v.book_id, v.account_id, v.instrument_id, v.symbol, v.qty,
		   trim_scale(risk.entry_price(v.qty, v.cost, v.multiplier, v.kind, v.scale)) AS entry_price,
		   v.mark_price, v.mark_observed_at,
		   CASE WHEN v.mark_price IS NOT NULL THEN v.unrealized_pnl END AS unrealized_pnl,
		   CASE WHEN v.mark_price IS NOT NULL THEN v.notional END AS notional,
		   CASE WHEN v.mark_price IS NOT NULL THEN v.maintenance_margin END AS maintenance_margin,
		   CASE WHEN v.mark_price IS NOT NULL THEN v.initial_margin END AS initial_margin,
		   trim_scale(q.price) AS liquidation_price,
		   trim_scale(CASE WHEN risk.unrealized_pnl_at_cost(v.qty, v.cost, z.price, v.multiplier, v.kind) < -c.limit
						   THEN z.price + sign(v.qty) * ('1e-' || scale(z.price))::numeric
						   ELSE z.price END) AS bankruptcy_price,
		   trim_scale(sign(v.qty) * (v.mark_price - q.price) / v.mark_price * 100) AS distance_percent,
		   v.liquidation_fee_rate,
		   CASE WHEN v.mark_price IS NOT NULL THEN v.liquidation_fee END AS liquidation_fee,
		   CASE WHEN v.mark_price IS NOT NULL THEN v.liquidation_requirement END AS liquidation_requirement
	  FROM (SELECT p.*,
				   b.amount + CASE WHEN p.account_id > 0 THEN 0
								   ELSE coalesce((SELECT sum(s.amount) FROM {balance} s
												   WHERE s.book_id = p.book_id
													 AND s.account_id = p.account_id
													 AND s.slot <> 0), 0) END AS balance,
				   count(*) OVER account AS account_positions,
				   sum(p.unrealized_pnl) OVER account AS account_pnl,
				   sum(p.notional) OVER account AS account_notional,
				   sum(p.maintenance_margin) OVER account AS account_maintenance,
				   sum(p.liquidation_requirement) OVER account AS account_requirement
			  FROM {position_value} p
			 CROSS JOIN LATERAL (
				SELECT n.amount FROM {balance} n
				 WHERE n.book_id = p.book_id AND n.slot = 0 AND n.account_id = p.account_id
				OFFSET 0) b
			WINDOW account AS (PARTITION BY p.book_id, p.account_id)) v
	 CROSS JOIN LATERAL (
		SELECT CASE WHEN v.maintenance_basis = 'mark'
					THEN risk.liquidation_price_at_cost(
							qty => v.qty, cost => v.cost, balance => v.balance,
							tier_floors => v.tier_floors, tier_rates => v.tier_rates,
							other_pnl => o.pnl, other_maintenance => o.requirement,
							close_fee_rate => v.liquidation_fee_rate,
							multiplier => v.multiplier, kind => v.kind)
					-- does not move with the price
					ELSE risk.liquidation_price_at_cost(
							qty => v.qty, cost => v.cost, balance => v.balance,
							maintenance_rate => 0, maintenance_amount => v.maintenance_margin,
							other_pnl => o.pnl, other_maintenance => o.requirement,
							close_fee_rate => v.liquidation_fee_rate,
							multiplier => v.multiplier, kind => v.kind)
			   END AS price
		  FROM (SELECT v.account_pnl - v.unrealized_pnl AS pnl,
					   v.account_requirement - v.liquidation_requirement AS requirement) o
		OFFSET 0) q
	 CROSS JOIN LATERAL (
		SELECT CASE WHEN v.account_positions = 1 THEN v.balance
					ELSE (div(e.loss, e.whole) - (mod(e.loss, e.whole) < 0)::int) * e.unit
			   END AS limit
		  FROM (SELECT ((v.balance + v.account_pnl) * g.part - v.unrealized_pnl * g.whole) / g.unit AS loss,
					   g.whole, g.unit
				  FROM (SELECT CASE WHEN v.account_maintenance > 0 THEN v.maintenance_margin
									ELSE v.notional END AS part,
							   CASE WHEN v.account_maintenance > 0 THEN v.account_maintenance
									ELSE nullif(v.account_notional, 0) END AS whole,
							   ('1e-' || v.scale)::numeric AS unit
						OFFSET 0) g
				OFFSET 0) e
		OFFSET 0) c
	 CROSS JOIN LATERAL (
		SELECT risk.bankruptcy_price_at_cost(
					qty => v.qty, cost => v.cost, balance => c.limit,
					multiplier => v.multiplier, kind => v.kind) AS price
		OFFSET 0) z
$view$ $function$;
COMMENT ON FUNCTION risk.position_risk_text() IS
	'The text of ledger.position_risk. What it reads of positions and balances is in braces: see risk.bind_text().';

CREATE FUNCTION risk.create_position_risk_view() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	EXECUTE 'CREATE OR REPLACE VIEW ledger.position_risk WITH (security_invoker = true) AS ' || risk.bind_text(risk.position_risk_text());

	COMMENT ON VIEW ledger.position_risk IS
		'What every open position stands at. Amounts are in the settlement asset, prices in units of it. Without a mark, what depends on it is NULL; the other positions of the account count at their mark, or at their cost where they have none.';
	COMMENT ON COLUMN ledger.position_risk.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.position_risk.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.position_risk.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.position_risk.symbol IS 'Symbol of the instrument.';
	COMMENT ON COLUMN ledger.position_risk.qty IS 'Quantity in contracts, long > 0.';
	COMMENT ON COLUMN ledger.position_risk.entry_price IS 'Average entry price, rounded for reading: the cost is what counts.';
	COMMENT ON COLUMN ledger.position_risk.mark_price IS 'The mark price; NULL when there is none.';
	COMMENT ON COLUMN ledger.position_risk.mark_observed_at IS 'When the mark price was observed.';
	COMMENT ON COLUMN ledger.position_risk.unrealized_pnl IS 'Profit (above zero) or loss at the mark.';
	COMMENT ON COLUMN ledger.position_risk.notional IS 'Size at the mark.';
	COMMENT ON COLUMN ledger.position_risk.maintenance_margin IS 'Maintenance margin at the mark, of the tier that holds there; or at entry, or an amount, by the policy of the account.';
	COMMENT ON COLUMN ledger.position_risk.initial_margin IS 'Initial margin at the mark, at the leverage the trader chose, at most the highest of the tier that holds there.';
	COMMENT ON COLUMN ledger.position_risk.liquidation_price IS 'Price at which the equity of the account is what is required of it, maintenance margin and liquidation fee, all other prices unchanged, in the tier that holds at that price and with liquidation_fee_rate. NULL when there is none: a long position is then safe at every price, a short one below its requirement at every price.';
	COMMENT ON COLUMN ledger.position_risk.bankruptcy_price IS 'Price at which the position has used up its share of the equity of the account, in proportion to maintenance margin, or to notional when there is none; rounded so that closing there leaves nothing for others to pay. With one position, the price at which the equity is zero. NULL when no price above zero does that.';
	COMMENT ON COLUMN ledger.position_risk.distance_percent IS 'How far the mark can move towards the liquidation price, in percent of the mark; below zero when it has passed it.';
	COMMENT ON COLUMN ledger.position_risk.liquidation_fee_rate IS 'Rate of the liquidation fee, by the policy of the account, of the size at entry: it does not move with the price. 0: no fee.';
	COMMENT ON COLUMN ledger.position_risk.liquidation_fee IS 'Liquidation fee on the whole position at the mark, before it is rounded to be charged.';
	COMMENT ON COLUMN ledger.position_risk.liquidation_requirement IS 'maintenance_margin + liquidation_fee.';
END
$function$;
COMMENT ON FUNCTION risk.create_position_risk_view() IS
	'Makes or replaces ledger.position_risk. A part of risk.create_views().';

-- What a margin group counts for an account is asked of accounts in groups
-- only; src/collateral.c reckons alike.
CREATE FUNCTION risk.account_risk_text() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$ SELECT $view$
	SELECT r.book_id, r.account_id, r.owner_id, r.asset_code, r.status,
		   r.balance, r.unrealized_pnl, e.equity, r.initial_margin, r.maintenance_margin,
		   risk.free_collateral(r.balance, r.unrealized_pnl, r.initial_margin, r.order_reserve, r.holds) + e.collateral
		   + r.pending_deposits AS free_collateral,
		   CASE WHEN r.status IN ('frozen', 'closed') OR r.unmarked > 0 OR g.unmarked > 0 THEN 0
				ELSE greatest(e.withdrawable + least(e.collateral, 0), 0)
		   END AS withdrawable,
		   r.notional,
		   trim_scale(risk.margin_level(e.equity, e.requirement)) AS margin_level,
		   trim_scale(risk.margin_ratio(e.equity, r.notional)) AS margin_ratio,
		   trim_scale(risk.risk_ratio(e.equity, e.requirement)) AS risk_ratio,
		   trim_scale(risk.effective_leverage(e.equity, r.notional)) AS leverage,
		   r.order_reserve, r.parent_id,
		   r.liquidation_fee, e.requirement AS liquidation_requirement,
		   coalesce(risk.is_liquidatable(coalesce(e.group_equity, e.equity), coalesce(e.group_requirement, e.requirement),
										 r.liquidation_trigger), false) AND r.stale = 0 AS liquidatable,
		   e.collateral, e.group_equity, e.group_requirement,
		   trim_scale(risk.margin_level(e.group_equity, e.group_requirement)) AS group_level,
		   r.holds, r.overdue_debt, r.pending_deposits
	  FROM (SELECT a.book_id, a.account_id, a.owner_id, a.asset_code, a.status, a.parent_id,
				   b.amount + CASE WHEN a.account_id > 0 THEN 0
								   ELSE coalesce((SELECT sum(s.amount) FROM {balance} s
												   WHERE s.book_id = a.book_id
													 AND s.account_id = a.account_id
													 AND s.slot <> 0), 0) END AS balance,
				   b.floor,
				   a.in_group AND a.status <> 'closed' AS in_group,
				   count(*) FILTER (WHERE v.mark_stale) AS unmarked,
				   count(*) FILTER (WHERE v.mark_stale AND v.mark_price IS NOT NULL) AS stale,
				   coalesce(sum(v.unrealized_pnl), 0) AS unrealized_pnl,
				   coalesce(sum(v.notional), 0) AS notional,
				   coalesce(sum(v.initial_margin), 0) AS initial_margin,
				   coalesce(sum(v.maintenance_margin), 0) AS maintenance_margin,
				   coalesce(sum(v.liquidation_fee), 0) AS liquidation_fee,
				   -- one policy for all positions; NULL without one
				   min(v.liquidation_trigger) AS liquidation_trigger,
				   coalesce(bool_or(v.profit_backs_margin), false) AS profit_backs_margin,
				   coalesce((SELECT sum(o.amount) FROM ledger.order_reserve o
							  WHERE o.book_id = a.book_id AND o.account_id = a.account_id), 0) AS order_reserve,
				   coalesce((SELECT sum(h.remaining) FROM ledger.open_hold h
							  WHERE h.book_id = a.book_id AND h.account_id = a.account_id), 0) AS holds,
				   coalesce((SELECT sum(d.overdue) FROM ledger.open_debt d
							  WHERE d.book_id = a.book_id AND d.account_id = a.account_id), 0) AS overdue_debt,
				   coalesce((SELECT m.amount FROM ledger.pending_margin m
							  WHERE m.book_id = a.book_id AND m.account_id = a.account_id), 0) AS pending_deposits
			  FROM ledger.account a
			 CROSS JOIN LATERAL (
				SELECT n.amount, n.floor FROM {balance} n
				 WHERE n.book_id = a.book_id AND n.slot = 0 AND n.account_id = a.account_id
				OFFSET 0) b
			  LEFT JOIN {position_value} v ON v.book_id = a.book_id AND v.account_id = a.account_id
			 WHERE a.kind IN ('trader', 'liquidity', 'interbook')
			 GROUP BY a.book_id, a.account_id, b.amount, b.floor) r
	  LEFT JOIN LATERAL (
		SELECT sum(m.unmarked) AS unmarked,
			   sum(m.equity_value) AS equity, sum(m.requirement_value) AS requirement,
			   coalesce(sum(m.value) FILTER (WHERE m.asset_code <> r.asset_code), 0) AS rest,
			   max(m.net) FILTER (WHERE m.asset_code = r.asset_code) AS net,
			   max(m.index_price) FILTER (WHERE m.asset_code = r.asset_code) AS index_price,
			   max(m.haircut) FILTER (WHERE m.asset_code = r.asset_code) AS haircut,
			   max(m.cap) FILTER (WHERE m.asset_code = r.asset_code) AS cap,
			   max(m.scale) FILTER (WHERE m.asset_code = r.asset_code) AS scale
		  FROM {margin_group} m
		 -- in here as well, so that nothing is read of a group for who is in none
		 WHERE r.in_group AND m.book_id = r.book_id AND m.owner_id = r.owner_id
		OFFSET 0) g ON r.in_group
	 CROSS JOIN LATERAL (
		SELECT r.balance + r.unrealized_pnl - r.overdue_debt + r.pending_deposits AS equity,
			   r.maintenance_margin + r.liquidation_fee AS requirement,
			   w.withdrawable,
			   CASE WHEN r.in_group
					THEN g.net - least(w.withdrawable, risk.free_collateral(r.balance - r.floor, r.unrealized_pnl,
																		   r.initial_margin, r.order_reserve, r.holds))
						 + greatest(risk.collateral_share(g.rest, coalesce(g.index_price, 0), coalesce(g.haircut, 1), g.scale),
									-g.cap)
					ELSE 0 END AS collateral,
			   CASE WHEN g.index_price IS NOT NULL THEN g.equity END AS group_equity,
			   CASE WHEN g.index_price IS NOT NULL THEN g.requirement END AS group_requirement
		  FROM (SELECT risk.withdrawable(r.balance - coalesce(r.floor, 0), r.unrealized_pnl, r.initial_margin,
										 r.order_reserve, r.holds, r.profit_backs_margin) AS withdrawable
				OFFSET 0) w
		OFFSET 0) e
$view$ $function$;
COMMENT ON FUNCTION risk.account_risk_text() IS
	'The text of ledger.account_risk. What it reads of positions and balances is in braces: see risk.bind_text().';

CREATE FUNCTION risk.create_account_risk_view() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	EXECUTE 'CREATE OR REPLACE VIEW ledger.account_risk WITH (security_invoker = true) AS ' || risk.bind_text(risk.account_risk_text());

	COMMENT ON VIEW ledger.account_risk IS
		'What every account stands at that can hold positions: traders, and the liquidity and interbook accounts of the venue. Amounts are in the asset of the account. A position without a mark counts at its cost: profit 0, margins on abs(cost). The columns from collateral on are about the margin group of the account.';
	COMMENT ON COLUMN ledger.account_risk.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.account_risk.account_id IS 'The account; below zero: one of the venue itself.';
	COMMENT ON COLUMN ledger.account_risk.owner_id IS 'Whose account it is.';
	COMMENT ON COLUMN ledger.account_risk.asset_code IS 'The asset that it holds.';
	COMMENT ON COLUMN ledger.account_risk.status IS 'State of the account.';
	COMMENT ON COLUMN ledger.account_risk.balance IS 'What the venue owes the holder, over all slots.';
	COMMENT ON COLUMN ledger.account_risk.unrealized_pnl IS 'Profit (above zero) or loss of the open positions at the mark.';
	COMMENT ON COLUMN ledger.account_risk.equity IS 'balance + unrealized_pnl - overdue_debt + pending_deposits.';
	COMMENT ON COLUMN ledger.account_risk.initial_margin IS 'Sum over the open positions.';
	COMMENT ON COLUMN ledger.account_risk.maintenance_margin IS 'Sum over the open positions.';
	COMMENT ON COLUMN ledger.account_risk.free_collateral IS 'balance + unrealized_pnl + pending_deposits - initial_margin - order_reserve - holds + collateral: what new orders and positions may use. Below zero when more is bound than there is.';
	COMMENT ON COLUMN ledger.account_risk.withdrawable IS 'What may leave the account by choice: balance, less losses not yet realised, less initial margin, less what open orders and holds keep, as far as it is above the floor, and less what it has to hold for its margin group. Profit not yet realised is not paid out. 0 while the account is frozen or closed, or while it or a member of its group has a position whose mark is missing or stale (position_value.mark_stale).';
	COMMENT ON COLUMN ledger.account_risk.notional IS 'Sum of the sizes of the open positions.';
	COMMENT ON COLUMN ledger.account_risk.margin_level IS 'equity / liquidation_requirement in percent: liquidation is near 100, but in a margin group group_level tells. NULL without a requirement.';
	COMMENT ON COLUMN ledger.account_risk.margin_ratio IS 'equity / notional in percent. NULL without a position.';
	COMMENT ON COLUMN ledger.account_risk.risk_ratio IS 'liquidation_requirement / equity in percent. NULL when the equity is not above zero.';
	COMMENT ON COLUMN ledger.account_risk.leverage IS 'notional / equity. NULL when the equity is not above zero.';
	COMMENT ON COLUMN ledger.account_risk.holds IS 'What the open holds of the account keep.';
	COMMENT ON COLUMN ledger.account_risk.pending_deposits IS 'What deposits count for that are announced, where the policy lets them; they cannot be withdrawn, and count for no other member of a margin group.';
	COMMENT ON COLUMN ledger.account_risk.overdue_debt IS 'What the account owes and should have paid, see ledger.open_debt.';
	COMMENT ON COLUMN ledger.account_risk.order_reserve IS 'What the open orders of the account hold, as the matching engine says.';
	COMMENT ON COLUMN ledger.account_risk.parent_id IS 'Of a child account, which holds one isolated position: the account that it is kept apart from. Neither counts towards the other.';
	COMMENT ON COLUMN ledger.account_risk.liquidation_fee IS 'Sum over the open positions, before it is rounded to be charged.';
	COMMENT ON COLUMN ledger.account_risk.liquidation_requirement IS 'maintenance_margin + liquidation_fee: what the equity is compared with.';
	COMMENT ON COLUMN ledger.account_risk.liquidatable IS 'Whether there is a position and the equity is below liquidation_requirement, or also at it where the policy says at_or_below; in a margin group, group_equity and group_requirement. False while a position of the account is halted or its mark stale.';
	COMMENT ON COLUMN ledger.account_risk.collateral IS 'What the other accounts of its margin group count for, in the asset of this one: what those of the same asset have to spare, less what they lack, and those of other assets at index price less haircut, rounded down. Below zero: how much this account has to hold for them. 0 outside a group.';
	COMMENT ON COLUMN ledger.account_risk.group_equity IS 'Equity of the whole margin group in the unit of account, see ledger.margin_group. NULL outside a group, and where the asset of the account has no index price.';
	COMMENT ON COLUMN ledger.account_risk.group_requirement IS 'Maintenance margins and liquidation fees of the whole margin group in the unit of account. NULL likewise.';
	COMMENT ON COLUMN ledger.account_risk.group_level IS 'group_equity / group_requirement in percent: a member is liquidated by this level, not by margin_level. NULL likewise, and without a requirement.';
END
$function$;
COMMENT ON FUNCTION risk.create_account_risk_view() IS
	'Makes or replaces ledger.account_risk. A part of risk.create_views().';

CREATE FUNCTION risk.create_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	PERFORM risk.create_tier_views();
	PERFORM risk.create_position_value_view();
	PERFORM risk.create_position_risk_view();
	PERFORM risk.create_collateral_views();
	PERFORM risk.create_recourse_views();
	PERFORM risk.create_pending_deposit_views();
	PERFORM risk.create_account_risk_view();
	PERFORM risk.create_liquidation_terms_view();

	CREATE OR REPLACE VIEW ledger.position_limit_usage WITH (security_invoker = true) AS
	SELECT u.book_id, u.instrument_id, u.owner_id, u.account_id, u.side, u.qty, u.notional,
		   l.max_qty, l.max_notional,
		   coalesce(u.qty > l.max_qty, false) OR coalesce(u.notional > l.max_notional, false) AS exceeded
	  FROM (SELECT v.book_id, v.instrument_id, a.owner_id,
				   CASE WHEN a.owner_id IS NULL THEN a.account_id END AS account_id,
				   CASE WHEN v.qty > 0 THEN 'long' ELSE 'short' END AS side,
				   sum(abs(v.qty)) AS qty, sum(v.notional) AS notional
			  FROM ledger.position_value v
			  JOIN ledger.account a ON a.book_id = v.book_id AND a.account_id = v.account_id
			 WHERE a.kind = 'trader'
			 GROUP BY 1, 2, 3, 4, 5) u
	  LEFT JOIN LATERAL (
		SELECT m.max_qty, m.max_notional
		  FROM ledger.position_limit m
		 WHERE m.instrument_id = u.instrument_id AND (m.owner_id = u.owner_id OR m.owner_id IS NULL)
		 ORDER BY m.owner_id NULLS LAST
		 LIMIT 1) l ON true;

	COMMENT ON VIEW ledger.position_limit_usage IS
		'What each owner holds of each instrument, over all accounts of a book, long and short each for itself, against the limit.';
	COMMENT ON COLUMN ledger.position_limit_usage.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.position_limit_usage.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.position_limit_usage.owner_id IS 'The owner; NULL: an account without one, which counts by itself.';
	COMMENT ON COLUMN ledger.position_limit_usage.account_id IS 'The account, when it has no owner.';
	COMMENT ON COLUMN ledger.position_limit_usage.side IS 'long or short.';
	COMMENT ON COLUMN ledger.position_limit_usage.qty IS 'Contracts on that side.';
	COMMENT ON COLUMN ledger.position_limit_usage.notional IS 'Their notional at the mark, or at their cost when there is no mark.';
	COMMENT ON COLUMN ledger.position_limit_usage.max_qty IS 'The most contracts; NULL: no limit.';
	COMMENT ON COLUMN ledger.position_limit_usage.max_notional IS 'The largest notional; NULL: no limit.';
	COMMENT ON COLUMN ledger.position_limit_usage.exceeded IS 'Whether there is more than one of the two allows.';

	CREATE OR REPLACE VIEW ledger.fund_status WITH (security_barrier = true) AS
	SELECT a.book_id, a.asset_code, a.account_id,
		   (SELECT sum(b.amount) FROM ledger.balance b
			 WHERE b.book_id = a.book_id AND b.account_id = a.account_id) AS balance,
		   coalesce(r.resets, 0) AS resets,
		   coalesce(r.paid, 0) AS paid,
		   r.last_paid_at,
		   a.fund_instrument_id
	  FROM ledger.account a
	  LEFT JOIN (SELECT book_id, payer_account, count(*) AS resets, sum(amount) AS paid,
						max(posted_at) AS last_paid_at
				   FROM ledger.reset
				  GROUP BY book_id, payer_account) r
			 ON r.book_id = a.book_id AND r.payer_account = a.account_id
	 WHERE a.kind = 'insurance_fund';

	COMMENT ON VIEW ledger.fund_status IS
		'The insurance funds: one for each book and asset, those for single instruments (risk.open_fund()), and what they have paid.';
	COMMENT ON COLUMN ledger.fund_status.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.fund_status.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.fund_status.account_id IS 'The fund''s account.';
	COMMENT ON COLUMN ledger.fund_status.balance IS 'What is in the fund, over all slots.';
	COMMENT ON COLUMN ledger.fund_status.resets IS 'How many resets it has paid for.';
	COMMENT ON COLUMN ledger.fund_status.paid IS 'What it has paid for resets, in total.';
	COMMENT ON COLUMN ledger.fund_status.fund_instrument_id IS 'The instrument that it pays for; NULL: all.';
	COMMENT ON COLUMN ledger.fund_status.last_paid_at IS 'When it last paid for one.';

	PERFORM risk.create_adl_views();
	PERFORM risk.create_fund_views();
END
$function$;
COMMENT ON FUNCTION risk.create_views() IS
	'Makes or replaces the views of schema ledger. Called by risk.install().';

REVOKE ALL ON FUNCTION
	risk.create_tier_views(), risk.create_position_value_view(), risk.create_position_risk_view(), risk.create_account_risk_view(),
	risk.create_views()
FROM PUBLIC;
