-- instrument_settlement.sql
--		The end of an instrument.

CREATE FUNCTION risk.close_instrument(instrument_id int, price numeric) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'risk_close_instrument';
COMMENT ON FUNCTION risk.close_instrument(int, numeric) IS
	'Closes every position in an instrument, in all books, by trades of kind settlement at one price, and returns how many there were. A part of risk.settle_instrument().';

CREATE FUNCTION risk.settle_instrument(instrument_id int, price numeric) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	closed bigint;
	was text;
BEGIN
	IF instrument_id IS NULL OR price IS NULL THEN
		RAISE EXCEPTION 'instrument_id and price must not be NULL'
			USING ERRCODE = '22023', HINT = 'Name the instrument and the price at which its positions are closed.';
	END IF;
	closed := risk.close_instrument(settle_instrument.instrument_id, settle_instrument.price);
	SELECT i.state INTO was FROM ledger.instrument i WHERE i.instrument_id = settle_instrument.instrument_id;
	IF was = 'settled' THEN
		RAISE EXCEPTION 'instrument % is settled already', instrument_id
			USING ERRCODE = '55000', DETAIL = 'It has no positions, and none can be opened.',
				  HINT = 'See the event of kind instrument_settled for the price.';
	END IF;
	UPDATE ledger.instrument i SET state = 'settled' WHERE i.instrument_id = settle_instrument.instrument_id;
	INSERT INTO ledger.event (book_id, kind, payload)
	SELECT b.book_id, 'instrument_settled',
		   jsonb_build_object('instrument_id', settle_instrument.instrument_id, 'price', settle_instrument.price,
							  'state', jsonb_build_array(was, 'settled'), 'positions', closed)
	  FROM ledger.book b ORDER BY b.book_id;
	RETURN closed;
END
$function$;
COMMENT ON FUNCTION risk.settle_instrument(int, numeric) IS
	'Ends an instrument: closes all its positions, in all books, at one price, sets its state to settled for good, and returns how many positions there were. For expiry, delisting and a dead coin: the price may be 0 but for inverse contracts. Who is left below the floor is settled at commit as its policy says. Trades of the instrument wait meanwhile, and are refused afterwards. Errors: 23503 for an unknown instrument, 22023 for what is no price, 55000 when it is settled already.';

REVOKE ALL ON FUNCTION risk.close_instrument(int, numeric), risk.settle_instrument(int, numeric) FROM PUBLIC;
