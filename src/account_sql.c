/*
 * account_sql.c
 *		The SQL face of the formulas of an account: free collateral, ratios, and
 *		the sums over its positions.
 *
 * What each function returns is said in sql/account_formulas.sql.
 */
#include "postgres.h"

#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/memutils.h"

#include "arguments.h"

PG_FUNCTION_INFO_V1(risk_withdrawable);
PG_FUNCTION_INFO_V1(risk_free_collateral);
PG_FUNCTION_INFO_V1(risk_max_order_qty);
PG_FUNCTION_INFO_V1(risk_funding_payment);
PG_FUNCTION_INFO_V1(risk_margin_ratio);
PG_FUNCTION_INFO_V1(risk_margin_level);
PG_FUNCTION_INFO_V1(risk_risk_ratio);
PG_FUNCTION_INFO_V1(risk_effective_leverage);
PG_FUNCTION_INFO_V1(risk_sum_pnl_step);
PG_FUNCTION_INFO_V1(risk_sum_pnl_result);
PG_FUNCTION_INFO_V1(risk_sum_margins_step);
PG_FUNCTION_INFO_V1(risk_sum_margins_result);
PG_FUNCTION_INFO_V1(risk_sums_combine);
PG_FUNCTION_INFO_V1(risk_sums_serialize);
PG_FUNCTION_INFO_V1(risk_sums_deserialize);

/* Collateral */

/* balance, unrealized_pnl, initial_margin, order_reserve, holds */
typedef struct Collateral
{
	Decimal		balance;
	Decimal		pnl;
	Decimal		initial_margin;
	Decimal		order_reserve;
	Decimal		holds;
} Collateral;

static void
read_collateral(FunctionCallInfo fcinfo, Collateral *collateral)
{
	read_number(fcinfo, 0, "balance", ARG_FINITE, &collateral->balance);
	read_number(fcinfo, 1, "unrealized_pnl", ARG_FINITE, &collateral->pnl);
	read_number(fcinfo, 2, "initial_margin", ARG_NOT_NEGATIVE, &collateral->initial_margin);
	read_number(fcinfo, 3, "order_reserve", ARG_NOT_NEGATIVE, &collateral->order_reserve);
	read_number(fcinfo, 4, "holds", ARG_NOT_NEGATIVE, &collateral->holds);
}

/* and profit_backs_margin */
Datum
risk_withdrawable(PG_FUNCTION_ARGS)
{
	Collateral	c;

	read_collateral(fcinfo, &c);
	PG_RETURN_NUMERIC(dec_to_numeric(account_withdrawable(c.balance, c.pnl, c.initial_margin,
														  c.order_reserve, c.holds,
														  PG_GETARG_BOOL(5))));
}

Datum
risk_free_collateral(PG_FUNCTION_ARGS)
{
	Collateral	c;

	read_collateral(fcinfo, &c);
	PG_RETURN_NUMERIC(dec_to_numeric(account_free_collateral(c.balance, c.pnl, c.initial_margin,
															 c.order_reserve, c.holds)));
}

/* free_collateral, price, leverage, lot, fee_rate, multiplier, kind */
Datum
risk_max_order_qty(PG_FUNCTION_ARGS)
{
	Decimal		free_collateral;
	Decimal		price;
	Decimal		leverage;
	Decimal		lot;
	Decimal		fee_rate;
	Decimal		multiplier;

	read_number(fcinfo, 0, "free_collateral", ARG_FINITE, &free_collateral);
	read_number(fcinfo, 1, "price", ARG_POSITIVE, &price);
	read_number(fcinfo, 2, "leverage", ARG_POSITIVE, &leverage);
	read_number(fcinfo, 3, "lot", ARG_POSITIVE, &lot);
	read_number(fcinfo, 4, "fee_rate", ARG_RATE, &fee_rate);
	read_number(fcinfo, 5, "multiplier", ARG_POSITIVE, &multiplier);
	PG_RETURN_NUMERIC(dec_to_numeric(largest_order(read_kind(fcinfo, 6), free_collateral, price,
												   leverage, fee_rate, lot, multiplier)));
}

/* qty, index_then, index_now, multiplier */
Datum
risk_funding_payment(PG_FUNCTION_ARGS)
{
	Decimal		qty;
	Decimal		index_then;
	Decimal		index_now;
	Decimal		multiplier;

	read_number(fcinfo, 0, "qty", ARG_FINITE, &qty);
	read_number(fcinfo, 1, "index_then", ARG_FINITE, &index_then);
	read_number(fcinfo, 2, "index_now", ARG_FINITE, &index_now);
	read_number(fcinfo, 3, "multiplier", ARG_POSITIVE, &multiplier);
	PG_RETURN_NUMERIC(dec_to_numeric(dec_multiply(dec_multiply(qty, multiplier),
												  dec_subtract(index_then, index_now))));
}

/* Ratios */

/* equity and what it is compared with, arguments 0 and 1, and their quotient */
static Datum
ratio(FunctionCallInfo fcinfo, const char *name, bool equity_above, int factor)
{
	Decimal		above;
	Decimal		below;

	read_number(fcinfo, 0, "equity", ARG_FINITE, equity_above ? &above : &below);
	read_number(fcinfo, 1, name, ARG_NOT_NEGATIVE, equity_above ? &below : &above);
	if (dec_sign(below) <= 0)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(dec_to_numeric(dec_divide(dec_multiply(above, dec_integer(factor)),
												below)));
}

Datum
risk_margin_ratio(PG_FUNCTION_ARGS)
{
	return ratio(fcinfo, "notional", true, 100);
}

Datum
risk_margin_level(PG_FUNCTION_ARGS)
{
	return ratio(fcinfo, "requirement", true, 100);
}

Datum
risk_risk_ratio(PG_FUNCTION_ARGS)
{
	return ratio(fcinfo, "requirement", false, 100);
}

Datum
risk_effective_leverage(PG_FUNCTION_ARGS)
{
	return ratio(fcinfo, "notional", false, 1);
}

/*
 * Sums over the positions of an account, or of any other group.
 *
 * The arithmetic is exact, so neither the order of the rows nor the number of
 * workers changes a digit.
 */
typedef struct MarginSums
{
	bool		any;			/* has there been a row? */
	Decimal		pnl;
	Decimal		notional;
	Decimal		maintenance;
	Decimal		initial;
} MarginSums;

static MarginSums *
new_sums(MemoryContext context)
{
	MarginSums *sums = MemoryContextAlloc(context, sizeof(MarginSums));

	sums->any = false;
	sums->pnl = sums->notional = sums->maintenance = sums->initial = dec_integer(0);
	return sums;
}

/* What does not fit 128 bits has to live as long as the sums. */
fixed_inline void
add_to(Decimal *sum, Decimal value, MemoryContext context)
{
	if (dec_are_fixed(*sum, value) && likely(fixed_add(sum->fixed, value.fixed, &sum->fixed)))
		return;
	{
		MemoryContext caller = MemoryContextSwitchTo(context);
		Numeric		before = sum->numeric;

		*sum = dec_add(*sum, value);
		if (before != NULL && before != sum->numeric)
			pfree(before);
		MemoryContextSwitchTo(caller);
	}
}

/* The state of the aggregate, or NULL when a row with NULLs came first. */
fixed_inline MarginSums *
begin_step(FunctionCallInfo fcinfo, int nargs, MemoryContext *context, bool *skip)
{
	if (!AggCheckCallContext(fcinfo, context))
		elog(ERROR, "called outside of an aggregate");
	*skip = false;
	for (int i = 1; i <= nargs; i++)
		*skip |= PG_ARGISNULL(i);
	if (!PG_ARGISNULL(0))
		return (MarginSums *) PG_GETARG_POINTER(0);
	return *skip ? NULL : new_sums(*context);
}

fixed_inline Datum
end_step(FunctionCallInfo fcinfo, MarginSums *sums)
{
	if (sums == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(sums);
}

/* qty, cost, mark_price, multiplier, kind: the signed value and the profit */
fixed_inline void
read_position(FunctionCallInfo fcinfo, Decimal *value, Decimal *pnl)
{
	Decimal		qty;
	Decimal		cost;
	Decimal		mark_price;
	Decimal		multiplier;

	read_number(fcinfo, 1, "qty", ARG_FINITE, &qty);
	read_number(fcinfo, 2, "cost", ARG_FINITE, &cost);
	read_number(fcinfo, 3, "mark_price", ARG_POSITIVE, &mark_price);
	read_number(fcinfo, 4, "multiplier", ARG_POSITIVE, &multiplier);
	*value = holding_value(read_kind(fcinfo, 5), qty, mark_price, multiplier);
	*pnl = dec_subtract(*value, cost);
}

Datum
risk_sum_pnl_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	bool		skip;
	MarginSums *sums = begin_step(fcinfo, 5, &context, &skip);

	if (!skip)
	{
		Decimal		value;
		Decimal		pnl;

		read_position(fcinfo, &value, &pnl);
		add_to(&sums->pnl, pnl, context);
		sums->any = true;
	}
	return end_step(fcinfo, sums);
}

Datum
risk_sum_pnl_result(PG_FUNCTION_ARGS)
{
	MarginSums *sums = PG_ARGISNULL(0) ? NULL : (MarginSums *) PG_GETARG_POINTER(0);

	if (sums == NULL || !sums->any)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(dec_to_numeric(sums->pnl));
}

/*
 * qty, cost, mark_price, multiplier, kind, tier_floors, tier_rates, leverage,
 * scale
 */
Datum
risk_sum_margins_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	bool		skip;
	MarginSums *sums = begin_step(fcinfo, 9, &context, &skip);

	if (!skip)
	{
		const TierTable *tiers = read_tiers(fcinfo, 6);
		Decimal		leverage;
		Decimal		notional;
		Decimal		pnl;

		read_number(fcinfo, 8, "leverage", ARG_POSITIVE, &leverage);
		read_position(fcinfo, &notional, &pnl);
		notional = dec_absolute(notional);
		add_to(&sums->pnl, pnl, context);
		add_to(&sums->notional, notional, context);
		add_to(&sums->maintenance, maintenance_margin_by_tiers(tiers, notional), context);
		add_to(&sums->initial, initial_margin(notional, leverage, read_scale(fcinfo, 9)), context);
		sums->any = true;
	}
	return end_step(fcinfo, sums);
}

Datum
risk_sum_margins_result(PG_FUNCTION_ARGS)
{
	MarginSums *sums = PG_ARGISNULL(0) ? NULL : (MarginSums *) PG_GETARG_POINTER(0);
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	if (sums == NULL || !sums->any)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE || tupdesc->natts != 4)
		elog(ERROR, "risk.sum_margins must return risk.margin_sums");
	values[0] = NumericGetDatum(dec_to_numeric(sums->pnl));
	values[1] = NumericGetDatum(dec_to_numeric(sums->notional));
	values[2] = NumericGetDatum(dec_to_numeric(sums->maintenance));
	values[3] = NumericGetDatum(dec_to_numeric(sums->initial));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* Of workers */

Datum
risk_sums_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MarginSums *into = PG_ARGISNULL(0) ? NULL : (MarginSums *) PG_GETARG_POINTER(0);
	MarginSums *from = PG_ARGISNULL(1) ? NULL : (MarginSums *) PG_GETARG_POINTER(1);

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "called outside of an aggregate");
	if (from != NULL && from->any)
	{
		if (into == NULL)
			into = new_sums(context);
		add_to(&into->pnl, from->pnl, context);
		add_to(&into->notional, from->notional, context);
		add_to(&into->maintenance, from->maintenance, context);
		add_to(&into->initial, from->initial, context);
		into->any = true;
	}
	return end_step(fcinfo, into);
}

/* Within one server, so the bytes of a numeric will do. */
static void
send_decimal(StringInfo buffer, Decimal value)
{
	Numeric		numeric = dec_to_numeric(value);

	pq_sendint32(buffer, VARSIZE(numeric));
	pq_sendbytes(buffer, (char *) numeric, VARSIZE(numeric));
}

static Decimal
receive_decimal(StringInfo buffer)
{
	int			size = pq_getmsgint(buffer, 4);
	char	   *numeric = palloc(size);

	pq_copymsgbytes(buffer, numeric, size);
	return dec_from_numeric((Numeric) numeric);
}

Datum
risk_sums_serialize(PG_FUNCTION_ARGS)
{
	MarginSums *sums = (MarginSums *) PG_GETARG_POINTER(0);
	StringInfoData buffer;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "called outside of an aggregate");
	pq_begintypsend(&buffer);
	pq_sendbyte(&buffer, sums->any);
	send_decimal(&buffer, sums->pnl);
	send_decimal(&buffer, sums->notional);
	send_decimal(&buffer, sums->maintenance);
	send_decimal(&buffer, sums->initial);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

Datum
risk_sums_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *stored;
	MarginSums *sums;
	StringInfoData buffer;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "called outside of an aggregate");
	stored = PG_GETARG_BYTEA_PP(0);
	initStringInfo(&buffer);
	appendBinaryStringInfo(&buffer, VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored));
	sums = new_sums(CurrentMemoryContext);
	sums->any = pq_getmsgbyte(&buffer);
	sums->pnl = receive_decimal(&buffer);
	sums->notional = receive_decimal(&buffer);
	sums->maintenance = receive_decimal(&buffer);
	sums->initial = receive_decimal(&buffer);
	pq_getmsgend(&buffer);
	PG_RETURN_POINTER(sums);
}
