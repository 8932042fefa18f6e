-- pending_deposit.sql
--		Deposits that are announced and not there yet: seen on a chain, say, and
--		not confirmed.  They may count for margin, by the policy of the account;
--		they are on no balance, and never count for a withdrawal or a reset.

CREATE FUNCTION risk.create_pending_deposit_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.pending_deposit (
		book_id int NOT NULL REFERENCES ledger.book,
		deposit_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		announced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		expires_at timestamptz,
		ended_at timestamptz,
		transfer_id bigint,
		amount numeric NOT NULL CHECK (amount > 0 AND amount < 1e20),
		reference text NOT NULL DEFAULT '',
		outcome text CHECK (outcome IN ('confirmed', 'cancelled', 'expired')),
		reason text,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, deposit_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account,
		CONSTRAINT pending_deposit_ends_with_an_outcome CHECK ((outcome IS NULL) = (ended_at IS NULL)),
		CONSTRAINT pending_deposit_is_confirmed_by_a_transfer CHECK ((outcome IS NOT DISTINCT FROM 'confirmed') = (transfer_id IS NOT NULL))
	);
	CREATE UNIQUE INDEX IF NOT EXISTS pending_deposit_reference
		ON ledger.pending_deposit (book_id, account_id, reference) WHERE reference <> '';
	CREATE INDEX IF NOT EXISTS pending_deposit_open
		ON ledger.pending_deposit (book_id, account_id) WHERE outcome IS NULL;
	COMMENT ON TABLE ledger.pending_deposit IS
		'Deposits that are announced. Where the policy of the account says pending_deposits_count, those that are open count in its equity and free collateral; never for a withdrawal, and on no balance. Written by risk.announce_deposit(), risk.confirm_deposit(), risk.cancel_deposit() and risk.expire_deposits(). Rows stay as a record.';
	COMMENT ON COLUMN ledger.pending_deposit.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.pending_deposit.deposit_id IS 'Its number.';
	COMMENT ON COLUMN ledger.pending_deposit.account_id IS 'The trader''s account.';
	COMMENT ON COLUMN ledger.pending_deposit.announced_at IS 'When it was announced.';
	COMMENT ON COLUMN ledger.pending_deposit.expires_at IS 'From when on it does not count any more; NULL: until it is confirmed or cancelled.';
	COMMENT ON COLUMN ledger.pending_deposit.ended_at IS 'When it was confirmed, cancelled or expired; NULL: it is open.';
	COMMENT ON COLUMN ledger.pending_deposit.transfer_id IS 'The deposit that it became.';
	COMMENT ON COLUMN ledger.pending_deposit.amount IS 'How much is announced, in units of the account''s asset.';
	COMMENT ON COLUMN ledger.pending_deposit.reference IS 'What it is known by outside, the hash of a transaction, say; once for an account. Empty: nothing.';
	COMMENT ON COLUMN ledger.pending_deposit.outcome IS 'confirmed, cancelled or expired; NULL: it is open.';
	COMMENT ON COLUMN ledger.pending_deposit.reason IS 'Why it was cancelled.';
	COMMENT ON COLUMN ledger.pending_deposit.who IS 'Who announced it.';
END
$function$;
COMMENT ON FUNCTION risk.create_pending_deposit_tables() IS
	'Makes the table of pending deposits. Called by risk.install().';

CREATE FUNCTION risk.announce_deposit(
	account_id bigint, amount numeric, reference text DEFAULT '', expires_at timestamptz DEFAULT NULL, book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	account record;
	announced ledger.pending_deposit;
BEGIN
	PERFORM risk.asset_of(announce_deposit.book_id, announce_deposit.account_id);
	SELECT a.kind, a.status, a.asset_code, s.scale INTO account
	  FROM ledger.account a JOIN ledger.asset s ON s.asset_code = a.asset_code
	 WHERE a.book_id = announce_deposit.book_id AND a.account_id = announce_deposit.account_id;
	IF account.kind <> 'trader' OR (amount > 0 AND amount < 1e20 AND scale(trim_scale(amount)) <= account.scale) IS NOT TRUE
		OR reference IS NULL OR announce_deposit.expires_at <= clock_timestamp() THEN
		RAISE EXCEPTION 'deposit of % for account % of book % cannot be announced', coalesce(amount::text, 'NULL'), account_id, book_id
			USING ERRCODE = '22023',
				  DETAIL = CASE WHEN account.kind <> 'trader' THEN format('It is a %s account.', account.kind)
								WHEN reference IS NULL THEN 'The reference is NULL.'
								WHEN announce_deposit.expires_at <= clock_timestamp() THEN format('It would have expired at %s.', announce_deposit.expires_at)
								ELSE format('An amount of %s is above zero and has at most %s digits after the point.', account.asset_code, account.scale) END,
				  HINT = 'Announce what a trader''s account will get, in units of its asset.';
	END IF;
	IF account.status IN ('closing', 'closed') THEN
		RAISE EXCEPTION 'deposit for account % of book % cannot be announced', account_id, book_id
			USING ERRCODE = '55000', DETAIL = format('The account is %s.', account.status), HINT = 'Use another account.';
	END IF;
	INSERT INTO ledger.pending_deposit (book_id, account_id, amount, reference, expires_at)
	VALUES (announce_deposit.book_id, announce_deposit.account_id, announce_deposit.amount, announce_deposit.reference, announce_deposit.expires_at)
	ON CONFLICT DO NOTHING
	RETURNING * INTO announced;
	IF announced.deposit_id IS NULL THEN
		SELECT * INTO announced FROM ledger.pending_deposit d
		 WHERE d.book_id = announce_deposit.book_id AND d.account_id = announce_deposit.account_id AND d.reference = announce_deposit.reference;
		IF announced.amount <> announce_deposit.amount THEN
			RAISE EXCEPTION 'reference "%" of account % of book % is announced with another amount', reference, account_id, book_id
				USING ERRCODE = '23505', DETAIL = format('Deposit %s is of %s, this one of %s.', announced.deposit_id, announced.amount, amount),
					  HINT = 'Cancel that one, or name this one otherwise.';
		END IF;
	END IF;
	RETURN announced.deposit_id;
END
$function$;
COMMENT ON FUNCTION risk.announce_deposit(bigint, numeric, text, timestamptz, int) IS
	'Announces a deposit for a trader''s account, in units of its asset, and returns its deposit_id; for a reference that was announced with the same amount, the original''s. Errors: 23505 for one with another amount, 23503 for an unknown account, 22023 for an account of the venue, an invalid amount or a time in the past, 55000 for an account that is closing or closed.';

CREATE FUNCTION risk.lock_pending_deposit(book_id int, deposit_id bigint, OUT account_id bigint, OUT amount numeric, OUT outcome text, OUT transfer_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	SELECT d.account_id, d.amount, d.outcome, d.transfer_id INTO account_id, amount, outcome, transfer_id
	  FROM ledger.pending_deposit d
	 WHERE d.book_id = lock_pending_deposit.book_id AND d.deposit_id = lock_pending_deposit.deposit_id
	   FOR UPDATE;
	IF account_id IS NULL THEN
		RAISE EXCEPTION 'pending deposit % of book % does not exist', deposit_id, book_id
			USING ERRCODE = '23503', HINT = 'See ledger.pending_deposit.';
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.lock_pending_deposit(int, bigint) IS
	'Locks a pending deposit and says what it is. 23503 for an unknown one.';

CREATE FUNCTION risk.confirm_deposit(deposit_id bigint, amount numeric DEFAULT NULL, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	pending record;
	posted bigint;
BEGIN
	SELECT * INTO pending FROM risk.lock_pending_deposit(confirm_deposit.book_id, confirm_deposit.deposit_id);
	IF pending.outcome = 'confirmed' THEN
		RETURN pending.transfer_id;
	ELSIF pending.outcome = 'cancelled' THEN
		RAISE EXCEPTION 'pending deposit % of book % was cancelled', deposit_id, book_id
			USING ERRCODE = '55000', HINT = 'What has come all the same is an ordinary deposit: risk.deposit().';
	END IF;
	-- late is late for margin, not for the money
	posted := risk.deposit(pending.account_id, coalesce(confirm_deposit.amount, pending.amount), confirm_deposit.book_id);
	UPDATE ledger.pending_deposit d
	   SET outcome = 'confirmed', ended_at = clock_timestamp(), transfer_id = posted
	 WHERE d.book_id = confirm_deposit.book_id AND d.deposit_id = confirm_deposit.deposit_id;
	RETURN posted;
END
$function$;
COMMENT ON FUNCTION risk.confirm_deposit(bigint, numeric, int) IS
	'The money of a pending deposit is there: posts the deposit, of that amount (NULL: as announced), and returns its transfer_id, the same one when it is asked again. Errors: 23503 for an unknown deposit, 55000 for one that was cancelled; else as risk.deposit().';

CREATE FUNCTION risk.cancel_deposit(deposit_id bigint, reason text, book_id int DEFAULT 1) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	pending record;
BEGIN
	SELECT * INTO pending FROM risk.lock_pending_deposit(cancel_deposit.book_id, cancel_deposit.deposit_id);
	IF pending.outcome IS NOT NULL THEN
		RAISE EXCEPTION 'pending deposit % of book % cannot be cancelled', deposit_id, book_id
			USING ERRCODE = '55000', DETAIL = format('It is %s.', pending.outcome),
				  HINT = CASE pending.outcome WHEN 'confirmed' THEN 'Money that is gone again is a chargeback.' ELSE 'See ledger.pending_deposit.' END;
	END IF;
	UPDATE ledger.pending_deposit d
	   SET outcome = 'cancelled', ended_at = clock_timestamp(), reason = cancel_deposit.reason
	 WHERE d.book_id = cancel_deposit.book_id AND d.deposit_id = cancel_deposit.deposit_id;
END
$function$;
COMMENT ON FUNCTION risk.cancel_deposit(bigint, text, int) IS
	'The money of a pending deposit will not come. Errors: 23503 for an unknown deposit, 55000 for one that is not open.';

CREATE FUNCTION risk.expire_deposits() RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
	WITH expired AS (
		UPDATE ledger.pending_deposit d SET outcome = 'expired', ended_at = clock_timestamp()
		 WHERE d.outcome IS NULL AND d.expires_at <= clock_timestamp()
		RETURNING 1)
	SELECT count(*) FROM expired
$function$;
COMMENT ON FUNCTION risk.expire_deposits() IS
	'Ends the pending deposits whose time has come, and returns how many. They have not counted since then; this is for the record. For a scheduler.';

CREATE FUNCTION risk.create_pending_deposit_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE OR REPLACE VIEW ledger.pending_margin WITH (security_invoker = true) AS
	SELECT d.book_id, d.account_id, sum(d.amount) AS amount
	  FROM ledger.pending_deposit d
	  JOIN ledger.account a ON a.book_id = d.book_id AND a.account_id = d.account_id
	 WHERE d.outcome IS NULL AND (d.expires_at > clock_timestamp()) IS NOT FALSE
	   AND (SELECT y.pending_deposits_count FROM ledger.policy y
			 WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp()
			 ORDER BY y.version DESC LIMIT 1)
	 GROUP BY d.book_id, d.account_id;
	COMMENT ON VIEW ledger.pending_margin IS
		'What pending deposits count for, of the accounts whose policy lets them.';
	COMMENT ON COLUMN ledger.pending_margin.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.pending_margin.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.pending_margin.amount IS 'In units of its asset.';
END
$function$;
COMMENT ON FUNCTION risk.create_pending_deposit_views() IS
	'Makes or replaces the view of what pending deposits count for. A part of risk.create_views().';

REVOKE ALL ON FUNCTION
	risk.create_pending_deposit_tables(), risk.create_pending_deposit_views(), risk.lock_pending_deposit(int, bigint),
	risk.announce_deposit(bigint, numeric, text, timestamptz, int), risk.confirm_deposit(bigint, numeric, int),
	risk.cancel_deposit(bigint, text, int), risk.expire_deposits()
FROM PUBLIC;
