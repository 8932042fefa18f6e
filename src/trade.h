/*
 * trade.h
 *		What a trade would do.
 */
#ifndef RISK_TRADE_H
#define RISK_TRADE_H

#include "decimal.h"
#include "wiring.h"

typedef struct OrderedTrade
{
	int64		account_id;
	int32		instrument_id;
	bool		buys;
	Numeric		qty;			/* > 0 */
	Numeric		price;
	Numeric		fee;
} OrderedTrade;

typedef struct TradeOutcome
{
	Numeric		qty_before;		/* of the position */
	Numeric		qty;			/* after */
	Numeric		cost;			/* after */
	bool		adds_risk;		/* of a trader */
	Numeric		realized_pnl;
	Numeric		margin_moved;	/* to a child account from its parent */
	Numeric		balance_change; /* these two, less the fee */
	Numeric		open_interest_change;	/* the other side included, see trade.c */
} TradeOutcome;

extern TradeOutcome trade_try(Wiring *wiring, int32 book_id, const OrderedTrade *order);

#endif							/* RISK_TRADE_H */
