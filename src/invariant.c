/*
 * invariant.c
 *		The check at commit: no balance below its floor.
 *
 * A healthy transaction queues no event: the trigger has a WHEN clause.  The
 * first event that finds its account noted settles every account of the book
 * that the transaction took below its floor; later events find theirs healed,
 * a trader's by two keys and without a statement, since there may be many.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"

#include "late_fill.h"
#include "limits.h"
#include "posting_rows.h"
#include "trigger_rows.h"
#include "waterfall.h"

PG_FUNCTION_INFO_V1(risk_enforce_floor);

static const HotLayout note_layout = {
	.nkey = 2, .ncolumns = 2,
	.columns = {{"book_id", INT4OID}, {"account_id", INT8OID}}
};

static const LedgerStatement read_balance = {
	"SELECT EXISTS (SELECT FROM {below_floor} n"
	"  WHERE n.book_id = b.book_id AND n.account_id = b.account_id),"
	" b.floor,"
	" b.amount + coalesce((SELECT sum(s.amount) FROM {balance} s"
	"  WHERE s.book_id = b.book_id AND s.account_id = b.account_id AND s.slot <> 0), 0)"
	" FROM {balance} b WHERE b.book_id = $1 AND b.slot = 0 AND b.account_id = $2",
	2, {INT4OID, INT8OID}
};

/*
 * Whether a waterfall is under way in this backend.  With SET CONSTRAINTS
 * IMMEDIATE its own updates fire the trigger; the one that started it judges.
 */
static bool settling = false;

static void
settle(Wiring *wiring, int32 book_id)
{
	settling = true;
	PG_TRY();
	{
		/* first what trades may not do: nobody pays for one that is refused */
		limits_judge(wiring, book_id);
		late_fills_hand_over(wiring, book_id);
		waterfall_settle(wiring, book_id);
	}
	PG_FINALLY();
	{
		settling = false;
	}
	PG_END_TRY();
}

/* Whether there is nothing to do about an account; false also when only a statement can tell. */
static bool
is_healed(Wiring *wiring, int32 book_id, int64 account_id)
{
	HotTable   *notes = wiring_hot(wiring, LEDGER_BELOW_FLOOR, &note_layout);
	Datum		key[2] = {Int32GetDatum(book_id), Int64GetDatum(account_id)};
	bool		noted;

	if (notes == NULL || account_id <= 0)
		return false;
	hot_begin(notes, wiring_snapshot(wiring, LEDGER_LATEST), 2);
	hot_seek(notes, key);
	noted = hot_next(notes, ForwardScanDirection);
	hot_end(notes);
	return !noted && trader_reaches_floor(wiring, book_id, account_id);
}

/*
 * risk.enforce_floor()
 *		Deferred constraint trigger on balance, FOR EACH ROW,
 *		WHEN (NEW.amount < NEW.floor).
 */
Datum
risk_enforce_floor(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger(fcinfo, "risk.enforce_floor");
	Wiring	   *wiring;
	Datum		values[2];
	bool		isnull;
	Numeric		floor;
	Numeric		total;

	if (settling)
		return PointerGetDatum(NULL);
	wiring = wiring_enter(trigger->tg_relation, LEDGER_BALANCE);
	values[0] = row_column(trigger, "book_id");
	values[1] = row_column(trigger, "account_id");
	if (is_healed(wiring, DatumGetInt32(values[0]), DatumGetInt64(values[1])))
	{
		wiring_leave(wiring);
		return PointerGetDatum(NULL);
	}

	wiring_read(wiring, &read_balance, values, LEDGER_LATEST);
	if (DatumGetBool(result_datum(0, 1, &isnull)))
	{
		settle(wiring, DatumGetInt32(values[0]));
		wiring_read(wiring, &read_balance, values, LEDGER_LATEST);
	}
	floor = result_numeric(0, 2);
	total = result_numeric(0, 3);
	if (floor != NULL && decimal_compare(total, floor) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("balance of account " INT64_FORMAT " of book %d would be below its floor",
						DatumGetInt64(values[1]), DatumGetInt32(values[0])),
				 errdetail("The balance would be %s, the floor is %s, and nobody pays the difference.",
						   decimal_to_cstring(total), decimal_to_cstring(floor)),
				 errhint("Pay money in first, or take less out."),
				 errtableconstraint(trigger->tg_relation, "floor")));
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
