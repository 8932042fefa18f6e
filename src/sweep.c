/*
 * sweep.c
 *		Triggers brought up to date from outside of a posting.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

#include "posting.h"

PG_FUNCTION_INFO_V1(risk_reband_accounts);

/*
 * risk.reband_accounts(book_id, account_ids, wait)
 *		Reckon the triggers of these traders anew, and return how many it were.
 *		Without wait, accounts that another transaction has locked are left out.
 */
Datum
risk_reband_accounts(PG_FUNCTION_ARGS)
{
	int32		book_id = PG_GETARG_INT32(0);
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int64	   *ids;
	int32		rebanded = 0;
	int			nids = 0;
	Wiring	   *wiring = wiring_enter_ledger();
	Posting    *posting = posting_begin(wiring, book_id);

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, 8, true, TYPALIGN_DOUBLE, &elements, &nulls, &n);
	ids = palloc_extended(sizeof(int64) * Max(n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		if (!nulls[i] && DatumGetInt64(elements[i]) > 0)
			ids[nids++] = DatumGetInt64(elements[i]);
	if (PG_GETARG_BOOL(2))
		posting_open(posting, ids, nids);
	else
		posting_open_free(posting, ids, nids);
	for (int i = 0; i < nids; i++)
	{
		LedgerAccount *account = posting_account(posting, ids[i]);

		if (account == NULL || account->rebanded)
			continue;
		posting_reband(account);
		rebanded++;
	}
	posting_write(posting);
	wiring_leave(wiring);
	PG_RETURN_INT32(rebanded);
}
