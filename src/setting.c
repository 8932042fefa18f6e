/*
 * setting.c
 *		Judges and records what a statement changed in margin_setting.
 *
 * The balances of the accounts are locked first, in order, and what is judged
 * is read after that with the latest snapshot: a position that another
 * transaction opens, or money that it takes out, is either seen or comes
 * after the setting.
 *
 * What is chosen for an account holds for its child accounts, too: they are
 * locked with it and judged like it.
 *
 * A leverage can only be lowered as far as the equity of the account, with
 * what its margin group counts for it, covers what the account then has to
 * keep.  Raising one, or deleting the row, frees
 * margin and is never refused.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "collateral.h"
#include "margin.h"
#include "posting.h"
#include "valuation.h"

PG_FUNCTION_INFO_V1(risk_check_margin_settings);

/* The most digits before the point of a leverage. */
#define LEVERAGE_INTEGER_DIGITS	9

typedef struct SettingRow
{
	int32		book_id;
	int32		instrument_id;
	int64		account_id;
	Numeric		leverage;
	char	   *mode;
	bool		removed;		/* the row as it was before the statement */
	bool		inherited;		/* stands for a child of the account in the row */
} SettingRow;

/* A row of margin_setting before and after the statement; either may be NULL. */
typedef struct SettingChange
{
	SettingRow *before;
	SettingRow *after;
} SettingChange;

static const LedgerStatement read_settle_assets = {
	"SELECT (SELECT i.settle_asset FROM {instrument} i WHERE i.instrument_id = u.instrument_id)"
	" FROM unnest($1) WITH ORDINALITY AS u(instrument_id, place)"
	" ORDER BY u.place",
	1, {INT4ARRAYOID}
};

/* the accounts that hold, or will hold, what these settings are for, besides their own */
static const LedgerStatement read_children = {
	"SELECT u.place::int, a.account_id"
	" FROM unnest($2, $3) WITH ORDINALITY AS u(parent_id, instrument_id, place), LATERAL ("
	"  SELECT a.* FROM {account} a WHERE a.book_id = $1 AND a.parent_id = u.parent_id"
	"   AND a.isolated_instrument_id = u.instrument_id OFFSET 0) AS a"
	" ORDER BY u.place",
	3, {INT4OID, INT8ARRAYOID, INT4ARRAYOID}
};

static const LedgerStatement insert_events = {
	"INSERT INTO {event} (book_id, account_id, kind, payload)"
	" SELECT $1, u.account_id, 'margin_setting', jsonb_build_object('instrument_id', u.instrument_id,"
	"  'leverage', jsonb_build_array(u.old_leverage, u.new_leverage),"
	"  'mode', jsonb_build_array(u.old_mode, u.new_mode))"
	" FROM unnest($2, $3, $4, $5, $6, $7) WITH ORDINALITY"
	"  AS u(account_id, instrument_id, old_leverage, new_leverage, old_mode, new_mode, place)"
	" ORDER BY u.place",
	7, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
};

static void
fill_setting(void *row, const Datum *value, const bool *isnull pg_attribute_unused())
{
	SettingRow *setting = row;

	setting->book_id = DatumGetInt32(value[0]);
	setting->instrument_id = DatumGetInt32(value[1]);
	setting->account_id = DatumGetInt64(value[2]);
	setting->leverage = DatumGetNumericCopy(value[3]);
	setting->mode = TextDatumGetCString(value[4]);
}

static const RowReader setting_reader = {
	{"book_id", "instrument_id", "account_id", "leverage", "mode"},
	sizeof(SettingRow), fill_setting
};

static int
compare_settings(const void *a, const void *b)
{
	const SettingRow *left = *(const SettingRow *const *) a;
	const SettingRow *right = *(const SettingRow *const *) b;

	if (left->account_id != right->account_id)
		return left->account_id > right->account_id ? 1 : -1;
	if (left->instrument_id != right->instrument_id)
		return left->instrument_id > right->instrument_id ? 1 : -1;
	return right->removed - left->removed;
}

/* Check one row that the statement wrote. */
static void
check_setting(Posting *posting, SettingRow *row, const char *settle_asset)
{
	LedgerAccount *account = posting_account(posting, row->account_id);

	/* the foreign keys have been checked */
	if (account == NULL || settle_asset == NULL)
		elog(ERROR, "margin_setting refers to nothing");
	if (account->kind != ACCOUNT_TRADER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("margin_setting of account " INT64_FORMAT ", instrument %d: not a trader's account",
						row->account_id, row->instrument_id),
				 errdetail("It is a %s account.", account_kind_name(account->kind)),
				 errhint("Leverage is chosen for the accounts of traders only.")));
	if (strcmp(account->asset_code, settle_asset) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("margin_setting of account " INT64_FORMAT ", instrument %d: the account holds another asset",
						row->account_id, row->instrument_id),
				 errdetail("The account holds %s, the instrument settles in %s.", account->asset_code, settle_asset),
				 errhint("Choose it for an account that holds %s.", settle_asset)));
	if (!decimal_is_finite(row->leverage) ||
		decimal_compare(row->leverage, decimal_from_int64(1)) < 0 ||
		decimal_integer_digits(row->leverage) > LEVERAGE_INTEGER_DIGITS ||
		decimal_scale(row->leverage) > TRADE_SCALE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("margin_setting of account " INT64_FORMAT ", instrument %d: invalid leverage",
						row->account_id, row->instrument_id),
				 errdetail("The leverage is %.60s.", decimal_to_cstring(row->leverage)),
				 errhint("It must be 1 or more, with at most %d digits before the point and %d after it.",
						 LEVERAGE_INTEGER_DIGITS, TRADE_SCALE)));
	if (account->parent_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("margin_setting of account " INT64_FORMAT ", instrument %d: a child account",
						row->account_id, row->instrument_id),
				 errdetail("What its parent, account " INT64_FORMAT ", chose holds for it.", account->parent_id),
				 errhint("Choose it for account " INT64_FORMAT ".", account->parent_id)));
}

static bool
is_change(const SettingChange *change)
{
	if (change->before == NULL || change->after == NULL)
		return true;
	return decimal_compare(change->before->leverage, change->after->leverage) != 0 ||
		strcmp(change->before->mode, change->after->mode) != 0;
}

/* Whether a change makes a position of the account need more initial margin. */
static bool
binds_margin(const SettingChange *change, Valuation *valuation)
{
	OpenPosition *positions;
	int			n;

	if (change->after == NULL)
		return false;
	positions = valuation_of_account(valuation, change->after->account_id, &n);
	for (int i = 0; i < n; i++)
		if (positions[i].instrument_id == change->after->instrument_id)
			return decimal_compare(margin_effective_leverage(positions[i].max_leverage,
															 change->after->leverage),
								   margin_effective_leverage(positions[i].max_leverage,
															 change->before == NULL ? NULL :
															 change->before->leverage)) < 0;
	return false;
}

static const char *
mode_of(const SettingRow *row)
{
	return row == NULL ? "cross" : row->mode;
}

/* Refuse another mode while a position is open that was made in the old one. */
static void
check_modes(Wiring *wiring, int32 book_id, SettingChange *changes, int n)
{
	int64	   *ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	SettingRow **rows = palloc_extended(sizeof(SettingRow *) * n, MCXT_ALLOC_HUGE);
	int			nids = 0;
	Valuation  *valuation;

	for (int i = 0; i < n; i++)
		if (strcmp(mode_of(changes[i].before), mode_of(changes[i].after)) != 0)
		{
			rows[nids] = changes[i].before != NULL ? changes[i].before : changes[i].after;
			ids[nids] = rows[nids]->account_id;
			nids++;
		}
	if (nids == 0)
		return;
	valuation = valuation_read(wiring, book_id, ids, nids);
	for (int i = 0; i < nids; i++)
	{
		int			npositions;
		OpenPosition *positions = valuation_of_account(valuation, ids[i], &npositions);

		for (int p = 0; p < npositions; p++)
			if (positions[p].instrument_id == rows[i]->instrument_id)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("margin_setting of account " INT64_FORMAT ", instrument %d: the mode cannot change now",
								ids[i], rows[i]->instrument_id),
						 errdetail("A position of %s is open.", decimal_to_cstring(positions[p].qty)),
						 errhint("Close it first.")));
	}
}

/* What announced deposits count for. */
static Numeric
pending_deposits(Wiring *wiring, int32 book_id, int64 account_id)
{
	static const LedgerStatement read_pending = {
		"SELECT m.amount FROM {schema}.pending_margin m WHERE m.book_id = $1 AND m.account_id = $2",
		2, {INT4OID, INT8OID}
	};
	Datum		values[2] = {Int32GetDatum(book_id), Int64GetDatum(account_id)};

	wiring_read(wiring, &read_pending, values, LEDGER_LATEST);
	return SPI_processed == 0 ? decimal_from_int64(0) : result_numeric(0, 1);
}

/* Refuse what leaves an account with less equity than it has to keep. */
static void
check_equity(Wiring *wiring, Posting *posting, int32 book_id, SettingChange *changes, int n)
{
	int64	   *ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	SettingChange *binding = palloc_extended(sizeof(SettingChange) * n, MCXT_ALLOC_HUGE);
	int			nids = 0;
	Valuation  *valuation;
	Requirements *requirements;
	Collateral *collateral;

	/* sorted by account */
	for (int i = 0; i < n; i++)
		if (changes[i].after != NULL &&
			(nids == 0 || ids[nids - 1] != changes[i].after->account_id))
			ids[nids++] = changes[i].after->account_id;
	if (nids == 0)
		return;
	valuation = valuation_read(wiring, book_id, ids, nids);

	nids = 0;
	for (int i = 0; i < n; i++)
		if (binds_margin(&changes[i], valuation))
		{
			ids[nids] = changes[i].after->account_id;
			binding[nids++] = changes[i];
		}
	if (nids == 0)
		return;
	requirements = requirements_read(wiring, book_id, ids, nids, true);
	collateral = collateral_open(wiring, posting, book_id, ids, nids, COLLATERAL_TO_JUDGE);

	for (int i = 0; i < nids; i++)
	{
		Requirement *requirement = requirement_of_account(requirements, ids[i]);
		LedgerAccount *account = posting_account(posting, ids[i]);
		SettingRow *row = binding[i].after;

		Numeric		backing = collateral_of(collateral, account);
		Numeric		balance = decimal_add(account->amount, pending_deposits(wiring, book_id, account->account_id));
		Numeric		free = margin_free_collateral(balance, requirement->unrealized_pnl,
												  requirement->initial_margin,
												  requirement->order_reserve, requirement->holds);

		if (decimal_sign(decimal_add(free, backing)) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("margin_setting of account " INT64_FORMAT ", instrument %d: the equity does not cover a leverage of %s",
							row->account_id, row->instrument_id, decimal_to_cstring(row->leverage)),
					 errdetail("The equity is %s %s%s; the account would have to keep an initial margin of %s, and %s for open orders and holds.",
							   decimal_to_cstring(decimal_add(balance, requirement->unrealized_pnl)),
							   account->asset_code,
							   decimal_sign(backing) == 0 ? "" :
							   psprintf(", and its margin group counts for %s", decimal_to_cstring(backing)),
							   decimal_to_cstring(requirement->initial_margin),
							   decimal_to_cstring(decimal_add(requirement->order_reserve, requirement->holds))),
					 errhint("Deposit more, close positions, or choose a higher leverage."),
					 errtableconstraint(wiring->relation, "leverage")));
	}
}

static void
record_changes(Wiring *wiring, int32 book_id, SettingChange *changes, int n)
{
	Datum	   *columns[6];
	bool	   *nulls[2];
	Datum		values[7] = {Int32GetDatum(book_id)};
	static const Oid types[6] = {INT8OID, INT4OID, NUMERICOID, NUMERICOID, TEXTOID, TEXTOID};

	for (int c = 0; c < 6; c++)
		columns[c] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	for (int side = 0; side < 2; side++)
		nulls[side] = palloc_extended(sizeof(bool) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		SettingRow *sides[2] = {changes[i].before, changes[i].after};
		SettingRow *row = sides[0] != NULL ? sides[0] : sides[1];

		columns[0][i] = Int64GetDatum(row->account_id);
		columns[1][i] = Int32GetDatum(row->instrument_id);
		for (int side = 0; side < 2; side++)
		{
			nulls[side][i] = sides[side] == NULL;
			columns[2 + side][i] = nulls[side][i] ? (Datum) 0 : NumericGetDatum(sides[side]->leverage);
			columns[4 + side][i] = nulls[side][i] ? (Datum) 0 : CStringGetTextDatum(sides[side]->mode);
		}
	}
	for (int c = 0; c < 6; c++)
		values[c + 1] = array_argument(columns[c], c < 2 ? NULL : nulls[c % 2], n, types[c]);
	wiring_write(wiring, &insert_events, values);
}

/*
 * The rows of a statement, and each again for every child account that it
 * holds for; sorted.
 */
static SettingRow **
add_children(Wiring *wiring, int32 book_id, SettingRow **settings, int *n)
{
	Datum	   *account_ids = palloc_extended(sizeof(Datum) * *n, MCXT_ALLOC_HUGE);
	Datum	   *instruments = palloc_extended(sizeof(Datum) * *n, MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int32GetDatum(book_id)};
	SettingRow **all;
	int			nchildren;

	for (int i = 0; i < *n; i++)
	{
		account_ids[i] = Int64GetDatum(settings[i]->account_id);
		instruments[i] = Int32GetDatum(settings[i]->instrument_id);
	}
	values[1] = array_argument(account_ids, NULL, *n, INT8OID);
	values[2] = array_argument(instruments, NULL, *n, INT4OID);
	wiring_read(wiring, &read_children, values, LEDGER_LATEST);
	nchildren = SPI_processed;
	all = palloc_extended(sizeof(SettingRow *) * (*n + nchildren), MCXT_ALLOC_HUGE);
	memcpy(all, settings, sizeof(SettingRow *) * *n);
	for (int row = 0; row < nchildren; row++)
	{
		SettingRow *child = palloc(sizeof(SettingRow));

		*child = *settings[result_int32(row, 1) - 1];
		child->account_id = result_int64(row, 2);
		child->inherited = true;
		all[(*n)++] = child;
	}
	qsort(all, *n, sizeof(SettingRow *), compare_settings);
	return all;
}

static void
check_settings_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	int			nrows = n;
	int			nlocked;
	SettingRow **settings = add_children(wiring, book_id, (SettingRow **) rows, &n);
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *account_ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	Datum	   *instruments = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	SettingChange *changes = palloc_extended(sizeof(SettingChange) * n, MCXT_ALLOC_HUGE);
	int			nchanges = 0;
	int			nown = 0;
	Datum		values[1];

	for (int i = 0; i < n; i++)
	{
		account_ids[i] = settings[i]->account_id;
		instruments[i] = Int32GetDatum(settings[i]->instrument_id);
	}
	posting_open_with_backing(posting, account_ids, n);

	/* a child that came before the lock on its parent may have traded already */
	nlocked = nrows;
	add_children(wiring, book_id, (SettingRow **) rows, &nlocked);
	if (nlocked != n)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("A child account was opened meanwhile that the setting holds for."),
				 errhint("Try the transaction again.")));

	values[0] = array_argument(instruments, NULL, n, INT4OID);
	wiring_read(wiring, &read_settle_assets, values, LEDGER_LATEST);
	for (int i = 0; i < n; i++)
		if (!settings[i]->removed && !settings[i]->inherited)
			check_setting(posting, settings[i], result_text(i, 1));

	/* of one key, the removed row is first */
	for (int i = 0; i < n; i++)
	{
		SettingChange change = {NULL, NULL};

		if (!settings[i]->removed)
			change.after = settings[i];
		else
		{
			change.before = settings[i];
			if (i + 1 < n && !settings[i + 1]->removed &&
				settings[i + 1]->account_id == settings[i]->account_id &&
				settings[i + 1]->instrument_id == settings[i]->instrument_id)
				change.after = settings[++i];
		}
		if (is_change(&change))
			changes[nchanges++] = change;
	}
	if (nchanges == 0)
		return;
	check_modes(wiring, book_id, changes, nchanges);
	check_equity(wiring, posting, book_id, changes, nchanges);
	for (int i = 0; i < nchanges; i++)
		if (!(changes[i].before != NULL ? changes[i].before : changes[i].after)->inherited)
			changes[nown++] = changes[i];
	record_changes(wiring, book_id, changes, nown);
}

/*
 * risk.check_margin_settings()
 *		Trigger on margin_setting, AFTER INSERT, UPDATE or DELETE FOR EACH
 *		STATEMENT.
 */
Datum
risk_check_margin_settings(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = change_trigger(fcinfo, "risk.check_margin_settings");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_MARGIN_SETTING);
	int			n;
	int			nremoved;
	SettingRow *settings = transition_rows(trigger, &setting_reader, &n, &nremoved);

	for (int i = 0; i < nremoved; i++)
		settings[i].removed = true;
	post_by_book(wiring, &setting_reader, settings, n, check_settings_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
