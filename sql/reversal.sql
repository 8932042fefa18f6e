-- Reversals: what was posted is taken back by its exact mirror.

CREATE FUNCTION risk.reverse_transfer(transfer_id bigint, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	INSERT INTO ledger.reversal (book_id, original_kind, original_id, reason)
	VALUES ($3, 'transfer', $1, $2)
	RETURNING reversal_id
$function$;
COMMENT ON FUNCTION risk.reverse_transfer(bigint, text, int) IS
	'Posts the mirror of a transfer and returns the reversal_id. A fact: the account that got the money gives it back even when it is gone, and what is then missing is never the insurance fund''s. Errors: 23505 the second time; 23503 for an unknown transfer; 55000 for a closed account; 23514 without a reason, or when nobody pays what is missing.';

CREATE FUNCTION risk.reverse_journal(journal_id bigint, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	INSERT INTO ledger.reversal (book_id, original_kind, original_id, reason)
	VALUES ($3, 'journal', $1, $2)
	RETURNING reversal_id
$function$;
COMMENT ON FUNCTION risk.reverse_journal(bigint, text, int) IS
	'Posts the mirror of a journal, leg by leg, and returns the reversal_id; else as risk.reverse_transfer().';

REVOKE ALL ON FUNCTION risk.reverse_transfer(bigint, text, int), risk.reverse_journal(bigint, text, int) FROM PUBLIC;
