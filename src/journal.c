/*
 * journal.c
 *		Posts the rows that a statement inserted into the journal table:
 *		movements of money with any number of legs.
 *
 * A leg is an account and a signed amount; the legs of a journal sum to zero
 * in each asset.  What is asked of a leg is what is asked of a transfer: of a
 * choice, an account spares what all its legs together take out of it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "margin.h"
#include "transfer.h"

PG_FUNCTION_INFO_V1(risk_post_journals);

typedef struct Leg
{
	int64		account_id;
	Numeric		amount;
} Leg;

typedef struct JournalRow
{
	int32		book_id;
	int64		journal_id;
	TimestampTz effective_at;
	bool		has_effective_at;	/* else it is when it is posted */
	int			nlegs;
	Leg		   *legs;
	char	   *kind;
	char	   *idempotency_key;	/* or NULL */
	char	   *metadata;
	char	   *who;
	DateADT		period;
} JournalRow;

static const LedgerStatement read_journal = {
	"SELECT j.accounts::text,"
	" (SELECT array_agg(trim_scale(u.amount) ORDER BY u.place)"
	"   FROM unnest(j.amounts) WITH ORDINALITY AS u(amount, place))::text,"
	" j.kind, to_char(j.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), j.metadata::text"
	" FROM {journal} j WHERE j.book_id = $1 AND j.journal_id = $2",
	2, {INT4OID, INT8OID}
};

/* The elements of an array, of which none is NULL: the table has a CHECK. */
static Datum *
elements(Datum value, Oid type, int *n)
{
	Datum	   *result;
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	deconstruct_array(DatumGetArrayTypePCopy(value), type, length, by_value, alignment,
					  &result, NULL, n);
	return result;
}

static void
fill_journal(void *row, const Datum *value, const bool *isnull)
{
	JournalRow *journal = row;
	Datum	   *accounts = elements(value[2], INT8OID, &journal->nlegs);
	Datum	   *amounts = elements(value[3], NUMERICOID, &journal->nlegs);
	Jsonb	   *metadata = DatumGetJsonbP(value[6]);

	journal->book_id = DatumGetInt32(value[0]);
	journal->journal_id = DatumGetInt64(value[1]);
	journal->legs = palloc(sizeof(Leg) * journal->nlegs);
	for (int i = 0; i < journal->nlegs; i++)
		journal->legs[i] = (Leg) {DatumGetInt64(accounts[i]), DatumGetNumeric(amounts[i])};
	journal->kind = TextDatumGetCString(value[4]);
	journal->idempotency_key = isnull[5] ? NULL : TextDatumGetCString(value[5]);
	journal->metadata = JsonbToCString(NULL, &metadata->root, VARSIZE(metadata));
	journal->has_effective_at = !isnull[7];
	journal->effective_at = isnull[7] ? GetCurrentTimestamp() : DatumGetTimestampTz(value[7]);
	journal->who = TextDatumGetCString(value[8]);
	journal->period = DatumGetDateADT(value[9]);
}

static const RowReader journal_reader = {
	{"book_id", "journal_id", "accounts", "amounts", "kind", "idempotency_key", "metadata",
	"effective_at", "who", "period"},
	sizeof(JournalRow), fill_journal
};

/* The same field of every leg, as an array's text. */
static const char *
canonical_legs(const JournalRow *journal, bool amounts)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < journal->nlegs; i++)
	{
		appendStringInfoChar(&text, i == 0 ? '{' : ',');
		appendStringInfoString(&text, amounts ? canonical_number(journal->legs[i].amount) :
							   canonical_int64(journal->legs[i].account_id));
	}
	appendStringInfoChar(&text, '}');
	return text.data;
}

static KeyedRow
keyed_journal(const void *row)
{
	const JournalRow *journal = row;

	if (journal->idempotency_key == NULL)
		return (KeyedRow) {0};
	return (KeyedRow)
	{
		.key = journal->idempotency_key,
			.id = journal->journal_id,
			.fields = {
			canonical_legs(journal, false), canonical_legs(journal, true), journal->kind,
			journal->has_effective_at ? canonical_instant(journal->effective_at) : NULL,
			journal->metadata
		}
	};
}

static const KeyedTable keyed_journals = {
	"journal", {"accounts", "amounts", "kind", "effective_at", "metadata"},
	keyed_journal, &read_journal
};

/* What transfer.c asks of a transfer, it asks of a journal and one of its legs. */
static TransferRow *
as_transfer(const JournalRow *journal, int64 account_id, Numeric amount)
{
	TransferRow *transfer = palloc0(sizeof(TransferRow));

	transfer->table = "journal";
	transfer->book_id = journal->book_id;
	transfer->transfer_id = journal->journal_id;
	transfer->from_account = account_id;
	transfer->amount = amount;
	transfer->kind = journal->kind;
	transfer->who = journal->who;
	transfer->period = journal->period;
	return transfer;
}

/* What an asset has in one journal. */
typedef struct AssetSum
{
	const char *asset_code;
	Numeric		sum;
	int64		debited_trader; /* 0: none */
	int64		credited_trader;
} AssetSum;

static void
check_sums(const JournalRow *journal, AssetSum *sums, int nsums)
{
	for (int a = 0; a < nsums; a++)
	{
		if (decimal_sign(sums[a].sum) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("journal " INT64_FORMAT ": its legs do not sum to zero", journal->journal_id),
					 errdetail("Those in %s sum to %s.", sums[a].asset_code, decimal_to_cstring(sums[a].sum)),
					 errhint("Every amount that one account gets, others give, in each asset.")));
		/* as with transfers: it would be a way around what an account can spare */
		if (entry_class(journal->kind) != CLASS_CHOICE && strcmp(journal->kind, "repayment") != 0 &&
			sums[a].debited_trader != 0 && sums[a].credited_trader != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("journal " INT64_FORMAT ": kind %s is not between two traders",
							journal->journal_id, journal->kind),
					 errdetail("It takes %s from account " INT64_FORMAT " and gives %s to account " INT64_FORMAT ".",
							   sums[a].asset_code, sums[a].debited_trader,
							   sums[a].asset_code, sums[a].credited_trader),
					 errhint("Use kind journal, or an account of the venue in between.")));
	}
}

/* Check a journal, and add its ends to those of the statement. */
static void
check_journal(Wiring *wiring, Posting *posting, const JournalRow *journal, bool is_reserved, TransferEnd *ends)
{
	TransferRow *transfer = as_transfer(journal, 0, NULL);
	AssetSum   *sums = palloc(sizeof(AssetSum) * journal->nlegs);
	int			nsums = 0;

	check_writer(transfer);
	if (is_reserved)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("journal " INT64_FORMAT ": kind %s is reserved", journal->journal_id, journal->kind),
				 errdetail("Such rows are made by the functions for debts only."),
				 errhint("Use journal or adjustment.")));
	for (int i = 0; i < journal->nlegs; i++)
	{
		const Leg  *leg = &journal->legs[i];
		LedgerAccount *account = end_of_transfer(posting, transfer, leg->account_id);
		int			a = 0;

		check_number("journal", journal->journal_id, "amount", leg->amount, account->scale, NUMBER_ANY_SIGN);
		if (decimal_sign(leg->amount) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("journal " INT64_FORMAT ": invalid amount", journal->journal_id),
					 errdetail("The amount of leg %d, account " INT64_FORMAT ", is zero.", i + 1, leg->account_id),
					 errhint("Leave the leg out.")));
		if (decimal_sign(leg->amount) < 0)
			check_may_give(transfer, account);
		else
			check_may_get(wiring, transfer, NULL, account);

		while (a < nsums && strcmp(sums[a].asset_code, account->asset_code) != 0)
			a++;
		if (a == nsums)
			sums[nsums++] = (AssetSum) {account->asset_code, decimal_from_int64(0), 0, 0};
		sums[a].sum = decimal_add(sums[a].sum, leg->amount);
		if (account->kind == ACCOUNT_TRADER && decimal_sign(leg->amount) < 0)
			sums[a].debited_trader = leg->account_id;
		if (account->kind == ACCOUNT_TRADER && decimal_sign(leg->amount) > 0)
			sums[a].credited_trader = leg->account_id;
		ends[i] = (TransferEnd) {account, decimal_sign(leg->amount) < 0};
	}
	check_sums(journal, sums, nsums);
}

static int
compare_legs(const void *a, const void *b)
{
	int64		left = ((const Leg *) a)->account_id;
	int64		right = ((const Leg *) b)->account_id;

	return (left > right) - (left < right);
}

/* What a journal takes out of each account, its legs there together; appended to debits. */
static int
net_debits(const JournalRow *journal, TransferRow **debits)
{
	Leg		   *sorted = palloc(sizeof(Leg) * journal->nlegs);
	int			n = 0;

	memcpy(sorted, journal->legs, sizeof(Leg) * journal->nlegs);
	qsort(sorted, journal->nlegs, sizeof(Leg), compare_legs);
	for (int begin = 0, end; begin < journal->nlegs; begin = end)
	{
		Numeric		net = sorted[begin].amount;

		for (end = begin + 1; end < journal->nlegs && sorted[end].account_id == sorted[begin].account_id; end++)
			net = decimal_add(net, sorted[end].amount);
		if (decimal_sign(net) < 0)
			debits[n++] = as_transfer(journal, sorted[begin].account_id, decimal_negate(net));
	}
	return n;
}

static void
post_journals_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	JournalRow **journals = (JournalRow **) rows;
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *account_ids;
	TransferEnd *ends;
	TransferRow **debits;
	int		   *ndebits = palloc_extended(sizeof(int) * n, MCXT_ALLOC_HUGE);
	Judgement	judgement = {NULL, NULL, NIL, NIL};
	int			nlegs = 0;
	int			all_debits = 0;
	int			d = 0;

	idempotency_take(wiring, book_id, &keyed_journals, rows, n);
	for (int i = 0; i < n; i++)
		nlegs += journals[i]->nlegs;
	account_ids = palloc_extended(sizeof(int64) * nlegs, MCXT_ALLOC_HUGE);
	ends = palloc_extended(sizeof(TransferEnd) * nlegs, MCXT_ALLOC_HUGE);
	debits = palloc_extended(sizeof(TransferRow *) * nlegs, MCXT_ALLOC_HUGE);
	nlegs = 0;
	for (int i = 0; i < n; i++)
		for (int l = 0; l < journals[i]->nlegs; l++)
			account_ids[nlegs++] = journals[i]->legs[l].account_id;
	posting_open_with_backing(posting, account_ids, nlegs);
	nlegs = 0;
	for (int i = 0; i < n; i++)
	{
		/* what the owner of the tables writes, functions of the extension do for others */
		check_journal(wiring, posting, journals[i], wiring->caller != wiring->owner && !wiring_is_writing() &&
					  strcmp(journals[i]->kind, "journal") != 0 && strcmp(journals[i]->kind, "adjustment") != 0,
					  ends + nlegs);
		nlegs += journals[i]->nlegs;
		ndebits[i] = net_debits(journals[i], debits + all_debits);
		all_debits += ndebits[i];
	}
	open_system_accounts(posting, ends, nlegs);
	if (all_debits > 0)
		judgement = read_judgement(wiring, posting, book_id, debits, all_debits);

	for (int i = 0; i < n; i++)
	{
		for (int end = d + ndebits[i]; d < end; d++)
			check_choice(posting, &judgement, debits[d]);
		for (int l = 0; l < journals[i]->nlegs; l++)
			posting_post(posting, posting_account(posting, journals[i]->legs[l].account_id),
						 journals[i]->legs[l].amount, journals[i]->kind, journals[i]->journal_id,
						 journals[i]->effective_at);
	}
	posting_write(posting);
}

/*
 * risk.post_journals()
 *		Trigger on journal, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_journals(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_journals");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_JOURNAL);
	int			n;
	JournalRow *journals = transition_rows(trigger, &journal_reader, &n, NULL);

	post_by_book(wiring, &journal_reader, journals, n, post_journals_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
