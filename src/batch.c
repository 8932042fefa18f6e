/*
 * batch.c
 *		Transfers by the thousand in one call, each with its result.
 *
 * The keys come first, then all accounts are locked in one sorted pass.  Each
 * transfer is judged in the order given, on what those before it left, and
 * posted in memory when nothing speaks against it.  One set of statements
 * writes what was accepted.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/reltrigger.h"
#include "utils/timestamp.h"

#include "transfer.h"

PG_FUNCTION_INFO_V1(risk_post_batch);

typedef struct Batch
{
	Wiring	   *wiring;
	int32		book_id;
	TransferRow *transfers;		/* in the order given */
	int			n;
	bool		each;			/* on its own; else all or none */
	KeyedRow   *keyed;
	TransferRow **keyed_transfers;	/* whose rows these are */
	int			nkeyed;
	TransferRow **accepted;
	int			naccepted;
	TransferRow *current;		/* for the context of an error */
} Batch;

static const char *const result_names[TRANSFER_RESULTS] = {
	"accepted", "exists", "key_used", "unknown_kind", "unknown_account", "wrong_account",
	"same_account", "other_asset", "invalid_amount", "closed", "frozen", "liquidating", "closing",
	"no_mark", "exceeds", "shortfall_open", "payout_open"
};

static const LedgerStatement next_ids = {
	"SELECT nextval('{schema}.transfer_transfer_id_seq') FROM generate_series(1, $1)",
	1, {INT4OID}
};

static void
report_place(void *argument)
{
	Batch	   *batch = argument;

	if (batch->current != NULL)
		errcontext("transfer " INT64_FORMAT " of the batch", (int64) (batch->current - batch->transfers + 1));
}

/* The elements of an array argument; of one without nulls, NULL is 22023. */
static Datum *
array_elements(FunctionCallInfo fcinfo, int argument, const char *name, Oid type, bool **nulls, int *n)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argument);
	Datum	   *elements;
	bool	   *isnull;
	int16		length;
	bool		by_value;
	char		alignment;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not a list", name),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array)),
				 errhint("Pass one element for each transfer.")));
	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	deconstruct_array(array, type, length, by_value, alignment, &elements, &isnull, n);
	for (int i = 0; nulls == NULL && i < *n; i++)
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("element %d of %s is NULL", i + 1, name),
					 errhint("Give every transfer two accounts, an amount and a kind.")));
	if (nulls != NULL)
		*nulls = isnull;
	return elements;
}

static void
read_arguments(FunctionCallInfo fcinfo, Batch *batch)
{
	Datum	   *columns[5];
	bool	   *no_key;
	int			n[5];
	char	   *mode = text_to_cstring(PG_GETARG_TEXT_PP(7));
	char	   *who = GetUserNameFromId(GetSessionUserId(), false);
	TimestampTz now = GetCurrentTimestamp();

	columns[0] = array_elements(fcinfo, 2, "from_accounts", INT8OID, NULL, &n[0]);
	columns[1] = array_elements(fcinfo, 3, "to_accounts", INT8OID, NULL, &n[1]);
	columns[2] = array_elements(fcinfo, 4, "amounts", NUMERICOID, NULL, &n[2]);
	columns[3] = array_elements(fcinfo, 5, "kinds", TEXTOID, NULL, &n[3]);
	columns[4] = array_elements(fcinfo, 6, "idempotency_keys", TEXTOID, &no_key, &n[4]);
	for (int c = 1; c < 5; c++)
		if (n[c] != n[0])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the arrays of a batch have different lengths"),
					 errdetail("They have %d, %d, %d, %d and %d elements.", n[0], n[1], n[2], n[3], n[4]),
					 errhint("Pass one element for each transfer in every array.")));
	if (strcmp(mode, "each") != 0 && strcmp(mode, "all") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown mode \"%s\"", mode),
				 errhint("The modes are all (all or none) and each (each transfer on its own).")));

	batch->book_id = PG_GETARG_INT32(1);
	batch->each = strcmp(mode, "each") == 0;
	batch->n = n[0];
	batch->transfers = palloc_extended(sizeof(TransferRow) * Max(n[0], 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < n[0]; i++)
	{
		TransferRow *transfer = &batch->transfers[i];

		transfer->book_id = batch->book_id;
		transfer->from_account = DatumGetInt64(columns[0][i]);
		transfer->to_account = DatumGetInt64(columns[1][i]);
		transfer->amount = DatumGetNumeric(columns[2][i]);
		transfer->kind = TextDatumGetCString(columns[3][i]);
		transfer->idempotency_key = no_key[i] ? NULL : TextDatumGetCString(columns[4][i]);
		transfer->effective_at = now;
		transfer->period = period_of(now);
		transfer->who = who;
		transfer->judged = batch->each;
		transfer->result = TRANSFER_ACCEPTED;
	}
}

/* The table, which the caller must be allowed to insert into.  Row policies are not asked: EXECUTE says who may. */
static Relation
open_transfer_table(Oid relation_id)
{
	Relation	relation = table_open(relation_id, RowExclusiveLock);
	AclResult	result = pg_class_aclcheck(relation_id, GetUserId(), ACL_INSERT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	/* the rows are inserted when they are posted: they must be what was posted */
	if (relation->trigdesc != NULL && relation->trigdesc->trig_insert_before_row)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a batch cannot be posted to table \"%s\"", RelationGetRelationName(relation)),
				 errdetail("It has a trigger that may change or drop rows before they are inserted."),
				 errhint("Insert the transfers into the table, or drop the trigger.")));
	return relation;
}

static void
number_transfers(Batch *batch)
{
	Datum		values[1] = {Int32GetDatum(batch->n)};

	wiring_read(batch->wiring, &next_ids, values, LEDGER_LATEST);
	for (int i = 0; i < batch->n; i++)
		batch->transfers[i].transfer_id = result_int64(i, 1);
}

/*
 * A key that stands for another transfer is the result of this one: it exists,
 * or the key is used.  Kinds that the table does not know are a result, too.
 */
static void
take_keys(Batch *batch)
{
	batch->keyed = palloc_extended(sizeof(KeyedRow) * batch->n, MCXT_ALLOC_HUGE);
	batch->keyed_transfers = palloc_extended(sizeof(TransferRow *) * batch->n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < batch->n; i++)
	{
		TransferRow *transfer = &batch->transfers[i];

		if (batch->each && !transfer_kind_exists(transfer->kind))
			transfer->result = TRANSFER_UNKNOWN_KIND;
		else if (transfer->idempotency_key != NULL)
		{
			batch->keyed_transfers[batch->nkeyed] = transfer;
			batch->keyed[batch->nkeyed++] = keyed_transfer(transfer);
		}
	}
	if (batch->nkeyed == 0)
		return;
	idempotency_try(batch->wiring, batch->book_id, &keyed_transfers, batch->keyed, batch->nkeyed);
	for (int k = 0; k < batch->nkeyed; k++)
	{
		KeyedRow   *row = &batch->keyed[k];

		if (row->same && row->original == row->id)
			continue;
		batch->current = batch->keyed_transfers[k];
		if (!row->same && !batch->each)
			idempotency_report(batch->wiring, batch->book_id, &keyed_transfers, row);
		batch->current->result = row->same ? TRANSFER_EXISTS : TRANSFER_KEY_USED;
	}
	batch->current = NULL;
}

/* Drop those that have a result from the list. */
static void
keep_accepted(Batch *batch)
{
	int			kept = 0;

	for (int i = 0; i < batch->naccepted; i++)
		if (batch->accepted[i]->result == TRANSFER_ACCEPTED)
			batch->accepted[kept++] = batch->accepted[i];
	batch->naccepted = kept;
}

/* Judge and post, in memory; what is accepted then is left in the list. */
static void
post_accepted(Batch *batch, Posting *posting)
{
	int64	   *account_ids = palloc_extended(sizeof(int64) * batch->n * 2, MCXT_ALLOC_HUGE);
	TransferEnd *ends = palloc_extended(sizeof(TransferEnd) * batch->n * 2, MCXT_ALLOC_HUGE);
	Judgement	judgement;

	for (int i = 0; i < batch->naccepted; i++)
	{
		account_ids[i * 2] = batch->accepted[i]->from_account;
		account_ids[i * 2 + 1] = batch->accepted[i]->to_account;
	}
	posting_open_with_backing(posting, account_ids, batch->naccepted * 2);
	for (int i = 0; i < batch->naccepted; i++)
	{
		batch->current = batch->accepted[i];
		check_transfer(batch->wiring, posting, batch->current);
	}
	batch->current = NULL;
	keep_accepted(batch);
	if (batch->naccepted == 0)
		return;
	check_rules(batch->wiring, posting, batch->accepted, batch->naccepted);
	keep_accepted(batch);
	if (batch->naccepted == 0)
		return;

	for (int i = 0; i < batch->naccepted; i++)
	{
		ends[i * 2] = (TransferEnd) {posting_account(posting, batch->accepted[i]->from_account), true};
		ends[i * 2 + 1] = (TransferEnd) {posting_account(posting, batch->accepted[i]->to_account), false};
	}
	open_system_accounts(posting, ends, batch->naccepted * 2);
	judgement = read_judgement(batch->wiring, posting, batch->book_id, batch->accepted, batch->naccepted);
	for (int i = 0; i < batch->naccepted; i++)
	{
		batch->current = batch->accepted[i];
		check_choice(posting, &judgement, batch->current);
		if (batch->current->result == TRANSFER_ACCEPTED)
			post_transfer(posting, batch->current);
	}
	batch->current = NULL;
	keep_accepted(batch);
}

static int
compare_transfer_ids(const void *key, const void *element)
{
	int64		left = *(const int64 *) key;
	int64		right = ((const TransferRow *) element)->transfer_id;

	return (left > right) - (left < right);
}

/*
 * Who is refused keeps no key.  A transfer of the same batch with the same key
 * has the result of the first, unless that was accepted.
 */
static void
close_keys(Batch *batch)
{
	int			forgotten = 0;

	for (int k = 0; k < batch->nkeyed; k++)
	{
		TransferRow *transfer = batch->keyed_transfers[k];
		KeyedRow   *row = &batch->keyed[k];

		if (transfer->result == TRANSFER_EXISTS)
		{
			TransferRow *original = bsearch(&row->original, batch->transfers, batch->n,
											sizeof(TransferRow), compare_transfer_ids);

			if (original != NULL && original->result != TRANSFER_ACCEPTED)
				transfer->result = original->result;
		}
	}
	for (int k = 0; k < batch->nkeyed; k++)
	{
		KeyedRow   *row = &batch->keyed[k];

		if (batch->keyed_transfers[k]->result == TRANSFER_EXISTS)
			batch->keyed_transfers[k]->transfer_id = row->original;
		else if (batch->keyed_transfers[k]->result != TRANSFER_ACCEPTED && row->same && row->original == row->id)
			batch->keyed[forgotten++] = *row;
	}
	idempotency_forget(batch->wiring, batch->book_id, batch->keyed, forgotten);
}

static void
post_batch(Batch *batch)
{
	Posting    *posting = posting_begin(batch->wiring, batch->book_id);

	number_transfers(batch);
	take_keys(batch);
	batch->accepted = palloc_extended(sizeof(TransferRow *) * batch->n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < batch->n; i++)
		batch->accepted[batch->naccepted++] = &batch->transfers[i];
	keep_accepted(batch);
	if (batch->naccepted > 0)
		post_accepted(batch, posting);
	close_keys(batch);
	if (batch->naccepted == 0)
		return;
	/* other triggers on the table may post: what is held in memory here must be written */
	posting_write(posting);
	insert_posted_transfers(batch->wiring, batch->book_id, batch->accepted, batch->naccepted);
	pay_debts_of(batch->wiring, posting, batch->book_id, batch->accepted, batch->naccepted);
}

/*
 * risk.post_batch_into(transfer_table, book_id, from_accounts, to_accounts,
 *						amounts, kinds, idempotency_keys, mode)
 */
Datum
risk_post_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	Batch		batch = {0};
	Relation	relation;
	ErrorContextCallback context = {error_context_stack, report_place, &batch};

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	read_arguments(fcinfo, &batch);
	if (batch.n == 0)
		return (Datum) 0;

	relation = open_transfer_table(PG_GETARG_OID(0));
	batch.wiring = wiring_enter(relation, LEDGER_TRANSFER);
	error_context_stack = &context;
	post_batch(&batch);
	error_context_stack = context.previous;
	wiring_leave(batch.wiring);
	table_close(relation, NoLock);

	for (int i = 0; i < batch.n; i++)
	{
		TransferRow *transfer = &batch.transfers[i];
		bool		posted = transfer->result == TRANSFER_ACCEPTED || transfer->result == TRANSFER_EXISTS;
		Datum		values[3] = {
			Int32GetDatum(i + 1), CStringGetTextDatum(result_names[transfer->result]),
			Int64GetDatum(transfer->transfer_id)
		};
		bool		nulls[3] = {false, false, !posted};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
