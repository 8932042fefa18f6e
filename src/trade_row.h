/*
 * trade_row.h
 *		Rows of trade, as a statement inserted them.
 */
#ifndef RISK_TRADE_ROW_H
#define RISK_TRADE_ROW_H

#include "utils/date.h"

#include "idempotency.h"
#include "posting.h"

typedef struct TradeRow
{
	int32		book_id;
	int64		trade_id;
	int64		account_id;
	int64		execution_id;
	int32		instrument_id;
	TimestampTz executed_at;
	bool		buys;
	Numeric		qty;			/* > 0 */
	Numeric		price;
	Numeric		fee;
	char	   *kind;
	DateADT		period;
	char	   *idempotency_key;	/* or NULL */
	int64		liquidation_id;	/* 0: none */
} TradeRow;

extern const RowReader trade_reader;
extern const KeyedTable keyed_trades;

#endif							/* RISK_TRADE_ROW_H */
