-- Holds: money that is promised before it is paid.

CREATE FUNCTION risk.hold(
	account_id bigint, amount numeric, purpose text DEFAULT '', expires_at timestamptz DEFAULT NULL,
	idempotency_key text DEFAULT NULL, book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	made bigint;
	violated text;
BEGIN
	INSERT INTO ledger.hold (book_id, account_id, amount, purpose, expires_at, idempotency_key)
	VALUES (hold.book_id, hold.account_id, hold.amount, hold.purpose, hold.expires_at, hold.idempotency_key)
	RETURNING ledger.hold.hold_id INTO made;
	RETURN made;
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
	IF violated <> 'idempotency_key' THEN
		RAISE;
	END IF;
	RETURN risk.original_of_key(hold.book_id, hold.idempotency_key);
END
$function$;
COMMENT ON FUNCTION risk.hold(bigint, numeric, text, timestamptz, text, int) IS
	'Holds amount on a trader''s account, in units of its asset, and returns the hold_id; for a key that was used for the same hold, the original''s. Until it is captured, released or has expired, the account cannot spare it. Errors: 23514 beyond what the account can spare now; 23505 when the key was used for anything else; 23503 for an unknown account; 55000 for a frozen or closed one; 22023 for an account of the venue, an invalid amount, or a time in the past.';

CREATE FUNCTION risk.request_withdrawal(
	account_id bigint, amount numeric, expires_at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL, book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT risk.hold($1, $2, 'withdrawal', $3, $4, $5)
$function$;
COMMENT ON FUNCTION risk.request_withdrawal(bigint, numeric, timestamptz, text, int) IS
	'A hold for a withdrawal, see risk.hold(). risk.capture() pays it, risk.release() calls it off.';

CREATE FUNCTION risk.capture(
	hold_id bigint, amount numeric DEFAULT NULL, to_account bigint DEFAULT NULL, idempotency_key text DEFAULT NULL, book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	held ledger.hold;
	receiver bigint := to_account;
	taken numeric := amount;
BEGIN
	SELECT h.* INTO held FROM ledger.hold h WHERE h.book_id = capture.book_id AND h.hold_id = capture.hold_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'hold % does not exist in book %', hold_id, book_id
			USING ERRCODE = '23503', HINT = 'risk.hold() and risk.request_withdrawal() make them.';
	END IF;
	IF receiver IS NULL THEN
		receiver := risk.system_account(book_id, 'external', risk.asset_of(book_id, held.account_id));
	END IF;
	-- tried again, all is what it was the first time
	IF taken IS NULL THEN
		taken := coalesce((SELECT t.amount
							 FROM ledger.transfer t
							WHERE t.book_id = capture.book_id AND t.hold_id = capture.hold_id
							  AND t.transfer_id = risk.original_of_key(capture.book_id, capture.idempotency_key)),
						  -- or, of one that is retired, if it was the only one
						  (SELECT k.amount
							 FROM ledger.checkpoint_cause k
							WHERE k.book_id = capture.book_id AND k.kind = 'hold' AND k.id = capture.hold_id
							  AND k.account_id = held.account_id
							  AND risk.original_of_key(capture.book_id, capture.idempotency_key) IS NOT NULL
							ORDER BY k.checkpoint_id DESC LIMIT 1),
						  (SELECT o.remaining
							 FROM ledger.open_hold o
							WHERE o.book_id = capture.book_id AND o.account_id = held.account_id
							  AND o.hold_id = capture.hold_id));
	END IF;
	IF taken IS NULL THEN
		RAISE EXCEPTION 'hold % of book % is not open', hold_id, book_id
			USING ERRCODE = '55000', DETAIL = 'It was captured, released or has expired.',
				  HINT = 'Table open_hold has the holds that are open.';
	END IF;
	RETURN risk.transfer_once(
		book_id, held.account_id, receiver, taken,
		CASE WHEN EXISTS (SELECT FROM ledger.account a
						   WHERE a.book_id = capture.book_id AND a.account_id = receiver AND a.kind = 'external')
			 THEN 'withdrawal' ELSE 'transfer' END,
		idempotency_key, hold_id);
END
$function$;
COMMENT ON FUNCTION risk.capture(bigint, numeric, bigint, text, int) IS
	'Pays amount (NULL: all that is left) out of a hold, to an account (NULL: out of the venue, a withdrawal), and returns the transfer_id; for a key that was used for the same capture, the original''s. What is left stays on hold. Errors: 23514 for more than the hold keeps, or than the account can spare since a loss; 55000 for a hold that is not open or has expired, or a frozen account; 23503 for an unknown hold or account.';

CREATE FUNCTION risk.release(
	hold_id bigint, amount numeric DEFAULT NULL, reason text DEFAULT '', book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	INSERT INTO ledger.hold_release (book_id, hold_id, amount, reason)
	VALUES ($4, $1, $2, $3)
	RETURNING release_id
$function$;
COMMENT ON FUNCTION risk.release(bigint, numeric, text, int) IS
	'Gives amount (NULL: all that is left) of a hold back to the account, and returns the release_id. Errors: 23514 for more than the hold keeps; 55000 for a hold that is not open; 23503 for an unknown one.';

CREATE FUNCTION risk.expire_holds(only_book int DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	until timestamptz := clock_timestamp();
	expired bigint;
BEGIN
	-- Sorted, as posting sorts them; a hold that is captured meanwhile is gone
	-- when the next statement looks.
	PERFORM FROM ledger.balance b
	   JOIN (SELECT DISTINCT o.book_id, o.account_id
			   FROM ledger.open_hold o
			  WHERE o.expires_at <= until AND (only_book IS NULL OR o.book_id = only_book)) e
			ON e.book_id = b.book_id AND e.account_id = b.account_id
	  WHERE b.slot = 0
	  ORDER BY b.book_id, b.account_id
		FOR NO KEY UPDATE OF b;

	INSERT INTO ledger.hold_release (book_id, hold_id, kind)
	SELECT o.book_id, o.hold_id, 'expiry'
	  FROM ledger.open_hold o
	 WHERE o.expires_at <= until AND (only_book IS NULL OR o.book_id = only_book)
	 ORDER BY o.book_id, o.hold_id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$function$;
COMMENT ON FUNCTION risk.expire_holds(int) IS
	'Gives back what is left of holds whose time has come, of one book or of all, and returns how many. For cron.';

REVOKE ALL ON FUNCTION
	risk.hold(bigint, numeric, text, timestamptz, text, int),
	risk.request_withdrawal(bigint, numeric, timestamptz, text, int),
	risk.capture(bigint, numeric, bigint, text, int), risk.release(bigint, numeric, text, int),
	risk.expire_holds(int)
FROM PUBLIC;
