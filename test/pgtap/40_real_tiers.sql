-- Real tier tables: the cumulative maintenance amounts derived from floors and
-- rates are those that the venue published.  Skipped without the file.
\set data ''
\getenv data RISK_DATA
SELECT :'data' || '/binance_usdm_leverage_tiers_2024-10.csv.gz' AS file \gset
SELECT :'data' <> '' AND (pg_stat_file(:'file', true)).size IS NOT NULL AS is_there \gset
BEGIN;
SELECT plan(4);
\if :is_there
CREATE TEMP TABLE published (
	symbol text, tier int, notional_floor numeric, notional_cap numeric, rate numeric, leverage numeric, amount numeric);
SELECT 'zcat ' || quote_literal(:'file') AS command \gset
COPY published FROM PROGRAM :'command' WITH (FORMAT csv, HEADER);
CREATE TEMP VIEW tiers AS
SELECT symbol, array_agg(notional_floor ORDER BY tier) AS floors, array_agg(rate ORDER BY tier) AS rates
  FROM published GROUP BY symbol;

SELECT is((SELECT count(*)::int FROM published), 2805, 'there are 2,805 tiers');
-- in the middle of each tier, notional * rate - maintenance is the amount
SELECT is_empty($$
	SELECT p.symbol, p.tier, p.amount
	  FROM published p JOIN tiers t USING (symbol),
		   LATERAL (SELECT (p.notional_floor + p.notional_cap) / 2 AS notional) AS m
	 WHERE m.notional * p.rate - risk.maintenance_margin(1, m.notional, t.floors, t.rates) <> p.amount
$$, 'each derived amount is the published one');
SELECT is_empty($$
	SELECT p.symbol, p.tier FROM published p JOIN tiers t USING (symbol)
	 WHERE risk.margin_tier(p.notional_cap, t.floors, t.rates) <> p.tier
		OR risk.margin_tier(p.notional_floor + 0.00000001, t.floors, t.rates) <> p.tier
$$, 'each tier holds above its floor up to its cap');
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
SELECT 90000 + row_number() OVER (ORDER BY symbol), symbol, 'USDT' FROM tiers;
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage)
SELECT i.instrument_id, p.notional_floor, p.rate, p.leverage FROM published p JOIN ledger.instrument i USING (symbol);
SELECT is_empty($$
	SELECT p.symbol, p.tier, p.amount, r.maintenance_deduction
	  FROM published p JOIN ledger.instrument i USING (symbol)
	  LEFT JOIN ledger.risk_limit r ON r.instrument_id = i.instrument_id AND r.notional_floor = p.notional_floor
	 WHERE r.maintenance_deduction IS DISTINCT FROM p.amount
$$, 'and so it is in ledger.risk_limit');
\else
SELECT skip('there are no market data in RISK_DATA', 4);
\endif
SELECT * FROM finish();
ROLLBACK;
