/*
 * guard.c
 *		The triggers that keep rows as posting wrote them.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "idempotency.h"
#include "wiring.h"

PG_FUNCTION_INFO_V1(risk_refuse_change);
PG_FUNCTION_INFO_V1(risk_refuse_write);
PG_FUNCTION_INFO_V1(risk_refuse_direct_insert);

static TriggerData *
before_trigger(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a BEFORE trigger", name)));
	return (TriggerData *) fcinfo->context;
}

static const char *
operation_name(TriggerEvent event)
{
	return TRIGGER_FIRED_BY_INSERT(event) ? "INSERT" :
		TRIGGER_FIRED_BY_UPDATE(event) ? "UPDATE" :
		TRIGGER_FIRED_BY_DELETE(event) ? "DELETE" : "TRUNCATE";
}

static void
refuse(TriggerData *trigger, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s on table \"%s\" is refused", operation_name(trigger->tg_event),
					RelationGetRelationName(trigger->tg_relation)),
			 errdetail("%s", detail),
			 errhint("%s", hint),
			 errtable(trigger->tg_relation)));
}

/*
 * risk.refuse_change(): nobody changes these rows, posting included.  What
 * posting may take back is a key that it took in the same statement.
 */
Datum
risk_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = before_trigger(fcinfo, "risk.refuse_change");

	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		idempotency_is_forgetting())
		return PointerGetDatum(trigger->tg_trigtuple);
	refuse(trigger, "Its rows are the record from which the books are proven.",
		   "Put a mistake right by new rows: the opposite posting, or the next version.");
	return (Datum) 0;
}

/* risk.refuse_write(): only posting writes here. */
Datum
risk_refuse_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = before_trigger(fcinfo, "risk.refuse_write");

	if (!wiring_is_writing())
		refuse(trigger, "It is written by posting only.",
			   "Insert into the tables trade and transfer instead.");
	return PointerGetDatum(NULL);
}

/*
 * risk.refuse_direct_insert(): a statement that names a partition fires none of
 * the triggers that its table has for statements, so nothing would be posted.
 */
Datum
risk_refuse_direct_insert(PG_FUNCTION_ARGS)
{
	refuse(before_trigger(fcinfo, "risk.refuse_direct_insert"),
		   "It is a partition, and rows are posted by way of its table.",
		   "Insert into the partitioned table instead.");
	return (Datum) 0;
}
