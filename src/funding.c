/*
 * funding.c
 *		Posts the rows that a statement inserted into the funding table, and
 *		tells trade.c what late trades owe past fundings.
 *
 * A position takes part in a funding as it was at funding_at, by its trades:
 * one executed before that time counts, one executed at that time or after it
 * does not.  It is the position of now less the trades executed since.
 *
 * No trade escapes and none pays twice: a trade that was executed before
 * funding_at is either posted when the funding reads the positions, or it sees
 * the funding when it is posted, and is late.  For that, a statement takes the
 * funding lock of each instrument it trades, shared, before all other locks,
 * and a funding takes it exclusively; both hold it until their transaction
 * ends.  Shared locks do not wait for each other.  A trade reads the last
 * funding time with its instrument, and no more unless it is late.
 *
 * The trades of a waterfall take no such lock, since the transaction has locked
 * accounts by then.  They need none: what they close is a position that the
 * funding sees, so it waits for the lock on that trader, and what they open is
 * the liquidity account's, which a funding reads when it has passed the gate.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "funding.h"
#include "margin.h"
#include "retention.h"

PG_FUNCTION_INFO_V1(risk_post_fundings);

/*
 * The funding locks of a book.  Instruments whose numbers differ by a multiple
 * of this share one; a COPY of trades in very many would else use up the lock
 * table.
 */
#define FUNDING_LOCKS	1024

typedef struct FundingRow
{
	int32		book_id;
	int32		instrument_id;
	int64		funding_id;
	TimestampTz funding_at;
	Numeric		rate;
	Numeric		mark_price;

	ContractKind kind;			/* of the instrument */
	Numeric		multiplier;
	LedgerAccount *funding;
	Posting    *posting;		/* of the book */
} FundingRow;

static const LedgerStatement read_instrument = {
	"SELECT i.kind, i.multiplier, i.settle_asset FROM {instrument} i WHERE i.instrument_id = $1",
	1, {INT4OID}
};

static const LedgerStatement note_funding = {
	"UPDATE {instrument} AS i SET last_funding_at = $2"
	" WHERE i.instrument_id = $1 AND (i.last_funding_at < $2 OR i.last_funding_at IS NULL)",
	2, {INT4OID, TIMESTAMPTZOID}
};

/* book_id + 0: by the index on executed_at, never by the primary key, which leads through the whole book */
#define TRADES_SINCE \
	"FROM {trade} t WHERE t.executed_at >= $3 AND t.instrument_id = $2 AND t.book_id + 0 = $1"

/*
 * The positions of the book are read from end to end: an index by instrument
 * would cost every trade more than it saves here.
 */
static const LedgerStatement read_holders = {
	"SELECT p.account_id FROM {position} p WHERE (p.book_id::bigint << 32) + p.instrument_id = ($1::bigint << 32) + $2 AND p.qty <> 0"
	" UNION SELECT t.account_id " TRADES_SINCE,
	3, {INT4OID, INT4OID, TIMESTAMPTZOID}
};

static const LedgerStatement read_holdings = {
	"SELECT h.account_id, sum(h.qty)"
	" FROM (SELECT p.account_id, p.qty FROM {position} p"
	"   WHERE (p.book_id::bigint << 32) + p.instrument_id = ($1::bigint << 32) + $2 AND p.qty <> 0"
	"  UNION ALL"
	"  SELECT t.account_id, CASE t.side WHEN 'buy' THEN -t.qty ELSE t.qty END " TRADES_SINCE ") AS h"
	" GROUP BY h.account_id HAVING sum(h.qty) <> 0"
	" ORDER BY h.account_id",
	3, {INT4OID, INT4OID, TIMESTAMPTZOID}
};

static const LedgerStatement read_past_fundings = {
	"SELECT b.late_trade, f.funding_id, f.funding_at, f.rate, f.mark_price"
	" FROM {book} b LEFT JOIN {funding} f"
	"  ON f.book_id = b.book_id AND f.instrument_id = $2 AND f.funding_at > $3 AND f.rate <> 0"
	" WHERE b.book_id = $1 ORDER BY f.funding_at",
	3, {INT4OID, INT4OID, TIMESTAMPTZOID}
};

static const LedgerStatement insert_payments = {
	"INSERT INTO {funding_payment} (book_id, funding_id, account_id, trade_id, qty, amount)"
	" SELECT $1, * FROM unnest($2, $3, $4, $5, $6)",
	6, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID}
};

static int
compare_funded(const void *a, const void *b)
{
	const FundedInstrument *left = a;
	const FundedInstrument *right = b;

	if (left->book_id != right->book_id)
		return left->book_id > right->book_id ? 1 : -1;
	return (left->instrument_id > right->instrument_id) - (left->instrument_id < right->instrument_id);
}

/*
 * funding_lock
 *		Take the funding locks of these instruments, in order, until the
 *		transaction ends: ShareLock for trades, ExclusiveLock for a funding.
 *		Reduces and sorts instruments.
 *
 * The locks are in the space of advisory locks, apart from those that SQL can
 * take.
 */
void
funding_lock(FundedInstrument *instruments, int n, LOCKMODE mode)
{
	for (int i = 0; i < n; i++)
		instruments[i].instrument_id = (uint32) instruments[i].instrument_id % FUNDING_LOCKS;
	qsort(instruments, n, sizeof(FundedInstrument), compare_funded);
	for (int i = 0; i < n; i++)
	{
		LOCKTAG		tag;

		if (i > 0 && compare_funded(&instruments[i], &instruments[i - 1]) == 0)
			continue;
		SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) instruments[i].book_id,
							 (uint32) instruments[i].instrument_id, 4);
		(void) LockAcquire(&tag, mode, false, false);
	}
}

/*
 * past_fundings
 *		The fundings of an instrument in a book after a time, and the book's
 *		rule for trades that come too late for them.
 */
PastFundings *
past_fundings(Wiring *wiring, int32 book_id, int32 instrument_id, TimestampTz after)
{
	PastFundings *past = palloc0(sizeof(PastFundings));
	Datum		values[3] = {Int32GetDatum(book_id), Int32GetDatum(instrument_id), TimestampTzGetDatum(after)};

	past->book_id = book_id;
	past->instrument_id = instrument_id;
	wiring_read(wiring, &read_past_fundings, values, LEDGER_LATEST);
	past->fundings = palloc(sizeof(PastFunding) * Max(SPI_processed, 1));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		PastFunding *funding = &past->fundings[past->n];

		past->refuses = strcmp(result_text(row, 1), "refuse") == 0;
		funding->rate = result_numeric(row, 4);
		if (funding->rate == NULL)
			continue;			/* no funding at all */
		funding->funding_id = result_int64(row, 2);
		funding->funding_at = result_int64(row, 3);
		funding->mark_price = result_numeric(row, 5);
		past->n++;
	}
	return past;
}

/* refuse_late_trade: raise 55000 when one of these fundings came after the trade was executed */
void
refuse_late_trade(PastFundings *past, int64 trade_id, TimestampTz executed_at)
{
	for (int i = 0; i < past->n; i++)
	{
		char	   *executed;

		if (past->fundings[i].funding_at <= executed_at)
			continue;
		/* timestamptz_to_str() has one buffer */
		executed = pstrdup(timestamptz_to_str(executed_at));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trade " INT64_FORMAT ": late for a funding of instrument %d",
						trade_id, past->instrument_id),
				 errdetail("It was executed at %s; book %d posted the funding of %s.", executed,
						   past->book_id, timestamptz_to_str(past->fundings[i].funding_at)),
				 errhint("Let late trades pay the fundings they missed: UPDATE ledger.book SET late_trade = 'charge'.")));
	}
}

/*
 * funding_pay
 *		Record what a quantity of an account receives (amount above zero) or
 *		pays at a funding, and post it against the funding account.  late_trade
 *		is 0, or the trade that the quantity comes from.
 */
void
funding_pay(Posting *posting, FundingPayments *payments, int64 funding_id, TimestampTz funding_at,
			LedgerAccount *account, LedgerAccount *funding, int64 late_trade, Numeric qty, Numeric amount)
{
	int			i = payments->n++;

	if (i == payments->size)
	{
		payments->size = Max(64, payments->size * 2);
		for (int c = 0; c < (int) lengthof(payments->columns); c++)
			payments->columns[c] = i == 0 ? palloc(sizeof(Datum) * payments->size) :
				repalloc_huge(payments->columns[c], sizeof(Datum) * payments->size);
	}
	payments->columns[0][i] = Int64GetDatum(funding_id);
	payments->columns[1][i] = Int64GetDatum(account->account_id);
	payments->columns[2][i] = Int64GetDatum(late_trade);
	payments->columns[3][i] = NumericGetDatum(qty);
	payments->columns[4][i] = NumericGetDatum(amount);

	if (decimal_sign(amount) != 0)
	{
		const char *kind = late_trade == 0 ? "funding" : "late_funding";
		int64		cause = late_trade == 0 ? funding_id : late_trade;

		posting_post(posting, account, amount, kind, cause, funding_at);
		posting_post(posting, funding, decimal_negate(amount), kind, cause, funding_at);
	}
}

/* funding_payments_write: write what funding_pay() recorded */
void
funding_payments_write(Wiring *wiring, int32 book_id, FundingPayments *payments)
{
	Datum		values[6] = {Int32GetDatum(book_id)};
	static const Oid types[5] = {INT8OID, INT8OID, INT8OID, NUMERICOID, NUMERICOID};

	if (payments->n == 0)
		return;
	for (int c = 0; c < 5; c++)
		values[c + 1] = array_argument(payments->columns[c], NULL, payments->n, types[c]);
	wiring_write(wiring, &insert_payments, values);
}

static void
fill_funding(void *row, const Datum *value, const bool *isnull pg_attribute_unused())
{
	FundingRow *funding = row;

	funding->book_id = DatumGetInt32(value[0]);
	funding->instrument_id = DatumGetInt32(value[1]);
	funding->funding_id = DatumGetInt64(value[2]);
	funding->funding_at = DatumGetTimestampTz(value[3]);
	funding->rate = DatumGetNumericCopy(value[4]);
	funding->mark_price = DatumGetNumericCopy(value[5]);
}

static const RowReader funding_reader = {
	{"book_id", "instrument_id", "funding_id", "funding_at", "rate", "mark_price"},
	sizeof(FundingRow), fill_funding
};

/* The arguments of the statements that read who held what. */
static void
holding_arguments(FundingRow *funding, Datum *values)
{
	values[0] = Int32GetDatum(funding->book_id);
	values[1] = Int32GetDatum(funding->instrument_id);
	values[2] = TimestampTzGetDatum(funding->funding_at);
}

/*
 * First pass over a book: lock all traders who may have held a position.  A
 * funding of several books locks the traders of all before it passes the gate
 * of any.
 */
static void
lock_holders(Wiring *wiring, int32 book_id, void **rows, int n)
{
	FundingRow **fundings = (FundingRow **) rows;
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *ids = palloc(sizeof(int64) * 64);
	int			nids = 0;
	int			size = 64;
	DateADT		before = retired_before(wiring);

	for (int i = 0; i < n; i++)
	{
		Datum		values[3];

		/* positions are those of now less the trades since, and all of these must be there */
		if (before != DATEVAL_NOBEGIN && period_of(fundings[i]->funding_at) < before)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("instrument %d cannot be funded at a time whose trades are retired",
							fundings[i]->instrument_id),
					 errdetail("The funding is of %s; the trades of before %s are gone.",
							   timestamptz_to_str(fundings[i]->funding_at), date_text(before)),
					 errhint("Post what is due for that time as journals.")));
		fundings[i]->posting = posting;
		if (decimal_sign(fundings[i]->rate) == 0)
			continue;
		holding_arguments(fundings[i], values);
		wiring_read(wiring, &read_holders, values, LEDGER_LATEST);
		if (nids + SPI_processed > (uint64) size)
		{
			size = Max(size * 2, nids + (int) SPI_processed);
			ids = repalloc_huge(ids, sizeof(int64) * size);
		}
		for (uint64 row = 0; row < SPI_processed; row++)
			ids[nids++] = result_int64(row, 1);
	}
	posting_open_with_backing(posting, ids, nids);
}

/* The accounts of the venue: a slot of each funding account, then the gate for those that hold positions. */
static void
open_system_accounts(Posting *posting, Wiring *wiring, FundingRow **fundings, int n)
{
	LedgerAccount **slots = palloc(sizeof(LedgerAccount *) * n);
	LedgerAccount **gated = palloc(sizeof(LedgerAccount *) * n * 2);
	int			nslots = 0;

	for (int i = 0; i < n; i++)
	{
		Datum		values[1] = {Int32GetDatum(fundings[i]->instrument_id)};
		char	   *settle_asset;
		bool		listed = false;

		wiring_read(wiring, &read_instrument, values, LEDGER_LATEST);
		Assert(SPI_processed == 1);
		fundings[i]->kind = contract_kind(result_text(0, 1));
		fundings[i]->multiplier = result_numeric(0, 2);
		settle_asset = result_text(0, 3);
		fundings[i]->funding = posting_system_account(posting, ACCOUNT_FUNDING, settle_asset);
		for (int s = 0; s < nslots && !listed; s++)
			listed = slots[s] == fundings[i]->funding;
		if (listed)
			continue;
		gated[nslots * 2] = posting_system_account(posting, ACCOUNT_LIQUIDITY, settle_asset);
		gated[nslots * 2 + 1] = posting_system_account(posting, ACCOUNT_INTERBOOK, settle_asset);
		slots[nslots++] = fundings[i]->funding;
	}
	posting_take_slots(posting, slots, nslots);
	posting_pass_gate(posting, gated, nslots * 2);
}

/* All positions of one funding, by account_id. */
static void
post_funding(Posting *posting, FundingPayments *payments, Wiring *wiring, FundingRow *funding)
{
	Datum		values[3];

	if (decimal_sign(funding->rate) == 0)
		return;
	holding_arguments(funding, values);
	wiring_read(wiring, &read_holdings, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int64		account_id = result_int64(row, 1);
		Numeric		qty = result_numeric(row, 2);
		LedgerAccount *account = posting_account(posting, account_id);

		if (account == NULL || account->slot < 0)
			elog(ERROR, "account " INT64_FORMAT " of book %d holds a position and is not locked",
				 account_id, funding->book_id);
		if (account->status == STATUS_CLOSED)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("funding of instrument %d: account " INT64_FORMAT " of book %d is closed",
							funding->instrument_id, account_id, funding->book_id),
					 errdetail("It held a quantity of %s at %s.", decimal_to_cstring(qty),
							   timestamptz_to_str(funding->funding_at)),
					 errhint("Set its status to active until the funding is posted.")));
		funding_pay(posting, payments, funding->funding_id, funding->funding_at,
					account, funding->funding, 0, qty,
					position_funding(funding->kind, qty, funding->mark_price,
									 funding->multiplier, funding->rate, account->scale));
	}
}

/* Second pass over a book: everything else. */
static void
post_fundings_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	FundingRow **fundings = (FundingRow **) rows;
	Posting    *posting = fundings[0]->posting;
	FundingPayments payments = {.n = 0};

	open_system_accounts(posting, wiring, fundings, n);
	for (int i = 0; i < n; i++)
		post_funding(posting, &payments, wiring, fundings[i]);
	funding_payments_write(wiring, book_id, &payments);
	posting_write(posting);
}

static int
compare_latest(const void *a, const void *b)
{
	const FundingRow *left = a;
	const FundingRow *right = b;

	if (left->instrument_id != right->instrument_id)
		return left->instrument_id > right->instrument_id ? 1 : -1;
	return (left->funding_at < right->funding_at) - (left->funding_at > right->funding_at);
}

/* Tell the trades to come, by the instruments.  Sorts fundings, the latest of each instrument first. */
static void
note_fundings(Wiring *wiring, FundingRow *fundings, int n)
{
	qsort(fundings, n, sizeof(FundingRow), compare_latest);
	for (int i = 0; i < n; i++)
	{
		Datum		values[2] = {Int32GetDatum(fundings[i].instrument_id),
		TimestampTzGetDatum(fundings[i].funding_at)};

		wiring_write(wiring, &note_funding, values);
	}
}

/*
 * risk.post_fundings()
 *		Trigger on funding, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_fundings(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_fundings");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_FUNDING);
	int			n;
	FundingRow *fundings = transition_rows(trigger, &funding_reader, &n, NULL);
	FundedInstrument *funded = palloc(sizeof(FundedInstrument) * Max(n, 1));

	for (int i = 0; i < n; i++)
		funded[i] = (FundedInstrument) {fundings[i].book_id, fundings[i].instrument_id};
	funding_lock(funded, n, ExclusiveLock);
	note_fundings(wiring, fundings, n);
	post_by_book(wiring, &funding_reader, fundings, n, lock_holders);
	post_by_book(wiring, &funding_reader, fundings, n, post_fundings_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
