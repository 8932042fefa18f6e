/*
 * trade_policy.c
 *		What the policy of an account says about its trades, read once for a
 *		statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "hot_rows.h"
#include "trade_policy.h"

static const HotLayout policy_layout = {
	.nkey = 2, .ncolumns = 5,
	.columns = {
		{"policy_code", TEXTOID}, {"version", INT4OID}, {"effective_at", TIMESTAMPTZOID}, {"trading_fee_to_fund", NUMERICOID},
		{"refuse_uncovered", BOOLOID}
	}
};

static const LedgerStatement read_policy = {
	"SELECT p.trading_fee_to_fund, p.refuse_uncovered FROM {policy} p"
	" WHERE p.policy_code = $1 AND p.effective_at <= clock_timestamp()"
	" ORDER BY p.version DESC LIMIT 1",
	1, {TEXTOID}
};

/* The version in force: the highest whose time has come. */
static TradePolicy
policy_in_force(Wiring *wiring, const char *policy_code)
{
	Datum		values[1] = {CStringGetTextDatum(policy_code)};
	HotTable   *policies = wiring_hot(wiring, LEDGER_POLICY, &policy_layout);
	TimestampTz now = GetCurrentTimestamp();
	TradePolicy policy = {policy_code, NULL, false};

	if (policies == NULL)
	{
		wiring_read(wiring, &read_policy, values, LEDGER_LATEST);
		if (SPI_processed > 0)
		{
			policy.trading_fee_to_fund = result_numeric(0, 1);
			policy.refuse_uncovered = result_bool(0, 2);
		}
	}
	else
	{
		hot_begin(policies, wiring_snapshot(wiring, LEDGER_LATEST), 1);
		hot_seek(policies, values);
		while (policy.trading_fee_to_fund == NULL && hot_next(policies, BackwardScanDirection))
		{
			bool		isnull;

			if (DatumGetTimestampTz(hot_value(policies, 2, &isnull)) > now)
				continue;
			policy.trading_fee_to_fund = DatumGetNumericCopy(hot_value(policies, 3, &isnull));
			policy.refuse_uncovered = DatumGetBool(hot_value(policies, 4, &isnull));
		}
		hot_end(policies);
	}
	if (policy.trading_fee_to_fund == NULL)
		policy.trading_fee_to_fund = decimal_from_int64(0);
	return policy;
}

/* trade_policy: known keeps what was read, and is NIL at first */
const TradePolicy *
trade_policy(Wiring *wiring, List **known, const LedgerAccount *account)
{
	TradePolicy *policy;
	ListCell   *lc;

	foreach(lc, *known)
		if (strcmp(((TradePolicy *) lfirst(lc))->policy_code, account->policy_code) == 0)
			return lfirst(lc);
	policy = palloc(sizeof(TradePolicy));
	*policy = policy_in_force(wiring, account->policy_code);
	*known = lappend(*known, policy);
	return policy;
}
