/*
 * payout.h
 *		Payouts of the insurance fund, and who may not withdraw before it is
 *		decided what is held of the gains on their other side.
 */
#ifndef RISK_PAYOUT_H
#define RISK_PAYOUT_H

#include "decimal.h"
#include "wiring.h"

/* A payout that risk.hold_gainers() has not looked at, in an instrument that the account trades. */
typedef struct Payout
{
	int64		account_id;
	int32		instrument_id;
	int64		shortfall_id;
	Numeric		amount;
} Payout;

extern void payouts_watch(Wiring *wiring, int32 book_id);
extern List *payouts_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n);
extern Payout *payout_of_account(List *payouts, int64 account_id);
extern void payout_refuse(const Payout *payout, const char *table, int64 row_id, int32 book_id);

#endif							/* RISK_PAYOUT_H */
