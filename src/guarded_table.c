/*
 * guarded_table.c
 *		The floor of a balance in a table that is not one of a ledger.
 *
 * risk.guard() puts a deferred constraint trigger on the table.  Its WHEN
 * clause is the one place where the rule is written down: the server judges
 * each row by it when the row is written, and a healthy one queues nothing.
 * What is left to do at commit is to see whether the row still is as it was
 * then.  Of a row that was written again the later version was judged as well,
 * and has an event of its own if it is below the floor.
 *
 * Columns are found in the WHEN clause, not by arguments of the trigger: it
 * follows when they are renamed, and they cannot be dropped under it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "trigger_rows.h"

PG_FUNCTION_INFO_V1(risk_enforce_guard);
PG_FUNCTION_INFO_V1(risk_guard_terms);

/* What a guard compares: the first comparison of its WHEN clause. */
typedef struct GuardTerms
{
	Expr	   *balance;
	Expr	   *floor;
} GuardTerms;

static bool
find_comparison(Node *node, void *context)
{
	GuardTerms *terms = context;

	if (node == NULL)
		return false;
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		terms->balance = linitial(((OpExpr *) node)->args);
		terms->floor = lsecond(((OpExpr *) node)->args);
		return true;
	}
	return expression_tree_walker(node, find_comparison, context);
}

static bool
find_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		*(AttrNumber *) context = ((Var *) node)->varattno;
		return true;
	}
	return expression_tree_walker(node, find_column, context);
}

/* The column that a term reads, 0 for a constant. */
static AttrNumber
column_of(Expr *term)
{
	AttrNumber	column = 0;

	find_column((Node *) term, &column);
	return column;
}

static char *
datum_to_cstring(Datum value, bool isnull, Oid type)
{
	Oid			output;
	bool		is_varlena;

	if (isnull)
		return pstrdup("NULL");
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/* The value that a term has for a row. */
static char *
evaluate_term(Expr *term, EState *estate, TupleTableSlot *row)
{
	ExprContext *econtext = GetPerTupleExprContext(estate);
	Datum		value;
	bool		isnull;

	econtext->ecxt_scantuple = row;
	value = ExecEvalExpr(ExecPrepareExpr(term, estate), econtext, &isnull);
	return datum_to_cstring(value, isnull, exprType((Node *) term));
}

/* Whether the current user may read that column of every row. */
static bool
may_see(Relation rel, AttrNumber column)
{
	Oid			relid = RelationGetRelid(rel);

	return check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED &&
		(pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck(relid, column, GetUserId(), ACL_SELECT) == ACLCHECK_OK);
}

/* "(key)=(value)" by the primary key; NULL without one, or when the user may not see it. */
static char *
describe_row(Relation rel, EState *estate, TupleTableSlot *row)
{
	char	   *description = NULL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisprimary)
		{
			Datum		values[INDEX_MAX_KEYS];
			bool		isnull[INDEX_MAX_KEYS];

			FormIndexDatum(BuildIndexInfo(index), row, estate, values, isnull);
			description = BuildIndexValueDescription(index, values, isnull);
		}
		index_close(index, AccessShareLock);
	}
	return description;
}

static void
report_violation(TriggerData *trigger, TupleTableSlot *row)
{
	Relation	rel = trigger->tg_relation;
	EState	   *estate = CreateExecutorState();
	GuardTerms	terms;
	AttrNumber	column = 0;
	char	   *key;
	char	   *values = NULL;
	Oid			user;
	int			security_context;

	if (trigger->tg_trigger->tgqual != NULL &&
		find_comparison(stringToNode(trigger->tg_trigger->tgqual), &terms))
		column = column_of(terms.balance);
	if (column == 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" on table \"%s\" does not compare a column with its floor",
						trigger->tg_trigger->tgname, RelationGetRelationName(rel)),
				 errhint("Drop that trigger, and call risk.guard().")));

	/*
	 * The message goes to the client, so it is told what that one may see, not
	 * what the function may that wrote the row.  The abort restores the user.
	 */
	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(GetOuterUserId(), security_context);
	key = describe_row(rel, estate, row);
	if (may_see(rel, column))
		values = psprintf("It would be %s, the floor is %s.",
						  evaluate_term(terms.balance, estate, row),
						  evaluate_term(terms.floor, estate, row));
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 key == NULL ?
			 errmsg("column \"%s\" of a row in table \"%s\" would be below its floor",
					get_attname(RelationGetRelid(rel), column, false),
					RelationGetRelationName(rel)) :
			 errmsg("column \"%s\" of row %s in table \"%s\" would be below its floor",
					get_attname(RelationGetRelid(rel), column, false), key,
					RelationGetRelationName(rel)),
			 values == NULL ? 0 : errdetail_internal("%s", values),
			 errhint("Bring it up to the floor in the same transaction, or take less out."),
			 errtableconstraint(rel, trigger->tg_trigger->tgname)));
}

/*
 * risk.enforce_guard()
 *		Deferred constraint trigger, FOR EACH ROW, WHEN the row breaks the rule.
 */
Datum
risk_enforce_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger(fcinfo, "risk.enforce_guard");
	TupleTableSlot *row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
		trigger->tg_newslot : trigger->tg_trigslot;

	/* no user, no policy and no search_path comes into this */
	if (table_tuple_satisfies_snapshot(trigger->tg_relation, row, SnapshotSelf))
		report_violation(trigger, row);
	return PointerGetDatum(NULL);
}

static Datum
name_datum(const char *text)
{
	return DirectFunctionCall1(namein, CStringGetDatum(text));
}

/*
 * risk.guard_terms(condition, table)
 *		The columns that the WHEN clause of a guard names, or the constant.
 *
 * Nothing is evaluated: a trigger may be anybody's.
 */
Datum
risk_guard_terms(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(1);
	GuardTerms	terms;
	TupleDesc	descriptor;
	Datum		values[3] = {0};
	bool		isnull[3] = {true, true, true};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (find_comparison(stringToNode(TextDatumGetCString(PG_GETARG_DATUM(0))), &terms))
	{
		char	   *balance = get_attname(relid, column_of(terms.balance), true);
		char	   *floor = get_attname(relid, column_of(terms.floor), true);
		Node	   *constant = (Node *) terms.floor;

		/* a dump writes numeric 0 as (0)::numeric */
		if (IsA(constant, FuncExpr) && list_length(((FuncExpr *) constant)->args) > 0)
			constant = linitial(((FuncExpr *) constant)->args);
		if (balance != NULL)
			values[0] = name_datum(balance);
		if (floor != NULL)
			values[1] = name_datum(floor);
		else if (IsA(constant, Const))
			values[2] = CStringGetTextDatum(datum_to_cstring(((Const *) constant)->constvalue,
															 ((Const *) constant)->constisnull,
															 ((Const *) constant)->consttype));
		for (int i = 0; i < 3; i++)
			isnull[i] = values[i] == (Datum) 0;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, isnull)));
}
