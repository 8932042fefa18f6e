-- The tables of a ledger.  They are ordinary objects of the user who installs,
-- not members of the extension: a dump then holds their rows, and DROP
-- EXTENSION leaves them alone.  No column default, CHECK or type below refers
-- to the extension.

CREATE FUNCTION risk.create_tables(partitioned boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	by_period text := CASE WHEN partitioned THEN ' PARTITION BY RANGE (period)' ELSE '' END;
BEGIN
	CREATE SCHEMA IF NOT EXISTS ledger;

	-- Reference tables: the same for every book.

	CREATE TABLE IF NOT EXISTS ledger.asset (
		asset_code text PRIMARY KEY,
		scale smallint NOT NULL DEFAULT 2 CHECK (scale BETWEEN 0 AND 18)
	);
	COMMENT ON TABLE ledger.asset IS
		'What balances are held in. scale: digits after the point of every amount; an amount with more is refused, never rounded. A scale only grows.';
	COMMENT ON COLUMN ledger.asset.asset_code IS 'The name of the asset.';
	COMMENT ON COLUMN ledger.asset.scale IS 'Digits after the point of its amounts.';

	CREATE TABLE IF NOT EXISTS ledger.instrument (
		instrument_id int PRIMARY KEY,
		symbol text NOT NULL UNIQUE,
		kind text NOT NULL DEFAULT 'linear'
			CHECK (kind IN ('linear', 'inverse', 'quanto')),
		settle_asset text NOT NULL REFERENCES ledger.asset,
		multiplier numeric NOT NULL DEFAULT 1
			CHECK (multiplier > 0 AND multiplier < 'Infinity'),
		lot numeric CHECK (lot > 0 AND lot < 1e20 AND scale(trim_scale(lot)) <= 18),
		limit_mode text NOT NULL DEFAULT 'report'
			CHECK (limit_mode IN ('report', 'refuse')),
		open_interest_limit numeric
			CHECK (open_interest_limit >= 0 AND open_interest_limit < 'Infinity'),
		open_interest_lo numeric
			CHECK (open_interest_lo >= 0 AND open_interest_lo < 'Infinity'),
		open_interest_hi numeric
			CHECK (open_interest_hi < 'Infinity'),
		reference_notional numeric
			CHECK (reference_notional > 0 AND reference_notional < 'Infinity'),
		depth_ratio numeric NOT NULL DEFAULT 1
			CHECK (depth_ratio >= 0 AND depth_ratio < 'Infinity'),
		state text NOT NULL DEFAULT 'open'
			CHECK (state IN ('open', 'close_only', 'halted', 'settled')),
		max_mark_age interval CHECK (max_mark_age > interval '0'),
		last_funding_at timestamptz,
		CONSTRAINT open_interest_bounds_ascend
			CHECK ((open_interest_lo IS NULL) = (open_interest_hi IS NULL)
				   AND (open_interest_hi > open_interest_lo) IS NOT FALSE)
	);
	COMMENT ON TABLE ledger.instrument IS
		'What is traded. multiplier: units of the underlying in one contract. kind, settle_asset and multiplier never change; an instrument that nothing refers to can be deleted and made again. last_funding_at: the latest funding of any book, written by posting; trades that were executed before it are looked at more closely.';
	COMMENT ON COLUMN ledger.instrument.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.instrument.symbol IS 'Its name.';
	COMMENT ON COLUMN ledger.instrument.kind IS 'linear: settled in the quote asset; inverse: in the coin; quanto: in another asset, with the formulas of linear.';
	COMMENT ON COLUMN ledger.instrument.settle_asset IS 'What profit, loss, margin and fees are in.';
	COMMENT ON COLUMN ledger.instrument.multiplier IS 'Units of the underlying in one contract.';
	COMMENT ON COLUMN ledger.instrument.lot IS 'The least number of contracts that an order can be for: a step of a liquidation closes whole lots, and leaves no less than one. NULL: 8 decimals.';
	COMMENT ON COLUMN ledger.instrument.state IS 'open; close_only: no trade that adds risk; halted: nor a liquidation, and who has a position cannot withdraw, while it counts in the equity at the last mark; settled: all positions were closed by risk.settle_instrument(), and no trade comes any more.';
	COMMENT ON COLUMN ledger.instrument.max_mark_age IS 'A mark that is older is stale: who has a position cannot withdraw and is not liquidated until the next tick. NULL: a mark holds until the next one.';
	COMMENT ON COLUMN ledger.instrument.last_funding_at IS 'The latest funding of any book; written by posting.';
	COMMENT ON COLUMN ledger.instrument.limit_mode IS 'What becomes of a trade that takes a position beyond a limit (ledger.position_limit, open_interest_limit, the cap of the last tier). report: it is booked, and ledger.position_limit_usage and ledger.open_interest show it; refuse: 23514 at commit, for trades of kind trade by traders; forced trades and those that do not add risk are booked all the same. With refuse, transactions that add risk commit one after the other within a book.';
	COMMENT ON COLUMN ledger.instrument.open_interest_limit IS 'The most contracts that may be open in one book, counted on the long side; NULL: no limit.';
	COMMENT ON COLUMN ledger.instrument.open_interest_lo IS 'Open interest, in contracts of one book, from which on the initial margin grows; NULL: it does not.';
	COMMENT ON COLUMN ledger.instrument.open_interest_hi IS 'Open interest at which the initial margin is the whole notional.';
	COMMENT ON COLUMN ledger.instrument.reference_notional IS 'The size, in the settlement asset, that positions are compared with for the liquidation fee: the rate grows by policy.liquidation_fee_by_size * ln(1 + size / reference_notional). NULL: it does not grow with the size.';
	COMMENT ON COLUMN ledger.instrument.depth_ratio IS 'Depth of the market against what is usual, for the liquidation fee: 1 is usual or unknown, 0.5 is half of it. Written by whoever watches the order book; it counts at once.';

	CREATE TABLE IF NOT EXISTS ledger.margin_tier (
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		notional_floor numeric NOT NULL DEFAULT 0
			CHECK (notional_floor >= 0 AND notional_floor < 'Infinity'),
		maintenance_rate numeric NOT NULL
			CHECK (maintenance_rate >= 0 AND maintenance_rate < 1),
		max_leverage numeric NOT NULL DEFAULT 1
			CHECK (max_leverage >= 1 AND max_leverage < 'Infinity'),
		notional_cap numeric
			CHECK (notional_cap > notional_floor AND notional_cap < 'Infinity'),
		maintenance_amount numeric NOT NULL DEFAULT 0
			CHECK (maintenance_amount >= 0 AND maintenance_amount < 'Infinity'),
		PRIMARY KEY (instrument_id, notional_floor)
	);
	COMMENT ON TABLE ledger.margin_tier IS
		'Risk limits. A tier holds for notional_floor < notional <= the next floor. Without a tier: no maintenance margin, leverage 1. notional_cap: the largest position there may be; it counts on the last tier only, and margins are those of that tier beyond it, too.';
	COMMENT ON COLUMN ledger.margin_tier.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.margin_tier.notional_floor IS 'The tier holds for notionals above this, in the settlement asset.';
	COMMENT ON COLUMN ledger.margin_tier.maintenance_rate IS 'Rate of the maintenance margin within the tier: 0.005 is 0.5 %.';
	COMMENT ON COLUMN ledger.margin_tier.max_leverage IS 'Highest leverage within the tier.';
	COMMENT ON COLUMN ledger.margin_tier.notional_cap IS 'On the last tier, the largest notional there may be; NULL: no limit.';
	COMMENT ON COLUMN ledger.margin_tier.maintenance_amount IS 'The maintenance margin of a position, in the settlement asset, for accounts whose policy takes it as an amount (policy.maintenance_basis): of the tier that holds for the size at entry. Other accounts have the one that follows from maintenance_rate.';

	CREATE TABLE IF NOT EXISTS ledger.position_limit (
		limit_id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		owner_id text,
		max_qty numeric CHECK (max_qty >= 0 AND max_qty < 'Infinity'),
		max_notional numeric CHECK (max_notional >= 0 AND max_notional < 'Infinity'),
		UNIQUE NULLS NOT DISTINCT (instrument_id, owner_id)
	);
	COMMENT ON TABLE ledger.position_limit IS
		'How much of an instrument one owner may hold in one book, over all accounts, long and short each for itself. An account without an owner is its own. instrument.limit_mode says whether trades beyond it are refused or reported.';
	COMMENT ON COLUMN ledger.position_limit.limit_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.position_limit.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.position_limit.owner_id IS 'Whose limit it is; NULL: of every owner without a row. The row of an owner replaces that one as a whole.';
	COMMENT ON COLUMN ledger.position_limit.max_qty IS 'The most contracts on one side; NULL: no limit.';
	COMMENT ON COLUMN ledger.position_limit.max_notional IS 'The largest notional on one side, at the mark, in the settlement asset; NULL: no limit.';

	CREATE TABLE IF NOT EXISTS ledger.mark_price (
		instrument_id int PRIMARY KEY REFERENCES ledger.instrument,
		price numeric NOT NULL,
		observed_at timestamptz NOT NULL DEFAULT clock_timestamp()
	);
	COMMENT ON TABLE ledger.mark_price IS
		'The price that decides, one row per instrument, in units of the settlement asset.';
	COMMENT ON COLUMN ledger.mark_price.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.mark_price.price IS 'In units of the settlement asset.';
	COMMENT ON COLUMN ledger.mark_price.observed_at IS 'When it was observed, by the clock of the feed.';

	CREATE TABLE IF NOT EXISTS ledger.mark_price_history (
		instrument_id int NOT NULL,
		observed_at timestamptz NOT NULL,
		price numeric NOT NULL,
		PRIMARY KEY (instrument_id, observed_at)
	);
	COMMENT ON TABLE ledger.mark_price_history IS
		'Every mark price that was accepted. Append-only.';
	COMMENT ON COLUMN ledger.mark_price_history.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.mark_price_history.observed_at IS 'When it was observed, by the clock of the feed.';
	COMMENT ON COLUMN ledger.mark_price_history.price IS 'In units of the settlement asset.';

	CREATE TABLE IF NOT EXISTS ledger.dynamic_margin (
		instrument_id int PRIMARY KEY REFERENCES ledger.instrument,
		samples int NOT NULL DEFAULT 60 CHECK (samples BETWEEN 1 AND 10000),
		sample_interval interval NOT NULL DEFAULT '1 minute'
			CHECK (sample_interval BETWEEN interval '1 second' AND interval '30 days'),
		notice interval NOT NULL DEFAULT '0'
			CHECK (notice BETWEEN interval '0' AND interval '30 days'),
		lambda numeric NOT NULL DEFAULT 0.94 CHECK (lambda > 0 AND lambda <= 1),
		reference_volatility numeric NOT NULL
			CHECK (reference_volatility > 0 AND reference_volatility < 'Infinity'),
		min_scale numeric NOT NULL DEFAULT 1 CHECK (min_scale > 0),
		max_scale numeric NOT NULL DEFAULT 3 CHECK (max_scale < 'Infinity'),
		step numeric NOT NULL DEFAULT 0.1 CHECK (step > 0 AND step < 'Infinity'),
		CONSTRAINT scales_ascend CHECK (min_scale <= max_scale)
	);
	COMMENT ON TABLE ledger.dynamic_margin IS
		'Instruments whose maintenance rates follow the volatility of their mark price. risk.update_volatility() measures it, and records in ledger.margin_scale when that changes the scale. An instrument without a row has the rates that ledger.margin_tier states.';
	COMMENT ON COLUMN ledger.dynamic_margin.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.dynamic_margin.samples IS 'How many returns are looked at, the latest first.';
	COMMENT ON COLUMN ledger.dynamic_margin.sample_interval IS 'The time between two prices that make a return.';
	COMMENT ON COLUMN ledger.dynamic_margin.notice IS 'How long a change of the scale is known before it takes effect.';
	COMMENT ON COLUMN ledger.dynamic_margin.lambda IS 'What a return weighs against the one after it; 1: all weigh the same.';
	COMMENT ON COLUMN ledger.dynamic_margin.reference_volatility IS 'The volatility of one interval at which the rates are as stated: 0.001 is 0.1 % a minute.';
	COMMENT ON COLUMN ledger.dynamic_margin.min_scale IS 'The lowest scale.';
	COMMENT ON COLUMN ledger.dynamic_margin.max_scale IS 'The highest scale.';
	COMMENT ON COLUMN ledger.dynamic_margin.step IS 'The scale is rounded up to a multiple of this.';

	CREATE TABLE IF NOT EXISTS ledger.margin_scale (
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		effective_at timestamptz NOT NULL,
		computed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		observed_at timestamptz,
		scale numeric NOT NULL CHECK (scale > 0 AND scale < 'Infinity'),
		volatility numeric,
		reference_volatility numeric,
		min_scale numeric,
		max_scale numeric,
		step numeric,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (instrument_id, effective_at)
	);
	COMMENT ON TABLE ledger.margin_scale IS
		'What the maintenance rates of an instrument are multiplied with, from when on: the row with the highest effective_at that is not after the time of the mark. So one mark price is never judged by two sets of rates. Made by risk.update_volatility(), or by hand. Append-only.';
	COMMENT ON COLUMN ledger.margin_scale.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.margin_scale.effective_at IS 'Marks observed at this time or later are judged by it; later than the mark that was in force when it was made.';
	COMMENT ON COLUMN ledger.margin_scale.computed_at IS 'When it was made.';
	COMMENT ON COLUMN ledger.margin_scale.observed_at IS 'The time of the mark in force then.';
	COMMENT ON COLUMN ledger.margin_scale.scale IS 'The scale: 1 leaves the rates as stated.';
	COMMENT ON COLUMN ledger.margin_scale.volatility IS 'What was measured; NULL: set by hand, or dynamic margin was switched off.';
	COMMENT ON COLUMN ledger.margin_scale.reference_volatility IS 'As in ledger.dynamic_margin then.';
	COMMENT ON COLUMN ledger.margin_scale.min_scale IS 'As in ledger.dynamic_margin then.';
	COMMENT ON COLUMN ledger.margin_scale.max_scale IS 'As in ledger.dynamic_margin then.';
	COMMENT ON COLUMN ledger.margin_scale.step IS 'As in ledger.dynamic_margin then.';
	COMMENT ON COLUMN ledger.margin_scale.who IS 'Who made it.';

	PERFORM risk.create_policy_table();

	CREATE TABLE IF NOT EXISTS ledger.transfer_rule (
		kind text NOT NULL,
		from_kind text NOT NULL,
		to_kind text NOT NULL,
		version int NOT NULL,
		allowed boolean NOT NULL DEFAULT true,
		reason text NOT NULL DEFAULT '',
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (kind, from_kind, to_kind, version),
		-- no clearing: trades alone change what is open
		CHECK (from_kind IN ('trader', 'fee', 'insurance_fund', 'liquidity', 'external', 'house',
							 'receivable', 'funding', 'interbook', 'suspense')),
		CHECK (to_kind IN ('trader', 'fee', 'insurance_fund', 'liquidity', 'external', 'house',
						   'receivable', 'funding', 'interbook', 'suspense'))
	);
	COMMENT ON TABLE ledger.transfer_rule IS
		'Which kinds of transfer may go from which kind of account to which; what has no row is refused (22023). The highest version is in force, for the statements that begin after it was committed. Append-only: a change is a new row, and the table is the record of who changed what, when and why.';
	COMMENT ON COLUMN ledger.transfer_rule.kind IS 'Kind of the transfer.';
	COMMENT ON COLUMN ledger.transfer_rule.from_kind IS 'Kind of the account that pays.';
	COMMENT ON COLUMN ledger.transfer_rule.to_kind IS 'Kind of the account that is paid.';
	COMMENT ON COLUMN ledger.transfer_rule.version IS 'Counts the changes of one rule; given by the database where it is left out.';
	COMMENT ON COLUMN ledger.transfer_rule.allowed IS 'Whether it may; false takes a rule back.';
	COMMENT ON COLUMN ledger.transfer_rule.reason IS 'Why.';
	COMMENT ON COLUMN ledger.transfer_rule.posted_at IS 'When the row was inserted; by the database.';
	COMMENT ON COLUMN ledger.transfer_rule.who IS 'Who inserted it.';

	CREATE TABLE IF NOT EXISTS ledger.collateral (
		asset_code text PRIMARY KEY REFERENCES ledger.asset,
		haircut numeric NOT NULL
			CHECK (haircut >= 0 AND haircut < 1 AND scale(haircut) <= 18),
		cap numeric CHECK (cap >= 0 AND cap < 'Infinity')
	);
	COMMENT ON TABLE ledger.collateral IS
		'Assets that are collateral for accounts in other assets of a margin group. Between accounts of one asset all counts in full, with or without a row here.';
	COMMENT ON COLUMN ledger.collateral.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.collateral.haircut IS 'The part of the index price that does not count: 0 or more, less than 1. In a shortfall the smallest is exchanged first.';
	COMMENT ON COLUMN ledger.collateral.cap IS 'The most of the asset that counts as margin for the rest of a group; NULL: all. In a shortfall what is above it pays too.';

	CREATE TABLE IF NOT EXISTS ledger.index_price (
		asset_code text PRIMARY KEY REFERENCES ledger.asset,
		price numeric NOT NULL,
		observed_at timestamptz NOT NULL DEFAULT clock_timestamp()
	);
	COMMENT ON TABLE ledger.index_price IS
		'What one unit of an asset is worth in the unit of account of the venue, the same for all assets. Without a row an asset is neither collateral for others nor backed by them.';
	COMMENT ON COLUMN ledger.index_price.asset_code IS 'The asset; never changes.';
	COMMENT ON COLUMN ledger.index_price.price IS 'The price. Above zero, at most 20 digits before the point and 18 after it.';
	COMMENT ON COLUMN ledger.index_price.observed_at IS 'When it was observed. A price that is older than the one in force changes nothing.';

	-- Account-side tables: book_id first, and no trigger leaves the book.

	CREATE TABLE IF NOT EXISTS ledger.book (
		book_id int PRIMARY KEY,
		name text NOT NULL,
		unmatched text NOT NULL DEFAULT 'reject'
			CHECK (unmatched IN ('reject', 'liquidity', 'allow')),
		late_trade text NOT NULL DEFAULT 'charge'
			CHECK (late_trade IN ('charge', 'refuse')),
		takeover_stress_rate numeric
			CHECK (takeover_stress_rate > 0 AND takeover_stress_rate <= 1)
	);
	COMMENT ON TABLE ledger.book IS
		'A closed set of accounts with its own fund. unmatched: what becomes of an execution whose rows do not net to zero quantity and value at commit: refused, mirrored on the liquidity account, or let through and reported by risk.verify(). late_trade: what becomes of a trade that is posted after a funding but was executed before it: it pays and receives what it missed, or it is refused (rows of kind trade; others are charged).';
	COMMENT ON COLUMN ledger.book.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.book.name IS 'What it is called.';
	COMMENT ON COLUMN ledger.book.unmatched IS 'What becomes of executions that do not net: reject, liquidity or allow.';
	COMMENT ON COLUMN ledger.book.late_trade IS 'What becomes of trades that come after a funding they were executed before: charge or refuse.';
	COMMENT ON COLUMN ledger.book.takeover_stress_rate IS 'How far the market may go against the liquidity account: after a takeover its equity and the insurance funds of the asset together must be this part of the notional of its positions at the mark, or more; what exceeds that is marked for auto-deleveraging (takeover.for_adl), what was taken last first. 0.1 is 10 %; NULL: no limit.';

	CREATE TABLE IF NOT EXISTS ledger.account (
		book_id int NOT NULL DEFAULT 1 REFERENCES ledger.book,
		account_id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
		kind text NOT NULL DEFAULT 'trader'
			CHECK (kind IN ('trader', 'clearing', 'fee', 'insurance_fund', 'liquidity',
							'external', 'house', 'receivable', 'funding', 'interbook', 'suspense')),
		asset_code text NOT NULL REFERENCES ledger.asset,
		owner_id text,
		policy_code text NOT NULL DEFAULT 'default',
		status text NOT NULL DEFAULT 'active'
			CHECK (status IN ('active', 'reduce_only', 'liquidating', 'frozen', 'closing', 'closed')),
		parent_id bigint,
		isolated_instrument_id int REFERENCES ledger.instrument,
		isolated_side text CHECK (isolated_side IN ('long', 'short')),
		in_group boolean NOT NULL DEFAULT false,
		inactive_since timestamptz,
		unfrozen_status text,
		fund_instrument_id int REFERENCES ledger.instrument,
		PRIMARY KEY (book_id, account_id),
		FOREIGN KEY (book_id, parent_id) REFERENCES ledger.account,
		CONSTRAINT isolated_account_has_parent_and_instrument
			CHECK ((parent_id IS NULL) = (isolated_instrument_id IS NULL)
				   AND (parent_id IS NOT NULL OR isolated_side IS NULL)),
		CONSTRAINT isolated_account_is_a_traders
			CHECK (parent_id IS NULL OR kind = 'trader' AND parent_id <> account_id),
		CONSTRAINT fund_of_an_instrument_is_an_insurance_fund
			CHECK (fund_instrument_id IS NULL OR kind = 'insurance_fund'),
		-- The sign tells a trader from a system account before any row is read,
		-- which is what the lock order needs.
		CONSTRAINT account_id_is_negative_for_system_accounts
			CHECK ((kind = 'trader') = (account_id > 0))
	);
	CREATE UNIQUE INDEX IF NOT EXISTS account_system_key
		ON ledger.account (book_id, kind, asset_code, fund_instrument_id) NULLS NOT DISTINCT WHERE kind <> 'trader';
	CREATE INDEX IF NOT EXISTS account_owner
		ON ledger.account (book_id, owner_id) WHERE owner_id IS NOT NULL;
	CREATE UNIQUE INDEX IF NOT EXISTS account_isolated_key
		ON ledger.account (book_id, parent_id, isolated_instrument_id, isolated_side) NULLS NOT DISTINCT
		WHERE parent_id IS NOT NULL;
	-- Accounts that others stand behind.  Posting asks for every account that it
	-- locks whether it is one of them: here the answer costs next to nothing.
	CREATE INDEX IF NOT EXISTS account_backed
		ON ledger.account (book_id, account_id) WHERE parent_id IS NOT NULL OR in_group;
	COMMENT ON TABLE ledger.account IS
		'A margin account: one asset, and all its positions share its balance. Accounts of the venue itself have negative numbers and are made by risk.create_book(). An isolated position has an account of its own, the child of the trader''s account, see risk.open_isolated().';
	COMMENT ON COLUMN ledger.account.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.account.account_id IS 'The account; below zero: one of the venue itself.';
	COMMENT ON COLUMN ledger.account.kind IS 'trader, or which of the venues own accounts it is. Never changes.';
	COMMENT ON COLUMN ledger.account.asset_code IS 'The asset that it holds. Never changes.';
	COMMENT ON COLUMN ledger.account.owner_id IS 'Whose it is; limits, margin groups and row policies go by it. NULL: nobody elses.';
	COMMENT ON COLUMN ledger.account.policy_code IS 'The rules that it is under.';
	COMMENT ON COLUMN ledger.account.status IS 'active; reduce_only: no trade that adds risk; liquidating: nor anything taken out by choice; frozen: likewise, trades that reduce by policy (frozen_reduces), and a deposit pays debts first; closing: no trade that adds risk, nothing paid in, the balance may be taken out; closed: nothing at all. What is forced (liquidations, fundings, chargebacks and the like) is booked in all but closed.';
	COMMENT ON COLUMN ledger.account.parent_id IS 'The account that an isolated position is kept apart from; it has the same asset and owner and no parent itself. NULL for all other accounts. Never changes.';
	COMMENT ON COLUMN ledger.account.isolated_instrument_id IS 'The one instrument that a child account can hold. Never changes.';
	COMMENT ON COLUMN ledger.account.isolated_side IS 'The one side that a child account can hold, in hedge mode: long or short; NULL: either. Never changes.';
	COMMENT ON COLUMN ledger.account.inactive_since IS 'Since when it is not active; NULL: it is, or never was. A fill executed before is late, see policy.late_fill. Set by the database.';
	COMMENT ON COLUMN ledger.account.unfrozen_status IS 'What the status becomes when the last freeze is lifted; NULL: active. Set by the database.';
	COMMENT ON COLUMN ledger.account.fund_instrument_id IS 'Of an insurance fund, the instrument whose losses it pays for, see risk.open_fund(); NULL: the shared one of the asset. Never changes.';
	COMMENT ON COLUMN ledger.account.in_group IS 'Whether the account is in the margin group of its owner: as its policy says (collateral_group), for accounts of traders that have an owner and are no child accounts. Set by a trigger, whatever is written to it.';

	CREATE TABLE IF NOT EXISTS ledger.balance (
		book_id int NOT NULL,
		slot int NOT NULL DEFAULT 0,
		account_id bigint NOT NULL,
		seq bigint NOT NULL DEFAULT 0,
		posted_at timestamptz NOT NULL DEFAULT '-infinity',
		amount numeric NOT NULL DEFAULT 0,
		floor numeric,
		reserve numeric,
		PRIMARY KEY (book_id, slot, account_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account
	) WITH (fillfactor = 50);
	CREATE INDEX IF NOT EXISTS balance_slots
		ON ledger.balance (book_id, account_id) WHERE slot <> 0;
	COMMENT ON TABLE ledger.balance IS
		'What the venue owes the holder, in units of the asset. Written by posting only. A trader has slot 0 alone; the balance of a system account is the sum of its slots.';
	COMMENT ON COLUMN ledger.balance.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.balance.slot IS '0, which carries the floor; above 0, further rows of a system account.';
	COMMENT ON COLUMN ledger.balance.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.balance.seq IS 'Number of the last entry of the slot.';
	COMMENT ON COLUMN ledger.balance.posted_at IS 'Time of the last entry of the slot.';
	COMMENT ON COLUMN ledger.balance.amount IS 'In units of the asset.';
	COMMENT ON COLUMN ledger.balance.floor IS 'What the sum over all slots may not be below at commit; NULL: no floor.';
	COMMENT ON COLUMN ledger.balance.reserve IS 'How much can be debited before ledger.position.trigger_price or alert_price has to move; a credit adds to it. -Infinity: an alert has been told, and every change moves them. NULL: there is no open position, or the sweep looks at the account each time.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.transfer (
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
		hold_id bigint CHECK (hold_id > 0),
		PRIMARY KEY (book_id, transfer_id, period)
	)$table$ || by_period;
	COMMENT ON TABLE ledger.transfer IS
		'Money moved between two accounts of one book and one asset. An INSERT posts it. ledger.transfer_rule says between which accounts. withdrawal and transfer are a choice and refused beyond what the account can spare; chargeback, correction and fee are facts. A row whose idempotency_key is used already is 23505, with what the key stands for in the detail: ON CONFLICT cannot be of use, since the row itself is new; the posting functions return the original. Append-only.';
	COMMENT ON COLUMN ledger.transfer.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.transfer.period IS 'The day on which it was inserted, in UTC; set by the database.';
	COMMENT ON COLUMN ledger.transfer.transfer_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.transfer.from_account IS 'Who gives.';
	COMMENT ON COLUMN ledger.transfer.to_account IS 'Who gets.';
	COMMENT ON COLUMN ledger.transfer.effective_at IS 'From when on it counts for the caller; nothing is judged by it.';
	COMMENT ON COLUMN ledger.transfer.amount IS 'Above zero, in units of the asset, with at most its digits.';
	COMMENT ON COLUMN ledger.transfer.kind IS 'deposit, withdrawal and transfer are a choice, chargeback, correction and fee are facts.';
	COMMENT ON COLUMN ledger.transfer.idempotency_key IS 'NULL, or a name that makes it be posted once.';
	COMMENT ON COLUMN ledger.transfer.who IS 'Who inserted it; set by the database.';

	COMMENT ON COLUMN ledger.transfer.hold_id IS 'The hold of from_account that it captures, in part or whole; NULL: none.';

	CREATE TABLE IF NOT EXISTS ledger.hold (
		book_id int NOT NULL DEFAULT 1,
		hold_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		expires_at timestamptz CHECK (expires_at < '10000-01-01 UTC'),
		amount numeric NOT NULL,
		purpose text NOT NULL DEFAULT '',
		idempotency_key text,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, hold_id)
	);
	COMMENT ON TABLE ledger.hold IS
		'Money of a trader that stays on the account and is promised: a withdrawal that was asked for, say. An INSERT makes the hold, and is refused (23514) beyond what the account can spare. A transfer that names the hold captures it, a row in ledger.hold_release gives it back; what is left is in ledger.open_hold. A loss may take the money all the same: a hold keeps it from choices, not from facts. Append-only.';
	COMMENT ON COLUMN ledger.hold.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.hold.hold_id IS 'Its number.';
	COMMENT ON COLUMN ledger.hold.account_id IS 'The trader''s account.';
	COMMENT ON COLUMN ledger.hold.posted_at IS 'When it was made.';
	COMMENT ON COLUMN ledger.hold.expires_at IS 'From when on it cannot be captured; it keeps the money until risk.expire_holds() gives it back. NULL: it does not expire.';
	COMMENT ON COLUMN ledger.hold.amount IS 'How much, in units of the account''s asset.';
	COMMENT ON COLUMN ledger.hold.purpose IS 'What for.';
	COMMENT ON COLUMN ledger.hold.idempotency_key IS 'A key that makes it be made once; NULL: none.';
	COMMENT ON COLUMN ledger.hold.who IS 'Who inserted it; set by the database.';

	CREATE TABLE IF NOT EXISTS ledger.hold_release (
		book_id int NOT NULL DEFAULT 1,
		release_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		hold_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		amount numeric,
		kind text NOT NULL DEFAULT 'release' CHECK (kind IN ('release', 'expiry')),
		reason text NOT NULL DEFAULT '',
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, release_id)
	);
	COMMENT ON TABLE ledger.hold_release IS
		'What was given back of holds. An INSERT gives it back. Append-only.';
	COMMENT ON COLUMN ledger.hold_release.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.hold_release.release_id IS 'Its number.';
	COMMENT ON COLUMN ledger.hold_release.hold_id IS 'The hold.';
	COMMENT ON COLUMN ledger.hold_release.posted_at IS 'When it was given back.';
	COMMENT ON COLUMN ledger.hold_release.amount IS 'How much; NULL: all that was left.';
	COMMENT ON COLUMN ledger.hold_release.kind IS 'release: somebody wanted it; expiry: its time had come.';
	COMMENT ON COLUMN ledger.hold_release.reason IS 'Why.';
	COMMENT ON COLUMN ledger.hold_release.who IS 'Who inserted it; set by the database.';

	CREATE TABLE IF NOT EXISTS ledger.open_hold (
		book_id int NOT NULL,
		account_id bigint NOT NULL,
		hold_id bigint NOT NULL,
		remaining numeric NOT NULL CHECK (remaining > 0),
		expires_at timestamptz,
		PRIMARY KEY (book_id, account_id, hold_id)
	) WITH (fillfactor = 50);
	CREATE INDEX IF NOT EXISTS open_hold_expires_at
		ON ledger.open_hold (expires_at) WHERE expires_at IS NOT NULL;
	COMMENT ON TABLE ledger.open_hold IS
		'What holds still keep: one row for each that has something left. Written by posting only.';
	COMMENT ON COLUMN ledger.open_hold.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.open_hold.account_id IS 'The account of the hold.';
	COMMENT ON COLUMN ledger.open_hold.hold_id IS 'The hold.';
	COMMENT ON COLUMN ledger.open_hold.remaining IS 'Its amount, less what was captured and released.';
	COMMENT ON COLUMN ledger.open_hold.expires_at IS 'As the hold says.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.journal (
		book_id int NOT NULL DEFAULT 1,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		journal_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		effective_at timestamptz
			CHECK (effective_at >= '0001-01-01 UTC' AND effective_at < '10000-01-01 UTC'),
		accounts bigint[] NOT NULL,
		amounts numeric[] NOT NULL,
		kind text NOT NULL DEFAULT 'journal' CHECK (kind IN ('journal', 'adjustment', 'repayment', 'waiver')),
		idempotency_key text,
		metadata jsonb NOT NULL DEFAULT '{}',
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, journal_id, period),
		CONSTRAINT journal_has_two_legs_or_more
			CHECK ((array_ndims(accounts) = 1 AND array_ndims(amounts) = 1
					AND cardinality(accounts) = cardinality(amounts) AND cardinality(accounts) >= 2
					AND array_position(accounts, NULL) IS NULL AND array_position(amounts, NULL) IS NULL) IS TRUE)
	)$table$ || by_period;
	COMMENT ON TABLE ledger.journal IS
		'Money moved between any number of accounts of one book. An INSERT posts it, one entry for each leg; risk.post() returns the balances after. The amounts of each asset sum to zero (23514). Append-only.';
	COMMENT ON COLUMN ledger.journal.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.journal.period IS 'The day on which it was inserted, in UTC; set by the database.';
	COMMENT ON COLUMN ledger.journal.journal_id IS 'Its number, the cause of its entries.';
	COMMENT ON COLUMN ledger.journal.effective_at IS 'When it counts from, for statements; NULL: when it was posted.';
	COMMENT ON COLUMN ledger.journal.accounts IS 'The account of each leg: two legs or more. An account may have several, each makes an entry.';
	COMMENT ON COLUMN ledger.journal.amounts IS 'What each account gets (above zero) or gives, in units of its asset; never zero.';
	COMMENT ON COLUMN ledger.journal.kind IS 'journal: a choice, refused (23514) when an account cannot spare what its legs together take out of it; adjustment: a fact, whose shortfall is never the insurance fund''s, and which does not move money between traders; repayment and waiver are made by the functions for debts.';
	COMMENT ON COLUMN ledger.journal.idempotency_key IS 'A key that makes it be posted once; NULL: none.';
	COMMENT ON COLUMN ledger.journal.metadata IS 'Anything that the caller wants to keep with it.';
	COMMENT ON COLUMN ledger.journal.who IS 'Who inserted it; set by the database.';

	CREATE TABLE IF NOT EXISTS ledger.reversal (
		book_id int NOT NULL DEFAULT 1,
		original_kind text NOT NULL CHECK (original_kind IN ('transfer', 'journal')),
		original_id bigint NOT NULL,
		reversal_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		reason text NOT NULL CHECK (reason <> ''),
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, original_kind, original_id),
		UNIQUE (book_id, reversal_id)
	);
	COMMENT ON TABLE ledger.reversal IS
		'Transfers and journals that were taken back. An INSERT posts the exact mirror of the original, leg by leg, once (23505). It is a fact: what it takes below a floor is never the insurance fund''s. Nothing takes a reversal back; post the original again. Append-only.';
	COMMENT ON COLUMN ledger.reversal.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.reversal.original_kind IS 'What is taken back: transfer or journal.';
	COMMENT ON COLUMN ledger.reversal.original_id IS 'Its transfer_id or journal_id.';
	COMMENT ON COLUMN ledger.reversal.reversal_id IS 'Number of the reversal, the cause of its entries.';
	COMMENT ON COLUMN ledger.reversal.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.reversal.reason IS 'Why.';
	COMMENT ON COLUMN ledger.reversal.who IS 'Who inserted it; set by the database.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.trade (
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
			CHECK (kind IN ('trade', 'liquidation', 'mirror', 'takeover', 'adl', 'settlement', 'bust')),
		idempotency_key text,
		liquidation_id bigint,
		PRIMARY KEY (book_id, trade_id, period),
		CONSTRAINT trade_of_a_liquidation CHECK (liquidation_id IS NULL OR kind = 'liquidation' AND liquidation_id > 0)
	)$table$ || by_period;
	CREATE INDEX IF NOT EXISTS trade_liquidation
		ON ledger.trade (book_id, liquidation_id) WHERE liquidation_id IS NOT NULL;
	-- A funding looks for the latest trades.  This index is a few pages and an
	-- insert hardly touches it.
	CREATE INDEX IF NOT EXISTS trade_executed_at
		ON ledger.trade USING brin (executed_at) WITH (autosummarize = on);
	-- a bust looks for an execution
	CREATE INDEX IF NOT EXISTS trade_execution
		ON ledger.trade USING brin (execution_id) WITH (autosummarize = on);
	COMMENT ON TABLE ledger.trade IS
		'One side of an execution. An INSERT or COPY posts it. qty > 0 in contracts, price in units of the settlement asset, fee in units of it too (negative: a rebate). mirror, takeover and adl rows are made by posting; a takeover and an adl have a negative execution_id. A row whose idempotency_key is used already is 23505; risk.book_trade() returns the original. Append-only.';
	COMMENT ON COLUMN ledger.trade.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.trade.period IS 'The day on which it was inserted, in UTC; set by the database.';
	COMMENT ON COLUMN ledger.trade.trade_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.trade.account_id IS 'Whose side it is.';
	COMMENT ON COLUMN ledger.trade.execution_id IS 'The same for all sides of an execution; their quantities and values sum to zero.';
	COMMENT ON COLUMN ledger.trade.executed_at IS 'When it was executed; fundings go by it.';
	COMMENT ON COLUMN ledger.trade.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.trade.side IS 'buy or sell.';
	COMMENT ON COLUMN ledger.trade.qty IS 'Contracts, above zero.';
	COMMENT ON COLUMN ledger.trade.price IS 'In units of the settlement asset, above zero.';
	COMMENT ON COLUMN ledger.trade.fee IS 'In units of the settlement asset; below zero: a rebate. Cut where it cannot be paid.';
	COMMENT ON COLUMN ledger.trade.kind IS 'trade; liquidation: books in every state of the account but closed; mirror, takeover, adl and settlement are made by posting.';
	COMMENT ON COLUMN ledger.trade.idempotency_key IS 'NULL, or a name that makes it be posted once.';
	COMMENT ON COLUMN ledger.trade.liquidation_id IS 'Of the side that is liquidated, kind liquidation: whose order it fills, see ledger.liquidation_order; what it would open goes to the liquidity account. Another account''s, or one that is not there, is 23503. NULL: no order of a liquidation.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.entry (
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
	)$table$ || by_period;
	COMMENT ON TABLE ledger.entry IS
		'Every change of a balance, one row per account and leg. cause: the trade_id for realized_pnl, trade_fee, fee_cut, late_funding, bust_pnl, takeover_result and isolated_margin, the funding_id for funding, the settlement_id for settlement and bust_settlement, the reset_id for reset, the exchange_id for exchange, the payment_id for adl_gain, loss_share and shortfall_payment, the journal_id for journal, adjustment, repayment and waiver, the reversal_id for reversal, for fold the seq of the entry in slot 0, else the transfer_id. Written by posting only. Append-only.';
	COMMENT ON COLUMN ledger.entry.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.entry.slot IS 'The slot of the balance.';
	COMMENT ON COLUMN ledger.entry.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.entry.seq IS 'Number within the slot, from 1 without gaps.';
	COMMENT ON COLUMN ledger.entry.posted_at IS 'When it was posted, by the database; never falls as seq grows.';
	COMMENT ON COLUMN ledger.entry.effective_at IS 'As the row that caused it says.';
	COMMENT ON COLUMN ledger.entry.cause IS 'Number of the row that caused it.';
	COMMENT ON COLUMN ledger.entry.period IS 'The day of posted_at, in UTC.';
	COMMENT ON COLUMN ledger.entry.amount IS 'The change, in units of the asset.';
	COMMENT ON COLUMN ledger.entry.balance_after IS 'The amount of the slot after it.';
	COMMENT ON COLUMN ledger.entry.kind IS 'What happened; tells of which table the cause is a row.';

	CREATE TABLE IF NOT EXISTS ledger.seal (
		book_id int NOT NULL,
		seal_id bigint NOT NULL,
		sealed_at timestamptz NOT NULL,
		entries bigint NOT NULL,
		total_entries bigint NOT NULL,
		ranges bigint NOT NULL,
		transaction_id xid8 NOT NULL,
		open_since xid8 NOT NULL,
		head bytea NOT NULL,
		who text NOT NULL,
		PRIMARY KEY (book_id, seal_id)
	);
	COMMENT ON TABLE ledger.seal IS
		'Seals of a book, numbered from 1, made by risk.seal(). Each covers the entries that were committed since the one before. Append-only.';
	COMMENT ON COLUMN ledger.seal.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.seal.seal_id IS 'Number of the seal within the book.';
	COMMENT ON COLUMN ledger.seal.sealed_at IS 'When it was made.';
	COMMENT ON COLUMN ledger.seal.entries IS 'How many entries it covers.';
	COMMENT ON COLUMN ledger.seal.total_entries IS 'How many it and all seals before it cover.';
	COMMENT ON COLUMN ledger.seal.ranges IS 'How many rows it has in ledger.seal_range.';
	COMMENT ON COLUMN ledger.seal.transaction_id IS 'The transaction that made it.';
	COMMENT ON COLUMN ledger.seal.open_since IS 'The oldest transaction that was open then: what older ones wrote is sealed.';
	COMMENT ON COLUMN ledger.seal.head IS 'risk.rows_digest() of one row: the head before (NULL for seal 1), book_id, seal_id, sealed_at, entries, total_entries, ranges, transaction_id and open_since as text, who, and risk.rows_digest(slot, account_id, from_seq, to_seq, digest, marks) over its ranges, by slot and account_id.';
	COMMENT ON COLUMN ledger.seal.who IS 'Who made it.';

	CREATE TABLE IF NOT EXISTS ledger.seal_range (
		book_id int NOT NULL,
		slot int NOT NULL,
		account_id bigint NOT NULL,
		from_seq bigint NOT NULL,
		to_seq bigint NOT NULL,
		seal_id bigint NOT NULL,
		digest bytea NOT NULL,
		marks bytea NOT NULL,
		PRIMARY KEY (book_id, slot, account_id, from_seq)
	);
	COMMENT ON TABLE ledger.seal_range IS
		'The entries that a seal covers: for each slot of an account, from which seq to which. Append-only.';
	COMMENT ON COLUMN ledger.seal_range.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.seal_range.slot IS 'The slot.';
	COMMENT ON COLUMN ledger.seal_range.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.seal_range.from_seq IS 'The first entry: the one after the last range of this slot, or 1.';
	COMMENT ON COLUMN ledger.seal_range.to_seq IS 'The last entry.';
	COMMENT ON COLUMN ledger.seal_range.seal_id IS 'The seal.';
	COMMENT ON COLUMN ledger.seal_range.digest IS 'risk.rows_digest() of all columns of these entries, in the order of the table, by seq.';
	COMMENT ON COLUMN ledger.seal_range.marks IS 'risk.rows_marks() of the same: 4 bytes for each entry.';

	CREATE TABLE IF NOT EXISTS ledger.idempotency (
		book_id int NOT NULL,
		idempotency_key text NOT NULL,
		kind text NOT NULL,
		id bigint NOT NULL,
		digest bytea NOT NULL,
		PRIMARY KEY (book_id, idempotency_key)
	);
	COMMENT ON TABLE ledger.idempotency IS
		'The keys that were given, one namespace for a book, and the row each of them stands for. Rows without a key are not here. Written by posting only. Append-only.';
	COMMENT ON COLUMN ledger.idempotency.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.idempotency.idempotency_key IS 'The key.';
	COMMENT ON COLUMN ledger.idempotency.kind IS 'The table of the row: transfer, trade, journal or hold.';
	COMMENT ON COLUMN ledger.idempotency.id IS 'Its transfer_id, trade_id, journal_id or hold_id.';
	COMMENT ON COLUMN ledger.idempotency.digest IS 'SHA-256 over the kind and what the caller chose of the row, each as text in its shortest form after its length in bytes (4 bytes, the highest first; ffffffff for NULL). transfer: from_account, to_account, amount, kind, hold_id. hold: account_id, amount, purpose, expires_at. trade: account_id, execution_id, instrument_id, side, qty, price, fee, kind, liquidation_id. journal: accounts, amounts, kind, effective_at, metadata. Times that have a default are not in it: they differ whenever somebody tries again.';

	CREATE TABLE IF NOT EXISTS ledger.position (
		book_id int NOT NULL,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		account_id bigint NOT NULL,
		trades bigint NOT NULL,
		qty numeric NOT NULL,
		cost numeric NOT NULL,
		trigger_price numeric,
		alert_price numeric,
		rearm_price numeric,
		was_taken_over boolean NOT NULL DEFAULT false,
		PRIMARY KEY (book_id, account_id, instrument_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account
	) WITH (fillfactor = 50);
	-- What a mark has reached is a range of one of these.
	CREATE INDEX IF NOT EXISTS position_long_trigger
		ON ledger.position (instrument_id, trigger_price) WHERE qty > 0 AND trigger_price IS NOT NULL;
	CREATE INDEX IF NOT EXISTS position_short_trigger
		ON ledger.position (instrument_id, trigger_price) WHERE qty < 0 AND trigger_price IS NOT NULL;
	CREATE INDEX IF NOT EXISTS position_long_alert
		ON ledger.position (instrument_id, alert_price) WHERE qty > 0 AND alert_price IS NOT NULL;
	CREATE INDEX IF NOT EXISTS position_short_alert
		ON ledger.position (instrument_id, alert_price) WHERE qty < 0 AND alert_price IS NOT NULL;
	CREATE INDEX IF NOT EXISTS position_long_rearm
		ON ledger.position (instrument_id, rearm_price) WHERE qty > 0 AND rearm_price IS NOT NULL;
	CREATE INDEX IF NOT EXISTS position_short_rearm
		ON ledger.position (instrument_id, rearm_price) WHERE qty < 0 AND rearm_price IS NOT NULL;
	-- For the open interest.  An expression, because no lookup of one position
	-- may come here by mistake: with the columns themselves a planner without
	-- statistics takes this index for as good as the primary key.
	CREATE INDEX IF NOT EXISTS position_instrument
		ON ledger.position (((book_id::bigint << 32) + instrument_id));
	COMMENT ON TABLE ledger.position IS
		'What an account holds of an instrument. qty: signed, long > 0. cost: signed value paid and not yet realised. trades: how many trades made it. Written by posting only.';
	COMMENT ON COLUMN ledger.position.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.position.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.position.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.position.trades IS 'How many trades made it.';
	COMMENT ON COLUMN ledger.position.qty IS 'Contracts, long above zero.';
	COMMENT ON COLUMN ledger.position.cost IS 'Signed value paid and not yet realised, in the settlement asset.';
	COMMENT ON COLUMN ledger.position.trigger_price IS 'The mark at which the sweep looks at the account: at or below it for a long position, at or above it for a short one. Early, never late: while no mark of the account has passed its trigger the account cannot be liquidated. Infinity (long) and 0 (short): at every mark. NULL: at none, or not a trader.';
	COMMENT ON COLUMN ledger.position.alert_price IS 'The mark at which risk.alert() looks at the account, for the highest alert level that has not been told; on the side of trigger_price, and early in the same way. NULL: at none.';
	COMMENT ON COLUMN ledger.position.rearm_price IS 'The mark at which risk.alert() looks whether the account has recovered from the lowest level that was told: at or above it for a long position, at or below it for a short one, early as well; 0 (long) and Infinity (short): at every mark. NULL: at none.';
	COMMENT ON COLUMN ledger.position.was_taken_over IS 'Whether the liquidity account ever took all or a part of it; then a fill that would open it may be late, and is compared with ledger.takeover.';

	CREATE TABLE IF NOT EXISTS ledger.order_reserve (
		book_id int NOT NULL DEFAULT 1,
		instrument_id int NOT NULL,
		account_id bigint NOT NULL,
		order_id bigint NOT NULL,
		amount numeric NOT NULL,
		PRIMARY KEY (book_id, account_id, order_id)
	) WITH (fillfactor = 50);
	COMMENT ON TABLE ledger.order_reserve IS
		'Margin that open orders hold, one row per order, in units of the account''s asset; written by the matching engine with INSERT, UPDATE and DELETE. A row locks the balance of its account until the transaction ends, so that nothing is withdrawn meanwhile that the reserve counts on. It is never refused for lack of margin: who has to know reads account_risk.free_collateral in the same transaction.';
	COMMENT ON COLUMN ledger.order_reserve.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.order_reserve.instrument_id IS 'What the order would trade.';
	COMMENT ON COLUMN ledger.order_reserve.account_id IS 'The trader''s account.';
	COMMENT ON COLUMN ledger.order_reserve.order_id IS 'The engine''s number of the order, or any number of its own for a sum of orders.';
	COMMENT ON COLUMN ledger.order_reserve.amount IS 'What it holds: 0 or more, with at most the digits of the asset.';

	CREATE TABLE IF NOT EXISTS ledger.margin_setting (
		book_id int NOT NULL DEFAULT 1,
		instrument_id int NOT NULL REFERENCES ledger.instrument,
		account_id bigint NOT NULL,
		leverage numeric NOT NULL,
		mode text NOT NULL DEFAULT 'cross' CHECK (mode IN ('cross', 'isolated')),
		PRIMARY KEY (book_id, account_id, instrument_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account
	);
	COMMENT ON TABLE ledger.margin_setting IS
		'What a trader chose for an instrument. A position needs an initial margin of notional / leverage, but the leverage never counts for more than the tier allows; without a row it is that of the tier. Lowering it is refused (23514) when the equity does not cover what the account then has to keep. Every change is an event.';
	COMMENT ON COLUMN ledger.margin_setting.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.margin_setting.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.margin_setting.account_id IS 'The trader''s account.';
	COMMENT ON COLUMN ledger.margin_setting.leverage IS 'The leverage chosen: 1 or more.';
	COMMENT ON COLUMN ledger.margin_setting.mode IS 'cross: the whole account covers the position; isolated: a child account does, see risk.open_isolated() and risk.isolated_account(), and trades that add risk are refused (55000) on the account itself. It stays while a position in the instrument is open (55000). The leverage holds for child accounts, too, and is chosen for their parent.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.settlement (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		settlement_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		trade_id bigint,
		execution_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		instrument_id int NOT NULL,
		kind text NOT NULL CHECK (kind IN ('profit', 'bust', 'residue')),
		amount numeric NOT NULL,
		PRIMARY KEY (book_id, settlement_id, period)
	)$table$ || by_period;
	COMMENT ON TABLE ledger.settlement IS
		'A change of a position''s cost without a trade. profit: unrealised profit paid into the balance; residue: what rounding the realised profit down left when the position was closed, or, with an execution_id, what rounding the values of its trades left between them; kept by clearing. Append-only.';
	COMMENT ON COLUMN ledger.settlement.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.settlement.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.settlement.settlement_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.settlement.account_id IS 'Whose position it is, or the clearing account.';
	COMMENT ON COLUMN ledger.settlement.trade_id IS 'The trade that closed the position; NULL: none did.';
	COMMENT ON COLUMN ledger.settlement.execution_id IS 'The execution whose values were rounded; NULL: it is about a position.';
	COMMENT ON COLUMN ledger.settlement.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.settlement.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.settlement.kind IS 'profit, bust (what a busted execution had made the account realise) or residue.';
	COMMENT ON COLUMN ledger.settlement.amount IS 'By how much the cost changed, in the settlement asset.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.reset (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		reset_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		shortfall_id bigint NOT NULL,
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
	)$table$ || by_period;
	-- book_id, which few rows tell apart, comes second: no plan made while the table is empty takes this for the key
	CREATE INDEX IF NOT EXISTS reset_shortfall ON ledger.reset (shortfall_id, book_id);
	COMMENT ON TABLE ledger.reset IS
		'What another party paid to bring a balance back to its floor: one row per payer. shortfall: what the account could not cover itself, over all payers. cause: the row that left it below its floor, a trade, a funding, an exchange or a transfer as cause_kind says. Append-only.';
	COMMENT ON COLUMN ledger.reset.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.reset.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.reset.reset_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.reset.shortfall_id IS 'The shortfall that it pays for, alone or with others.';
	COMMENT ON COLUMN ledger.reset.account_id IS 'Whose balance was below its floor.';
	COMMENT ON COLUMN ledger.reset.payer_account IS 'Who paid.';
	COMMENT ON COLUMN ledger.reset.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.reset.cause IS 'Number of the row that left the balance below its floor.';
	COMMENT ON COLUMN ledger.reset.cause_kind IS 'What the cause is a row of.';
	COMMENT ON COLUMN ledger.reset.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.reset.stage IS 'The stage of the policy that paid: fund, house, receivable or suspense. What suspense paid is placed after the commit, see ledger.open_shortfall.';
	COMMENT ON COLUMN ledger.reset.shortfall IS 'What the account could not cover itself, over all payers.';
	COMMENT ON COLUMN ledger.reset.amount IS 'What this payer paid.';
	COMMENT ON COLUMN ledger.reset.balance_before IS 'The balance before this payment.';
	COMMENT ON COLUMN ledger.reset.balance_after IS 'The balance after it.';
	COMMENT ON COLUMN ledger.reset.payer_before IS 'What the payer had before, over all slots.';
	COMMENT ON COLUMN ledger.reset.payer_after IS 'What it had after.';
	COMMENT ON COLUMN ledger.reset.instrument_id IS 'The instrument of the trade or funding that caused it; NULL: no such cause.';
	COMMENT ON COLUMN ledger.reset.mark_price IS 'Its mark price then.';
	COMMENT ON COLUMN ledger.reset.mark_age IS 'How old that was.';
	COMMENT ON COLUMN ledger.reset.owner_id IS 'Whose account it was.';
	COMMENT ON COLUMN ledger.reset.policy_code IS 'The policy of the account.';
	COMMENT ON COLUMN ledger.reset.policy_version IS 'The version in force then.';
	COMMENT ON COLUMN ledger.reset.who IS 'Who ran the transaction.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.exchange (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		exchange_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		from_account bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		cause bigint NOT NULL,
		cause_kind text NOT NULL,
		asset_code text NOT NULL,
		from_asset text NOT NULL,
		amount numeric NOT NULL CHECK (amount > 0),
		from_amount numeric NOT NULL CHECK (from_amount > 0),
		index_price numeric NOT NULL,
		from_index_price numeric NOT NULL,
		haircut numeric NOT NULL,
		owner_id text NOT NULL,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, exchange_id, period)
	)$table$ || by_period;
	COMMENT ON TABLE ledger.exchange IS
		'What a margin group paid for a balance of its own below the floor, before anybody else did. Append-only.';
	COMMENT ON COLUMN ledger.exchange.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.exchange.period IS 'The day, in UTC.';
	COMMENT ON COLUMN ledger.exchange.exchange_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.exchange.account_id IS 'The account that was below its floor.';
	COMMENT ON COLUMN ledger.exchange.from_account IS 'The account of the same owner that paid.';
	COMMENT ON COLUMN ledger.exchange.posted_at IS 'When.';
	COMMENT ON COLUMN ledger.exchange.cause IS 'The row that left the account below its floor.';
	COMMENT ON COLUMN ledger.exchange.cause_kind IS 'What that is: a trade, a funding, an exchange or a transfer.';
	COMMENT ON COLUMN ledger.exchange.asset_code IS 'The asset of account_id.';
	COMMENT ON COLUMN ledger.exchange.from_asset IS 'The asset of from_account.';
	COMMENT ON COLUMN ledger.exchange.amount IS 'What account_id got: from_amount * from_index_price * (1 - haircut) / index_price, rounded down to the scale of its asset. The liquidity account of the asset gave it.';
	COMMENT ON COLUMN ledger.exchange.from_amount IS 'What from_account gave: the least that covers what was missing, rounded up to the scale of its asset. The liquidity account of the asset got it. Within one asset nothing is exchanged, and it is amount.';
	COMMENT ON COLUMN ledger.exchange.index_price IS 'Of asset_code, then; 1 within one asset.';
	COMMENT ON COLUMN ledger.exchange.from_index_price IS 'Of from_asset, then; 1 within one asset.';
	COMMENT ON COLUMN ledger.exchange.haircut IS 'Of from_asset, then; 0 within one asset.';
	COMMENT ON COLUMN ledger.exchange.owner_id IS 'Whose accounts they were.';
	COMMENT ON COLUMN ledger.exchange.who IS 'Whose transaction it was.';

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
	COMMENT ON COLUMN ledger.funding.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.funding.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.funding.funding_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.funding.funding_at IS 'Positions count as they were at this time.';
	COMMENT ON COLUMN ledger.funding.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.funding.mark_observed_at IS 'When the mark that was used was observed.';
	COMMENT ON COLUMN ledger.funding.mark_price IS 'The mark that held at funding_at.';
	COMMENT ON COLUMN ledger.funding.rate IS 'What a position pays of its notional: 0.0001 is 0.01 %; above zero longs pay.';
	COMMENT ON COLUMN ledger.funding.who IS 'Who inserted it.';

	EXECUTE $table$CREATE TABLE IF NOT EXISTS ledger.funding_payment (
		book_id int NOT NULL,
		period date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
		funding_id bigint NOT NULL,
		account_id bigint NOT NULL,
		trade_id bigint NOT NULL,
		qty numeric NOT NULL,
		amount numeric NOT NULL,
		PRIMARY KEY (book_id, funding_id, account_id, trade_id, period)
	)$table$ || by_period;
	COMMENT ON TABLE ledger.funding_payment IS
		'What an account received (amount > 0) or paid at a funding. trade_id: 0 for the position that it held, of which qty is the signed quantity; else the late trade that paid for its own quantity when it was posted. A funding with a rate of 0 has none. Written by posting only. Append-only.';
	COMMENT ON COLUMN ledger.funding_payment.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.funding_payment.period IS 'The day on which it was posted, in UTC.';
	COMMENT ON COLUMN ledger.funding_payment.funding_id IS 'The funding.';
	COMMENT ON COLUMN ledger.funding_payment.account_id IS 'Who paid or received.';
	COMMENT ON COLUMN ledger.funding_payment.trade_id IS 'The late trade; 0: the position.';
	COMMENT ON COLUMN ledger.funding_payment.qty IS 'Contracts, signed.';
	COMMENT ON COLUMN ledger.funding_payment.amount IS 'What it changed the balance by, rounded down.';

	CREATE TABLE IF NOT EXISTS ledger.event (
		book_id int NOT NULL,
		event_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
		kind text NOT NULL,
		who text NOT NULL DEFAULT session_user,
		payload jsonb NOT NULL DEFAULT '{}',
		PRIMARY KEY (book_id, event_id)
	);
	COMMENT ON TABLE ledger.event IS
		'What somebody may have to be told. Its rows are handed out by risk.read_events(), when risk.relay_events() has seen them committed. Append-only.';
	COMMENT ON COLUMN ledger.event.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.event.event_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.event.account_id IS 'The account that it is about; NULL: none.';
	COMMENT ON COLUMN ledger.event.posted_at IS 'When it was posted.';
	COMMENT ON COLUMN ledger.event.transaction_id IS 'The transaction that wrote it, for the relay; in the numbering of the cluster in which it was written.';
	COMMENT ON COLUMN ledger.event.kind IS 'What happened.';
	COMMENT ON COLUMN ledger.event.who IS 'Who ran the transaction.';
	COMMENT ON COLUMN ledger.event.payload IS 'The figures.';

	-- What posting still has to do before the transaction may commit.  These
	-- tables are empty whenever a transaction has committed.

	CREATE TABLE IF NOT EXISTS ledger.below_floor (
		book_id int NOT NULL,
		account_id bigint NOT NULL,
		PRIMARY KEY (book_id, account_id)
	);
	COMMENT ON TABLE ledger.below_floor IS
		'Accounts that this transaction took below their floor. Empty after commit.';
	COMMENT ON COLUMN ledger.below_floor.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.below_floor.account_id IS 'The account.';

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
	COMMENT ON COLUMN ledger.unmatched_execution.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.unmatched_execution.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.unmatched_execution.execution_id IS 'The execution.';
	COMMENT ON COLUMN ledger.unmatched_execution.transaction_id IS 'The transaction that inserted rows of it.';
	COMMENT ON COLUMN ledger.unmatched_execution.executed_at IS 'Of the earliest of these.';
	COMMENT ON COLUMN ledger.unmatched_execution.trades IS 'How many there are.';
	COMMENT ON COLUMN ledger.unmatched_execution.qty IS 'Sum of their signed quantities.';
	COMMENT ON COLUMN ledger.unmatched_execution.value IS 'Sum of their signed values.';

	CREATE TABLE IF NOT EXISTS ledger.late_fill (
		book_id int NOT NULL,
		trade_id bigint NOT NULL,
		account_id bigint NOT NULL,
		instrument_id int NOT NULL,
		qty numeric NOT NULL CHECK (qty <> 0),
		price numeric NOT NULL,
		PRIMARY KEY (book_id, trade_id)
	);
	COMMENT ON TABLE ledger.late_fill IS
		'What trades of this transaction opened of positions that were taken over already: the liquidity account gets it, see ledger.takeover. Empty after commit.';
	COMMENT ON COLUMN ledger.late_fill.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.late_fill.trade_id IS 'The trade.';
	COMMENT ON COLUMN ledger.late_fill.account_id IS 'Whose it is.';
	COMMENT ON COLUMN ledger.late_fill.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.late_fill.qty IS 'Contracts, signed as the account holds them.';
	COMMENT ON COLUMN ledger.late_fill.price IS 'The price of the trade.';

	CREATE TABLE IF NOT EXISTS ledger.added_risk (
		book_id int NOT NULL,
		instrument_id int NOT NULL,
		account_id bigint NOT NULL,
		trade_id bigint,
		qty_before numeric NOT NULL,
		PRIMARY KEY (book_id, account_id, instrument_id)
	);
	COMMENT ON TABLE ledger.added_risk IS
		'Positions that this transaction changed in instruments whose limits are enforced, what they were before, and the last trade of a trader that made them larger. Empty after commit.';
	COMMENT ON COLUMN ledger.added_risk.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.added_risk.instrument_id IS 'The instrument.';
	COMMENT ON COLUMN ledger.added_risk.account_id IS 'The account.';
	COMMENT ON COLUMN ledger.added_risk.trade_id IS 'The last trade that a limit may refuse; NULL: none.';
	COMMENT ON COLUMN ledger.added_risk.qty_before IS 'The position before the transaction.';
END
$function$;

COMMENT ON FUNCTION risk.create_tables(boolean) IS
	'Makes the tables of schema ledger that are missing; with true those that have a period are partitioned by it. Called by risk.install().';
REVOKE ALL ON FUNCTION risk.create_tables(boolean) FROM PUBLIC;
