/*
 * row_lock.c
 *		Rows locked at once or not at all.
 *
 * FOR NO KEY UPDATE SKIP LOCKED can wait.  It finds a row that is being
 * updated, that transaction ends before it is asked whether it has, and then
 * heap_lock_tuple() locks the version that came of it, and waits there for
 * whoever has locked that by then (PostgreSQL 15 to 18).  Who holds the gate of
 * a book, or a slot of a system account, may wait for nobody that a posting
 * waits for.  What makes the executor do that is a flag, for locks that are
 * weaker than an update: here it is left out, and the version that came of it
 * is tried like the first.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "row_lock.h"

PG_FUNCTION_INFO_V1(risk_lock_if_free);

/*
 * row_lock
 *		Lock the row that a snapshot has at tid FOR NO KEY UPDATE; the slot then
 *		has its latest version.  False when it is gone, or, with LockWaitSkip,
 *		when it cannot be had at once.  Else a row that has changed since a
 *		REPEATABLE READ transaction began raises 40001.
 */
bool
row_lock(Relation relation, ItemPointer tid, Snapshot snapshot, LockWaitPolicy policy, TupleTableSlot *slot)
{
	ItemPointerData row_id = *tid;
	TM_FailureData failure;

	switch (table_tuple_lock(relation, &row_id, snapshot, slot, GetCurrentCommandId(false), LockTupleNoKeyExclusive,
							 policy, IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure))
	{
		case TM_Ok:
			return true;
		case TM_WouldBlock:
		case TM_SelfModified:
			return false;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot() && policy == LockWaitBlock)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update")));
			return false;
		default:
			elog(ERROR, "a row of table \"%s\" cannot be locked", RelationGetRelationName(relation));
	}
	return false;				/* keep compiler quiet */
}

/* The same without waiting, for a row that the active snapshot has in a table that is not open; at any tid. */
static bool
lock_if_free(Oid relation_id, ItemPointer tid)
{
	Relation	relation = table_open(relation_id, RowShareLock);
	Snapshot	snapshot = GetActiveSnapshot();
	TableScanDesc scan;
	TupleTableSlot *slot;
	bool		locked;

	if (relation->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(relation)),
				 errhint("Name the table that holds the row; tableoid does.")));
	slot = table_slot_create(relation, NULL);
	scan = table_beginscan_tid(relation, snapshot);
	locked = ItemPointerIsValid(tid) && table_tuple_tid_valid(scan, tid) &&
		table_tuple_fetch_row_version(relation, tid, snapshot, slot) &&
		row_lock(relation, tid, snapshot, LockWaitSkip, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, NoLock);
	return locked;
}

/*
 * risk.lock_if_free(table, row)
 *		42501 without the right to update the table, as SELECT FOR UPDATE has it.
 */
Datum
risk_lock_if_free(PG_FUNCTION_ARGS)
{
	Oid			relation_id = PG_GETARG_OID(0);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(1);
	AclResult	acl;

	PreventCommandIfReadOnly("risk.lock_if_free()");
	PreventCommandIfParallelMode("risk.lock_if_free()");
	acl = pg_class_aclcheck(relation_id, GetUserId(), ACL_UPDATE);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, get_relkind_objtype(get_rel_relkind(relation_id)), get_rel_name(relation_id));
	PG_RETURN_BOOL(lock_if_free(relation_id, tid));
}
