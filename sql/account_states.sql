-- account_states.sql
--		How an account ends: what keeps it open, and the closing of those that
--		nothing keeps open any more.  What each state allows is in
--		src/account_state.c (trades) and src/transfer.c (money).

CREATE FUNCTION risk.what_is_left(book_id int, account_id bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT CASE WHEN EXISTS (SELECT FROM ledger.account c
							  WHERE c.book_id = $1 AND c.parent_id = $2 AND c.status <> 'closed')
				THEN 'It has a child account that is not closed.'
				WHEN EXISTS (SELECT FROM ledger.balance b WHERE b.book_id = $1 AND b.account_id = $2 AND b.amount <> 0)
				  OR EXISTS (SELECT FROM ledger.position p WHERE p.book_id = $1 AND p.account_id = $2 AND p.qty <> 0)
				  OR EXISTS (SELECT FROM ledger.open_hold h WHERE h.book_id = $1 AND h.account_id = $2)
				  OR EXISTS (SELECT FROM ledger.debt d WHERE d.book_id = $1 AND d.account_id = $2 AND d.settled_at IS NULL)
				THEN 'It has a balance, an open position, an open hold or an open debt.' END
$function$;
COMMENT ON FUNCTION risk.what_is_left(int, bigint) IS
	'What keeps an account from being closed, in words; NULL: nothing.';

CREATE FUNCTION risk.close_accounts(book_id int DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	books int[];
	ids bigint[];
	children bigint;
	others bigint;
BEGIN
	-- the balances first, as posting locks them: nothing comes to them any more
	SELECT array_agg(l.book_id), array_agg(l.account_id) INTO books, ids
	  FROM (SELECT b.book_id, b.account_id, b.ctid
			  FROM ledger.account a
			  JOIN ledger.balance b ON b.book_id = a.book_id AND b.account_id = a.account_id AND b.slot = 0
			 WHERE (close_accounts.book_id IS NULL OR a.book_id = close_accounts.book_id) AND a.status = 'closing' AND a.kind = 'trader'
			OFFSET 0) l
	 WHERE risk.lock_if_free('ledger.balance', l.ctid);
	UPDATE ledger.account a SET status = 'closed'
	 WHERE (a.book_id, a.account_id) IN (SELECT * FROM unnest(books, ids))
	   AND a.status = 'closing' AND a.parent_id IS NOT NULL AND risk.what_is_left(a.book_id, a.account_id) IS NULL;
	GET DIAGNOSTICS children = ROW_COUNT;
	-- parents after their children
	UPDATE ledger.account a SET status = 'closed'
	 WHERE (a.book_id, a.account_id) IN (SELECT * FROM unnest(books, ids))
	   AND a.status = 'closing' AND a.parent_id IS NULL AND risk.what_is_left(a.book_id, a.account_id) IS NULL;
	GET DIAGNOSTICS others = ROW_COUNT;
	RETURN children + others;
END
$function$;
COMMENT ON FUNCTION risk.close_accounts(int) IS
	'Closes the accounts of traders in state closing on which nothing is left: no balance, position, hold, debt or child that is open, and returns how many; of one book or of all. Passes over those that are being posted to. For a scheduler.';

REVOKE ALL ON FUNCTION risk.what_is_left(int, bigint), risk.close_accounts(int) FROM PUBLIC;
