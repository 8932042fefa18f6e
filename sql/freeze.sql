-- freeze.sql
--		Freezes: who froze an account or an owner, why, and who lifted it.
--
-- The status of an account says frozen while any freeze of it, or of its owner,
-- is open.  Only the reason that made a freeze lifts it.

CREATE FUNCTION risk.create_freeze_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.freeze (
		book_id int NOT NULL REFERENCES ledger.book,
		freeze_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint,
		owner_id text,
		reason text NOT NULL CHECK (reason <> ''),
		source_id bigint,
		frozen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		frozen_by text NOT NULL DEFAULT session_user,
		lifted_at timestamptz,
		lifted_by text,
		lifted_because text,
		PRIMARY KEY (book_id, freeze_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account,
		CONSTRAINT freeze_is_of_an_account_or_an_owner CHECK ((account_id IS NULL) <> (owner_id IS NULL)),
		CONSTRAINT freeze_is_lifted_by_somebody CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
	);
	CREATE INDEX IF NOT EXISTS freeze_account ON ledger.freeze (book_id, account_id) WHERE lifted_at IS NULL;
	CREATE INDEX IF NOT EXISTS freeze_owner ON ledger.freeze (book_id, owner_id) WHERE lifted_at IS NULL;
	COMMENT ON TABLE ledger.freeze IS
		'Why accounts are frozen. An account is frozen while a freeze of it or of its owner is open (lifted_at is NULL). Written by risk.freeze(), risk.freeze_owner(), risk.lift_freeze(), by an UPDATE of account.status, and with debts. Rows stay as a record.';
	COMMENT ON COLUMN ledger.freeze.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.freeze.freeze_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.freeze.account_id IS 'The account that is frozen; NULL: all accounts of an owner.';
	COMMENT ON COLUMN ledger.freeze.owner_id IS 'The owner all of whose accounts in the book are frozen; NULL: one account.';
	COMMENT ON COLUMN ledger.freeze.reason IS 'Why: debt, operator (status was set by hand), or what risk.freeze() was told. Only this reason lifts it.';
	COMMENT ON COLUMN ledger.freeze.source_id IS 'For debt, the debt_id.';
	COMMENT ON COLUMN ledger.freeze.frozen_at IS 'When.';
	COMMENT ON COLUMN ledger.freeze.frozen_by IS 'By whom.';
	COMMENT ON COLUMN ledger.freeze.lifted_at IS 'When it was lifted; NULL: it holds.';
	COMMENT ON COLUMN ledger.freeze.lifted_by IS 'By whom.';
	COMMENT ON COLUMN ledger.freeze.lifted_because IS 'What the one who lifted it said.';
END
$function$;
COMMENT ON FUNCTION risk.create_freeze_tables() IS
	'Makes the table of freezes. Called by risk.install().';

CREATE FUNCTION risk.is_posting() RETURNS boolean
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_is_posting';
COMMENT ON FUNCTION risk.is_posting() IS
	'Whether the running statement was given by posting itself, which has locked what it needs.';

CREATE FUNCTION risk.freeze_of(book_id int, account_id bigint, owner_id text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT format('freeze %s (%s)', f.freeze_id, f.reason)
	  FROM (SELECT f.freeze_id, f.reason FROM ledger.freeze f
			 WHERE f.book_id = $1 AND f.account_id = $2 AND f.lifted_at IS NULL
			UNION ALL
			SELECT f.freeze_id, f.reason FROM ledger.freeze f
			 WHERE f.book_id = $1 AND f.owner_id = $3 AND f.lifted_at IS NULL) f
	 ORDER BY f.freeze_id LIMIT 1
$function$;
COMMENT ON FUNCTION risk.freeze_of(int, bigint, text) IS
	'The first open freeze of an account, or of its owner, in words; NULL when there is none.';

-- Makes the status of accounts what their freezes say.  Skips what others have
-- locked when posting calls it: posting holds the gate by then and waits for
-- nobody; whoever changes an account at that moment does the same after it.
CREATE FUNCTION risk.apply_freezes(book_id int DEFAULT NULL, for_account bigint DEFAULT NULL, for_owner text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	ids bigint[];
	books int[];
	changed bigint;
	only_free boolean := risk.is_posting();
BEGIN
	IF NOT only_free THEN
		PERFORM FROM ledger.account a
		 WHERE (apply_freezes.book_id IS NULL OR a.book_id = apply_freezes.book_id)
		   AND (for_account IS NULL AND for_owner IS NULL OR a.account_id = for_account OR a.owner_id = for_owner)
		   AND a.status NOT IN ('frozen', 'closed') AND a.kind = 'trader'
		   AND risk.freeze_of(a.book_id, a.account_id, a.owner_id) IS NOT NULL
		 ORDER BY a.book_id, a.account_id
		   FOR NO KEY UPDATE;
	END IF;
	SELECT array_agg(l.book_id), array_agg(l.account_id) INTO books, ids
	  FROM (SELECT a.book_id, a.account_id, a.ctid
			  FROM ledger.account a
			 WHERE (apply_freezes.book_id IS NULL OR a.book_id = apply_freezes.book_id)
			   AND (for_account IS NULL AND for_owner IS NULL OR a.account_id = for_account OR a.owner_id = for_owner)
			   AND a.status NOT IN ('frozen', 'closed') AND a.kind = 'trader'
			   AND risk.freeze_of(a.book_id, a.account_id, a.owner_id) IS NOT NULL
			OFFSET 0) l
	 WHERE risk.lock_if_free('ledger.account', l.ctid);
	UPDATE ledger.account a SET status = 'frozen'
	 WHERE (a.book_id, a.account_id) IN (SELECT * FROM unnest(books, ids)) AND a.status NOT IN ('frozen', 'closed');
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$function$;
COMMENT ON FUNCTION risk.apply_freezes(int, bigint, text) IS
	'Sets the status of the accounts to frozen that have an open freeze and another status, of one account, one owner, one book or all, and returns how many. Freezes do it themselves; by itself it is for an account that somebody else was changing at that moment (risk.verify() names it).';

CREATE FUNCTION risk.make_freeze(book_id int, account_id bigint, owner_id text, reason text, source_id bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	made bigint;
BEGIN
	INSERT INTO ledger.freeze (book_id, account_id, owner_id, reason, source_id)
	VALUES (make_freeze.book_id, make_freeze.account_id, make_freeze.owner_id, make_freeze.reason, make_freeze.source_id)
	RETURNING freeze_id INTO made;
	PERFORM risk.apply_freezes(make_freeze.book_id, make_freeze.account_id, make_freeze.owner_id);
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	VALUES (make_freeze.book_id, make_freeze.account_id, 'freeze',
			jsonb_build_object('freeze_id', made, 'owner_id', make_freeze.owner_id, 'reason', make_freeze.reason, 'source_id', make_freeze.source_id));
	RETURN made;
END
$function$;
COMMENT ON FUNCTION risk.make_freeze(int, bigint, text, text, bigint) IS
	'Freezes an account, or all accounts of an owner, and returns the freeze_id. A part of risk.freeze(), risk.freeze_owner() and of debts.';

CREATE FUNCTION risk.freeze(account_id bigint, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	PERFORM risk.asset_of("freeze".book_id, "freeze".account_id);
	IF "freeze".account_id < 0 OR reason IN ('debt', 'operator') OR coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'account % of book % cannot be frozen for "%"', account_id, book_id, coalesce(reason, 'NULL')
			USING ERRCODE = '22023',
				  DETAIL = CASE WHEN "freeze".account_id < 0 THEN 'It is an account of the venue.' ELSE 'Debts freeze by themselves, and operator is a status that was set by hand.' END,
				  HINT = 'Name a trader''s account and a reason of your own.';
	END IF;
	RETURN risk.make_freeze("freeze".book_id, "freeze".account_id, NULL, "freeze".reason);
END
$function$;
COMMENT ON FUNCTION risk.freeze(bigint, text, int) IS
	'Freezes a trader''s account and returns the freeze_id: no trade that adds risk, nothing taken out by choice, until risk.lift_freeze() with the same reason. Waits for postings in flight. Errors: 23503 for an unknown account, 22023 for an account of the venue and for the reasons debt and operator.';

CREATE FUNCTION risk.freeze_owner(owner_id text, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF coalesce(owner_id, '') = '' OR reason IN ('debt', 'operator') OR coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'owner "%" cannot be frozen for "%"', coalesce(owner_id, 'NULL'), coalesce(reason, 'NULL')
			USING ERRCODE = '22023', DETAIL = 'Debts freeze by themselves, and operator is a status that was set by hand.',
				  HINT = 'Name an owner and a reason of your own.';
	END IF;
	RETURN risk.make_freeze(freeze_owner.book_id, NULL, freeze_owner.owner_id, freeze_owner.reason);
END
$function$;
COMMENT ON FUNCTION risk.freeze_owner(text, text, int) IS
	'Freezes all accounts of an owner in a book, also those that are opened later, and returns the freeze_id; else as risk.freeze().';

CREATE FUNCTION risk.end_freeze(book_id int, freeze_id bigint, because text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	lifted ledger.freeze;
BEGIN
	UPDATE ledger.freeze f
	   SET lifted_at = clock_timestamp(), lifted_by = session_user, lifted_because = because
	 WHERE f.book_id = end_freeze.book_id AND f.freeze_id = end_freeze.freeze_id AND f.lifted_at IS NULL
	RETURNING f.* INTO lifted;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE ledger.account a
	   SET status = coalesce(a.unfrozen_status, 'active')
	 WHERE a.book_id = lifted.book_id AND (a.account_id = lifted.account_id OR a.owner_id = lifted.owner_id)
	   AND a.status = 'frozen' AND risk.freeze_of(a.book_id, a.account_id, a.owner_id) IS NULL;
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	VALUES (lifted.book_id, lifted.account_id, 'unfreeze',
			jsonb_build_object('freeze_id', lifted.freeze_id, 'owner_id', lifted.owner_id, 'reason', lifted.reason, 'because', because));
END
$function$;
COMMENT ON FUNCTION risk.end_freeze(int, bigint, text) IS
	'Lifts a freeze; accounts without another one get the status back that they had. A part of risk.lift_freeze() and of the settlement of debts.';

CREATE FUNCTION risk.lift_freeze(freeze_id bigint, reason text, because text, book_id int DEFAULT 1) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	found_freeze ledger.freeze;
BEGIN
	SELECT * INTO found_freeze FROM ledger.freeze f
	 WHERE f.book_id = lift_freeze.book_id AND f.freeze_id = lift_freeze.freeze_id;
	IF found_freeze.freeze_id IS NULL THEN
		RAISE EXCEPTION 'freeze % of book % does not exist', freeze_id, book_id
			USING ERRCODE = '23503', HINT = 'See ledger.freeze.';
	END IF;
	IF found_freeze.lifted_at IS NOT NULL OR found_freeze.reason = 'debt' OR found_freeze.reason IS DISTINCT FROM lift_freeze.reason THEN
		RAISE EXCEPTION 'freeze % of book % cannot be lifted for "%"', freeze_id, book_id, coalesce(reason, 'NULL')
			USING ERRCODE = '55000',
				  DETAIL = CASE WHEN found_freeze.lifted_at IS NOT NULL THEN format('It was lifted at %s.', found_freeze.lifted_at)
								ELSE format('It was made for "%s".', found_freeze.reason) END,
				  HINT = CASE found_freeze.reason WHEN 'debt' THEN 'It ends with the debt: risk.repay(), risk.plan_instalments(), risk.waive().'
						 ELSE 'Only the reason that made it lifts it.' END;
	END IF;
	PERFORM risk.end_freeze(lift_freeze.book_id, lift_freeze.freeze_id, lift_freeze.because);
END
$function$;
COMMENT ON FUNCTION risk.lift_freeze(bigint, text, text, int) IS
	'Lifts a freeze that was made for that reason, and says why. The accounts get the status back that they had, unless another freeze holds them. Errors: 23503 for an unknown freeze, 55000 for another reason, for a debt, and when it is lifted already.';

REVOKE ALL ON FUNCTION
	risk.create_freeze_tables(), risk.is_posting(), risk.apply_freezes(int, bigint, text), risk.make_freeze(int, bigint, text, text, bigint),
	risk.freeze(bigint, text, int), risk.freeze_owner(text, text, int), risk.end_freeze(int, bigint, text),
	risk.lift_freeze(bigint, text, text, int)
FROM PUBLIC;
