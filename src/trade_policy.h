/*
 * trade_policy.h
 *		What the policy of an account says about its trades.
 */
#ifndef RISK_TRADE_POLICY_H
#define RISK_TRADE_POLICY_H

#include "posting.h"

typedef struct TradePolicy
{
	const char *policy_code;
	Numeric		trading_fee_to_fund;
	bool		refuse_uncovered;
} TradePolicy;

extern const TradePolicy *trade_policy(Wiring *wiring, List **known, const LedgerAccount *account);

#endif							/* RISK_TRADE_POLICY_H */
