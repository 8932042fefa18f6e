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
	int64		trade_id;
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

/* The part of it that is for the liquidity account. */
typedef struct LateFill
{
	int64		trade_id;
	int64		account_id;
	int32		instrument_id;
	Numeric		qty;			/* signed, as the account holds it */
	Numeric		price;
} LateFill;

extern void liquidation_fills_check(Wiring *wiring, int32 book_id, TradeRow **trades, int n);
extern bool late_fill_note(Wiring *wiring, int32 book_id, List **late_fills, const Fill *fill);
extern void late_fills_write(Wiring *wiring, int32 book_id, List *late_fills);
extern void late_fills_hand_over(Wiring *wiring, int32 book_id);

#endif							/* RISK_LATE_FILL_H */
