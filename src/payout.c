/*
 * payout.c
 *		Payouts of the insurance fund, and who may not withdraw before it is
 *		decided what is held of the gains on their other side.
 *
 * A loss that the fund pays is somebody's gain.  Two keys of one hand can
 * lose on one side on purpose and carry the gain away on the other.  So where
 * the policy says so, gains in the instrument are held for a while, up to what
 * was paid; risk.hold_gainers() does that after the commit, because the
 * waterfall holds the gate and may lock no trader.  In between nobody who
 * trades the instrument takes anything out.
 *
 * That leaves no gap.  Payouts of a book are made under its gate, one after
 * the other, so their numbers are in the order of their commits, and what
 * hold_gainers() has looked at is one number, kept in gainer_watch.  Whoever
 * gained in the transaction that made the payout is locked by it: his
 * withdrawal waits, and then sees the payout here, or, when that number has
 * gone past it, the hold.
 *
 * The row of a book in gainer_watch is made by its first payout under such a
 * policy.  Where there is none, a withdrawal costs a look at an index, and
 * nothing else here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"

#include "payout.h"

PG_FUNCTION_INFO_V1(risk_hold_gainers);
PG_FUNCTION_INFO_V1(risk_release_gainer);

static const HotLayout watch_layout = {
	.nkey = 1, .ncolumns = 1,
	.columns = {{"book_id", INT4OID}}
};

/* what was paid before is not watched */
static const LedgerStatement begin_watch = {
	"INSERT INTO {gainer_watch} (book_id, reset_id, payment_id)"
	" SELECT $1, coalesce((SELECT r.reset_id FROM {reset} r WHERE r.book_id = $1 ORDER BY r.reset_id DESC LIMIT 1), 0),"
	"  coalesce((SELECT y.payment_id FROM {shortfall_payment} y WHERE y.book_id = $1 ORDER BY y.payment_id DESC LIMIT 1), 0)"
	" ON CONFLICT (book_id) DO NOTHING",
	1, {INT4OID}
};

/* by number, from where hold_gainers() stands: there are few, however many payouts there have been */
static const LedgerStatement read_payouts = {
	"SELECT DISTINCT ON (u.account_id) u.account_id, x.instrument_id, x.shortfall_id, x.amount"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  (SELECT r.instrument_id, r.shortfall_id, r.amount, r.policy_code, r.policy_version FROM {reset} r"
	"   WHERE r.book_id = $1 AND r.stage = 'fund'"
	"    AND r.reset_id > coalesce((SELECT w.reset_id FROM {gainer_watch} w WHERE w.book_id = $1), 0)"
	"   ORDER BY r.reset_id OFFSET 0)"
	"  UNION ALL"
	"  (SELECT s.instrument_id, s.shortfall_id, y.amount, s.policy_code, s.policy_version"
	"   FROM {shortfall_payment} y, LATERAL ("
	"    SELECT s.* FROM {shortfall} s WHERE s.book_id = $1 AND s.shortfall_id = y.shortfall_id OFFSET 0) AS s"
	"   WHERE y.book_id = $1 AND y.stage = 'fund'"
	"    AND y.payment_id > coalesce((SELECT w.payment_id FROM {gainer_watch} w WHERE w.book_id = $1), 0)"
	"   ORDER BY y.payment_id OFFSET 0)"
	" ) AS x"
	" WHERE EXISTS (SELECT FROM {policy} p WHERE p.policy_code = x.policy_code AND p.version = x.policy_version"
	"   AND p.gainer_hold_window IS NOT NULL)"
	"  AND EXISTS (SELECT FROM {position} h WHERE h.book_id = $1 AND h.account_id = u.account_id"
	"   AND h.instrument_id = x.instrument_id)"
	" ORDER BY u.account_id, x.shortfall_id",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement place_holds = {
	"SELECT risk.place_gainer_holds()",
	0, {0}
};

static const LedgerStatement release_hold = {
	"SELECT risk.release_gainer_as_posting($1, $2, $3)",
	3, {INT8OID, TEXTOID, INT4OID}
};

/* Whether a fund of the book has ever paid under a policy that holds gains; true when only a statement can tell. */
static bool
is_watched(Wiring *wiring, int32 book_id)
{
	HotTable   *watch = wiring_hot(wiring, LEDGER_GAINER_WATCH, &watch_layout);
	Datum		key[1] = {Int32GetDatum(book_id)};
	bool		found;

	if (watch == NULL)
		return true;
	hot_begin(watch, wiring_snapshot(wiring, LEDGER_LATEST), 1);
	hot_seek(watch, key);
	found = hot_next(watch, ForwardScanDirection);
	hot_end(watch);
	return found;
}

/* payouts_watch: a fund is about to pay under a policy that holds gains; the gate is passed */
void
payouts_watch(Wiring *wiring, int32 book_id)
{
	Datum		values[1] = {Int32GetDatum(book_id)};

	wiring_write(wiring, &begin_watch, values);
}

/* payouts_read: for each account that has any, one; the accounts are locked */
List *
payouts_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(n, 1));
	Datum		values[2] = {Int32GetDatum(book_id)};
	List	   *payouts = NIL;

	if (n == 0 || !is_watched(wiring, book_id))
		return NIL;
	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(account_ids[i]);
	values[1] = array_argument(ids, NULL, n, INT8OID);
	wiring_read(wiring, &read_payouts, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Payout	   *payout = palloc(sizeof(Payout));

		*payout = (Payout) {
			result_int64(row, 1), result_int32(row, 2), result_int64(row, 3), result_numeric(row, 4)
		};
		payouts = lappend(payouts, payout);
	}
	return payouts;
}

/* payout_of_account: NULL when there is none */
Payout *
payout_of_account(List *payouts, int64 account_id)
{
	ListCell   *lc;

	foreach(lc, payouts)
		if (((Payout *) lfirst(lc))->account_id == account_id)
			return lfirst(lc);
	return NULL;
}

void
payout_refuse(const Payout *payout, const char *table, int64 row_id, int32 book_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s " INT64_FORMAT ": account " INT64_FORMAT " of book %d cannot move money out before its gains are looked at",
					table, row_id, payout->account_id, book_id),
			 errdetail("It trades instrument %d, and the insurance fund has just paid %s for shortfall " INT64_FORMAT " in it.",
					   payout->instrument_id, decimal_to_cstring(payout->amount), payout->shortfall_id),
			 errhint("Try again in a moment: risk.hold_gainers(), run by the background worker or by hand, decides what is held.")));
}

/*
 * risk.hold_gainers()
 */
Datum
risk_hold_gainers(PG_FUNCTION_ARGS)
{
	Wiring	   *wiring = wiring_enter_ledger();
	int64		changed;

	wiring_write(wiring, &place_holds, NULL);
	changed = result_int64(0, 1);
	wiring_leave(wiring);
	PG_RETURN_INT64(changed);
}

/*
 * risk.release_gainer(hold_id, reason, book_id)
 */
Datum
risk_release_gainer(PG_FUNCTION_ARGS)
{
	Datum		values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Wiring	   *wiring = wiring_enter_ledger();
	int64		release_id;

	wiring_write(wiring, &release_hold, values);
	release_id = result_int64(0, 1);
	wiring_leave(wiring);
	PG_RETURN_INT64(release_id);
}
