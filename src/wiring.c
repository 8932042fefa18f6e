/*
 * wiring.c
 *		Where the tables of a ledger are, and how they are read and written.
 *
 * A trigger knows one table, the one that it fires on.  The others are found
 * through the hub, an empty table with a foreign key to each of them: the
 * trigger descriptor of the first names the hub, the foreign-key list of the
 * hub names the rest.  Both come from the relation cache, so there is no
 * catalogue query, and the tables may bear any name in any schema.  What was
 * found is kept until the relation cache says that one of them has changed.
 *
 * All work is done as the owner of the tables, all SQL with a search_path that
 * holds nothing but the system's, and every statement that writes goes through
 * wiring_write(), which is what the guard triggers look for.  There is no SQL
 * outside this funnel.  Plain tables have a shorter road beside it, see
 * wiring_hot().
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "wiring.h"

static const char *const part_names[LEDGER_TABLES] = {
	"asset", "instrument", "margin_tier", "mark_price", "policy", "book",
	"account", "balance", "transfer", "trade", "entry", "idempotency",
	"position", "settlement", "reset", "event", "below_floor",
	"unmatched_execution", "funding", "funding_payment",
	"order_reserve",
	"margin_setting", "position_limit", "added_risk", "transfer_rule", "journal",
	"hold", "hold_release", "open_hold", "reversal",
	"exchange", "collateral", "index_price",
	"shortfall", "open_shortfall", "takeover", "checkpoint", "checkpoint_balance",
	"shortfall_payment", "deleveraging",
	"fund_use",
	"gainer_watch", "gainer_hold",
	"alert_state",
	"liquidation",
	"late_fill"
};

/* A ledger, and its prepared statements for as long as its tables keep their names. */
typedef struct Ledger
{
	struct Ledger *next;
	Oid			hub;			/* key */
	bool		valid;			/* nothing has changed since the rest was found out */
	Oid			relations[LEDGER_TABLES];
	char	   *schema;			/* quoted */
	char	   *tables[LEDGER_TABLES];	/* quoted, with schema */
	HotShape	shapes[LEDGER_TABLES];
	HTAB	   *plans;
} Ledger;

typedef struct PreparedStatement
{
	const LedgerStatement *statement;	/* key */
	SPIPlanPtr	plan;
} PreparedStatement;

/* In TopMemoryContext; none is ever removed. */
static Ledger *ledgers = NULL;

/* How often the relation cache has told of a change. */
static uint64 changes = 0;

/* How many wiring_write() calls are under way in this backend. */
static int	writing = 0;

/* A table whose trigger descriptor is looked at may have several hubs: take ours. */
static Oid
find_hub(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		char	   *name;

		if (!trigger->tgisinternal || !OidIsValid(trigger->tgconstrrelid))
			continue;
		name = get_rel_name(trigger->tgconstrrelid);
		if (name != NULL && strncmp(name, "wiring", 6) == 0 &&
			get_rel_namespace(trigger->tgconstrrelid) == RelationGetNamespace(rel))
			return trigger->tgconstrrelid;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not part of a ledger",
					RelationGetRelationName(rel)),
			 errdetail("No table \"wiring\" in its schema has a foreign key to it."),
			 errhint("Make the ledger with risk.install().")));
	return InvalidOid;			/* keep compiler quiet */
}

/* Which part a table plays: the name of the last column of the hub's key. */
static int
part_of(Relation hub, const ForeignKeyCacheInfo *key)
{
	AttrNumber	column = key->conkey[key->nkeys - 1];
	const char *name = NameStr(TupleDescAttr(RelationGetDescr(hub), column - 1)->attname);

	for (int part = 0; part < LEDGER_TABLES; part++)
		if (strcmp(name, part_names[part]) == 0)
			return part;
	return -1;
}

/* Callbacks of the relation cache, and of the cache of schemas. */
static void
forget_relation(Datum argument pg_attribute_unused(), Oid relation_id)
{
	changes++;
	for (Ledger *ledger = ledgers; ledger != NULL; ledger = ledger->next)
		for (int part = 0; part < LEDGER_TABLES; part++)
			if (!OidIsValid(relation_id) || relation_id == ledger->hub || relation_id == ledger->relations[part])
			{
				ledger->valid = false;
				ledger->shapes[part].known = false;
			}
}

static void
forget_schema(Datum argument, int cache pg_attribute_unused(), uint32 hash pg_attribute_unused())
{
	forget_relation(argument, InvalidOid);
}

static Ledger *
ledger_of_hub(Oid hub)
{
	Ledger	   *ledger = ledgers;

	if (ledgers == NULL)
	{
		CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
	}
	while (ledger != NULL && ledger->hub != hub)
		ledger = ledger->next;
	if (ledger == NULL)
	{
		ledger = MemoryContextAllocZero(TopMemoryContext, sizeof(Ledger));
		ledger->hub = hub;
		ledger->next = ledgers;
		ledgers = ledger;
	}
	return ledger;
}

static void
drop_plans(Ledger *ledger)
{
	HASH_SEQ_STATUS scan;
	PreparedStatement *prepared;

	if (ledger->plans == NULL)
		return;
	hash_seq_init(&scan, ledger->plans);
	while ((prepared = hash_seq_search(&scan)) != NULL)
		if (prepared->plan != NULL)
			SPI_freeplan(prepared->plan);
	hash_destroy(ledger->plans);
	ledger->plans = NULL;
}

/* Let *kept be a copy of name; whether it was so before. */
static bool
keep_name(char **kept, const char *name)
{
	if (*kept != NULL && strcmp(*kept, name) == 0)
		return true;
	if (*kept != NULL)
		pfree(*kept);
	*kept = MemoryContextStrdup(TopMemoryContext, name);
	return false;
}

/*
 * The tables that the hub of rel names.  Errors as of wiring_enter().
 */
static Ledger *
find_ledger(Relation rel, LedgerTable part)
{
	Relation	hub;
	Ledger	   *ledger;
	uint64		before = changes;
	Oid			relations[LEDGER_TABLES] = {InvalidOid};
	AttrNumber	wired = InvalidAttrNumber;	/* the column of the table found last */
	bool		same;
	ListCell   *lc;

	hub = table_open(find_hub(rel), AccessShareLock);
	ledger = ledger_of_hub(RelationGetRelid(hub));
	foreach(lc, RelationGetFKeyList(hub))
	{
		ForeignKeyCacheInfo *key = lfirst_node(ForeignKeyCacheInfo, lc);
		int			found;

		/*
		 * A partition repeats the key of its table.  There can be hundreds, by
		 * name next to each other.
		 */
		if (key->conkey[key->nkeys - 1] == wired)
			continue;
		found = part_of(hub, key);
		if (found < 0 || OidIsValid(relations[found]) || get_rel_relispartition(key->confrelid) ||
			get_rel_name(key->confrelid) == NULL)
			continue;
		wired = key->conkey[key->nkeys - 1];
		if (found == (int) part && key->confrelid != RelationGetRelid(rel) &&
			!rel->rd_rel->relispartition)
			ereport(ERROR,
					(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
					 errmsg("trigger function called for table \"%s\"", RelationGetRelationName(rel)),
					 errdetail("It belongs on table \"%s\".", get_rel_name(key->confrelid)),
					 errhint("Drop that trigger, and run risk.install().")));
		relations[found] = key->confrelid;
	}
	for (int i = 0; i < LEDGER_TABLES; i++)
		if (!OidIsValid(relations[i]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the ledger of table \"%s\" has no table \"%s\"",
							RelationGetRelationName(rel), part_names[i]),
					 errdetail("\"%s\" has no foreign key whose last column is \"%s\".",
							   RelationGetRelationName(hub), part_names[i]),
					 errhint("Make the ledger whole with risk.install().")));
	table_close(hub, AccessShareLock);

	same = keep_name(&ledger->schema, quote_identifier(get_namespace_name(RelationGetNamespace(rel))));
	for (int i = 0; i < LEDGER_TABLES; i++)
	{
		same &= keep_name(&ledger->tables[i],
						  quote_qualified_identifier(get_namespace_name(get_rel_namespace(relations[i])),
													 get_rel_name(relations[i])));
		if (ledger->relations[i] != relations[i])
			ledger->shapes[i].known = false;
		ledger->relations[i] = relations[i];
	}
	if (!same)
		drop_plans(ledger);
	ledger->valid = before == changes;
	return ledger;
}

/* The ledger in which rel plays that part. */
static Ledger *
ledger_of(Relation rel, LedgerTable part)
{
	for (Ledger *ledger = ledgers; ledger != NULL; ledger = ledger->next)
		if (ledger->valid && ledger->relations[part] == RelationGetRelid(rel))
			return ledger;
	return find_ledger(rel, part);
}

/* A setting until wiring_leave(). */
static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * wiring_enter
 *		Connect SPI, find the ledger that rel belongs to, and become the owner
 *		of its tables.  SQL then runs with search_path = pg_catalog, pg_temp.
 *
 * The result lives until wiring_leave(), in SPI's procedure context, as does
 * all that the caller allocates in between.  Errors: 55000 when rel has no
 * hub or the hub lacks a table, 39P01 when rel does not play that part.
 */
Wiring *
wiring_enter(Relation rel, LedgerTable part)
{
	Wiring	   *wiring;

	SPI_connect();

	wiring = palloc0(sizeof(Wiring));
	wiring->relation = rel;
	wiring->owner = rel->rd_rel->relowner;
	wiring->ledger = ledger_of(rel, part);
	wiring->account = wiring->ledger->relations[LEDGER_ACCOUNT];

	/*
	 * An error past this point needs no care of ours: the abort of the
	 * (sub)transaction restores the user and the settings, and closes tables.
	 */
	GetUserIdAndSecContext(&wiring->caller, &wiring->caller_security_context);
	SetUserIdAndSecContext(wiring->owner,
						   wiring->caller_security_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	return wiring;
}

/* The settings under which SQL runs. */
static void
enter_settings(Wiring *wiring)
{
	if (wiring->guc_nest_level > 0)
		return;
	wiring->guc_nest_level = NewGUCNestLevel();
	set_locally("search_path", "pg_catalog, pg_temp");

	/*
	 * Every statement here goes by an index.  A table that was small when its
	 * plan was made, and has grown within the same transaction, would be read
	 * from end to end for each row that is posted.  And by a plain scan of it:
	 * a bitmap scan never marks an entry as dead, so in tables that every
	 * transaction leaves empty it would visit what all have deleted.
	 */
	set_locally("enable_seqscan", "off");
	set_locally("enable_bitmapscan", "off");

	/*
	 * Before PostgreSQL 18 a scan that is off, and cannot be done without,
	 * costs more than jit_optimize_above_cost: all would be compiled, for each
	 * few rows anew.
	 */
	set_locally("jit", "off");
}

/*
 * wiring_enter_ledger
 *		The same for a function that is not called as a trigger: the ledger is
 *		that of schema ledger.  Who may call the function acts as the owner.
 */
Wiring *
wiring_enter_ledger(void)
{
	RangeVar   *name = makeRangeVar("ledger", "balance", -1);
	Relation	balance = table_openrv_extended(name, AccessShareLock, true);
	Wiring	   *wiring;

	if (balance == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no ledger here"),
				 errdetail("Table ledger.balance does not exist."),
				 errhint("Make the ledger with risk.install().")));
	wiring = wiring_enter(balance, LEDGER_BALANCE);
	wiring->opened = true;
	return wiring;
}

/*
 * wiring_enter_trial
 *		The same for a function that asks what a posting would do: nothing is
 *		written, no row is locked, and everything is read as the snapshot of
 *		the caller has it.
 */
Wiring *
wiring_enter_trial(void)
{
	Wiring	   *wiring = wiring_enter_ledger();

	wiring->is_trial = true;
	return wiring;
}

/* wiring_leave: undo wiring_enter().  The wiring and all palloc'd since are gone. */
void
wiring_leave(Wiring *wiring)
{
	Relation	opened = wiring->opened ? wiring->relation : NULL;

	for (int part = 0; part < LEDGER_TABLES; part++)
		if (wiring->hot[part] != NULL)
			hot_close(wiring->hot[part]);
	SetUserIdAndSecContext(wiring->caller, wiring->caller_security_context);
	if (wiring->guc_nest_level > 0)
		AtEOXact_GUC(true, wiring->guc_nest_level);
	SPI_finish();
	if (opened != NULL)
		table_close(opened, NoLock);
}

/* The text of a statement with the names of the tables put in. */
static char *
statement_text(const Wiring *wiring, const LedgerStatement *statement)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const char *c = statement->text; *c != '\0'; c++)
	{
		const char *end;
		const char *name = NULL;

		if (*c != '{')
		{
			appendStringInfoChar(&text, *c);
			continue;
		}
		end = strchr(c, '}');
		Assert(end != NULL);
		if (strncmp(c, "{schema}", 8) == 0)
			name = wiring->ledger->schema;
		for (int part = 0; part < LEDGER_TABLES && name == NULL; part++)
			if (strncmp(part_names[part], c + 1, end - c - 1) == 0 &&
				part_names[part][end - c - 1] == '\0')
				name = wiring->ledger->tables[part];
		Assert(name != NULL);
		appendStringInfoString(&text, name);
		c = end;
	}
	return text.data;
}

static SPIPlanPtr
prepared_plan(Wiring *wiring, const LedgerStatement *statement)
{
	PreparedStatement *prepared;
	bool		found;

	if (wiring->ledger->plans == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(LedgerStatement *), .entrysize = sizeof(PreparedStatement)};

		wiring->ledger->plans = hash_create("risk_ext plans", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	prepared = hash_search(wiring->ledger->plans, &statement, HASH_ENTER, &found);
	if (!found)
		prepared->plan = NULL;
	if (prepared->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(statement_text(wiring, statement),
											  statement->nargs, (Oid *) statement->argtypes,
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		prepared->plan = plan;
	}
	return prepared->plan;
}

static void
execute(Wiring *wiring, const LedgerStatement *statement, Datum *values, LedgerView view)
{
	SPIPlanPtr	plan;
	char		nulls[lengthof(statement->argtypes)];
	int			result;

	enter_settings(wiring);
	plan = prepared_plan(wiring, statement);

	/* an argument that is NULL is passed as the null pointer; none is by value and 0 */
	for (int i = 0; i < statement->nargs; i++)
		nulls[i] = (values[i] == (Datum) 0 && !get_typbyval(statement->argtypes[i])) ? 'n' : ' ';

	if (wiring->is_trial)
		result = SPI_execute_plan(plan, values, nulls, true, 0);
	else if (view == LEDGER_LATEST)
		result = SPI_execute_snapshot(plan, values, nulls, GetLatestSnapshot(),
									  InvalidSnapshot, false, true, 0);
	else
		result = SPI_execute_plan(plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "SPI failed: %s", SPI_result_code_string(result));
}

/*
 * wiring_read
 *		Run a statement that only reads or locks.  Its rows are in
 *		SPI_tuptable until the next one; see the result_ functions.
 */
void
wiring_read(Wiring *wiring, const LedgerStatement *statement, Datum *values, LedgerView view)
{
	execute(wiring, statement, values, view);
}

/*
 * wiring_write
 *		Run a statement that writes, with the guard triggers told so.
 */
void
wiring_write(Wiring *wiring, const LedgerStatement *statement, Datum *values)
{
	Assert(!wiring->is_trial);
	writing++;
	PG_TRY();
	{
		execute(wiring, statement, values, LEDGER_LATEST);
	}
	PG_FINALLY();
	{
		writing--;
	}
	PG_END_TRY();
}

/* Whether the statement that fires the calling trigger was run by wiring_write(). */
bool
wiring_is_writing(void)
{
	return writing > 0;
}

/*
 * wiring_hot
 *		A table whose rows can be read and written without a statement, open
 *		until wiring_leave(); NULL when they cannot.
 */
HotTable *
wiring_hot(Wiring *wiring, LedgerTable part, const HotLayout *layout)
{
	if (wiring->hot[part] == NULL)
	{
		wiring->hot[part] = hot_open(wiring->ledger->relations[part], wiring->owner,
									 &wiring->ledger->shapes[part], layout);
		if (wiring->hot[part] != NULL && layout->written && wiring->hot[part]->shape.calls_functions)
			enter_settings(wiring);
	}
	Assert(wiring->hot[part] == NULL || wiring->hot[part]->layout == layout);
	return wiring->hot[part];
}

/* wiring_snapshot: what a statement would see; what this transaction has done so far included */
Snapshot
wiring_snapshot(Wiring *wiring, LedgerView view)
{
	if (wiring->is_trial)
		return GetActiveSnapshot();
	CommandCounterIncrement();
	return view == LEDGER_LATEST ? GetLatestSnapshot() : GetTransactionSnapshot();
}

Datum
result_datum(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

int64
result_int64(uint64 row, int column)
{
	bool		isnull;

	return DatumGetInt64(result_datum(row, column, &isnull));
}

int32
result_int32(uint64 row, int column)
{
	bool		isnull;

	return DatumGetInt32(result_datum(row, column, &isnull));
}

bool
result_bool(uint64 row, int column)
{
	bool		isnull;

	return DatumGetBool(result_datum(row, column, &isnull));
}

char *
result_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_datum(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* a copy, which outlives the result it came from */
Numeric
result_numeric(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_datum(row, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(value);
}

Datum
array_argument(Datum *elements, bool *nulls, int n, Oid type)
{
	int			lower_bound = 1;
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &n, &lower_bound,
											  type, length, by_value, alignment));
}
