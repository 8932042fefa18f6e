/*
 * alert.c
 *		Which alert levels an account has been told of.
 *
 * Who is told what is decided in alert.sql, which has locked the account.
 * Here it is noted, and the triggers are moved to where they then belong.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"

#include "posting.h"

PG_FUNCTION_INFO_V1(risk_note_alert);

static const LedgerStatement write_state = {
	"INSERT INTO {alert_state} AS s (book_id, account_id, fired_level) VALUES ($1, $2, $3)"
	" ON CONFLICT (book_id, account_id) DO UPDATE SET fired_level = excluded.fired_level, changed_at = clock_timestamp()"
	"  WHERE s.fired_level <> excluded.fired_level",
	3, {INT4OID, INT8OID, NUMERICOID}
};

static const LedgerStatement delete_state = {
	"DELETE FROM {alert_state} s WHERE s.book_id = $1 AND s.account_id = $2",
	2, {INT4OID, INT8OID}
};

/*
 * risk.note_alert(book_id, account_id, fired_level)
 *		The lowest level that the account has been told of; NULL: none.
 */
Datum
risk_note_alert(PG_FUNCTION_ARGS)
{
	int32		book_id;
	int64		account_id;
	Wiring	   *wiring;
	Posting    *posting;
	LedgerAccount *account;
	Datum		values[3];

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("risk.note_alert() needs a book and an account")));
	book_id = PG_GETARG_INT32(0);
	account_id = PG_GETARG_INT64(1);
	wiring = wiring_enter_ledger();
	posting = posting_begin(wiring, book_id);
	posting_open(posting, &account_id, 1);
	account = posting_account(posting, account_id);
	if (account == NULL || account->kind != ACCOUNT_TRADER)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("account " INT64_FORMAT " of book %d is no account of a trader", account_id, book_id),
				 errhint("See the table account.")));
	values[0] = Int32GetDatum(book_id);
	values[1] = Int64GetDatum(account_id);
	values[2] = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	wiring_write(wiring, PG_ARGISNULL(2) ? &delete_state : &write_state, values);
	posting_reband(account);
	posting_write(posting);
	wiring_leave(wiring);
	PG_RETURN_VOID();
}
