-- wiring.sql
--		The hub that ties the tables of one ledger together.

CREATE FUNCTION risk.create_wiring() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	-- The hub.  It stays empty.  Each foreign key tells the C code where a
	-- table of this ledger is, from the relation cache alone; the last column
	-- of the key names the part that the table plays.  ON DELETE RESTRICT, where
	-- posting deletes rows: its check asks one question less than NO ACTION.

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
		late_fill bigint,
		funding timestamptz,
		funding_payment date,
		order_reserve bigint,
		margin_setting int,
		position_limit int,
		added_risk int,
		rule_kind text,
		from_kind text,
		to_kind text,
		transfer_rule int,
		journal date,
		hold bigint,
		hold_release bigint,
		open_hold bigint,
		original_kind text,
		reversal bigint,
		exchange date,
		collateral text,
		index_price text,
		shortfall date,
		open_shortfall bigint,
		takeover date,
		checkpoint int,
		checkpoint_balance int,
		shortfall_payment date,
		deleveraging date,
		fund_day date,
		fund_scope text,
		fund_use text,
		gainer_watch int,
		gainer_hold bigint,
		alert_state bigint,
		liquidation bigint,
		CONSTRAINT wiring_is_empty CHECK (false),
		FOREIGN KEY (book_id, asset, fund_day, fund_scope, fund_use) REFERENCES ledger.fund_use,
		FOREIGN KEY (book_id, alert_state) REFERENCES ledger.alert_state ON DELETE RESTRICT,
		FOREIGN KEY (book_id, late_fill) REFERENCES ledger.late_fill ON DELETE RESTRICT,
		FOREIGN KEY (book_id, liquidation) REFERENCES ledger.liquidation,
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
		FOREIGN KEY (book_id, below_floor) REFERENCES ledger.below_floor ON DELETE RESTRICT,
		FOREIGN KEY (book_id, transaction_id, execution_id, unmatched_execution)
			REFERENCES ledger.unmatched_execution ON DELETE RESTRICT,
		FOREIGN KEY (book_id, instrument_id, funding) REFERENCES ledger.funding,
		FOREIGN KEY (book_id, row_id, account_id, seq, funding_payment)
			REFERENCES ledger.funding_payment,
		FOREIGN KEY (book_id, account_id, order_reserve) REFERENCES ledger.order_reserve,
		FOREIGN KEY (book_id, account_id, margin_setting) REFERENCES ledger.margin_setting,
		FOREIGN KEY (position_limit) REFERENCES ledger.position_limit,
		FOREIGN KEY (book_id, account_id, added_risk) REFERENCES ledger.added_risk ON DELETE RESTRICT,
		FOREIGN KEY (rule_kind, from_kind, to_kind, transfer_rule) REFERENCES ledger.transfer_rule,
		FOREIGN KEY (book_id, row_id, journal) REFERENCES ledger.journal,
		FOREIGN KEY (book_id, hold) REFERENCES ledger.hold,
		FOREIGN KEY (book_id, hold_release) REFERENCES ledger.hold_release,
		FOREIGN KEY (book_id, account_id, open_hold) REFERENCES ledger.open_hold ON DELETE RESTRICT,
		FOREIGN KEY (book_id, original_kind, reversal) REFERENCES ledger.reversal,
		FOREIGN KEY (book_id, row_id, exchange) REFERENCES ledger.exchange,
		FOREIGN KEY (collateral) REFERENCES ledger.collateral,
		FOREIGN KEY (index_price) REFERENCES ledger.index_price,
		FOREIGN KEY (book_id, row_id, shortfall) REFERENCES ledger.shortfall,
		FOREIGN KEY (book_id, open_shortfall) REFERENCES ledger.open_shortfall ON DELETE RESTRICT,
		FOREIGN KEY (book_id, row_id, takeover) REFERENCES ledger.takeover,
		FOREIGN KEY (book_id, checkpoint) REFERENCES ledger.checkpoint,
		FOREIGN KEY (book_id, slot, account_id, checkpoint_balance) REFERENCES ledger.checkpoint_balance,
		FOREIGN KEY (book_id, row_id, shortfall_payment) REFERENCES ledger.shortfall_payment,
		FOREIGN KEY (book_id, row_id, deleveraging) REFERENCES ledger.deleveraging,
		FOREIGN KEY (gainer_watch) REFERENCES ledger.gainer_watch,
		FOREIGN KEY (book_id, gainer_hold) REFERENCES ledger.gainer_hold ON DELETE RESTRICT
	);
	COMMENT ON TABLE ledger.wiring IS
		'Holds no rows. Its foreign keys tie the tables of one ledger together, so that posting finds them without a catalogue query.';
END
$function$;
COMMENT ON FUNCTION risk.create_wiring() IS
	'Makes the hub of schema ledger, when all other tables are there. Called by risk.install().';
REVOKE ALL ON FUNCTION risk.create_wiring() FROM PUBLIC;
