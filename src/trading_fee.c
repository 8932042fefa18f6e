/*
 * trading_fee.c
 *		Whose the fee of a trade is: a part of it, by the policy of who pays it,
 *		is the insurance fund's.
 *
 * A credit of the fund takes a slot, so nobody waits for it.  What goes the
 * other way, a rebate or a fee that is cut because it cannot be paid, is the
 * fee account's alone: what the fund was given stays there.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "trade_policy.h"
#include "trading_fee.h"

/*
 * trading_fee_to_fund
 *		The part of a fee that goes to the insurance fund, rounded down to the
 *		scale of the asset; policies: see trade_policy().
 */
Numeric
trading_fee_to_fund(Wiring *wiring, List **policies, const LedgerAccount *account, Numeric fee)
{
	if (decimal_sign(fee) <= 0)
		return decimal_from_int64(0);
	return decimal_round(decimal_multiply(fee, trade_policy(wiring, policies, account)->trading_fee_to_fund),
						 account->scale, DECIMAL_DOWN);
}

/* trading_fee_post: in memory; the accounts are open */
void
trading_fee_post(Wiring *wiring, Posting *posting, List **policies, const TradingFee *fee)
{
	Numeric		to_fund;

	if (decimal_sign(fee->fee) == 0)
		return;
	to_fund = trading_fee_to_fund(wiring, policies, fee->account, fee->fee);
	posting_post(posting, fee->account, decimal_negate(fee->fee), "trade_fee", fee->trade_id, fee->executed_at);
	if (decimal_sign(to_fund) > 0)
		posting_post(posting, fee->fund, to_fund, "trade_fee", fee->trade_id, fee->executed_at);
	if (decimal_compare(fee->fee, to_fund) != 0)
		posting_post(posting, fee->fee_account, decimal_subtract(fee->fee, to_fund), "trade_fee",
					 fee->trade_id, fee->executed_at);
}
