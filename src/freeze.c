/*
 * freeze.c
 *		Whether an account is frozen, whatever its status says.
 *
 * An open freeze counts by itself: a waterfall that freezes waits for nobody,
 * and passes over the status of an account that is being changed.  Posting asks
 * for every trader that it locks, so it asks the indexes of open freezes, which
 * have no page but the first while nobody was ever frozen.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "freeze.h"

/* Whether an index on (book_id, key) of open freezes has such a row. */
static bool
index_has(Wiring *wiring, const char *index_name, int32 book_id, const char *column, RegProcedure equal, Datum key)
{
	Oid			namespace_id = get_rel_namespace(wiring->account);
	Oid			index_id = get_relname_relid(index_name, namespace_id);
	Relation	index;
	Relation	freezes;
	ScanKeyData keys[2];
	SysScanDesc scan;
	Snapshot	snapshot;
	bool		found;

	if (!OidIsValid(index_id) || get_rel_relkind(index_id) != RELKIND_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the ledger has no index \"%s\"", index_name),
				 errhint("Make the ledger whole with risk.install().")));
	index = index_open(index_id, AccessShareLock);
	found = RelationGetNumberOfBlocks(index) > 1;
	if (found)
	{
		Oid			collation = index->rd_indcollation[1];

		freezes = table_open(index->rd_index->indrelid, AccessShareLock);
		ScanKeyInit(&keys[0], get_attnum(RelationGetRelid(freezes), "book_id"), BTEqualStrategyNumber,
					F_INT4EQ, Int32GetDatum(book_id));
		ScanKeyEntryInitialize(&keys[1], 0, get_attnum(RelationGetRelid(freezes), column), BTEqualStrategyNumber,
							   InvalidOid, collation, equal, key);
		snapshot = RegisterSnapshot(wiring_snapshot(wiring, LEDGER_LATEST));
		scan = systable_beginscan(freezes, index_id, true, snapshot, 2, keys);
		found = HeapTupleIsValid(systable_getnext(scan));
		systable_endscan(scan);
		UnregisterSnapshot(snapshot);
		table_close(freezes, AccessShareLock);
	}
	index_close(index, AccessShareLock);
	return found;
}

/* account_has_freeze: whether a freeze of the account, or of its owner (may be NULL), is open */
bool
account_has_freeze(Wiring *wiring, int32 book_id, int64 account_id, const char *owner_id)
{
	return index_has(wiring, "freeze_account", book_id, "account_id", F_INT8EQ, Int64GetDatum(account_id)) ||
		(owner_id != NULL &&
		 index_has(wiring, "freeze_owner", book_id, "owner_id", F_TEXTEQ, CStringGetTextDatum(owner_id)));
}
