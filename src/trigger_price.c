/*
 * trigger_price.c
 *		The mark prices at which accounts have to be looked at.
 *
 * Each open position of a trader has a trigger, by which the sweep finds it: a
 * long one when its mark is at or below it, a short one at or above.  Ticks
 * never write triggers; postings do, and only when they must:
 *
 *	The balance W of an account is split.  Position i gets the part b_i, and
 *	what is left over is the reserve R = W - sum(b_i) >= 0 in its balance row.
 *	The trigger of i is the price at which i, alone with b_i, has an equity of
 *	just what it requires: b_i + u_i(t_i) = r_i(t_i), rounded towards the safe
 *	side.  b_i + u_i - r_i grows strictly towards that side, since no rate
 *	comes to 1 (else the position is always due).  So while no mark is at its
 *	trigger or beyond, b_i + u_i > r_i for every i, and in sum
 *
 *		W + sum(u_i) >= sum(b_i) + sum(u_i) > sum(r_i):
 *
 *	the equity is above the requirement.  This holds whatever the marks were
 *	when W was split; they only decide how well.
 *
 * A balance that changes changes the reserve with it, in the same row.  When
 * it is used up, or a position has changed, W is split anew: each part is what
 * the position lacks at the mark, and BAND_PERCENT of the account's slack in
 * proportion to the notionals; the rest is reserve.  Of positions that have
 * not changed themselves, a trigger that is earlier than need be stays.  A
 * position without a mark counts at its cost, as everywhere.
 *
 * Always due, with a trigger that every mark has passed (Infinity for a long,
 * 0 for a short one), and without a reserve, are the positions of accounts
 * without slack, of margin groups, whose other members and index prices move
 * without them, and of accounts in debt, whose instalments fall due by
 * themselves.  Deposits that are announced count for nothing here, and the
 * scale of the rates is the highest that is known for now and later: both are
 * early, never late.  When tiers, scales, policies or the market data of fees
 * change, the sweep brings all positions up to date that they concern, see
 * ledger.margin_change.
 *
 * Alerts have triggers of their own, kept likewise.  With r_i times L for r_i,
 * L the highest alert level that has not been told, alert_price is where the
 * account has to be looked at again, and the reserve is the smaller one of the
 * two.  While a level M has been told, rearm_price is on the other side, where
 * the account may have recovered to M and the hysteresis:
 *
 *		W + sum(u_i) <= sum(b_i) + sum(u_i) < (M + h) sum(r_i)
 *
 * as long as no mark has come there, with sum(b_i) >= W.  Here the requirement
 * must not be taken too high: the part of the fee that thin markets make is
 * left out, and where more is not known for sure every mark is due.  There is
 * no room for changes of the balance, so each of them splits it anew: the
 * reserve is -Infinity.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "formulas.h"
#include "trigger_price.h"

/* What part of the slack the positions get. */
#define BAND_PERCENT	80

/* A trigger is early by this part of it, and rounded to so many decimals. */
#define TRIGGER_SCALE	12

/* An instrument, as triggers take it. */
typedef struct Terms
{
	int32		instrument_id;
	ContractKind kind;
	Decimal		multiplier;
	bool		marked;
	Decimal		mark_price;
	bool		has_reference;
	Decimal		reference_notional;
	Decimal		depth_ratio;
	Decimal		margin_scale;
	bool		scale_is_sure;	/* no other one is known for later */
	TierTable	tiers;
	Decimal    *fixed_amounts;	/* of the tiers, for maintenance as an amount */
} Terms;

typedef struct Rules
{
	char	   *policy_code;
	char		basis;			/* of maintenance: m, e or a */
	bool		has_fee;
	LiquidationFee fee;
	int			nlevels;
	Decimal    *levels;			/* of alerts, in percent */
	Decimal		hysteresis;
	bool		counts_pending; /* deposits that are announced */
} Rules;

/* What triggers are for. */
typedef enum Watch
{
	WATCH_LIQUIDATION,
	WATCH_ALERT,
	WATCH_REARM,				/* of alerts: the other way */
	WATCHES
} Watch;

typedef struct BandedPosition
{
	LedgerAccount *account;
	Terms	   *terms;
	Holding		holding;
	Numeric		triggers[WATCHES];	/* as they are stored; NULL: none */
	Numeric		new_triggers[WATCHES];

	bool		by_mark;		/* maintenance moves with the price */
	Decimal		maintenance;	/* at the mark */
	Decimal		fee_rate;
	Decimal		lowest_fee_rate;
	Decimal		notional;		/* at the mark */
	Decimal		pnl;
} BandedPosition;

/* What one watch asks of an account: its equity is compared with so many times the requirement. */
typedef struct Band
{
	Watch		watch;
	bool		always_due;
	Decimal		percent;
} Band;

static const LedgerStatement read_positions = {
	"SELECT p.account_id, p.instrument_id, p.qty, p.cost, p.trigger_price, p.alert_price, p.rearm_price,"
	" (SELECT s.fired_level FROM {alert_state} s"
	"  WHERE s.book_id = $1 AND s.account_id = p.account_id OFFSET 0),"
	" EXISTS (SELECT FROM {schema}.debt d"
	"  WHERE d.book_id = $1 AND d.account_id = p.account_id AND d.settled_at IS NULL OFFSET 0)"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT p.* FROM {position} p"
	"  WHERE p.book_id = $1 AND p.account_id = u.account_id OFFSET 0) AS p"
	" WHERE p.qty <> 0 OR p.trigger_price IS NOT NULL OR p.alert_price IS NOT NULL OR p.rearm_price IS NOT NULL"
	" ORDER BY p.account_id, p.instrument_id",
	2, {INT4OID, INT8ARRAYOID}
};

/* Of the scales, the one in force at the time of the mark and all that come after it. */
static const LedgerStatement read_terms = {
	"SELECT i.instrument_id, i.kind, i.multiplier, m.price, i.reference_notional, i.depth_ratio,"
	" CASE WHEN v.since IS NULL THEN greatest(v.scale, 1) ELSE v.scale END, t.floors, t.rates, t.amounts,"
	" CASE WHEN v.since IS NULL THEN v.scale IS NULL ELSE v.scale = v.lowest END"
	" FROM unnest($1) AS u(instrument_id)"
	" JOIN {instrument} i ON i.instrument_id = u.instrument_id"
	" LEFT JOIN {mark_price} m ON m.instrument_id = u.instrument_id"
	" CROSS JOIN LATERAL ("
	"  SELECT f.since, s.scale, s.lowest"
	"  FROM (SELECT (SELECT max(e.effective_at) FROM {schema}.margin_scale e"
	"   WHERE e.instrument_id = u.instrument_id AND e.effective_at <= m.observed_at) AS since OFFSET 0) AS f"
	"  CROSS JOIN LATERAL (SELECT max(s.scale) AS scale, min(s.scale) AS lowest FROM {schema}.margin_scale s"
	"   WHERE s.instrument_id = u.instrument_id AND s.effective_at >= coalesce(f.since, '-infinity') OFFSET 0) AS s"
	"  OFFSET 0) AS v"
	" CROSS JOIN LATERAL ("
	"  SELECT array_agg(g.notional_floor ORDER BY g.notional_floor) AS floors,"
	"   array_agg(CASE WHEN v.scale IS NULL THEN g.maintenance_rate"
	"    WHEN v.since IS NULL THEN greatest(g.maintenance_rate, risk.scaled_rate(g.maintenance_rate, v.scale, g.max_leverage))"
	"    ELSE risk.scaled_rate(g.maintenance_rate, v.scale, g.max_leverage) END ORDER BY g.notional_floor) AS rates,"
	"   array_agg(g.maintenance_amount ORDER BY g.notional_floor) AS amounts"
	"  FROM (SELECT r.notional_floor, r.maintenance_rate, r.max_leverage, r.maintenance_amount FROM {margin_tier} r"
	"    WHERE r.instrument_id = u.instrument_id"
	"   UNION ALL SELECT 0, 0, 1, 0 WHERE NOT EXISTS (SELECT FROM {margin_tier} z"
	"    WHERE z.instrument_id = u.instrument_id AND z.notional_floor = 0)) AS g) AS t",
	1, {INT4ARRAYOID}
};

static const LedgerStatement read_rules = {
	"SELECT c.policy_code, p.maintenance_basis, p.liquidation_fee_base, p.liquidation_fee_by_size,"
	" p.liquidation_fee_by_volatility, p.liquidation_fee_by_depth, p.liquidation_fee_minimum, p.liquidation_fee_maximum,"
	" p.alert_levels, p.alert_hysteresis, p.pending_deposits_count"
	" FROM unnest($1) AS c(policy_code), LATERAL ("
	"  SELECT p.* FROM {policy} p WHERE p.policy_code = c.policy_code AND p.effective_at <= clock_timestamp()"
	"  ORDER BY p.version DESC LIMIT 1) AS p",
	1, {TEXTARRAYOID}
};

static const LedgerStatement write_triggers = {
	"INSERT INTO {position} AS p (book_id, account_id, instrument_id, trades, qty, cost, trigger_price, alert_price, rearm_price)"
	" SELECT $1, u.account_id, u.instrument_id, 0, 0, 0, u.trigger_price, u.alert_price, u.rearm_price"
	" FROM unnest($2, $3, $4, $5, $6) AS u(account_id, instrument_id, trigger_price, alert_price, rearm_price)"
	" ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE"
	" SET trigger_price = excluded.trigger_price, alert_price = excluded.alert_price, rearm_price = excluded.rearm_price",
	6, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID}
};

/* Who has no position any more has nothing to be told, and begins anew. */
static const LedgerStatement delete_alert_states = {
	"DELETE FROM {alert_state} s WHERE s.book_id = $1 AND s.account_id = ANY ($2)",
	2, {INT4OID, INT8ARRAYOID}
};

/* trigger_prices_are_due: whether the triggers of an account have to be reckoned anew */
bool
trigger_prices_are_due(const LedgerAccount *account)
{
	return account->kind == ACCOUNT_TRADER &&
		(account->moved != NIL || account->rebanded ||
		 (account->changed && account->reserve != NULL && decimal_sign(account->reserve) < 0));
}

/* Copies, which outlive the result. */
static Decimal *
result_decimals(uint64 row, int column, int *n)
{
	bool		isnull;
	ArrayType  *array = DatumGetArrayTypePCopy(result_datum(row, column, &isnull));
	Datum	   *elements;
	bool	   *nulls;
	Decimal    *decimals;

	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	decimals = palloc(sizeof(Decimal) * *n);
	for (int i = 0; i < *n; i++)
		decimals[i] = dec_from_datum(elements[i]);
	return decimals;
}

static Decimal
result_decimal(uint64 row, int column)
{
	return dec_from_numeric(result_numeric(row, column));
}

/* The terms of the instruments of these positions, whose ids are in instrument_ids. */
static void
read_position_terms(Wiring *wiring, BandedPosition *positions, int32 *instrument_ids, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		values[1];
	int			nids = 0;
	Terms	   *terms;

	for (int i = 0; i < n; i++)
	{
		bool		listed = false;

		for (int j = 0; j < nids && !listed; j++)
			listed = DatumGetInt32(ids[j]) == instrument_ids[i];
		if (!listed)
			ids[nids++] = Int32GetDatum(instrument_ids[i]);
	}
	values[0] = array_argument(ids, NULL, nids, INT4OID);
	wiring_read(wiring, &read_terms, values, LEDGER_LATEST);
	nids = SPI_processed;
	terms = palloc0(sizeof(Terms) * nids);
	for (int row = 0; row < nids; row++)
	{
		Terms	   *t = &terms[row];
		Numeric		mark_price = result_numeric(row, 4);
		Numeric		reference = result_numeric(row, 5);
		Numeric		scale = result_numeric(row, 7);
		Decimal    *amounts;

		t->instrument_id = result_int32(row, 1);
		t->kind = contract_kind(result_text(row, 2));
		t->multiplier = result_decimal(row, 3);
		t->marked = mark_price != NULL;
		if (t->marked)
			t->mark_price = dec_from_numeric(mark_price);
		t->has_reference = reference != NULL;
		if (t->has_reference)
			t->reference_notional = dec_from_numeric(reference);
		t->depth_ratio = result_decimal(row, 6);
		t->margin_scale = scale == NULL ? dec_integer(1) : dec_from_numeric(scale);
		t->tiers.floors = result_decimals(row, 8, &t->tiers.n);
		t->tiers.rates = result_decimals(row, 9, &t->tiers.n);
		t->fixed_amounts = result_decimals(row, 10, &t->tiers.n);
		t->scale_is_sure = result_bool(row, 11);
		amounts = palloc(sizeof(Decimal) * t->tiers.n);
		derive_tier_amounts(t->tiers.n, t->tiers.floors, t->tiers.rates, amounts);
		t->tiers.amounts = amounts;
	}
	for (int i = 0; i < n; i++)
		for (int t = 0; t < nids; t++)
			if (terms[t].instrument_id == instrument_ids[i])
				positions[i].terms = &terms[t];
}

static Rules *
read_account_rules(Wiring *wiring, LedgerAccount **accounts, int n, int *nrules)
{
	Datum	   *codes = palloc(sizeof(Datum) * n);
	Datum		values[1];
	int			ncodes = 0;
	Rules	   *rules;

	for (int i = 0; i < n; i++)
	{
		bool		listed = false;

		for (int j = 0; j < ncodes && !listed; j++)
			listed = strcmp(TextDatumGetCString(codes[j]), accounts[i]->policy_code) == 0;
		if (!listed)
			codes[ncodes++] = CStringGetTextDatum(accounts[i]->policy_code);
	}
	values[0] = array_argument(codes, NULL, ncodes, TEXTOID);
	wiring_read(wiring, &read_rules, values, LEDGER_LATEST);
	*nrules = SPI_processed;
	rules = palloc0(sizeof(Rules) * Max(*nrules, 1));
	for (int row = 0; row < *nrules; row++)
	{
		rules[row].policy_code = result_text(row, 1);
		rules[row].basis = result_text(row, 2)[0];
		rules[row].has_fee = result_numeric(row, 3) != NULL;
		if (rules[row].has_fee)
			rules[row].fee = (LiquidationFee)
		{
			.base = result_decimal(row, 3), .by_size = result_decimal(row, 4),
				.by_volatility = result_decimal(row, 5), .by_depth = result_decimal(row, 6),
				.minimum = result_decimal(row, 7), .maximum = result_decimal(row, 8)
		};
		rules[row].levels = result_decimals(row, 9, &rules[row].nlevels);
		rules[row].hysteresis = result_decimal(row, 10);
		rules[row].counts_pending = result_bool(row, 11);
	}
	return rules;
}

/* So that every change of the balance uses it up. */
static Numeric
no_reserve(void)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum("-Infinity"),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static Decimal
fee_rate(const BandedPosition *position, const Rules *rules, bool lowest)
{
	const Terms *terms = position->terms;
	LiquidationFee fee;

	if (rules == NULL || !rules->has_fee)
		return dec_integer(0);
	fee = rules->fee;
	if (!terms->has_reference)
		fee.by_size = dec_integer(0);
	if (lowest)
		fee.by_depth = dec_integer(0);
	return liquidation_fee_rate(&fee, dec_absolute(position->holding.cost),
								terms->has_reference ? terms->reference_notional : dec_integer(1),
								terms->margin_scale, terms->depth_ratio);
}

/* What a position is, and what it requires, at the mark. */
static void
value_position(BandedPosition *position, const Rules *rules)
{
	Terms	   *terms = position->terms;
	Decimal		entry = dec_absolute(position->holding.cost);

	position->fee_rate = fee_rate(position, rules, false);
	position->lowest_fee_rate = fee_rate(position, rules, true);
	position->notional = entry;
	position->pnl = dec_integer(0);
	if (terms->marked)
	{
		position->notional = holding_notional(terms->kind, position->holding.qty, terms->mark_price, terms->multiplier);
		position->pnl = holding_pnl(&position->holding, terms->mark_price);
	}
	position->by_mark = rules == NULL || rules->basis == 'm';
	if (position->by_mark)
		position->maintenance = maintenance_margin_by_tiers(&terms->tiers, position->notional);
	else if (rules->basis == 'e')
		position->maintenance = maintenance_margin_by_tiers(&terms->tiers, entry);
	else
		position->maintenance = terms->fixed_amounts[tier_of_notional(&terms->tiers, entry)];
}

/* So many percent of an amount or a rate; exact. */
static Decimal
in_percent(Decimal value, const Band *band)
{
	Decimal		hundredth = {{1, 2}, NULL};

	return dec_multiply(dec_multiply(value, band->percent), hundredth);
}

static Decimal
fee_rate_for(const BandedPosition *position, const Band *band)
{
	return in_percent(band->watch == WATCH_REARM ? position->lowest_fee_rate : position->fee_rate, band);
}

/* What a position needs of the balance at the mark. */
static Decimal
lacks(const BandedPosition *position, const Band *band)
{
	return dec_subtract(liquidation_requirement(position->notional, in_percent(position->maintenance, band),
												fee_rate_for(position, band)),
						position->pnl);
}

/* Whether a watch looks at falling prices, or else at rising ones. */
static bool
looks_down(const BandedPosition *position, Watch watch)
{
	return (dec_sign(position->holding.qty) > 0) == (watch != WATCH_REARM);
}

/* The trigger that every mark has passed. */
static Numeric
always_due(const BandedPosition *position, Watch watch)
{
	if (!looks_down(position, watch))
		return decimal_from_int64(0);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum("Infinity"),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* The tiers with their rates times the percentage; none where maintenance does not move with the price. */
static TierTable
tiers_for(const BandedPosition *position, const Band *band)
{
	const TierTable *tiers = &position->terms->tiers;
	int			n = position->by_mark ? tiers->n : 1;
	Decimal    *floors = palloc(sizeof(Decimal) * n);
	Decimal    *rates = palloc(sizeof(Decimal) * n);
	Decimal    *amounts = palloc(sizeof(Decimal) * n);

	floors[0] = rates[0] = amounts[0] = dec_integer(0);
	for (int t = 0; position->by_mark && t < n; t++)
	{
		floors[t] = tiers->floors[t];
		rates[t] = in_percent(tiers->rates[t], band);
		amounts[t] = in_percent(tiers->amounts[t], band);
	}
	return (TierTable) {n, floors, rates, amounts};
}

/* Whether what is required grows less than the equity falls, at every price. */
static bool
is_monotone(const TierTable *tiers, Decimal fee)
{
	for (int t = 0; t < tiers->n; t++)
		if (dec_compare(dec_add(tiers->rates[t], fee), dec_integer(1)) >= 0)
			return false;
	return true;
}

/* The price at which a position, alone with this part of the balance, has just what the band asks for. */
static Numeric
trigger_of_part(const BandedPosition *position, const Band *band, Decimal part)
{
	TierTable	tiers = tiers_for(position, band);
	Decimal		fee = fee_rate_for(position, band);
	Surroundings account = {part, dec_integer(0), position->by_mark ? dec_integer(0) : in_percent(position->maintenance, band)};
	Decimal		early = {{1, TRIGGER_SCALE}, NULL};
	Decimal		price;

	if (!is_monotone(&tiers, fee))
		return always_due(position, band->watch);
	if (!holding_liquidation_price_by_tiers(&position->holding, &account, &tiers, fee, &price))
	{
		bool		has_more = notional_direction(&position->holding) > 0;	/* than it needs, at every price */

		return has_more == (band->watch != WATCH_REARM) ? NULL : always_due(position, band->watch);
	}

	if (looks_down(position, band->watch))
		price = dec_round(dec_multiply(price, dec_add(dec_integer(1), early)), TRIGGER_SCALE, DECIMAL_UP);
	else
		price = dec_round(dec_multiply(price, dec_subtract(dec_integer(1), early)), TRIGGER_SCALE, DECIMAL_DOWN);
	return dec_to_numeric(price);
}

/* The share of a position in an amount, by notional, rounded down. */
static Decimal
share_of(Decimal amount, const BandedPosition *position, Decimal notional, int n, int scale)
{
	if (dec_sign(notional) == 0)
		return dec_divide_rounded(amount, dec_integer(n), scale, DECIMAL_DOWN);
	return dec_divide_rounded(dec_multiply(amount, position->notional), notional, scale, DECIMAL_DOWN);
}

/*
 * Split the balance of an account over its n open positions for one band; sets
 * the new triggers.  Returns whether it could, with what is left over.
 */
static bool
split_for_band(const LedgerAccount *account, BandedPosition **open, int n, const Band *band, Decimal *left)
{
	bool		recovers = band->watch == WATCH_REARM;
	Decimal		balance = dec_from_numeric(account->amount);
	Decimal		slack = balance;
	Decimal		notional = dec_integer(0);
	Decimal		shared;

	for (int i = 0; i < n; i++)
	{
		slack = dec_subtract(slack, lacks(open[i], band));
		notional = dec_add(notional, open[i]->notional);
	}
	if (recovers)
		slack = dec_negate(slack);
	if (band->always_due || dec_sign(slack) <= 0)
	{
		for (int i = 0; i < n; i++)
			open[i]->new_triggers[band->watch] = always_due(open[i], band->watch);
		return false;
	}

	*left = balance;
	shared = recovers ? slack :
		dec_divide_rounded(dec_multiply(slack, dec_integer(BAND_PERCENT)), dec_integer(100), account->scale, DECIMAL_DOWN);
	for (int i = 0; i < n; i++)
	{
		Decimal		share = share_of(shared, open[i], notional, n, account->scale);
		Decimal		part = recovers ?
			dec_round(dec_subtract(lacks(open[i], band), share), account->scale, DECIMAL_UP) :
			dec_round(dec_add(lacks(open[i], band), share), account->scale, DECIMAL_DOWN);

		open[i]->new_triggers[band->watch] = trigger_of_part(open[i], band, part);
		*left = dec_subtract(*left, part);
	}
	return true;
}

/* The highest alert level that is still to be told, below fired (NULL: none has been); false without one. */
static bool
next_level(const Rules *rules, Numeric fired, Decimal *level)
{
	bool		found = false;

	for (int l = 0; rules != NULL && l < rules->nlevels; l++)
		if ((fired == NULL || dec_compare(rules->levels[l], dec_from_numeric(fired)) < 0) &&
			(!found || dec_compare(rules->levels[l], *level) > 0))
		{
			*level = rules->levels[l];
			found = true;
		}
	return found;
}

/* Split the balance of an account over its open positions; sets the new triggers and the reserve. */
static void
split_balance(LedgerAccount *account, BandedPosition **open, int n, bool is_always_due, const Rules *rules, Numeric fired)
{
	Band		band = {WATCH_LIQUIDATION, is_always_due, dec_integer(100)};
	Decimal		reserve;
	Decimal		left;
	bool		has_slack;

	account->reserve = NULL;
	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		value_position(open[i], rules);
	has_slack = split_for_band(account, open, n, &band, &reserve);

	/* without a reserve, what alerts need of the balance is not kept either */
	if (next_level(rules, fired, &band.percent))
	{
		band.watch = WATCH_ALERT;
		band.always_due = is_always_due || !has_slack;
		if (split_for_band(account, open, n, &band, &left))
			reserve = dec_min(reserve, left);
	}
	if (has_slack)
		account->reserve = dec_to_numeric(reserve);

	if (fired != NULL)
	{
		band.watch = WATCH_REARM;
		band.percent = dec_add(dec_from_numeric(fired), rules == NULL ? dec_integer(0) : rules->hysteresis);
		band.always_due = is_always_due || (rules != NULL && rules->counts_pending);
		for (int i = 0; i < n; i++)
			band.always_due |= !open[i]->terms->scale_is_sure;
		split_for_band(account, open, n, &band, &left);
		account->reserve = no_reserve();
	}
}

/* Whether a trigger is the same as another, or, if that will do, earlier. */
static bool
trigger_stays(const BandedPosition *position, Watch watch, bool exactly)
{
	Numeric		trigger = position->triggers[watch];
	Numeric		new_trigger = position->new_triggers[watch];
	int			order;

	if (trigger == NULL || new_trigger == NULL)
		return trigger == new_trigger || (new_trigger == NULL && !exactly);
	order = decimal_compare(trigger, new_trigger);
	return order == 0 || (!exactly && (order > 0) == looks_down(position, watch));
}

static bool
stays(const BandedPosition *position)
{
	LedgerAccount *account = position->account;
	bool		exactly = account->rebanded || list_member_int(account->moved, position->terms->instrument_id) ||
		dec_sign(position->holding.qty) == 0;

	for (Watch watch = 0; watch < WATCHES; watch++)
		if (!trigger_stays(position, watch, exactly))
			return false;
	return true;
}

static void
write_changed_triggers(Wiring *wiring, int32 book_id, BandedPosition *positions, int n)
{
	Datum	   *columns[2 + WATCHES];
	bool	   *nulls[2 + WATCHES];
	Datum		values[3 + WATCHES] = {Int32GetDatum(book_id)};
	int			nchanged = 0;
	static const Oid types[2 + WATCHES] = {INT8OID, INT4OID, NUMERICOID, NUMERICOID, NUMERICOID};

	for (int c = 0; c < 2 + WATCHES; c++)
	{
		columns[c] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
		nulls[c] = palloc_extended(sizeof(bool) * n, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}
	for (int i = 0; i < n; i++)
	{
		if (stays(&positions[i]))
			continue;
		columns[0][nchanged] = Int64GetDatum(positions[i].account->account_id);
		columns[1][nchanged] = Int32GetDatum(positions[i].terms->instrument_id);
		for (Watch watch = 0; watch < WATCHES; watch++)
		{
			columns[2 + watch][nchanged] = NumericGetDatum(positions[i].new_triggers[watch]);
			nulls[2 + watch][nchanged] = positions[i].new_triggers[watch] == NULL;
		}
		nchanged++;
	}
	if (nchanged == 0)
		return;
	for (int c = 0; c < 2 + WATCHES; c++)
		values[c + 1] = array_argument(columns[c], nulls[c], nchanged, types[c]);
	wiring_write(wiring, &write_triggers, values);
}

/*
 * trigger_prices_write
 *		Reckon the triggers of these accounts anew, sorted by account_id, whose
 *		balances are locked and whose positions are written.  Sets the reserve,
 *		which is still to be written with the balance.
 */
void
trigger_prices_write(Wiring *wiring, int32 book_id, LedgerAccount **accounts, int n)
{
	Datum	   *ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum		values[2] = {Int32GetDatum(book_id)};
	int			npositions;
	BandedPosition *positions;
	BandedPosition **open;
	int32	   *instrument_ids;
	bool	   *in_debt;
	Numeric    *fired;
	Datum	   *flat;
	int			nflat = 0;
	Rules	   *rules = NULL;
	int			nrules = 0;

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(accounts[i]->account_id);
	values[1] = array_argument(ids, NULL, n, INT8OID);
	wiring_read(wiring, &read_positions, values, LEDGER_LATEST);
	npositions = SPI_processed;
	positions = palloc_extended(sizeof(BandedPosition) * Max(npositions, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	open = palloc_extended(sizeof(BandedPosition *) * Max(npositions, 1), MCXT_ALLOC_HUGE);
	instrument_ids = palloc_extended(sizeof(int32) * Max(npositions, 1), MCXT_ALLOC_HUGE);
	in_debt = palloc_extended(sizeof(bool) * Max(npositions, 1), MCXT_ALLOC_HUGE);
	fired = palloc_extended(sizeof(Numeric) * Max(npositions, 1), MCXT_ALLOC_HUGE);
	flat = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	for (int row = 0, a = 0; row < npositions; row++)
	{
		/* both are sorted by account */
		while (accounts[a]->account_id != result_int64(row, 1))
			a++;
		positions[row].account = accounts[a];
		instrument_ids[row] = result_int32(row, 2);
		positions[row].holding.qty = result_decimal(row, 3);
		positions[row].holding.cost = result_decimal(row, 4);
		for (Watch watch = 0; watch < WATCHES; watch++)
			positions[row].triggers[watch] = result_numeric(row, 5 + watch);
		fired[row] = result_numeric(row, 8);
		in_debt[row] = result_bool(row, 9);
	}
	if (npositions > 0)
	{
		read_position_terms(wiring, positions, instrument_ids, npositions);
		rules = read_account_rules(wiring, accounts, n, &nrules);
	}

	for (int i = 0, p = 0; i < n; i++)
	{
		Rules	   *of_account = NULL;
		bool		is_always_due = accounts[i]->in_group;
		bool		has_fired = accounts[i]->reserve != NULL && decimal_compare(accounts[i]->reserve, no_reserve()) == 0;
		Numeric		level = NULL;
		int			nopen = 0;

		for (; p < npositions && positions[p].account == accounts[i]; p++)
		{
			positions[p].holding.kind = positions[p].terms->kind;
			positions[p].holding.multiplier = positions[p].terms->multiplier;
			is_always_due |= in_debt[p];
			level = fired[p];
			if (dec_sign(positions[p].holding.qty) != 0)
				open[nopen++] = &positions[p];
		}
		for (int r = 0; nopen > 0 && r < nrules; r++)
			if (strcmp(rules[r].policy_code, accounts[i]->policy_code) == 0)
				of_account = &rules[r];
		split_balance(accounts[i], open, nopen, is_always_due, of_account, level);
		if (nopen == 0 && (has_fired || level != NULL))
			flat[nflat++] = Int64GetDatum(accounts[i]->account_id);
	}
	if (nflat > 0)
	{
		values[1] = array_argument(flat, NULL, nflat, INT8OID);
		wiring_write(wiring, &delete_alert_states, values);
	}
	if (npositions > 0)
		write_changed_triggers(wiring, book_id, positions, npositions);
}
