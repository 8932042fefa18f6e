/*
 * account_state.h
 *		Which trades the state of an account, or of an instrument, lets through.
 */
#ifndef RISK_ACCOUNT_STATE_H
#define RISK_ACCOUNT_STATE_H

#include "posting.h"

/* A trade as the states see it; a forced one adds no risk. */
typedef struct StatedTrade
{
	int64		trade_id;
	int32		instrument_id;
	TimestampTz executed_at;
	bool		adds_risk;
	Numeric		qty_before;
	Numeric		qty;
} StatedTrade;

extern void account_state_check_open(const LedgerAccount *account, int64 trade_id);
extern void account_state_admit(Wiring *wiring, int32 book_id, const LedgerAccount *account,
								const StatedTrade *trade);
extern void instrument_state_admit(const char *state, const LedgerAccount *account,
								   const StatedTrade *trade);

#endif							/* RISK_ACCOUNT_STATE_H */
