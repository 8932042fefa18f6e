/*
 * waterfall.h
 *		Who pays for balances below their floor.
 */
#ifndef RISK_WATERFALL_H
#define RISK_WATERFALL_H

#include "wiring.h"

extern void waterfall_settle(Wiring *wiring, int32 book_id);

#endif							/* RISK_WATERFALL_H */
