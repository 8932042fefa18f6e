/*
 * idempotency.h
 *		Keys that make a row of a table be posted once.
 */
#ifndef RISK_IDEMPOTENCY_H
#define RISK_IDEMPOTENCY_H

#include "datatype/timestamp.h"

#include "wiring.h"

#define MAX_KEYED_COLUMNS	10

/* A row and its key, and what became of it. */
typedef struct KeyedRow
{
	const char *key;
	int64		id;
	const char *fields[MAX_KEYED_COLUMNS];	/* canonical text; NULL for NULL */

	int64		original;		/* the row that the key stands for; id: this one */
	const char *original_kind;
	bool		same;			/* content */
} KeyedRow;

/* A table whose rows may have a key, and what of a row the key stands for. */
typedef struct KeyedTable
{
	const char *kind;			/* its name, too */
	const char *columns[MAX_KEYED_COLUMNS]; /* that the caller chose; the rest is NULL */
	KeyedRow	(*keyed) (const void *row); /* key NULL: it has none */
	const LedgerStatement *read_row;	/* the same columns as text, of $2 in book $1 */
} KeyedTable;

extern const char *canonical_int64(int64 value);
extern const char *canonical_number(Numeric value);
extern const char *canonical_instant(TimestampTz instant);
extern void idempotency_try(Wiring *wiring, int32 book_id, const KeyedTable *table,
							KeyedRow *rows, int n);
extern void idempotency_report(Wiring *wiring, int32 book_id, const KeyedTable *table,
							   const KeyedRow *row);
extern void idempotency_forget(Wiring *wiring, int32 book_id, KeyedRow *rows, int n);
extern bool idempotency_is_forgetting(void);
extern void idempotency_take(Wiring *wiring, int32 book_id, const KeyedTable *table,
							 void **rows, int n);

#endif							/* RISK_IDEMPOTENCY_H */
