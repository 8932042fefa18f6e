-- flash_crash.sql
--		A venue with leverage goes through a flash crash: the mark falls from
--		52,000 to 50,000, what must be liquidated finds buyers at 48,000 only,
--		and seconds later the mark is back at 52,000.
--
-- psql variables: accounts (300), seed (1).

\if :{?accounts} \else \set accounts 300 \endif
\if :{?seed} \else \set seed 1 \endif
\set symbol 'BTC/USDT'
\set scale 2
SELECT 2000 * :'accounts'::int AS fund, 20000 * :'accounts'::int AS liquidity \gset
\ir venue.sql

-- Accounts come in pairs, a long and a short with the same quantity and price.
-- The longs of the first five pairs, one for each leverage, have opened where
-- their liquidation price is 50,000:
--		entry - margin = 50,000 * (1 - maintenance rate of 0.005) = 49,750
CREATE TABLE demo.trader AS
SELECT 2 * p.pair - (s.side = 'buy')::int AS account_id, p.pair, s.side, p.qty, p.price,
	   CASE WHEN p.pair > 5 THEN demo.draw_leverage(:'seed', 2 * p.pair - (s.side = 'buy')::int)
			WHEN s.side = 'buy' THEN p.leverage
			ELSE 5 END AS leverage,
	   CASE WHEN p.pair <= 5 AND s.side = 'buy' THEN ('{alice,bob,carol,dave,erin}'::text[])[p.pair]
			ELSE 'trader ' || 2 * p.pair - (s.side = 'buy')::int END AS owner
  FROM (SELECT n AS pair, h.leverage,
			   CASE WHEN n <= 5 THEN 1
					ELSE round(0.1 + 1.9 * demo.draw(:'seed', 'quantity', n), 1) END AS qty,
			   CASE WHEN n <= 5 THEN round(49750 * h.leverage / (h.leverage - 1.0), 2)
					ELSE round(51900 + 200 * demo.draw(:'seed', 'price', n), 2) END AS price
		  FROM generate_series(1, greatest(5, (:'accounts'::int + 1) / 2)) AS n
		  LEFT JOIN unnest('{5,10,20,50,100}'::numeric[]) WITH ORDINALITY AS h(leverage, pair) ON h.pair = n) p
 CROSS JOIN unnest('{buy,sell}'::text[]) AS s(side)
 ORDER BY account_id;

INSERT INTO ledger.account (account_id, asset_code, owner_id)
SELECT account_id, 'USDT', owner FROM demo.trader;

INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
SELECT :external_account, account_id,
	   CASE WHEN pair <= 5 AND side = 'buy' THEN price - 49750
			ELSE round(qty * price / leverage, 2) END, 'deposit'
  FROM demo.trader;

INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 52000);

INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
SELECT account_id, 1, side, qty, price, pair FROM demo.trader;

\echo '== A venue with leverage: BTC at 52,000'
SELECT t.leverage || 'x' AS "opened at",
	   count(*) FILTER (WHERE t.side = 'buy') AS longs,
	   count(*) FILTER (WHERE t.side = 'sell') AS shorts,
	   round(sum(r.notional), 0) AS notional,
	   round(sum(r.equity), 0) AS equity,
	   round(sum(r.maintenance_margin), 0) AS maintenance,
	   round(min(r.margin_level), 0) AS "lowest margin level %"
  FROM demo.trader t JOIN ledger.account_risk r USING (account_id)
 GROUP BY t.leverage
 ORDER BY t.leverage;

\echo '== Five longs, one for each leverage, that are liquidated at 50,000: position_risk'
SELECT w.owner, w.leverage || 'x' AS "opened at", p.qty, round(p.entry_price, 2) AS entry, p.mark_price AS mark,
	   round(p.unrealized_pnl, 2) AS "unrealized PnL",
	   round(p.liquidation_price, 2) AS "liquidation at",
	   round(p.bankruptcy_price, 2) AS "bankrupt at",
	   round(p.distance_percent, 2) AS "distance %"
  FROM ledger.position_risk p JOIN demo.trader w USING (account_id)
 WHERE account_id IN (1, 3, 5, 7, 9)
 ORDER BY account_id;

\echo '== The same five: account_risk'
SELECT w.owner, round(r.balance, 2) AS balance, round(r.equity, 2) AS equity, round(r.initial_margin, 2) AS "initial margin",
	   round(r.maintenance_margin, 2) AS maintenance, round(r.margin_level, 1) AS "margin level %",
	   round(r.leverage, 1) AS "leverage now"
  FROM ledger.account_risk r JOIN demo.trader w USING (account_id)
 WHERE account_id IN (1, 3, 5, 7, 9)
 ORDER BY account_id;

\echo '== The crash: UPDATE ledger.mark_price SET price = 50000'
UPDATE ledger.mark_price SET price = 50000 WHERE instrument_id = 1;

CREATE TABLE demo.liquidated AS
SELECT account_id, qty, margin_level, nextval('ledger.trade_execution_id_seq') AS execution_id
  FROM ledger.position_risk p
  JOIN ledger.account_risk r USING (book_id, account_id)
 WHERE account_id > 0
   AND CASE WHEN p.qty > 0 THEN p.mark_price <= p.liquidation_price ELSE p.mark_price >= p.liquidation_price END;

SELECT count(*) AS "must be liquidated", sum(qty) AS "BTC to sell",
	   round(max(margin_level), 1) AS "highest margin level %"
  FROM demo.liquidated;

-- One statement for all, both sides of each execution; the check comes at COMMIT.
BEGIN;
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id, kind)
SELECT CASE WHEN s.side = 'sell' THEN l.account_id ELSE :liquidity_account END,
	   1, s.side, l.qty, 48000, l.execution_id, 'liquidation'
  FROM demo.liquidated l CROSS JOIN unnest('{sell,buy}'::text[]) AS s(side)
 ORDER BY l.execution_id, s.side DESC;
CREATE TABLE demo.inside AS
SELECT account_id, amount FROM ledger.balance WHERE account_id IN (SELECT account_id FROM demo.liquidated);
COMMIT;

\echo '== Sold at 48,000, bankrupt at 49,750: the balances before COMMIT, and after it'
SELECT w.owner, p.price AS "executed at",
	   i.amount AS "inside the transaction", b.amount AS "after commit"
  FROM demo.inside i
  JOIN ledger.balance b USING (account_id)
  JOIN demo.trader w USING (account_id)
  JOIN ledger.trade p USING (account_id)
 WHERE p.kind = 'liquidation' AND account_id IN (1, 3, 5, 7, 9)
 ORDER BY account_id;

\echo '== The resets: who, how much, which trade caused it, who paid, what was left'
SELECT w.owner, r.cause_kind || ' ' || r.cause AS cause, r.balance_before AS "balance before",
	   r.amount AS paid, r.balance_after AS "after", a.kind AS "paid by", r.payer_after AS "left in the fund"
  FROM ledger.reset r
  JOIN demo.trader w USING (account_id)
  JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.payer_account
 WHERE r.account_id IN (1, 3, 5, 7, 9)
 ORDER BY r.reset_id;

\echo '== All of them'
SELECT w.leverage || 'x' AS "opened at", count(DISTINCT l.account_id) AS liquidated, count(r.reset_id) AS resets,
	   coalesce(sum(r.amount) FILTER (WHERE r.stage = 'fund'), 0) AS "the fund paid",
	   coalesce(sum(r.amount) FILTER (WHERE r.stage = 'house'), 0) AS "the house paid"
  FROM demo.liquidated l
  JOIN demo.trader w USING (account_id)
  LEFT JOIN ledger.reset r USING (account_id)
 GROUP BY w.leverage
 ORDER BY w.leverage;

UPDATE ledger.mark_price SET price = 52000 WHERE instrument_id = 1;

\echo '== Seconds later: 52,000 again.  The five, three who stayed in, and who bought at 48,000'
SELECT coalesce(w.owner, 'liquidity account') AS owner,
	   CASE w.side WHEN 'buy' THEN 'long ' WHEN 'sell' THEN 'short ' END || w.leverage || 'x' AS opened,
	   coalesce(p.qty, 0) AS qty, r.balance, round(r.unrealized_pnl, 2) AS "unrealized PnL",
	   round(r.equity, 2) AS equity, round(r.margin_level, 1) AS "margin level %",
	   round(p.liquidation_price, 2) AS "liquidation at"
  FROM ledger.account_risk r
  LEFT JOIN demo.trader w USING (account_id)
  LEFT JOIN ledger.position_risk p USING (book_id, account_id)
 WHERE account_id IN (1, 3, 5, 7, 9, :liquidity_account)
	OR account_id IN (SELECT min(t.account_id) FROM demo.trader t
						JOIN ledger.position_risk s USING (account_id)
					   WHERE t.pair > 5 AND (t.side, t.leverage) IN (('buy', 10), ('buy', 20), ('sell', 100))
					   GROUP BY t.side, t.leverage)
 ORDER BY account_id < 0, account_id;

\ir proof.sql
