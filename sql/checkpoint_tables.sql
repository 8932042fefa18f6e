-- checkpoint_tables.sql
--		What is known of periods whose rows are no longer in the tables.

CREATE FUNCTION risk.create_checkpoint_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.checkpoint (
		book_id int NOT NULL,
		checkpoint_id int NOT NULL,
		before date NOT NULL,
		posted_at timestamptz NOT NULL,
		seal_id bigint,
		seal_head bytea,
		kept bigint NOT NULL,
		kept_digest bytea,
		keys bigint NOT NULL,
		keys_digest bytea,
		tables text[] NOT NULL,
		head bytea NOT NULL,
		who text NOT NULL,
		PRIMARY KEY (book_id, checkpoint_id)
	);
	COMMENT ON TABLE ledger.checkpoint IS
		'The checkpoints of a book, made by risk.retire(): what the books were proven to be when the rows of old periods went. Each stands for all that went up to it. Append-only.';
	COMMENT ON COLUMN ledger.checkpoint.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.checkpoint.checkpoint_id IS 'Number of the checkpoint; the same for all books that were there.';
	COMMENT ON COLUMN ledger.checkpoint.before IS 'The rows with a period before this day are gone, but for those that are kept.';
	COMMENT ON COLUMN ledger.checkpoint.posted_at IS 'When it was made.';
	COMMENT ON COLUMN ledger.checkpoint.seal_id IS 'The last seal of the book then; NULL: it had none, and no entries.';
	COMMENT ON COLUMN ledger.checkpoint.seal_head IS 'The head of that seal, which stands for the entries that are gone.';
	COMMENT ON COLUMN ledger.checkpoint.kept IS 'How many rows are kept: in the tables with a period before that day, and fundings of before it.';
	COMMENT ON COLUMN ledger.checkpoint.kept_digest IS 'risk.kept_rows() has the digest of these; NULL: there are none.';
	COMMENT ON COLUMN ledger.checkpoint.keys IS 'How many idempotency keys stand for rows that are gone.';
	COMMENT ON COLUMN ledger.checkpoint.keys_digest IS 'risk.rows_digest() of idempotency_key, kind, id and digest of these, by key in the order of its bytes; NULL: there are none.';
	COMMENT ON COLUMN ledger.checkpoint.tables IS 'The tables that were detached, and have the rows.';
	COMMENT ON COLUMN ledger.checkpoint.head IS 'risk.rows_digest() of one row: the head before (NULL for the first of the book), all columns above in their order, tables with a comma in between, who, and risk.rows_digest() of the rows of this checkpoint in ledger.checkpoint_balance, checkpoint_position and checkpoint_cause, by their keys, without book_id and checkpoint_id.';
	COMMENT ON COLUMN ledger.checkpoint.who IS 'Who made it.';

	CREATE TABLE IF NOT EXISTS ledger.checkpoint_balance (
		book_id int NOT NULL,
		slot int NOT NULL,
		account_id bigint NOT NULL,
		checkpoint_id int NOT NULL,
		seq bigint NOT NULL,
		posted_at timestamptz NOT NULL,
		amount numeric NOT NULL,
		sealed_to bigint,
		sealed_digest bytea,
		PRIMARY KEY (book_id, slot, account_id, checkpoint_id)
	);
	COMMENT ON TABLE ledger.checkpoint_balance IS
		'The opening balance of a slot after the entries that are gone: a row for each checkpoint that took entries of it, the last one counts. Append-only.';
	COMMENT ON COLUMN ledger.checkpoint_balance.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.checkpoint_balance.slot IS 'The slot.';
	COMMENT ON COLUMN ledger.checkpoint_balance.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.checkpoint_balance.checkpoint_id IS 'The checkpoint.';
	COMMENT ON COLUMN ledger.checkpoint_balance.seq IS 'The last entry before it; those there are begin with the next.';
	COMMENT ON COLUMN ledger.checkpoint_balance.posted_at IS 'When that one was posted.';
	COMMENT ON COLUMN ledger.checkpoint_balance.amount IS 'The balance after it, in units of the asset.';
	COMMENT ON COLUMN ledger.checkpoint_balance.sealed_to IS 'Where the range of a seal ends that began before the checkpoint; NULL: none goes on after it.';
	COMMENT ON COLUMN ledger.checkpoint_balance.sealed_digest IS 'The digest of the rest of that range, made as ledger.seal_range.digest.';

	CREATE TABLE IF NOT EXISTS ledger.checkpoint_position (
		book_id int NOT NULL,
		instrument_id int NOT NULL,
		account_id bigint NOT NULL,
		checkpoint_id int NOT NULL,
		trades bigint NOT NULL,
		qty numeric NOT NULL,
		cost numeric NOT NULL,
		residue numeric NOT NULL,
		PRIMARY KEY (book_id, account_id, instrument_id, checkpoint_id)
	);
	COMMENT ON TABLE ledger.checkpoint_position IS
		'What the trades and settlements that are gone made of a position: a row for each checkpoint that changed it, the last one counts. Append-only.';
	COMMENT ON COLUMN ledger.checkpoint_position.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.checkpoint_position.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.checkpoint_position.account_id IS 'The account; that of clearing for the residues of executions.';
	COMMENT ON COLUMN ledger.checkpoint_position.checkpoint_id IS 'The checkpoint.';
	COMMENT ON COLUMN ledger.checkpoint_position.trades IS 'How many trades are gone.';
	COMMENT ON COLUMN ledger.checkpoint_position.qty IS 'Their contracts, long above zero.';
	COMMENT ON COLUMN ledger.checkpoint_position.cost IS 'What they and the settlements made of the cost, in the settlement asset.';
	COMMENT ON COLUMN ledger.checkpoint_position.residue IS 'The residues in settlements that are gone, in the settlement asset.';

	CREATE TABLE IF NOT EXISTS ledger.checkpoint_cause (
		book_id int NOT NULL,
		kind text NOT NULL CHECK (kind IN ('hold', 'funding', 'realized')),
		id bigint NOT NULL,
		account_id bigint NOT NULL,
		checkpoint_id int NOT NULL,
		amount numeric NOT NULL,
		PRIMARY KEY (book_id, kind, id, account_id, checkpoint_id)
	);
	COMMENT ON TABLE ledger.checkpoint_cause IS
		'What the rows that are gone had to do with a row that stays, or with loss shares to come: a row for each checkpoint that changed it, the last one counts. Append-only.';
	COMMENT ON COLUMN ledger.checkpoint_cause.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.checkpoint_cause.kind IS 'hold: transfers that captured it; funding: a position that took part in it, and whose trades or payments are gone while others of them are there; realized: what a trader had realised, see ledger.realized_result.';
	COMMENT ON COLUMN ledger.checkpoint_cause.id IS 'The hold_id or funding_id, or the instrument_id of what was realised (0: none).';
	COMMENT ON COLUMN ledger.checkpoint_cause.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.checkpoint_cause.checkpoint_id IS 'The checkpoint.';
	COMMENT ON COLUMN ledger.checkpoint_cause.amount IS 'hold: what was captured; funding: contracts of the trades less those that were paid for; realized: the sum.';
END
$function$;
COMMENT ON FUNCTION risk.create_checkpoint_tables() IS
	'Makes the tables of checkpoints that are missing. Called by risk.install().';
REVOKE ALL ON FUNCTION risk.create_checkpoint_tables() FROM PUBLIC;
