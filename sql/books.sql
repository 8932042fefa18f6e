-- Books, the accounts of the venue itself, and the short forms of a transfer.

CREATE FUNCTION risk.open_system_accounts(for_book int, for_asset text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	first_number bigint;
BEGIN
	-- The lock on the book makes the numbers unique.
	PERFORM FROM ledger.book b WHERE b.book_id = for_book FOR UPDATE;
	SELECT coalesce(min(a.account_id), 0) INTO first_number
	  FROM ledger.account a
	 WHERE a.book_id = for_book AND a.account_id < 0;

	INSERT INTO ledger.account (book_id, account_id, kind, asset_code)
	SELECT for_book, first_number - k.ordinality, k.kind, for_asset
	  FROM unnest(ARRAY['clearing', 'fee', 'insurance_fund', 'liquidity', 'external', 'house',
						'receivable', 'funding', 'interbook', 'suspense'])
		   WITH ORDINALITY AS k(kind, ordinality)
	 WHERE NOT EXISTS (SELECT FROM ledger.account a
						WHERE a.book_id = for_book AND a.kind = k.kind AND a.asset_code = for_asset
						  AND a.fund_instrument_id IS NULL)
	 ORDER BY k.ordinality;
END
$function$;
COMMENT ON FUNCTION risk.open_system_accounts(int, text) IS
	'Makes the system accounts of one asset that a book lacks.';

CREATE FUNCTION risk.open_system_accounts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	-- against risk.create_book(): whoever comes second sees what the first made
	LOCK TABLE ledger.book IN SHARE ROW EXCLUSIVE MODE;
	PERFORM risk.open_system_accounts(b.book_id, NEW.asset_code)
	   FROM (SELECT book_id FROM ledger.book ORDER BY book_id) b;
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION risk.open_system_accounts() IS
	'Gives every book the system accounts of a new asset.';

CREATE FUNCTION risk.create_book(book_id int, name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	-- against an INSERT into ledger.asset: whoever comes second sees what the
	-- first made
	LOCK TABLE ledger.book IN SHARE ROW EXCLUSIVE MODE;
	INSERT INTO ledger.book (book_id, name) VALUES (create_book.book_id, create_book.name);
	PERFORM risk.open_system_accounts(create_book.book_id, a.asset_code)
	   FROM (SELECT asset_code FROM ledger.asset ORDER BY asset_code) a;
END
$function$;
COMMENT ON FUNCTION risk.create_book(int, text) IS
	'Makes a book with its system accounts for each asset. 23505 when the book exists.';

CREATE FUNCTION risk.system_account(book_id int, kind text, asset_code text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	found_id bigint;
BEGIN
	SELECT a.account_id INTO found_id
	  FROM ledger.account a
	 WHERE a.book_id = system_account.book_id AND a.kind = system_account.kind
	   AND a.asset_code = system_account.asset_code AND a.kind <> 'trader' AND a.fund_instrument_id IS NULL;
	IF found_id IS NULL THEN
		RAISE EXCEPTION 'book % has no % account in %', book_id, kind, asset_code
			USING ERRCODE = '23503',
				  HINT = 'Make the book with risk.create_book() and insert the asset into ledger.asset; the kinds are clearing, fee, insurance_fund, liquidity, external, house, receivable, funding, interbook and suspense.';
	END IF;
	RETURN found_id;
END
$function$;
COMMENT ON FUNCTION risk.system_account(int, text, text) IS
	'The number of the book''s own account of a kind and asset. 23503 when there is none.';

CREATE FUNCTION risk.open_fund(book_id int, instrument_id int) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	asset text;
	made_id bigint;
BEGIN
	SELECT i.settle_asset INTO asset FROM ledger.instrument i WHERE i.instrument_id = open_fund.instrument_id;
	-- The lock on the book makes the number unique.
	PERFORM FROM ledger.book b WHERE b.book_id = open_fund.book_id FOR UPDATE;
	IF asset IS NULL OR NOT FOUND THEN
		RAISE EXCEPTION 'book % cannot have a fund for instrument %', book_id, instrument_id
			USING ERRCODE = '23503', DETAIL = format('There is no such %s.', CASE WHEN asset IS NULL THEN 'instrument' ELSE 'book' END),
				  HINT = 'Insert it into ledger.instrument, or make the book with risk.create_book().';
	END IF;
	SELECT a.account_id INTO made_id
	  FROM ledger.account a
	 WHERE a.book_id = open_fund.book_id AND a.kind = 'insurance_fund' AND a.fund_instrument_id = open_fund.instrument_id
	   AND a.asset_code = asset;
	IF made_id IS NULL THEN
		INSERT INTO ledger.account (book_id, account_id, kind, asset_code, fund_instrument_id)
		SELECT open_fund.book_id, least(min(a.account_id), 0) - 1, 'insurance_fund', asset, open_fund.instrument_id
		  FROM ledger.account a WHERE a.book_id = open_fund.book_id AND a.account_id < 0
		RETURNING account_id INTO made_id;
	END IF;
	RETURN made_id;
END
$function$;
COMMENT ON FUNCTION risk.open_fund(int, int) IS
	'Makes an insurance fund of a book for one instrument, in the asset that it settles in, and returns the number of its account; of one that is there, that. Policies whose fund_scope is instrument have it pay before the shared fund of the asset. 23503 for an unknown book or instrument.';

CREATE FUNCTION risk.asset_of(book_id int, account_id bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	found_code text;
BEGIN
	SELECT a.asset_code INTO found_code
	  FROM ledger.account a
	 WHERE a.book_id = asset_of.book_id AND a.account_id = asset_of.account_id;
	IF found_code IS NULL THEN
		RAISE EXCEPTION 'account % does not exist in book %', account_id, book_id
			USING ERRCODE = '23503', HINT = 'Insert it into ledger.account first.';
	END IF;
	RETURN found_code;
END
$function$;
COMMENT ON FUNCTION risk.asset_of(int, bigint) IS
	'The asset that an account holds. 23503 when there is no such account.';

CREATE FUNCTION risk.original_of_key(book_id int, idempotency_key text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT i.id FROM ledger.idempotency i
	 WHERE i.book_id = $1 AND i.idempotency_key = $2
$function$;
COMMENT ON FUNCTION risk.original_of_key(int, text) IS
	'The number of the row that an idempotency key of a book stands for, a transfer_id, trade_id, journal_id or hold_id as ledger.idempotency.kind says; NULL when the key is free.';

CREATE FUNCTION risk.transfer_once(
	book_id int, from_account bigint, to_account bigint, amount numeric, kind text, idempotency_key text,
	hold_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	posted bigint;
	violated text;
BEGIN
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind, idempotency_key, hold_id)
	VALUES (transfer_once.book_id, transfer_once.from_account, transfer_once.to_account,
			transfer_once.amount, transfer_once.kind, transfer_once.idempotency_key, transfer_once.hold_id)
	RETURNING transfer_id INTO posted;
	RETURN posted;
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
	IF violated <> 'idempotency_key' THEN
		RAISE;
	END IF;
	RETURN risk.original_of_key(transfer_once.book_id, transfer_once.idempotency_key);
END
$function$;
COMMENT ON FUNCTION risk.transfer_once(int, bigint, bigint, numeric, text, text, bigint) IS
	'Inserts a transfer, one that captures a hold where hold_id is given, and returns its transfer_id; for a key that was used for the same transfer, the original''s. 23505 when the key was used for anything else, with the difference in the detail.';

CREATE FUNCTION risk.deposit(account_id bigint, amount numeric, book_id int DEFAULT 1, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT risk.transfer_once($3, risk.system_account($3, 'external', a.asset_code), $1, $2, 'deposit', $4)
	  FROM (SELECT risk.asset_of($3, $1) AS asset_code) a
$function$;
COMMENT ON FUNCTION risk.deposit(bigint, numeric, int, text) IS
	'Moves amount from outside into an account and returns the transfer_id. Units of the account''s asset; an amount with more digits than its scale is refused.';

CREATE FUNCTION risk.withdraw(account_id bigint, amount numeric, book_id int DEFAULT 1, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT risk.transfer_once($3, $1, risk.system_account($3, 'external', a.asset_code), $2, 'withdrawal', $4)
	  FROM (SELECT risk.asset_of($3, $1) AS asset_code) a
$function$;
COMMENT ON FUNCTION risk.withdraw(bigint, numeric, int, text) IS
	'Moves amount out of an account and returns the transfer_id. 23514 beyond what the account can spare: balance, less losses not yet realised, less initial margin and what open orders hold.';

CREATE FUNCTION risk.book_trade(
	account_id bigint, instrument_id int, side text, qty numeric, price numeric, execution_id bigint,
	fee numeric DEFAULT 0, kind text DEFAULT 'trade', executed_at timestamptz DEFAULT NULL,
	book_id int DEFAULT 1, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	posted bigint;
	violated text;
BEGIN
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, fee, kind,
							  executed_at, idempotency_key)
	VALUES (book_trade.book_id, book_trade.account_id, book_trade.instrument_id, book_trade.side, book_trade.qty,
			book_trade.price, book_trade.execution_id, book_trade.fee, book_trade.kind,
			coalesce(book_trade.executed_at, statement_timestamp()), book_trade.idempotency_key)
	RETURNING trade_id INTO posted;
	RETURN posted;
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
	IF violated <> 'idempotency_key' THEN
		RAISE;
	END IF;
	RETURN risk.original_of_key(book_trade.book_id, book_trade.idempotency_key);
END
$function$;
COMMENT ON FUNCTION risk.book_trade(bigint, int, text, numeric, numeric, bigint, numeric, text, timestamptz, int, text) IS
	'Inserts one side of an execution and returns its trade_id; for a key that was used for the same trade, the original''s. The other side belongs into the same transaction. executed_at: NULL is now; it is not compared. 23505 when the key was used for anything else, with the difference in the detail.';

REVOKE ALL ON FUNCTION
	risk.original_of_key(int, text),
	risk.book_trade(bigint, int, text, numeric, numeric, bigint, numeric, text, timestamptz, int, text),
	risk.open_system_accounts(int, text), risk.open_system_accounts(),
	risk.create_book(int, text), risk.open_fund(int, int), risk.transfer_once(int, bigint, bigint, numeric, text, text, bigint),
	risk.deposit(bigint, numeric, int, text), risk.withdraw(bigint, numeric, int, text)
FROM PUBLIC;
