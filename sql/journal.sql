-- Journals: movements of money with any number of legs; and transfers by the
-- thousand.

CREATE FUNCTION risk.post(
	book_id int, accounts bigint[], amounts numeric[], kind text DEFAULT 'journal', idempotency_key text DEFAULT NULL,
	effective_at timestamptz DEFAULT NULL, metadata jsonb DEFAULT '{}',
	OUT journal_id bigint, OUT balances numeric[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	violated text;
BEGIN
	BEGIN
		INSERT INTO ledger.journal (book_id, accounts, amounts, kind, idempotency_key, effective_at, metadata)
		VALUES (post.book_id, post.accounts, post.amounts, post.kind, post.idempotency_key, post.effective_at, post.metadata)
		RETURNING ledger.journal.journal_id INTO post.journal_id;
	EXCEPTION WHEN unique_violation THEN
		GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
		IF violated <> 'idempotency_key' THEN
			RAISE;
		END IF;
		post.journal_id := risk.original_of_key(post.book_id, post.idempotency_key);
	END;

	-- the n-th leg of an account has the n-th of its entries
	SELECT array_agg(e.balance_after ORDER BY l.place) INTO balances
	  FROM (SELECT u.account_id, u.place,
				   row_number() OVER (PARTITION BY u.account_id ORDER BY u.place DESC) AS leg
			  FROM unnest(post.accounts) WITH ORDINALITY AS u(account_id, place)) l
	  LEFT JOIN LATERAL (
		SELECT e.balance_after
		  FROM ledger.entry e
		 WHERE e.book_id = post.book_id AND e.slot = 0 AND e.account_id = l.account_id
		   AND e.kind = post.kind AND e.cause = post.journal_id
		 ORDER BY e.seq DESC
		OFFSET l.leg - 1 LIMIT 1) e ON l.account_id > 0;
END
$function$;
COMMENT ON FUNCTION risk.post(int, bigint[], numeric[], text, text, timestamptz, jsonb) IS
	'Posts a journal: each account gets its amount, or gives it (below zero), in units of its asset. Returns the journal_id, and for each leg the balance of its account after it, NULL for accounts of the venue, whose balance is spread over slots. For a key that was used for the same journal, those of the original (balances NULL once it is retired). kind: journal (a choice) or adjustment (a fact). effective_at: NULL is when it is posted. Errors: 23514 when the legs of an asset do not sum to zero, there are fewer than two, or an account cannot spare what a choice takes out of it; 23505 when the key was used for anything else; 23503 for an unknown account; 55000 for a closed one, one that gives and is frozen or in liquidation, or one that gets and is closing; 22023 for a clearing account and invalid amounts.';

CREATE FUNCTION risk.post_batch_into(
	transfer_table regclass, book_id int, from_accounts bigint[], to_accounts bigint[], amounts numeric[], kinds text[],
	idempotency_keys text[], mode text,
	OUT place int, OUT result text, OUT transfer_id bigint)
RETURNS SETOF record
LANGUAGE c STRICT COST 100000
AS 'MODULE_PATHNAME', 'risk_post_batch';
COMMENT ON FUNCTION risk.post_batch_into(regclass, int, bigint[], bigint[], numeric[], text[], text[], text) IS
	'risk.post_batch() of the ledger that has this transfer table, with every argument given. The caller needs INSERT on the table.';

CREATE FUNCTION risk.post_batch(
	book_id int, from_accounts bigint[], to_accounts bigint[], amounts numeric[], kinds text[] DEFAULT NULL,
	idempotency_keys text[] DEFAULT NULL, mode text DEFAULT 'all',
	OUT place int, OUT result text, OUT transfer_id bigint)
RETURNS SETOF record
LANGUAGE sql ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT b.place, b.result, b.transfer_id
	  FROM risk.post_batch_into('ledger.transfer', $1, $2, $3, $4,
								coalesce($5, array_fill('transfer'::text, ARRAY[cardinality($2)])),
								coalesce($6, array_fill(NULL::text, ARRAY[cardinality($2)])), $7) AS b
$function$;
COMMENT ON FUNCTION risk.post_batch(int, bigint[], bigint[], numeric[], text[], text[], text) IS
	'Posts transfers, one for each element of the arrays, in the order given; kinds: NULL is transfer for all, idempotency_keys: NULL is none. All accounts are locked in one sorted pass, so batches never deadlock with each other. Returns for each its place in the batch (from 1), its result and its transfer_id. mode all: all are posted, or the first fault is raised as an INSERT into ledger.transfer would raise it, and none is; results are accepted, and exists where the key stands for the same transfer already. mode each: what cannot be posted has its reason for a result, its transfer_id is NULL and its key stays free: key_used (the key stands for something else), unknown_kind, unknown_account, wrong_account (clearing, or a fact between two traders), same_account, other_asset, invalid_amount, closed, frozen, liquidating (money would leave), closing (money would come), no_mark (an open position has no mark price), exceeds (what the account can spare after those before), shortfall_open (out of an insurance fund while a shortfall of its asset is open), payout_open (before risk.hold_gainers() has looked at what the fund paid in an instrument that the account trades). A fact that takes an account below its floor is accepted, and settled at commit by its policy. 22023 for arrays of different length or with a NULL where none may be.';

REVOKE ALL ON FUNCTION
	risk.post(int, bigint[], numeric[], text, text, timestamptz, jsonb),
	risk.post_batch_into(regclass, int, bigint[], bigint[], numeric[], text[], text[], text),
	risk.post_batch(int, bigint[], bigint[], numeric[], text[], text[], text)
FROM PUBLIC;
