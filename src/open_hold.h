/*
 * open_hold.h
 *		What holds still keep, and what is taken out of them.
 */
#ifndef RISK_OPEN_HOLD_H
#define RISK_OPEN_HOLD_H

#include "decimal.h"
#include "wiring.h"

/* A capture, a release or an expiry: a row that takes something out of a hold. */
typedef struct HoldTake
{
	const char *table;			/* of the row, for messages */
	int64		row_id;
	int64		account_id;
	int64		hold_id;
	Numeric		amount;			/* NULL: all that is left */
	bool		captures;		/* pays it out; else gives it back */
	bool		expires;		/* because its time has come */
	Numeric		left;			/* what the hold keeps after all of them */
} HoldTake;

extern void open_holds_take(Wiring *wiring, int32 book_id, HoldTake *takes, int n);

#endif							/* RISK_OPEN_HOLD_H */
