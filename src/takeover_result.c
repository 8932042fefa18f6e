/*
 * takeover_result.c
 *		What the liquidity account makes of what it took over.
 *
 * It unwinds at market, by trades like anybody's.  What it gains by them is the
 * insurance fund's, and what it loses the fund makes good as far as it goes, so
 * that its own money stays what the venue put in.  The rest of a loss is paid by
 * the chain of the liquidity account like that of any other.  Trades of other
 * kinds are left alone: their gains and losses belong to a shortfall.
 */
#include "postgres.h"

#include "takeover_result.h"

/* takeover_result_post: the liquidity account and the fund have passed the gate */
void
takeover_result_post(Posting *posting, LedgerAccount *liquidity, Numeric realized, int64 trade_id, TimestampTz executed_at)
{
	LedgerAccount *fund = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, liquidity->asset_code);
	Numeric		to_fund = realized;

	if (decimal_sign(realized) < 0)
	{
		Numeric		has = decimal_subtract(posting_total(posting, fund), fund->floor);

		to_fund = decimal_max(realized, decimal_negate(decimal_max(has, decimal_from_int64(0))));
	}
	if (decimal_sign(to_fund) == 0)
		return;
	posting_post(posting, liquidity, decimal_negate(to_fund), "takeover_result", trade_id, executed_at);
	posting_post(posting, fund, to_fund, "takeover_result", trade_id, executed_at);
}
