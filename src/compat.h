/*
 * compat.h
 *		Differences between the PostgreSQL versions that are supported.
 *
 * Nothing else in the tree tests PG_VERSION_NUM.
 */
#ifndef RISK_COMPAT_H
#define RISK_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "risk_ext requires PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* The number of this backend, 1 .. MaxBackends. */
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
#define BackendNumber() ((int) MyProcNumber + 1)
#else
#include "storage/backendid.h"
#define BackendNumber() ((int) MyBackendId)
#endif

/* What an update of a row asks of its indexes. */
#if PG_VERSION_NUM >= 160000
#define IndexUpdate TU_UpdateIndexes
#define NeedsIndexes(update) ((update) != TU_None)
#define NeedsSummarizingOnly(update) ((update) == TU_Summarizing)
#define InsertIndexTuples(indexes, slot, estate, only_summarizing) \
	ExecInsertIndexTuples(indexes, slot, estate, false, false, NULL, NIL, only_summarizing)
#else
#define IndexUpdate bool
#define NeedsIndexes(update) (update)
#define NeedsSummarizingOnly(update) false
#define InsertIndexTuples(indexes, slot, estate, only_summarizing) \
	ExecInsertIndexTuples(indexes, slot, estate, false, false, NULL, NIL)
#endif

#if PG_VERSION_NUM >= 180000
#define BeginIndexScan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#else
#define BeginIndexScan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, nkeys, 0)
#endif

#endif							/* RISK_COMPAT_H */
