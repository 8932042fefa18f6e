-- Margin groups: whose accounts are in one, the index prices of assets, and what a
-- group stands at.

CREATE FUNCTION risk.check_index_price() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF TG_WHEN <> 'BEFORE' OR TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') THEN
		RAISE EXCEPTION 'trigger % must fire before an insert or update, for each row', TG_NAME
			USING ERRCODE = '39P01', HINT = 'Run SELECT risk.install().';
	END IF;

	IF TG_OP = 'UPDATE' AND NEW.asset_code IS DISTINCT FROM OLD.asset_code THEN
		RAISE EXCEPTION 'the index price of asset % cannot become that of another', OLD.asset_code
			USING ERRCODE = '55000',
				  DETAIL = format('The asset asked for is %s.', coalesce(NEW.asset_code, 'NULL')),
				  HINT = 'Insert a row for the other asset.';
	END IF;
	NEW.observed_at := risk.judge_tick('index_price', format('index price of asset %s', NEW.asset_code),
									   NEW.price, NEW.observed_at, OLD.price, OLD.observed_at);
	IF TG_OP = 'UPDATE' AND NEW.observed_at < OLD.observed_at THEN
		RETURN NULL;
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_index_price() IS
	'Judges an index price. Raises 22023 for what is no price by risk.is_price() and for a time later than now plus risk.mark_price_skew(), 55000 for a change of asset. A changed price with an unchanged time is taken as observed now. An update older than the price in force changes nothing.';

CREATE FUNCTION risk.margin_group_text() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$ SELECT $view$
	SELECT g.book_id, g.owner_id, g.asset_code, g.scale, g.accounts, g.unmarked,
		   g.equity, g.requirement, g.net,
		   c.haircut, c.cap, x.price AS index_price,
		   risk.collateral_value(least(g.net, c.cap), t.price, t.haircut) AS value,
		   g.requirement * t.price
		   + risk.collateral_value(least(g.equity - g.requirement, c.cap), t.price, t.haircut) AS equity_value,
		   g.requirement * t.price AS requirement_value
	  FROM (SELECT m.book_id, m.owner_id, m.asset_code, m.scale,
				   count(*) AS accounts,
				   sum(m.unmarked) AS unmarked,
				   sum(m.amount + m.unrealized_pnl) AS equity,
				   sum(m.requirement) AS requirement,
				   sum(least(risk.withdrawable(m.amount - m.floor, m.unrealized_pnl, m.initial_margin, m.order_reserve, m.holds,
											  m.profit_backs_margin),
							 risk.free_collateral(m.amount - m.floor, m.unrealized_pnl, m.initial_margin, m.order_reserve, m.holds))) AS net
			  FROM (SELECT a.book_id, a.owner_id, a.account_id, a.asset_code, s.scale, b.amount, b.floor,
						   count(*) FILTER (WHERE v.mark_stale) AS unmarked,
						   coalesce(sum(v.unrealized_pnl), 0) AS unrealized_pnl,
						   coalesce(sum(v.initial_margin), 0) AS initial_margin,
						   coalesce(bool_or(v.profit_backs_margin), false) AS profit_backs_margin,
						   coalesce(sum(v.liquidation_requirement), 0) AS requirement,
						   coalesce((SELECT sum(o.amount) FROM ledger.order_reserve o
									  WHERE o.book_id = a.book_id AND o.account_id = a.account_id), 0) AS order_reserve,
						   coalesce((SELECT sum(h.remaining) FROM ledger.open_hold h
									  WHERE h.book_id = a.book_id AND h.account_id = a.account_id), 0) AS holds
					  FROM ledger.account a
					  JOIN ledger.asset s ON s.asset_code = a.asset_code
					  JOIN {balance} b ON b.book_id = a.book_id AND b.slot = 0 AND b.account_id = a.account_id
					  LEFT JOIN {position_value} v ON v.book_id = a.book_id AND v.account_id = a.account_id
					 WHERE a.in_group AND a.status <> 'closed'
					 GROUP BY a.book_id, a.owner_id, a.account_id, s.scale, b.amount, b.floor) m
			 GROUP BY m.book_id, m.owner_id, m.asset_code, m.scale) g
	  LEFT JOIN ledger.collateral c ON c.asset_code = g.asset_code
	  LEFT JOIN ledger.index_price x ON x.asset_code = g.asset_code
	 CROSS JOIN LATERAL (SELECT coalesce(x.price, 0) AS price, coalesce(c.haircut, 1) AS haircut OFFSET 0) t
$view$ $function$;
COMMENT ON FUNCTION risk.margin_group_text() IS
	'The text of ledger.margin_group. What it reads of positions and balances is in braces: see risk.bind_text().';

CREATE FUNCTION risk.create_collateral_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	EXECUTE 'CREATE OR REPLACE VIEW ledger.margin_group WITH (security_invoker = true) AS ' || risk.bind_text(risk.margin_group_text());

	COMMENT ON VIEW ledger.margin_group IS
		'Margin groups, one row for each asset of a group: what its accounts in that asset have to spare or lack together, and what that counts for.';
	COMMENT ON COLUMN ledger.margin_group.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.margin_group.owner_id IS 'Whose group it is.';
	COMMENT ON COLUMN ledger.margin_group.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.margin_group.scale IS 'Digits after the point of amounts in it.';
	COMMENT ON COLUMN ledger.margin_group.accounts IS 'How many accounts of the group hold it.';
	COMMENT ON COLUMN ledger.margin_group.unmarked IS 'How many positions they have whose mark is missing or stale. Above 0: nothing can be withdrawn from the group.';
	COMMENT ON COLUMN ledger.margin_group.equity IS 'Their balances with profits and losses not yet realised.';
	COMMENT ON COLUMN ledger.margin_group.requirement IS 'Maintenance margins and liquidation fees of their open positions.';
	COMMENT ON COLUMN ledger.margin_group.net IS 'What they can spare, by risk.withdrawable(), less what the others of them lack for initial margin, open orders and holds. Below zero: what they lack together.';
	COMMENT ON COLUMN ledger.margin_group.haircut IS 'The part of the index price that does not count. NULL: the asset is no collateral.';
	COMMENT ON COLUMN ledger.margin_group.cap IS 'The most of the asset that counts. NULL: all.';
	COMMENT ON COLUMN ledger.margin_group.index_price IS 'What one unit is worth in the unit of account. NULL: unknown; what is in the asset counts for nothing then.';
	COMMENT ON COLUMN ledger.margin_group.value IS 'What net counts for accounts in other assets, in the unit of account: up to the cap, at index_price * (1 - haircut); what is lacking at index_price. Exact.';
	COMMENT ON COLUMN ledger.margin_group.equity_value IS 'The equity in the unit of account: what is required in the same asset at index_price, what is beyond that up to the cap at index_price * (1 - haircut), what is missing at index_price. Exact.';
	COMMENT ON COLUMN ledger.margin_group.requirement_value IS 'requirement * index_price.';
END
$function$;
COMMENT ON FUNCTION risk.create_collateral_views() IS
	'Makes or replaces the views of margin groups. Called by risk.create_views().';

REVOKE ALL ON FUNCTION risk.check_index_price(), risk.create_collateral_views() FROM PUBLIC;
