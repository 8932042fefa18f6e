/*
 * takeover_result.h
 *		What the liquidity account makes of what it took over.
 */
#ifndef RISK_TAKEOVER_RESULT_H
#define RISK_TAKEOVER_RESULT_H

#include "posting.h"

extern void takeover_result_post(Posting *posting, LedgerAccount *liquidity, Numeric realized,
								 int64 trade_id, TimestampTz executed_at);

#endif							/* RISK_TAKEOVER_RESULT_H */
