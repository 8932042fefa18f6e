/*
 * execution.h
 *		What is left of executions: fractions, or a side that is missing.
 */
#ifndef RISK_EXECUTION_H
#define RISK_EXECUTION_H

#include "decimal.h"
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

extern void write_residues(Wiring *wiring, int32 book_id, Residue *residues, int n);

#endif							/* RISK_EXECUTION_H */
