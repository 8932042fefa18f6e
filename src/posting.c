/*
 * posting.c
 *		Balances and entries of one book, opened, changed and written back.
 *
 * What is posted, and why, is the business of trade.c, transfer.c and waterfall.c.
 * Here is how it is done without a lost update and without a deadlock:
 *
 * Lock order.  (0) The funding locks of the instruments that are traded, see
 * funding.c.  (1) Balances of traders, and of those who stand behind them, by
 * account_id, in one pass for the whole statement.  (2) Slots of system
 * accounts; they are never waited for.  (3) The gate: the row of the book, then
 * slot 0 of floored system accounts by account_id.  After (3) nothing of (1) is
 * waited for.  A transaction of one statement cannot deadlock, nor can several
 * that lock traders in ascending order and pass the gate last.
 *
 * Slots.  System accounts take part in most transactions; one row for each
 * would let one transaction run at a time.  A credit, or a debit of an account
 * without a floor, goes to whatever slot >= 1 is free; such a slot has no floor of its
 * own.  Slot 0 carries the floor: who takes money out of a floored system
 * account holds slot 0, adds up the slots and debits slot 0, which may go
 * below zero as long as the sum does not.  Debits exclude each other and
 * credits only add, so the sum that was read is what is there at least.
 * fold.c moves what is in slots >= 1 to slot 0.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "posting.h"

/* What a statement of one row costs in commands, about. */
#define COMMANDS_PER_STATEMENT	8

/*
 * A transaction that writes one slot more often than this goes on with
 * another: its own dead versions cannot be pruned before it ends, and every
 * write walks all of them.
 */
#define WRITES_PER_SLOT			1000

/* Slots of one backend are this far apart; more than any number of backends. */
#define SLOT_STRIDE				(1 << 18)

typedef struct PostedEntry
{
	LedgerAccount *account;
	int64		seq;
	Numeric		amount;
	Numeric		balance_after;
	const char *kind;
	int64		cause;
	TimestampTz effective_at;
} PostedEntry;

struct Posting
{
	Wiring	   *wiring;
	int32		book_id;
	HTAB	   *accounts;		/* of AccountSlot */
	List	   *system;			/* those of them with account_id < 0 */
	List	   *filled_slots;	/* LedgerAccounts beside those */
	PostedEntry *entries;
	int			nentries;
	int			entries_size;
};

typedef struct AccountSlot
{
	int64		account_id;		/* key */
	LedgerAccount account;
} AccountSlot;

static const char *const kind_names[ACCOUNT_KINDS] = {
	"trader", "clearing", "fee", "insurance_fund", "liquidity", "external",
	"house", "receivable", "funding", "interbook", "suspense"
};

static const char *const status_names[STATUS_KINDS] = {
	"active", "reduce_only", "liquidating", "frozen", "closing", "closed"
};

/*
 * Lists come as arrays, and each element is looked up by the full key of a row:
 * in a subquery that is planned by itself, or by ON CONFLICT, as in the
 * other files.  A join would leave the planner free to read a whole book
 * instead, and it is where the statistics are older than the rows.
 */
static const LedgerStatement lock_balances = {
	"SELECT b.account_id, b.amount, b.floor, b.seq, b.posted_at"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT b.* FROM {balance} b"
	"  WHERE b.book_id = $1 AND b.slot = 0 AND b.account_id = u.account_id"
	"  FOR NO KEY UPDATE) AS b",
	2, {INT4OID, INT8ARRAYOID}
};

/*
 * The same with those who stand behind the accounts: the parents of child
 * accounts, and the margin groups.  Who has which parent never changes.  The
 * owner of a child is that of its parent.
 */
static const LedgerStatement lock_balances_with_backing = {
	"SELECT b.account_id, b.amount, b.floor, b.seq, b.posted_at"
	" FROM (SELECT w.account_id FROM unnest($2 || ARRAY("
	"   SELECT g.account_id FROM unnest($2) AS v(account_id), LATERAL ("
	"    SELECT a.* FROM {account} a WHERE a.book_id = $1 AND a.account_id = v.account_id"
	"     AND (a.parent_id IS NOT NULL OR a.in_group) OFFSET 0) AS a, LATERAL ("
	"    SELECT a.parent_id WHERE a.parent_id IS NOT NULL"
	"    UNION ALL SELECT m.account_id FROM {account} m"
	"    WHERE m.book_id = $1 AND m.owner_id = a.owner_id AND m.in_group AND m.status <> 'closed'"
	"   ) AS g(account_id))) AS w(account_id) ORDER BY 1) AS u(account_id), LATERAL ("
	"  SELECT b.* FROM {balance} b"
	"  WHERE b.book_id = $1 AND b.slot = 0 AND b.account_id = u.account_id"
	"  FOR NO KEY UPDATE) AS b",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement lock_free_balances = {
	"SELECT b.account_id, b.amount, b.floor, b.seq, b.posted_at"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT b.* FROM {balance} b"
	"  WHERE b.book_id = $1 AND b.slot = 0 AND b.account_id = u.account_id"
	"  FOR NO KEY UPDATE SKIP LOCKED) AS b",
	2, {INT4OID, INT8ARRAYOID}
};

/*
 * An open freeze counts whatever the status says: a waterfall that freezes waits
 * for nobody, and passes over the status of an account that is being changed.
 */
static const LedgerStatement read_accounts = {
	"SELECT a.account_id, a.kind,"
	" CASE WHEN a.kind = 'trader' AND a.status <> 'closed'"
	"   AND (EXISTS (SELECT FROM {schema}.freeze f WHERE f.book_id = $1 AND f.account_id = a.account_id AND f.lifted_at IS NULL)"
	"    OR EXISTS (SELECT FROM {schema}.freeze f WHERE f.book_id = $1 AND f.owner_id = a.owner_id AND f.lifted_at IS NULL))"
	"  THEN 'frozen' ELSE a.status END,"
	" s.scale::int, a.asset_code, a.policy_code, a.owner_id,"
	" coalesce(a.parent_id, 0), coalesce(a.isolated_instrument_id, 0),"
	" CASE a.isolated_side WHEN 'long' THEN 1 WHEN 'short' THEN -1 ELSE 0 END,"
	" a.in_group"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT a.* FROM {account} a"
	"  WHERE a.book_id = $1 AND a.account_id = u.account_id OFFSET 0) AS a"
	" JOIN {asset} s ON s.asset_code = a.asset_code",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement read_system_account = {
	"SELECT a.account_id"
	" FROM {account} a"
	" WHERE a.book_id = $1 AND a.kind = $2 AND a.asset_code = $3 AND a.kind <> 'trader'",
	3, {INT4OID, TEXTOID, TEXTOID}
};

static const LedgerStatement lock_slot = {
	"SELECT b.account_id, b.amount, b.seq, b.posted_at, b.slot"
	" FROM unnest($3) AS u(account_id), LATERAL ("
	"  SELECT b.* FROM {balance} b"
	"  WHERE b.book_id = $1 AND b.slot = $2 AND b.account_id = u.account_id"
	"  FOR NO KEY UPDATE SKIP LOCKED) AS b",
	3, {INT4OID, INT4OID, INT8ARRAYOID}
};

static const LedgerStatement lock_any_slot = {
	"SELECT b.account_id, b.amount, b.seq, b.posted_at, b.slot"
	" FROM {balance} b"
	" WHERE b.book_id = $1 AND b.account_id = $2 AND b.slot <> 0"
	" AND b.slot / $3 = $4 / $3"
	" ORDER BY b.slot LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
	4, {INT4OID, INT8OID, INT4OID, INT4OID}
};

static const LedgerStatement insert_slot = {
	"INSERT INTO {balance} AS b (book_id, slot, account_id)"
	" SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM {balance} o"
	"  WHERE o.book_id = $1 AND o.slot = $2 AND o.account_id = $3)"
	" RETURNING b.account_id, b.amount, b.seq, b.posted_at, b.slot",
	3, {INT4OID, INT4OID, INT8OID}
};

static const LedgerStatement lock_filled_slots = {
	"SELECT b.account_id, b.amount, b.seq, b.posted_at, b.slot"
	" FROM {balance} b"
	" WHERE b.book_id = $1 AND b.account_id = $2 AND b.slot <> 0 AND b.amount <> 0"
	" ORDER BY b.slot FOR NO KEY UPDATE SKIP LOCKED",
	2, {INT4OID, INT8OID}
};

static const LedgerStatement lock_book = {
	"SELECT FROM {book} b WHERE b.book_id = $1 FOR NO KEY UPDATE",
	1, {INT4OID}
};

static const LedgerStatement sum_other_slots = {
	"SELECT sum(o.amount) FROM ("
	" SELECT b.amount FROM {balance} b"
	"  WHERE b.book_id = $1 AND b.account_id = $2 AND b.slot <> 0 AND b.slot <> $3"
	" UNION ALL"
	" SELECT b.amount FROM {balance} b"
	"  WHERE b.book_id = $1 AND b.account_id = $2 AND b.slot = 0 AND $3 <> 0) AS o",
	3, {INT4OID, INT8OID, INT4OID}
};

/* unnest() beside each other, not in FROM, where each array is copied to a tuplestore first */
static const LedgerStatement insert_entries = {
	"INSERT INTO {entry} (book_id, slot, account_id, seq, posted_at, effective_at,"
	" cause, period, amount, balance_after, kind)"
	" SELECT $1, unnest($2), unnest($3), unnest($4), unnest($5), unnest($6),"
	"  unnest($7), unnest($8), unnest($9), unnest($10), unnest($11)",
	11, {INT4OID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZARRAYOID, INT8ARRAYOID, DATEARRAYOID, NUMERICARRAYOID,
		NUMERICARRAYOID, TEXTARRAYOID}
};

static const LedgerStatement note_below_floor = {
	"INSERT INTO {below_floor} (book_id, account_id)"
	" SELECT $1, * FROM unnest($2) ON CONFLICT DO NOTHING",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement update_balances = {
	"INSERT INTO {balance} (book_id, slot, account_id, amount, seq, posted_at)"
	" SELECT $1, unnest($2), unnest($3), unnest($4), unnest($5), unnest($6)"
	" ON CONFLICT (book_id, slot, account_id) DO UPDATE"
	" SET amount = excluded.amount, seq = excluded.seq, posted_at = excluded.posted_at",
	6, {INT4OID, INT4ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}
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

/*
 * account_kind_is_gated
 *		System accounts that have a floor or positions: all that touches them,
 *		but for a credit of the insurance fund, passes the gate.
 */
bool
account_kind_is_gated(AccountKind kind)
{
	return kind == ACCOUNT_INSURANCE_FUND || kind == ACCOUNT_LIQUIDITY ||
		kind == ACCOUNT_INTERBOOK;
}

/* posting_begin: a posting in one book; lives in the current memory context */
Posting *
posting_begin(Wiring *wiring, int32 book_id)
{
	Posting    *posting = palloc0(sizeof(Posting));
	HASHCTL		ctl = {
		.keysize = sizeof(int64),
		.entrysize = sizeof(AccountSlot),
		.hcxt = CurrentMemoryContext
	};

	posting->wiring = wiring;
	posting->book_id = book_id;
	posting->accounts = hash_create("accounts of a posting", 32, &ctl,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return posting;
}

static int
compare_int64(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

static Datum
account_id_array(const int64 *ids, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return array_argument(elements, NULL, n, INT8OID);
}

static void
remember_balance(LedgerAccount *account, int slot, Numeric amount, Numeric floor,
				 int64 seq, TimestampTz posted_at)
{
	account->slot = slot;
	account->amount = amount;
	account->floor = floor;
	account->seq = seq;
	account->posted_at = posted_at;
}

/* posting_open(), with the statement that locks. */
static void
open_accounts(Posting *posting, int64 *account_ids, int n, const LedgerStatement *lock)
{
	Datum		values[2] = {Int32GetDatum(posting->book_id)};
	int			unique = 0;
	int			system = 0;
	int64	   *opened;
	int			nopened;

	qsort(account_ids, n, sizeof(int64), compare_int64);
	for (int i = 0; i < n; i++)
		if (unique == 0 || account_ids[i] != account_ids[unique - 1])
			account_ids[unique++] = account_ids[i];
	while (system < unique && account_ids[system] < 0)
		system++;
	opened = account_ids;
	nopened = unique;

	/* the locks first: what is read after them cannot change any more */
	if (unique > system)
	{
		values[1] = account_id_array(account_ids + system, unique - system);
		wiring_read(posting->wiring, lock, values,
					lock == &lock_free_balances ? LEDGER_LATEST : LEDGER_AS_TRANSACTION);
		opened = palloc_extended(sizeof(int64) * (unique + SPI_processed), MCXT_ALLOC_HUGE);
		memcpy(opened, account_ids, sizeof(int64) * unique);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			int64		id = result_int64(row, 1);
			AccountSlot *found = hash_search(posting->accounts, &id, HASH_ENTER, NULL);

			memset(&found->account, 0, sizeof(LedgerAccount));
			remember_balance(&found->account, 0, result_numeric(row, 2), result_numeric(row, 3),
							 result_int64(row, 4), result_int64(row, 5));
			if (bsearch(&id, account_ids, unique, sizeof(int64), compare_int64) == NULL)
				opened[nopened++] = id;
		}
	}

	values[1] = account_id_array(opened, nopened);
	wiring_read(posting->wiring, &read_accounts, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int64		id = result_int64(row, 1);
		bool		locked;
		AccountSlot *found = hash_search(posting->accounts, &id, HASH_ENTER, &locked);
		LedgerAccount *account = &found->account;

		if (!locked && id > 0)
		{
			/* opened since its balance was looked for: not there yet, for this statement */
			if (IsolationUsesXactSnapshot() && lock != &lock_free_balances)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update"),
						 errdetail("Account " INT64_FORMAT " of book %d was opened after the transaction began.",
								   id, posting->book_id),
						 errhint("Try the transaction again.")));
			hash_search(posting->accounts, &id, HASH_REMOVE, NULL);
			continue;
		}
		if (!locked)
		{
			memset(account, 0, sizeof(LedgerAccount));
			account->slot = -1;
		}
		account->account_id = id;
		account->kind = name_index(kind_names, ACCOUNT_KINDS, result_text(row, 2));
		account->status = name_index(status_names, STATUS_KINDS, result_text(row, 3));
		account->scale = result_int32(row, 4);
		account->asset_code = result_text(row, 5);
		account->policy_code = result_text(row, 6);
		account->owner_id = result_text(row, 7);
		account->parent_id = result_int64(row, 8);
		account->isolated_instrument_id = result_int32(row, 9);
		account->isolated_side = result_int32(row, 10);
		account->in_group = result_bool(row, 11);
		if (!locked && account->kind != ACCOUNT_TRADER)
			posting->system = lappend(posting->system, account);
	}
}

/*
 * posting_open
 *		Lock the balances of the traders among account_ids, in order, then read
 *		what kind of account each is and in what state.  System accounts are
 *		read only; posting_take_slots() or posting_pass_gate() lock them.
 *
 * Sorts account_ids.  An account that does not exist is left out.
 */
void
posting_open(Posting *posting, int64 *account_ids, int n)
{
	open_accounts(posting, account_ids, n, &lock_balances);
}

/*
 * Whether anybody can stand behind an account of this ledger: nobody does while
 * the index of child accounts and members of groups has no page but the first.
 */
static bool
anybody_is_backed(Wiring *wiring)
{
	Oid			index_id = get_relname_relid("account_backed", get_rel_namespace(wiring->account));
	Relation	index;
	bool		empty;

	if (!OidIsValid(index_id) || get_rel_relkind(index_id) != RELKIND_INDEX)
		return true;
	index = index_open(index_id, AccessShareLock);
	empty = index->rd_index->indrelid == wiring->account && index->rd_index->indisvalid &&
		RelationGetNumberOfBlocks(index) == 1;
	index_close(index, AccessShareLock);
	return !empty;
}

/*
 * posting_open_with_backing
 *		The same, and in the same pass the parents of child accounts and the
 *		other members of margin groups, those of the parents too.
 */
void
posting_open_with_backing(Posting *posting, int64 *account_ids, int n)
{
	open_accounts(posting, account_ids, n,
				  anybody_is_backed(posting->wiring) ? &lock_balances_with_backing : &lock_balances);
}

/*
 * posting_open_free
 *		The same without waiting: a trader whose balance another transaction
 *		holds is left out.
 */
void
posting_open_free(Posting *posting, int64 *account_ids, int n)
{
	open_accounts(posting, account_ids, n, &lock_free_balances);
}

/* posting_account: an account that posting_open() found, or NULL */
LedgerAccount *
posting_account(Posting *posting, int64 account_id)
{
	AccountSlot *found = hash_search(posting->accounts, &account_id, HASH_FIND, NULL);

	return found == NULL ? NULL : &found->account;
}

/* posting_system_account: the book's own account of a kind and asset; 23503 when it has none */
LedgerAccount *
posting_system_account(Posting *posting, AccountKind kind, const char *asset_code)
{
	Datum		values[3] = {Int32GetDatum(posting->book_id)};
	int64		id;
	ListCell   *lc;

	foreach(lc, posting->system)
	{
		LedgerAccount *account = lfirst(lc);

		if (account->kind == kind && strcmp(account->asset_code, asset_code) == 0)
			return account;
	}

	values[1] = CStringGetTextDatum(kind_names[kind]);
	values[2] = CStringGetTextDatum(asset_code);
	wiring_read(posting->wiring, &read_system_account, values, LEDGER_LATEST);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("book %d has no %s account in %s", posting->book_id,
						kind_names[kind], asset_code),
				 errhint("Make the book with risk.create_book().")));
	id = result_int64(0, 1);
	posting_open(posting, &id, 1);
	return posting_account(posting, id);
}

/* The row of the statement that ran last becomes the one that the posting writes. */
static void
remember_slot(Posting *posting, uint64 row)
{
	LedgerAccount *account = posting_account(posting, result_int64(row, 1));

	remember_balance(account, result_int32(row, 5), result_numeric(row, 2), NULL,
					 result_int64(row, 3), result_int64(row, 4));
}

/*
 * Whether this transaction may make a slot of that number, if there is none.
 * Two can only want the same one when the other is prepared, and an INSERT
 * would then wait for its end.  The lock is in the space of advisory locks, apart from those that
 * SQL can take.
 */
static bool
may_insert_slot(Posting *posting, int slot, int64 account_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId,
						 (uint32) slot ^ ((uint32) posting->book_id << 16),
						 (uint32) account_id, 3);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * posting_take_slots
 *		Lock one slot >= 1 of each of these system accounts, without waiting
 *		for anybody: the slot of this backend, else any that is free, else a
 *		new one.
 */
void
posting_take_slots(Posting *posting, LedgerAccount **accounts, int n)
{
	int			generation = GetCurrentCommandId(false) / (COMMANDS_PER_STATEMENT * WRITES_PER_SLOT);
	int			wanted = BackendNumber() + (generation % (PG_INT32_MAX / SLOT_STRIDE)) * SLOT_STRIDE;
	int64	   *ids = palloc(sizeof(int64) * n);
	int			missing = 0;

	for (int i = 0; i < n; i++)
		if (accounts[i]->slot < 0)
			ids[missing++] = accounts[i]->account_id;
	if (missing > 0)
	{
		Datum		values[3] = {Int32GetDatum(posting->book_id), Int32GetDatum(wanted),
			account_id_array(ids, missing)};

		wiring_read(posting->wiring, &lock_slot, values, LEDGER_LATEST);
		for (uint64 row = 0; row < SPI_processed; row++)
			remember_slot(posting, row);
	}

	for (int i = 0; i < n; i++)
	{
		int64		id = accounts[i]->account_id;

		for (int slot = wanted; accounts[i]->slot < 0; slot++)
		{
			if (may_insert_slot(posting, slot, id))
			{
				Datum		values[3] = {Int32GetDatum(posting->book_id), Int32GetDatum(slot),
					Int64GetDatum(id)};

				wiring_write(posting->wiring, &insert_slot, values);
				if (SPI_processed > 0)
					remember_slot(posting, 0);
			}
			if (accounts[i]->slot < 0)
			{
				Datum		values[4] = {Int32GetDatum(posting->book_id), Int64GetDatum(id),
					Int32GetDatum(SLOT_STRIDE), Int32GetDatum(slot)};

				wiring_read(posting->wiring, &lock_any_slot, values, LEDGER_LATEST);
				if (SPI_processed > 0)
					remember_slot(posting, 0);
			}
		}
	}
}

static int
compare_accounts(const void *a, const void *b)
{
	return compare_int64(&(*(LedgerAccount *const *) a)->account_id,
						 &(*(LedgerAccount *const *) b)->account_id);
}

/*
 * posting_pass_gate
 *		Lock the book, then slot 0 of these system accounts.  Sorts accounts.
 */
void
posting_pass_gate(Posting *posting, LedgerAccount **accounts, int n)
{
	Datum		values[2] = {Int32GetDatum(posting->book_id)};
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));

	wiring_read(posting->wiring, &lock_book, values, LEDGER_LATEST);
	if (n == 0)
		return;
	qsort(accounts, n, sizeof(LedgerAccount *), compare_accounts);
	for (int i = 0; i < n; i++)
		ids[i] = accounts[i]->account_id;
	values[1] = account_id_array(ids, n);
	wiring_read(posting->wiring, &lock_balances, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
		remember_balance(posting_account(posting, result_int64(row, 1)), 0,
						 result_numeric(row, 2), result_numeric(row, 3),
						 result_int64(row, 4), result_int64(row, 5));
}

/*
 * posting_take_filled_slots
 *		Lock the slots >= 1 of a system account that hold anything, but for
 *		those that somebody else has locked.  Returns a LedgerAccount for each,
 *		a copy of account that posting_post() takes in its place.
 */
List *
posting_take_filled_slots(Posting *posting, LedgerAccount *account)
{
	Datum		values[2] = {Int32GetDatum(posting->book_id), Int64GetDatum(account->account_id)};
	List	   *taken = NIL;

	wiring_read(posting->wiring, &lock_filled_slots, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		LedgerAccount *slot = palloc(sizeof(LedgerAccount));

		*slot = *account;
		remember_balance(slot, result_int32(row, 5), result_numeric(row, 2), NULL,
						 result_int64(row, 3), result_int64(row, 4));
		taken = lappend(taken, slot);
	}
	posting->filled_slots = list_concat(posting->filled_slots, taken);
	return taken;
}

/*
 * posting_total
 *		The balance over all slots of a system account, as this posting will
 *		leave it.  Where the posting holds slot 0 of a floored account, what
 *		others commit from now on only adds to it.
 */
Numeric
posting_total(Posting *posting, LedgerAccount *account)
{
	Datum		values[3] = {Int32GetDatum(posting->book_id), Int64GetDatum(account->account_id),
	Int32GetDatum(account->slot)};
	Numeric		others;

	Assert(account->slot >= 0);
	wiring_read(posting->wiring, &sum_other_slots, values, LEDGER_LATEST);
	others = result_numeric(0, 1);
	return others == NULL ? account->amount : decimal_add(account->amount, others);
}

/*
 * posting_post
 *		Change a balance by amount, in units of its asset and rounded to its
 *		scale already, and record the entry.  The row must be locked.
 */
void
posting_post(Posting *posting, LedgerAccount *account, Numeric amount,
			 const char *kind, int64 cause, TimestampTz effective_at)
{
	PostedEntry *entry;

	Assert(account->slot >= 0);
	if (posting->nentries == posting->entries_size)
	{
		posting->entries_size = Max(64, posting->entries_size * 2);
		posting->entries = posting->entries == NULL ?
			palloc(sizeof(PostedEntry) * posting->entries_size) :
			repalloc_huge(posting->entries, sizeof(PostedEntry) * posting->entries_size);
	}

	/* every amount is stored with the digits of its asset */
	amount = decimal_round(amount, account->scale, DECIMAL_HALF_AWAY);
	account->amount = decimal_add(account->amount, amount);
	account->changed = true;
	account->seq++;

	entry = &posting->entries[posting->nentries++];
	entry->account = account;
	entry->seq = account->seq;
	entry->amount = amount;
	entry->balance_after = account->amount;
	entry->kind = kind;
	entry->cause = cause;
	entry->effective_at = effective_at;
}

static void
write_entries(Posting *posting)
{
	Datum	   *columns[10];
	Datum		values[11];
	static const Oid types[10] = {INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	INT8OID, DATEOID, NUMERICOID, NUMERICOID, TEXTOID};
	const char *last_kind = NULL;
	Datum		last_kind_text = (Datum) 0;

	for (int c = 0; c < 10; c++)
		columns[c] = palloc_extended(sizeof(Datum) * posting->nentries, MCXT_ALLOC_HUGE);
	for (int i = 0; i < posting->nentries; i++)
	{
		PostedEntry *entry = &posting->entries[i];
		TimestampTz posted_at = entry->account->posted_at;

		if (last_kind != entry->kind)
		{
			last_kind = entry->kind;
			last_kind_text = CStringGetTextDatum(entry->kind);
		}
		columns[0][i] = Int32GetDatum(entry->account->slot);
		columns[1][i] = Int64GetDatum(entry->account->account_id);
		columns[2][i] = Int64GetDatum(entry->seq);
		columns[3][i] = TimestampTzGetDatum(posted_at);
		columns[4][i] = TimestampTzGetDatum(entry->effective_at);
		columns[5][i] = Int64GetDatum(entry->cause);
		columns[6][i] = DateADTGetDatum(period_of(posted_at));
		columns[7][i] = NumericGetDatum(entry->amount);
		columns[8][i] = NumericGetDatum(entry->balance_after);
		columns[9][i] = last_kind_text;
	}
	values[0] = Int32GetDatum(posting->book_id);
	for (int c = 0; c < 10; c++)
		values[c + 1] = array_argument(columns[c], NULL, posting->nentries, types[c]);
	wiring_write(posting->wiring, &insert_entries, values);
}

static void
write_balances(Posting *posting)
{
	HASH_SEQ_STATUS scan;
	AccountSlot *found;
	LedgerAccount **changed = palloc(sizeof(LedgerAccount *) *
									 (hash_get_num_entries(posting->accounts) + list_length(posting->filled_slots)));
	ListCell   *lc;
	int			n = 0;
	int			below = 0;
	Datum	   *columns[5];
	Datum		values[6];
	TimestampTz now = GetCurrentTimestamp();

	hash_seq_init(&scan, posting->accounts);
	while ((found = hash_seq_search(&scan)) != NULL)
		if (found->account.changed)
			changed[n++] = &found->account;
	foreach(lc, posting->filled_slots)
		if (((LedgerAccount *) lfirst(lc))->changed)
			changed[n++] = lfirst(lc);
	qsort(changed, n, sizeof(LedgerAccount *), compare_accounts);

	/* time never runs backwards within an account, whatever the clock does */
	for (int i = 0; i < n; i++)
		changed[i]->posted_at = Max(now, changed[i]->posted_at);
	write_entries(posting);

	/*
	 * The notes before the balances: with SET CONSTRAINTS IMMEDIATE the update
	 * fires the check, which must find them.
	 */
	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
		if (changed[i]->floor != NULL && changed[i]->kind != ACCOUNT_INSURANCE_FUND &&
			decimal_compare(changed[i]->amount, changed[i]->floor) < 0)
			columns[0][below++] = Int64GetDatum(changed[i]->account_id);
	values[0] = Int32GetDatum(posting->book_id);
	if (below > 0)
	{
		values[1] = array_argument(columns[0], NULL, below, INT8OID);
		wiring_write(posting->wiring, &note_below_floor, values);
	}

	for (int i = 0; i < n; i++)
	{
		columns[0][i] = Int32GetDatum(changed[i]->slot);
		columns[1][i] = Int64GetDatum(changed[i]->account_id);
		columns[2][i] = NumericGetDatum(changed[i]->amount);
		columns[3][i] = Int64GetDatum(changed[i]->seq);
		columns[4][i] = TimestampTzGetDatum(changed[i]->posted_at);
	}
	values[1] = array_argument(columns[0], NULL, n, INT4OID);
	values[2] = array_argument(columns[1], NULL, n, INT8OID);
	values[3] = array_argument(columns[2], NULL, n, NUMERICOID);
	values[4] = array_argument(columns[3], NULL, n, INT8OID);
	values[5] = array_argument(columns[4], NULL, n, TIMESTAMPTZOID);
	wiring_write(posting->wiring, &update_balances, values);
	if (SPI_processed != (uint64) n)
		elog(ERROR, "%d balances were locked, " UINT64_FORMAT " written", n, SPI_processed);
}

/*
 * posting_write
 *		Write what was posted: entries, one row per leg, and each balance once.
 *		The posting is spent.
 */
void
posting_write(Posting *posting)
{
	if (posting->nentries > 0)
		write_balances(posting);
}
