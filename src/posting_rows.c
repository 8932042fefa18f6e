/*
 * posting_rows.c
 *		The rows of accounts, balances and entries that posting reads and writes.
 *
 * By key where the tables are plain, else by statements, which do the same:
 * see hot_rows.c.  A balance that is below its floor is always written by a
 * statement, which queues the check at commit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "freeze.h"
#include "posting_rows.h"

static const char *const kind_names[ACCOUNT_KINDS] = {
	"trader", "clearing", "fee", "insurance_fund", "liquidity", "external",
	"house", "receivable", "funding", "interbook", "suspense"
};

static const char *const status_names[STATUS_KINDS] = {
	"active", "reduce_only", "liquidating", "frozen", "closing", "closed"
};

enum BalanceColumn
{
	BALANCE_BOOK, BALANCE_SLOT, BALANCE_ACCOUNT, BALANCE_SEQ, BALANCE_POSTED_AT, BALANCE_AMOUNT,
	BALANCE_FLOOR, BALANCE_RESERVE, BALANCE_COLUMNS
};

static const HotLayout balance_layout = {
	.nkey = 3, .ncolumns = BALANCE_COLUMNS,
	.columns = {
		{"book_id", INT4OID}, {"slot", INT4OID}, {"account_id", INT8OID}, {"seq", INT8OID},
		{"posted_at", TIMESTAMPTZOID}, {"amount", NUMERICOID}, {"floor", NUMERICOID},
		{"reserve", NUMERICOID}
	},
	.written = true, .triggers = {"floor", "keep_rows", "keep_table", "written_by_posting"},
	.index = "balance_slots"
};

enum EntryColumn
{
	ENTRY_BOOK, ENTRY_SLOT, ENTRY_ACCOUNT, ENTRY_SEQ, ENTRY_PERIOD, ENTRY_POSTED_AT,
	ENTRY_EFFECTIVE_AT, ENTRY_CAUSE, ENTRY_AMOUNT, ENTRY_BALANCE_AFTER, ENTRY_KIND, ENTRY_COLUMNS
};

static const HotLayout entry_layout = {
	.nkey = 5, .ncolumns = ENTRY_COLUMNS,
	.columns = {
		{"book_id", INT4OID}, {"slot", INT4OID}, {"account_id", INT8OID}, {"seq", INT8OID},
		{"period", DATEOID}, {"posted_at", TIMESTAMPTZOID}, {"effective_at", TIMESTAMPTZOID},
		{"cause", INT8OID}, {"amount", NUMERICOID}, {"balance_after", NUMERICOID}, {"kind", TEXTOID}
	},
	.written = true, .inserted = true, .triggers = {"keep_rows", "keep_table", "written_by_posting"}
};

enum AccountColumn
{
	ACCOUNT_BOOK, ACCOUNT_ID, ACCOUNT_KIND, ACCOUNT_STATUS, ACCOUNT_ASSET, ACCOUNT_POLICY,
	ACCOUNT_OWNER, ACCOUNT_PARENT, ACCOUNT_INSTRUMENT, ACCOUNT_SIDE, ACCOUNT_IN_GROUP, ACCOUNT_FUND,
	ACCOUNT_COLUMNS
};

static const HotLayout account_layout = {
	.nkey = 2, .ncolumns = ACCOUNT_COLUMNS,
	.columns = {
		{"book_id", INT4OID}, {"account_id", INT8OID}, {"kind", TEXTOID}, {"status", TEXTOID},
		{"asset_code", TEXTOID}, {"policy_code", TEXTOID}, {"owner_id", TEXTOID}, {"parent_id", INT8OID},
		{"isolated_instrument_id", INT4OID}, {"isolated_side", TEXTOID}, {"in_group", BOOLOID},
		{"fund_instrument_id", INT4OID}
	}
};

static const HotLayout asset_layout = {
	.nkey = 1, .ncolumns = 2, .columns = {{"asset_code", TEXTOID}, {"scale", INT2OID}}
};

/*
 * Lists come as arrays, and each element is looked up by the full key of a row:
 * in a subquery that is planned by itself, or by ON CONFLICT, as in the
 * other files.  A join would leave the planner free to read a whole book
 * instead, and it is where the statistics are older than the rows.
 */
#define LOCK_BALANCES(how) \
	"SELECT b.account_id, b.amount, b.floor, b.seq, b.posted_at, b.reserve" \
	" FROM unnest($3) AS u(account_id), LATERAL (" \
	"  SELECT b.* FROM {balance} b" \
	"  WHERE b.book_id = $1 AND b.slot = $2 AND b.account_id = u.account_id" \
	"  " how ") AS b", \
	3, {INT4OID, INT4OID, INT8ARRAYOID}

static const LedgerStatement lock_balances = {LOCK_BALANCES("FOR NO KEY UPDATE")};

static const LedgerStatement read_balances = {LOCK_BALANCES("OFFSET 0")};

/* may wait for a moment, see row_lock.c: where the rows of a distributed table are, nothing can be tried from here */
static const LedgerStatement lock_free_balances = {LOCK_BALANCES("FOR NO KEY UPDATE SKIP LOCKED")};

static const LedgerStatement read_accounts = {
	"SELECT a.account_id, a.kind, a.status, s.scale::int, a.asset_code, a.policy_code, a.owner_id,"
	" coalesce(a.parent_id, 0), coalesce(a.isolated_instrument_id, 0),"
	" a.isolated_side, a.in_group, coalesce(a.fund_instrument_id, 0)"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT a.* FROM {account} a"
	"  WHERE a.book_id = $1 AND a.account_id = u.account_id OFFSET 0) AS a"
	" JOIN {asset} s ON s.asset_code = a.asset_code",
	2, {INT4OID, INT8ARRAYOID}
};

/* unnest() beside each other, not in FROM, where each array is copied to a tuplestore first */
static const LedgerStatement insert_entries = {
	"INSERT INTO {entry} (book_id, slot, account_id, seq, period, posted_at, effective_at,"
	" cause, amount, balance_after, kind)"
	" SELECT $1, unnest($2), unnest($3), unnest($4), unnest($5), unnest($6),"
	"  unnest($7), unnest($8), unnest($9), unnest($10), unnest($11)",
	11, {INT4OID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, DATEARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, TEXTARRAYOID}
};

static const LedgerStatement update_balances = {
	"INSERT INTO {balance} (book_id, slot, account_id, amount, seq, posted_at, reserve)"
	" SELECT $1, unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7)"
	" ON CONFLICT (book_id, slot, account_id) DO UPDATE"
	" SET amount = excluded.amount, seq = excluded.seq, posted_at = excluded.posted_at, reserve = excluded.reserve",
	7, {INT4OID, INT4ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, NUMERICARRAYOID}
};

static int
name_index(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	elog(ERROR, "unknown name \"%s\" in table \"account\"", name);
	return -1;					/* keep compiler quiet */
}

const char *
account_kind_name(AccountKind kind)
{
	return kind_names[kind];
}

const char *
account_status_name(AccountStatus status)
{
	return status_names[status];
}

Datum
account_id_array(const int64 *ids, int n)
{
	Datum	   *elements = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return array_argument(elements, NULL, n, INT8OID);
}

/* Copies, which outlive the row. */
static Numeric
hot_numeric(HotTable *table, int column)
{
	bool		isnull;
	Datum		value = hot_value(table, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(value);
}

static char *
hot_text(HotTable *table, int column)
{
	bool		isnull;
	Datum		value = hot_value(table, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* 0 for NULL */
static Datum
hot_datum(HotTable *table, int column)
{
	bool		isnull;
	Datum		value = hot_value(table, column, &isnull);

	return isnull ? (Datum) 0 : value;
}

static int
lock_hot_balances(Wiring *wiring, HotTable *table, int32 book_id, int slot, const int64 *ids, int n, BalanceLock lock,
				  BalanceRow *rows)
{
	int			nlocked = 0;

	hot_begin(table, wiring_snapshot(wiring, lock == LOCK_IN_TRANSACTION ? LEDGER_AS_TRANSACTION : LEDGER_LATEST), 3);
	for (int i = 0; i < n; i++)
	{
		Datum		key[3] = {Int32GetDatum(book_id), Int32GetDatum(slot), Int64GetDatum(ids[i])};

		hot_seek(table, key);
		if (!hot_next(table, ForwardScanDirection) ||
			!(wiring->is_trial || hot_lock(table, lock == LOCK_FREE ? LockWaitSkip : LockWaitBlock)))
			continue;
		rows[nlocked++] = (BalanceRow)
		{
			.account_id = ids[i], .slot = slot,
				.seq = DatumGetInt64(hot_datum(table, BALANCE_SEQ)),
				.posted_at = DatumGetTimestampTz(hot_datum(table, BALANCE_POSTED_AT)),
				.amount = hot_numeric(table, BALANCE_AMOUNT),
				.floor = hot_numeric(table, BALANCE_FLOOR),
				.reserve = hot_numeric(table, BALANCE_RESERVE),
				.tid = table->slot->tts_tid
		};
	}
	hot_end(table);
	return nlocked;
}

/*
 * lock_balance_rows
 *		Lock one slot of these accounts FOR NO KEY UPDATE, in the order given;
 *		in a trial, only read it.
 *		Rows that are not there are left out.
 */
BalanceRow *
lock_balance_rows(Wiring *wiring, int32 book_id, int slot, const int64 *ids, int n, BalanceLock lock,
				  int *nlocked)
{
	HotTable   *table = wiring_hot(wiring, LEDGER_BALANCE, &balance_layout);
	BalanceRow *rows = palloc_extended(sizeof(BalanceRow) * Max(n, 1), MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int32GetDatum(book_id), Int32GetDatum(slot)};

	if (table != NULL)
	{
		*nlocked = lock_hot_balances(wiring, table, book_id, slot, ids, n, lock, rows);
		return rows;
	}
	values[2] = account_id_array(ids, n);
	wiring_read(wiring, wiring->is_trial ? &read_balances : lock == LOCK_FREE ? &lock_free_balances : &lock_balances, values,
				lock == LOCK_IN_TRANSACTION ? LEDGER_AS_TRANSACTION : LEDGER_LATEST);
	*nlocked = SPI_processed;
	for (int row = 0; row < *nlocked; row++)
	{
		rows[row] = (BalanceRow)
		{
			.account_id = result_int64(row, 1), .slot = slot, .amount = result_numeric(row, 2),
				.floor = result_numeric(row, 3), .seq = result_int64(row, 4), .posted_at = result_int64(row, 5),
				.reserve = result_numeric(row, 6)
		};
		ItemPointerSetInvalid(&rows[row].tid);
	}
	return rows;
}

/*
 * trader_reaches_floor
 *		Whether the balance of a trader, all of which is in slot 0, is at or
 *		above its floor.  False also when only a statement can tell.
 */
bool
trader_reaches_floor(Wiring *wiring, int32 book_id, int64 account_id)
{
	HotTable   *table = wiring_hot(wiring, LEDGER_BALANCE, &balance_layout);
	Datum		key[3] = {Int32GetDatum(book_id), Int32GetDatum(0), Int64GetDatum(account_id)};
	Numeric		floor = NULL;
	bool		reaches;

	if (table == NULL)
		return false;
	hot_begin(table, wiring_snapshot(wiring, LEDGER_LATEST), 3);
	hot_seek(table, key);
	if (hot_next(table, ForwardScanDirection))
		floor = hot_numeric(table, BALANCE_FLOOR);
	reaches = floor != NULL && decimal_compare(hot_numeric(table, BALANCE_AMOUNT), floor) >= 0;
	hot_end(table);
	return reaches;
}

static int
side_of(const char *name)
{
	return name == NULL ? 0 : strcmp(name, "long") == 0 ? 1 : -1;
}

static int
read_hot_accounts(Wiring *wiring, HotTable *table, HotTable *assets, int32 book_id, const int64 *ids, int n,
				  LedgerAccount *accounts)
{
	Snapshot	snapshot = wiring_snapshot(wiring, LEDGER_LATEST);
	char	   *asset_code = "";
	int			scale = 0;
	int			nread = 0;

	hot_begin(table, snapshot, 2);
	hot_begin(assets, snapshot, 1);
	for (int i = 0; i < n; i++)
	{
		Datum		key[2] = {Int32GetDatum(book_id), Int64GetDatum(ids[i])};
		LedgerAccount *account = &accounts[nread];

		hot_seek(table, key);
		if (!hot_next(table, ForwardScanDirection))
			continue;
		account->account_id = ids[i];
		account->kind = name_index(kind_names, ACCOUNT_KINDS, hot_text(table, ACCOUNT_KIND));
		account->status = name_index(status_names, STATUS_KINDS, hot_text(table, ACCOUNT_STATUS));
		account->asset_code = hot_text(table, ACCOUNT_ASSET);
		account->policy_code = hot_text(table, ACCOUNT_POLICY);
		account->owner_id = hot_text(table, ACCOUNT_OWNER);
		account->parent_id = DatumGetInt64(hot_datum(table, ACCOUNT_PARENT));
		account->isolated_instrument_id = DatumGetInt32(hot_datum(table, ACCOUNT_INSTRUMENT));
		account->isolated_side = side_of(hot_text(table, ACCOUNT_SIDE));
		account->in_group = DatumGetBool(hot_datum(table, ACCOUNT_IN_GROUP));
		account->fund_instrument_id = DatumGetInt32(hot_datum(table, ACCOUNT_FUND));
		if (strcmp(account->asset_code, asset_code) != 0)
		{
			Datum		asset_key = CStringGetTextDatum(account->asset_code);

			hot_seek(assets, &asset_key);
			if (!hot_next(assets, ForwardScanDirection))
				continue;
			asset_code = account->asset_code;
			scale = DatumGetInt16(hot_datum(assets, 1));
		}
		account->scale = scale;
		nread++;
	}
	hot_end(assets);
	hot_end(table);
	return nread;
}

/*
 * read_account_rows
 *		These accounts, as the latest committed state has them; what is not
 *		there is left out, and no balance is known (slot -1).
 */
LedgerAccount *
read_account_rows(Wiring *wiring, int32 book_id, const int64 *ids, int n, int *nread)
{
	HotTable   *table = wiring_hot(wiring, LEDGER_ACCOUNT, &account_layout);
	HotTable   *assets = wiring_hot(wiring, LEDGER_ASSET, &asset_layout);
	LedgerAccount *accounts = palloc_extended(sizeof(LedgerAccount) * Max(n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	if (table != NULL && assets != NULL)
		*nread = read_hot_accounts(wiring, table, assets, book_id, ids, n, accounts);
	else
	{
		Datum		values[2] = {Int32GetDatum(book_id), account_id_array(ids, n)};

		wiring_read(wiring, &read_accounts, values, LEDGER_LATEST);
		*nread = SPI_processed;
		for (int row = 0; row < *nread; row++)
		{
			LedgerAccount *account = &accounts[row];

			account->account_id = result_int64(row, 1);
			account->kind = name_index(kind_names, ACCOUNT_KINDS, result_text(row, 2));
			account->status = name_index(status_names, STATUS_KINDS, result_text(row, 3));
			account->scale = result_int32(row, 4);
			account->asset_code = result_text(row, 5);
			account->policy_code = result_text(row, 6);
			account->owner_id = result_text(row, 7);
			account->parent_id = result_int64(row, 8);
			account->isolated_instrument_id = result_int32(row, 9);
			account->isolated_side = side_of(result_text(row, 10));
			account->in_group = result_bool(row, 11);
			account->fund_instrument_id = result_int32(row, 12);
		}
	}
	for (int i = 0; i < *nread; i++)
	{
		accounts[i].slot = -1;
		if (accounts[i].kind == ACCOUNT_TRADER && accounts[i].status != STATUS_CLOSED &&
			accounts[i].status != STATUS_FROZEN &&
			account_has_freeze(wiring, book_id, accounts[i].account_id, accounts[i].owner_id))
			accounts[i].status = STATUS_FROZEN;
	}
	return accounts;
}

/* How many entries are brought into the form of a row at a time. */
#define ENTRIES_AT_A_TIME		1000

static void
fill_entry(Datum *values, int32 book_id, const PostedEntry *entry, Datum kind)
{
	TimestampTz posted_at = entry->account->posted_at;

	values[ENTRY_BOOK] = Int32GetDatum(book_id);
	values[ENTRY_SLOT] = Int32GetDatum(entry->account->slot);
	values[ENTRY_ACCOUNT] = Int64GetDatum(entry->account->account_id);
	values[ENTRY_SEQ] = Int64GetDatum(entry->seq);
	values[ENTRY_PERIOD] = DateADTGetDatum(period_of(posted_at));
	values[ENTRY_POSTED_AT] = TimestampTzGetDatum(posted_at);
	values[ENTRY_EFFECTIVE_AT] = TimestampTzGetDatum(entry->effective_at);
	values[ENTRY_CAUSE] = Int64GetDatum(entry->cause);
	values[ENTRY_AMOUNT] = NumericGetDatum(entry->amount);
	values[ENTRY_BALANCE_AFTER] = NumericGetDatum(entry->balance_after);
	values[ENTRY_KIND] = kind;
}

/* insert_entry_rows: posted_at is that of the account */
void
insert_entry_rows(Wiring *wiring, int32 book_id, const PostedEntry *entries, int n)
{
	HotTable   *table = wiring_hot(wiring, LEDGER_ENTRY, &entry_layout);
	int			at_a_time = table != NULL ? Min(n, ENTRIES_AT_A_TIME) : 1;
	Datum	   *rows = palloc(sizeof(Datum) * ENTRY_COLUMNS * at_a_time);
	Datum	   *columns[ENTRY_COLUMNS];
	Datum		values[ENTRY_COLUMNS];
	const char *last_kind = NULL;
	Datum		kind = (Datum) 0;

	for (int c = 1; table == NULL && c < ENTRY_COLUMNS; c++)
		columns[c] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		Datum	   *row = &rows[(i % at_a_time) * ENTRY_COLUMNS];

		if (last_kind != entries[i].kind)
		{
			last_kind = entries[i].kind;
			kind = CStringGetTextDatum(last_kind);
		}
		fill_entry(row, book_id, &entries[i], kind);
		if (table == NULL)
			for (int c = 1; c < ENTRY_COLUMNS; c++)
				columns[c][i] = row[c];
		else if (i == n - 1 || i % at_a_time == at_a_time - 1)
			hot_insert(table, rows, NULL, i % at_a_time + 1);
	}
	if (table != NULL)
		return;
	values[0] = Int32GetDatum(book_id);
	for (int c = 1; c < ENTRY_COLUMNS; c++)
		values[c] = array_argument(columns[c], NULL, n, entry_layout.columns[c].type);
	wiring_write(wiring, &insert_entries, values);
}

/* Whether the row has been written by its key. */
static bool
update_hot_balance(HotTable *table, int32 book_id, LedgerAccount *account)
{
	Datum		values[BALANCE_COLUMNS] = {
		Int32GetDatum(book_id), Int32GetDatum(account->slot), Int64GetDatum(account->account_id),
		Int64GetDatum(account->seq), TimestampTzGetDatum(account->posted_at), NumericGetDatum(account->amount),
		NumericGetDatum(account->floor), NumericGetDatum(account->reserve)
	};
	bool		nulls[BALANCE_COLUMNS] = {
		[BALANCE_FLOOR] = account->floor == NULL, [BALANCE_RESERVE] = account->reserve == NULL
	};

	return ItemPointerIsValid(&account->tid) &&
		(account->floor == NULL || decimal_compare(account->amount, account->floor) >= 0) &&
		hot_update(table, &account->tid, values, nulls);
}

/*
 * update_balance_rows
 *		Write the balances of these accounts, which are locked.  Those that
 *		statements write come last: with SET CONSTRAINTS IMMEDIATE the check is
 *		done at once, and must find the others written.
 */
void
update_balance_rows(Wiring *wiring, int32 book_id, LedgerAccount **accounts, int n)
{
	HotTable   *table = wiring_hot(wiring, LEDGER_BALANCE, &balance_layout);
	Datum	   *columns[6];
	bool	   *no_reserve = palloc_extended(sizeof(bool) * Max(n, 1), MCXT_ALLOC_HUGE);
	Datum		values[7] = {Int32GetDatum(book_id)};
	static const Oid types[6] = {INT4OID, INT8OID, NUMERICOID, INT8OID, TIMESTAMPTZOID, NUMERICOID};
	int			rest = 0;

	for (int c = 0; c < 6; c++)
		columns[c] = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		if (table != NULL && update_hot_balance(table, book_id, accounts[i]))
			continue;
		columns[0][rest] = Int32GetDatum(accounts[i]->slot);
		columns[1][rest] = Int64GetDatum(accounts[i]->account_id);
		columns[2][rest] = NumericGetDatum(accounts[i]->amount);
		columns[3][rest] = Int64GetDatum(accounts[i]->seq);
		columns[4][rest] = TimestampTzGetDatum(accounts[i]->posted_at);
		no_reserve[rest] = accounts[i]->reserve == NULL;
		columns[5][rest++] = NumericGetDatum(accounts[i]->reserve);
	}
	CommandCounterIncrement();
	if (rest == 0)
		return;
	for (int c = 0; c < 6; c++)
		values[c + 1] = array_argument(columns[c], c == 5 ? no_reserve : NULL, rest, types[c]);
	wiring_write(wiring, &update_balances, values);
	if (SPI_processed != (uint64) rest)
		elog(ERROR, "%d balances were locked, " UINT64_FORMAT " written", rest, SPI_processed);
}
