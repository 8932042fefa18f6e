/*
 * trading_fee.h
 *		Whose the fee of a trade is.
 */
#ifndef RISK_TRADING_FEE_H
#define RISK_TRADING_FEE_H

#include "posting.h"

/* A fee, and the accounts that it goes to. */
typedef struct TradingFee
{
	int64		trade_id;
	TimestampTz executed_at;
	Numeric		fee;			/* below zero: the account gets it */
	LedgerAccount *account;		/* that traded */
	LedgerAccount *fee_account;
	LedgerAccount *fund;		/* NULL: no fee of the statement has a part for it */
} TradingFee;

extern Numeric trading_fee_to_fund(Wiring *wiring, List **policies, const LedgerAccount *account, Numeric fee);
extern void trading_fee_post(Wiring *wiring, Posting *posting, List **policies, const TradingFee *fee);

#endif							/* RISK_TRADING_FEE_H */
