-- shortfall_tables.sql
--		What accounts could not cover themselves, and who stands in for it.

CREATE FUNCTION risk.create_shortfall_tables(partitioned boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	by_period text := CASE WHEN partitioned THEN ' PARTITION BY RANGE (period)' ELSE '' END;
BEGIN
	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.shortfall (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		shortfall_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		cause bigint NOT NULL,
		cause_kind text NOT NULL,
		asset_code text NOT NULL,
		amount numeric NOT NULL CHECK (amount > 0),
		operational numeric NOT NULL CHECK (operational >= 0 AND operational <= amount),
		instrument_id int,
		owner_id text,
		policy_code text NOT NULL,
		policy_version int NOT NULL,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, shortfall_id, period)
	)$table$ || by_period;
	COMMENT ON TABLE ledger.shortfall IS
		'What an account could not cover itself in a transaction. Who paid it is in ledger.reset, one row per payer. Append-only.';
	COMMENT ON COLUMN ledger.shortfall.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.shortfall.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.shortfall.shortfall_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.shortfall.account_id IS 'Whose balance was below its floor.';
	COMMENT ON COLUMN ledger.shortfall.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.shortfall.cause IS 'Number of the row that left the balance below its floor.';
	COMMENT ON COLUMN ledger.shortfall.cause_kind IS 'What the cause is a row of.';
	COMMENT ON COLUMN ledger.shortfall.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.shortfall.amount IS 'What others had to pay, in units of the asset.';
	COMMENT ON COLUMN ledger.shortfall.operational IS 'The part of it that is not the market''s: of chargebacks, corrections, fees, reversals. Never the insurance fund''s, nor shared.';
	COMMENT ON COLUMN ledger.shortfall.instrument_id IS 'The instrument of the trade or funding that caused it; NULL: no such cause.';
	COMMENT ON COLUMN ledger.shortfall.owner_id IS 'Whose account it was.';
	COMMENT ON COLUMN ledger.shortfall.policy_code IS 'The policy of the account.';
	COMMENT ON COLUMN ledger.shortfall.policy_version IS 'The version in force then.';
	COMMENT ON COLUMN ledger.shortfall.who IS 'Who ran the transaction.';

	CREATE TABLE IF NOT EXISTS ledger.open_shortfall (
		book_id int NOT NULL,
		shortfall_id bigint NOT NULL,
		account_id bigint NOT NULL,
		asset_code text NOT NULL,
		remaining numeric NOT NULL CHECK (remaining > 0),
		PRIMARY KEY (book_id, shortfall_id)
	);
	COMMENT ON TABLE ledger.open_shortfall IS
		'What stands on the suspense account until risk.settle() has found who pays it, by the stages of the policy after suspense. Written by posting only.';
	COMMENT ON COLUMN ledger.open_shortfall.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.open_shortfall.shortfall_id IS 'The shortfall.';
	COMMENT ON COLUMN ledger.open_shortfall.account_id IS 'Whose it was.';
	COMMENT ON COLUMN ledger.open_shortfall.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.open_shortfall.remaining IS 'What nobody has paid yet, in units of the asset.';

	CREATE TABLE IF NOT EXISTS ledger.fund_use (
		book_id int NOT NULL,
		asset_code text NOT NULL,
		day date NOT NULL,
		scope text NOT NULL CHECK (scope IN ('owner', 'account', 'policy')),
		subject text NOT NULL,
		amount numeric NOT NULL CHECK (amount > 0),
		PRIMARY KEY (book_id, asset_code, day, scope, subject)
	);
	COMMENT ON TABLE ledger.fund_use IS
		'What the insurance fund of an asset has paid in a day, for an owner and for the accounts of a policy, as the caps of policies count it. Written by posting only.';
	COMMENT ON COLUMN ledger.fund_use.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.fund_use.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.fund_use.day IS 'The day, in UTC.';
	COMMENT ON COLUMN ledger.fund_use.scope IS 'owner, account (one without an owner) or policy.';
	COMMENT ON COLUMN ledger.fund_use.subject IS 'Which one.';
	COMMENT ON COLUMN ledger.fund_use.amount IS 'What it paid, in units of the asset.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.takeover (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		takeover_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		liquidity_account bigint NOT NULL,
		execution_id bigint NOT NULL,
		shortfall_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		instrument_id int NOT NULL,
		qty numeric NOT NULL CHECK (qty <> 0),
		price numeric NOT NULL,
		bankruptcy_price numeric,
		mark_price numeric,
		for_adl boolean NOT NULL DEFAULT false,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, takeover_id, period)
	)$table$ || by_period;
	CREATE INDEX IF NOT EXISTS takeover_shortfall
		ON ledger.takeover (book_id, shortfall_id) WHERE shortfall_id IS NOT NULL;
	CREATE INDEX IF NOT EXISTS takeover_account
		ON ledger.takeover (book_id, account_id);
	CREATE INDEX IF NOT EXISTS takeover_for_adl
		ON ledger.takeover (book_id, takeover_id) WHERE for_adl;
	COMMENT ON TABLE ledger.takeover IS
		'Positions that the liquidity account took from others: in liquidations, when others paid for an account, and what a fill would have opened that came after its position was taken over. Append-only.';
	COMMENT ON COLUMN ledger.takeover.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.takeover.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.takeover.takeover_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.takeover.account_id IS 'Whose position it was.';
	COMMENT ON COLUMN ledger.takeover.liquidity_account IS 'Who took it.';
	COMMENT ON COLUMN ledger.takeover.execution_id IS 'The execution of its two trades of kind takeover.';
	COMMENT ON COLUMN ledger.takeover.shortfall_id IS 'The shortfall of the account in that transaction; NULL: it had none.';
	COMMENT ON COLUMN ledger.takeover.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.takeover.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.takeover.qty IS 'Contracts, signed as the account held them.';
	COMMENT ON COLUMN ledger.takeover.price IS 'At what price it changed hands. With equity left on the account: the bankruptcy price; without: the mark, or the average entry where there is none.';
	COMMENT ON COLUMN ledger.takeover.bankruptcy_price IS 'Where the position would have used up its share of the equity, as position_risk.bankruptcy_price then; NULL: at no price.';
	COMMENT ON COLUMN ledger.takeover.mark_price IS 'The mark then; NULL: there was none.';
	COMMENT ON COLUMN ledger.takeover.for_adl IS 'Whether it was more than the liquidity account can carry, see book.takeover_stress_rate: risk.settle() closes it against the other side, at the price of the takeover, while that is so.';
	COMMENT ON COLUMN ledger.takeover.who IS 'Who ran the transaction.';
END
$function$;
COMMENT ON FUNCTION risk.create_shortfall_tables(boolean) IS
	'Makes the tables of shortfalls and takeovers; with true those that have a period are partitioned by it. Called by risk.install().';
REVOKE ALL ON FUNCTION risk.create_shortfall_tables(boolean) FROM PUBLIC;
