-- price_band.sql
--		Ticks that are too far from the mark to be believed at once.
--
-- A band that refuses such a tick would freeze the mark while the market goes
-- on without it.  So nothing is lost here: the tick is held until others
-- confirm it, or it moves the mark by one band.

CREATE FUNCTION risk.create_price_band_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.price_band (
		instrument_id int PRIMARY KEY REFERENCES ledger.instrument,
		width numeric NOT NULL CHECK (width > 0 AND width < 1 AND scale(width) <= 18),
		rule text NOT NULL DEFAULT 'confirm' CHECK (rule IN ('confirm', 'step')),
		confirmations int NOT NULL DEFAULT 2 CHECK (confirmations BETWEEN 1 AND 1000),
		confirmed_after interval NOT NULL DEFAULT '5 seconds'
			CHECK (confirmed_after BETWEEN interval '0' AND interval '30 days')
	);
	COMMENT ON TABLE ledger.price_band IS
		'Instruments whose ticks are compared with the mark before they count. A tick within the band moves the mark. One outside of it is held in ledger.held_tick (rule confirm), or moves the mark by one width towards it (rule step); either is an event. An instrument without a row takes every tick.';
	COMMENT ON COLUMN ledger.price_band.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.price_band.width IS 'How far a tick may be from the mark, as a part of it: 0.1 is 10 %.';
	COMMENT ON COLUMN ledger.price_band.rule IS 'confirm: a tick outside the band takes effect when others confirm it; step: it moves the mark by one width.';
	COMMENT ON COLUMN ledger.price_band.confirmations IS 'After how many further ticks outside the band on the same side the latest of them becomes the mark.';
	COMMENT ON COLUMN ledger.price_band.confirmed_after IS 'A held tick is confirmed as well when the market has been out on that side for so long, by the times of observation, or when nothing came after it for so long, by the clock, see risk.confirm_held_ticks().';

	CREATE TABLE IF NOT EXISTS ledger.held_tick (
		instrument_id int PRIMARY KEY REFERENCES ledger.instrument,
		price numeric NOT NULL,
		observed_at timestamptz NOT NULL,
		above boolean NOT NULL,
		first_observed_at timestamptz NOT NULL,
		held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		confirmations int NOT NULL DEFAULT 0
	);
	COMMENT ON TABLE ledger.held_tick IS
		'Ticks outside the band that are not the mark yet, the latest of each instrument. Written by the triggers on ledger.mark_price.';
	COMMENT ON COLUMN ledger.held_tick.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.held_tick.price IS 'The latest tick that is held.';
	COMMENT ON COLUMN ledger.held_tick.observed_at IS 'When that was observed.';
	COMMENT ON COLUMN ledger.held_tick.above IS 'Whether it is above the mark, or below it.';
	COMMENT ON COLUMN ledger.held_tick.first_observed_at IS 'When the first tick on that side was observed.';
	COMMENT ON COLUMN ledger.held_tick.held_at IS 'When the latest was held, by the clock of the server.';
	COMMENT ON COLUMN ledger.held_tick.confirmations IS 'How many ticks on that side came after the first.';
END
$function$;
COMMENT ON FUNCTION risk.create_price_band_tables() IS
	'Makes the tables of price bands. Called by risk.install().';

CREATE FUNCTION risk.tell_of_tick(instrument_id int, what text, mark numeric, price numeric, observed_at timestamptz) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	INSERT INTO ledger.event (book_id, kind, payload)
	SELECT b.book_id, 'price_band',
		   jsonb_build_object('instrument_id', $1, 'what', $2, 'mark_price', $3, 'price', $4, 'observed_at', $5)
	  FROM ledger.book b ORDER BY b.book_id
$function$;
COMMENT ON FUNCTION risk.tell_of_tick(int, text, numeric, numeric, timestamptz) IS
	'Records in every book, as an event of kind price_band, what became of a tick outside the band: held, confirmed, dropped or stepped.';

CREATE FUNCTION risk.band_tick(
	instrument_id int, mark numeric, price numeric, observed_at timestamptz)
RETURNS numeric
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	band ledger.price_band;
	held ledger.held_tick;
	is_above boolean := price > mark;
	stepped numeric;
BEGIN
	SELECT * INTO band FROM ledger.price_band b WHERE b.instrument_id = band_tick.instrument_id;
	IF NOT FOUND THEN
		RETURN price;
	END IF;
	IF abs(price - mark) <= mark * band.width THEN
		DELETE FROM ledger.held_tick h WHERE h.instrument_id = band_tick.instrument_id RETURNING * INTO held;
		IF FOUND THEN
			PERFORM risk.tell_of_tick(held.instrument_id, 'dropped', mark, held.price, held.observed_at);
		END IF;
		RETURN price;
	END IF;

	IF band.rule = 'step' THEN
		-- Rounded towards the mark: never more than one width.  A mark that has
		-- no digits left to go by takes the tick as it is.
		stepped := trim_scale(CASE WHEN is_above THEN trunc(mark * (1 + band.width), 18)
							  ELSE ceil(mark * (1 - band.width) * 1e18) / 1e18 END);
		IF stepped <> mark THEN
			PERFORM risk.tell_of_tick(band_tick.instrument_id, 'stepped', mark, price, observed_at);
			RETURN stepped;
		END IF;
		RETURN price;
	END IF;

	-- the row of the mark is locked, so nobody else is at this one
	SELECT * INTO held FROM ledger.held_tick h WHERE h.instrument_id = band_tick.instrument_id;
	IF held.above IS DISTINCT FROM is_above THEN
		DELETE FROM ledger.held_tick h WHERE h.instrument_id = band_tick.instrument_id;
		INSERT INTO ledger.held_tick (instrument_id, price, observed_at, above, first_observed_at)
		VALUES (band_tick.instrument_id, band_tick.price, band_tick.observed_at, is_above, band_tick.observed_at);
		PERFORM risk.tell_of_tick(band_tick.instrument_id, 'held', mark, price, observed_at);
		RETURN NULL;
	END IF;
	IF clock_timestamp() - held.held_at < band.confirmed_after AND observed_at <= held.observed_at THEN
		RETURN NULL;	-- the same again confirms nothing
	END IF;
	IF held.confirmations + 1 >= band.confirmations OR observed_at - held.first_observed_at >= band.confirmed_after
		OR clock_timestamp() - held.held_at >= band.confirmed_after THEN
		DELETE FROM ledger.held_tick h WHERE h.instrument_id = band_tick.instrument_id;
		PERFORM risk.tell_of_tick(band_tick.instrument_id, 'confirmed', mark, price, observed_at);
		RETURN price;
	END IF;
	UPDATE ledger.held_tick h
	   SET price = band_tick.price, observed_at = band_tick.observed_at, held_at = clock_timestamp(),
		   confirmations = h.confirmations + 1
	 WHERE h.instrument_id = band_tick.instrument_id;
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION risk.band_tick(int, numeric, numeric, timestamptz) IS
	'The price that a tick moves the mark to, by the band of its instrument: the tick itself when it is within the band or confirmed, the mark moved by one width under rule step (at most 18 digits after the point, rounded towards the old mark), or NULL when it is held. Called by the trigger on ledger.mark_price, which holds the lock on the mark.';

CREATE FUNCTION risk.tick_is_held(instrument_id int, price numeric, observed_at timestamptz) RETURNS boolean
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT EXISTS (SELECT FROM ledger.held_tick h
					WHERE h.instrument_id = $1 AND h.price = $2
					  AND h.observed_at BETWEEN $3 AND $3 + interval '1 microsecond')
$function$;
COMMENT ON FUNCTION risk.tick_is_held(int, numeric, timestamptz) IS
	'Whether the tick is the one that is held of its instrument. Sees what the running statement has done so far.';

CREATE FUNCTION risk.confirm_held_ticks() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	due record;
	confirmed int := 0;
BEGIN
	-- in the order in which feeds lock the marks
	FOR due IN
		SELECT h.instrument_id, h.price, h.observed_at
		  FROM ledger.held_tick h JOIN ledger.price_band b ON b.instrument_id = h.instrument_id
		 WHERE clock_timestamp() - h.held_at >= b.confirmed_after
		 ORDER BY h.instrument_id
	LOOP
		-- the trigger judges it again, behind the lock on the mark
		UPDATE ledger.mark_price m SET price = due.price, observed_at = due.observed_at
		 WHERE m.instrument_id = due.instrument_id AND m.observed_at <= due.observed_at;
		IF FOUND THEN
			confirmed := confirmed + 1;
		END IF;
	END LOOP;
	RETURN confirmed;
END
$function$;
COMMENT ON FUNCTION risk.confirm_held_ticks() IS
	'Makes held ticks the marks of their instruments after which nothing came for price_band.confirmed_after, by the clock, and returns how many. For a scheduler, and run by the worker.';

REVOKE ALL ON FUNCTION
	risk.create_price_band_tables(), risk.tell_of_tick(int, text, numeric, numeric, timestamptz),
	risk.band_tick(int, numeric, numeric, timestamptz), risk.tick_is_held(int, numeric, timestamptz), risk.confirm_held_ticks()
FROM PUBLIC;
