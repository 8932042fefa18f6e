/*
 * late_fill.c
 *		Fills of positions that a liquidation has closed.
 *
 * A position can be closed twice: by the liquidity account, and by an order
 * that was filled before anybody knew.  The fill is a fact and is booked, but
 * it does not turn the position over: what is beyond it goes to the liquidity
 * account, at the price of the fill, so that the trader neither gains nor loses
 * by it.  Likewise all that a fill of the order of a liquidation would open.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "late_fill.h"
#include "takeover.h"

/* What was taken over lately; no transaction runs for a day. */
static const LedgerStatement read_taken = {
	"SELECT t.qty, t.posted_at >= $4, t.xmin FROM {takeover} t"
	" WHERE t.book_id = $1 AND t.account_id = $2 AND t.instrument_id = $3"
	"  AND t.posted_at >= least($4, clock_timestamp() - interval '1 day')",
	4, {INT4OID, INT8OID, INT4OID, TIMESTAMPTZOID}
};

static const LedgerStatement find_foreign = {
	"SELECT u.trade_id, u.liquidation_id, l.account_id FROM unnest($2, $3, $4) AS u(trade_id, liquidation_id, account_id)"
	" LEFT JOIN {liquidation} l ON l.book_id = $1 AND l.liquidation_id = u.liquidation_id"
	" WHERE l.account_id IS DISTINCT FROM u.account_id ORDER BY u.trade_id LIMIT 1",
	4, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
};

/* liquidation_fills_check: 23503 for a trade that names a liquidation which is not its account's */
void
liquidation_fills_check(Wiring *wiring, int32 book_id, TradeRow **trades, int n)
{
	Datum	   *columns[3] = {NULL};
	Datum		values[4] = {Int32GetDatum(book_id)};
	int			nfills = 0;
	bool		unknown;

	for (int i = 0; i < n; i++)
	{
		if (trades[i]->liquidation_id == 0)
			continue;
		for (int c = 0; c < 3 && nfills == 0; c++)
			columns[c] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
		columns[0][nfills] = Int64GetDatum(trades[i]->trade_id);
		columns[1][nfills] = Int64GetDatum(trades[i]->liquidation_id);
		columns[2][nfills++] = Int64GetDatum(trades[i]->account_id);
	}
	if (nfills == 0)
		return;
	for (int c = 0; c < 3; c++)
		values[c + 1] = array_argument(columns[c], NULL, nfills, INT8OID);
	wiring_read(wiring, &find_foreign, values, LEDGER_LATEST);
	if (SPI_processed == 0)
		return;
	result_datum(0, 3, &unknown);
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("trade " INT64_FORMAT ": liquidation " INT64_FORMAT " is not of its account",
					result_int64(0, 1), result_int64(0, 2)),
			 unknown ? errdetail("Book %d has no such liquidation.", book_id) :
			 errdetail("It is of account " INT64_FORMAT ".", result_int64(0, 3)),
			 errhint("Book the fill on the account of the order, see the table liquidation_order.")));
}

/* The part of the position after it that the fill has opened, signed. */
static Numeric
opened_by(const Fill *fill)
{
	if (decimal_sign(fill->qty) != decimal_sign(fill->qty_before))
		return fill->qty;
	if (decimal_compare(decimal_absolute(fill->qty), decimal_absolute(fill->qty_before)) <= 0)
		return decimal_from_int64(0);
	return decimal_subtract(fill->qty, fill->qty_before);
}

/*
 * As much of an opened part as closes what was taken over since the fill was
 * executed, or while its statement waited for the lock of the account: what
 * the snapshot of the statement did not see.  Less what was handed over for it
 * already, which is of the sign of the part.
 */
static Numeric
closed_before(Wiring *wiring, int32 book_id, List *takeovers, const Fill *fill, Numeric opened)
{
	Datum		values[4] = {
		Int32GetDatum(book_id), Int64GetDatum(fill->account->account_id), Int32GetDatum(fill->instrument_id),
		TimestampTzGetDatum(fill->executed_at)
	};
	Numeric		taken = decimal_from_int64(0);
	ListCell   *lc;

	if (!fill->was_taken_over)
		return taken;
	wiring_read(wiring, &read_taken, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Numeric		qty = result_numeric(row, 1);
		bool		isnull;
		TransactionId xid = DatumGetTransactionId(result_datum(row, 3, &isnull));
		bool		is_own = TransactionIdIsCurrentTransactionId(xid);

		if (result_bool(row, 2) || (is_own ? decimal_sign(qty) == decimal_sign(opened) :
									XidInMVCCSnapshot(xid, GetActiveSnapshot())))
			taken = decimal_add(taken, qty);
	}
	foreach(lc, takeovers)
	{
		Takeover   *takeover = lfirst(lc);

		if (takeover->account_id == fill->account->account_id && takeover->instrument_id == fill->instrument_id)
			taken = decimal_add(taken, takeover->qty);
	}
	if (decimal_sign(taken) != -decimal_sign(opened))
		return decimal_from_int64(0);
	taken = decimal_negate(taken);
	return decimal_compare(decimal_absolute(taken), decimal_absolute(opened)) < 0 ? taken : opened;
}

/*
 * late_fill_note
 *		Note in takeovers what of a fill is for the liquidity account.  Whether
 *		that is all that it opens, so that it adds no risk to the trader.
 */
bool
late_fill_note(Wiring *wiring, int32 book_id, List **takeovers, const Fill *fill)
{
	Numeric		opened;
	Numeric		excess;
	Takeover   *takeover;

	if (fill->account->kind != ACCOUNT_TRADER)
		return false;
	opened = opened_by(fill);
	if (decimal_sign(opened) == 0)
		return false;
	if (fill->liquidation_id != 0)
		excess = opened;
	else if (strcmp(fill->kind, "trade") == 0 || strcmp(fill->kind, "liquidation") == 0)
		excess = closed_before(wiring, book_id, *takeovers, fill, opened);
	else
		return false;
	if (decimal_sign(excess) == 0)
		return false;
	takeover = palloc0(sizeof(Takeover));
	takeover->account_id = fill->account->account_id;
	takeover->instrument_id = fill->instrument_id;
	takeover->qty = excess;
	takeover->price = fill->price;
	*takeovers = lappend(*takeovers, takeover);
	return decimal_compare(excess, opened) == 0;
}

/* late_fill_write: the takeovers, when the fills are posted */
void
late_fill_write(Wiring *wiring, int32 book_id, Posting *posting, List *takeovers)
{
	Takeover   *rows = palloc(sizeof(Takeover) * Max(list_length(takeovers), 1));
	int			n = 0;
	ListCell   *lc;

	if (takeovers == NIL)
		return;
	foreach(lc, takeovers)
	{
		rows[n] = *(Takeover *) lfirst(lc);
		rows[n].liquidity_account =
			posting_system_account(posting, ACCOUNT_LIQUIDITY,
								   posting_account(posting, rows[n].account_id)->asset_code)->account_id;
		n++;
	}
	takeover_trade(wiring, book_id, rows, n);
	takeover_judge_capacity(wiring, book_id, rows, n);
	takeover_record(wiring, book_id, rows, n);
}
