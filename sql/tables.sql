-- The tables of a ledger.  They are ordinary objects of the user who installs,
-- not members of the extension: a dump then holds their rows, and DROP
-- EXTENSION leaves them alone.  No column default, CHECK or type below refers
-- to the extension.

CREATE FUNCTION risk.create_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE SCHEMA IF NOT EXISTS ledger;

	-- Reference tables: the same for every book.

	CREATE TABLE IF NOT EXISTS ledger.asset (
		asset_code text PRIMARY KEY,
		scale smallint NOT NULL DEFAULT 2 CHECK (scale BETWEEN 0 AND 18)
	);
	COMMENT ON TABLE ledger.asset IS
		'What balances are held in. scale: digits after the point of every amount; an amount with more is refused, never rounded. A scale only grows.';

	CREATE TABLE IF NOT EXISTS ledger.instrument (
		instrument_id int PRIMARY KEY,
		symbol text NOT NULL UNIQUE,
		kind text NOT NULL DEFAULT 'linear'
			CHECK (kind IN ('linear', 'inverse', 'quanto')),
		settle_asset text NOT NULL REFERENCES ledger.asset,
		multiplier numeric NOT NULL DEFAULT 1
			CHECK (multiplier > 0 AND multiplier < 'Infinity'),
		last_funding_at timestamptz
	);
	COMMENT ON TABLE ledger.instrument IS
		'What is traded. multiplier: units of the underlying in one contract. kind, settle_asset and multiplier never change; an instrument that nothing refers to can be deleted and made again. last_funding_at: the latest funding of any book, written by posting; trades that were executed before it are looked at more closely.';

	CREATE TABLE IF NOT EXISTS ledger.margin_tier (
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		notional_floor numeric NOT NULL DEFAULT 0
			CHECK (notional_floor >= 0 AND notional_floor < 'Infinity'),
		maintenance_rate numeric NOT NULL
			CHECK (maintenance_rate >= 0 AND maintenance_rate < 1),
		max_leverage numeric NOT NULL DEFAULT 1
			CHECK (max_leverage >= 1 AND max_leverage < 'Infinity'),
		PRIMARY KEY (instrument_id, notional_floor)
	);
	COMMENT ON TABLE ledger.margin_tier IS
		'Risk limits. A tier holds for notional_floor < notional <= the next floor. Without a tier: no maintenance margin, leverage 1.';

	CREATE TABLE IF NOT EXISTS ledger.mark_price (
		instrument_id int PRIMARY KEY REFERENCES ledger.instrument,
		price numeric NOT NULL,
		observed_at timestamptz NOT NULL DEFAULT clock_timestamp()
	);
	COMMENT ON TABLE ledger.mark_price IS
		'The price that decides, one row per instrument, in units of the settlement asset.';

	CREATE TABLE IF NOT EXISTS ledger.mark_price_history (
		instrument_id int NOT NULL,
		observed_at timestamptz NOT NULL,
		price numeric NOT NULL,
		PRIMARY KEY (instrument_id, observed_at)
	);
	COMMENT ON TABLE ledger.mark_price_history IS
		'Every mark price that was accepted. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.policy (
		policy_code text NOT NULL,
		version int NOT NULL DEFAULT 1 CHECK (version > 0),
		stages text[] NOT NULL,
		description text NOT NULL DEFAULT '',
		PRIMARY KEY (policy_code, version),
		CONSTRAINT policy_stages_are_known
			CHECK (stages <@ ARRAY['own', 'fund', 'house', 'reject']
				   AND array_ndims(stages) = 1
				   AND array_position(stages, NULL) IS NULL),
		CONSTRAINT policy_begins_with_own CHECK (stages[1] = 'own'),
		CONSTRAINT policy_ends_with_house_or_reject
			CHECK (array_position(stages, 'house') IS NOT DISTINCT FROM
				   CASE WHEN stages[cardinality(stages)] = 'house' THEN cardinality(stages) END
				   AND array_position(stages, 'reject') IS NOT DISTINCT FROM
				   CASE WHEN stages[cardinality(stages)] = 'reject' THEN cardinality(stages) END
				   AND stages[cardinality(stages)] IN ('house', 'reject')
				   AND cardinality(array_positions(stages, 'own')) = 1
				   AND cardinality(array_positions(stages, 'fund')) <= 1)
	);
	COMMENT ON TABLE ledger.policy IS
		'Who pays for a balance below its floor, in order. own: out of the account itself; fund: the insurance fund, as far as it goes; house: the venue, without limit; reject: nobody, the transaction is refused. The highest version is in force. Append-only: a change is a new version.';

	-- Account-side tables: book_id first, and no trigger leaves the book.

	CREATE TABLE IF NOT EXISTS ledger.book (
		book_id int PRIMARY KEY,
		name text NOT NULL,
		unmatched text NOT NULL DEFAULT 'reject'
			CHECK (unmatched IN ('reject', 'liquidity', 'allow')),
		late_trade text NOT NULL DEFAULT 'charge'
			CHECK (late_trade IN ('charge', 'refuse'))
	);
	COMMENT ON TABLE ledger.book IS
		'A closed set of accounts with its own fund. unmatched: what becomes of an execution whose rows do not net to zero quantity and value at commit: refused, mirrored on the liquidity account, or let through and reported by risk.verify(). late_trade: what becomes of a trade that is posted after a funding but was executed before it: it pays and receives what it missed, or it is refused (rows of kind trade; others are charged).';

	CREATE TABLE IF NOT EXISTS ledger.account (
		book_id int NOT NULL DEFAULT 1 REFERENCES ledger.book,
		account_id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
		kind text NOT NULL DEFAULT 'trader'
			CHECK (kind IN ('trader', 'clearing', 'fee', 'insurance_fund', 'liquidity',
							'external', 'house', 'receivable', 'funding', 'interbook', 'suspense')),
		asset_code text NOT NULL REFERENCES ledger.asset,
		owner_id text,
		policy_code text NOT NULL DEFAULT 'electra',
		status text NOT NULL DEFAULT 'active'
			CHECK (status IN ('active', 'reduce_only', 'frozen', 'closed')),
		PRIMARY KEY (book_id, account_id),
		-- The sign tells a trader from a system account before any row is read,
		-- which is what the lock order needs.
		CONSTRAINT account_id_is_negative_for_system_accounts
			CHECK ((kind = 'trader') = (account_id > 0))
	);
	CREATE UNIQUE INDEX IF NOT EXISTS account_system_key
		ON ledger.account (book_id, kind, asset_code) WHERE kind <> 'trader';
	COMMENT ON TABLE ledger.account IS
		'A margin account: one asset, and all its positions share its balance. Accounts of the venue itself have negative numbers and are made by risk.create_book().';

	CREATE TABLE IF NOT EXISTS ledger.balance (
		book_id int NOT NULL,
		slot int NOT NULL DEFAULT 0,
		account_id bigint NOT NULL,
		seq bigint NOT NULL DEFAULT 0,
		posted_at timestamptz NOT NULL DEFAULT '-infinity',
		amount numeric NOT NULL DEFAULT 0,
		floor numeric,
		PRIMARY KEY (book_id, slot, account_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account
	) WITH (fillfactor = 50);
	CREATE INDEX IF NOT EXISTS balance_slots
		ON ledger.balance (book_id, account_id) WHERE slot <> 0;
	COMMENT ON TABLE ledger.balance IS
		'What the venue owes the holder, in units of the asset. Written by posting only. A trader has slot 0 alone; the balance of a system account is the sum of its slots.';

	CREATE TABLE IF NOT EXISTS ledger.transfer (
		book_id int NOT NULL DEFAULT 1,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		transfer_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		from_account bigint NOT NULL,
		to_account bigint NOT NULL,
		effective_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		amount numeric NOT NULL,
		kind text NOT NULL DEFAULT 'transfer'
			CHECK (kind IN ('deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee')),
		idempotency_key text,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, transfer_id, period)
	);
	COMMENT ON TABLE ledger.transfer IS
		'Money moved between two accounts of one book and one asset. An INSERT posts it. withdrawal and transfer are a choice and refused beyond what the account can spare; chargeback, correction and fee are facts. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.trade (
		book_id int NOT NULL DEFAULT 1,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		trade_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		execution_id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
		-- the same for all rows of a statement, and so for both sides
		executed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
		instrument_id int NOT NULL,
		side text NOT NULL CHECK (side IN ('buy', 'sell')),
		qty numeric NOT NULL,
		price numeric NOT NULL,
		fee numeric NOT NULL DEFAULT 0,
		kind text NOT NULL DEFAULT 'trade'
			CHECK (kind IN ('trade', 'liquidation', 'mirror', 'takeover')),
		PRIMARY KEY (book_id, trade_id, period)
	);
	-- A funding looks for the latest trades.  This index is a few pages and an
	-- insert hardly touches it.
	CREATE INDEX IF NOT EXISTS trade_executed_at
		ON ledger.trade USING brin (executed_at) WITH (autosummarize = on);
	COMMENT ON TABLE ledger.trade IS
		'One side of an execution. An INSERT or COPY posts it. qty > 0 in contracts, price in units of the settlement asset, fee in units of it too (negative: a rebate). mirror and takeover rows are made by posting; a takeover has a negative execution_id. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.entry (
		book_id int NOT NULL,
		slot int NOT NULL,
		account_id bigint NOT NULL,
		seq bigint NOT NULL,
		posted_at timestamptz NOT NULL,
		effective_at timestamptz NOT NULL,
		cause bigint NOT NULL,
		period date NOT NULL,
		amount numeric NOT NULL,
		balance_after numeric NOT NULL,
		kind text NOT NULL,
		PRIMARY KEY (book_id, slot, account_id, seq, period)
	);
	COMMENT ON TABLE ledger.entry IS
		'Every change of a balance, one row per account and leg. cause: the trade_id for realized_pnl, trade_fee, fee_cut and late_funding, the funding_id for funding, the settlement_id for settlement, the reset_id for reset, else the transfer_id. Written by posting only. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.idempotency (
		book_id int NOT NULL,
		idempotency_key text NOT NULL,
		kind text NOT NULL,
		id bigint NOT NULL,
		PRIMARY KEY (book_id, idempotency_key)
	);
	COMMENT ON TABLE ledger.idempotency IS
		'The keys that were given, and the row each of them stands for.';

	CREATE TABLE IF NOT EXISTS ledger.position (
		book_id int NOT NULL,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		account_id bigint NOT NULL,
		trades bigint NOT NULL,
		qty numeric NOT NULL,
		cost numeric NOT NULL,
		PRIMARY KEY (book_id, account_id, instrument_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account
	) WITH (fillfactor = 50);
	COMMENT ON TABLE ledger.position IS
		'What an account holds of an instrument. qty: signed, long > 0. cost: signed value paid and not yet realised. trades: how many trades made it. Written by posting only.';

	CREATE TABLE IF NOT EXISTS ledger.settlement (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		settlement_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		trade_id bigint,
		execution_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		instrument_id int NOT NULL,
		kind text NOT NULL CHECK (kind IN ('profit', 'residue')),
		amount numeric NOT NULL,
		PRIMARY KEY (book_id, settlement_id, period)
	);
	COMMENT ON TABLE ledger.settlement IS
		'A change of a position''s cost without a trade. profit: unrealised profit paid into the balance; residue: what rounding the realised profit down left when the position was closed, or, with an execution_id, what rounding the values of its trades left between them; kept by clearing. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.reset (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		reset_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		payer_account bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		cause bigint NOT NULL,
		cause_kind text NOT NULL,
		asset_code text NOT NULL,
		stage text NOT NULL,
		shortfall numeric NOT NULL,
		amount numeric NOT NULL CHECK (amount > 0),
		balance_before numeric NOT NULL,
		balance_after numeric NOT NULL,
		payer_before numeric NOT NULL,
		payer_after numeric NOT NULL,
		instrument_id int,
		mark_price numeric,
		mark_age interval,
		owner_id text,
		policy_code text NOT NULL,
		policy_version int NOT NULL,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, reset_id, period)
	);
	COMMENT ON TABLE ledger.reset IS
		'What another party paid to bring a balance back to its floor: one row per payer. shortfall: what the account could not cover itself, over all payers. cause: the row that left it below its floor, a trade, a funding or a transfer as cause_kind says. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.funding (
		book_id int NOT NULL DEFAULT 1 REFERENCES ledger.book,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		funding_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		funding_at timestamptz NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		mark_observed_at timestamptz NOT NULL,
		mark_price numeric NOT NULL,
		rate numeric NOT NULL,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, instrument_id, funding_at),
		UNIQUE (book_id, funding_id)
	);
	COMMENT ON TABLE ledger.funding IS
		'A time at which the longs of an instrument paid its shorts (rate > 0) or were paid by them (rate < 0). An INSERT of book_id, instrument_id, funding_at and rate posts it; risk.pay_funding() does that for every book. mark_price: the one that held at funding_at, observed at mark_observed_at. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.funding_payment (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		funding_id bigint NOT NULL,
		account_id bigint NOT NULL,
		trade_id bigint NOT NULL,
		qty numeric NOT NULL,
		amount numeric NOT NULL,
		PRIMARY KEY (book_id, funding_id, account_id, trade_id, period)
	);
	COMMENT ON TABLE ledger.funding_payment IS
		'What an account received (amount > 0) or paid at a funding. trade_id: 0 for the position that it held, of which qty is the signed quantity; else the late trade that paid for its own quantity when it was posted. A funding with a rate of 0 has none. Written by posting only. Append-only.';

	CREATE TABLE IF NOT EXISTS ledger.event (
		book_id int NOT NULL,
		event_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		kind text NOT NULL,
		who text NOT NULL DEFAULT session_user,
		payload jsonb NOT NULL DEFAULT '{}',
		PRIMARY KEY (book_id, event_id)
	);
	COMMENT ON TABLE ledger.event IS
		'What somebody may have to be told. Append-only.';

	-- What posting still has to do before the transaction may commit.  Both
	-- tables are empty whenever a transaction has committed.

	CREATE TABLE IF NOT EXISTS ledger.below_floor (
		book_id int NOT NULL,
		account_id bigint NOT NULL,
		PRIMARY KEY (book_id, account_id)
	);
	COMMENT ON TABLE ledger.below_floor IS
		'Accounts that this transaction took below their floor. Empty after commit.';

	CREATE TABLE IF NOT EXISTS ledger.unmatched_execution (
		book_id int NOT NULL,
		instrument_id int NOT NULL,
		execution_id bigint NOT NULL,
		-- in the key, so that no transaction ever waits for another here
		transaction_id xid8 NOT NULL,
		executed_at timestamptz NOT NULL,
		trades bigint NOT NULL,
		qty numeric NOT NULL,
		value numeric NOT NULL,
		PRIMARY KEY (book_id, transaction_id, execution_id, instrument_id)
	);
	COMMENT ON TABLE ledger.unmatched_execution IS
		'Executions of this transaction whose rows so far do not net to zero. Empty after commit.';

	-- The hub.  It stays empty.  Each foreign key tells the C code where a
	-- table of this ledger is, from the relation cache alone; the last column
	-- of the key names the part that the table plays.

	CREATE TABLE IF NOT EXISTS ledger.wiring (
		book_id int,
		slot int,
		account_id bigint,
		seq bigint,
		row_id bigint,
		instrument_id int,
		execution_id bigint,
		transaction_id xid8,
		version int,
		policy text,
		asset text,
		instrument int,
		margin_tier numeric,
		mark_price int,
		book int,
		account bigint,
		balance bigint,
		transfer date,
		trade date,
		entry date,
		idempotency text,
		"position" int,
		settlement date,
		reset date,
		event bigint,
		below_floor bigint,
		unmatched_execution int,
		funding timestamptz,
		funding_payment date,
		CONSTRAINT wiring_is_empty CHECK (false),
		FOREIGN KEY (version, policy) REFERENCES ledger.policy (version, policy_code),
		FOREIGN KEY (asset) REFERENCES ledger.asset,
		FOREIGN KEY (instrument) REFERENCES ledger.instrument,
		FOREIGN KEY (instrument_id, margin_tier) REFERENCES ledger.margin_tier,
		FOREIGN KEY (mark_price) REFERENCES ledger.mark_price,
		FOREIGN KEY (book) REFERENCES ledger.book,
		FOREIGN KEY (book_id, account) REFERENCES ledger.account,
		FOREIGN KEY (book_id, slot, balance) REFERENCES ledger.balance,
		FOREIGN KEY (book_id, row_id, transfer) REFERENCES ledger.transfer,
		FOREIGN KEY (book_id, row_id, trade) REFERENCES ledger.trade,
		FOREIGN KEY (book_id, slot, account_id, seq, entry) REFERENCES ledger.entry,
		FOREIGN KEY (book_id, idempotency) REFERENCES ledger.idempotency,
		FOREIGN KEY (book_id, account_id, "position") REFERENCES ledger.position,
		FOREIGN KEY (book_id, row_id, settlement) REFERENCES ledger.settlement,
		FOREIGN KEY (book_id, row_id, reset) REFERENCES ledger.reset,
		FOREIGN KEY (book_id, event) REFERENCES ledger.event,
		FOREIGN KEY (book_id, below_floor) REFERENCES ledger.below_floor,
		FOREIGN KEY (book_id, transaction_id, execution_id, unmatched_execution)
			REFERENCES ledger.unmatched_execution,
		FOREIGN KEY (book_id, instrument_id, funding) REFERENCES ledger.funding,
		FOREIGN KEY (book_id, row_id, account_id, seq, funding_payment)
			REFERENCES ledger.funding_payment
	);
	COMMENT ON TABLE ledger.wiring IS
		'Holds no rows. Its foreign keys tie the tables of one ledger together, so that posting finds them without a catalogue query.';
END
$function$;

COMMENT ON FUNCTION risk.create_tables() IS
	'Makes the tables of schema ledger that are missing. Called by risk.install().';
REVOKE ALL ON FUNCTION risk.create_tables() FROM PUBLIC;
