/*
 * liquidation.c
 *		What a liquidation posts: positions, or parts of them, that the
 *		liquidity account takes, and what the account is charged for it.
 *
 * How much, in what order and at what price is decided in liquidation.sql,
 * which has locked the account.  The trades are posted like any others.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "posting.h"
#include "takeover.h"
#include "waterfall.h"

PG_FUNCTION_INFO_V1(risk_take_part);
PG_FUNCTION_INFO_V1(risk_close_insolvent);
PG_FUNCTION_INFO_V1(risk_charge_liquidation);

/* The account itself, locked; the caller has locked it already. */
static LedgerAccount *
open_account(Posting *posting, int32 book_id, int64 account_id)
{
	LedgerAccount *account;

	posting_open(posting, &account_id, 1);
	account = posting_account(posting, account_id);
	if (account == NULL || account->kind != ACCOUNT_TRADER)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("account " INT64_FORMAT " of book %d cannot be liquidated", account_id, book_id),
				 errdetail("There is no such account of a trader."),
				 errhint("See the table account.")));
	return account;
}

static Numeric
numeric_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : PG_GETARG_NUMERIC(argument);
}

/*
 * risk.take_part(book_id, account_id, instrument_id, qty, price, bankruptcy_price, mark_price)
 *		The liquidity account takes so much of a position; returns the number of
 *		the execution.  The last two may be NULL.
 */
Datum
risk_take_part(PG_FUNCTION_ARGS)
{
	int32		book_id;
	Wiring	   *wiring;
	Posting    *posting;
	LedgerAccount *account;
	Takeover	takeover;

	for (int i = 0; i < 5; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d of risk.take_part() must not be NULL", i + 1)));
	book_id = PG_GETARG_INT32(0);
	wiring = wiring_enter_ledger();
	posting = posting_begin(wiring, book_id);
	account = open_account(posting, book_id, PG_GETARG_INT64(1));
	takeover = (Takeover)
	{
		.account_id = account->account_id,
			.liquidity_account = posting_system_account(posting, ACCOUNT_LIQUIDITY, account->asset_code)->account_id,
			.instrument_id = PG_GETARG_INT32(2),
			.qty = PG_GETARG_NUMERIC(3),
			.price = PG_GETARG_NUMERIC(4),
			.bankruptcy_price = numeric_argument(fcinfo, 5),
			.mark_price = numeric_argument(fcinfo, 6)
	};
	takeover_trade(wiring, book_id, &takeover, 1);
	takeover_judge_capacity(wiring, book_id, &takeover, 1);
	takeover_record(wiring, book_id, &takeover, 1);
	wiring_leave(wiring);
	PG_RETURN_INT64(takeover.execution_id);
}

/*
 * risk.close_insolvent(book_id, account_id)
 *		See waterfall_close_insolvent().
 */
Datum
risk_close_insolvent(PG_FUNCTION_ARGS)
{
	int32		book_id = PG_GETARG_INT32(0);
	Wiring	   *wiring = wiring_enter_ledger();
	LedgerAccount *account = open_account(posting_begin(wiring, book_id), book_id, PG_GETARG_INT64(1));

	waterfall_close_insolvent(wiring, book_id, account->account_id);
	wiring_leave(wiring);
	PG_RETURN_VOID();
}

/*
 * risk.charge_liquidation(book_id, account_id, liquidation_id, kind, to_fund, to_liquidity, to_fee)
 *		Entries of that kind: out of the account, to the insurance fund, the
 *		liquidity account and the fee account.
 */
Datum
risk_charge_liquidation(PG_FUNCTION_ARGS)
{
	static const AccountKind kinds[3] = {ACCOUNT_INSURANCE_FUND, ACCOUNT_LIQUIDITY, ACCOUNT_FEE};
	int32		book_id = PG_GETARG_INT32(0);
	int64		cause = PG_GETARG_INT64(2);
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(3));
	Wiring	   *wiring = wiring_enter_ledger();
	Posting    *posting = posting_begin(wiring, book_id);
	LedgerAccount *account = open_account(posting, book_id, PG_GETARG_INT64(1));
	LedgerAccount *payees[3];
	Numeric		amounts[3];
	TimestampTz now = GetCurrentTimestamp();

	/* slots first, then the gate */
	for (int i = 2; i >= 0; i--)
	{
		amounts[i] = decimal_round(PG_GETARG_NUMERIC(4 + i), account->scale, DECIMAL_DOWN);
		payees[i] = posting_system_account(posting, kinds[i], account->asset_code);
		if (decimal_sign(amounts[i]) > 0 && kinds[i] != ACCOUNT_LIQUIDITY)
			posting_take_slots(posting, &payees[i], 1);
	}
	if (decimal_sign(amounts[1]) > 0)
		posting_pass_gate(posting, &payees[1], 1);
	for (int i = 0; i < 3; i++)
		if (decimal_sign(amounts[i]) > 0)
		{
			posting_post(posting, account, decimal_negate(amounts[i]), kind, cause, now);
			posting_post(posting, payees[i], amounts[i], kind, cause, now);
		}
	posting_write(posting);
	wiring_leave(wiring);
	PG_RETURN_VOID();
}
