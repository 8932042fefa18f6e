/*
 * hold.c
 *		Posts the rows that a statement inserted into the hold and hold_release
 *		tables: money that stays on its account and is promised.
 *
 * A hold is a choice, judged as a withdrawal is, under the lock on the balance
 * of its account.  From then on the account cannot spare what the hold keeps.
 * A transfer that names the hold takes it out again, see transfer.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "margin.h"
#include "open_hold.h"
#include "transfer.h"

PG_FUNCTION_INFO_V1(risk_post_holds);
PG_FUNCTION_INFO_V1(risk_post_hold_releases);

typedef struct HoldRow
{
	int32		book_id;
	int64		hold_id;
	int64		account_id;
	Numeric		amount;
	char	   *purpose;
	TimestampTz expires_at;
	bool		expires;
	char	   *idempotency_key;	/* or NULL */
	char	   *who;
} HoldRow;

typedef struct ReleaseRow
{
	int32		book_id;
	int64		release_id;
	int64		hold_id;
	Numeric		amount;			/* NULL: all that is left */
	bool		expires;
	char	   *who;
} ReleaseRow;

static const LedgerStatement read_hold = {
	"SELECT h.account_id::text, trim_scale(h.amount)::text, h.purpose,"
	" to_char(h.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
	" FROM {hold} h WHERE h.book_id = $1 AND h.hold_id = $2",
	2, {INT4OID, INT8OID}
};

static const LedgerStatement insert_open_holds = {
	"INSERT INTO {open_hold} (book_id, account_id, hold_id, remaining, expires_at)"
	" SELECT h.book_id, h.account_id, h.hold_id, h.amount, h.expires_at"
	" FROM unnest($2) AS u(hold_id), LATERAL ("
	"  SELECT h.* FROM {hold} h WHERE h.book_id = $1 AND h.hold_id = u.hold_id OFFSET 0) AS h",
	2, {INT4OID, INT8ARRAYOID}
};

/* a hold never changes its account */
static const LedgerStatement read_accounts = {
	"SELECT (SELECT h.account_id FROM {hold} h WHERE h.book_id = $1 AND h.hold_id = u.hold_id)"
	" FROM unnest($2) WITH ORDINALITY AS u(hold_id, place) ORDER BY u.place",
	2, {INT4OID, INT8ARRAYOID}
};

static void
fill_hold(void *row, const Datum *value, const bool *isnull)
{
	HoldRow    *hold = row;

	hold->book_id = DatumGetInt32(value[0]);
	hold->hold_id = DatumGetInt64(value[1]);
	hold->account_id = DatumGetInt64(value[2]);
	hold->amount = DatumGetNumericCopy(value[3]);
	hold->purpose = TextDatumGetCString(value[4]);
	hold->expires = !isnull[5];
	hold->expires_at = isnull[5] ? DT_NOEND : DatumGetTimestampTz(value[5]);
	hold->idempotency_key = isnull[6] ? NULL : TextDatumGetCString(value[6]);
	hold->who = TextDatumGetCString(value[7]);
}

static const RowReader hold_reader = {
	{"book_id", "hold_id", "account_id", "amount", "purpose", "expires_at", "idempotency_key", "who"},
	sizeof(HoldRow), fill_hold
};

static void
fill_release(void *row, const Datum *value, const bool *isnull)
{
	ReleaseRow *release = row;

	release->book_id = DatumGetInt32(value[0]);
	release->release_id = DatumGetInt64(value[1]);
	release->hold_id = DatumGetInt64(value[2]);
	release->amount = isnull[3] ? NULL : DatumGetNumericCopy(value[3]);
	release->expires = strcmp(TextDatumGetCString(value[4]), "expiry") == 0;
	release->who = TextDatumGetCString(value[5]);
}

static const RowReader release_reader = {
	{"book_id", "release_id", "hold_id", "amount", "kind", "who"},
	sizeof(ReleaseRow), fill_release
};

static KeyedRow
keyed_hold(const void *row)
{
	const HoldRow *hold = row;

	if (hold->idempotency_key == NULL)
		return (KeyedRow) {0};
	return (KeyedRow)
	{
		.key = hold->idempotency_key,
			.id = hold->hold_id,
			.fields = {
			canonical_int64(hold->account_id), canonical_number(hold->amount), hold->purpose,
			hold->expires ? canonical_instant(hold->expires_at) : NULL
		}
	};
}

static const KeyedTable keyed_holds = {
	"hold", {"account_id", "amount", "purpose", "expires_at"}, keyed_hold, &read_hold
};

/* What transfer.c asks of a withdrawal, it asks of a hold. */
static TransferRow *
as_transfer(const HoldRow *hold)
{
	TransferRow *transfer = palloc0(sizeof(TransferRow));

	transfer->table = "hold";
	transfer->book_id = hold->book_id;
	transfer->transfer_id = hold->hold_id;
	transfer->from_account = hold->account_id;
	transfer->amount = hold->amount;
	transfer->kind = "withdrawal";
	transfer->who = hold->who;
	transfer->period = period_of(GetCurrentTimestamp());
	return transfer;
}

static void
check_hold(Posting *posting, const HoldRow *hold, TransferRow *transfer)
{
	LedgerAccount *account = end_of_transfer(posting, transfer, hold->account_id);

	if (account->kind != ACCOUNT_TRADER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hold " INT64_FORMAT ": account " INT64_FORMAT " is not a trader's",
						hold->hold_id, hold->account_id),
				 errdetail("It is a %s account.", account_kind_name(account->kind)),
				 errhint("Money is held on the accounts of traders only.")));
	check_writer(transfer);
	check_number("hold", hold->hold_id, "amount", hold->amount, account->scale, NUMBER_POSITIVE);
	if (hold->expires_at <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hold " INT64_FORMAT ": invalid expires_at", hold->hold_id),
				 errdetail("%s is not in the future.", timestamptz_to_str(hold->expires_at)),
				 errhint("Leave it out for a hold that does not expire.")));
	/* what posting itself holds is no choice of the account */
	if (!wiring_is_writing())
		check_may_give(transfer, account);
}

static void
post_holds_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	HoldRow   **holds = (HoldRow **) rows;
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *account_ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	TransferRow **transfers = palloc_extended(sizeof(TransferRow *) * n, MCXT_ALLOC_HUGE);
	Datum	   *ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum		values[2] = {Int32GetDatum(book_id)};
	Judgement	judgement = {NULL, NULL, NIL, NIL};

	idempotency_take(wiring, book_id, &keyed_holds, rows, n);
	for (int i = 0; i < n; i++)
		account_ids[i] = holds[i]->account_id;
	posting_open_with_backing(posting, account_ids, n);
	for (int i = 0; i < n; i++)
	{
		transfers[i] = as_transfer(holds[i]);
		check_hold(posting, holds[i], transfers[i]);
		ids[i] = Int64GetDatum(holds[i]->hold_id);
	}
	if (!wiring_is_writing())
		judgement = read_judgement(wiring, posting, book_id, transfers, n);
	for (int i = 0; i < n && !wiring_is_writing(); i++)
	{
		Requirement *requirement = judgement.requirements == NULL ? NULL :
			requirement_of_account(judgement.requirements, holds[i]->account_id);

		check_choice(posting, &judgement, transfers[i]);
		if (requirement != NULL)
			requirement->holds = decimal_add(requirement->holds, holds[i]->amount);
	}
	values[1] = array_argument(ids, NULL, n, INT8OID);
	wiring_write(wiring, &insert_open_holds, values);
}

/*
 * risk.post_holds()
 *		Trigger on hold, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_holds(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_holds");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_HOLD);
	int			n;
	HoldRow    *holds = transition_rows(trigger, &hold_reader, &n, NULL);

	post_by_book(wiring, &hold_reader, holds, n, post_holds_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}

static void
post_releases_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	Posting    *posting = posting_begin(wiring, book_id);
	HoldTake   *takes = palloc_extended(sizeof(HoldTake) * n, MCXT_ALLOC_HUGE);
	int64	   *account_ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	Datum	   *ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum		values[2] = {Int32GetDatum(book_id)};

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(((ReleaseRow *) rows[i])->hold_id);
	values[1] = array_argument(ids, NULL, n, INT8OID);
	wiring_read(wiring, &read_accounts, values, LEDGER_LATEST);
	for (int i = 0; i < n; i++)
	{
		ReleaseRow *release = rows[i];
		TransferRow writer = {
			.table = "hold_release", .transfer_id = release->release_id, .who = release->who,
			.period = period_of(GetCurrentTimestamp())
		};
		bool		unknown;
		Datum		account_id = result_datum(i, 1, &unknown);

		if (unknown)
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("hold_release " INT64_FORMAT ": unknown hold", release->release_id),
					 errdetail("Book %d has no hold " INT64_FORMAT ".", book_id, release->hold_id),
					 errhint("Table hold has them.")));
		check_writer(&writer);
		account_ids[i] = DatumGetInt64(account_id);
		takes[i] = (HoldTake)
		{
			.table = "hold_release", .row_id = release->release_id, .account_id = account_ids[i],
				.hold_id = release->hold_id, .amount = release->amount, .expires = release->expires
		};
	}
	posting_open(posting, account_ids, n);
	for (int i = 0; i < n; i++)
		if (takes[i].amount != NULL)
			check_number("hold_release", takes[i].row_id, "amount", takes[i].amount,
						 posting_account(posting, takes[i].account_id)->scale, NUMBER_POSITIVE);
	open_holds_take(wiring, book_id, takes, n);
}

/*
 * risk.post_hold_releases()
 *		Trigger on hold_release, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_hold_releases(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_hold_releases");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_HOLD_RELEASE);
	int			n;
	ReleaseRow *releases = transition_rows(trigger, &release_reader, &n, NULL);

	post_by_book(wiring, &release_reader, releases, n, post_releases_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
