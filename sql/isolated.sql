-- Isolated positions: the accounts of their own that they have, and the margin
-- that is moved between these and their parents.

CREATE FUNCTION risk.open_isolated(
	account_id bigint, instrument_id int, margin numeric, side text DEFAULT NULL, book_id int DEFAULT 1,
	child_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	opened bigint;
	number bigint := child_id;
BEGIN
	PERFORM risk.asset_of(open_isolated.book_id, open_isolated.account_id);
	-- one that was closed is opened again
	UPDATE ledger.account a
	   SET status = 'active'
	 WHERE a.book_id = open_isolated.book_id AND a.parent_id = open_isolated.account_id
	   AND a.isolated_instrument_id = open_isolated.instrument_id
	   AND a.isolated_side IS NOT DISTINCT FROM open_isolated.side
	   AND a.status = 'closed'
	   AND a.account_id = coalesce(open_isolated.child_id, a.account_id)
	RETURNING a.account_id INTO opened;
	IF opened IS NULL THEN
		IF number IS NULL THEN
			-- after the highest, also where the venue has numbered its accounts itself
			PERFORM setval('ledger.account_account_id_seq', m.highest)
			   FROM (SELECT max(a.account_id) AS highest FROM ledger.account a
					  WHERE a.book_id = open_isolated.book_id) m, ledger.account_account_id_seq q
			  WHERE m.highest > q.last_value OR (m.highest = q.last_value AND NOT q.is_called);
			number := nextval('ledger.account_account_id_seq');
		END IF;
		INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code,
									parent_id, isolated_instrument_id, isolated_side)
		SELECT a.book_id, number, a.asset_code, a.owner_id, a.policy_code,
			   a.account_id, open_isolated.instrument_id, open_isolated.side
		  FROM ledger.account a
		 WHERE a.book_id = open_isolated.book_id AND a.account_id = open_isolated.account_id
		RETURNING ledger.account.account_id INTO opened;
	END IF;
	IF margin IS DISTINCT FROM 0 THEN
		PERFORM risk.transfer_once(open_isolated.book_id, open_isolated.account_id, opened, margin, 'transfer', NULL);
	END IF;
	RETURN opened;
END
$function$;
COMMENT ON FUNCTION risk.open_isolated(bigint, int, numeric, text, int, bigint) IS
	'Opens a child account for an isolated position of an account in an instrument, moves margin to it (0: none), and returns its number: child_id, or the next one. It has the asset, owner and policy of its parent; side, in hedge mode: long or short. A child that was closed is opened again. Errors: 23514 when the account cannot spare the margin, 23505 when the child is open already, 23503 for an unknown account or instrument, 22023 for an account that is a child itself or an instrument that settles in another asset.';

CREATE FUNCTION risk.parent_of(book_id int, account_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	found_id bigint;
BEGIN
	SELECT a.parent_id INTO found_id
	  FROM ledger.account a
	 WHERE a.book_id = parent_of.book_id AND a.account_id = parent_of.account_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'account % does not exist in book %', account_id, book_id
			USING ERRCODE = '23503', HINT = 'risk.open_isolated() opens a child account.';
	END IF;
	IF found_id IS NULL THEN
		RAISE EXCEPTION 'account % of book % is not a child account', account_id, book_id
			USING ERRCODE = '22023', DETAIL = 'All its positions share its balance.',
				  HINT = 'Name the child account, see risk.isolated_account().';
	END IF;
	RETURN found_id;
END
$function$;
COMMENT ON FUNCTION risk.parent_of(int, bigint) IS
	'The parent of a child account. 23503 when there is no such account, 22023 when it is not a child.';

CREATE FUNCTION risk.add_margin(account_id bigint, amount numeric, book_id int DEFAULT 1, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT risk.transfer_once($3, risk.parent_of($3, $1), $1, $2, 'transfer', $4)
$function$;
COMMENT ON FUNCTION risk.add_margin(bigint, numeric, int, text) IS
	'Moves amount from its parent to a child account and returns the transfer_id. 23514 beyond what the parent can spare.';

CREATE FUNCTION risk.remove_margin(account_id bigint, amount numeric, book_id int DEFAULT 1, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT risk.transfer_once($3, $1, risk.parent_of($3, $1), $2, 'transfer', $4)
$function$;
COMMENT ON FUNCTION risk.remove_margin(bigint, numeric, int, text) IS
	'Moves amount from a child account back to its parent and returns the transfer_id. 23514 beyond what the child can spare: balance, less losses not yet realised, less initial margin and what open orders hold.';

CREATE FUNCTION risk.isolated_account(account_id bigint, instrument_id int, side text DEFAULT NULL, book_id int DEFAULT 1)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	child_id bigint;
BEGIN
	PERFORM risk.asset_of(isolated_account.book_id, isolated_account.account_id);
	IF NOT EXISTS (SELECT FROM ledger.margin_setting s
					WHERE s.book_id = isolated_account.book_id AND s.account_id = isolated_account.account_id
					  AND s.instrument_id = isolated_account.instrument_id AND s.mode = 'isolated') THEN
		RETURN account_id;
	END IF;
	SELECT a.account_id INTO child_id
	  FROM ledger.account a
	 WHERE a.book_id = isolated_account.book_id AND a.parent_id = isolated_account.account_id
	   AND a.isolated_instrument_id = isolated_account.instrument_id AND a.status <> 'closed'
	   AND (a.isolated_side = isolated_account.side OR a.isolated_side IS NULL)
	 ORDER BY a.isolated_side NULLS LAST
	 LIMIT 1;
	IF child_id IS NULL THEN
		RAISE EXCEPTION 'account % of book % has no child account for instrument %', account_id, book_id, instrument_id
			USING ERRCODE = '23503',
				  DETAIL = format('Its margin_setting has mode isolated, and no open child is for %s.',
								  coalesce(side || ' positions', 'either side')),
				  HINT = 'Open one with risk.open_isolated().';
	END IF;
	RETURN child_id;
END
$function$;
COMMENT ON FUNCTION risk.isolated_account(bigint, int, text, int) IS
	'The account to book a trade on: the account itself where its margin_setting for the instrument has mode cross, else its child account, in hedge mode the one of that side (long or short) of the position. 23503 when there is none.';

REVOKE ALL ON FUNCTION
	risk.open_isolated(bigint, int, numeric, text, int, bigint),
	risk.add_margin(bigint, numeric, int, text), risk.remove_margin(bigint, numeric, int, text)
FROM PUBLIC;
