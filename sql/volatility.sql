-- volatility.sql
--		Maintenance rates that follow the volatility of the mark price.
--
-- What is measured becomes a row of ledger.margin_scale that says from when on
-- it holds; ledger.risk_limit applies the row that held at the time of the
-- mark.  The mark is locked while a row is made, and the row takes effect
-- after it: a mark that anybody has been judged by keeps its rates.

CREATE FUNCTION risk.realized_volatility(
	instrument_id int,
	until timestamptz,
	sample_interval interval,
	samples int,
	lambda numeric)
RETURNS numeric
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	variance numeric;
BEGIN
	IF (sample_interval > interval '0') IS NOT TRUE OR samples NOT BETWEEN 1 AND 10000
		OR (lambda > 0 AND lambda <= 1) IS NOT TRUE OR NOT isfinite(until) THEN
		RAISE EXCEPTION 'volatility of instrument % cannot be measured that way', instrument_id
			USING ERRCODE = '22023',
				  DETAIL = format('Asked for are %s samples of %s until %s, lambda %s.', samples, sample_interval, until, lambda),
				  HINT = 'There are 1 to 10000 samples, the interval is above zero, and lambda is above 0 and at most 1.';
	END IF;

	SELECT sum(w.weight * w.change * w.change) / nullif(sum(w.weight), 0) INTO variance
	  FROM (SELECT round(power(lambda, p.place::numeric), 24) AS weight,
				   p.price / lead(p.price) OVER (ORDER BY p.place) - 1 AS change
			  FROM (SELECT g.place, h.price
					  FROM generate_series(0, samples) AS g(place)
					 CROSS JOIN LATERAL (
						SELECT h.price FROM ledger.mark_price_history h
						 WHERE h.instrument_id = realized_volatility.instrument_id
						   AND h.observed_at <= until - g.place * sample_interval
						 ORDER BY h.observed_at DESC
						 LIMIT 1) h) p) w
	 WHERE w.change IS NOT NULL;
	RETURN trim_scale(round(sqrt(variance), 12));
END
$function$;
COMMENT ON FUNCTION risk.realized_volatility(int, timestamptz, interval, int, numeric) IS
	'The volatility of a mark price over one interval, measured from its history: the root of the weighted mean of the squared returns. Return k (k = 0 is the latest) is P(until - k * sample_interval) / P(until - (k + 1) * sample_interval) - 1, P(t) being the last price observed at t or before, and weighs lambda ^ k; there are samples of them, or as many as the history has. 12 decimals. NULL when the history has none, and for NULL in any argument. Needs SELECT on ledger.mark_price_history. Errors: 22023 unless sample_interval > 0, 1 <= samples <= 10000, 0 < lambda <= 1';

CREATE FUNCTION risk.check_margin_scale() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF TG_WHEN <> 'BEFORE' OR TG_LEVEL <> 'ROW' OR TG_OP <> 'INSERT' THEN
		RAISE EXCEPTION 'trigger % must fire before an insert, for each row', TG_NAME
			USING ERRCODE = '39P01', HINT = 'Run SELECT risk.install().';
	END IF;

	-- no tick moves the mark until the row is committed
	SELECT m.observed_at INTO NEW.observed_at
	  FROM ledger.mark_price m
	 WHERE m.instrument_id = NEW.instrument_id
	   FOR NO KEY UPDATE;
	NEW.computed_at := clock_timestamp();
	NEW.effective_at := coalesce(NEW.effective_at,
								 greatest(NEW.computed_at, NEW.observed_at + interval '1 microsecond'));
	IF NEW.effective_at <= NEW.observed_at OR NEW.effective_at < now() AND NEW.observed_at IS NULL
		OR NOT isfinite(NEW.effective_at) THEN
		RAISE EXCEPTION 'margin scale of instrument % cannot take effect at %', NEW.instrument_id, NEW.effective_at
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = 'margin_scale', COLUMN = 'effective_at',
				  DETAIL = format('It is %s now, and the mark in force was observed at %s.',
								  NEW.computed_at, coalesce(NEW.observed_at::text, 'no time')),
				  HINT = 'Positions are never judged again by other rates; leave effective_at out for a scale that takes effect now.';
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_margin_scale() IS
	'Locks the mark price, notes its time, and raises 22023 for a scale that would take effect before it or, without a mark, in the past. Without an effective_at: now, or right after the mark.';

CREATE FUNCTION risk.update_volatility(instrument_id int DEFAULT NULL)
RETURNS TABLE (instrument int, volatility numeric, scale numeric, effective_at timestamptz, result text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	parameters record;
	mark record;
	last record;
BEGIN
	IF update_volatility.instrument_id IS NOT NULL
		AND NOT EXISTS (SELECT FROM ledger.instrument i WHERE i.instrument_id = update_volatility.instrument_id) THEN
		RAISE EXCEPTION 'unknown instrument %', update_volatility.instrument_id
			USING ERRCODE = '23503', HINT = 'Insert it into ledger.instrument first.';
	END IF;

	-- in ascending order, as set_mark_prices() locks them
	FOR instrument IN
		SELECT i.instrument_id
		  FROM ledger.instrument i
		 WHERE (update_volatility.instrument_id IS NULL OR i.instrument_id = update_volatility.instrument_id)
		   AND (EXISTS (SELECT FROM ledger.dynamic_margin d WHERE d.instrument_id = i.instrument_id)
				OR EXISTS (SELECT FROM ledger.margin_scale s WHERE s.instrument_id = i.instrument_id))
		 ORDER BY i.instrument_id
	LOOP
		SELECT m.observed_at INTO mark
		  FROM ledger.mark_price m
		 WHERE m.instrument_id = update_volatility.instrument
		   FOR NO KEY UPDATE;
		SELECT d.* INTO parameters
		  FROM ledger.dynamic_margin d
		 WHERE d.instrument_id = update_volatility.instrument;
		SELECT s.scale, s.effective_at INTO last
		  FROM ledger.margin_scale s
		 WHERE s.instrument_id = update_volatility.instrument
		 ORDER BY s.effective_at DESC
		 LIMIT 1;

		volatility := NULL;
		scale := coalesce(last.scale, 1);
		effective_at := last.effective_at;
		IF parameters.instrument_id IS NULL THEN
			scale := 1;
		ELSIF mark.observed_at IS NOT NULL THEN
			volatility := risk.realized_volatility(instrument, mark.observed_at, parameters.sample_interval,
												   parameters.samples, parameters.lambda);
			scale := coalesce(risk.volatility_scale(volatility, parameters.reference_volatility, parameters.min_scale,
													parameters.max_scale, parameters.step), scale);
		END IF;

		IF scale <> coalesce(last.scale, 1) THEN
			effective_at := greatest(clock_timestamp() + coalesce(parameters.notice, interval '0'),
									 mark.observed_at + interval '1 microsecond',
									 last.effective_at + interval '1 microsecond');
			INSERT INTO ledger.margin_scale (instrument_id, effective_at, scale, volatility, reference_volatility,
											 min_scale, max_scale, step)
			VALUES (instrument, update_volatility.effective_at, update_volatility.scale, update_volatility.volatility,
					parameters.reference_volatility, parameters.min_scale, parameters.max_scale, parameters.step);
			result := 'changed';
		ELSIF parameters.instrument_id IS NOT NULL AND volatility IS NULL THEN
			result := 'no history';
		ELSE
			result := 'unchanged';
		END IF;
		RETURN NEXT;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.update_volatility(int) IS
	'Measures the volatility of an instrument, or of all in ledger.dynamic_margin, up to the mark in force, and records the scale of their maintenance rates when it changes. Returns what was measured, the scale that holds last, from when on, and: changed, unchanged, or no history (the scale stays). An instrument that was taken out of ledger.dynamic_margin goes back to 1. To be called every so often; holds up the ticks of these instruments until the transaction ends. 23503 for an unknown instrument.';

REVOKE ALL ON FUNCTION risk.check_margin_scale(), risk.update_volatility(int) FROM PUBLIC;
