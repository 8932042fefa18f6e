-- prices.sql
--		How a mark price is judged, kept and moved.
--
-- The triggers judge every tick alike, whatever wrote it; set_mark_prices()
-- judges beforehand only so that a bad tick does not stop its neighbours.

CREATE FUNCTION risk.mark_price_skew() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT interval '10 seconds' $function$;
COMMENT ON FUNCTION risk.mark_price_skew() IS
	'How far the clock of a price feed may be ahead of the server''s. A tick observed later than that is refused.';

CREATE FUNCTION risk.is_price(price numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT coalesce(price > 0 AND price < 1e20 AND scale(trim_scale(price)) <= 18, false)
$function$;
COMMENT ON FUNCTION risk.is_price(numeric) IS
	'Whether a number can be a mark price: above zero, at most 20 digits before the point and 18 after it, as in a trade. False for NULL.';

CREATE FUNCTION risk.judge_tick(
	table_name text, what text, price numeric, observed_at timestamptz,
	last_price numeric, last_observed_at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF NOT risk.is_price(price) THEN
		RAISE EXCEPTION '% must be greater than zero and have at most 20 digits before the point and 18 after it', what
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = table_name, COLUMN = 'price',
				  DETAIL = format('The price given is %s.', coalesce(price::text, 'NULL')),
				  HINT = 'A tick without a price is left out; the last one stays in force.';
	END IF;

	-- A new price without a time of its own was observed now, and in any case
	-- after the last one: the history has one price for each time.
	IF observed_at = last_observed_at AND price <> last_price THEN
		RETURN greatest(clock_timestamp(), last_observed_at + interval '1 microsecond');
	END IF;
	IF (observed_at > '-infinity'
		AND observed_at <= clock_timestamp() + risk.mark_price_skew()) IS NOT TRUE THEN
		RAISE EXCEPTION '% cannot be observed at %', what, coalesce(observed_at::text, 'NULL')
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = table_name, COLUMN = 'observed_at',
				  DETAIL = format('The clock of the server shows %s, and a feed may be ahead by %s.',
								  clock_timestamp(), risk.mark_price_skew()),
				  HINT = 'Compare the clock of the price feed, and the time zone of what it sends.';
	END IF;
	RETURN observed_at;
END
$function$;
COMMENT ON FUNCTION risk.judge_tick(text, text, numeric, timestamptz, numeric, timestamptz) IS
	'The time at which a price was observed, judged with the price: 22023 for what is no price by risk.is_price() and for a time later than now plus risk.mark_price_skew(). A price that differs from the last one with its time is taken as observed now. Called by the triggers on mark_price and index_price.';

CREATE FUNCTION risk.check_mark_price() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF TG_WHEN <> 'BEFORE' OR TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') THEN
		RAISE EXCEPTION 'trigger % must fire before an insert or update, for each row', TG_NAME
			USING ERRCODE = '39P01', HINT = 'Run SELECT risk.install().';
	END IF;

	IF TG_OP = 'UPDATE' AND NEW.instrument_id IS DISTINCT FROM OLD.instrument_id THEN
		RAISE EXCEPTION 'the mark price of instrument % cannot become that of another', OLD.instrument_id
			USING ERRCODE = '55000',
				  DETAIL = format('The instrument asked for is %s.', coalesce(NEW.instrument_id::text, 'NULL')),
				  HINT = 'Insert a row for the other instrument.';
	END IF;
	IF NOT EXISTS (SELECT FROM ledger.instrument i WHERE i.instrument_id = NEW.instrument_id) THEN
		RAISE EXCEPTION 'unknown instrument %', coalesce(NEW.instrument_id::text, 'NULL')
			USING ERRCODE = '23503', SCHEMA = 'ledger', TABLE = 'mark_price', COLUMN = 'instrument_id',
				  DETAIL = format('A mark price of %s was given for it.', coalesce(NEW.price::text, 'NULL')),
				  HINT = 'Insert it into ledger.instrument first.';
	END IF;
	NEW.observed_at := risk.judge_tick('mark_price', format('mark price of instrument %s', NEW.instrument_id),
									   NEW.price, NEW.observed_at, OLD.price, OLD.observed_at);

	IF TG_OP = 'UPDATE' AND NEW.observed_at < OLD.observed_at THEN
		INSERT INTO ledger.mark_price_history (instrument_id, observed_at, price)
		VALUES (NEW.instrument_id, NEW.observed_at, NEW.price)
		ON CONFLICT (instrument_id, observed_at) DO NOTHING;
		RETURN NULL;
	END IF;
	IF TG_OP = 'UPDATE' AND NEW.price <> OLD.price THEN
		NEW.price := risk.band_tick(NEW.instrument_id, OLD.price, NEW.price, NEW.observed_at);
		IF NEW.price IS NULL THEN
			RETURN NULL;
		END IF;
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_mark_price() IS
	'Judges a mark price. Raises 22023 for what is no price by risk.is_price() and for a time later than now plus risk.mark_price_skew(), 23503 for an unknown instrument, 55000 for a change of instrument. A changed price with an unchanged time is taken as observed now. A tick older than the mark goes to the history only. One outside the band of the instrument is held, or moves the mark by one width, as ledger.price_band says.';

CREATE FUNCTION risk.keep_mark_price() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF TG_WHEN <> 'AFTER' OR TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') THEN
		RAISE EXCEPTION 'trigger % must fire after an insert or update, for each row', TG_NAME
			USING ERRCODE = '39P01', HINT = 'Run SELECT risk.install().';
	END IF;

	INSERT INTO ledger.mark_price_history (instrument_id, observed_at, price)
	VALUES (NEW.instrument_id, NEW.observed_at, NEW.price)
	ON CONFLICT (instrument_id, observed_at) DO NOTHING;
	PERFORM risk.wake_worker();
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION risk.keep_mark_price() IS
	'Appends a mark price that was accepted to ledger.mark_price_history.';

CREATE FUNCTION risk.set_mark_prices(
	instrument_ids int[],
	prices numeric[],
	observed_at timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (instrument_id int, price numeric, result text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	in_future boolean := set_mark_prices.observed_at > clock_timestamp() + risk.mark_price_skew();
BEGIN
	IF instrument_ids IS NULL OR prices IS NULL OR set_mark_prices.observed_at IS NULL THEN
		RAISE EXCEPTION 'instrument_ids, prices and observed_at must not be NULL'
			USING ERRCODE = '22023', HINT = 'Leave observed_at out when the prices were observed now.';
	END IF;
	IF cardinality(instrument_ids) <> cardinality(prices) THEN
		RAISE EXCEPTION 'instrument_ids and prices must have the same length'
			USING ERRCODE = '22023',
				  DETAIL = format('There are %s instruments and %s prices.',
								  cardinality(instrument_ids), cardinality(prices)),
				  HINT = 'Pass one price for each instrument, in the same order.';
	END IF;
	IF set_mark_prices.observed_at = '-infinity' THEN
		RAISE EXCEPTION 'observed_at must be a time' USING ERRCODE = '22023',
			DETAIL = 'The value given is -infinity.';
	END IF;

	RETURN QUERY
	WITH tick AS MATERIALIZED (
		SELECT t.place, t.id, t.price,
			   CASE WHEN i.instrument_id IS NULL THEN 'unknown instrument'
					WHEN NOT risk.is_price(t.price) THEN 'invalid price'
					WHEN in_future THEN 'future'
			   END AS refusal
		  FROM unnest(instrument_ids, prices) WITH ORDINALITY AS t (id, price, place)
		  LEFT JOIN ledger.instrument i ON i.instrument_id = t.id
	), latest AS MATERIALIZED (
		-- of two good ticks of one instrument, the later in the array
		SELECT max(t.place) AS place, t.id
		  FROM tick t
		 WHERE t.refusal IS NULL
		 GROUP BY t.id
	), moved AS (
		-- Rows are locked in the order of their instruments, so that two
		-- feeds cannot deadlock.  A row that the trigger sends to the history
		-- is not returned.
		INSERT INTO ledger.mark_price AS m (instrument_id, price, observed_at)
		SELECT t.id, t.price, set_mark_prices.observed_at
		  FROM latest l
		  JOIN tick t ON t.place = l.place
		 ORDER BY t.id
		ON CONFLICT (instrument_id) DO UPDATE
		   SET price = EXCLUDED.price,
			   -- Another price for the same moment: the one that came last
			   -- holds, next to the first in the history.
			   observed_at = EXCLUDED.observed_at
				+ CASE WHEN EXCLUDED.observed_at = m.observed_at AND EXCLUDED.price <> m.price
					   THEN interval '1 microsecond' ELSE interval '0' END
		RETURNING m.instrument_id
	)
	SELECT t.id, t.price,
		   coalesce(t.refusal,
					CASE WHEN t.place <> l.place THEN 'duplicate'
						 WHEN m.instrument_id IS NULL AND risk.tick_is_held(t.id, t.price, set_mark_prices.observed_at) THEN 'held'
						 WHEN m.instrument_id IS NULL THEN 'older'
						 ELSE 'moved' END)
	  FROM tick t
	  LEFT JOIN latest l ON l.id = t.id
	  LEFT JOIN moved m ON m.instrument_id = t.id
	 ORDER BY t.place;
END
$function$;
COMMENT ON FUNCTION risk.set_mark_prices(int[], numeric[], timestamptz) IS
	'Moves the mark prices of many instruments in one statement, and says for each, in the order given, what became of it: moved; older (than the mark in force: kept in the history only); held (outside the band of ledger.price_band, until other ticks confirm it); duplicate (a later good tick in the same call holds); future (observed later than now plus risk.mark_price_skew()); invalid price; unknown instrument. A bad tick never stops the others. Needs INSERT, UPDATE and SELECT on ledger.mark_price, SELECT on ledger.instrument and ledger.held_tick, and EXECUTE on risk.tick_is_held(). Errors: 22023 for arrays that are NULL or differ in length, and for a time that is NULL';

REVOKE ALL ON FUNCTION
	risk.judge_tick(text, text, numeric, timestamptz, numeric, timestamptz),
	risk.check_mark_price(), risk.keep_mark_price(),
	risk.set_mark_prices(int[], numeric[], timestamptz)
FROM PUBLIC;
