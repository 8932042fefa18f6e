/*
 * check_order.c
 *		What booking an order as a trade would do, asked before it happens.
 *
 * The trade is booked in memory by the code that books it in earnest, see
 * trade_try() and limits_try().  Nothing is written and no row locked.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "limits.h"
#include "trade.h"

PG_FUNCTION_INFO_V1(risk_try_trade);
PG_FUNCTION_INFO_V1(risk_try_limits);

#define OUTCOME_COLUMNS	8

/*
 * risk.try_trade(book_id, account_id, instrument_id, side, qty, price, fee)
 *		The outcome of a trade, or the error with which it would be refused.
 */
Datum
risk_try_trade(PG_FUNCTION_ARGS)
{
	OrderedTrade order = {
		.account_id = PG_GETARG_INT64(1),
		.instrument_id = PG_GETARG_INT32(2),
		.buys = strcmp(text_to_cstring(PG_GETARG_TEXT_PP(3)), "buy") == 0,
		.qty = PG_GETARG_NUMERIC(4),
		.price = PG_GETARG_NUMERIC(5),
		.fee = PG_GETARG_NUMERIC(6)
	};
	MemoryContext caller = CurrentMemoryContext;
	TupleDesc	description;
	Datum		values[OUTCOME_COLUMNS];
	bool		nulls[OUTCOME_COLUMNS] = {0};
	Wiring	   *wiring;
	TradeOutcome outcome;
	HeapTuple	tuple;

	if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type of risk.try_trade() is not a row");
	wiring = wiring_enter_trial();
	outcome = trade_try(wiring, PG_GETARG_INT32(0), &order);
	values[0] = NumericGetDatum(outcome.qty_before);
	values[1] = NumericGetDatum(outcome.qty);
	values[2] = NumericGetDatum(outcome.cost);
	values[3] = BoolGetDatum(outcome.adds_risk);
	values[4] = NumericGetDatum(outcome.realized_pnl);
	values[5] = NumericGetDatum(outcome.margin_moved);
	values[6] = NumericGetDatum(outcome.balance_change);
	values[7] = NumericGetDatum(outcome.open_interest_change);
	/* the rest is gone with the wiring */
	MemoryContextSwitchTo(caller);
	tuple = heap_form_tuple(BlessTupleDesc(description), values, nulls);
	wiring_leave(wiring);
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}

/*
 * risk.try_limits(book_id, account_id, instrument_id, qty_before, qty, cost, open_interest_change)
 *		The error with which a trade beyond a limit would be refused.
 */
Datum
risk_try_limits(PG_FUNCTION_ARGS)
{
	TrialPosition trial = {
		.account_id = PG_GETARG_INT64(1),
		.instrument_id = PG_GETARG_INT32(2),
		.qty = PG_GETARG_NUMERIC(4),
		.cost = PG_GETARG_NUMERIC(5),
		.open_interest_change = PG_GETARG_NUMERIC(6)
	};
	Wiring	   *wiring = wiring_enter_trial();

	limits_try(wiring, PG_GETARG_INT32(0), &trial, PG_GETARG_NUMERIC(3));
	wiring_leave(wiring);
	PG_RETURN_VOID();
}
