/*
 * reserve.c
 *		Judges the rows that a statement wrote into order_reserve.
 *
 * The matching engine says what an order holds; here nothing is refused for
 * lack of margin.  What matters is the lock: the balances of the accounts are
 * locked, in order, before the statement ends, and stay so until the
 * transaction does.  A withdrawal locks the balance, too, and reads the
 * reserves after that: it waits for a reserve that is on its way, or is over
 * before the reserve is there.
 *
 * The rows of the statement itself are locked before the balances.  That
 * matters to those only who write reserves of the same orders.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "posting.h"

PG_FUNCTION_INFO_V1(risk_check_order_reserves);

typedef struct ReserveRow
{
	int32		book_id;
	int32		instrument_id;
	int64		account_id;
	int64		order_id;
	Numeric		amount;
	bool		removed;		/* the row as it was before the statement */
} ReserveRow;

static const LedgerStatement read_settle_assets = {
	"SELECT (SELECT i.settle_asset FROM {instrument} i WHERE i.instrument_id = u.instrument_id)"
	" FROM unnest($1) WITH ORDINALITY AS u(instrument_id, place)"
	" ORDER BY u.place",
	1, {INT4ARRAYOID}
};

static void
fill_reserve(void *row, const Datum *value, const bool *isnull pg_attribute_unused())
{
	ReserveRow *reserve = row;

	reserve->book_id = DatumGetInt32(value[0]);
	reserve->instrument_id = DatumGetInt32(value[1]);
	reserve->account_id = DatumGetInt64(value[2]);
	reserve->order_id = DatumGetInt64(value[3]);
	reserve->amount = DatumGetNumericCopy(value[4]);
}

static const RowReader reserve_reader = {
	{"book_id", "instrument_id", "account_id", "order_id", "amount"},
	sizeof(ReserveRow), fill_reserve
};

/* Check one row that the statement wrote; settle_asset is NULL without such an instrument. */
static void
check_reserve(Posting *posting, ReserveRow *row, const char *settle_asset)
{
	LedgerAccount *account = posting_account(posting, row->account_id);

	if (account == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("order_reserve " INT64_FORMAT ": unknown account", row->order_id),
				 errdetail("Book %d has no account " INT64_FORMAT ".", row->book_id, row->account_id),
				 errhint("Insert it into the table account first.")));
	if (account->kind != ACCOUNT_TRADER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("order_reserve " INT64_FORMAT ": account " INT64_FORMAT " is not a trader's",
						row->order_id, row->account_id),
				 errdetail("It is a %s account.", account_kind_name(account->kind)),
				 errhint("Margin is reserved on the accounts of traders only.")));
	if (account->status == STATUS_CLOSED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("order_reserve " INT64_FORMAT ": account " INT64_FORMAT " is closed",
						row->order_id, row->account_id),
				 errdetail("No order can be open on a closed account."),
				 errhint("Delete the row, or set the status of the account to active first.")));
	if (settle_asset == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("order_reserve " INT64_FORMAT ": unknown instrument", row->order_id),
				 errdetail("There is no instrument %d.", row->instrument_id),
				 errhint("Insert it into the table instrument first.")));
	if (strcmp(account->asset_code, settle_asset) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("order_reserve " INT64_FORMAT ": account " INT64_FORMAT " holds another asset",
						row->order_id, row->account_id),
				 errdetail("The account holds %s, instrument %d settles in %s.", account->asset_code,
						   row->instrument_id, settle_asset),
				 errhint("Reserve it on an account that holds %s.", settle_asset)));
	check_number("order_reserve", row->order_id, "amount", row->amount, account->scale, NUMBER_ANY_SIGN);
	if (decimal_sign(row->amount) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("order_reserve " INT64_FORMAT ": invalid amount", row->order_id),
				 errdetail("The amount is %s.", decimal_to_cstring(row->amount)),
				 errhint("It must be zero or more; delete the row of an order that is gone.")));
}

static void
check_reserves_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *account_ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	Datum	   *instruments = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	ReserveRow **written = palloc_extended(sizeof(ReserveRow *) * n, MCXT_ALLOC_HUGE);
	int			nwritten = 0;
	Datum		values[1];

	for (int i = 0; i < n; i++)
	{
		ReserveRow *row = rows[i];

		account_ids[i] = row->account_id;
		if (row->removed)
			continue;
		instruments[nwritten] = Int32GetDatum(row->instrument_id);
		written[nwritten++] = row;
	}
	posting_open_with_backing(posting, account_ids, n);
	if (nwritten == 0)
		return;

	values[0] = array_argument(instruments, NULL, nwritten, INT4OID);
	wiring_read(wiring, &read_settle_assets, values, LEDGER_LATEST);
	for (int i = 0; i < nwritten; i++)
		check_reserve(posting, written[i], result_text(i, 1));
}

/*
 * risk.check_order_reserves()
 *		Trigger on order_reserve, AFTER INSERT, UPDATE or DELETE FOR EACH
 *		STATEMENT.
 */
Datum
risk_check_order_reserves(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = change_trigger(fcinfo, "risk.check_order_reserves");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_ORDER_RESERVE);
	int			n;
	int			nremoved;
	ReserveRow *reserves = transition_rows(trigger, &reserve_reader, &n, &nremoved);

	for (int i = 0; i < nremoved; i++)
		reserves[i].removed = true;
	post_by_book(wiring, &reserve_reader, reserves, n, check_reserves_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
