-- statement.sql
--		What an account had at a time, and what happened to it between two.
--
-- Every entry carries the balance after it, and within a slot posted_at never
-- runs backwards (posting.c).  So a time is found by halving the range of seq,
-- each step one look-up by the primary key of ledger.entry, and posting bears
-- no index for it.

CREATE FUNCTION risk.slots_at(book_id int, account_id bigint, instant timestamptz)
RETURNS TABLE (slot int, last_seq bigint, amount numeric)
LANGUAGE plpgsql STABLE STRICT ROWS 4
SET search_path = pg_catalog, pg_temp
-- a plan that was made while the tables were small would read them whole
SET enable_seqscan = off
AS $function$
DECLARE
	after_seq bigint;
	middle bigint;
	probed record;
	opening record;
BEGIN
	FOR slot, after_seq IN
		SELECT b.slot, b.seq + 1
		  FROM ledger.balance b
		 WHERE b.book_id = slots_at.book_id AND b.account_id = slots_at.account_id AND b.slot = 0
		UNION ALL
		SELECT b.slot, b.seq + 1
		  FROM ledger.balance b
		 WHERE b.book_id = slots_at.book_id AND b.account_id = slots_at.account_id AND b.slot <> 0
	LOOP
		-- posted before the instant: last_seq, or nothing yet; not before it: after_seq, or nothing is
		last_seq := 0;
		amount := 0;
		SELECT o.seq, o.amount, o.posted_at INTO opening
		  FROM ledger.checkpoint_balance o
		 WHERE o.book_id = slots_at.book_id AND o.slot = slots_at.slot AND o.account_id = slots_at.account_id
		 ORDER BY o.checkpoint_id DESC LIMIT 1;
		IF FOUND THEN
			IF instant <= opening.posted_at THEN
				RAISE EXCEPTION 'the balance of account % of book % at % is not known any more', account_id, book_id, instant
					USING ERRCODE = '55000', DETAIL = format('Its entries up to %s are retired.', opening.posted_at),
						  HINT = 'Name a later time, or look into the tables that risk.retire() detached.';
			END IF;
			last_seq := opening.seq;
			amount := opening.amount;
		END IF;
		WHILE after_seq - last_seq > 1 LOOP
			middle := (last_seq + after_seq) / 2;
			SELECT e.posted_at, e.balance_after INTO probed
			  FROM ledger.entry e
			 WHERE e.book_id = slots_at.book_id AND e.slot = slots_at.slot
			   AND e.account_id = slots_at.account_id AND e.seq = middle;
			IF NOT FOUND THEN
				RAISE EXCEPTION 'entry % of account %, slot % of book % is missing', middle, account_id, slot, book_id
					USING ERRCODE = '55000', DETAIL = 'The balance at that time cannot be told without it.',
						  HINT = 'Ask risk.verify() what else is missing.';
			END IF;
			IF probed.posted_at < instant THEN
				last_seq := middle;
				amount := probed.balance_after;
			ELSE
				after_seq := middle;
			END IF;
		END LOOP;
		RETURN NEXT;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.slots_at(int, bigint, timestamptz) IS
	'For each slot of an account the seq of the last entry posted before an instant (0: none) and the amount after it, in units of the asset. Takes one look-up per halving of the number of entries. 55000 when an entry is missing, or retired.';

CREATE FUNCTION risk.balance_at(account_id bigint, instant timestamptz, book_id int DEFAULT 1)
RETURNS numeric
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	digits int;
	total numeric;
BEGIN
	SELECT s.scale INTO digits
	  FROM ledger.asset s
	 WHERE s.asset_code = risk.asset_of(balance_at.book_id, balance_at.account_id);
	SELECT sum(s.amount) INTO total
	  FROM risk.slots_at(balance_at.book_id, balance_at.account_id, balance_at.instant) s;
	-- no digit is lost: an amount has at most those of its asset
	RETURN round(coalesce(total, 0), digits);
END
$function$;
COMMENT ON FUNCTION risk.balance_at(bigint, timestamptz, int) IS
	'The balance of an account as the entries posted before an instant leave it, in units of the asset; 0 before the first. With the start of a day it is the opening balance of that day and the closing balance of the one before. Judged by posted_at, the time of the database, not by effective_at. It is final once the transactions that were open at the instant have ended. A system account counts over all its slots. NULL for a NULL argument; 23503 when there is no such account; 55000 for a time whose entries are retired.';

CREATE FUNCTION risk.statement(account_id bigint, from_time timestamptz, to_time timestamptz, book_id int DEFAULT 1)
RETURNS TABLE (line text, posted_at timestamptz, effective_at timestamptz, kind text, cause bigint,
			   amount numeric, balance numeric, slot int, seq bigint)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
	opening numeric;
BEGIN
	IF from_time > to_time THEN
		RAISE EXCEPTION 'a statement of account % cannot end before it begins', account_id
			USING ERRCODE = '22023', DETAIL = format('It would be from %s to %s.', from_time, to_time),
				  HINT = 'Name the earlier time first.';
	END IF;
	opening := risk.balance_at(statement.account_id, statement.from_time, statement.book_id);
	line := 'opening';
	posted_at := from_time;
	balance := opening;
	RETURN NEXT;

	RETURN QUERY
	SELECT 'entry', e.posted_at, e.effective_at, e.kind, e.cause, e.amount,
		   opening + sum(e.amount) OVER (ORDER BY e.posted_at, e.slot, e.seq), e.slot, e.seq
	  FROM risk.slots_at(statement.book_id, statement.account_id, statement.to_time) u
	  LEFT JOIN risk.slots_at(statement.book_id, statement.account_id, statement.from_time) f ON f.slot = u.slot
	 CROSS JOIN LATERAL (
		SELECT n.* FROM ledger.entry n
		 WHERE n.book_id = statement.book_id AND n.slot = u.slot AND n.account_id = statement.account_id
		   AND n.seq > f.last_seq AND n.seq <= u.last_seq
		   -- from one slot of the account to another, with one time
		   AND n.kind <> 'fold'
		OFFSET 0) e
	 ORDER BY e.posted_at, e.slot, e.seq;

	-- from the entries again, not from the lines: that they agree is the proof
	line := 'closing';
	posted_at := to_time;
	balance := risk.balance_at(statement.account_id, statement.to_time, statement.book_id);
	RETURN NEXT;
END
$function$;
COMMENT ON FUNCTION risk.statement(bigint, timestamptz, timestamptz, int) IS
	'The statement of an account over the half-open interval from_time <= posted_at < to_time: a line opening with the balance before it, a line for each entry in the order of posting with the balance after it (what moved between the slots of a system account is left out), and a line closing, whose balance is the opening one plus all amounts, and the opening balance of the statement that begins at to_time. Units of the asset, nothing is rounded. Errors: 22023 when it would end before it begins, 23503 when there is no such account, 55000 for a time whose entries are retired.';
