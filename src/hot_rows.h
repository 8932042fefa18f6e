/*
 * hot_rows.h
 *		Rows read, locked and written by key, without a statement.
 */
#ifndef RISK_HOT_ROWS_H
#define RISK_HOT_ROWS_H

#include "access/genam.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define HOT_COLUMNS				12
#define HOT_KEY					5

/* A table as the code knows it, a static object. */
typedef struct HotLayout
{
	int			nkey;			/* columns of the primary key, which come first */
	int			ncolumns;
	struct
	{
		const char *name;
		Oid			type;
	}			columns[HOT_COLUMNS];
	bool		written;		/* and read; else only read */
	bool		inserted;		/* so that there may be no other columns */
	const char *triggers[4];	/* that a table which is written may have */
	const char *checks[2];		/* and so may its CHECKs, which the code vouches for */
	const char *index;			/* that it may have beside its primary key */
} HotLayout;

/* What was found out about a table of that layout; kept until the relation cache says otherwise. */
typedef struct HotShape
{
	bool		known;
	bool		usable;			/* else statements must do it */
	bool		calls_functions;	/* other indexes may, of anybody */
	Oid			key;			/* the primary key's index */
	Oid			key_functions[HOT_KEY];		/* its equality */
	Oid			key_collations[HOT_KEY];
	AttrNumber	columns[HOT_COLUMNS];
} HotShape;

typedef struct HotTable
{
	const HotLayout *layout;
	HotShape	shape;
	Relation	relation;
	Relation	key;
	TupleTableSlot *slot;		/* the row that was found last */
	TupleTableSlot *update;		/* for hot_update(), once it was called */
	IndexScanDesc scan;
	Snapshot	snapshot;		/* of the scan */
	struct EState *estate;		/* once indexes are open to be written */
	struct ResultRelInfo *indexes;
} HotTable;

extern HotTable *hot_open(Oid relation_id, Oid owner, HotShape *shape, const HotLayout *layout);
extern void hot_close(HotTable *table);

extern void hot_begin(HotTable *table, Snapshot snapshot, int nkey);
extern void hot_seek(HotTable *table, const Datum *key);
extern bool hot_next(HotTable *table, ScanDirection direction);
extern bool hot_lock(HotTable *table, LockWaitPolicy policy);
extern void hot_end(HotTable *table);
extern Datum hot_value(HotTable *table, int column, bool *isnull);

extern void hot_insert(HotTable *table, const Datum *values, const bool *nulls, int n);
extern bool hot_update(HotTable *table, ItemPointer tid, const Datum *values, const bool *nulls);

#endif							/* RISK_HOT_ROWS_H */
