/*
 * late_fill.h
 *		Fills of positions that a liquidation has closed.
 */
#ifndef RISK_LATE_FILL_H
#define RISK_LATE_FILL_H

#include "posting.h"
#include "trade_row.h"

/* A trade, and what it makes of its position. */
typedef struct Fill
{
	const LedgerAccount *account;
	const char *kind;
	int64		liquidation_id;	/* whose order it fills; 0: none */
	int32		instrument_id;
	TimestampTz executed_at;
	bool		was_taken_over; /* the position, at any time */
	Numeric		qty_before;
	Numeric		qty;			/* signed, after it */
	Numeric		price;
} Fill;

extern void liquidation_fills_check(Wiring *wiring, int32 book_id, TradeRow **trades, int n);
extern bool late_fill_note(Wiring *wiring, int32 book_id, List **takeovers, const Fill *fill);
extern void late_fill_write(Wiring *wiring, int32 book_id, Posting *posting, List *takeovers);

#endif							/* RISK_LATE_FILL_H */
