/*
 * stages.c
 *		The stages of a policy that others than the account itself pay in, as
 *		far as they are run in the transaction that made the loss.
 *
 * What the stage `suspense` pays is placed after the commit, by the stages that
 * follow it: those take it from accounts that this transaction has not locked.
 * Losses that are not the market's go that way no further than the house.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "payout.h"
#include "recourse.h"
#include "stages.h"

/* Pays what it can of one deficit; false: what is left is placed after the commit. */
typedef bool (*StageFunction) (Waterfall *waterfall, Deficit *deficit);

static bool pay_from_fund(Waterfall *waterfall, Deficit *deficit);
static bool pay_from_fund_if_whole(Waterfall *waterfall, Deficit *deficit);
static bool pay_from_house(Waterfall *waterfall, Deficit *deficit);
static bool pay_from_receivable(Waterfall *waterfall, Deficit *deficit);
static bool pay_from_suspense(Waterfall *waterfall, Deficit *deficit);
static bool reject(Waterfall *waterfall, Deficit *deficit);

static const struct
{
	const char *name;
	StageFunction pay;
}			stages[] = {
	{"fund", pay_from_fund},
	{"fund_if_whole", pay_from_fund_if_whole},
	{"house", pay_from_house},
	{"receivable", pay_from_receivable},
	{"suspense", pay_from_suspense},
	{"reject", reject},
};

/* The most payments that one deficit can need: of two funds, of suspense or the rest, of the house beside it. */
#define MAX_FUNDS		2
#define MAX_PAYMENTS	(MAX_FUNDS + 2)

static const LedgerStatement read_policies = {
	"SELECT DISTINCT ON (p.policy_code) p.policy_code, p.version, array_to_string(p.stages, ' '),"
	" p.recourse = 'debt', p.fund_cap_per_event, p.fund_cap_per_owner, p.fund_cap_per_day, p.fund_scope = 'instrument',"
	" p.gainer_hold_window IS NOT NULL"
	" FROM {policy} p WHERE p.policy_code = ANY ($1) AND p.effective_at <= clock_timestamp()"
	" ORDER BY p.policy_code, p.version DESC",
	1, {TEXTARRAYOID}
};

/* the trade t or the funding f that u.cause is, looked up by its key, however small its table was when the plan was made */
#define JOIN_CAUSE \
	" LEFT JOIN LATERAL (SELECT t.instrument_id FROM {trade} t" \
	"  WHERE u.cause_kind = 'trade' AND t.book_id = $1 AND t.trade_id = u.cause OFFSET 0) AS t ON true" \
	" LEFT JOIN LATERAL (SELECT f.instrument_id FROM {funding} f" \
	"  WHERE u.cause_kind = 'funding' AND f.book_id = $1 AND f.funding_id = u.cause OFFSET 0) AS f ON true"

static const LedgerStatement read_instruments = {
	"SELECT coalesce(t.instrument_id, f.instrument_id, 0)"
	" FROM unnest($2, $3) WITH ORDINALITY AS u(cause, cause_kind, place)"
	JOIN_CAUSE
	" ORDER BY u.place",
	3, {INT4OID, INT8ARRAYOID, TEXTARRAYOID}
};

static const LedgerStatement insert_shortfalls = {
	"INSERT INTO {shortfall} (book_id, account_id, owner_id, asset_code, amount, operational,"
	"  cause, cause_kind, instrument_id, policy_code, policy_version)"
	" SELECT $1, u.account_id, u.owner_id, u.asset_code, u.amount, u.operational, u.cause, u.cause_kind,"
	"  coalesce(t.instrument_id, f.instrument_id), u.policy_code, u.policy_version"
	" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY"
	"  AS u(account_id, owner_id, asset_code, amount, operational, cause, cause_kind, policy_code,"
	"   policy_version, place)"
	JOIN_CAUSE
	" ORDER BY u.place RETURNING shortfall_id",
	10, {INT4OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID}
};

/*
 * With what the caps of the fund count, what they leave open, and an event for
 * each, all out of the rows as they were made.  The shortfall is of today,
 * or of the day that has just ended.
 */
static const LedgerStatement insert_resets = {
	"WITH made AS ("
	"INSERT INTO {reset} (book_id, shortfall_id, account_id, payer_account, cause, cause_kind, asset_code, stage,"
	"  shortfall, amount, balance_before, balance_after, payer_before, payer_after, owner_id,"
	"  policy_code, policy_version, instrument_id, mark_price, mark_age)"
	" SELECT $1, s.shortfall_id, s.account_id, u.payer_account, s.cause, s.cause_kind, s.asset_code, u.stage,"
	"  s.amount, u.amount, u.balance_after - u.amount, u.balance_after,"
	"  u.payer_before, u.payer_before - u.amount, s.owner_id, s.policy_code, s.policy_version,"
	"  s.instrument_id, m.price, clock_timestamp() - m.observed_at"
	" FROM unnest($2, $3, $4, $5, $6, $7) WITH ORDINALITY"
	"  AS u(shortfall_id, payer_account, stage, amount, balance_after, payer_before, place), LATERAL ("
	"  SELECT s.* FROM {shortfall} s WHERE s.book_id = $1 AND s.shortfall_id = u.shortfall_id"
	"   AND s.period >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 OFFSET 0) AS s"
	" LEFT JOIN {mark_price} m ON m.instrument_id = s.instrument_id"
	" ORDER BY u.place"
	" RETURNING book_id, reset_id, period, shortfall_id, account_id, owner_id, payer_account, cause, cause_kind,"
	"  asset_code, stage, shortfall, amount, payer_after, policy_code),"
	" used AS (" ADD_FUND_USE("made") "),"
	" opened AS (INSERT INTO {open_shortfall} (book_id, shortfall_id, account_id, asset_code, remaining)"
	"  SELECT r.book_id, r.shortfall_id, r.account_id, r.asset_code, r.amount FROM made r WHERE r.stage = 'suspense'),"
	" told AS (INSERT INTO {event} (book_id, account_id, kind, payload)"
	"  SELECT r.book_id, r.account_id, 'reset', jsonb_build_object('reset_id', r.reset_id, 'shortfall_id', r.shortfall_id,"
	"   'asset_code', r.asset_code, 'amount', r.amount, 'shortfall', r.shortfall, 'stage', r.stage,"
	"   'payer_account', r.payer_account, 'payer_after', r.payer_after, 'cause_kind', r.cause_kind,"
	"   'cause', r.cause) FROM made r)"
	" SELECT r.reset_id FROM made r ORDER BY r.reset_id",
	7, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID}
};

/* of policies with caps only */
static const LedgerStatement insert_capped_event = {
	"INSERT INTO {event} (book_id, account_id, kind, payload)"
	" SELECT s.book_id, s.account_id, 'fund_capped', jsonb_build_object('shortfall_id', s.shortfall_id,"
	"  'asset_code', s.asset_code, 'shortfall', s.amount, 'kept_back', $3, 'policy_code', s.policy_code)"
	" FROM {shortfall} s WHERE s.book_id = $1 AND s.shortfall_id = $2"
	"  AND s.period >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1",
	3, {INT4OID, INT8OID, NUMERICOID}
};

/* deficit_missing: what is missing up to the floor; zero or less when nothing is */
Numeric
deficit_missing(const Deficit *deficit)
{
	return decimal_subtract(deficit->account->floor, deficit->account->amount);
}

/* Which instrument made each deficit, where a policy asks for it. */
static void
read_causing_instruments(Waterfall *waterfall)
{
	int			n = 0;
	Deficit   **asked = palloc(sizeof(Deficit *) * waterfall->ndeficits);
	Datum	   *causes = palloc(sizeof(Datum) * waterfall->ndeficits);
	Datum	   *kinds = palloc(sizeof(Datum) * waterfall->ndeficits);
	Datum		values[3] = {Int32GetDatum(waterfall->book_id)};

	for (int i = 0; i < waterfall->ndeficits; i++)
		if (waterfall->deficits[i].fund_by_instrument)
		{
			asked[n] = &waterfall->deficits[i];
			causes[n] = Int64GetDatum(asked[n]->cause);
			kinds[n] = CStringGetTextDatum(asked[n]->cause_kind);
			n++;
		}
	if (n == 0)
		return;
	values[1] = array_argument(causes, NULL, n, INT8OID);
	values[2] = array_argument(kinds, NULL, n, TEXTOID);
	wiring_read(waterfall->wiring, &read_instruments, values, LEDGER_LATEST);
	for (int i = 0; i < n; i++)
		asked[i]->instrument_id = result_int32(i, 1);
}

/* stages_read: the policy in force of each deficit; makes room for payments */
void
stages_read(Waterfall *waterfall)
{
	int			n = waterfall->ndeficits;
	Datum	   *codes = palloc(sizeof(Datum) * n);
	Datum		values[1];

	for (int i = 0; i < n; i++)
		codes[i] = CStringGetTextDatum(waterfall->deficits[i].account->policy_code);
	values[0] = array_argument(codes, NULL, n, TEXTOID);
	wiring_read(waterfall->wiring, &read_policies, values, LEDGER_LATEST);

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char	   *code = result_text(row, 1);
		int			version = result_int32(row, 2);
		char	   *list = result_text(row, 3);
		bool		recourse = result_bool(row, 4);
		FundCaps	caps = {result_numeric(row, 5), result_numeric(row, 6), result_numeric(row, 7)};
		bool		by_instrument = result_bool(row, 8);
		bool		holds_gainers = result_bool(row, 9);
		char	  **names = palloc0(sizeof(char *) * (strlen(list) / 2 + 2));
		int			count = 0;

		for (char *name = strtok(list, " "); name != NULL; name = strtok(NULL, " "))
			names[count++] = name;
		for (int i = 0; i < n; i++)
			if (strcmp(waterfall->deficits[i].account->policy_code, code) == 0)
			{
				waterfall->deficits[i].stages = names;
				waterfall->deficits[i].policy_version = version;
				waterfall->deficits[i].recourse = recourse;
				waterfall->deficits[i].caps = caps;
				waterfall->deficits[i].fund_by_instrument = by_instrument;
				waterfall->deficits[i].holds_gainers = holds_gainers;
			}
	}
	read_causing_instruments(waterfall);
	waterfall->fund = fund_payments_begin(waterfall->wiring, waterfall->book_id);
	waterfall->payments = palloc(sizeof(Payment) * n * MAX_PAYMENTS);
	waterfall->payers = palloc(sizeof(Payer) * n * MAX_PAYMENTS);
}

static Payer *
payer_with_account(Waterfall *waterfall, LedgerAccount *account)
{
	Payer	   *found;

	for (int i = 0; i < waterfall->npayers; i++)
		if (waterfall->payers[i].account == account)
			return &waterfall->payers[i];
	/* slots are never waited for, and behind the gate nobody else locks a fund: at any time */
	if (account->slot < 0 && account_kind_is_gated(account->kind))
		posting_pass_gate(waterfall->posting, &account, 1);
	else if (account->slot < 0)
		posting_take_slots(waterfall->posting, &account, 1);
	found = &waterfall->payers[waterfall->npayers++];
	found->account = account;
	found->total = posting_total(waterfall->posting, account);
	return found;
}

static Payer *
payer(Waterfall *waterfall, AccountKind kind, const char *asset_code)
{
	return payer_with_account(waterfall, posting_system_account(waterfall->posting, kind, asset_code));
}

static void
pay(Waterfall *waterfall, Deficit *deficit, Payer *by, const char *stage, Numeric amount)
{
	if (decimal_sign(amount) <= 0)
		return;
	waterfall->payments[waterfall->npayments++] = (Payment)
	{
		deficit, by->account, stage, amount, by->total
	};
	by->total = decimal_subtract(by->total, amount);
}

/* The funds that pay for a deficit, in order: that of the instrument, where there is one, and the shared one. */
static int
funds_of(Waterfall *waterfall, Deficit *deficit, Payer **funds)
{
	const char *asset_code = deficit->account->asset_code;
	LedgerAccount *own = deficit->instrument_id == 0 ? NULL :
		posting_instrument_fund(waterfall->posting, asset_code, deficit->instrument_id);
	int			n = 0;

	if (own != NULL)
		funds[n++] = payer_with_account(waterfall, own);
	funds[n++] = payer(waterfall, ACCOUNT_INSURANCE_FUND, asset_code);
	return n;
}

static Numeric
fund_has(const Payer *fund)
{
	return decimal_max(decimal_subtract(fund->total, fund->account->floor), decimal_from_int64(0));
}

/* What the funds can pay of what the market did, and may by the caps of the policy. */
static Numeric
funds_can_pay(Waterfall *waterfall, Deficit *deficit, Payer **funds, int n)
{
	LedgerAccount *account = deficit->account;
	Numeric		has = decimal_from_int64(0);
	Numeric		may;

	for (int i = 0; i < n; i++)
		has = decimal_add(has, fund_has(funds[i]));
	has = decimal_min(has, deficit->market_due);
	may = fund_limit(&waterfall->fund, &deficit->caps, account->policy_code, account->asset_code, account->scale,
					 account->owner_id, account->account_id, decimal_from_int64(0), has);
	if (decimal_compare(may, has) < 0)
		deficit->capped = decimal_subtract(has, may);
	return may;
}

static void
pay_from_funds(Waterfall *waterfall, Deficit *deficit, Payer **funds, int n, Numeric amount)
{
	LedgerAccount *account = deficit->account;

	if (decimal_sign(amount) <= 0)
		return;
	fund_pays(&waterfall->fund, account->policy_code, account->asset_code, account->owner_id,
			  account->account_id, amount);
	deficit->market_due = decimal_subtract(deficit->market_due, amount);
	for (int i = 0; i < n; i++)
	{
		Numeric		part = decimal_min(amount, fund_has(funds[i]));

		pay(waterfall, deficit, funds[i], "fund", part);
		amount = decimal_subtract(amount, part);
	}
}

/* Stage `fund`: what the market did, as far as the insurance funds and their caps go. */
static bool
pay_from_fund(Waterfall *waterfall, Deficit *deficit)
{
	Payer	   *funds[MAX_FUNDS];
	int			n = funds_of(waterfall, deficit, funds);

	pay_from_funds(waterfall, deficit, funds, n, funds_can_pay(waterfall, deficit, funds, n));
	return true;
}

/* Stage `fund_if_whole`: all that the market did, or nothing. */
static bool
pay_from_fund_if_whole(Waterfall *waterfall, Deficit *deficit)
{
	Payer	   *funds[MAX_FUNDS];
	int			n = funds_of(waterfall, deficit, funds);
	Numeric		amount = funds_can_pay(waterfall, deficit, funds, n);

	if (decimal_compare(amount, deficit->market_due) == 0)
		pay_from_funds(waterfall, deficit, funds, n, amount);
	return true;
}

static void
pay_the_rest(Waterfall *waterfall, Deficit *deficit, AccountKind kind, const char *stage)
{
	pay(waterfall, deficit, payer(waterfall, kind, deficit->account->asset_code), stage,
		decimal_add(deficit->market_due, deficit->operational_due));
	deficit->market_due = decimal_from_int64(0);
	deficit->operational_due = decimal_from_int64(0);
}

/* Stage `house`: the rest, whatever it is. */
static bool
pay_from_house(Waterfall *waterfall, Deficit *deficit)
{
	pay_the_rest(waterfall, deficit, ACCOUNT_HOUSE, "house");
	return true;
}

/* Stage `receivable`: the rest, as what the venue is owed. */
static bool
pay_from_receivable(Waterfall *waterfall, Deficit *deficit)
{
	pay_the_rest(waterfall, deficit, ACCOUNT_RECEIVABLE, "receivable");
	return true;
}

/* Stage `suspense`: what the market did is placed after the commit; the rest is the house's. */
static bool
pay_from_suspense(Waterfall *waterfall, Deficit *deficit)
{
	if (decimal_sign(deficit->market_due) > 0)
		pay(waterfall, deficit, payer(waterfall, ACCOUNT_SUSPENSE, deficit->account->asset_code), "suspense",
			deficit->market_due);
	deficit->market_due = decimal_from_int64(0);
	if (decimal_sign(deficit->operational_due) > 0)
		pay_from_house(waterfall, deficit);
	return false;
}

/* Stage `reject`: nobody else pays. */
static bool
reject(Waterfall *waterfall, Deficit *deficit)
{
	Numeric		due = decimal_add(deficit->market_due, deficit->operational_due);

	if (decimal_sign(due) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("balance of account " INT64_FORMAT " of book %d would be below its floor",
						deficit->account_id, waterfall->book_id),
				 errdetail("%s %s are missing to the floor of %s; %s " INT64_FORMAT " crossed it, and policy %s lets nobody else pay.",
						   decimal_to_cstring(due), deficit->account->asset_code,
						   decimal_to_cstring(deficit->account->floor), deficit->cause_kind, deficit->cause,
						   deficit->account->policy_code),
				 errhint("Pay money in first, or give the account a policy with another payer.")));
	return true;
}

/* stages_run: what is missing on an account is paid, in memory, by the stages after `own` */
void
stages_run(Waterfall *waterfall, Deficit *deficit)
{
	bool		going_on = true;

	deficit->shortfall = deficit_missing(deficit);
	deficit->operational_due = decimal_min(deficit->operational, deficit->shortfall);
	deficit->market_due = decimal_subtract(deficit->shortfall, deficit->operational_due);
	/* what the table says: nothing below changes it */
	deficit->operational = deficit->operational_due;
	for (int s = 1; going_on && deficit->stages != NULL && deficit->stages[s] != NULL; s++)
		for (int i = 0; i < (int) lengthof(stages); i++)
			if (strcmp(stages[i].name, deficit->stages[s]) == 0)
				going_on = stages[i].pay(waterfall, deficit);
}

/* One row of shortfall for each deficit that somebody paid for; sets shortfall_id. */
static void
write_shortfalls(Waterfall *waterfall)
{
	int			size = waterfall->ndeficits;
	Deficit   **paid = palloc(sizeof(Deficit *) * size);
	Datum	   *columns[9];
	bool	   *no_owner = palloc(sizeof(bool) * size);
	Datum		values[10] = {Int32GetDatum(waterfall->book_id)};
	static const Oid types[9] = {INT8OID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID, INT8OID, TEXTOID, TEXTOID, INT4OID};
	int			n = 0;

	/* payments of one deficit stand next to each other */
	for (int i = 0; i < waterfall->npayments; i++)
		if (n == 0 || paid[n - 1] != waterfall->payments[i].deficit)
			paid[n++] = waterfall->payments[i].deficit;
	for (int c = 0; c < 9; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		LedgerAccount *account = paid[i]->account;

		columns[0][i] = Int64GetDatum(account->account_id);
		no_owner[i] = account->owner_id == NULL;
		columns[1][i] = no_owner[i] ? (Datum) 0 : CStringGetTextDatum(account->owner_id);
		columns[2][i] = CStringGetTextDatum(account->asset_code);
		columns[3][i] = NumericGetDatum(paid[i]->shortfall);
		columns[4][i] = NumericGetDatum(paid[i]->operational);
		columns[5][i] = Int64GetDatum(paid[i]->cause);
		columns[6][i] = CStringGetTextDatum(paid[i]->cause_kind);
		columns[7][i] = CStringGetTextDatum(account->policy_code);
		columns[8][i] = Int32GetDatum(paid[i]->policy_version);
	}
	for (int c = 0; c < 9; c++)
		values[c + 1] = array_argument(columns[c], c == 1 ? no_owner : NULL, n, types[c]);
	wiring_write(waterfall->wiring, &insert_shortfalls, values);
	for (int i = 0; i < n; i++)
		paid[i]->shortfall_id = result_int64(i, 1);
}

/* What was paid for accounts of traders whose policy asks it back. */
static void
claim_debts(Waterfall *waterfall)
{
	Datum	   *ids = palloc(sizeof(Datum) * waterfall->ndeficits);
	int			n = 0;

	for (int i = 0; i < waterfall->ndeficits; i++)
		if (waterfall->deficits[i].recourse && waterfall->deficits[i].shortfall_id != 0 &&
			waterfall->deficits[i].account->kind == ACCOUNT_TRADER)
			ids[n++] = Int64GetDatum(waterfall->deficits[i].shortfall_id);
	if (n > 0)
		recourse_claim(waterfall->wiring, waterfall->book_id, ids, n);
}

/*
 * stages_write
 *		A row of shortfall for each deficit, one of reset for each payment, the
 *		entries that it stands for, and an event.
 */
void
stages_write(Waterfall *waterfall)
{
	int			n = waterfall->npayments;
	Datum	   *columns[6];
	Datum		values[7] = {Int32GetDatum(waterfall->book_id)};
	static const Oid types[6] = {INT8OID, INT8OID, TEXTOID, NUMERICOID, NUMERICOID, NUMERICOID};
	TimestampTz now = GetCurrentTimestamp();
	bool		watched = false;

	if (n == 0)
		return;
	write_shortfalls(waterfall);

	for (int c = 0; c < 6; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		Payment    *payment = &waterfall->payments[i];
		Numeric		balance = i > 0 && waterfall->payments[i - 1].deficit == payment->deficit ?
			DatumGetNumeric(columns[4][i - 1]) : payment->deficit->account->amount;

		columns[0][i] = Int64GetDatum(payment->deficit->shortfall_id);
		columns[1][i] = Int64GetDatum(payment->payer->account_id);
		columns[2][i] = CStringGetTextDatum(payment->stage);
		columns[3][i] = NumericGetDatum(payment->amount);
		columns[4][i] = NumericGetDatum(decimal_add(balance, payment->amount));
		columns[5][i] = NumericGetDatum(payment->payer_before);
		watched |= payment->deficit->holds_gainers && strcmp(payment->stage, "fund") == 0;
	}
	for (int c = 0; c < 6; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	if (watched)
		payouts_watch(waterfall->wiring, waterfall->book_id);
	wiring_write(waterfall->wiring, &insert_resets, values);

	for (int i = 0; i < n; i++)
	{
		Payment    *payment = &waterfall->payments[i];
		int64		reset_id = result_int64(i, 1);

		posting_post(waterfall->posting, payment->deficit->account, payment->amount, "reset", reset_id, now);
		posting_post(waterfall->posting, payment->payer, decimal_negate(payment->amount), "reset", reset_id, now);
	}
	for (int i = 0; i < waterfall->ndeficits; i++)
		if (waterfall->deficits[i].capped != NULL && waterfall->deficits[i].shortfall_id != 0)
		{
			Datum		capped[3] = {Int32GetDatum(waterfall->book_id), Int64GetDatum(waterfall->deficits[i].shortfall_id),
			NumericGetDatum(waterfall->deficits[i].capped)};

			wiring_write(waterfall->wiring, &insert_capped_event, capped);
		}
	claim_debts(waterfall);
}
