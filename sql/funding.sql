-- funding.sql
--		Fundings: what longs and shorts pay each other for holding a position.
--
-- A row of ledger.funding posts one; pay_funding() writes the rows.  What each
-- position pays is computed in C, by the formula of margin.c.

CREATE FUNCTION risk.post_fundings() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_post_fundings';
COMMENT ON FUNCTION risk.post_fundings() IS
	'Posts the rows that a statement inserted into ledger.funding: what each position that was held at funding_at pays or receives.';

CREATE FUNCTION risk.check_funding() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF TG_WHEN <> 'BEFORE' OR TG_LEVEL <> 'ROW' OR TG_OP <> 'INSERT' THEN
		RAISE EXCEPTION 'trigger % must fire before an insert, for each row', TG_NAME
			USING ERRCODE = '39P01', HINT = 'Run SELECT risk.install().';
	END IF;

	IF NOT EXISTS (SELECT FROM ledger.instrument i WHERE i.instrument_id = NEW.instrument_id) THEN
		RAISE EXCEPTION 'unknown instrument %', coalesce(NEW.instrument_id::text, 'NULL')
			USING ERRCODE = '23503', SCHEMA = 'ledger', TABLE = 'funding', COLUMN = 'instrument_id',
				  DETAIL = format('A funding at a rate of %s was given for it.', coalesce(NEW.rate::text, 'NULL')),
				  HINT = 'Insert it into ledger.instrument first.';
	END IF;
	IF (NEW.rate > -1 AND NEW.rate < 1 AND scale(trim_scale(NEW.rate)) <= 18) IS NOT TRUE THEN
		RAISE EXCEPTION 'funding rate of instrument % must be between -1 and 1 and have at most 18 digits after the point', NEW.instrument_id
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = 'funding', COLUMN = 'rate',
				  DETAIL = format('The rate given is %s.', coalesce(NEW.rate::text, 'NULL')),
				  HINT = 'It is a share of the notional: 0.0001 is one basis point.';
	END IF;
	IF (NEW.funding_at > '-infinity' AND NEW.funding_at <= clock_timestamp()) IS NOT TRUE THEN
		RAISE EXCEPTION 'instrument % cannot be funded at %', NEW.instrument_id, coalesce(NEW.funding_at::text, 'NULL')
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = 'funding', COLUMN = 'funding_at',
				  DETAIL = format('The clock of the server shows %s.', clock_timestamp()),
				  HINT = 'Positions are known up to now; post the funding when its time has come.';
	END IF;
	IF NEW.who IS DISTINCT FROM session_user THEN
		RAISE EXCEPTION '"%" is not who inserts the funding of instrument %', coalesce(NEW.who, 'NULL'), NEW.instrument_id
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = 'funding', COLUMN = 'who',
				  DETAIL = format('The session is that of "%s".', session_user),
				  HINT = 'Leave the column out.';
	END IF;
	IF NEW.mark_price IS NOT NULL OR NEW.mark_observed_at IS NOT NULL THEN
		RAISE EXCEPTION 'the mark price of a funding of instrument % cannot be given', NEW.instrument_id
			USING ERRCODE = '22023', SCHEMA = 'ledger', TABLE = 'funding', COLUMN = 'mark_price',
				  DETAIL = format('A mark of %s was given.', coalesce(NEW.mark_price::text, 'NULL')),
				  HINT = 'Leave it out: it is the one that ledger.mark_price_history has for that time.';
	END IF;

	NEW.posted_at := clock_timestamp();
	SELECT h.price, h.observed_at INTO NEW.mark_price, NEW.mark_observed_at
	  FROM ledger.mark_price_history h
	 WHERE h.instrument_id = NEW.instrument_id AND h.observed_at <= NEW.funding_at
	 ORDER BY h.observed_at DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'instrument % has no mark price at %', NEW.instrument_id, NEW.funding_at
			USING ERRCODE = '55000', SCHEMA = 'ledger', TABLE = 'funding', COLUMN = 'mark_price',
				  DETAIL = coalesce((SELECT format('The first was observed at %s.', min(h.observed_at))
									   FROM ledger.mark_price_history h
									  WHERE h.instrument_id = NEW.instrument_id
									 HAVING count(*) > 0), 'It never had one.'),
				  HINT = 'Pass the price of that time to risk.set_mark_prices() first; an older one than the mark in force goes to the history.';
	END IF;
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_funding() IS
	'Judges a funding and puts in the time of posting and the mark price that held at funding_at: the latest of ledger.mark_price_history that was observed then or before. Raises 22023 for a rate that is not between -1 and 1, for a time that is still to come, and for a mark or another user''s name that was given; 23503 for an unknown instrument; 55000 without a mark.';

CREATE FUNCTION risk.pay_funding(instrument_id int, rate numeric, at timestamptz, only_book int DEFAULT NULL)
RETURNS TABLE (book_id int, payers bigint, receivers bigint, paid numeric, received numeric, mark_price numeric)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	other record;
BEGIN
	IF only_book IS NOT NULL AND NOT EXISTS (SELECT FROM ledger.book b WHERE b.book_id = only_book) THEN
		RAISE EXCEPTION 'there is no book %', only_book
			USING ERRCODE = '23503', HINT = 'Make it with risk.create_book(), or leave only_book out for all books.';
	END IF;

	-- one statement: the traders of all books are locked in one sorted pass
	INSERT INTO ledger.funding (book_id, instrument_id, funding_at, rate)
	SELECT b.book_id, pay_funding.instrument_id, pay_funding.at, pay_funding.rate
	  FROM ledger.book b
	 WHERE only_book IS NULL OR b.book_id = only_book
	 ORDER BY b.book_id
	ON CONFLICT DO NOTHING;

	SELECT f.book_id, f.funding_id, f.rate INTO other
	  FROM ledger.funding f
	 WHERE f.instrument_id = pay_funding.instrument_id AND f.funding_at = pay_funding.at
	   AND (only_book IS NULL OR f.book_id = only_book) AND f.rate <> pay_funding.rate
	 ORDER BY f.book_id LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'instrument % has been funded at % with another rate', pay_funding.instrument_id, pay_funding.at
			USING ERRCODE = '23505', SCHEMA = 'ledger', TABLE = 'funding', CONSTRAINT = 'funding_pkey',
				  DETAIL = format('Funding %s of book %s was posted with a rate of %s; %s was asked for.',
								  other.funding_id, other.book_id, other.rate, pay_funding.rate),
				  HINT = 'A funding is posted once. Put a wrong one right by transfers of kind correction.';
	END IF;

	RETURN QUERY
	SELECT f.book_id,
		   count(*) FILTER (WHERE p.amount < 0),
		   count(*) FILTER (WHERE p.amount > 0),
		   coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0), 0),
		   coalesce(sum(p.amount) FILTER (WHERE p.amount > 0), 0),
		   f.mark_price
	  FROM ledger.funding f
	  LEFT JOIN ledger.funding_payment p ON p.book_id = f.book_id AND p.funding_id = f.funding_id
										AND p.trade_id = 0
	 WHERE f.instrument_id = pay_funding.instrument_id AND f.funding_at = pay_funding.at
	   AND (only_book IS NULL OR f.book_id = only_book)
	 GROUP BY f.book_id, f.mark_price
	 ORDER BY f.book_id;
END
$function$;
COMMENT ON FUNCTION risk.pay_funding(int, numeric, timestamptz, int) IS
	'Posts a funding of one instrument, in every book or in only_book, and says per book how many positions paid and received, how much, and at which mark. A position takes part as it was at that time: trades executed before it count, trades executed at it or after it do not. Payment = notional at the mark that held then * rate; longs pay shorts when the rate is above zero. A payer pays rounded up to the scale of the asset and a receiver gets rounded down; the rest stays on the book''s funding account. Each book funds an instrument once for each time: a second call with the same rate posts nothing and returns the same. Needs INSERT and SELECT on ledger.funding, SELECT on ledger.funding_payment and ledger.book. Errors: 23505 when it was posted with another rate; 55000 when there was no mark at that time, or an account that held a position is closed; 22023 for a rate or time that cannot be; 23503 for an unknown instrument or book';

REVOKE ALL ON FUNCTION
	risk.post_fundings(), risk.check_funding(), risk.pay_funding(int, numeric, timestamptz, int)
FROM PUBLIC;
