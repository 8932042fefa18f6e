/*
 * execution.h
 *		The executions that trades are part of, and what is left of them:
 *		fractions, or a side that is missing.
 */
#ifndef RISK_EXECUTION_H
#define RISK_EXECUTION_H

#include "datatype/timestamp.h"

#include "margin.h"
#include "wiring.h"

/*
 * What rounding left: of the cost of a position when a trade closed it, or
 * (trade_id 0) between the rows of an execution.
 */
typedef struct Residue
{
	int64		account_id;
	int64		trade_id;
	int64		execution_id;
	int32		instrument_id;
	Numeric		amount;
} Residue;

/* A trade, as its execution sees it. */
typedef struct ExecutionRow
{
	int64		execution_id;
	int32		instrument_id;
	ContractKind kind;
	int64		clearing_id;	/* the account of the instrument's asset */
	int			scale;			/* of the asset */
	Numeric		qty;			/* signed, as the value */
	Numeric		value;
	TimestampTz executed_at;
} ExecutionRow;

extern HTAB *executions_begin(void);
extern void executions_note(HTAB *executions, const ExecutionRow *row);
extern int	executions_close(HTAB *executions, Residue *residues);
extern void executions_write(Wiring *wiring, int32 book_id, HTAB *executions);
extern void write_residues(Wiring *wiring, int32 book_id, Residue *residues, int n);

#endif							/* RISK_EXECUTION_H */
