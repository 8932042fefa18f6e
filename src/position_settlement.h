/*
 * position_settlement.h
 *		Profit of a position that is paid without a trade.
 */
#ifndef RISK_POSITION_SETTLEMENT_H
#define RISK_POSITION_SETTLEMENT_H

#include "posting.h"

typedef struct PositionSettlement
{
	LedgerAccount *account;		/* locked */
	int32		instrument_id;
	Numeric		amount;			/* to the balance; below zero: out of it */
} PositionSettlement;

extern void settle_positions(Wiring *wiring, Posting *posting, int32 book_id,
							 PositionSettlement *settlements, int n, bool by_bust);

#endif							/* RISK_POSITION_SETTLEMENT_H */
