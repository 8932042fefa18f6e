/*
 * open_hold.c
 *		What holds still keep, and what is taken out of them.
 *
 * A row of open_hold is there as long as something is left of the hold.  It is
 * guarded by the lock on the balance of its account: whoever comes here has
 * that lock, and reads after it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "open_hold.h"

typedef struct OpenHold
{
	int64		account_id;
	int64		hold_id;
	Numeric		remaining;
	TimestampTz expires_at;		/* DT_NOEND: never */
	bool		of_gainer;		/* see payout.c */
} OpenHold;

/* none of them twice, in the order that find_hold() looks for them */
static const LedgerStatement read_holds = {
	"SELECT o.account_id, o.hold_id, o.remaining, coalesce(o.expires_at, 'infinity'),"
	" EXISTS (SELECT FROM {gainer_hold} g WHERE g.book_id = $1 AND g.hold_id = o.hold_id)"
	" FROM (SELECT DISTINCT v.account_id, v.hold_id FROM unnest($2, $3) AS v(account_id, hold_id)) AS u, LATERAL ("
	"  SELECT o.* FROM {open_hold} o"
	"  WHERE o.book_id = $1 AND o.account_id = u.account_id AND o.hold_id = u.hold_id OFFSET 0) AS o"
	" ORDER BY o.account_id, o.hold_id",
	3, {INT4OID, INT8ARRAYOID, INT8ARRAYOID}
};

static const LedgerStatement write_holds = {
	"INSERT INTO {open_hold} (book_id, account_id, hold_id, remaining)"
	" SELECT $1, * FROM unnest($2, $3, $4)"
	" ON CONFLICT (book_id, account_id, hold_id) DO UPDATE SET remaining = excluded.remaining",
	4, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID}
};

static const LedgerStatement close_holds = {
	"DELETE FROM {open_hold} o USING unnest($2, $3) AS u(account_id, hold_id)"
	" WHERE o.book_id = $1 AND o.account_id = u.account_id AND o.hold_id = u.hold_id",
	3, {INT4OID, INT8ARRAYOID, INT8ARRAYOID}
};

static int
compare_holds(const void *a, const void *b)
{
	const OpenHold *left = a;
	const OpenHold *right = b;

	if (left->account_id != right->account_id)
		return (left->account_id > right->account_id) - (left->account_id < right->account_id);
	return (left->hold_id > right->hold_id) - (left->hold_id < right->hold_id);
}

static OpenHold *
find_hold(const HoldTake *take, OpenHold *holds, int n)
{
	OpenHold	key = {take->account_id, take->hold_id, NULL, 0, false};

	return bsearch(&key, holds, n, sizeof(OpenHold), compare_holds);
}

static void
take_from(int32 book_id, HoldTake *take, OpenHold *hold)
{
	TimestampTz now = GetCurrentTimestamp();

	if (hold == NULL || decimal_sign(hold->remaining) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s " INT64_FORMAT ": hold " INT64_FORMAT " is not open", take->table, take->row_id, take->hold_id),
				 errdetail("Account " INT64_FORMAT " of book %d has no open hold of that number: it was captured, released or has expired, or is another account's.",
						   take->account_id, book_id),
				 errhint("Table open_hold has the holds that are open.")));
	if (hold->of_gainer && !take->expires && !wiring_is_writing())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s " INT64_FORMAT ": hold " INT64_FORMAT " is on a gain that the insurance fund paid for",
						take->table, take->row_id, take->hold_id),
				 errdetail("It expires at %s.", timestamptz_to_str(hold->expires_at)),
				 errhint("It ends when the fund has what it paid, or by risk.release_gainer().")));
	if (take->captures && hold->expires_at <= now)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s " INT64_FORMAT ": hold " INT64_FORMAT " has expired", take->table, take->row_id, take->hold_id),
				 errdetail("It was to be captured before %s.", timestamptz_to_str(hold->expires_at)),
				 errhint("Hold the amount again.")));
	if (take->expires && hold->expires_at > now)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s " INT64_FORMAT ": hold " INT64_FORMAT " has not expired", take->table, take->row_id, take->hold_id),
				 errdetail("It can be captured before %s.",
						   TIMESTAMP_IS_NOEND(hold->expires_at) ? "any time" : timestamptz_to_str(hold->expires_at)),
				 errhint("Use kind release.")));
	if (take->amount == NULL)
		take->amount = hold->remaining;
	if (decimal_compare(take->amount, hold->remaining) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s " INT64_FORMAT ": hold " INT64_FORMAT " does not keep %s", take->table, take->row_id,
						take->hold_id, decimal_to_cstring(take->amount)),
				 errdetail("It keeps %s.", decimal_to_cstring(hold->remaining)),
				 errhint("Take less.")));
	hold->remaining = decimal_subtract(hold->remaining, take->amount);
}

static void
write_remaining(Wiring *wiring, int32 book_id, const OpenHold *holds, int n)
{
	for (int pass = 0; pass < 2; pass++)
	{
		bool		closed = pass == 1;
		Datum	   *columns[3];
		Datum		values[4] = {Int32GetDatum(book_id)};
		int			rows = 0;

		for (int c = 0; c < 3; c++)
			columns[c] = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);
		for (int i = 0; i < n; i++)
		{
			if ((decimal_sign(holds[i].remaining) == 0) != closed)
				continue;
			columns[0][rows] = Int64GetDatum(holds[i].account_id);
			columns[1][rows] = Int64GetDatum(holds[i].hold_id);
			columns[2][rows++] = NumericGetDatum(holds[i].remaining);
		}
		if (rows == 0)
			continue;
		values[1] = array_argument(columns[0], NULL, rows, INT8OID);
		values[2] = array_argument(columns[1], NULL, rows, INT8OID);
		values[3] = array_argument(columns[2], NULL, rows, NUMERICOID);
		wiring_write(wiring, closed ? &close_holds : &write_holds, values);
	}
}

/*
 * open_holds_take
 *		Take these amounts out of their holds, in the order given; fill in those
 *		that were NULL, and what is left.  55000 for a hold that is not open, or that the
 *		time speaks against; 23514 for more than it keeps.
 */
void
open_holds_take(Wiring *wiring, int32 book_id, HoldTake *takes, int n)
{
	Datum	   *accounts = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);
	Datum	   *ids = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int32GetDatum(book_id)};
	OpenHold   *holds;
	int			nholds;

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		accounts[i] = Int64GetDatum(takes[i].account_id);
		ids[i] = Int64GetDatum(takes[i].hold_id);
	}
	values[1] = array_argument(accounts, NULL, n, INT8OID);
	values[2] = array_argument(ids, NULL, n, INT8OID);
	wiring_read(wiring, &read_holds, values, LEDGER_LATEST);
	nholds = SPI_processed;
	holds = palloc_extended(sizeof(OpenHold) * Max(nholds, 1), MCXT_ALLOC_HUGE);
	for (int row = 0; row < nholds; row++)
		holds[row] = (OpenHold) {
		result_int64(row, 1), result_int64(row, 2), result_numeric(row, 3), result_int64(row, 4), result_bool(row, 5)
	};
	for (int i = 0; i < n; i++)
		take_from(book_id, &takes[i], find_hold(&takes[i], holds, nholds));
	for (int i = 0; i < n; i++)
		takes[i].left = find_hold(&takes[i], holds, nholds)->remaining;
	write_remaining(wiring, book_id, holds, nholds);
}
