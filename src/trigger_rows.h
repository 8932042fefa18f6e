/*
 * trigger_rows.h
 *		The rows that a trigger is given, and what is asked of them.
 */
#ifndef RISK_TRIGGER_ROWS_H
#define RISK_TRIGGER_ROWS_H

#include "access/xact.h"
#include "commands/trigger.h"
#include "utils/date.h"

#include "decimal.h"
#include "wiring.h"

/* The most digits after the point of a quantity or price. */
#define TRADE_SCALE		18

/* A number that must be finite and fit. */
typedef enum NumberRule
{
	NUMBER_POSITIVE,
	NUMBER_NOT_NEGATIVE,
	NUMBER_ANY_SIGN
} NumberRule;

#define MAX_ROW_COLUMNS	16

/*
 * How the rows of a table become structs that begin with int32 book_id.  fill
 * gets the columns in the order of their names and copies what it keeps; the
 * rest of the struct is zero.
 */
typedef struct RowReader
{
	const char *columns[MAX_ROW_COLUMNS];	/* the rest is NULL */
	Size		row_size;
	void		(*fill) (void *row, const Datum *value, const bool *isnull);
} RowReader;

/* What a trigger does with its rows of one book. */
typedef void (*BookPosting) (Wiring *wiring, int32 book_id, void **rows, int n);

/* Whether a transaction, when there is one, is the one that runs. */
static inline bool
is_this_transaction(TransactionId xid)
{
	return TransactionIdIsValid(xid) && xid == GetTopTransactionIdIfAny();
}

extern DateADT period_of(TimestampTz instant);
extern bool number_is_valid(Numeric value, int scale, NumberRule rule);
extern void check_number(const char *table, int64 row_id, const char *column,
						 Numeric value, int scale, NumberRule rule);
extern void check_period(const char *table, int64 row_id, DateADT period);
extern TriggerData *statement_trigger(FunctionCallInfo fcinfo, const char *name);
extern TriggerData *change_trigger(FunctionCallInfo fcinfo, const char *name);
extern TriggerData *row_trigger(FunctionCallInfo fcinfo, const char *name);
extern Datum row_column(TriggerData *trigger, const char *name);
extern void *transition_rows(TriggerData *trigger, const RowReader *reader, int *n, int *nremoved);
extern void post_by_book(Wiring *wiring, const RowReader *reader, void *rows, int n, BookPosting post);

#endif							/* RISK_TRIGGER_ROWS_H */
