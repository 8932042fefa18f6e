/*
 * fund_use.c
 *		What the insurance fund may pay, by the caps of a policy: for one
 *		shortfall, and for one owner and for all accounts of the policy in a day
 *		(UTC).
 *
 * The fund pays behind the gate of its book only, so what was read holds until
 * the transaction ends.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "fund_use.h"

/* What was paid today for a subject, and is about to be. */
typedef struct FundUse
{
	const char *asset_code;
	const char *scope;
	const char *subject;
	Numeric		amount;
} FundUse;

static const LedgerStatement read_use = {
	"SELECT u.amount FROM {fund_use} u WHERE u.book_id = $1 AND u.asset_code = $2"
	" AND u.day = (clock_timestamp() AT TIME ZONE 'UTC')::date AND u.scope = $3 AND u.subject = $4",
	4, {INT4OID, TEXTOID, TEXTOID, TEXTOID}
};

/* The rows themselves say on which day, for whom and by which policy. */
#define ADD_USE(paid, which) \
	"INSERT INTO {fund_use} AS u (book_id, asset_code, day, scope, subject, amount)" \
	" SELECT $1, s.asset_code, p.period, v.scope, v.subject, sum(p.amount)" \
	" FROM {shortfall} s, " paid " p, LATERAL (VALUES" \
	"  (CASE WHEN s.owner_id IS NULL THEN 'account' ELSE 'owner' END, coalesce(s.owner_id, s.account_id::text))," \
	"  ('policy', s.policy_code)) AS v(scope, subject)" \
	" WHERE p.book_id = $1 AND p.stage = 'fund' AND s.book_id = $1 AND s.shortfall_id = p.shortfall_id AND " which \
	" GROUP BY s.asset_code, p.period, v.scope, v.subject ORDER BY s.asset_code, p.period, v.scope, v.subject" \
	" ON CONFLICT (book_id, asset_code, day, scope, subject) DO UPDATE SET amount = u.amount + excluded.amount"

static const LedgerStatement add_use_of_resets = {
	ADD_USE("{reset}", "p.reset_id = ANY ($2)"),
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement add_use_of_payments = {
	ADD_USE("{shortfall_payment}", "p.payment_id = ANY ($2)"),
	2, {INT4OID, INT8ARRAYOID}
};

static FundUse *
use_of(FundPayments *payments, const char *asset_code, const char *scope, const char *subject)
{
	Datum		values[4] = {Int32GetDatum(payments->book_id), CStringGetTextDatum(asset_code),
	CStringGetTextDatum(scope), CStringGetTextDatum(subject)};
	FundUse    *use;
	ListCell   *lc;

	foreach(lc, payments->uses)
	{
		use = lfirst(lc);
		if (strcmp(use->asset_code, asset_code) == 0 && strcmp(use->scope, scope) == 0 &&
			strcmp(use->subject, subject) == 0)
			return use;
	}
	wiring_read(payments->wiring, &read_use, values, LEDGER_LATEST);
	use = palloc(sizeof(FundUse));
	*use = (FundUse) {asset_code, scope, subject, SPI_processed == 0 ? decimal_from_int64(0) : result_numeric(0, 1)};
	payments->uses = lappend(payments->uses, use);
	return use;
}

static FundUse *
use_of_owner(FundPayments *payments, const char *asset_code, const char *owner_id, int64 account_id)
{
	return owner_id != NULL ? use_of(payments, asset_code, "owner", owner_id) :
		use_of(payments, asset_code, "account", psprintf(INT64_FORMAT, account_id));
}

static Numeric
limit(Numeric amount, Numeric cap, Numeric used)
{
	return decimal_min(amount, decimal_max(decimal_subtract(cap, used), decimal_from_int64(0)));
}

/*
 * fund_limit
 *		What the caps leave of an amount that the fund would pay, in whole units
 *		of the scale: a cap may have more digits than the asset, and is rounded
 *		down.  paid_before: for the same shortfall.
 */
Numeric
fund_limit(FundPayments *payments, const FundCaps *caps, const char *policy_code, const char *asset_code, int scale,
		   const char *owner_id, int64 account_id, Numeric paid_before, Numeric amount)
{
	if (caps->per_event != NULL)
		amount = limit(amount, caps->per_event, paid_before);
	if (caps->per_owner != NULL)
		amount = limit(amount, caps->per_owner, use_of_owner(payments, asset_code, owner_id, account_id)->amount);
	if (caps->per_day != NULL)
		amount = limit(amount, caps->per_day, use_of(payments, asset_code, "policy", policy_code)->amount);
	return decimal_scale(amount) > scale ? decimal_round(amount, scale, DECIMAL_DOWN) : amount;
}

/* fund_pays: count a payment that is decided, for those that come after it in this transaction */
void
fund_pays(FundPayments *payments, const char *policy_code, const char *asset_code,
		  const char *owner_id, int64 account_id, Numeric amount)
{
	FundUse    *owner = use_of_owner(payments, asset_code, owner_id, account_id);
	FundUse    *policy = use_of(payments, asset_code, "policy", policy_code);

	owner->amount = decimal_add(owner->amount, amount);
	policy->amount = decimal_add(policy->amount, amount);
}

/* fund_use_of_resets: record what the resets of stage fund among these have used */
void
fund_use_of_resets(Wiring *wiring, int32 book_id, Datum reset_ids)
{
	Datum		values[2] = {Int32GetDatum(book_id), reset_ids};

	wiring_write(wiring, &add_use_of_resets, values);
}

/* fund_use_of_payments: the same for payments after the commit */
void
fund_use_of_payments(Wiring *wiring, int32 book_id, Datum payment_ids)
{
	Datum		values[2] = {Int32GetDatum(book_id), payment_ids};

	wiring_write(wiring, &add_use_of_payments, values);
}
