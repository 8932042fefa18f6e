/*
 * reversal.c
 *		Posts the rows that a statement inserted into the reversal table: the
 *		exact mirror of a transfer or journal.
 *
 * That a row is reversed once is the primary key's business: it comes before
 * any lock, as idempotency keys do.  A reversal is a fact.  What it takes from
 * an account that does not have it any more is operational.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "retention.h"
#include "transfer.h"

PG_FUNCTION_INFO_V1(risk_post_reversals);

typedef struct ReversalRow
{
	int32		book_id;
	int64		reversal_id;
	char	   *original_kind;
	int64		original_id;
	char	   *who;
} ReversalRow;

/* What a reversal posts to an account. */
typedef struct MirroredLeg
{
	ReversalRow *reversal;
	int64		account_id;
	Numeric		amount;
} MirroredLeg;

static const LedgerStatement read_legs = {
	"SELECT u.place, l.account_id, -l.amount"
	" FROM unnest($2, $3) WITH ORDINALITY AS u(kind, id, place), LATERAL ("
	"  SELECT x.place, x.account_id, x.amount FROM {transfer} t, LATERAL"
	"   (VALUES (1, t.from_account, -t.amount), (2, t.to_account, t.amount)) AS x(place, account_id, amount)"
	"  WHERE u.kind = 'transfer' AND t.book_id = $1 AND t.transfer_id = u.id"
	" UNION ALL"
	"  SELECT x.place, x.account_id, x.amount FROM {journal} j, LATERAL"
	"   unnest(j.accounts, j.amounts) WITH ORDINALITY AS x(account_id, amount, place)"
	"  WHERE u.kind = 'journal' AND j.book_id = $1 AND j.journal_id = u.id) AS l"
	" ORDER BY u.place, l.place",
	3, {INT4OID, TEXTARRAYOID, INT8ARRAYOID}
};

static void
fill_reversal(void *row, const Datum *value, const bool *isnull pg_attribute_unused())
{
	ReversalRow *reversal = row;

	reversal->book_id = DatumGetInt32(value[0]);
	reversal->reversal_id = DatumGetInt64(value[1]);
	reversal->original_kind = TextDatumGetCString(value[2]);
	reversal->original_id = DatumGetInt64(value[3]);
	reversal->who = TextDatumGetCString(value[4]);
}

static const RowReader reversal_reader = {
	{"book_id", "reversal_id", "original_kind", "original_id", "who"},
	sizeof(ReversalRow), fill_reversal
};

static MirroredLeg *
mirrored_legs(Wiring *wiring, int32 book_id, ReversalRow **reversals, int n, int *nlegs)
{
	Datum	   *kinds = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum	   *ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int32GetDatum(book_id)};
	MirroredLeg *legs;
	int			r = 0;

	for (int i = 0; i < n; i++)
	{
		kinds[i] = CStringGetTextDatum(reversals[i]->original_kind);
		ids[i] = Int64GetDatum(reversals[i]->original_id);
	}
	values[1] = array_argument(kinds, NULL, n, TEXTOID);
	values[2] = array_argument(ids, NULL, n, INT8OID);
	wiring_read(wiring, &read_legs, values, LEDGER_LATEST);
	*nlegs = SPI_processed;
	legs = palloc_extended(sizeof(MirroredLeg) * Max(*nlegs, 1), MCXT_ALLOC_HUGE);

	/* every original has a leg, so a place that is left out has none */
	for (int l = 0; l <= *nlegs; l++)
	{
		int			place = l < *nlegs ? (int) result_int64(l, 1) - 1 : n;

		for (; r < place; r++)
			if (l == 0 || legs[l - 1].reversal != reversals[r])
			{
				DateADT		before = retired_before(wiring);

				if (before != DATEVAL_NOBEGIN)
					ereport(ERROR,
							(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							 errmsg("reversal " INT64_FORMAT ": %s " INT64_FORMAT " is not there", reversals[r]->reversal_id,
									reversals[r]->original_kind, reversals[r]->original_id),
							 errdetail("Book %d has none of that number now; what was posted before %s is retired.",
									   book_id, date_text(before)),
							 errhint("Post the opposite as a journal of kind adjustment.")));
				ereport(ERROR,
						(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
						 errmsg("reversal " INT64_FORMAT ": unknown %s", reversals[r]->reversal_id,
								reversals[r]->original_kind),
						 errdetail("Book %d has no %s " INT64_FORMAT ".", book_id,
								   reversals[r]->original_kind, reversals[r]->original_id),
						 errhint("Name one that was posted.")));
			}
		if (l < *nlegs)
			legs[l] = (MirroredLeg) {reversals[place], result_int64(l, 2), result_numeric(l, 3)};
	}
	return legs;
}

static void
post_reversals_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	Posting    *posting = posting_begin(wiring, book_id);
	TimestampTz now = GetCurrentTimestamp();
	int			nlegs;
	MirroredLeg *legs = mirrored_legs(wiring, book_id, (ReversalRow **) rows, n, &nlegs);
	int64	   *account_ids = palloc_extended(sizeof(int64) * nlegs, MCXT_ALLOC_HUGE);
	TransferEnd *ends = palloc_extended(sizeof(TransferEnd) * nlegs, MCXT_ALLOC_HUGE);

	for (int l = 0; l < nlegs; l++)
		account_ids[l] = legs[l].account_id;
	posting_open(posting, account_ids, nlegs);
	for (int l = 0; l < nlegs; l++)
	{
		TransferRow asked = {
			.table = "reversal", .book_id = book_id, .transfer_id = legs[l].reversal->reversal_id,
			.who = legs[l].reversal->who, .period = period_of(now)
		};

		check_writer(&asked);
		ends[l] = (TransferEnd) {
			end_of_transfer(posting, &asked, legs[l].account_id), decimal_sign(legs[l].amount) < 0
		};
	}
	open_system_accounts(posting, ends, nlegs);
	for (int l = 0; l < nlegs; l++)
		posting_post(posting, ends[l].account, legs[l].amount, "reversal",
					 legs[l].reversal->reversal_id, now);
	posting_write(posting);
}

/*
 * risk.post_reversals()
 *		Trigger on reversal, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_reversals(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_reversals");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_REVERSAL);
	int			n;
	ReversalRow *reversals = transition_rows(trigger, &reversal_reader, &n, NULL);

	post_by_book(wiring, &reversal_reader, reversals, n, post_reversals_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
