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

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "decimal.h"
#include "hot_rows.h"
#include "trading_fee.h"

/* What a policy gives the fund, as read for this statement. */
typedef struct FeeShare
{
	const char *policy_code;
	Numeric		share;
} FeeShare;

static const HotLayout policy_layout = {
	.nkey = 2, .ncolumns = 4,
	.columns = {
		{"policy_code", TEXTOID}, {"version", INT4OID}, {"effective_at", TIMESTAMPTZOID}, {"trading_fee_to_fund", NUMERICOID}
	}
};

static const LedgerStatement read_share = {
	"SELECT p.trading_fee_to_fund FROM {policy} p"
	" WHERE p.policy_code = $1 AND p.effective_at <= clock_timestamp()"
	" ORDER BY p.version DESC LIMIT 1",
	1, {TEXTOID}
};

/* The share by the version in force: the highest whose time has come. */
static Numeric
share_in_force(Wiring *wiring, const char *policy_code)
{
	Datum		values[1] = {CStringGetTextDatum(policy_code)};
	HotTable   *policies = wiring_hot(wiring, LEDGER_POLICY, &policy_layout);
	TimestampTz now = GetCurrentTimestamp();
	Numeric		share = NULL;

	if (policies == NULL)
	{
		wiring_read(wiring, &read_share, values, LEDGER_LATEST);
		return SPI_processed > 0 ? result_numeric(0, 1) : decimal_from_int64(0);
	}
	hot_begin(policies, wiring_snapshot(LEDGER_LATEST), 1);
	hot_seek(policies, values);
	while (share == NULL && hot_next(policies, BackwardScanDirection))
	{
		bool		isnull;

		if (DatumGetTimestampTz(hot_value(policies, 2, &isnull)) <= now)
			share = DatumGetNumericCopy(hot_value(policies, 3, &isnull));
	}
	hot_end(policies);
	return share != NULL ? share : decimal_from_int64(0);
}

/*
 * trading_fee_to_fund
 *		The part of a fee that goes to the insurance fund, rounded down to the
 *		scale of the asset; shares keeps what was read, and is NIL at first.
 */
Numeric
trading_fee_to_fund(Wiring *wiring, List **shares, const LedgerAccount *account, Numeric fee)
{
	FeeShare   *found = NULL;
	ListCell   *lc;

	if (decimal_sign(fee) <= 0)
		return decimal_from_int64(0);
	foreach(lc, *shares)
		if (strcmp(((FeeShare *) lfirst(lc))->policy_code, account->policy_code) == 0)
			found = lfirst(lc);
	if (found == NULL)
	{
		found = palloc(sizeof(FeeShare));
		*found = (FeeShare) {account->policy_code, share_in_force(wiring, account->policy_code)};
		*shares = lappend(*shares, found);
	}
	return decimal_round(decimal_multiply(fee, found->share), account->scale, DECIMAL_DOWN);
}

/* trading_fee_post: in memory; the accounts are open */
void
trading_fee_post(Wiring *wiring, Posting *posting, List **shares, const TradingFee *fee)
{
	Numeric		to_fund;

	if (decimal_sign(fee->fee) == 0)
		return;
	to_fund = trading_fee_to_fund(wiring, shares, fee->account, fee->fee);
	posting_post(posting, fee->account, decimal_negate(fee->fee), "trade_fee", fee->trade_id, fee->executed_at);
	if (decimal_sign(to_fund) > 0)
		posting_post(posting, fee->fund, to_fund, "trade_fee", fee->trade_id, fee->executed_at);
	if (decimal_compare(fee->fee, to_fund) != 0)
		posting_post(posting, fee->fee_account, decimal_subtract(fee->fee, to_fund), "trade_fee",
					 fee->trade_id, fee->executed_at);
}
