/*
 * trade_row.c
 *		Rows of trade, as a statement inserted them, and what of them an
 *		idempotency key stands for.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "trade_row.h"

static const LedgerStatement read_trade = {
	"SELECT t.account_id::text, t.execution_id::text, t.instrument_id::text, t.side,"
	" trim_scale(t.qty)::text, trim_scale(t.price)::text, trim_scale(t.fee)::text, t.kind, t.liquidation_id::text"
	" FROM {trade} t WHERE t.book_id = $1 AND t.trade_id = $2",
	2, {INT4OID, INT8OID}
};

static KeyedRow
keyed_trade(const void *row)
{
	const TradeRow *trade = row;

	return trade->idempotency_key == NULL ? (KeyedRow) {0} : (KeyedRow) {.key = trade->idempotency_key, .id = trade->trade_id,
		.fields = {
			canonical_int64(trade->account_id), canonical_int64(trade->execution_id), canonical_int64(trade->instrument_id),
			trade->buys ? "buy" : "sell", canonical_number(trade->qty), canonical_number(trade->price),
			canonical_number(trade->fee), trade->kind,
			trade->liquidation_id == 0 ? NULL : canonical_int64(trade->liquidation_id)
	}};
}

/* executed_at has a default, which nobody can tell from what a caller chose */
const KeyedTable keyed_trades = {
	"trade", {"account_id", "execution_id", "instrument_id", "side", "qty", "price", "fee", "kind", "liquidation_id"},
	keyed_trade, &read_trade
};

static void
fill_trade(void *row, const Datum *value, const bool *isnull)
{
	TradeRow   *trade = row;

	trade->book_id = DatumGetInt32(value[0]);
	trade->trade_id = DatumGetInt64(value[1]);
	trade->account_id = DatumGetInt64(value[2]);
	trade->execution_id = DatumGetInt64(value[3]);
	trade->instrument_id = DatumGetInt32(value[4]);
	trade->executed_at = DatumGetTimestampTz(value[5]);
	trade->buys = strcmp(TextDatumGetCString(value[6]), "buy") == 0;
	trade->qty = DatumGetNumericCopy(value[7]);
	trade->price = DatumGetNumericCopy(value[8]);
	trade->fee = DatumGetNumericCopy(value[9]);
	trade->kind = TextDatumGetCString(value[10]);
	trade->period = DatumGetDateADT(value[11]);
	trade->idempotency_key = isnull[12] ? NULL : TextDatumGetCString(value[12]);
	trade->liquidation_id = isnull[13] ? 0 : DatumGetInt64(value[13]);
}

const RowReader trade_reader = {
	{"book_id", "trade_id", "account_id", "execution_id", "instrument_id", "executed_at", "side",
	"qty", "price", "fee", "kind", "period", "idempotency_key", "liquidation_id"},
	sizeof(TradeRow), fill_trade
};
