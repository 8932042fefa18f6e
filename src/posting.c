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
 * accounts; they are never waited for, see row_lock.c.  (3) The gate: the row of the book, then
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
#include "common/hashfn.h"
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
#include "posting_rows.h"
#include "trigger_price.h"

/* What a statement of one row costs in commands, about; more where rows are not written by key. */
#define COMMANDS_PER_STATEMENT	3

/*
 * A transaction that writes one slot more often than this goes on with
 * another: its own dead versions cannot be pruned before it ends, and every
 * write walks all of them.
 */
#define WRITES_PER_SLOT			1000

/* Slots of one backend are this far apart; more than any number of backends. */
#define SLOT_STRIDE				(1 << 18)

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

/* A system account and where it was last; assets of one hash take turns. */
typedef struct SystemAccountKey
{
	const struct Ledger *ledger;
	int32		book_id;
	int32		kind;
	uint32		asset;
} SystemAccountKey;

typedef struct SystemAccount
{
	SystemAccountKey key;
	int64		account_id;
} SystemAccount;

/*
 * Accounts, and those who stand behind them: the parents of child accounts,
 * and the margin groups.  Who has which parent never changes.  The owner of a
 * child is that of its parent.  Each account is looked up by the full key of
 * its row, see posting_rows.c.
 */
static const LedgerStatement read_backing = {
	"SELECT DISTINCT w.account_id FROM unnest($2 || ARRAY("
	"   SELECT g.account_id FROM unnest($2) AS v(account_id), LATERAL ("
	"    SELECT a.* FROM {account} a WHERE a.book_id = $1 AND a.account_id = v.account_id"
	"     AND (a.parent_id IS NOT NULL OR a.in_group) OFFSET 0) AS a, LATERAL ("
	"    SELECT a.parent_id WHERE a.parent_id IS NOT NULL"
	"    UNION ALL SELECT m.account_id FROM {account} m"
	"    WHERE m.book_id = $1 AND m.owner_id = a.owner_id AND m.in_group AND m.status <> 'closed'"
	"   ) AS g(account_id))) AS w(account_id) ORDER BY 1",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement read_system_account = {
	"SELECT a.account_id"
	" FROM {account} a"
	" WHERE a.book_id = $1 AND a.kind = $2 AND a.asset_code = $3 AND a.kind <> 'trader'"
	"  AND a.fund_instrument_id IS NULL",
	3, {INT4OID, TEXTOID, TEXTOID}
};

static const LedgerStatement read_instrument_fund = {
	"SELECT a.account_id"
	" FROM {account} a"
	" WHERE a.book_id = $1 AND a.kind = 'insurance_fund' AND a.asset_code = $2 AND a.fund_instrument_id = $3",
	3, {INT4OID, TEXTOID, INT4OID}
};

static const LedgerStatement read_slots = {
	"SELECT b.slot FROM {balance} b"
	" WHERE b.book_id = $1 AND b.account_id = $2 AND b.slot <> 0"
	" AND b.slot / $3 = $4 / $3"
	" ORDER BY b.slot",
	4, {INT4OID, INT8OID, INT4OID, INT4OID}
};

static const LedgerStatement insert_slot = {
	"INSERT INTO {balance} (book_id, slot, account_id)"
	" SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM {balance} o"
	"  WHERE o.book_id = $1 AND o.slot = $2 AND o.account_id = $3)",
	3, {INT4OID, INT4OID, INT8OID}
};

static const LedgerStatement read_filled_slots = {
	"SELECT b.slot FROM {balance} b"
	" WHERE b.book_id = $1 AND b.account_id = $2 AND b.slot <> 0 AND b.amount <> 0"
	" ORDER BY b.slot",
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

static const LedgerStatement note_below_floor = {
	"INSERT INTO {below_floor} (book_id, account_id)"
	" SELECT $1, * FROM unnest($2) ON CONFLICT DO NOTHING",
	2, {INT4OID, INT8ARRAYOID}
};

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

static void
remember_balance(LedgerAccount *account, const BalanceRow *row)
{
	account->slot = row->slot;
	account->amount = row->amount;
	account->floor = row->floor;
	account->reserve = row->reserve;
	account->seq = row->seq;
	account->posted_at = row->posted_at;
	account->tid = row->tid;
}

/* Lock the balances of traders, and remember them. */
static void
lock_traders(Posting *posting, const int64 *ids, int n, BalanceLock lock)
{
	int			nlocked;
	BalanceRow *rows = lock_balance_rows(posting->wiring, posting->book_id, 0, ids, n, lock, &nlocked);

	for (int i = 0; i < nlocked; i++)
	{
		AccountSlot *found = hash_search(posting->accounts, &rows[i].account_id, HASH_ENTER, NULL);

		memset(&found->account, 0, sizeof(LedgerAccount));
		remember_balance(&found->account, &rows[i]);
	}
}

/* What kind of account each is, once traders are locked; who is not there is left out. */
static void
read_accounts(Posting *posting, const int64 *ids, int n, BalanceLock lock)
{
	int			nread;
	LedgerAccount *accounts = read_account_rows(posting->wiring, posting->book_id, ids, n, &nread);

	for (int i = 0; i < nread; i++)
	{
		LedgerAccount *account = &accounts[i];
		bool		known;
		AccountSlot *found = hash_search(posting->accounts, &account->account_id, HASH_ENTER, &known);

		if (!known && account->account_id > 0)
		{
			/* opened since its balance was looked for: not there yet, for this statement */
			if (IsolationUsesXactSnapshot() && lock != LOCK_FREE)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update"),
						 errdetail("Account " INT64_FORMAT " of book %d was opened after the transaction began.",
								   account->account_id, posting->book_id),
						 errhint("Try the transaction again.")));
			hash_search(posting->accounts, &account->account_id, HASH_REMOVE, NULL);
			continue;
		}
		if (known)
		{
			BalanceRow	row = {
				.slot = found->account.slot, .amount = found->account.amount, .floor = found->account.floor,
				.seq = found->account.seq, .posted_at = found->account.posted_at, .tid = found->account.tid,
				.reserve = found->account.reserve
			};

			remember_balance(account, &row);
			account->changed = found->account.changed;
			account->moved = found->account.moved;
			account->rebanded = found->account.rebanded;
		}
		found->account = *account;
		if (!known && account->kind != ACCOUNT_TRADER)
			posting->system = lappend(posting->system, &found->account);
	}
}

/* posting_open(), with the way to lock, and with those who stand behind the accounts. */
static void
open_accounts(Posting *posting, int64 *account_ids, int n, BalanceLock lock, bool with_backing)
{
	int			unique = 0;
	int			system = 0;

	qsort(account_ids, n, sizeof(int64), compare_int64);
	for (int i = 0; i < n; i++)
		if (unique == 0 || account_ids[i] != account_ids[unique - 1])
			account_ids[unique++] = account_ids[i];
	if (with_backing && unique > 0)
	{
		Datum		values[2] = {Int32GetDatum(posting->book_id), account_id_array(account_ids, unique)};

		wiring_read(posting->wiring, &read_backing, values, LEDGER_AS_TRANSACTION);
		unique = SPI_processed;
		account_ids = palloc_extended(sizeof(int64) * unique, MCXT_ALLOC_HUGE);
		for (int row = 0; row < unique; row++)
			account_ids[row] = result_int64(row, 1);
	}
	while (system < unique && account_ids[system] < 0)
		system++;

	/* the locks first: what is read after them cannot change any more */
	if (unique > system)
		lock_traders(posting, account_ids + system, unique - system, lock);
	read_accounts(posting, account_ids, unique, lock);
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
	open_accounts(posting, account_ids, n, LOCK_IN_TRANSACTION, false);
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
	open_accounts(posting, account_ids, n, LOCK_IN_TRANSACTION, anybody_is_backed(posting->wiring));
}

/*
 * posting_open_free
 *		The same without waiting: a trader whose balance another transaction
 *		holds is left out.
 */
void
posting_open_free(Posting *posting, int64 *account_ids, int n)
{
	open_accounts(posting, account_ids, n, LOCK_FREE, false);
}

/* posting_account: an account that posting_open() found, or NULL */
LedgerAccount *
posting_account(Posting *posting, int64 account_id)
{
	AccountSlot *found = hash_search(posting->accounts, &account_id, HASH_FIND, NULL);

	return found == NULL ? NULL : &found->account;
}

static bool
is_system_account(const LedgerAccount *account, AccountKind kind, const char *asset_code)
{
	return account->kind == kind && account->fund_instrument_id == 0 && strcmp(account->asset_code, asset_code) == 0;
}

/* Where a system account was found, for this session; found there, it need not be looked for. */
static SystemAccount *
remembered_system_account(Posting *posting, AccountKind kind, const char *asset_code)
{
	static HTAB *remembered = NULL;
	SystemAccountKey key;
	SystemAccount *found;
	bool		known;

	if (remembered == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(SystemAccountKey), .entrysize = sizeof(SystemAccount)};

		remembered = hash_create("risk_ext system accounts", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	memset(&key, 0, sizeof(key));
	key.ledger = posting->wiring->ledger;
	key.book_id = posting->book_id;
	key.kind = kind;
	key.asset = string_hash(asset_code, strlen(asset_code) + 1);
	found = hash_search(remembered, &key, HASH_ENTER, &known);
	if (!known)
		found->account_id = 0;
	return found;
}

/* posting_system_account: the book's own account of a kind and asset; 23503 when it has none */
LedgerAccount *
posting_system_account(Posting *posting, AccountKind kind, const char *asset_code)
{
	Datum		values[3] = {Int32GetDatum(posting->book_id)};
	SystemAccount *remembered;
	int64		id;
	ListCell   *lc;

	foreach(lc, posting->system)
		if (is_system_account(lfirst(lc), kind, asset_code))
			return lfirst(lc);

	remembered = remembered_system_account(posting, kind, asset_code);
	if (remembered->account_id != 0)
	{
		LedgerAccount *account;

		id = remembered->account_id;
		posting_open(posting, &id, 1);
		account = posting_account(posting, id);
		if (account != NULL && is_system_account(account, kind, asset_code))
			return account;
	}
	values[1] = CStringGetTextDatum(account_kind_name(kind));
	values[2] = CStringGetTextDatum(asset_code);
	wiring_read(posting->wiring, &read_system_account, values, LEDGER_LATEST);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("book %d has no %s account in %s", posting->book_id,
						account_kind_name(kind), asset_code),
				 errhint("Make the book with risk.create_book().")));
	id = remembered->account_id = result_int64(0, 1);
	posting_open(posting, &id, 1);
	return posting_account(posting, id);
}

/* posting_instrument_fund: the fund that the book keeps for an instrument, or NULL */
LedgerAccount *
posting_instrument_fund(Posting *posting, const char *asset_code, int32 instrument_id)
{
	Datum		values[3] = {Int32GetDatum(posting->book_id), CStringGetTextDatum(asset_code), Int32GetDatum(instrument_id)};
	int64		id;

	wiring_read(posting->wiring, &read_instrument_fund, values, LEDGER_LATEST);
	if (SPI_processed == 0)
		return NULL;
	id = result_int64(0, 1);
	if (posting_account(posting, id) == NULL)
		posting_open(posting, &id, 1);
	return posting_account(posting, id);
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

/* The first of these slots of an account that is free becomes the one that the posting writes. */
static void
take_free_slot(Posting *posting, LedgerAccount *account, const int *slots, int n)
{
	for (int i = 0; i < n && account->slot < 0; i++)
	{
		int			nlocked;
		BalanceRow *row = lock_balance_rows(posting->wiring, posting->book_id, slots[i], &account->account_id, 1,
											LOCK_FREE, &nlocked);

		if (nlocked > 0)
			remember_balance(account, row);
	}
}

/* The slots that a statement finds, to be tried with take_free_slot(). */
static int *
read_slot_numbers(Posting *posting, const LedgerStatement *statement, Datum *values, int *n)
{
	int		   *slots;

	wiring_read(posting->wiring, statement, values, LEDGER_LATEST);
	*n = SPI_processed;
	slots = palloc(sizeof(int) * Max(*n, 1));
	for (int row = 0; row < *n; row++)
		slots[row] = result_int32(row, 1);
	return slots;
}

/* In a trial nobody's slot is locked: what would go to a system account, or come from it, starts at zero. */
static void
pretend_slots(LedgerAccount **accounts, int n)
{
	for (int i = 0; i < n; i++)
		if (accounts[i]->slot < 0)
		{
			accounts[i]->slot = 0;
			accounts[i]->amount = decimal_from_int64(0);
		}
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

	if (posting->wiring->is_trial)
	{
		pretend_slots(accounts, n);
		return;
	}
	for (int i = 0; i < n; i++)
		if (accounts[i]->slot < 0)
			ids[missing++] = accounts[i]->account_id;
	if (missing > 0)
	{
		int			nlocked;
		BalanceRow *rows = lock_balance_rows(posting->wiring, posting->book_id, wanted, ids, missing,
											 LOCK_FREE, &nlocked);

		for (int i = 0; i < nlocked; i++)
			remember_balance(posting_account(posting, rows[i].account_id), &rows[i]);
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
				take_free_slot(posting, accounts[i], &slot, 1);
			}
			if (accounts[i]->slot < 0)
			{
				Datum		values[4] = {Int32GetDatum(posting->book_id), Int64GetDatum(id),
					Int32GetDatum(SLOT_STRIDE), Int32GetDatum(slot)};
				int			nslots;
				int		   *slots = read_slot_numbers(posting, &read_slots, values, &nslots);

				take_free_slot(posting, accounts[i], slots, nslots);
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
	Datum		values[1] = {Int32GetDatum(posting->book_id)};
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	BalanceRow *rows;

	if (posting->wiring->is_trial)
	{
		pretend_slots(accounts, n);
		return;
	}
	wiring_read(posting->wiring, &lock_book, values, LEDGER_LATEST);
	if (n == 0)
		return;
	qsort(accounts, n, sizeof(LedgerAccount *), compare_accounts);
	for (int i = 0; i < n; i++)
		ids[i] = accounts[i]->account_id;
	rows = lock_balance_rows(posting->wiring, posting->book_id, 0, ids, n, LOCK_LATEST, &n);
	for (int i = 0; i < n; i++)
		remember_balance(posting_account(posting, rows[i].account_id), &rows[i]);
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
	int			n;
	int		   *slots = read_slot_numbers(posting, &read_filled_slots, values, &n);
	List	   *taken = NIL;

	for (int i = 0; i < n; i++)
	{
		LedgerAccount slot = *account;

		slot.slot = -1;
		take_free_slot(posting, &slot, &slots[i], 1);
		if (slot.slot >= 0 && decimal_sign(slot.amount) != 0)
			taken = lappend(taken, memcpy(palloc(sizeof(LedgerAccount)), &slot, sizeof(LedgerAccount)));
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
	if (account->reserve != NULL)
		account->reserve = decimal_add(account->reserve, amount);
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

/* posting_sum: what has been posted to an account so far, of that kind, or in all (NULL) */
Numeric
posting_sum(Posting *posting, LedgerAccount *account, const char *kind)
{
	Numeric		sum = decimal_from_int64(0);

	for (int i = 0; i < posting->nentries; i++)
		if (posting->entries[i].account == account && (kind == NULL || strcmp(posting->entries[i].kind, kind) == 0))
			sum = decimal_add(sum, posting->entries[i].amount);
	return sum;
}

/* posting_move_position: a position of the account, which is locked, has been written */
void
posting_move_position(LedgerAccount *account, int32 instrument_id)
{
	account->moved = list_append_unique_int(account->moved, instrument_id);
}

/* posting_reband: all triggers of the account are to be reckoned anew */
void
posting_reband(LedgerAccount *account)
{
	account->rebanded = true;
}

/* Triggers that the posting moves, and the reserves that go with them. */
static void
write_trigger_prices(Posting *posting, LedgerAccount **changed, int n)
{
	LedgerAccount **due = palloc_extended(sizeof(LedgerAccount *) * Max(n, 1), MCXT_ALLOC_HUGE);
	int			ndue = 0;

	for (int i = 0; i < n; i++)
		if (trigger_prices_are_due(changed[i]))
			due[ndue++] = changed[i];
	if (ndue > 0)
		trigger_prices_write(posting->wiring, posting->book_id, due, ndue);
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
	Datum	   *ids;
	Datum		values[2] = {Int32GetDatum(posting->book_id)};
	TimestampTz now = GetCurrentTimestamp();

	hash_seq_init(&scan, posting->accounts);
	while ((found = hash_seq_search(&scan)) != NULL)
		if (found->account.changed || trigger_prices_are_due(&found->account))
			changed[n++] = &found->account;
	foreach(lc, posting->filled_slots)
		if (((LedgerAccount *) lfirst(lc))->changed)
			changed[n++] = lfirst(lc);
	qsort(changed, n, sizeof(LedgerAccount *), compare_accounts);

	/* time never runs backwards within an account, whatever the clock does */
	for (int i = 0; i < n; i++)
		if (changed[i]->changed)
			changed[i]->posted_at = Max(now, changed[i]->posted_at);
	if (posting->nentries > 0)
		insert_entry_rows(posting->wiring, posting->book_id, posting->entries, posting->nentries);
	write_trigger_prices(posting, changed, n);

	/*
	 * The notes before the balances: with SET CONSTRAINTS IMMEDIATE the update
	 * fires the check, which must find them.
	 */
	ids = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
		if (changed[i]->changed && changed[i]->floor != NULL && changed[i]->kind != ACCOUNT_INSURANCE_FUND &&
			decimal_compare(changed[i]->amount, changed[i]->floor) < 0)
			ids[below++] = Int64GetDatum(changed[i]->account_id);
	if (below > 0)
	{
		values[1] = array_argument(ids, NULL, below, INT8OID);
		wiring_write(posting->wiring, &note_below_floor, values);
	}
	if (n > 0)
		update_balance_rows(posting->wiring, posting->book_id, changed, n);
}

/*
 * posting_write
 *		Write what was posted: entries, one row per leg, each balance once, and
 *		the triggers that have to move.  The posting is spent.
 */
void
posting_write(Posting *posting)
{
	write_balances(posting);
}
