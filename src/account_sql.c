/*
 * account_sql.c
 *		The SQL face of the formulas of an account: free collateral, ratios, and
 *		the sums over its positions.
 *
 * What each function returns is said in sql/account_formulas.sql.
 */
#include "postgres.h"

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
PG_FUNCTION_INFO_V1(risk_sum_unrealized_pnl_step);
PG_FUNCTION_INFO_V1(risk_sum_notional_step);
PG_FUNCTION_INFO_V1(risk_sum_maintenance_margin_step);
PG_FUNCTION_INFO_V1(risk_sum_liquidation_requirement_step);
PG_FUNCTION_INFO_V1(risk_sum_initial_margin_step);
PG_FUNCTION_INFO_V1(risk_sum_result);
PG_FUNCTION_INFO_V1(risk_sum_combine);
PG_FUNCTION_INFO_V1(risk_sum_serialize);
PG_FUNCTION_INFO_V1(risk_sum_deserialize);

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

/*
 * free_collateral, price, leverage, lot, fee_rate, multiplier, kind,
 * opposing_qty, opposing_margin
 */
Datum
risk_max_order_qty(PG_FUNCTION_ARGS)
{
	Decimal		free_collateral;
	Decimal		price;
	Decimal		leverage;
	Decimal		lot;
	Decimal		fee_rate;
	Decimal		multiplier;
	Decimal		opposing_qty;
	Decimal		opposing_margin;

	read_number(fcinfo, 0, "free_collateral", ARG_FINITE, &free_collateral);
	read_number(fcinfo, 1, "price", ARG_POSITIVE, &price);
	read_number(fcinfo, 2, "leverage", ARG_POSITIVE, &leverage);
	read_number(fcinfo, 3, "lot", ARG_POSITIVE, &lot);
	read_number(fcinfo, 4, "fee_rate", ARG_RATE, &fee_rate);
	read_number(fcinfo, 5, "multiplier", ARG_POSITIVE, &multiplier);
	read_number(fcinfo, 7, "opposing_qty", ARG_NOT_NEGATIVE, &opposing_qty);
	read_number(fcinfo, 8, "opposing_margin", ARG_NOT_NEGATIVE, &opposing_margin);
	PG_RETURN_NUMERIC(dec_to_numeric(largest_order(read_kind(fcinfo, 6), free_collateral, price,
												   leverage, fee_rate, lot, multiplier,
												   opposing_qty, opposing_margin)));
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
 * The state is the sum itself, NULL before the first row.  The arithmetic is
 * exact, so neither the order of the rows nor the number of workers changes a
 * digit.
 */

/* The first row, and sums that are not in 128 bits: those have to live as long. */
static Datum
add_to_sum_in_context(FunctionCallInfo fcinfo, FixedInt fixed, int scale, Numeric numeric)
{
	Decimal    *sum = PG_ARGISNULL(0) ? NULL : (Decimal *) PG_GETARG_POINTER(0);
	Decimal		value = {{fixed, scale}, numeric};
	MemoryContext context;
	MemoryContext caller;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "called outside of an aggregate");
	caller = MemoryContextSwitchTo(context);
	if (sum == NULL)
	{
		sum = palloc(sizeof(Decimal));
		*sum = value;
		if (value.numeric != NULL)
			sum->numeric = DatumGetNumericCopy(NumericGetDatum(value.numeric));
	}
	else
	{
		Numeric		before = sum->numeric;

		*sum = dec_add(*sum, value);
		if (before != NULL)
			pfree(before);
	}
	MemoryContextSwitchTo(caller);
	PG_RETURN_POINTER(sum);
}

/* Add to the state. */
fixed_inline Datum
add_to_sum(FunctionCallInfo fcinfo, Decimal value)
{
	Decimal    *sum = (Decimal *) PG_GETARG_POINTER(0);

	/* A state exists in an aggregate alone, so only its making asks for one. */
	if (likely(!PG_ARGISNULL(0) && dec_are_fixed(*sum, value)) &&
		likely(fixed_add(sum->fixed, value.fixed, &sum->fixed)))
		PG_RETURN_POINTER(sum);
	return add_to_sum_in_context(fcinfo, value.fixed.value, value.fixed.scale, value.numeric);
}

/* Does the row count?  A row with a NULL does not: then the state stays. */
fixed_inline bool
is_summed(FunctionCallInfo fcinfo, int nargs)
{
	bool		has_null = false;

	/* the compiler leaves a loop of branches as it is */
#pragma GCC unroll 8
	for (int i = 1; i <= nargs; i++)
		has_null |= PG_ARGISNULL(i);
	return !has_null;
}

#define RETURN_SUM_AS_IT_IS() \
	do { \
		if (PG_ARGISNULL(0)) \
			PG_RETURN_NULL(); \
		PG_RETURN_POINTER(PG_GETARG_POINTER(0)); \
	} while (0)

/* the signed value of qty and price, arguments 1 and price */
fixed_inline Decimal
read_value(FunctionCallInfo fcinfo, int price, int multiplier, int kind)
{
	Decimal		qty;
	Decimal		paid;
	Decimal		contract;

	read_number(fcinfo, 1, "qty", ARG_FINITE, &qty);
	read_number(fcinfo, price, "price", ARG_POSITIVE, &paid);
	read_number(fcinfo, multiplier, "multiplier", ARG_POSITIVE, &contract);
	return holding_value(read_kind(fcinfo, kind), qty, paid, contract);
}

/* qty, cost, mark_price, multiplier, kind */
Datum
risk_sum_unrealized_pnl_step(PG_FUNCTION_ARGS)
{
	Decimal		cost;

	if (!is_summed(fcinfo, 5))
		RETURN_SUM_AS_IT_IS();
	read_number(fcinfo, 2, "cost", ARG_FINITE, &cost);
	return add_to_sum(fcinfo, dec_subtract(read_value(fcinfo, 3, 4, 5), cost));
}

/* qty, price, multiplier, kind */
Datum
risk_sum_notional_step(PG_FUNCTION_ARGS)
{
	if (!is_summed(fcinfo, 4))
		RETURN_SUM_AS_IT_IS();
	return add_to_sum(fcinfo, dec_absolute(read_value(fcinfo, 2, 3, 4)));
}

/* qty, price, tier_floors, tier_rates, multiplier, kind */
Datum
risk_sum_maintenance_margin_step(PG_FUNCTION_ARGS)
{
	const TierTable *tiers;

	if (!is_summed(fcinfo, 6))
		RETURN_SUM_AS_IT_IS();
	tiers = read_tiers(fcinfo, 3);
	return add_to_sum(fcinfo,
					  maintenance_margin_by_tiers(tiers, dec_absolute(read_value(fcinfo, 2, 5, 6))));
}

/* qty, price, tier_floors, tier_rates, liquidation_fee_rate, multiplier, kind */
Datum
risk_sum_liquidation_requirement_step(PG_FUNCTION_ARGS)
{
	Decimal		fee_rate;
	Decimal		notional;
	Decimal		maintenance;

	if (!is_summed(fcinfo, 7))
		RETURN_SUM_AS_IT_IS();
	read_number(fcinfo, 5, "liquidation_fee_rate", ARG_RATE, &fee_rate);
	notional = dec_absolute(read_value(fcinfo, 2, 6, 7));
	maintenance = maintenance_margin_by_tiers(read_tiers(fcinfo, 3), notional);
	return add_to_sum(fcinfo, liquidation_requirement(notional, maintenance, fee_rate));
}

/* qty, price, leverage, scale, multiplier, kind */
Datum
risk_sum_initial_margin_step(PG_FUNCTION_ARGS)
{
	Decimal		leverage;

	if (!is_summed(fcinfo, 6))
		RETURN_SUM_AS_IT_IS();
	read_number(fcinfo, 3, "leverage", ARG_POSITIVE, &leverage);
	return add_to_sum(fcinfo,
					  initial_margin(dec_absolute(read_value(fcinfo, 2, 5, 6)), leverage,
									 read_scale(fcinfo, 4)));
}

Datum
risk_sum_result(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(dec_to_numeric(*(Decimal *) PG_GETARG_POINTER(0)));
}

/* Of workers */

Datum
risk_sum_combine(PG_FUNCTION_ARGS)
{
	if (!is_summed(fcinfo, 1))
		RETURN_SUM_AS_IT_IS();
	return add_to_sum(fcinfo, *(Decimal *) PG_GETARG_POINTER(1));
}

/* Within one server, so the bytes of the numeric will do. */
Datum
risk_sum_serialize(PG_FUNCTION_ARGS)
{
	Numeric		sum;
	bytea	   *sent;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "called outside of an aggregate");
	sum = dec_to_numeric(*(Decimal *) PG_GETARG_POINTER(0));
	sent = palloc(VARSIZE(sum));
	memcpy(sent, sum, VARSIZE(sum));
	PG_RETURN_BYTEA_P(sent);
}

Datum
risk_sum_deserialize(PG_FUNCTION_ARGS)
{
	Decimal    *sum;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "called outside of an aggregate");
	sum = palloc(sizeof(Decimal));
	*sum = dec_from_datum(PG_GETARG_DATUM(0));
	if (sum->numeric != NULL)
		sum->numeric = DatumGetNumericCopy(NumericGetDatum(sum->numeric));
	PG_RETURN_POINTER(sum);
}
