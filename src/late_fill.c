/*
 * late_fill.c
 *		Fills of positions that a liquidation has closed.
 *
 * A position can be closed twice: by the liquidity account, and by an order
 * that was filled before anybody knew.  The fill is a fact and is booked, but
 * it does not turn the position over: what is beyond it goes to the liquidity
 * account, at the price of the fill, so that the trader neither gains nor loses
 * by it.  Likewise all that a fill of the order of a liquidation would open.
 *
 * The liquidity account is behind the gate, and nothing else is locked after
 * that: so the part is noted with its trade, and handed over when the
 * transaction commits, before anybody pays for the account.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "late_fill.h"
#include "takeover.h"
#include "trigger_rows.h"

PG_FUNCTION_INFO_V1(risk_hand_over_fills);

/* The transaction that noted fills last, so that others need not look for theirs. */
static TransactionId noting_transaction = InvalidTransactionId;

/* What was taken over lately; no transaction runs for a day. */
static const LedgerStatement read_taken = {
	"SELECT t.qty, t.posted_at >= $4, t.xmin FROM {takeover} t"
	" WHERE t.book_id = $1 AND t.account_id = $2 AND t.instrument_id = $3"
	"  AND t.posted_at >= least($4, clock_timestamp() - interval '1 day')"
	" UNION ALL SELECT f.qty, false, f.xmin FROM {late_fill} f"
	" WHERE f.book_id = $1 AND f.account_id = $2 AND f.instrument_id = $3",
	4, {INT4OID, INT8OID, INT4OID, TIMESTAMPTZOID}
};

static const LedgerStatement insert_late_fills = {
	"INSERT INTO {late_fill} (book_id, trade_id, account_id, instrument_id, qty, price)"
	" SELECT $1, * FROM unnest($2, $3, $4, $5, $6)",
	6, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID}
};

/* As much of them, first come, first served, as the account holds still. */
static const LedgerStatement take_late_fills = {
	"WITH taken AS (DELETE FROM {late_fill} f WHERE f.book_id = $1 RETURNING f.*)"
	" SELECT s.account_id, s.instrument_id, trim_scale(s.part), s.price, i.settle_asset"
	" FROM (SELECT t.*, sign(t.qty) * least(abs(t.qty), sign(t.qty) * p.qty"
	"   - abs(sum(t.qty) OVER (PARTITION BY t.account_id, t.instrument_id ORDER BY t.trade_id) - t.qty)) AS part"
	"  FROM taken t JOIN {position} p"
	"   ON p.book_id = $1 AND p.account_id = t.account_id AND p.instrument_id = t.instrument_id) AS s"
	" JOIN {instrument} i ON i.instrument_id = s.instrument_id"
	" WHERE s.part * sign(s.qty) > 0 ORDER BY s.trade_id",
	1, {INT4OID}
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
closed_before(Wiring *wiring, int32 book_id, List *late_fills, const Fill *fill, Numeric opened)
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
	foreach(lc, late_fills)
	{
		LateFill   *late_fill = lfirst(lc);

		if (late_fill->account_id == fill->account->account_id && late_fill->instrument_id == fill->instrument_id)
			taken = decimal_add(taken, late_fill->qty);
	}
	if (decimal_sign(taken) != -decimal_sign(opened))
		return decimal_from_int64(0);
	taken = decimal_negate(taken);
	return decimal_compare(decimal_absolute(taken), decimal_absolute(opened)) < 0 ? taken : opened;
}

/*
 * late_fill_note
 *		Note in late_fills what of a fill is for the liquidity account.  Whether
 *		that is all that it opens, so that it adds no risk to the trader.
 */
bool
late_fill_note(Wiring *wiring, int32 book_id, List **late_fills, const Fill *fill)
{
	Numeric		opened;
	Numeric		excess;
	LateFill   *late_fill;

	if (fill->account->kind != ACCOUNT_TRADER)
		return false;
	opened = opened_by(fill);
	if (decimal_sign(opened) == 0)
		return false;
	if (fill->liquidation_id != 0)
		excess = opened;
	else if (strcmp(fill->kind, "trade") == 0 || strcmp(fill->kind, "liquidation") == 0)
		excess = closed_before(wiring, book_id, *late_fills, fill, opened);
	else
		return false;
	if (decimal_sign(excess) == 0)
		return false;
	late_fill = palloc(sizeof(LateFill));
	*late_fill = (LateFill) {fill->trade_id, fill->account->account_id, fill->instrument_id, excess, fill->price};
	*late_fills = lappend(*late_fills, late_fill);
	return decimal_compare(excess, opened) == 0;
}

/* late_fills_write: note them until the transaction commits */
void
late_fills_write(Wiring *wiring, int32 book_id, List *late_fills)
{
	int			n = list_length(late_fills);
	Datum	   *columns[5];
	Datum		values[6] = {Int32GetDatum(book_id)};
	static const Oid types[5] = {INT8OID, INT8OID, INT4OID, NUMERICOID, NUMERICOID};
	int			i = 0;
	ListCell   *lc;

	if (n == 0)
		return;
	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	foreach(lc, late_fills)
	{
		LateFill   *late_fill = lfirst(lc);

		columns[0][i] = Int64GetDatum(late_fill->trade_id);
		columns[1][i] = Int64GetDatum(late_fill->account_id);
		columns[2][i] = Int32GetDatum(late_fill->instrument_id);
		columns[3][i] = NumericGetDatum(late_fill->qty);
		columns[4][i++] = NumericGetDatum(late_fill->price);
	}
	for (int c = 0; c < 5; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(wiring, &insert_late_fills, values);
	noting_transaction = GetTopTransactionId();
}

/* late_fills_hand_over: those of a book that are noted; the accounts are locked */
void
late_fills_hand_over(Wiring *wiring, int32 book_id)
{
	Posting    *posting;
	Datum		values[1] = {Int32GetDatum(book_id)};
	Takeover   *takeovers;
	char	  **asset_codes;
	int			n;

	if (!is_this_transaction(noting_transaction))
		return;
	wiring_write(wiring, &take_late_fills, values);
	n = SPI_processed;
	if (n == 0)
		return;
	takeovers = palloc0(sizeof(Takeover) * n);
	asset_codes = palloc(sizeof(char *) * n);
	for (int row = 0; row < n; row++)
	{
		takeovers[row].account_id = result_int64(row, 1);
		takeovers[row].instrument_id = result_int32(row, 2);
		takeovers[row].qty = result_numeric(row, 3);
		takeovers[row].price = result_numeric(row, 4);
		asset_codes[row] = result_text(row, 5);
	}
	posting = posting_begin(wiring, book_id);
	for (int i = 0; i < n; i++)
		takeovers[i].liquidity_account = posting_system_account(posting, ACCOUNT_LIQUIDITY, asset_codes[i])->account_id;
	takeover_trade(wiring, book_id, takeovers, n);
	takeover_judge_capacity(wiring, book_id, takeovers, n);
	takeover_record(wiring, book_id, takeovers, n);
}

/*
 * risk.hand_over_fills()
 *		Deferred constraint trigger on late_fill, FOR EACH ROW.  The first event
 *		of a transaction hands over all; the others find nothing left.
 */
Datum
risk_hand_over_fills(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger(fcinfo, "risk.hand_over_fills");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_LATE_FILL);

	late_fills_hand_over(wiring, DatumGetInt32(row_column(trigger, "book_id")));
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
