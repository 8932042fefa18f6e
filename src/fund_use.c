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
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "fund_use.h"

/* What was paid today for a subject, read when a cap asks for it, and what is about to be. */
typedef struct FundUse
{
	const char *key;			/* scope, asset and subject, told apart by the length of the asset */
	Numeric		before;			/* NULL: not read yet */
	Numeric		amount;
} FundUse;

static const LedgerStatement read_use = {
	"SELECT u.amount FROM {fund_use} u WHERE u.book_id = $1 AND u.asset_code = $2"
	" AND u.day = (clock_timestamp() AT TIME ZONE 'UTC')::date AND u.scope = $3 AND u.subject = $4",
	4, {INT4OID, TEXTOID, TEXTOID, TEXTOID}
};

static uint32
hash_key(const void *key, Size size pg_attribute_unused())
{
	const char *text = *(const char *const *) key;

	return string_hash(text, strlen(text) + 1);
}

static int
compare_keys(const void *a, const void *b, Size size pg_attribute_unused())
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* fund_payments_begin: none so far; lives in the current memory context */
FundPayments
fund_payments_begin(Wiring *wiring, int32 book_id)
{
	HASHCTL		ctl = {
		.keysize = sizeof(char *), .entrysize = sizeof(FundUse), .hash = hash_key, .match = compare_keys,
			.hcxt = CurrentMemoryContext
	};

	return (FundPayments) {wiring, book_id,
		hash_create("fund uses", 64, &ctl, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT)};
}

static FundUse *
use_of(FundPayments *payments, const char *asset_code, const char *scope, const char *subject)
{
	char	   *key = psprintf("%s %zu %s %s", scope, strlen(asset_code), asset_code, subject);
	bool		found;
	FundUse    *use = hash_search(payments->uses, &key, HASH_ENTER, &found);

	if (!found)
	{
		use->before = NULL;
		use->amount = decimal_from_int64(0);
	}
	return use;
}

/* What was paid today, before and now. */
static Numeric
used(FundPayments *payments, const char *asset_code, const char *scope, const char *subject)
{
	FundUse    *use = use_of(payments, asset_code, scope, subject);
	Datum		values[4] = {Int32GetDatum(payments->book_id), CStringGetTextDatum(asset_code),
	CStringGetTextDatum(scope), CStringGetTextDatum(subject)};

	if (use->before == NULL)
	{
		wiring_read(payments->wiring, &read_use, values, LEDGER_LATEST);
		use->before = SPI_processed == 0 ? decimal_from_int64(0) : result_numeric(0, 1);
	}
	return decimal_add(use->before, use->amount);
}

/* The scope of an owner, or of an account without one, and its name there. */
static const char *
owner_scope(const char *owner_id, int64 account_id, const char **subject)
{
	*subject = owner_id != NULL ? owner_id : psprintf(INT64_FORMAT, account_id);
	return owner_id != NULL ? "owner" : "account";
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
	const char *subject;
	const char *scope = owner_scope(owner_id, account_id, &subject);

	if (caps->per_event != NULL)
		amount = limit(amount, caps->per_event, paid_before);
	if (caps->per_owner != NULL)
		amount = limit(amount, caps->per_owner, used(payments, asset_code, scope, subject));
	if (caps->per_day != NULL)
		amount = limit(amount, caps->per_day, used(payments, asset_code, "policy", policy_code));
	return decimal_scale(amount) > scale ? decimal_round(amount, scale, DECIMAL_DOWN) : amount;
}

/* fund_pays: count a payment that is decided, for those that come after it in this transaction */
void
fund_pays(FundPayments *payments, const char *policy_code, const char *asset_code,
		  const char *owner_id, int64 account_id, Numeric amount)
{
	const char *subject;
	const char *scope = owner_scope(owner_id, account_id, &subject);
	FundUse    *use = use_of(payments, asset_code, scope, subject);

	use->amount = decimal_add(use->amount, amount);
	use = use_of(payments, asset_code, "policy", policy_code);
	use->amount = decimal_add(use->amount, amount);
}
