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

/*
 * Adds to fund_use what rows have used of the fund, by the day, the owner and
 * the policy that they say.  paid: rows with book_id, period, stage, amount,
 * asset_code, owner_id, account_id and policy_code.
 */
#define ADD_FUND_USE(paid) \
	"INSERT INTO {fund_use} AS u (book_id, asset_code, day, scope, subject, amount)" \
	" SELECT p.book_id, p.asset_code, p.period, v.scope, v.subject, sum(p.amount) FROM " paid " AS p, LATERAL (VALUES" \
	"  (CASE WHEN p.owner_id IS NULL THEN 'account' ELSE 'owner' END, coalesce(p.owner_id, p.account_id::text))," \
	"  ('policy', p.policy_code)) AS v(scope, subject)" \
	" WHERE p.stage = 'fund'" \
	" GROUP BY p.book_id, p.asset_code, p.period, v.scope, v.subject" \
	" ORDER BY p.asset_code, p.period, v.scope, v.subject" \
	" ON CONFLICT (book_id, asset_code, day, scope, subject) DO UPDATE SET amount = u.amount + excluded.amount"

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

#endif							/* RISK_FUND_USE_H */
