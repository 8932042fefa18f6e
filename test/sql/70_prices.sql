-- Mark prices: judged by triggers whatever writes them, moved in sets by a function.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
SELECT 7000 + n, format('instrument %s of 70', n), 'USDT' FROM generate_series(1, 5) AS n;
CREATE TEMP VIEW mark AS SELECT instrument_id, price FROM ledger.mark_price WHERE instrument_id BETWEEN 7001 AND 7099 ORDER BY instrument_id;
CREATE TEMP VIEW history AS
SELECT instrument_id, price, row_number() OVER (PARTITION BY instrument_id ORDER BY observed_at) AS place
  FROM ledger.mark_price_history WHERE instrument_id BETWEEN 7001 AND 7099 ORDER BY instrument_id, observed_at;
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- 1. One row for each instrument; the history has them all

INSERT INTO ledger.mark_price VALUES (7001, 100, '2020-01-01 00:00 UTC');
UPDATE ledger.mark_price SET price = 101, observed_at = '2020-01-01 00:01 UTC' WHERE instrument_id = 7001;
INSERT INTO ledger.mark_price VALUES (7001, 102, '2020-01-01 00:02 UTC')
ON CONFLICT (instrument_id) DO UPDATE SET price = excluded.price, observed_at = excluded.observed_at;
SELECT * FROM mark;
SELECT * FROM history;
-- older than the mark: history only
UPDATE ledger.mark_price SET price = 99, observed_at = '2020-01-01 00:00:30 UTC' WHERE instrument_id = 7001;
INSERT INTO ledger.mark_price VALUES (7001, 98, '2020-01-01 00:00:20 UTC')
ON CONFLICT (instrument_id) DO UPDATE SET price = excluded.price, observed_at = excluded.observed_at;
SELECT * FROM mark;
SELECT * FROM history;
-- a price without a time of its own is of now
UPDATE ledger.mark_price SET price = 103 WHERE instrument_id = 7001;
SELECT price, observed_at > now() - interval '1 hour' AS of_now FROM ledger.mark_price WHERE instrument_id = 7001;
UPDATE ledger.mark_price SET price = 104 WHERE instrument_id = 7001;
UPDATE ledger.mark_price SET price = 105 WHERE instrument_id = 7001;
SELECT * FROM history;
-- nothing new is nothing new
UPDATE ledger.mark_price SET price = price WHERE instrument_id = 7001;
SELECT count(*) FROM history;
COPY ledger.mark_price (instrument_id, price) FROM stdin;
7002	50
7003	60
\.
SELECT * FROM mark;

-- 2. What is refused, whatever writes it

SELECT v.what, v.where_from, pg_temp.attempt(format(v.statement, v.value)) AS outcome
  FROM (SELECT n, what, value, w.where_from, w.statement, w.m
		  FROM (VALUES (1, 'zero', '0'), (2, 'below zero', '-1'), (3, 'NaN', '''NaN'''), (4, 'infinite', '''Infinity'''),
					   (5, 'NULL', 'NULL'), (6, 'too many digits', '1.0000000000000000001'), (7, 'too large', '1e20')) AS t(n, what, value),
			   (VALUES (1, 'insert', 'INSERT INTO ledger.mark_price VALUES (7004, %s)'),
					   (2, 'update', 'UPDATE ledger.mark_price SET price = %s WHERE instrument_id = 7001')) AS w(m, where_from, statement)) v
 ORDER BY v.n, v.m;
SELECT left(pg_temp.attempt(format('UPDATE ledger.mark_price SET observed_at = %s WHERE instrument_id = 7001', t)), 5) AS outcome, t
  FROM unnest(ARRAY['''infinity''', '''-infinity''', 'NULL', 'clock_timestamp() + interval ''1 minute''', 'clock_timestamp() + interval ''5 seconds''']) WITH ORDINALITY AS u(t, n)
 ORDER BY n;
INSERT INTO ledger.mark_price VALUES (7099, 1);
INSERT INTO ledger.mark_price VALUES (NULL, 1);
UPDATE ledger.mark_price SET instrument_id = 7005 WHERE instrument_id = 7001;
INSERT INTO ledger.mark_price VALUES (7001, 1);
SELECT * FROM mark;
-- as many digits as there may be
SELECT pg_temp.attempt('INSERT INTO ledger.mark_price VALUES (7004, 99999999999999999999.999999999999999999)') AS large,
	   pg_temp.attempt('INSERT INTO ledger.mark_price VALUES (7005, 0.000000000000000001000)') AS small;
SELECT * FROM mark WHERE instrument_id IN (7004, 7005);

-- 3. A set of ticks: each is judged by itself, the answers in the order given

SELECT * FROM risk.set_mark_prices(ARRAY[7003, 7099, 7001, 7002, NULL, 7002, 7001, 7003],
								   ARRAY[61, 1, 'NaN'::numeric, 51, 1, 52, NULL, -1]);
SELECT * FROM mark WHERE instrument_id <= 7003;
-- older, future, and now again
SELECT * FROM risk.set_mark_prices(ARRAY[7002, 7003], ARRAY[1, 2], '2020-01-01 UTC');
SELECT * FROM risk.set_mark_prices(ARRAY[7002, 7003], ARRAY[3, 4], clock_timestamp() + interval '1 hour');
SELECT * FROM risk.set_mark_prices(ARRAY[7002, 7003], ARRAY[53, 62]);
SELECT * FROM mark WHERE instrument_id IN (7002, 7003);
SELECT * FROM history WHERE instrument_id IN (7002, 7003);
-- the same moment twice: the later call holds, and both are on record
SELECT * FROM risk.set_mark_prices(ARRAY[7004], ARRAY[10], '2100-01-01 UTC');
DELETE FROM ledger.mark_price WHERE instrument_id IN (7004, 7005);
SELECT * FROM risk.set_mark_prices(ARRAY[7004], ARRAY[10], '2021-01-01 UTC');
SELECT * FROM risk.set_mark_prices(ARRAY[7004], ARRAY[11], '2021-01-01 UTC');
SELECT * FROM risk.set_mark_prices(ARRAY[7004], ARRAY[11], '2021-01-01 UTC');
SELECT * FROM mark WHERE instrument_id = 7004;
SELECT * FROM history WHERE instrument_id = 7004;
-- a digit too many does not stop its neighbour
SELECT * FROM risk.set_mark_prices(ARRAY[7002, 7003], ARRAY[1.0000000000000000001, 63]);
-- nothing, and what cannot be read
SELECT * FROM risk.set_mark_prices('{}', '{}');
SELECT * FROM risk.set_mark_prices(ARRAY[7002], ARRAY[1, 2]);
SELECT * FROM risk.set_mark_prices(NULL, ARRAY[1]);
SELECT * FROM risk.set_mark_prices(ARRAY[7002], ARRAY[1], NULL);
SELECT * FROM risk.set_mark_prices(ARRAY[7002], ARRAY[1], '-infinity');
SELECT * FROM risk.set_mark_prices(ARRAY[7002], ARRAY[1], 'infinity');

SELECT * FROM risk.verify() WHERE violations > 0;
