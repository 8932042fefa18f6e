/*
 * floor.c
 *		Changes of the floor of an account.
 *
 * The balance is locked first, a trader's as posting locks it, a system
 * account's by the gate: a posting in flight is waited for, and one that comes
 * later finds the new floor.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "posting.h"

PG_FUNCTION_INFO_V1(risk_set_floor);

static const LedgerStatement update_floor = {
	"UPDATE {balance} AS b SET floor = $3 WHERE b.book_id = $1 AND b.slot = 0 AND b.account_id = $2",
	3, {INT4OID, INT8OID, NUMERICOID}
};

static const LedgerStatement insert_floor_event = {
	"INSERT INTO {event} (book_id, account_id, kind, payload)"
	" VALUES ($1, $2, 'floor_change',"
	"  jsonb_build_object('floor', jsonb_build_array($3, $4), 'balance', $5, 'reason', $6))",
	6, {INT4OID, INT8OID, NUMERICOID, NUMERICOID, NUMERICOID, TEXTOID}
};

/* The account with its slot 0 locked; 23503 when there is none, 22023 when it has no floor. */
static LedgerAccount *
lock_floored_account(Posting *posting, int32 book_id, int64 account_id)
{
	LedgerAccount *account;

	posting_open(posting, &account_id, 1);
	account = posting_account(posting, account_id);
	if (account == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("account " INT64_FORMAT " does not exist in book %d", account_id, book_id),
				 errhint("Insert it into the table account first.")));
	if (account->kind != ACCOUNT_TRADER)
		posting_pass_gate(posting, &account, 1);
	if (account->floor == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account " INT64_FORMAT " of book %d has no floor", account_id, book_id),
				 errdetail("It is a %s account, which may be below zero without limit.",
						   account_kind_name(account->kind)),
				 errhint("Traders, insurance funds and liquidity accounts have floors.")));
	return account;
}

/*
 * risk.set_floor(account_id, floor, reason, book_id)
 *		Returns the floor before.
 */
Datum
risk_set_floor(PG_FUNCTION_ARGS)
{
	int64		account_id;
	int32		book_id;
	Numeric		floor;
	Numeric		before;
	Numeric		balance;
	Wiring	   *wiring;
	Posting    *posting;
	LedgerAccount *account;

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("account, floor, reason and book must be given"),
					 errhint("The floor of an account can be any number, but it cannot be taken away.")));
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(2)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a change of a floor needs a reason"),
				 errhint("Say in a few words why it changes.")));
	account_id = PG_GETARG_INT64(0);
	book_id = PG_GETARG_INT32(3);

	floor = PG_GETARG_NUMERIC(1);

	wiring = wiring_enter_ledger();
	posting = posting_begin(wiring, book_id);
	account = lock_floored_account(posting, book_id, account_id);
	check_number("account", account_id, "floor", floor, account->scale, NUMBER_ANY_SIGN);
	if (account->kind != ACCOUNT_INSURANCE_FUND && decimal_sign(floor) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("floor of account " INT64_FORMAT " of book %d cannot be above zero", account_id, book_id),
				 errdetail("The floor would be %s. What a loss leaves below a floor others pay, so that would be a guarantee of the balance.",
						   decimal_to_cstring(floor)),
				 errhint("Only an insurance fund can have such a floor, which it keeps.")));
	before = account->floor;
	balance = account->kind == ACCOUNT_TRADER ? account->amount : posting_total(posting, account);
	if (decimal_compare(floor, before) > 0 && decimal_compare(floor, balance) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("floor of account " INT64_FORMAT " of book %d cannot be raised above its balance",
						account_id, book_id),
				 errdetail("The floor would be %s, the balance is %s, the floor now %s.",
						   decimal_to_cstring(floor), decimal_to_cstring(balance), decimal_to_cstring(before)),
				 errhint("Pay money in first: a floor is never raised at somebody else's expense.")));
	if (decimal_compare(floor, before) != 0)
	{
		Datum		values[6] = {Int32GetDatum(book_id), Int64GetDatum(account_id), NumericGetDatum(floor)};

		wiring_write(wiring, &update_floor, values);
		values[2] = NumericGetDatum(before);
		values[3] = NumericGetDatum(floor);
		values[4] = NumericGetDatum(balance);
		values[5] = PG_GETARG_DATUM(2);
		wiring_write(wiring, &insert_floor_event, values);
	}
	before = DatumGetNumeric(SPI_datumTransfer(NumericGetDatum(before), false, -1));
	wiring_leave(wiring);
	PG_RETURN_NUMERIC(before);
}
