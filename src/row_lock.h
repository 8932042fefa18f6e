/*
 * row_lock.h
 *		Rows locked at once or not at all.
 */
#ifndef RISK_ROW_LOCK_H
#define RISK_ROW_LOCK_H

#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

extern bool row_lock(Relation relation, ItemPointer tid, Snapshot snapshot, LockWaitPolicy policy,
					 TupleTableSlot *slot);

#endif							/* RISK_ROW_LOCK_H */
