/*
 * isolated.h
 *		Margin that trades move between a child account and its parent.
 */
#ifndef RISK_ISOLATED_H
#define RISK_ISOLATED_H

#include "margin.h"
#include "posting.h"

/* A trade on a child account, as far as the margin depends on it. */
typedef struct IsolatedTrade
{
	LedgerAccount *child;
	LedgerAccount *parent;
	int64		trade_id;
	TimestampTz executed_at;
	Numeric		fee;
	Numeric		qty_before;
	Numeric		qty;			/* after */
	Numeric		opened_value;	/* of the part that opens, in settle, >= 0 */
	Numeric		notional;		/* of the whole position after, at the price */
	int32		instrument_id;
} IsolatedTrade;

/* What the accounts of a statement have to keep, as far as it was asked for. */
typedef struct IsolatedMargin
{
	Wiring	   *wiring;
	int32		book_id;
	Posting    *posting;
	HTAB	   *requirements;
} IsolatedMargin;

extern void isolated_begin(IsolatedMargin *margin, Wiring *wiring, int32 book_id, Posting *posting);
extern void isolated_forget(IsolatedMargin *margin, int64 account_id);
extern bool isolated_knows(IsolatedMargin *margin, int64 account_id);
extern void isolated_read(IsolatedMargin *margin, int64 *account_ids, int n);
extern void isolated_open(IsolatedMargin *margin, const IsolatedTrade *trade);
extern void isolated_close(IsolatedMargin *margin, const IsolatedTrade *trade);
extern void isolated_check_trade(const LedgerAccount *account, int64 trade_id, int32 instrument_id);
extern void isolated_check_side(const LedgerAccount *account, int64 trade_id, int32 instrument_id,
								Numeric qty);
extern void isolated_check_mode(const LedgerAccount *account, int64 trade_id, int32 instrument_id);

#endif							/* RISK_ISOLATED_H */
