/*
 * fund_use.h
 *		What the insurance fund may pay, by the caps of a policy.
 */
#ifndef RISK_FUND_USE_H
#define RISK_FUND_USE_H

#include "decimal.h"
#include "wiring.h"

/* The caps of a policy; NULL: none. */
typedef struct FundCaps
{
	Numeric		per_event;
	Numeric		per_owner;
	Numeric		per_day;
} FundCaps;

/* Payments of one transaction that are decided and not written yet. */
typedef struct FundPayments
{
	Wiring	   *wiring;
	int32		book_id;
	struct HTAB *uses;
} FundPayments;

extern FundPayments fund_payments_begin(Wiring *wiring, int32 book_id);
extern Numeric fund_limit(FundPayments *payments, const FundCaps *caps, const char *policy_code,
						  const char *asset_code, int scale, const char *owner_id, int64 account_id,
						  Numeric paid_before, Numeric amount);
extern void fund_pays(FundPayments *payments, const char *policy_code, const char *asset_code,
					  const char *owner_id, int64 account_id, Numeric amount);
extern void fund_use_of_resets(Wiring *wiring, int32 book_id, Datum reset_ids);
extern void fund_use_of_payments(Wiring *wiring, int32 book_id, Datum payment_ids);

#endif							/* RISK_FUND_USE_H */
