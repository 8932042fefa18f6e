-- Initial margin that grows with the open interest, and maintenance rates that
-- follow the volatility of the mark.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(94, 'dynamic margin'), risk.create_book(95, 'another');
INSERT INTO ledger.account (book_id, account_id, asset_code)
SELECT b, a, 'USDT' FROM unnest('{94,95}'::int[]) b, generate_series(1, 4) a;
SELECT count(risk.deposit(a, 10000, b)) FROM unnest('{94,95}'::int[]) b, generate_series(1, 4) a;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, open_interest_lo, open_interest_hi)
VALUES (9401, 'BTC/USDT 94', 'USDT', 10, 50);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (9402, 'ETH/USDT 94', 'USDT'), (9403, 'SOL/USDT 94', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage) VALUES (9401, 0, 0.01, 10);
INSERT INTO ledger.mark_price VALUES (9401, 100);
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 94001;

CREATE FUNCTION pg_temp.trade(buyer bigint, seller bigint, qty numeric, book int DEFAULT 94, instrument int DEFAULT 9401)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	execution bigint := nextval('ledger.trade_execution_id_seq');
BEGIN
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (book, buyer, instrument, 'buy', qty, 100, execution), (book, seller, instrument, 'sell', qty, 100, execution);
END $$;

-- 1. The formula: base 0.1; half way it is 0.1 + 0.9 / 2

SELECT oi, risk.initial_margin(1000, 10, 2, oi, 10, 50) AS margin FROM unnest('{0,10,11,30,49.9999,50,1000}'::numeric[]) oi;
-- rounded up, once: 1,000 * (1/3 + 2/3 * 1/7) = 428.571...
SELECT risk.initial_margin(1000, 3, 2, 11, 10, 17) AS sevenths, risk.initial_margin(1000, 1, 2, 30, 10, 50) AS unlevered,
	   risk.initial_margin(0, 10, 2, 30, 10, 50) AS nothing, risk.initial_margin(1000, 10, 2, NULL, 10, 50) IS NULL AS unknown;
-- 3 * 1/3 is not 1.0000...1
SELECT risk.initial_margin(3, 3, 2, 0, 10, 50) = 1 AS exact;
\set VERBOSITY sqlstate
SELECT risk.initial_margin(1000, 10, 2, 30, 50, 50);
SELECT risk.initial_margin(1000, 0.5, 2, 30, 10, 50);
SELECT risk.initial_margin(1000, 10, 2, -1, 10, 50);
SELECT risk.initial_margin(1000, 10, 2, 30, -1, 50);
SELECT risk.initial_margin(1000, 10, 2, 30, 10, 'NaN');
SELECT risk.initial_margin(1000, 10, 39, 30, 10, 50);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, open_interest_lo) VALUES (9499, 'half 94', 'USDT', 10);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, open_interest_hi) VALUES (9499, 'half 94', 'USDT', 10);
UPDATE ledger.instrument SET open_interest_lo = 50 WHERE instrument_id = 9401;
UPDATE ledger.instrument SET open_interest_hi = 'NaN' WHERE instrument_id = 9401;
UPDATE ledger.instrument SET open_interest_lo = -1 WHERE instrument_id = 9401;
\set VERBOSITY default

-- 2. In the books: 10 are open; then 30, 20 of them others'

CREATE TEMP VIEW margin AS
SELECT book_id, account_id, v.qty, v.notional, v.leverage, v.initial_margin, r.withdrawable, o.open_interest
  FROM ledger.position_value v JOIN ledger.account_risk r USING (book_id, account_id)
  JOIN ledger.open_interest o USING (book_id, instrument_id)
 WHERE instrument_id = 9401 ORDER BY book_id, account_id;
SELECT pg_temp.trade(1, 2, 10);
SELECT * FROM margin;
SELECT pg_temp.trade(3, 4, 20);
SELECT * FROM margin;
-- withdrawals go by the same: 10,000 - 550
SELECT risk.withdraw(1, 9450.01, 94);
SELECT risk.withdraw(1, 9450, 94);
-- with a leverage of 5: 0.2 + 0.8 / 2
SELECT risk.deposit(1, 1000, 94);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (94, 1, 9401, 5);
-- another book has an open interest of its own
SELECT pg_temp.trade(1, 2, 10, 95);
SELECT * FROM margin;
-- above hi it is all of it; no equity is lost by that, but nothing leaves
SELECT pg_temp.trade(4, 3, 20);
SELECT pg_temp.trade(3, 4, 60);
SELECT * FROM margin;
SELECT pg_temp.trade(4, 3, 60);

-- 3. Scaling, as formulas

-- 1.3 steps of 0.1 up; between 1 and 3
SELECT v, risk.volatility_scale(v, 0.001, 1, 3, 0.1) AS scale
  FROM unnest('{0,0.0009,0.001,0.00101,0.00125,0.0013,0.0029,0.00301,1}'::numeric[]) v;
SELECT risk.volatility_scale(0.0005, 0.001, 0.5, 3, 0.25) AS below_one, risk.volatility_scale(0, 0.001, 0.5, 3, 0.25) AS lowest;
-- 1 % at 2x; never above the initial rate (50x: 2 %, 125x: 0.8 %), nor 95 %
SELECT risk.scaled_rate(0.01, 2, 10) AS doubled, risk.scaled_rate(0.01, 3, 50) AS initial, risk.scaled_rate(0.004, 3, 125) AS initial_125,
	   risk.scaled_rate(0.005, 100, 3) AS third, risk.scaled_rate(0.5, 3, 1) AS highest, risk.scaled_rate(0.01, 0.5, 10) AS halved;
-- stated above its own bound: it stays, and can be scaled down
SELECT risk.scaled_rate(0.05, 2, 50) AS stays, risk.scaled_rate(0.05, 0.5, 50) AS down, risk.scaled_rate(0.97, 2, 1) AS above_95, risk.scaled_rate(0, 3, 1) AS none;
\set VERBOSITY sqlstate
SELECT risk.volatility_scale(-1, 0.001, 1, 3, 0.1);
SELECT risk.volatility_scale(1, 0, 1, 3, 0.1);
SELECT risk.volatility_scale(1, 0.001, 3, 1, 0.1);
SELECT risk.volatility_scale(1, 0.001, 1, 3, 0);
SELECT risk.volatility_scale('NaN', 0.001, 1, 3, 0.1);
SELECT risk.scaled_rate(1, 1, 1);
SELECT risk.scaled_rate(0.5, 0, 1);
SELECT risk.scaled_rate(0.5, 1, 0.5);
\set VERBOSITY default

-- 4. Volatility from the history: 100, 120, 90 at three minutes, and what is in between does not count

SELECT result FROM risk.set_mark_prices('{9402}', '{100}', '2024-01-01 00:00:00Z');
SELECT result FROM risk.set_mark_prices('{9402}', '{170}', '2024-01-01 00:00:30Z');
SELECT result FROM risk.set_mark_prices('{9402}', '{120}', '2024-01-01 00:01:00Z');
SELECT result FROM risk.set_mark_prices('{9402}', '{90}', '2024-01-01 00:01:59Z');
-- one return: 0.25; two: sqrt((0.25^2 + 0.5 * 0.2^2) / 1.5), or sqrt((0.25^2 + 0.2^2) / 2)
SELECT risk.realized_volatility(9402, '2024-01-01 00:02:00Z', '1 minute', 1, 0.5) AS one,
	   risk.realized_volatility(9402, '2024-01-01 00:02:00Z', '1 minute', 2, 0.5) AS two,
	   risk.realized_volatility(9402, '2024-01-01 00:02:00Z', '1 minute', 2, 1) AS alike,
	   risk.realized_volatility(9402, '2024-01-01 00:02:00Z', '1 minute', 500, 0.5) AS no_more_history,
	   risk.realized_volatility(9402, '2024-01-01 00:01:00Z', '1 minute', 60, 0.5) AS a_minute_before,
	   risk.realized_volatility(9402, '2024-01-01 00:00:30Z', '1 minute', 60, 0.5) IS NULL AS too_early;
-- nothing moves for two minutes
SELECT risk.realized_volatility(9402, '2024-01-01 00:04:00Z', '1 minute', 2, 0.94) AS quiet;
\set VERBOSITY sqlstate
SELECT risk.realized_volatility(9402, now(), '0', 2, 0.94);
SELECT risk.realized_volatility(9402, now(), '1 minute', 0, 0.94);
SELECT risk.realized_volatility(9402, now(), '1 minute', 2, 0);
SELECT risk.realized_volatility(9402, now(), '1 minute', 2, 'NaN');
SELECT risk.realized_volatility(9402, 'infinity', '1 minute', 2, 0.94);
\set VERBOSITY default

-- 5. The rates follow, from the next mark on

INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage)
VALUES (9402, 0, 0.01, 50), (9402, 1000, 0.02, 25), (9402, 5000, 0.05, 10);
CREATE TEMP VIEW tiers AS
SELECT notional_floor, notional_cap, stated_rate, margin_scale, maintenance_rate, maintenance_deduction, max_leverage
  FROM ledger.risk_limit WHERE instrument_id = 9402 ORDER BY notional_floor;
CREATE TEMP VIEW maintenance AS
SELECT account_id, v.notional, v.maintenance_margin, v.initial_margin, round(r.liquidation_price, 6) AS liquidation_price
  FROM ledger.position_value v JOIN ledger.position_risk r USING (book_id, account_id, instrument_id)
 WHERE v.book_id = 94 AND v.instrument_id = 9402 ORDER BY account_id;
SELECT pg_temp.trade(3, 4, 20, 94, 9402);
SELECT * FROM tiers;
SELECT * FROM maintenance;
-- nothing is configured, nothing happens
SELECT * FROM risk.update_volatility(9402);
INSERT INTO ledger.dynamic_margin (instrument_id, samples, lambda, reference_volatility, max_scale) VALUES (9402, 1, 1, 0.1, 2);
-- up to the mark of 00:01:59: 120 at 00:00:59 it was not yet, 170 it was: 90 / 170 - 1
SELECT instrument, volatility, scale, result FROM risk.update_volatility(9402);
SELECT * FROM risk.update_volatility(9402) WHERE result <> 'unchanged';
-- the mark in force keeps its rates
SELECT * FROM tiers;
SELECT * FROM maintenance;
-- the next one has the new ones: 2 % (its bound, too), 4 %, 10 %; deductions 20 and 320
UPDATE ledger.mark_price SET price = 90.0001 WHERE instrument_id = 9402;
UPDATE ledger.mark_price SET price = 90 WHERE instrument_id = 9402;
SELECT * FROM tiers;
SELECT * FROM maintenance;

-- a tick that is late by its own clock is judged by what held at its time: none is in force before the mark
SELECT result FROM risk.set_mark_prices('{9402}', '{91}', '2024-01-02 00:00:00Z');
SELECT DISTINCT margin_scale FROM tiers;

-- with notice: known at once, in force later
UPDATE ledger.dynamic_margin SET max_scale = 1.5, min_scale = 1.5, notice = '1 hour' WHERE instrument_id = 9402;
SELECT instrument, scale, effective_at > now() + interval '59 minutes' AS later, result FROM risk.update_volatility(9402);
UPDATE ledger.mark_price SET price = 92 WHERE instrument_id = 9402;
SELECT DISTINCT margin_scale FROM tiers;
SELECT instrument, scale, result FROM risk.update_volatility(9402);

-- switched off: back to the rates as stated, after what is to come before it
DELETE FROM ledger.dynamic_margin WHERE instrument_id = 9402;
SELECT instrument, volatility, scale, effective_at > now() + interval '59 minutes' AS later, result FROM risk.update_volatility();
SELECT instrument, volatility, scale, result FROM risk.update_volatility();
SELECT scale, volatility IS NOT NULL AS measured, reference_volatility, min_scale, max_scale, step, who = session_user AS who
  FROM ledger.margin_scale WHERE instrument_id = 9402 ORDER BY effective_at;

-- 6. By hand, without a mark, without a history

INSERT INTO ledger.dynamic_margin (instrument_id, reference_volatility) VALUES (9403, 0.001);
SELECT * FROM risk.update_volatility(9403);
INSERT INTO ledger.mark_price VALUES (9403, 10);
SELECT * FROM risk.update_volatility(9403);
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (9403, 0.01, 10);
INSERT INTO ledger.margin_scale (instrument_id, scale) VALUES (9403, 2);
SELECT maintenance_rate FROM ledger.risk_limit WHERE instrument_id = 9403;
UPDATE ledger.mark_price SET price = 11 WHERE instrument_id = 9403;
SELECT maintenance_rate FROM ledger.risk_limit WHERE instrument_id = 9403;
\set VERBOSITY sqlstate
INSERT INTO ledger.margin_scale (instrument_id, scale, effective_at)
SELECT instrument_id, 3, observed_at FROM ledger.mark_price WHERE instrument_id = 9403;
INSERT INTO ledger.margin_scale (instrument_id, scale, effective_at) VALUES (9403, 3, '2024-01-01');
INSERT INTO ledger.margin_scale (instrument_id, scale, effective_at) VALUES (9403, 3, 'infinity');
INSERT INTO ledger.margin_scale (instrument_id, scale) VALUES (9403, 0);
INSERT INTO ledger.margin_scale (instrument_id, scale) VALUES (9403, 'NaN');
INSERT INTO ledger.margin_scale (instrument_id, scale) VALUES (9499, 1);
UPDATE ledger.margin_scale SET scale = 5;
DELETE FROM ledger.margin_scale;
TRUNCATE ledger.margin_scale;
SELECT * FROM risk.update_volatility(9499);
INSERT INTO ledger.dynamic_margin (instrument_id, reference_volatility) VALUES (9402, 0);
INSERT INTO ledger.dynamic_margin (instrument_id, reference_volatility, min_scale, max_scale) VALUES (9402, 1, 3, 2);
INSERT INTO ledger.dynamic_margin (instrument_id, reference_volatility, lambda) VALUES (9402, 1, 'NaN');
INSERT INTO ledger.dynamic_margin (instrument_id, reference_volatility, samples) VALUES (9402, 1, 0);
INSERT INTO ledger.dynamic_margin (instrument_id, reference_volatility, sample_interval) VALUES (9402, 1, '0');
\set VERBOSITY default

-- 7. Continuous where tiers meet, at every scale

SELECT count(*) AS floors, count(*) FILTER (WHERE abs(below - above) > 1e-12) AS steps
  FROM (SELECT f, f * lag(r) OVER w - lag(d) OVER w AS below, f * r - d AS above
		  FROM (SELECT s, f, r, sum(f * (r - coalesce(p, 0))) OVER (PARTITION BY s ORDER BY f) AS d
				  FROM (SELECT s, t.notional_floor AS f, risk.scaled_rate(t.maintenance_rate, s, t.max_leverage) AS r,
							   lag(risk.scaled_rate(t.maintenance_rate, s, t.max_leverage))
									OVER (PARTITION BY s ORDER BY t.notional_floor) AS p
						  FROM ledger.margin_tier t, generate_series(0.5, 5, 0.1) s WHERE t.instrument_id = 9402) a) b
		WINDOW w AS (PARTITION BY s ORDER BY f)) c
 WHERE below IS NOT NULL;

-- 8. verify() finds a scale that its own figures do not give

SELECT * FROM risk.verify() WHERE violations > 0;
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO ledger.margin_scale (instrument_id, effective_at, scale, volatility, reference_volatility, min_scale, max_scale, step)
VALUES (9403, '2030-01-01Z', 1.2, 0.0011, 0.001, 1, 3, 0.1);
SELECT * FROM risk.verify() WHERE violations > 0;
ROLLBACK;
DELETE FROM ledger.dynamic_margin;
SELECT * FROM risk.verify() WHERE violations > 0;
