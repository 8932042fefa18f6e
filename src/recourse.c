/*
 * recourse.c
 *		Where posting meets debts and busts: what runs in SQL as posting does.
 *
 * Debts are made with a shortfall and paid by deposits.  There are few of them,
 * and of busts, so what they are is in SQL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"

#include "recourse.h"

PG_FUNCTION_INFO_V1(risk_is_posting);
PG_FUNCTION_INFO_V1(risk_repay);
PG_FUNCTION_INFO_V1(risk_bust);

static const LedgerStatement claim_debts = {
	"SELECT risk.claim_debts($1, $2)",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement pay_debts = {
	"SELECT risk.pay_debts($1, $2)",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement repay_debt = {
	"SELECT risk.repay_debt($1, $2, $3)",
	3, {INT4OID, INT8OID, NUMERICOID}
};

static const LedgerStatement bust_execution = {
	"SELECT risk.bust_execution($1, $2, $3)",
	3, {INT4OID, INT8OID, TEXTOID}
};

/* recourse_claim: make debts of the shortfalls whose policy says so, and freeze who owes them */
void
recourse_claim(Wiring *wiring, int32 book_id, Datum *shortfall_ids, int n)
{
	Datum		values[2] = {Int32GetDatum(book_id), array_argument(shortfall_ids, NULL, n, INT8OID)};

	wiring_write(wiring, &claim_debts, values);
}

/* recourse_pay_debts: what these accounts have pays what they owe; their balances are locked and written */
void
recourse_pay_debts(Wiring *wiring, int32 book_id, Datum *account_ids, int n)
{
	Datum		values[2] = {Int32GetDatum(book_id), array_argument(account_ids, NULL, n, INT8OID)};

	wiring_write(wiring, &pay_debts, values);
}

/*
 * risk.is_posting()
 */
Datum
risk_is_posting(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(wiring_is_writing());
}

/*
 * risk.repay(debt_id, amount, book_id)
 */
Datum
risk_repay(PG_FUNCTION_ARGS)
{
	Datum		values[3] = {PG_GETARG_DATUM(2), PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	Wiring	   *wiring = wiring_enter_ledger();
	Datum		outstanding;

	wiring_write(wiring, &repay_debt, values);
	outstanding = SPI_datumTransfer(NumericGetDatum(result_numeric(0, 1)), false, -1);
	wiring_leave(wiring);
	PG_RETURN_DATUM(outstanding);
}

/*
 * risk.bust(execution_id, reason, book_id)
 */
Datum
risk_bust(PG_FUNCTION_ARGS)
{
	Datum		values[3] = {PG_GETARG_DATUM(2), PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	Wiring	   *wiring = wiring_enter_ledger();
	int64		mirror;

	wiring_write(wiring, &bust_execution, values);
	mirror = result_int64(0, 1);
	wiring_leave(wiring);
	PG_RETURN_INT64(mirror);
}
