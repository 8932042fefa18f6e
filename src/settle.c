/*
 * settle.c
 *		Who pays after the commit for what stands on suspense.
 *
 * In a transaction of its own, the stages of each policy that come after
 * `suspense`: deleveraging.c, the insurance fund with what it has left,
 * loss_sharing.c, and the house for the rest.
 *
 * Lock order, as in posting.c: (0) the funding locks of the instruments whose
 * positions may be closed, (1) all traders that may have to give, of all
 * books, by account_id, in one pass for each book, (2) slots, (3) the gate.
 * Whom to lock is found out before, without a lock; what is done is decided
 * after the gate, on the latest state.  The gate lets one transaction of a
 * book do this at a time, and what it did is no longer open for the next.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "funding.h"
#include "payout.h"
#include "settle.h"

PG_FUNCTION_INFO_V1(risk_settle);

/* SuspensePayments for one shortfall, as they are decided. */
typedef struct SuspensePayment
{
	LedgerAccount *payer;
	const char *stage;
	const char *entry_kind;
	Numeric		amount;
	Numeric		claim;			/* NULL: none */
} SuspensePayment;

typedef struct SuspensePayments
{
	SuspensePayment    *rows;
	int			n;
	Numeric		left;			/* of the shortfall */
} SuspensePayments;

static const LedgerStatement read_books = {
	"SELECT o.book_id FROM {open_shortfall} o WHERE $1 IS NULL OR o.book_id = ANY ($1)"
	" UNION SELECT t.book_id FROM {takeover} t WHERE t.for_adl AND ($1 IS NULL OR t.book_id = ANY ($1))"
	" ORDER BY book_id",
	1, {INT4ARRAYOID}
};

static const LedgerStatement find_book = {
	"SELECT FROM {book} b WHERE b.book_id = $1",
	1, {INT4OID}
};

static const LedgerStatement read_open_shortfalls = {
	"SELECT o.shortfall_id, o.account_id, s.owner_id, o.asset_code, a.scale::int, o.remaining,"
	" ' ' || array_to_string(p.stages[array_position(p.stages, 'suspense') + 1:], ' ') || ' ',"
	" p.adl_formula, p.adl_guard, p.adl_max_distance,"
	" p.policy_code, p.fund_cap_per_event, p.fund_cap_per_owner, p.fund_cap_per_day,"
	" coalesce((SELECT sum(r.amount) FROM {reset} r"
	"  WHERE r.book_id = $1 AND r.shortfall_id = o.shortfall_id AND r.stage = 'fund'), 0)"
	" + coalesce((SELECT sum(y.amount) FROM {shortfall_payment} y"
	"  WHERE y.book_id = $1 AND y.shortfall_id = o.shortfall_id AND y.stage = 'fund'), 0),"
	" CASE WHEN p.fund_scope = 'instrument' THEN coalesce(s.instrument_id, 0) ELSE 0 END,"
	" p.gainer_hold_window IS NOT NULL"
	" FROM {open_shortfall} o, LATERAL ("
	"  SELECT s.* FROM {shortfall} s WHERE s.book_id = $1 AND s.shortfall_id = o.shortfall_id OFFSET 0) AS s, LATERAL ("
	"  SELECT p.* FROM {policy} p WHERE p.policy_code = s.policy_code AND p.version = s.policy_version OFFSET 0) AS p"
	" JOIN {asset} a ON true"
	" WHERE o.book_id = $1 AND a.asset_code = o.asset_code"
	" ORDER BY o.shortfall_id",
	1, {INT4OID}
};

static const LedgerStatement read_remaining = {
	"SELECT o.remaining FROM {open_shortfall} o WHERE o.book_id = $1 AND o.shortfall_id = $2",
	2, {INT4OID, INT8OID}
};

static const LedgerStatement read_instruments = {
	"SELECT t.instrument_id FROM {open_shortfall} o, LATERAL ("
	"  SELECT t.* FROM {takeover} t WHERE t.book_id = $1 AND t.shortfall_id = o.shortfall_id OFFSET 0) AS t"
	" WHERE o.book_id = $1"
	" UNION SELECT t.instrument_id FROM {takeover} t WHERE t.book_id = $1 AND t.for_adl",
	1, {INT4OID}
};

/* With what the caps of the fund count, and an event for each, all out of the rows as they were made. */
static const LedgerStatement insert_payments = {
	"WITH made AS ("
	" INSERT INTO {shortfall_payment} (book_id, shortfall_id, asset_code, account_id, stage, amount, claim)"
	" SELECT $1, $2, $3, u.account_id, u.stage, u.amount, u.claim"
	" FROM unnest($4, $5, $6, $7) WITH ORDINALITY AS u(account_id, stage, amount, claim, place)"
	" ORDER BY u.place"
	" RETURNING book_id, payment_id, period, shortfall_id, asset_code, account_id, stage, amount, claim),"
	" used AS (" ADD_FUND_USE("(SELECT y.book_id, y.period, y.stage, y.amount, s.asset_code, s.owner_id, s.account_id,"
							  "  s.policy_code"
							  " FROM made y, LATERAL (SELECT s.* FROM {shortfall} s"
							  "  WHERE s.book_id = y.book_id AND s.shortfall_id = y.shortfall_id OFFSET 0) AS s)") "),"
	" told AS (INSERT INTO {event} (book_id, account_id, kind, payload)"
	"  SELECT y.book_id, y.account_id, CASE y.stage WHEN 'socialise' THEN 'loss_share' ELSE 'shortfall_payment' END,"
	"   jsonb_build_object('payment_id', y.payment_id, 'shortfall_id', y.shortfall_id, 'asset_code', y.asset_code,"
	"    'stage', y.stage, 'amount', y.amount, 'claim', y.claim, 'left', $8)"
	"  FROM made y ORDER BY y.payment_id)"
	" SELECT y.payment_id FROM made y ORDER BY y.payment_id",
	8, {INT4OID, INT8OID, TEXTOID, INT8ARRAYOID, TEXTARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICOID}
};

static const LedgerStatement reduce_shortfall = {
	"UPDATE {open_shortfall} AS o SET remaining = $3 WHERE o.book_id = $1 AND o.shortfall_id = $2",
	3, {INT4OID, INT8OID, NUMERICOID}
};

static const LedgerStatement close_shortfall = {
	"DELETE FROM {open_shortfall} AS o WHERE o.book_id = $1 AND o.shortfall_id = $2",
	2, {INT4OID, INT8OID}
};

bool
shortfall_has_stage(const OpenShortfall *shortfall, const char *stage)
{
	return strstr(shortfall->stages, psprintf(" %s ", stage)) != NULL;
}

/* settling_lock_later: an account that is to be locked; may be named more than once */
void
settling_lock_later(Settling *settling, int64 account_id)
{
	if (settling->ntraders == settling->traders_size)
	{
		settling->traders_size = Max(64, settling->traders_size * 2);
		settling->traders = settling->traders == NULL ?
			palloc(sizeof(int64) * settling->traders_size) :
			repalloc_huge(settling->traders, sizeof(int64) * settling->traders_size);
	}
	settling->traders[settling->ntraders++] = account_id;
}

void
settling_tell(Settling *settling, const SettledRow *row)
{
	SettledRow *told = palloc(sizeof(SettledRow));

	*told = *row;
	*settling->rows = lappend(*settling->rows, told);
}

static void
read_shortfalls(Settling *settling)
{
	Datum		values[1] = {Int32GetDatum(settling->book_id)};

	wiring_read(settling->wiring, &read_open_shortfalls, values, LEDGER_LATEST);
	settling->n = SPI_processed;
	settling->shortfalls = palloc0(sizeof(OpenShortfall) * Max(settling->n, 1));
	for (int row = 0; row < settling->n; row++)
	{
		OpenShortfall *shortfall = &settling->shortfalls[row];

		shortfall->shortfall_id = result_int64(row, 1);
		shortfall->account_id = result_int64(row, 2);
		shortfall->owner_id = result_text(row, 3);
		shortfall->asset_code = result_text(row, 4);
		shortfall->scale = result_int32(row, 5);
		shortfall->remaining = result_numeric(row, 6);
		shortfall->stages = result_text(row, 7);
		shortfall->adl_formula = result_text(row, 8);
		shortfall->adl_guard = result_text(row, 9);
		shortfall->adl_max_distance = result_numeric(row, 10);
		shortfall->policy_code = result_text(row, 11);
		shortfall->caps = (FundCaps) {result_numeric(row, 12), result_numeric(row, 13), result_numeric(row, 14)};
		shortfall->paid_by_fund = result_numeric(row, 15);
		shortfall->fund_instrument_id = result_int32(row, 16);
		shortfall->holds_gainers = result_bool(row, 17);
	}
}

/* Locks (0): against fundings of, and the end of, instruments whose positions may be closed. */
static void
lock_instruments(Settling *books, int n)
{
	FundedInstrument *instruments = NULL;
	int			found = 0;

	for (int b = 0; b < n; b++)
	{
		Datum		values[1] = {Int32GetDatum(books[b].book_id)};

		if (books[b].n == 0)
			continue;
		wiring_read(books[b].wiring, &read_instruments, values, LEDGER_LATEST);
		if (SPI_processed == 0)
			continue;
		instruments = found == 0 ? palloc(sizeof(FundedInstrument) * SPI_processed) :
			repalloc(instruments, sizeof(FundedInstrument) * (found + SPI_processed));
		for (uint64 row = 0; row < SPI_processed; row++)
			instruments[found++] = (FundedInstrument) {books[b].book_id, result_int32(row, 1)};
	}
	if (found > 0)
		funding_lock(instruments, found, ShareLock);
}

/* Locks (1): the traders of a book. */
static void
lock_traders(Settling *settling)
{
	for (int i = 0; i < settling->n; i++)
	{
		OpenShortfall *shortfall = &settling->shortfalls[i];
		bool		placed = (shortfall->takeover_id != 0 || shortfall_has_stage(shortfall, "adl")) &&
			deleveraging_prepare(settling, shortfall);

		if (!placed && shortfall_has_stage(shortfall, "socialise"))
			loss_sharing_prepare(settling, shortfall);
	}
	settling->locks = posting_begin(settling->wiring, settling->book_id);
	posting_open_with_backing(settling->locks, settling->traders, settling->ntraders);
}

/* The fund that pays before the shared one, or NULL. */
static LedgerAccount *
instrument_fund(Posting *posting, OpenShortfall *shortfall)
{
	return shortfall->fund_instrument_id == 0 ? NULL :
		posting_instrument_fund(posting, shortfall->asset_code, shortfall->fund_instrument_id);
}

/* What a fund has above its floor; NULL: there is none. */
static Numeric
fund_has(Posting *posting, LedgerAccount *fund)
{
	return fund == NULL ? decimal_from_int64(0) :
		decimal_max(decimal_subtract(posting_total(posting, fund), fund->floor), decimal_from_int64(0));
}

/* Locks (2) and (3), with what is there then. */
static Posting *
open_posting(Settling *settling, OpenShortfall *shortfall, LossShare *shares, int nshares)
{
	Posting    *posting = posting_begin(settling->wiring, settling->book_id);
	int64	   *ids = palloc(sizeof(int64) * Max(nshares, 1));
	static const AccountKind slot_kinds[] = {
		ACCOUNT_CLEARING, ACCOUNT_HOUSE, ACCOUNT_RECEIVABLE, ACCOUNT_SUSPENSE
	};
	LedgerAccount *slots[lengthof(slot_kinds)];
	LedgerAccount *gated[3];
	int			ngated = 2;

	for (int i = 0; i < nshares; i++)
		ids[i] = shares[i].account_id;
	posting_open(posting, ids, nshares);
	for (int i = 0; i < (int) lengthof(slot_kinds); i++)
		slots[i] = posting_system_account(posting, slot_kinds[i], shortfall->asset_code);
	gated[0] = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, shortfall->asset_code);
	gated[1] = posting_system_account(posting, ACCOUNT_LIQUIDITY, shortfall->asset_code);
	gated[2] = instrument_fund(posting, shortfall);
	if (gated[2] != NULL)
		ngated++;
	posting_take_slots(posting, slots, lengthof(slots));
	posting_pass_gate(posting, gated, ngated);
	return posting;
}

static void
pay(SuspensePayments *payments, LedgerAccount *payer, const char *stage, const char *entry_kind, Numeric amount, Numeric claim)
{
	amount = decimal_min(amount, payments->left);
	if (decimal_sign(amount) <= 0)
		return;
	payments->rows[payments->n++] = (SuspensePayment) {payer, stage, entry_kind, amount, claim};
	payments->left = decimal_subtract(payments->left, amount);
}

/* One row for each payment, its two entries, an event, and less that is open. */
static void
write_payments(Settling *settling, OpenShortfall *shortfall, Posting *posting, SuspensePayments *payments)
{
	LedgerAccount *suspense = posting_system_account(posting, ACCOUNT_SUSPENSE, shortfall->asset_code);
	int			n = payments->n;
	Datum	   *columns[4];
	bool	   *no_claim = palloc(sizeof(bool) * Max(n, 1));
	Datum		values[8] = {
		Int32GetDatum(settling->book_id), Int64GetDatum(shortfall->shortfall_id),
		CStringGetTextDatum(shortfall->asset_code)
	};
	static const Oid types[4] = {INT8OID, TEXTOID, NUMERICOID, NUMERICOID};
	TimestampTz now = GetCurrentTimestamp();
	bool		watched = false;

	if (n == 0)
		return;
	for (int c = 0; c < 4; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		SuspensePayment    *payment = &payments->rows[i];

		watched |= shortfall->holds_gainers && strcmp(payment->stage, "fund") == 0;
		no_claim[i] = payment->claim == NULL;
		columns[0][i] = Int64GetDatum(payment->payer->account_id);
		columns[1][i] = CStringGetTextDatum(payment->stage);
		columns[2][i] = NumericGetDatum(payment->amount);
		columns[3][i] = no_claim[i] ? (Datum) 0 : NumericGetDatum(payment->claim);
		settling_tell(settling, &(SettledRow)
					  {
						  .book_id = settling->book_id, .shortfall_id = shortfall->shortfall_id,
							  .stage = payment->stage, .account_id = payment->payer->account_id,
							  .amount = payment->amount
					  });
	}
	if (watched)
		payouts_watch(settling->wiring, settling->book_id);
	for (int c = 0; c < 4; c++)
		values[c + 3] = array_argument(columns[c], c == 3 ? no_claim : NULL, n, types[c]);
	values[7] = NumericGetDatum(payments->left);
	wiring_write(settling->wiring, &insert_payments, values);
	for (int i = 0; i < n; i++)
	{
		SuspensePayment    *payment = &payments->rows[i];
		int64		payment_id = result_int64(i, 1);

		posting_post(posting, payment->payer, decimal_negate(payment->amount), payment->entry_kind, payment_id, now);
		posting_post(posting, suspense, payment->amount, payment->entry_kind, payment_id, now);
	}

	values[2] = values[7];
	if (decimal_sign(payments->left) > 0)
		wiring_write(settling->wiring, &reduce_shortfall, values);
	else
		wiring_write(settling->wiring, &close_shortfall, values);
}

/* What the caps of the policy leave of what the fund has. */
static Numeric
fund_may_pay(Settling *settling, OpenShortfall *shortfall, Numeric has)
{
	FundPayments payments = fund_payments_begin(settling->wiring, settling->book_id);

	return fund_limit(&payments, &shortfall->caps, shortfall->policy_code, shortfall->asset_code,
					  shortfall->scale, shortfall->owner_id, shortfall->account_id, shortfall->paid_by_fund, has);
}

/* The stages of one shortfall, as far as they can be gone through now. */
static void
settle_shortfall(Settling *settling, OpenShortfall *shortfall)
{
	Datum		values[2] = {Int32GetDatum(settling->book_id), Int64GetDatum(shortfall->shortfall_id)};
	SuspensePayments	payments;
	Posting    *posting;
	LedgerAccount *fund;
	LossShare  *shares = NULL;
	int			nshares = 0;
	Numeric		gain = decimal_from_int64(0);
	Numeric		from_fund = decimal_from_int64(0);
	bool		socialise = shortfall_has_stage(shortfall, "socialise");

	if (shortfall->takeover_id != 0)
	{
		deleveraging_run(settling, shortfall);
		return;
	}

	/* another transaction may have been here, or the debt been paid */
	wiring_read(settling->wiring, &read_remaining, values, LEDGER_LATEST);
	if (SPI_processed == 0)
		return;
	shortfall->remaining = result_numeric(0, 1);

	/* the trades are posted like any others, so they come before all that is held in memory here */
	if (shortfall_has_stage(shortfall, "adl"))
		gain = deleveraging_run(settling, shortfall);
	payments.left = shortfall->remaining;

	posting = open_posting(settling, shortfall, NULL, 0);
	fund = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, shortfall->asset_code);
	if (shortfall_has_stage(shortfall, "fund"))
		from_fund = fund_may_pay(settling, shortfall,
								 decimal_add(fund_has(posting, instrument_fund(posting, shortfall)), fund_has(posting, fund)));
	if (socialise && shortfall->claims_locked && !shortfall->unfinished)
	{
		Numeric		loss = decimal_subtract(payments.left, gain);

		loss = decimal_subtract(loss, from_fund);
		if (decimal_sign(loss) > 0)
		{
			shares = loss_sharing_decide(settling, shortfall, loss, &nshares);
			posting = open_posting(settling, shortfall, shares, nshares);
			fund = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, shortfall->asset_code);
			loss_sharing_collect(settling, posting, shares, nshares);
		}
	}

	payments.rows = palloc(sizeof(SuspensePayment) * (nshares + 4));
	payments.n = 0;
	pay(&payments, posting_system_account(posting, ACCOUNT_LIQUIDITY, shortfall->asset_code), "adl", "adl_gain",
		gain, NULL);
	if (!shortfall->unfinished)
	{
		LedgerAccount *own_fund = instrument_fund(posting, shortfall);
		Numeric		from_own = decimal_min(from_fund, fund_has(posting, own_fund));

		pay(&payments, own_fund, "fund", "shortfall_payment", from_own, NULL);
		pay(&payments, fund, "fund", "shortfall_payment", decimal_subtract(from_fund, from_own), NULL);
		for (int i = 0; i < nshares; i++)
			pay(&payments, posting_account(posting, shares[i].account_id), "socialise", "loss_share",
				shares[i].amount, shares[i].claim);
		/* where a loss is to be shared, and who shares it is not locked, the rest waits for another turn */
		if (!socialise || shortfall->claims_locked)
			pay(&payments, posting_system_account(posting,
												  shortfall_has_stage(shortfall, "receivable") ? ACCOUNT_RECEIVABLE : ACCOUNT_HOUSE,
												  shortfall->asset_code),
				shortfall_has_stage(shortfall, "receivable") ? "receivable" : "house", "shortfall_payment",
				payments.left, NULL);
	}
	write_payments(settling, shortfall, posting, &payments);
	posting_write(posting);
}

static Datum
nullable_numeric(Numeric value, bool *isnull)
{
	*isnull = value == NULL;
	return *isnull ? (Datum) 0 : NumericGetDatum(value);
}

static void
return_rows(ReturnSetInfo *result, List *rows)
{
	ListCell   *lc;

	foreach(lc, rows)
	{
		SettledRow *row = lfirst(lc);
		bool		nulls[8] = {false};
		Datum		values[8] = {
			Int32GetDatum(row->book_id), Int64GetDatum(row->shortfall_id), CStringGetTextDatum(row->stage),
			Int64GetDatum(row->account_id), Int32GetDatum(row->instrument_id),
			nullable_numeric(row->qty, &nulls[5]), nullable_numeric(row->price, &nulls[6]),
			nullable_numeric(row->amount, &nulls[7])
		};

		nulls[1] = row->shortfall_id == 0;
		nulls[4] = row->instrument_id == 0 && row->qty == NULL;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/*
 * risk.settle(book_id)
 *		NULL: every book.
 */
Datum
risk_settle(PG_FUNCTION_ARGS)
{
	Wiring	   *wiring;
	Datum		values[1] = {(Datum) 0};
	Settling   *books;
	List	   *rows = NIL;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	wiring = wiring_enter_ledger();
	if (!PG_ARGISNULL(0))
	{
		Datum		book = PG_GETARG_DATUM(0);

		values[0] = book;
		wiring_read(wiring, &find_book, values, LEDGER_LATEST);
		if (SPI_processed == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("book %d does not exist", PG_GETARG_INT32(0)),
					 errhint("Make it with risk.create_book().")));
		values[0] = array_argument(&book, NULL, 1, INT4OID);
	}
	wiring_read(wiring, &read_books, values, LEDGER_LATEST);
	n = SPI_processed;
	books = palloc0(sizeof(Settling) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		books[i].wiring = wiring;
		books[i].book_id = result_int32(i, 1);
		books[i].rows = &rows;
	}
	for (int i = 0; i < n; i++)
	{
		read_shortfalls(&books[i]);
		deleveraging_read_excess(&books[i]);
	}

	lock_instruments(books, n);
	for (int i = 0; i < n; i++)
		if (books[i].n > 0)
			lock_traders(&books[i]);
	for (int i = 0; i < n; i++)
	{
		if (books[i].n == 0)
			continue;
		posting_pass_gate(books[i].locks, NULL, 0);
		for (int s = 0; s < books[i].n; s++)
			settle_shortfall(&books[i], &books[i].shortfalls[s]);
	}
	return_rows((ReturnSetInfo *) fcinfo->resultinfo, rows);
	wiring_leave(wiring);
	return (Datum) 0;
}
