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
	TierTable	tiers;
	Decimal    *fixed_amounts;	/* of the tiers, for maintenance as an amount */
} Terms;

typedef struct Rules
{
	char	   *policy_code;
	char		basis;			/* of maintenance: m, e or a */
	bool		has_fee;
	LiquidationFee fee;
} Rules;

typedef struct BandedPosition
{
	LedgerAccount *account;
	Terms	   *terms;
	Holding		holding;
	Numeric		trigger;		/* as it is stored; NULL: none */
	Numeric		new_trigger;

	Decimal		fee_rate;
	Decimal		fixed_maintenance;	/* that does not move with the price */
	Decimal		notional;		/* at the mark */
	Decimal		lacks;			/* requirement less profit at the mark */
} BandedPosition;

static const LedgerStatement read_positions = {
	"SELECT p.account_id, p.instrument_id, p.qty, p.cost, p.trigger_price,"
	" EXISTS (SELECT FROM {schema}.debt d"
	"  WHERE d.book_id = $1 AND d.account_id = p.account_id AND d.settled_at IS NULL OFFSET 0)"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT p.* FROM {position} p"
	"  WHERE p.book_id = $1 AND p.account_id = u.account_id OFFSET 0) AS p"
	" WHERE p.qty <> 0 OR p.trigger_price IS NOT NULL"
	" ORDER BY p.account_id, p.instrument_id",
	2, {INT4OID, INT8ARRAYOID}
};

/* Of the scales, the one in force at the time of the mark and all that come after it. */
static const LedgerStatement read_terms = {
	"SELECT i.instrument_id, i.kind, i.multiplier, m.price, i.reference_notional, i.depth_ratio,"
	" CASE WHEN v.since IS NULL THEN greatest(v.scale, 1) ELSE v.scale END, t.floors, t.rates, t.amounts"
	" FROM unnest($1) AS u(instrument_id)"
	" JOIN {instrument} i ON i.instrument_id = u.instrument_id"
	" LEFT JOIN {mark_price} m ON m.instrument_id = u.instrument_id"
	" CROSS JOIN LATERAL ("
	"  SELECT f.since, (SELECT max(s.scale) FROM {schema}.margin_scale s"
	"    WHERE s.instrument_id = u.instrument_id AND s.effective_at >= coalesce(f.since, '-infinity')) AS scale"
	"  FROM (SELECT (SELECT max(e.effective_at) FROM {schema}.margin_scale e"
	"   WHERE e.instrument_id = u.instrument_id AND e.effective_at <= m.observed_at) AS since OFFSET 0) AS f"
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
	" p.liquidation_fee_by_volatility, p.liquidation_fee_by_depth, p.liquidation_fee_minimum, p.liquidation_fee_maximum"
	" FROM unnest($1) AS c(policy_code), LATERAL ("
	"  SELECT p.* FROM {policy} p WHERE p.policy_code = c.policy_code AND p.effective_at <= clock_timestamp()"
	"  ORDER BY p.version DESC LIMIT 1) AS p",
	1, {TEXTARRAYOID}
};

static const LedgerStatement write_triggers = {
	"INSERT INTO {position} AS p (book_id, account_id, instrument_id, trades, qty, cost, trigger_price)"
	" SELECT $1, u.account_id, u.instrument_id, 0, 0, 0, u.trigger_price"
	" FROM unnest($2, $3, $4) AS u(account_id, instrument_id, trigger_price)"
	" ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE SET trigger_price = excluded.trigger_price",
	4, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID}
};

/* trigger_prices_are_due: whether the triggers of an account have to be reckoned anew */
bool
trigger_prices_are_due(const LedgerAccount *account)
{
	return account->kind == ACCOUNT_TRADER &&
		(account->moved != NIL || account->rebanded ||
		 (account->reserve != NULL && decimal_sign(account->reserve) < 0));
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
	}
	return rules;
}

/* What a position requires, and what it lacks at the mark. */
static void
value_position(BandedPosition *position, const Rules *rules)
{
	Terms	   *terms = position->terms;
	Decimal		entry = dec_absolute(position->holding.cost);
	Decimal		pnl = dec_integer(0);
	Decimal		maintenance;

	position->fee_rate = dec_integer(0);
	if (rules != NULL && rules->has_fee)
	{
		LiquidationFee fee = rules->fee;

		if (!terms->has_reference)
			fee.by_size = dec_integer(0);
		position->fee_rate = liquidation_fee_rate(&fee, entry, terms->has_reference ? terms->reference_notional : dec_integer(1),
												  terms->margin_scale, terms->depth_ratio);
	}

	position->notional = entry;
	if (terms->marked)
	{
		position->notional = holding_notional(terms->kind, position->holding.qty, terms->mark_price, terms->multiplier);
		pnl = holding_pnl(&position->holding, terms->mark_price);
	}
	position->fixed_maintenance = dec_integer(0);
	if (rules != NULL && rules->basis == 'e')
		position->fixed_maintenance = maintenance_margin_by_tiers(&terms->tiers, entry);
	else if (rules != NULL && rules->basis == 'a')
		position->fixed_maintenance = terms->fixed_amounts[tier_of_notional(&terms->tiers, entry)];
	maintenance = rules == NULL || rules->basis == 'm' ? maintenance_margin_by_tiers(&terms->tiers, position->notional) :
		position->fixed_maintenance;
	position->lacks = dec_subtract(liquidation_requirement(position->notional, maintenance, position->fee_rate), pnl);
}

/* The trigger that every mark has passed. */
static Numeric
always_due(const BandedPosition *position)
{
	if (dec_sign(position->holding.qty) < 0)
		return decimal_from_int64(0);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum("Infinity"),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Whether what is required grows less than the equity falls, at every price. */
static bool
is_ever_safe(const BandedPosition *position, bool by_mark)
{
	const TierTable *tiers = &position->terms->tiers;
	Decimal		one = dec_integer(1);

	if (dec_compare(position->fee_rate, one) >= 0)
		return false;
	for (int t = 0; by_mark && t < tiers->n; t++)
		if (dec_compare(dec_add(tiers->rates[t], position->fee_rate), one) >= 0)
			return false;
	return true;
}

/* The price at which a position, alone with this part of the balance, has just what it requires. */
static Numeric
trigger_of_part(const BandedPosition *position, bool by_mark, Decimal part)
{
	Decimal		zero = dec_integer(0);
	TierTable	none = {1, &zero, &zero, &zero};
	Surroundings account = {part, zero, position->fixed_maintenance};
	Decimal		price;
	Decimal		early = {{1, TRIGGER_SCALE}, NULL};

	if (!is_ever_safe(position, by_mark))
		return always_due(position);
	if (!holding_liquidation_price_by_tiers(&position->holding, &account, by_mark ? &position->terms->tiers : &none,
											position->fee_rate, &price))
		return notional_direction(&position->holding) > 0 ? NULL : always_due(position);

	if (dec_sign(position->holding.qty) > 0)
		price = dec_round(dec_multiply(price, dec_add(dec_integer(1), early)), TRIGGER_SCALE, DECIMAL_UP);
	else
		price = dec_round(dec_multiply(price, dec_subtract(dec_integer(1), early)), TRIGGER_SCALE, DECIMAL_DOWN);
	return dec_to_numeric(price);
}

/* Split the balance of an account over its open positions; sets new_trigger and the reserve. */
static void
split_balance(LedgerAccount *account, BandedPosition **open, int n, bool is_always_due, const Rules *rules)
{
	bool		by_mark = rules == NULL || rules->basis == 'm';
	Decimal		balance = dec_from_numeric(account->amount);
	Decimal		left = balance;
	Decimal		slack = balance;
	Decimal		notional = dec_integer(0);
	Decimal		band;

	account->reserve = NULL;
	if (n == 0)
		return;
	for (int i = 0; i < n && !is_always_due; i++)
	{
		value_position(open[i], rules);
		slack = dec_subtract(slack, open[i]->lacks);
		notional = dec_add(notional, open[i]->notional);
	}
	if (is_always_due || dec_sign(slack) <= 0)
	{
		for (int i = 0; i < n; i++)
			open[i]->new_trigger = always_due(open[i]);
		return;
	}

	band = dec_divide_rounded(dec_multiply(slack, dec_integer(BAND_PERCENT)), dec_integer(100), account->scale, DECIMAL_DOWN);
	for (int i = 0; i < n; i++)
	{
		Decimal		share = dec_sign(notional) == 0 ? dec_divide_rounded(band, dec_integer(n), account->scale, DECIMAL_DOWN) :
			dec_divide_rounded(dec_multiply(band, open[i]->notional), notional, account->scale, DECIMAL_DOWN);
		Decimal		part = dec_round(dec_add(open[i]->lacks, share), account->scale, DECIMAL_DOWN);

		open[i]->new_trigger = trigger_of_part(open[i], by_mark, part);
		left = dec_subtract(left, part);
	}
	account->reserve = dec_to_numeric(left);
}

/* Whether a trigger is at or before another, so that it may stay. */
static bool
is_early_enough(const BandedPosition *position)
{
	int			order;

	if (position->trigger == NULL)
		return position->new_trigger == NULL;
	if (position->new_trigger == NULL)
		return true;
	order = decimal_compare(position->trigger, position->new_trigger);
	return dec_sign(position->holding.qty) > 0 ? order >= 0 : order <= 0;
}

static bool
stays(const BandedPosition *position)
{
	LedgerAccount *account = position->account;

	if (account->rebanded || list_member_int(account->moved, position->terms->instrument_id) ||
		dec_sign(position->holding.qty) == 0)
		return position->trigger == NULL ? position->new_trigger == NULL :
			position->new_trigger != NULL && decimal_compare(position->trigger, position->new_trigger) == 0;
	return is_early_enough(position);
}

static void
write_changed_triggers(Wiring *wiring, int32 book_id, BandedPosition *positions, int n)
{
	Datum	   *columns[3];
	bool	   *nulls = palloc(sizeof(bool) * n);
	Datum		values[4] = {Int32GetDatum(book_id)};
	int			nchanged = 0;
	static const Oid types[3] = {INT8OID, INT4OID, NUMERICOID};

	for (int c = 0; c < 3; c++)
		columns[c] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		if (stays(&positions[i]))
			continue;
		columns[0][nchanged] = Int64GetDatum(positions[i].account->account_id);
		columns[1][nchanged] = Int32GetDatum(positions[i].terms->instrument_id);
		columns[2][nchanged] = NumericGetDatum(positions[i].new_trigger);
		nulls[nchanged++] = positions[i].new_trigger == NULL;
	}
	if (nchanged == 0)
		return;
	for (int c = 0; c < 3; c++)
		values[c + 1] = array_argument(columns[c], c == 2 ? nulls : NULL, nchanged, types[c]);
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
	for (int row = 0, a = 0; row < npositions; row++)
	{
		/* both are sorted by account */
		while (accounts[a]->account_id != result_int64(row, 1))
			a++;
		positions[row].account = accounts[a];
		instrument_ids[row] = result_int32(row, 2);
		positions[row].holding.qty = result_decimal(row, 3);
		positions[row].holding.cost = result_decimal(row, 4);
		positions[row].trigger = result_numeric(row, 5);
		in_debt[row] = result_bool(row, 6);
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
		int			nopen = 0;

		for (; p < npositions && positions[p].account == accounts[i]; p++)
		{
			positions[p].holding.kind = positions[p].terms->kind;
			positions[p].holding.multiplier = positions[p].terms->multiplier;
			is_always_due |= in_debt[p];
			if (dec_sign(positions[p].holding.qty) != 0)
				open[nopen++] = &positions[p];
		}
		for (int r = 0; nopen > 0 && r < nrules; r++)
			if (strcmp(rules[r].policy_code, accounts[i]->policy_code) == 0)
				of_account = &rules[r];
		split_balance(accounts[i], open, nopen, is_always_due, of_account);
	}
	if (npositions > 0)
		write_changed_triggers(wiring, book_id, positions, npositions);
}
