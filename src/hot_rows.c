/*
 * hot_rows.c
 *		Rows read, locked and written by key, without a statement.
 *
 * A statement of one row costs far more to start and to end than the row does,
 * and posting knows its rows by their keys.  Here they are found by the index
 * of the primary key and written as the executor would: visibility, waiting,
 * serialization failures, predicate locks and all indexes are those of core's
 * table and index access methods.
 *
 * What the executor would do beside that is not done here, so it serves only
 * tables where there is nothing else: plain tables of the owner with the
 * columns that the code knows, without rules, CHECKs, generated columns,
 * children and triggers but the ledger's own, for which the caller vouches.
 * All others, the shell of a distributed table among them, are left to
 * statements; the rows are the same either way.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "hot_rows.h"
#include "row_lock.h"

/* How many rows go to the table at a time. */
#define ROWS_AT_A_TIME			1000

/* Equality of the types that keys have. */
static Oid
equality_of(Oid type)
{
	switch (type)
	{
		case INT4OID:
			return F_INT4EQ;
		case INT8OID:
			return F_INT8EQ;
		case DATEOID:
			return F_DATE_EQ;
		case TEXTOID:
			return F_TEXTEQ;
		default:
			return InvalidOid;
	}
}

static bool
is_among(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n && names[i] != NULL; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool
is_known_trigger(const HotLayout *layout, const Trigger *trigger)
{
	/* of a foreign key whose columns are never changed */
	if (trigger->tgisinternal)
		return RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_NONE;
	return !layout->written || is_among(trigger->tgname, layout->triggers, lengthof(layout->triggers));
}

/* Whether the columns are those of the layout; notes where they are. */
static bool
match_columns(Relation relation, const HotLayout *layout, HotShape *shape)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	int			ncolumns = 0;

	for (int a = 0; a < tupdesc->natts; a++)
	{
		if (layout->written && TupleDescAttr(tupdesc, a)->attgenerated != '\0')
			return false;
		ncolumns += !TupleDescAttr(tupdesc, a)->attisdropped;
	}

	for (int c = 0; c < layout->ncolumns; c++)
	{
		shape->columns[c] = InvalidAttrNumber;
		for (int a = 0; a < tupdesc->natts; a++)
		{
			Form_pg_attribute attribute = TupleDescAttr(tupdesc, a);

			if (!attribute->attisdropped && attribute->atttypid == layout->columns[c].type &&
				strcmp(NameStr(attribute->attname), layout->columns[c].name) == 0)
				shape->columns[c] = attribute->attnum;
		}
		if (shape->columns[c] == InvalidAttrNumber)
			return false;
	}
	for (int i = 0; layout->written && tupdesc->constr != NULL && i < tupdesc->constr->num_check; i++)
		if (!is_among(tupdesc->constr->check[i].ccname, layout->checks, lengthof(layout->checks)))
			return false;
	return !layout->inserted || ncolumns == layout->ncolumns;
}

/* Whether the indexes can be read and written here; notes the primary key. */
static bool
match_indexes(Relation relation, const HotLayout *layout, HotShape *shape)
{
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *lc;
	bool		usable = false;

	shape->key = relation->rd_pkindex;
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		/* what can only be checked later, or by an operator, takes the executor */
		if (layout->written && (!form->indimmediate || form->indisexclusion))
			shape->key = InvalidOid;
		if (form->indexrelid == shape->key)
		{
			usable = form->indisvalid && !form->indcheckxmin && index->rd_rel->relam == BTREE_AM_OID &&
				form->indnkeyatts == layout->nkey;
			for (int k = 0; usable && k < layout->nkey; k++)
			{
				usable = form->indkey.values[k] == shape->columns[k] && (index->rd_indoption[k] & INDOPTION_DESC) == 0;
				shape->key_functions[k] = equality_of(layout->columns[k].type);
				shape->key_collations[k] = index->rd_indcollation[k];
			}
		}
		else if (layout->index == NULL || strcmp(RelationGetRelationName(index), layout->index) != 0)
			shape->calls_functions |= RelationGetIndexExpressions(index) != NIL ||
				RelationGetIndexPredicate(index) != NIL;
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return usable && OidIsValid(shape->key);
}

static bool
is_usable(Relation relation, const HotLayout *layout, HotShape *shape)
{
	Form_pg_class form = relation->rd_rel;
	TriggerDesc *triggers = relation->trigdesc;

	if (form->relkind != RELKIND_RELATION || form->relam != HEAP_TABLE_AM_OID || form->relhassubclass ||
		form->relispartition || form->relhasrules)
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (!is_known_trigger(layout, &triggers->triggers[i]))
			return false;
	return match_columns(relation, layout, shape) && match_indexes(relation, layout, shape);
}

/*
 * hot_open
 *		The table, locked as a statement would lock it, or NULL when statements
 *		must do it.  To be closed with hot_close().
 */
HotTable *
hot_open(Oid relation_id, Oid owner, HotShape *shape, const HotLayout *layout)
{
	LOCKMODE	mode = layout->written ? RowExclusiveLock : AccessShareLock;
	Relation	relation;
	HotTable   *table;

	if (layout->written && (XactReadOnly || IsInParallelMode()))
		return NULL;
	relation = table_open(relation_id, mode);
	if (!shape->known)
	{
		HotShape	found = {0};

		/* an invalidation meanwhile, or an error, leaves no wrong answer behind */
		*shape = (HotShape) {.known = true};
		found.usable = is_usable(relation, layout, &found);
		found.known = shape->known;
		*shape = found;
	}
	if (!shape->usable || relation->rd_rel->relowner != owner)
	{
		table_close(relation, NoLock);
		return NULL;
	}

	table = palloc0(sizeof(HotTable));
	table->layout = layout;
	table->shape = *shape;
	table->relation = relation;
	table->key = index_open(shape->key, mode);
	table->slot = table_slot_create(relation, NULL);
	return table;
}

/* hot_close: the locks stay until the transaction ends */
void
hot_close(HotTable *table)
{
	if (table->scan != NULL)
		hot_end(table);
	if (table->indexes != NULL)
	{
		ExecCloseIndices(table->indexes);
		FreeExecutorState(table->estate);
	}
	ExecDropSingleTupleTableSlot(table->slot);
	if (table->update != NULL)
		ExecDropSingleTupleTableSlot(table->update);
	index_close(table->key, NoLock);
	table_close(table->relation, NoLock);
	pfree(table);
}

/* hot_begin: the table as of that snapshot, to be looked up by the first nkey columns of the key */
void
hot_begin(HotTable *table, Snapshot snapshot, int nkey)
{
	Assert(table->scan == NULL);
	table->snapshot = RegisterSnapshot(snapshot);
	table->scan = BeginIndexScan(table->relation, table->key, table->snapshot, nkey);
}

/* hot_seek: the rows whose key begins with these values are next */
void
hot_seek(HotTable *table, const Datum *key)
{
	ScanKeyData scankeys[HOT_KEY];
	int			nkey = table->scan->numberOfKeys;

	for (int k = 0; k < nkey; k++)
		ScanKeyEntryInitialize(&scankeys[k], 0, k + 1, BTEqualStrategyNumber, InvalidOid,
							   table->shape.key_collations[k], table->shape.key_functions[k], key[k]);
	index_rescan(table->scan, scankeys, nkey, NULL, 0);
}

/* hot_next: whether there is another row; it is in the slot */
bool
hot_next(HotTable *table, ScanDirection direction)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(table->scan, direction, table->slot);
}

/*
 * hot_lock
 *		Lock the row in the slot, see row_lock(); the slot then has its latest
 *		version.  The key of a row never changes, so nothing is to be asked again.
 */
bool
hot_lock(HotTable *table, LockWaitPolicy policy)
{
	return row_lock(table->relation, &table->slot->tts_tid, table->snapshot, policy, table->slot);
}

void
hot_end(HotTable *table)
{
	ExecClearTuple(table->slot);
	index_endscan(table->scan);
	UnregisterSnapshot(table->snapshot);
	table->scan = NULL;
}

/* hot_value: a column, counted as in the layout, of the row in the slot */
Datum
hot_value(HotTable *table, int column, bool *isnull)
{
	return slot_getattr(table->slot, table->shape.columns[column], isnull);
}

/* All indexes, as commands open them that write to a catalogue: no range table, no triggers. */
static void
open_indexes(HotTable *table)
{
	MemoryContext caller;

	if (table->indexes != NULL)
		return;
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(table));
	table->estate = CreateExecutorState();
	table->indexes = makeNode(ResultRelInfo);
	table->indexes->ri_RelationDesc = table->relation;
	ExecOpenIndices(table->indexes, false);
	MemoryContextSwitchTo(caller);
}

/* into a slot that is empty */
static void
store_values(HotTable *table, TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	for (int c = 0; c < table->layout->ncolumns; c++)
	{
		slot->tts_values[table->shape.columns[c] - 1] = values[c];
		slot->tts_isnull[table->shape.columns[c] - 1] = nulls != NULL && nulls[c];
	}
	ExecStoreVirtualTuple(slot);
}

/* By the columns of the key, which are all integers: neighbours in the index one after the other. */
static int
compare_keys(const void *a, const void *b, void *argument)
{
	const TupleTableSlot *left = *(TupleTableSlot *const *) a;
	const TupleTableSlot *right = *(TupleTableSlot *const *) b;
	const HotTable *table = argument;

	for (int k = 0; k < table->layout->nkey; k++)
	{
		int			column = table->shape.columns[k] - 1;
		int64		left_value = (int64) left->tts_values[column];
		int64		right_value = (int64) right->tts_values[column];

		if (left_value != right_value)
			return left_value < right_value ? -1 : 1;
	}
	return 0;
}

/*
 * hot_insert
 *		Insert n rows.  values has the columns of the layout, row by row, and so
 *		has nulls, unless that is NULL.  They are seen after the next
 *		CommandCounterIncrement().
 */
void
hot_insert(HotTable *table, const Datum *values, const bool *nulls, int n)
{
	int			nslots = Min(n, ROWS_AT_A_TIME);
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * nslots);
	CommandId	command = GetCurrentCommandId(true);
	MemoryContext caller;

	open_indexes(table);
	for (int i = 0; i < nslots; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(table->relation), &TTSOpsVirtual);
	/* the context of one tuple, for what core leaves behind */
	caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(table->estate));
	for (int begin = 0; begin < n; begin += nslots)
	{
		int			rows = Min(n - begin, nslots);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < rows; i++)
		{
			Size		first = (begin + i) * (Size) table->layout->ncolumns;

			ExecClearTuple(slots[i]);
			/* columns that were dropped */
			memset(slots[i]->tts_isnull, true, sizeof(bool) * RelationGetNumberOfAttributes(table->relation));
			store_values(table, slots[i], values + first, nulls == NULL ? NULL : nulls + first);
		}
		table_multi_insert(table->relation, slots, rows, command, 0, NULL);
		qsort_arg(slots, rows, sizeof(TupleTableSlot *), compare_keys, table);
		for (int i = 0; i < rows; i++)
			InsertIndexTuples(table->indexes, slots[i], table->estate, false);
		ResetPerTupleExprContext(table->estate);
	}
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	pfree(slots);
}

/* Begin an update with what the row has in columns that the layout does not know. */
static bool
keep_other_columns(HotTable *table, ItemPointer tid)
{
	TupleDesc	tupdesc = RelationGetDescr(table->relation);

	Assert(table->scan == NULL);
	if (tupdesc->natts == table->layout->ncolumns)
		return true;
	if (!table_tuple_fetch_row_version(table->relation, tid, SnapshotAny, table->slot))
		return false;
	slot_getallattrs(table->slot);
	memcpy(table->update->tts_values, table->slot->tts_values, sizeof(Datum) * tupdesc->natts);
	for (int a = 0; a < tupdesc->natts; a++)
		table->update->tts_isnull[a] = table->slot->tts_isnull[a] || TupleDescAttr(tupdesc, a)->attisdropped;
	return true;
}

/*
 * hot_update
 *		Give the row at tid, which the transaction has locked, these values, in
 *		the columns of the layout; others keep theirs.  False, with nothing
 *		done, when that version is not the latest any more.
 */
bool
hot_update(HotTable *table, ItemPointer tid, const Datum *values, const bool *nulls)
{
	TM_FailureData failure;
	LockTupleMode mode;
	IndexUpdate update_indexes;
	bool		updated;

	if (table->update == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(table));

		CheckCmdReplicaIdentity(table->relation, CMD_UPDATE);
		table->update = MakeSingleTupleTableSlot(RelationGetDescr(table->relation), &TTSOpsVirtual);
		MemoryContextSwitchTo(caller);
	}
	if (!keep_other_columns(table, tid))
		return false;
	store_values(table, table->update, values, nulls);
	updated = table_tuple_update(table->relation, tid, table->update, GetCurrentCommandId(true), InvalidSnapshot,
								 InvalidSnapshot, true, &failure, &mode, &update_indexes) == TM_Ok;
	if (updated && NeedsIndexes(update_indexes))
	{
		open_indexes(table);
		InsertIndexTuples(table->indexes, table->update, table->estate, NeedsSummarizingOnly(update_indexes));
		ResetPerTupleExprContext(table->estate);
	}
	ExecClearTuple(table->update);
	ExecClearTuple(table->slot);
	return updated;
}
