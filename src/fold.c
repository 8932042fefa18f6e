/*
 * fold.c
 *		Moves what system accounts hold in slots >= 1 to slot 0.
 *
 * The gate first, see posting.c: whoever reads the sum of the slots has passed
 * it, or sees the state before the fold or the one after it.  Slots that a
 * posting in flight has locked are left for the next time.
 *
 * A move is two entries of kind fold, one in each slot, with one time, so that
 * the account as a whole has the same balance at every time.  Their cause is
 * the seq of the entry in slot 0.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "posting.h"

PG_FUNCTION_INFO_V1(risk_fold_slots);

static const LedgerStatement read_books = {
	"SELECT b.book_id FROM {book} b WHERE $1 IS NULL OR b.book_id = ANY ($1) ORDER BY b.book_id",
	1, {INT4ARRAYOID}
};

static const LedgerStatement read_filled_accounts = {
	"SELECT DISTINCT b.account_id FROM {balance} b"
	" WHERE b.book_id = $1 AND b.slot <> 0 AND b.amount <> 0",
	1, {INT4OID}
};

/* Fold what is free of one account, which is at the gate; returns how many slots. */
static int
fold_account(Posting *posting, LedgerAccount *account)
{
	List	   *slots = posting_take_filled_slots(posting, account);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz posted_at = account->posted_at;
	ListCell   *lc;

	foreach(lc, slots)
		posted_at = Max(posted_at, ((LedgerAccount *) lfirst(lc))->posted_at);
	account->posted_at = posted_at;
	foreach(lc, slots)
	{
		LedgerAccount *slot = lfirst(lc);
		Numeric		amount = slot->amount;
		int64		cause = account->seq + 1;

		slot->posted_at = posted_at;
		posting_post(posting, slot, decimal_negate(amount), "fold", cause, now);
		posting_post(posting, account, amount, "fold", cause, now);
	}
	return list_length(slots);
}

static int64
fold_book(Wiring *wiring, int32 book_id)
{
	Datum		values[1] = {Int32GetDatum(book_id)};
	Posting    *posting;
	int64	   *ids;
	LedgerAccount **accounts;
	int			n;
	int64		folded = 0;

	wiring_read(wiring, &read_filled_accounts, values, LEDGER_LATEST);
	n = SPI_processed;
	if (n == 0)
		return 0;
	ids = palloc(sizeof(int64) * n);
	for (int i = 0; i < n; i++)
		ids[i] = result_int64(i, 1);

	posting = posting_begin(wiring, book_id);
	posting_open(posting, ids, n);
	accounts = palloc(sizeof(LedgerAccount *) * n);
	for (int i = 0; i < n; i++)
		accounts[i] = posting_account(posting, ids[i]);
	posting_pass_gate(posting, accounts, n);
	for (int i = 0; i < n; i++)
		folded += fold_account(posting, accounts[i]);
	posting_write(posting);
	return folded;
}

/*
 * risk.fold_slots(book_id)
 *		NULL: every book.
 */
Datum
risk_fold_slots(PG_FUNCTION_ARGS)
{
	Wiring	   *wiring = wiring_enter_ledger();
	Datum		values[1] = {(Datum) 0};
	int32	   *books;
	int			n;
	int64		folded = 0;

	if (!PG_ARGISNULL(0))
	{
		Datum		book = PG_GETARG_DATUM(0);

		values[0] = array_argument(&book, NULL, 1, INT4OID);
	}
	wiring_read(wiring, &read_books, values, LEDGER_LATEST);
	n = SPI_processed;
	if (n == 0 && !PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("book %d does not exist", PG_GETARG_INT32(0)),
				 errhint("Make it with risk.create_book().")));
	books = palloc(sizeof(int32) * Max(n, 1));
	for (int i = 0; i < n; i++)
		books[i] = result_int32(i, 1);
	for (int i = 0; i < n; i++)
		folded += fold_book(wiring, books[i]);
	wiring_leave(wiring);
	PG_RETURN_INT64(folded);
}
