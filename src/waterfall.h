/*
 * waterfall.h
 *		Who pays for balances below their floor.
 */
#ifndef RISK_WATERFALL_H
#define RISK_WATERFALL_H

#include "wiring.h"

extern void waterfall_settle(Wiring *wiring, int32 book_id);
extern void waterfall_close_insolvent(Wiring *wiring, int32 book_id, int64 account_id);

#endif							/* RISK_WATERFALL_H */
