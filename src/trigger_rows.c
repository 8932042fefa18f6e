/*
 * trigger_rows.c
 *		The rows that a trigger is given: found, put in order, and judged as
 *		far as that needs no other row.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "trigger_rows.h"

/* The most digits before the point that an amount may have. */
#define INTEGER_DIGITS			20

/* period_of: the day of an instant, in UTC, which is how timestamptz counts */
DateADT
period_of(TimestampTz instant)
{
	int64		day = instant / USECS_PER_DAY;

	if (instant < 0 && instant % USECS_PER_DAY != 0)
		day--;
	return (DateADT) day;
}

/* number_is_valid: whether check_number() would let it pass */
bool
number_is_valid(Numeric value, int scale, NumberRule rule)
{
	return decimal_is_finite(value) && (rule != NUMBER_POSITIVE || decimal_sign(value) > 0) &&
		(rule != NUMBER_NOT_NEGATIVE || decimal_sign(value) >= 0) &&
		decimal_integer_digits(value) <= INTEGER_DIGITS && decimal_scale(value) <= scale;
}

/*
 * check_number
 *		Raise 22023 unless value is finite, has at most scale digits after the
 *		point and the sign that rule asks for; 22003 when it has more than
 *		INTEGER_DIGITS before the point.  The message names the row.
 */
void
check_number(const char *table, int64 row_id, const char *column,
			 Numeric value, int scale, NumberRule rule)
{
	if (!decimal_is_finite(value) ||
		(rule == NUMBER_POSITIVE && decimal_sign(value) <= 0) ||
		(rule == NUMBER_NOT_NEGATIVE && decimal_sign(value) < 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s " INT64_FORMAT ": invalid %s", table, row_id, column),
				 errdetail("The %s is %s.", column, decimal_to_cstring(value)),
				 rule == NUMBER_POSITIVE ?
				 errhint("It must be a finite number greater than zero; the direction is told by other columns.") :
				 rule == NUMBER_NOT_NEGATIVE ? errhint("It must be a finite number, zero at the least.") :
				 errhint("It must be a finite number."),
				 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
	if (decimal_integer_digits(value) > INTEGER_DIGITS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s " INT64_FORMAT ": %s out of range", table, row_id, column),
				 errdetail("The %s has %d digits before the point.", column,
						   decimal_integer_digits(value)),
				 errhint("At most %d are possible; count in a larger unit.", INTEGER_DIGITS),
				 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
	if (decimal_scale(value) > scale)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s " INT64_FORMAT ": %s has too many digits", table, row_id, column),
				 errdetail("The %s is %s; at most %d digits after the point are kept.",
						   column, decimal_to_cstring(value), scale),
				 errhint("Round it before it is inserted: nothing is rounded here."),
				 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
}

/*
 * check_period
 *		Raise 22023 unless the row is of today (UTC), or of the day before,
 *		which may just have ended: its default, which nobody has reason to replace.
 */
void
check_period(const char *table, int64 row_id, DateADT period)
{
	DateADT		today = period_of(GetCurrentTimestamp());

	if (period != today && period != today - 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s " INT64_FORMAT ": invalid period", table, row_id),
				 errdetail("The period is the day on which the row is inserted, in UTC."),
				 errhint("Leave the column out.")));
}

/* statement_trigger: check that a function was called as a statement trigger after INSERT */
TriggerData *
statement_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		trigger->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called by an AFTER INSERT trigger, FOR EACH STATEMENT, with REFERENCING NEW TABLE",
						name)));
	return trigger;
}

/* change_trigger: the same after INSERT, UPDATE or DELETE, with all transition tables there are */
TriggerData *
change_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) ||
		(trigger->tg_newtable == NULL) != TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ||
		(trigger->tg_oldtable == NULL) != TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called by an AFTER INSERT, UPDATE or DELETE trigger, FOR EACH STATEMENT, with its transition tables",
						name)));
	return trigger;
}

/* row_trigger: the same for a row trigger after INSERT or UPDATE */
TriggerData *
row_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called by an AFTER INSERT OR UPDATE trigger, FOR EACH ROW",
						name)));
	return trigger;
}

/* row_column: a column, not NULL, of the row as the statement left it */
Datum
row_column(TriggerData *trigger, const char *name)
{
	TupleTableSlot *slot = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
		trigger->tg_newslot : trigger->tg_trigslot;
	bool		isnull;
	Datum		value = slot_getattr(slot, SPI_fnumber(RelationGetDescr(trigger->tg_relation), name), &isnull);

	Assert(!isnull);
	return value;
}

/*
 * transition_rows
 *		The rows that the statement removed, then those that it inserted, each
 *		in the order given.  An UPDATE does both.  nremoved may be NULL for a
 *		trigger after INSERT.
 */
void *
transition_rows(TriggerData *trigger, const RowReader *reader, int *n, int *nremoved)
{
	Tuplestorestate *const tables[] = {trigger->tg_oldtable, trigger->tg_newtable};
	TupleDesc	tupdesc = RelationGetDescr(trigger->tg_relation);
	int			attributes[MAX_ROW_COLUMNS];
	int			ncolumns = 0;
	int			size = 64;
	char	   *rows = palloc0(reader->row_size * size);

	while (ncolumns < MAX_ROW_COLUMNS && reader->columns[ncolumns] != NULL)
	{
		attributes[ncolumns] = SPI_fnumber(tupdesc, reader->columns[ncolumns]);
		ncolumns++;
	}

	*n = 0;
	for (int t = 0; t < (int) lengthof(tables); t++)
	{
		TupleTableSlot *slot;

		if (t == 1 && nremoved != NULL)
			*nremoved = *n;
		if (tables[t] == NULL)
			continue;
		slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
		tuplestore_select_read_pointer(tables[t], tuplestore_alloc_read_pointer(tables[t], EXEC_FLAG_REWIND));
		tuplestore_rescan(tables[t]);
		while (tuplestore_gettupleslot(tables[t], true, false, slot))
		{
			Datum		value[MAX_ROW_COLUMNS];
			bool		isnull[MAX_ROW_COLUMNS];

			for (int c = 0; c < ncolumns; c++)
				value[c] = slot_getattr(slot, attributes[c], &isnull[c]);
			if (*n == size)
			{
				rows = repalloc_huge(rows, reader->row_size * size * 2);
				memset(rows + reader->row_size * size, 0, reader->row_size * size);
				size *= 2;
			}
			reader->fill(rows + reader->row_size * (*n)++, value, isnull);
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	return rows;
}

/* Rows begin with their book_id; within a book the addresses tell the order given. */
static int
compare_rows(const void *a, const void *b)
{
	const int32 *left = *(const int32 *const *) a;
	const int32 *right = *(const int32 *const *) b;

	return *left != *right ? (*left > *right) - (*left < *right) : (left > right) - (left < right);
}

/*
 * post_by_book
 *		Call post for each book in ascending order, with its rows in the order
 *		given.
 */
void
post_by_book(Wiring *wiring, const RowReader *reader, void *rows, int n, BookPosting post)
{
	void	  **sorted = palloc_extended(sizeof(void *) * Max(n, 1), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		sorted[i] = (char *) rows + i * reader->row_size;
	qsort(sorted, n, sizeof(void *), compare_rows);
	for (int begin = 0, end; begin < n; begin = end)
	{
		int32		book_id = *(int32 *) sorted[begin];

		for (end = begin + 1; end < n && *(int32 *) sorted[end] == book_id;)
			end++;
		post(wiring, book_id, sorted + begin, end - begin);
	}
}
