/*
 * takeover_result.c
 *		What the liquidity account makes of what it took over.
 *
 * It unwinds at market, by trades like anybody's.  What it gains by them is the
 * insurance fund's; what it loses is paid by its own chain: its own money, then
 * the fund, then the house.  Trades of other kinds are left alone: their gains
 * belong to a shortfall.
 */
#include "postgres.h"

#include "takeover_result.h"

/* takeover_result_post: the liquidity account and the fund have passed the gate */
void
takeover_result_post(Posting *posting, LedgerAccount *liquidity, Numeric realized, int64 trade_id, TimestampTz executed_at)
{
	LedgerAccount *fund = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, liquidity->asset_code);

	if (decimal_sign(realized) <= 0)
		return;
	posting_post(posting, liquidity, decimal_negate(realized), "takeover_result", trade_id, executed_at);
	posting_post(posting, fund, realized, "takeover_result", trade_id, executed_at);
}
