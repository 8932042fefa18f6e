-- Ticks that are too far from the mark: held until others confirm them, or
-- taken one band at a time.  Nothing is lost, and nothing freezes.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
SELECT 7100 + n, format('instrument %s of 71', n), 'USDT' FROM generate_series(1, 4) AS n;
INSERT INTO ledger.price_band (instrument_id, width) VALUES (7101, 0.1);
INSERT INTO ledger.price_band (instrument_id, width, rule) VALUES (7102, 0.1, 'step');
CREATE TEMP VIEW mark AS SELECT instrument_id, price FROM ledger.mark_price WHERE instrument_id BETWEEN 7101 AND 7199 ORDER BY instrument_id;
CREATE TEMP VIEW held AS SELECT instrument_id, price, above, confirmations FROM ledger.held_tick ORDER BY instrument_id;
CREATE TEMP VIEW told AS
SELECT row_number() OVER (ORDER BY event_id) AS place, payload->>'instrument_id' AS instrument_id, payload->>'what' AS what,
	   payload->>'mark_price' AS mark_price, payload->>'price' AS price
  FROM ledger.event WHERE kind = 'price_band' AND book_id = 1 AND (payload->>'instrument_id')::int BETWEEN 7101 AND 7199;
-- a tick every second of 2020-01-01
CREATE FUNCTION pg_temp.tick(instrument int, price numeric, second int) RETURNS text LANGUAGE sql AS $$
	SELECT result FROM risk.set_mark_prices(ARRAY[instrument], ARRAY[price], timestamptz '2020-01-01 UTC' + make_interval(secs => second))
$$;

-- 1. Confirmed by two more on the same side

SELECT pg_temp.tick(7101, 100, 0), pg_temp.tick(7101, 110, 1) AS at_the_edge, pg_temp.tick(7101, 121.01, 2) AS beyond;
SELECT * FROM mark;
SELECT * FROM held;
-- the same tick again confirms nothing, another one does, whatever it is
SELECT pg_temp.tick(7101, 121.01, 2) AS again, pg_temp.tick(7101, 150, 3) AS first_more;
SELECT * FROM held;
SELECT pg_temp.tick(7101, 140, 4) AS second_more;
SELECT * FROM mark;
SELECT * FROM held;

-- 2. A misprint: the next tick is where the market was

SELECT pg_temp.tick(7101, 1, 5) AS misprint, pg_temp.tick(7101, 141, 6) AS next;
SELECT * FROM mark;
SELECT * FROM held;
-- out on the other side begins anew
SELECT pg_temp.tick(7101, 100, 7) AS below, pg_temp.tick(7101, 200, 8) AS above;
SELECT * FROM held;

-- 3. Confirmed by the time that the market has been out

SELECT pg_temp.tick(7101, 201, 13) AS five_seconds_later;
SELECT * FROM mark;
SELECT * FROM told;
-- or by the time in which nothing came after it
SELECT pg_temp.tick(7101, 300, 14) AS alone, risk.confirm_held_ticks() AS too_early;
UPDATE ledger.price_band SET confirmed_after = '0' WHERE instrument_id = 7101;
SELECT risk.confirm_held_ticks();
SELECT * FROM mark;
SELECT * FROM held;
UPDATE ledger.price_band SET confirmed_after = '5 seconds' WHERE instrument_id = 7101;

-- 4. A plain UPDATE, an upsert, COPY: the same

UPDATE ledger.mark_price SET price = 400, observed_at = '2020-01-01 00:01 UTC' WHERE instrument_id = 7101;
INSERT INTO ledger.mark_price VALUES (7101, 401, '2020-01-01 00:01:01 UTC')
ON CONFLICT (instrument_id) DO UPDATE SET price = excluded.price, observed_at = excluded.observed_at;
SELECT * FROM held;
UPDATE ledger.mark_price SET price = 402, observed_at = '2020-01-01 00:01:02 UTC' WHERE instrument_id = 7101;
SELECT * FROM mark;
-- what was held and never the mark is not in the history
SELECT price FROM ledger.mark_price_history WHERE instrument_id = 7101 ORDER BY observed_at;

-- 5. By steps: one width for each tick, rounded towards the mark

SELECT pg_temp.tick(7102, 0.000000000000000333, 0), pg_temp.tick(7102, 1, 1);
SELECT * FROM mark WHERE instrument_id = 7102;
SELECT pg_temp.tick(7102, 100, 2);
SELECT * FROM mark WHERE instrument_id = 7102;
UPDATE ledger.price_band SET width = 0.5 WHERE instrument_id = 7102;
-- from 402 up: 603, and 904 of 904.5; down: 452, 226, 113, and 57 of 56.5
SELECT pg_temp.tick(7102, 100, 3);
SELECT * FROM mark WHERE instrument_id = 7102;
SELECT pg_temp.tick(7102, 100, 4);
SELECT * FROM mark WHERE instrument_id = 7102;
SELECT pg_temp.tick(7102, 0.000000000000000001, n) FROM generate_series(5, 8) n;
SELECT * FROM mark WHERE instrument_id = 7102;

-- 6. A crash as LUNA's in May 2022, a factor of 0.8 each minute: never more than two ticks behind

INSERT INTO ledger.price_band (instrument_id, width, confirmed_after) VALUES (7103, 0.1, '1 hour');
SELECT pg_temp.tick(7103, 68.5, 0);
WITH crash AS MATERIALIZED (
	SELECT n, trim_scale(round(68.5 * 0.8 ^ n, 12)) AS price FROM generate_series(1, 60) n
), answer AS MATERIALIZED (
	SELECT n, price, pg_temp.tick(7103, price, n * 60) AS result FROM crash ORDER BY n
)
SELECT count(*) AS ticks, count(*) FILTER (WHERE result = 'moved') AS moved, count(*) FILTER (WHERE result = 'held') AS held FROM answer;
SELECT m.price, trim_scale(round(68.5 * 0.8 ^ 60, 12)) AS market FROM mark m WHERE instrument_id = 7103;

-- 7. What cannot be

INSERT INTO ledger.price_band (instrument_id, width) VALUES (7104, 0);
INSERT INTO ledger.price_band (instrument_id, width, rule) VALUES (7104, 0.1, 'refuse');
INSERT INTO ledger.price_band (instrument_id, width, confirmations) VALUES (7104, 0.1, 0);
