-- policy.sql
--		The rules of a venue as data: one row for each version of a policy.

CREATE FUNCTION risk.create_policy_table() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.policy (
		policy_code text NOT NULL,
		version int NOT NULL DEFAULT 1 CHECK (version > 0),
		stages text[] NOT NULL,
		description text NOT NULL DEFAULT '',
		effective_at timestamptz NOT NULL DEFAULT clock_timestamp()
			CHECK (effective_at < '10000-01-01 UTC'),
		maintenance_basis text NOT NULL DEFAULT 'mark'
			CHECK (maintenance_basis IN ('mark', 'entry', 'amount')),
		liquidation_trigger text NOT NULL DEFAULT 'below'
			CHECK (liquidation_trigger IN ('below', 'at_or_below')),
		liquidation_fee_base numeric
			CHECK (liquidation_fee_base >= 0 AND liquidation_fee_base < 1),
		liquidation_fee_by_size numeric NOT NULL DEFAULT 0
			CHECK (liquidation_fee_by_size >= 0 AND liquidation_fee_by_size < 1),
		liquidation_fee_by_volatility numeric NOT NULL DEFAULT 0
			CHECK (liquidation_fee_by_volatility >= 0 AND liquidation_fee_by_volatility < 1),
		liquidation_fee_by_depth numeric NOT NULL DEFAULT 0
			CHECK (liquidation_fee_by_depth >= 0 AND liquidation_fee_by_depth < 1),
		liquidation_fee_minimum numeric NOT NULL DEFAULT 0.005
			CHECK (liquidation_fee_minimum >= 0),
		liquidation_fee_maximum numeric NOT NULL DEFAULT 0.02
			CHECK (liquidation_fee_maximum < 1),
		liquidation_fee_to_fund numeric NOT NULL DEFAULT 1
			CHECK (liquidation_fee_to_fund >= 0 AND liquidation_fee_to_fund <= 1),
		liquidation_fee_to_liquidator numeric NOT NULL DEFAULT 0
			CHECK (liquidation_fee_to_liquidator >= 0 AND liquidation_fee_to_liquidator <= 1),
		trading_fee_to_fund numeric NOT NULL DEFAULT 0
			CHECK (trading_fee_to_fund >= 0 AND trading_fee_to_fund <= 1),
		surplus_to text NOT NULL DEFAULT 'fund'
			CHECK (surplus_to IN ('fund', 'trader')),
		fund_scope text NOT NULL DEFAULT 'shared'
			CHECK (fund_scope IN ('shared', 'instrument')),
		fund_cap_per_event numeric
			CHECK (fund_cap_per_event >= 0 AND fund_cap_per_event < 'Infinity'),
		fund_cap_per_owner numeric
			CHECK (fund_cap_per_owner >= 0 AND fund_cap_per_owner < 'Infinity'),
		fund_cap_per_day numeric
			CHECK (fund_cap_per_day >= 0 AND fund_cap_per_day < 'Infinity'),
		recourse text NOT NULL DEFAULT 'none'
			CHECK (recourse IN ('none', 'debt')),
		freeze_scope text NOT NULL DEFAULT 'account'
			CHECK (freeze_scope IN ('account', 'owner')),
		frozen_reduces boolean NOT NULL DEFAULT true,
		penalty_rate numeric NOT NULL DEFAULT 0
			CHECK (penalty_rate >= 0 AND penalty_rate < 1),
		penalty_grace interval NOT NULL DEFAULT '0'
			CHECK (penalty_grace >= interval '0'),
		adl_formula text NOT NULL DEFAULT 'bitmex'
			CHECK (adl_formula IN ('bitmex', 'coinex', 'pnl_equity')),
		adl_guard text NOT NULL DEFAULT 'profit'
			CHECK (adl_guard IN ('profit', 'maintenance', 'equity')),
		adl_max_distance numeric
			CHECK (adl_max_distance >= 0 AND adl_max_distance < 'Infinity'),
		share_rule text NOT NULL DEFAULT 'claims'
			CHECK (share_rule IN ('claims', 'open_interest')),
		share_scope text NOT NULL DEFAULT 'instrument'
			CHECK (share_scope IN ('instrument', 'asset', 'book')),
		alert_levels numeric[] NOT NULL DEFAULT '{}'
			CHECK (coalesce(array_ndims(alert_levels), 1) = 1 AND array_position(alert_levels, NULL) IS NULL AND 0 < ALL (alert_levels) AND 10000 > ALL (alert_levels)),
		alert_hysteresis numeric NOT NULL DEFAULT 5
			CHECK (alert_hysteresis >= 0 AND alert_hysteresis < 1000),
		step_rule text NOT NULL DEFAULT 'tier'
			CHECK (step_rule IN ('tier', 'portion', 'shortage', 'all')),
		step_portion numeric NOT NULL DEFAULT 0.2
			CHECK (step_portion > 0 AND step_portion <= 1),
		liquidation_buffer numeric NOT NULL DEFAULT 0
			CHECK (liquidation_buffer >= 0 AND liquidation_buffer < 1000),
		execution text NOT NULL DEFAULT 'takeover'
			CHECK (execution IN ('takeover', 'mark', 'order')),
		order_timeout interval NOT NULL DEFAULT '30 seconds'
			CHECK (order_timeout > interval '0'),
		stop_execution text NOT NULL DEFAULT 'order'
			CHECK (stop_execution IN ('order', 'liquidity')),
		late_fill text NOT NULL DEFAULT 'book'
			CHECK (late_fill IN ('book', 'refuse')),
		pending_deposits_count boolean NOT NULL DEFAULT false,
		profit_backs_margin boolean NOT NULL DEFAULT false,
		gainer_hold_window interval
			CHECK (gainer_hold_window > interval '0'),
		gainer_hold_duration interval NOT NULL DEFAULT '24 hours'
			CHECK (gainer_hold_duration > interval '0'),
		collateral_group boolean NOT NULL DEFAULT false,
		refuse_uncovered boolean NOT NULL DEFAULT false,
		PRIMARY KEY (policy_code, version),
		CONSTRAINT policy_liquidation_fees_ascend
			CHECK (liquidation_fee_minimum <= liquidation_fee_maximum),
		CONSTRAINT policy_shares_liquidation_fee_once
			CHECK (liquidation_fee_to_fund + liquidation_fee_to_liquidator <= 1),
		CONSTRAINT policy_stages_are_known
			CHECK (array_ndims(stages) = 1
				   AND stages <@ ARRAY['own', 'fund', 'fund_if_whole', 'house', 'receivable', 'reject', 'suspense', 'adl', 'socialise']
				   AND array_position(stages, NULL) IS NULL),
		CONSTRAINT policy_begins_with_own CHECK (stages[1] = 'own'),
		CONSTRAINT policy_ends_with_who_pays_the_rest
			CHECK (stages[cardinality(stages)] IN ('house', 'receivable', 'reject', 'socialise')),
		CONSTRAINT policy_stages_are_in_order
			CHECK (array_to_string(stages, ' ') ~
				   '^own( fund| fund_if_whole)?( house| receivable| reject| suspense( adl)?( fund)?( socialise)?( house| receivable)?)$'),
		CONSTRAINT policy_rejects_without_recourse
			CHECK (recourse = 'none' OR stages[cardinality(stages)] <> 'reject')
	);
	COMMENT ON TABLE ledger.policy IS
		'The rules of a class of accounts. Append-only: a change is a new version, and what happened under an old one names it.';
	COMMENT ON COLUMN ledger.policy.policy_code IS 'The name of the class of accounts.';
	COMMENT ON COLUMN ledger.policy.version IS 'Counts the versions of a policy. In force is the highest whose effective_at has come.';
	COMMENT ON COLUMN ledger.policy.stages IS 'Who pays for a balance below its floor, in order. In the commit: own (out of the account itself), fund (the insurance fund, as far as it goes), fund_if_whole (the fund where it covers the whole shortfall, else nothing), house (the venue, without limit), receivable (likewise, as a claim of the venue on the trader), reject (nobody: the transaction is refused), suspense (what the stages after it are to bear). After the commit, by risk.settle(): adl (auto-deleveraging), fund (with what is left), socialise (the profitable accounts), house or receivable (the rest).';
	COMMENT ON COLUMN ledger.policy.description IS 'What the rules are for, in words.';
	COMMENT ON COLUMN ledger.policy.effective_at IS 'From when on the version may be in force; never before the time at which it is written.';
	COMMENT ON COLUMN ledger.policy.maintenance_basis IS 'What the maintenance margin is taken on. mark: the notional at the mark; entry: the notional at entry, abs(cost); amount: it is the maintenance_amount of the tier that holds for the notional at entry.';
	COMMENT ON COLUMN ledger.policy.liquidation_trigger IS 'When an account with an open position is to be liquidated: its equity is below its requirement, or at_or_below.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_base IS 'Rate of the liquidation fee of a small position in a market as usual, see risk.liquidation_fee_rate(): 0.01 is 1 %. NULL: no fee. The fee on the whole position is a part of what the equity is compared with.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_by_size IS 'What ln(1 + size / instrument.reference_notional) adds to the rate; the size is the notional at entry.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_by_volatility IS 'What each 1 adds that the scale in ledger.margin_scale is above 1.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_by_depth IS 'What each 1 adds that instrument.depth_ratio is below 1.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_minimum IS 'The lowest rate.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_maximum IS 'The highest rate.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_to_fund IS 'The part of a liquidation fee that goes to the insurance fund.';
	COMMENT ON COLUMN ledger.policy.liquidation_fee_to_liquidator IS 'The part of a liquidation fee that goes to who closes the position. What neither gets is the venue''s (fee account).';
	COMMENT ON COLUMN ledger.policy.trading_fee_to_fund IS 'The part of each trading fee that goes to the insurance fund instead of the fee account, rounded down to the scale of the asset.';
	COMMENT ON COLUMN ledger.policy.surplus_to IS 'Whose it is when a liquidation closes better than the bankruptcy price: fund or trader.';
	COMMENT ON COLUMN ledger.policy.fund_scope IS 'shared: the insurance fund of the asset pays; instrument: first the fund of the instrument that caused the loss, where there is one, and the shared one for the rest.';
	COMMENT ON COLUMN ledger.policy.fund_cap_per_event IS 'The most that the fund pays for one shortfall, in the asset; NULL: no cap. What a cap cuts goes on to the next stage. Of any cap with more digits than the asset the fund pays whole units, rounded down.';
	COMMENT ON COLUMN ledger.policy.fund_cap_per_owner IS 'The most that the fund pays for one owner in one UTC day; NULL: no cap. An account without an owner is its own.';
	COMMENT ON COLUMN ledger.policy.fund_cap_per_day IS 'The most that the fund pays for accounts of this policy in one UTC day; NULL: no cap.';
	COMMENT ON COLUMN ledger.policy.recourse IS 'none: what others paid is not asked back; debt: every unit of it is owed, see ledger.debt.';
	COMMENT ON COLUMN ledger.policy.freeze_scope IS 'With recourse, what is frozen until the debt is settled: the account, or all accounts of its owner in the book.';
	COMMENT ON COLUMN ledger.policy.frozen_reduces IS 'Whether trades that reduce a position are booked while the account is frozen; if not they are refused (55000), but for those that were executed before the account ceased to be active. Forced trades are booked all the same.';
	COMMENT ON COLUMN ledger.policy.penalty_rate IS 'What an overdue instalment costs for each day begun after the grace, of what is overdue: 0.001 is 0.1 %.';
	COMMENT ON COLUMN ledger.policy.penalty_grace IS 'How long an instalment may be late before the penalty begins.';
	COMMENT ON COLUMN ledger.policy.adl_formula IS 'By what the counterparties of auto-deleveraging are ranked.';
	COMMENT ON COLUMN ledger.policy.adl_guard IS 'Whom auto-deleveraging passes over: whoever the price would put at a loss (profit), below his maintenance margin (maintenance), or below zero equity (equity).';
	COMMENT ON COLUMN ledger.policy.adl_max_distance IS 'The most by which the price of auto-deleveraging may be worse than the mark for the counterparty, as a part of the mark: 0.1 is 10 %. NULL: no limit.';
	COMMENT ON COLUMN ledger.policy.share_rule IS 'How a socialised loss is shared: by what each has gained (claims), or by each contract that is open, on both sides (open_interest).';
	COMMENT ON COLUMN ledger.policy.share_scope IS 'Who shares it: those with a claim in the instrument, in any instrument of the asset, or in the book.';
	COMMENT ON COLUMN ledger.policy.alert_levels IS 'Margin levels in percent at which the trader is warned, once per crossing: 150, 120, 105, say.';
	COMMENT ON COLUMN ledger.policy.alert_hysteresis IS 'By how many percentage points the level has to recover above an alert level before that one can warn again.';
	COMMENT ON COLUMN ledger.policy.step_rule IS 'How much a liquidation closes at a time. tier: down to the next tier; portion: step_portion of the position; shortage: just what brings the level above 100 % and the buffer; all: everything.';
	COMMENT ON COLUMN ledger.policy.step_portion IS 'For step_rule portion.';
	COMMENT ON COLUMN ledger.policy.liquidation_buffer IS 'A liquidation stops strictly above a margin level of 100 % plus so many percentage points.';
	COMMENT ON COLUMN ledger.policy.execution IS 'How a liquidation closes: takeover: the liquidity account takes the position at the bankruptcy price; mark: at the mark; order: an order goes out, and trades come back.';
	COMMENT ON COLUMN ledger.policy.order_timeout IS 'How long an order of a liquidation may stay out before the position is taken over.';
	COMMENT ON COLUMN ledger.policy.stop_execution IS 'What a stop order does when the mark reaches it. order: its event goes to the matching engine; liquidity: it is executed at the mark against the liquidity account.';
	COMMENT ON COLUMN ledger.policy.late_fill IS 'What becomes of a late fill: one that adds risk, was executed (trade.executed_at) before the account ceased to be active, and comes after it. book: it is a fact, and booked, with an event late_fill; refuse: 55000. One that was executed later is refused either way, as is any on a closed account.';
	COMMENT ON COLUMN ledger.policy.pending_deposits_count IS 'Whether deposits that are announced count for margin. They never count for withdrawals.';
	COMMENT ON COLUMN ledger.policy.profit_backs_margin IS 'Whether unrealised profit covers initial margin when a withdrawal is judged. It is never paid out itself.';
	COMMENT ON COLUMN ledger.policy.gainer_hold_window IS 'After the fund paid for a loss in an instrument, those who gained most in it within this time cannot withdraw that gain until the payout is covered or the hold ends. NULL: nobody is held.';
	COMMENT ON COLUMN ledger.policy.gainer_hold_duration IS 'How long such a hold lasts at the most.';
	COMMENT ON COLUMN ledger.policy.refuse_uncovered IS 'Whether a trade is refused (23514 at commit) that adds risk and leaves free_collateral below zero, or the account liquidatable, see ledger.account_risk. False: a trade of the engine is a fact, and booked; risk.check_order() says so before.';
	COMMENT ON COLUMN ledger.policy.collateral_group IS 'Whether the accounts with this policy are in margin groups. The group of an owner in a book is all of his accounts with such policies but for the children that hold isolated positions: what one can spare is collateral for the others, see ledger.collateral and ledger.margin_group. The same in all versions of a policy.';
END
$function$;
COMMENT ON FUNCTION risk.create_policy_table() IS
	'Makes the table of policies. A part of risk.create_tables().';

CREATE FUNCTION risk.check_policy() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	-- its accounts are told from the others by a column of their own
	IF EXISTS (SELECT FROM ledger.policy p
				WHERE p.policy_code = NEW.policy_code AND p.collateral_group <> NEW.collateral_group) THEN
		RAISE EXCEPTION 'policy % cannot change collateral_group', NEW.policy_code
			USING ERRCODE = '55000',
				  DETAIL = format('It is %s in the versions that are there.', NOT NEW.collateral_group),
				  HINT = 'Make another policy, and give it to the accounts.';
	END IF;
	-- what has happened is judged by what was in force then
	NEW.effective_at := greatest(NEW.effective_at, clock_timestamp());
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_policy() IS
	'Raises 55000 when a version of a policy differs from the others in collateral_group; lets none be in force before it is written.';

CREATE FUNCTION risk.shipped_policies(OUT policy_code text, OUT rules jsonb)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$
	VALUES
	('default', jsonb '{"stages": ["own", "fund", "house"], "description": "A balance below its floor is reset at once: out of the account''s own profit, then by the insurance fund, then by the house. No liquidation fee."}'),
	('electra', '{"stages": ["own", "fund", "house"], "liquidation_trigger": "below",
		"liquidation_fee_base": 0.005, "liquidation_fee_by_size": 0.002, "liquidation_fee_by_volatility": 0.005, "liquidation_fee_by_depth": 0.005,
		"liquidation_fee_minimum": 0.005, "liquidation_fee_maximum": 0.02, "trading_fee_to_fund": 0.1, "execution": "mark", "surplus_to": "trader", "alert_levels": [150, 120, 105],
		"description": "Automatic negative balance reset: a trader never owes more than the deposit. The insurance fund pays the difference, then the house; it is filled by liquidation fees of 0.5 % to 2 %, which grow with size, volatility and lack of depth, and by a tenth of trading fees. Liquidation at the mark when the equity is below the requirement; what is left is the trader''s."}'),
	('nebannpet', '{"stages": ["own", "fund", "receivable"], "recourse": "debt", "freeze_scope": "owner", "frozen_reduces": false,
		"penalty_rate": 0.001, "penalty_grace": "3 days", "liquidation_trigger": "at_or_below", "surplus_to": "fund", "alert_levels": [150, 120, 105],
		"description": "Freeze, debt, repayment: the insurance fund and then the venue cover a deficit, and every unit of it is owed. All accounts of the owner in the book are frozen, without any trade, until the debt is settled; a late instalment costs 0.1 % a day after three days. Liquidation where the equity is used up; what a liquidation leaves above bankruptcy is the fund''s."}'),
	('coinex', '{"stages": ["own", "fund_if_whole", "suspense", "adl", "fund", "house"], "adl_formula": "coinex",
		"liquidation_trigger": "at_or_below", "surplus_to": "fund", "step_rule": "tier", "alert_levels": [150, 120, 105],
		"description": "Liquidation tier by tier, at a margin level of 100 % or less. The insurance fund pays where it covers the whole loss. Else, with the fund untouched, the position is closed against the highest ranked of the other side (profit times leverage); then the fund pays with what it has, then the house. The surplus of a liquidation is the fund''s."}'),
	('shared_loss', '{"stages": ["own", "fund", "suspense", "socialise"],
		"description": "Socialised loss: what the insurance fund cannot pay is shared among those who have gained in the instrument."}'),
	('strict', '{"stages": ["own", "reject"],
		"description": "Nobody pays for another: what the account cannot cover out of its own profit is refused."}')
$function$;
COMMENT ON FUNCTION risk.shipped_policies() IS
	'The policies that risk.install() puts in, each as risk.change_policy() takes it: the columns of ledger.policy in which it differs from their defaults. default is that of accounts that name none; the others are rules of venues, and their description says which.';

CREATE FUNCTION risk.change_policy(policy_code text, changes jsonb) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	last_version jsonb;
	next_version jsonb;
	columns text;
	unknown text;
BEGIN
	IF policy_code IS NULL OR jsonb_typeof(changes) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'a change of a policy is an object of columns and values'
			USING ERRCODE = '22023', DETAIL = format('Policy %s, changes %s.', coalesce(policy_code, 'NULL'), coalesce(changes::text, 'NULL')),
				  HINT = 'Give it as {"column": value}.';
	END IF;
	SELECT string_agg(k.key, ', ' ORDER BY k.key) INTO unknown
	  FROM jsonb_object_keys(changes) AS k(key)
	 WHERE k.key IN ('policy_code', 'version')
		OR NOT EXISTS (SELECT FROM pg_attribute a
						WHERE a.attrelid = 'ledger.policy'::regclass AND a.attname = k.key AND a.attnum > 0 AND NOT a.attisdropped);
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'policy % cannot change in %', policy_code, unknown
			USING ERRCODE = '22023', DETAIL = 'These are not columns of ledger.policy, or its key.',
				  HINT = 'The columns are described in ledger.policy.';
	END IF;

	SELECT to_jsonb(p) INTO last_version
	  FROM ledger.policy p WHERE p.policy_code = change_policy.policy_code ORDER BY p.version DESC LIMIT 1;
	next_version := coalesce(last_version, '{}') || changes
		|| jsonb_build_object('policy_code', policy_code, 'version', coalesce((last_version ->> 'version')::int, 0) + 1);
	-- a version that is still to come would never be in force, and this one bring its rules before their time
	IF (next_version ->> 'effective_at')::timestamptz < (last_version ->> 'effective_at')::timestamptz
		AND (last_version ->> 'effective_at')::timestamptz > clock_timestamp() THEN
		RAISE EXCEPTION 'policy % has a version that is still to come', policy_code
			USING ERRCODE = '22023', DETAIL = format('Version %s is in force from %s on.', last_version ->> 'version', (last_version ->> 'effective_at')::timestamptz),
				  HINT = 'Leave effective_at out, or give a later one.';
	END IF;

	SELECT string_agg(quote_ident(k.key), ', ') INTO columns FROM jsonb_object_keys(next_version) AS k(key);
	EXECUTE format('INSERT INTO ledger.policy (%1$s) SELECT %1$s FROM jsonb_populate_record(NULL::ledger.policy, $1)', columns)
		USING next_version;
	RETURN (next_version ->> 'version')::int;
END
$function$;
COMMENT ON FUNCTION risk.change_policy(text, jsonb) IS
	'Writes the next version of a policy: the last one with the columns in changes replaced, or, of a code that is new, the defaults with them; returns its number. It is in force at once, or from effective_at on; after a version that is still to come, not before that one. Errors: 22023 for what is not a column, or an earlier time; 23514 where a CHECK of ledger.policy refuses it, 55000 for another collateral_group; 23505 when somebody else writes the same version at the time.';

REVOKE ALL ON FUNCTION risk.create_policy_table(), risk.check_policy(), risk.change_policy(text, jsonb) FROM PUBLIC;
