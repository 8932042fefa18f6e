/*
 * valuation.c
 *		Open positions of some accounts, at the latest mark prices, and what
 *		these accounts have to keep for them.
 *
 * Read after the balances of the accounts are locked, so neither positions nor
 * the reserves of orders can change, nor can the leverages that were chosen.  One statement reads all marks, so an account is valued with marks
 * of one instant.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "valuation.h"

/* the positions of an account come from the table, or, in a trial, with one replaced */
#define READ_POSITIONS(positions) \
	"SELECT p.account_id, p.instrument_id, i.kind, p.qty, p.cost, i.multiplier, m.price," \
	" (SELECT t.max_leverage FROM {margin_tier} t" \
	"   WHERE t.instrument_id = p.instrument_id" \
	"     AND (t.notional_floor < risk.notional(p.qty, m.price, i.multiplier, i.kind)" \
	"          OR t.notional_floor = 0)" \
	"   ORDER BY t.notional_floor DESC LIMIT 1)," \
	" s.scale::int," \
	" (SELECT l.leverage FROM {margin_setting} l" \
	"   WHERE l.book_id = $1 AND l.instrument_id = p.instrument_id" \
	"    AND l.account_id = coalesce((SELECT a.parent_id FROM {account} a" \
	"     WHERE a.book_id = $1 AND a.account_id = p.account_id), p.account_id))," \
	" i.open_interest_lo, i.open_interest_hi," \
	" i.state = 'halted' OR coalesce(m.observed_at < clock_timestamp() - i.max_mark_age, false)," \
	" (SELECT y.profit_backs_margin FROM {policy} y" \
	"   WHERE y.policy_code = (SELECT a.policy_code FROM {account} a" \
	"     WHERE a.book_id = $1 AND a.account_id = p.account_id) AND y.effective_at <= clock_timestamp()" \
	"   ORDER BY y.version DESC LIMIT 1)" \
	" FROM unnest($2) AS u(account_id), LATERAL (" \
	"  " positions " OFFSET 0) AS p" \
	" JOIN {instrument} i ON i.instrument_id = p.instrument_id" \
	" JOIN {asset} s ON s.asset_code = i.settle_asset" \
	" LEFT JOIN {mark_price} m ON m.instrument_id = p.instrument_id" \
	" WHERE p.qty <> 0" \
	" ORDER BY p.account_id, p.instrument_id"

#define POSITIONS_OF_ACCOUNT \
	"SELECT p.account_id, p.instrument_id, p.qty, p.cost FROM {position} p" \
	"  WHERE p.book_id = $1 AND p.account_id = u.account_id"

static const LedgerStatement read_positions = {
	READ_POSITIONS(POSITIONS_OF_ACCOUNT),
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement read_positions_of_trial = {
	READ_POSITIONS(POSITIONS_OF_ACCOUNT " AND (p.account_id <> $3 OR p.instrument_id <> $4)"
				   "  UNION ALL SELECT $3, $4, $5, $6 WHERE u.account_id = $3"),
	6, {INT4OID, INT8ARRAYOID, INT8OID, INT4OID, NUMERICOID, NUMERICOID}
};

/* What makes an account have to keep anything: rows of these, by account. */
static const HotLayout position_layout = {
	.nkey = 3, .ncolumns = 4,
	.columns = {{"book_id", INT4OID}, {"account_id", INT8OID}, {"instrument_id", INT4OID}, {"qty", NUMERICOID}}
};
static const HotLayout reserve_layout = {
	.nkey = 3, .ncolumns = 3,
	.columns = {{"book_id", INT4OID}, {"account_id", INT8OID}, {"order_id", INT8OID}}
};
static const HotLayout hold_layout = {
	.nkey = 3, .ncolumns = 3,
	.columns = {{"book_id", INT4OID}, {"account_id", INT8OID}, {"hold_id", INT8OID}}
};
#define POSITION_QTY	3

static const LedgerStatement read_reserves = {
	"SELECT u.account_id,"
	" (SELECT sum(r.amount) FROM {order_reserve} r"
	"   WHERE r.book_id = $1 AND r.account_id = u.account_id),"
	" (SELECT sum(o.remaining) FROM {open_hold} o"
	"   WHERE o.book_id = $1 AND o.account_id = u.account_id)"
	" FROM (SELECT DISTINCT unnest($2) AS account_id) AS u"
	" ORDER BY u.account_id",
	2, {INT4OID, INT8ARRAYOID}
};

/* The open interest of these instruments in a book: as much is long as is short. */
static const LedgerStatement read_open_interest = {
	"SELECT u.instrument_id,"
	" (SELECT sum(p.qty) FROM {position} p"
	"   WHERE (p.book_id::bigint << 32) + p.instrument_id = ($1::bigint << 32) + u.instrument_id"
	"     AND p.qty > 0)"
	" FROM (SELECT DISTINCT unnest($2) AS instrument_id) AS u",
	2, {INT4OID, INT4ARRAYOID}
};

static Datum
id_array(const int64 *ids, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return array_argument(elements, NULL, n, INT8OID);
}

/* valuation_read: the open positions of these accounts; lives in the current memory context */
Valuation *
valuation_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n)
{
	Valuation  *valuation = palloc(sizeof(Valuation));
	const TrialPosition *trial = wiring->trial_position;
	Datum		values[6] = {Int32GetDatum(book_id), id_array(account_ids, n)};

	if (trial != NULL)
	{
		values[2] = Int64GetDatum(trial->account_id);
		values[3] = Int32GetDatum(trial->instrument_id);
		values[4] = NumericGetDatum(trial->qty);
		values[5] = NumericGetDatum(trial->cost);
	}
	wiring_read(wiring, trial == NULL ? &read_positions : &read_positions_of_trial, values, LEDGER_LATEST);

	valuation->n = SPI_processed;
	valuation->positions = palloc0(sizeof(OpenPosition) * Max(valuation->n, 1));
	for (int row = 0; row < valuation->n; row++)
	{
		OpenPosition *position = &valuation->positions[row];

		position->account_id = result_int64(row, 1);
		position->instrument_id = result_int32(row, 2);
		position->kind = contract_kind(result_text(row, 3));
		position->qty = result_numeric(row, 4);
		position->cost = result_numeric(row, 5);
		position->multiplier = result_numeric(row, 6);
		position->mark_price = result_numeric(row, 7);
		position->max_leverage = result_numeric(row, 8);
		if (position->max_leverage == NULL)
			position->max_leverage = decimal_from_int64(1);
		position->scale = result_int32(row, 9);
		position->chosen_leverage = result_numeric(row, 10);
		position->open_interest_lo = result_numeric(row, 11);
		position->open_interest_hi = result_numeric(row, 12);
		position->mark_stale = result_bool(row, 13);
		position->profit_backs_margin = result_bool(row, 14);
		position->unrealized_pnl = position->mark_price == NULL ? decimal_from_int64(0) :
			position_unrealized_pnl(position->kind, position->qty, position->cost,
									position->mark_price, position->multiplier);
	}
	return valuation;
}

/* valuation_of_account: the positions of one account, n of them */
OpenPosition *
valuation_of_account(Valuation *valuation, int64 account_id, int *n)
{
	int			low = 0;
	int			high = valuation->n;
	int			end;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (valuation->positions[middle].account_id < account_id)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < valuation->n && valuation->positions[end].account_id == account_id;)
		end++;
	*n = end - low;
	return &valuation->positions[low];
}

static int
compare_requirement(const void *key, const void *element)
{
	int64		left = *(const int64 *) key;
	int64		right = ((const Requirement *) element)->account_id;

	return (left > right) - (left < right);
}

/* requirement_of_account: the requirement of one account; NULL when it was not asked for */
Requirement *
requirement_of_account(Requirements *requirements, int64 account_id)
{
	return bsearch(&account_id, requirements->accounts, requirements->n,
				   sizeof(Requirement), compare_requirement);
}

typedef struct OpenInterest
{
	int32		instrument_id;
	Numeric		qty;
} OpenInterest;

/* The open interest of the instruments where initial margin depends on it. */
static OpenInterest *
read_open_interests(Wiring *wiring, int32 book_id, Valuation *valuation, int *n)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(valuation->n, 1));
	Datum		values[2] = {Int32GetDatum(book_id)};
	OpenInterest *found;

	*n = 0;
	for (int i = 0; i < valuation->n; i++)
		if (valuation->positions[i].open_interest_lo != NULL)
			ids[(*n)++] = Int32GetDatum(valuation->positions[i].instrument_id);
	if (*n == 0)
		return NULL;
	values[1] = array_argument(ids, NULL, *n, INT4OID);
	wiring_read(wiring, &read_open_interest, values, LEDGER_LATEST);
	*n = SPI_processed;
	found = palloc(sizeof(OpenInterest) * *n);
	for (int row = 0; row < *n; row++)
	{
		found[row].instrument_id = result_int32(row, 1);
		found[row].qty = result_numeric(row, 2);
		if (found[row].qty == NULL)
			found[row].qty = decimal_from_int64(0);
		if (wiring->trial_position != NULL && wiring->trial_position->instrument_id == found[row].instrument_id)
			found[row].qty = decimal_add(found[row].qty, wiring->trial_position->open_interest_change);
	}
	return found;
}

/* The initial margin of a position that has a mark. */
static Numeric
initial_margin(OpenPosition *position, OpenInterest *interests, int ninterests)
{
	Numeric		notional = contract_notional(position->kind, position->qty,
											 position->mark_price, position->multiplier);
	Numeric		leverage = margin_effective_leverage(position->max_leverage,
													 position->chosen_leverage);

	if (position->open_interest_lo != NULL)
		for (int i = 0; i < ninterests; i++)
			if (interests[i].instrument_id == position->instrument_id)
				return margin_initial_at_open_interest(notional, leverage, interests[i].qty,
													   position->open_interest_lo,
													   position->open_interest_hi,
													   position->scale);
	return margin_initial(notional, leverage, position->scale);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* Whether an account has an open position, or a row in another of these tables. */
static bool
has_rows(HotTable *table, int32 book_id, int64 account_id)
{
	Datum		key[2] = {Int32GetDatum(book_id), Int64GetDatum(account_id)};
	bool		isnull;

	hot_seek(table, key);
	while (hot_next(table, ForwardScanDirection))
		if (table->layout != &position_layout ||
			decimal_sign(DatumGetNumeric(hot_value(table, POSITION_QTY, &isnull))) != 0)
			return true;
	return false;
}

/*
 * Those of the accounts that have anything to keep: most that money moves
 * between have not, and what asks for more than that is left to statements.
 */
static int64 *
accounts_with_rows(Wiring *wiring, int32 book_id, int64 *account_ids, int n, int *nfound)
{
	HotTable   *tables[3] = {
		wiring_hot(wiring, LEDGER_POSITION, &position_layout),
		wiring_hot(wiring, LEDGER_ORDER_RESERVE, &reserve_layout),
		wiring_hot(wiring, LEDGER_OPEN_HOLD, &hold_layout)
	};
	int64	   *found = palloc_extended(sizeof(int64) * Max(n, 1), MCXT_ALLOC_HUGE);
	Snapshot	snapshot = wiring_snapshot(wiring, LEDGER_LATEST);

	*nfound = n;
	for (int t = 0; t < 3; t++)
		if (tables[t] == NULL)
			return account_ids;
	for (int t = 0; t < 3; t++)
		hot_begin(tables[t], snapshot, 2);
	*nfound = 0;
	for (int i = 0; i < n; i++)
		if ((wiring->trial_position != NULL && wiring->trial_position->account_id == account_ids[i]) ||
			has_rows(tables[0], book_id, account_ids[i]) || has_rows(tables[1], book_id, account_ids[i]) ||
			has_rows(tables[2], book_id, account_ids[i]))
			found[(*nfound)++] = account_ids[i];
	for (int t = 0; t < 3; t++)
		hot_end(tables[t]);
	return found;
}

/* Accounts, sorted and each of them once, that have nothing to keep so far. */
static Requirements *
no_requirements(const int64 *account_ids, int n)
{
	Requirements *requirements = palloc(sizeof(Requirements));
	int64	   *ids = palloc_extended(sizeof(int64) * Max(n, 1), MCXT_ALLOC_HUGE);
	Numeric		zero = decimal_from_int64(0);

	memcpy(ids, account_ids, sizeof(int64) * n);
	qsort(ids, n, sizeof(int64), compare_ids);
	requirements->n = 0;
	requirements->accounts = palloc_extended(sizeof(Requirement) * Max(n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			requirements->accounts[requirements->n++] = (Requirement)
		{
			.account_id = ids[i], .unrealized_pnl = zero, .initial_margin = zero,
				.order_reserve = zero, .holds = zero
		};
	return requirements;
}

/*
 * requirements_read
 *		What these accounts have to keep.  The ids may be in any order and
 *		repeat.  A position whose mark price is missing or stale raises 55000
 *		when need_marks: what it needs, nobody knows.  Else its account is marked so.
 */
Requirements *
requirements_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n, bool need_marks)
{
	Requirements *requirements = no_requirements(account_ids, n);
	Datum		values[2] = {Int32GetDatum(book_id)};
	int64	   *ids = palloc_extended(sizeof(int64) * Max(requirements->n, 1), MCXT_ALLOC_HUGE);
	Valuation  *valuation;
	OpenInterest *interests;
	int			ninterests;

	for (int i = 0; i < requirements->n; i++)
		ids[i] = requirements->accounts[i].account_id;
	ids = accounts_with_rows(wiring, book_id, ids, requirements->n, &n);
	if (n == 0)
		return requirements;

	values[1] = id_array(ids, n);
	wiring_read(wiring, &read_reserves, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Requirement *requirement = requirement_of_account(requirements, result_int64(row, 1));
		Numeric		reserve = result_numeric(row, 2);
		Numeric		holds = result_numeric(row, 3);

		if (reserve != NULL)
			requirement->order_reserve = reserve;
		if (holds != NULL)
			requirement->holds = holds;
	}

	valuation = valuation_read(wiring, book_id, ids, n);
	interests = read_open_interests(wiring, book_id, valuation, &ninterests);
	for (int i = 0; i < valuation->n; i++)
	{
		OpenPosition *position = &valuation->positions[i];
		Requirement *requirement = requirement_of_account(requirements, position->account_id);

		if ((position->mark_price == NULL || position->mark_stale) && !need_marks)
		{
			requirement->unmarked = true;
			continue;
		}
		if (position->mark_price == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("account " INT64_FORMAT " of book %d cannot be valued", position->account_id, book_id),
					 errdetail("It has a position in instrument %d, which has no mark price.", position->instrument_id),
					 errhint("Insert one into the table mark_price.")));
		if (position->mark_stale)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("account " INT64_FORMAT " of book %d cannot be valued", position->account_id, book_id),
					 errdetail("It has a position in instrument %d, which is halted or whose mark price is stale.",
							   position->instrument_id),
					 errhint("Wait for the next mark price, or until the instrument is open again.")));
		requirement->profit_backs_margin = position->profit_backs_margin;
		requirement->unrealized_pnl = decimal_add(requirement->unrealized_pnl, position->unrealized_pnl);
		requirement->initial_margin =
			decimal_add(requirement->initial_margin,
						initial_margin(position, interests, ninterests));
	}
	return requirements;
}
