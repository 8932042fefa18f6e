/*
 * retention.c
 *		Periods whose rows are gone.
 *
 * Who wants to reach back beyond the last checkpoint is refused.  The check is
 * made on the latest state, after the lock that risk.retire() waits for.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "retention.h"

static const LedgerStatement read_before = {
	"SELECT max(k.before) FROM {checkpoint} k", 0, {0}
};

/* retired_before: the rows with an earlier period are gone; DATEVAL_NOBEGIN: all are there */
DateADT
retired_before(Wiring *wiring)
{
	bool		isnull;
	Datum		before;

	wiring_read(wiring, &read_before, NULL, LEDGER_LATEST);
	before = result_datum(0, 1, &isnull);
	return isnull ? DATEVAL_NOBEGIN : DatumGetDateADT(before);
}

/* date_text: for a message */
char *
date_text(DateADT date)
{
	return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(date)));
}
