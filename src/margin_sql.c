/*
 * margin_sql.c
 *		The SQL face of the formulas in margin.c.
 *
 * Here are the functions that SQL calls, and the judgement of their arguments:
 * what passes read_numeric() is what the formulas take for granted.  All of
 * them are declared STRICT in sql/formulas.sql, which also says what each one
 * returns.
 *
 * Errors: 22023 for an argument out of its domain or an unknown kind of
 * contract, 0A000 for a kind without formulas, 22003 for a result that does
 * not fit NUMERIC.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "margin.h"

/* Asset scales are far below; more digits could not be stored sensibly. */
#define MAX_SCALE	38

typedef enum ArgDomain
{
	ARG_FINITE,					/* any number */
	ARG_NOT_NEGATIVE,
	ARG_POSITIVE,
	ARG_ONE_OR_MORE,
	ARG_RATE					/* 0 <= x < 1 */
} ArgDomain;

PG_FUNCTION_INFO_V1(risk_unrealized_pnl);
PG_FUNCTION_INFO_V1(risk_unrealized_pnl_at_cost);
PG_FUNCTION_INFO_V1(risk_notional);
PG_FUNCTION_INFO_V1(risk_maintenance_margin);
PG_FUNCTION_INFO_V1(risk_initial_margin);
PG_FUNCTION_INFO_V1(risk_initial_margin_at_open_interest);
PG_FUNCTION_INFO_V1(risk_volatility_scale);
PG_FUNCTION_INFO_V1(risk_scaled_rate);
PG_FUNCTION_INFO_V1(risk_effective_leverage);
PG_FUNCTION_INFO_V1(risk_free_collateral);
PG_FUNCTION_INFO_V1(risk_withdrawable);
PG_FUNCTION_INFO_V1(risk_liquidation_price);
PG_FUNCTION_INFO_V1(risk_liquidation_price_at_cost);
PG_FUNCTION_INFO_V1(risk_bankruptcy_price);
PG_FUNCTION_INFO_V1(risk_bankruptcy_price_at_cost);

static void
domain_error(const char *name, const char *rule, Numeric value,
			 const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s", name, rule),
			 errdetail("The value given is %.60s.", decimal_to_cstring(value)),
			 errhint("%s", hint)));
}

/* Argument n, which is called name, refused when outside of its domain. */
static Numeric
read_numeric(FunctionCallInfo fcinfo, int n, const char *name, ArgDomain domain)
{
	Numeric		value = PG_GETARG_NUMERIC(n);

	if (!decimal_is_finite(value))
		domain_error(name, "a finite number", value,
					 "Pass NULL for what is unknown; the result is then NULL.");

	switch (domain)
	{
		case ARG_FINITE:
			break;
		case ARG_NOT_NEGATIVE:
			if (decimal_sign(value) < 0)
				domain_error(name, "zero or more", value,
							 "This argument is a size and has no sign.");
			break;
		case ARG_POSITIVE:
			if (decimal_sign(value) <= 0)
				domain_error(name, "greater than zero", value,
							 "Pass NULL for what is unknown; the result is then NULL.");
			break;
		case ARG_ONE_OR_MORE:
			if (decimal_compare(value, decimal_from_int64(1)) < 0)
				domain_error(name, "1 or more", value,
							 "Pass NULL for what is unknown; the result is then NULL.");
			break;
		case ARG_RATE:
			if (decimal_sign(value) < 0 ||
				decimal_compare(value, decimal_from_int64(1)) >= 0)
				domain_error(name, "at least 0 and less than 1", value,
							 "Rates are fractions: 0.5 percent is 0.005.");
			break;
	}
	return value;
}

static int
read_scale(FunctionCallInfo fcinfo, int n)
{
	int32		scale = PG_GETARG_INT32(n);

	if (scale < 0 || scale > MAX_SCALE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scale must be between 0 and %d", MAX_SCALE),
				 errdetail("The value given is %d.", scale),
				 errhint("Pass the scale of the settlement asset, the number of its decimals.")));
	return scale;
}

static ContractKind
read_kind(FunctionCallInfo fcinfo, int n)
{
	return contract_kind(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

/*
 * The cost of the position.  Functions come in two forms that differ in their
 * second argument only: the cost itself, or the entry price to make it from.
 */
static Numeric
read_cost(FunctionCallInfo fcinfo, bool at_cost, ContractKind kind,
		  Numeric qty, Numeric multiplier)
{
	if (at_cost)
		return read_numeric(fcinfo, 1, "cost", ARG_FINITE);
	return contract_value(kind, qty,
						  read_numeric(fcinfo, 1, "entry_price", ARG_POSITIVE),
						  multiplier);
}

/* qty, entry_price | cost, mark_price, multiplier, kind */
static Datum
unrealized_pnl(FunctionCallInfo fcinfo, bool at_cost)
{
	ContractKind kind = read_kind(fcinfo, 4);
	Numeric		qty = read_numeric(fcinfo, 0, "qty", ARG_FINITE);
	Numeric		mark_price = read_numeric(fcinfo, 2, "mark_price", ARG_POSITIVE);
	Numeric		multiplier = read_numeric(fcinfo, 3, "multiplier", ARG_POSITIVE);
	Numeric		cost = read_cost(fcinfo, at_cost, kind, qty, multiplier);

	PG_RETURN_NUMERIC(position_unrealized_pnl(kind, qty, cost, mark_price,
											  multiplier));
}

Datum
risk_unrealized_pnl(PG_FUNCTION_ARGS)
{
	return unrealized_pnl(fcinfo, false);
}

Datum
risk_unrealized_pnl_at_cost(PG_FUNCTION_ARGS)
{
	return unrealized_pnl(fcinfo, true);
}

/* qty, price, multiplier, kind */
Datum
risk_notional(PG_FUNCTION_ARGS)
{
	ContractKind kind = read_kind(fcinfo, 3);
	Numeric		qty = read_numeric(fcinfo, 0, "qty", ARG_FINITE);
	Numeric		price = read_numeric(fcinfo, 1, "price", ARG_POSITIVE);
	Numeric		multiplier = read_numeric(fcinfo, 2, "multiplier", ARG_POSITIVE);

	PG_RETURN_NUMERIC(contract_notional(kind, qty, price, multiplier));
}

/* qty, price, maintenance_rate, maintenance_amount, multiplier, kind */
Datum
risk_maintenance_margin(PG_FUNCTION_ARGS)
{
	ContractKind kind = read_kind(fcinfo, 5);
	Numeric		qty = read_numeric(fcinfo, 0, "qty", ARG_FINITE);
	Numeric		price = read_numeric(fcinfo, 1, "price", ARG_POSITIVE);
	Numeric		rate = read_numeric(fcinfo, 2, "maintenance_rate", ARG_RATE);
	Numeric		amount = read_numeric(fcinfo, 3, "maintenance_amount",
									  ARG_NOT_NEGATIVE);
	Numeric		multiplier = read_numeric(fcinfo, 4, "multiplier", ARG_POSITIVE);

	PG_RETURN_NUMERIC(margin_maintenance(contract_notional(kind, qty, price,
														   multiplier),
										 rate, amount));
}

/* notional, leverage, scale */
Datum
risk_initial_margin(PG_FUNCTION_ARGS)
{
	Numeric		notional = read_numeric(fcinfo, 0, "notional", ARG_NOT_NEGATIVE);
	Numeric		leverage = read_numeric(fcinfo, 1, "leverage", ARG_POSITIVE);

	PG_RETURN_NUMERIC(margin_initial(notional, leverage, read_scale(fcinfo, 2)));
}

/* notional, leverage, scale, open_interest, open_interest_lo, open_interest_hi */
Datum
risk_initial_margin_at_open_interest(PG_FUNCTION_ARGS)
{
	Numeric		notional = read_numeric(fcinfo, 0, "notional", ARG_NOT_NEGATIVE);
	Numeric		leverage = read_numeric(fcinfo, 1, "leverage", ARG_ONE_OR_MORE);
	int			scale = read_scale(fcinfo, 2);
	Numeric		open_interest = read_numeric(fcinfo, 3, "open_interest", ARG_NOT_NEGATIVE);
	Numeric		lo = read_numeric(fcinfo, 4, "open_interest_lo", ARG_NOT_NEGATIVE);
	Numeric		hi = read_numeric(fcinfo, 5, "open_interest_hi", ARG_FINITE);

	if (decimal_compare(lo, hi) >= 0)
		domain_error("open_interest_hi", "greater than open_interest_lo", hi,
					 "The margin grows from the lower to the higher of the two.");

	PG_RETURN_NUMERIC(margin_initial_at_open_interest(notional, leverage, open_interest,
													  lo, hi, scale));
}

/* volatility, reference_volatility, min_scale, max_scale, step */
Datum
risk_volatility_scale(PG_FUNCTION_ARGS)
{
	Numeric		volatility = read_numeric(fcinfo, 0, "volatility", ARG_NOT_NEGATIVE);
	Numeric		reference = read_numeric(fcinfo, 1, "reference_volatility", ARG_POSITIVE);
	Numeric		min_scale = read_numeric(fcinfo, 2, "min_scale", ARG_POSITIVE);
	Numeric		max_scale = read_numeric(fcinfo, 3, "max_scale", ARG_POSITIVE);
	Numeric		step = read_numeric(fcinfo, 4, "step", ARG_POSITIVE);

	if (decimal_compare(min_scale, max_scale) > 0)
		domain_error("max_scale", "at least min_scale", max_scale,
					 "The scale is kept between the two.");

	PG_RETURN_NUMERIC(margin_volatility_scale(volatility, reference, min_scale,
											  max_scale, step));
}

/* maintenance_rate, scale, max_leverage */
Datum
risk_scaled_rate(PG_FUNCTION_ARGS)
{
	Numeric		rate = read_numeric(fcinfo, 0, "maintenance_rate", ARG_RATE);
	Numeric		scale = read_numeric(fcinfo, 1, "scale", ARG_POSITIVE);
	Numeric		max_leverage = read_numeric(fcinfo, 2, "max_leverage", ARG_ONE_OR_MORE);

	PG_RETURN_NUMERIC(margin_scaled_rate(rate, scale, max_leverage));
}

/* max_leverage, chosen */
Datum
risk_effective_leverage(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(margin_effective_leverage(read_numeric(fcinfo, 0, "max_leverage", ARG_POSITIVE),
												read_numeric(fcinfo, 1, "chosen", ARG_POSITIVE)));
}

/* balance, unrealized_pnl, initial_margin, order_reserve */
Datum
risk_free_collateral(PG_FUNCTION_ARGS)
{
	Numeric		balance = read_numeric(fcinfo, 0, "balance", ARG_FINITE);
	Numeric		pnl = read_numeric(fcinfo, 1, "unrealized_pnl", ARG_FINITE);
	Numeric		initial = read_numeric(fcinfo, 2, "initial_margin",
									   ARG_NOT_NEGATIVE);
	Numeric		reserve = read_numeric(fcinfo, 3, "order_reserve",
									   ARG_NOT_NEGATIVE);

	PG_RETURN_NUMERIC(margin_free_collateral(balance, pnl, initial, reserve));
}

/* balance, unrealized_pnl, initial_margin, order_reserve */
Datum
risk_withdrawable(PG_FUNCTION_ARGS)
{
	Numeric		balance = read_numeric(fcinfo, 0, "balance", ARG_FINITE);
	Numeric		pnl = read_numeric(fcinfo, 1, "unrealized_pnl", ARG_FINITE);
	Numeric		initial = read_numeric(fcinfo, 2, "initial_margin",
									   ARG_NOT_NEGATIVE);
	Numeric		reserve = read_numeric(fcinfo, 3, "order_reserve",
									   ARG_NOT_NEGATIVE);

	PG_RETURN_NUMERIC(margin_withdrawable(balance, pnl, initial, reserve));
}

/*
 * qty, entry_price | cost, balance, maintenance_rate, maintenance_amount,
 * other_pnl, other_maintenance, close_fee_rate, multiplier, kind
 */
static Datum
liquidation_price(FunctionCallInfo fcinfo, bool at_cost)
{
	ContractKind kind = read_kind(fcinfo, 9);
	Numeric		qty = read_numeric(fcinfo, 0, "qty", ARG_FINITE);
	Numeric		balance = read_numeric(fcinfo, 2, "balance", ARG_FINITE);
	Numeric		rate = read_numeric(fcinfo, 3, "maintenance_rate", ARG_RATE);
	Numeric		amount = read_numeric(fcinfo, 4, "maintenance_amount",
									  ARG_NOT_NEGATIVE);
	Numeric		other_pnl = read_numeric(fcinfo, 5, "other_pnl", ARG_FINITE);
	Numeric		other_maintenance = read_numeric(fcinfo, 6, "other_maintenance",
												 ARG_NOT_NEGATIVE);
	Numeric		close_fee_rate = read_numeric(fcinfo, 7, "close_fee_rate",
											  ARG_RATE);
	Numeric		multiplier = read_numeric(fcinfo, 8, "multiplier", ARG_POSITIVE);
	Numeric		cost = read_cost(fcinfo, at_cost, kind, qty, multiplier);
	Numeric		price = position_liquidation_price(kind, qty, cost, balance,
												   rate, amount, other_pnl,
												   other_maintenance,
												   close_fee_rate, multiplier);

	if (price == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(price);
}

Datum
risk_liquidation_price(PG_FUNCTION_ARGS)
{
	return liquidation_price(fcinfo, false);
}

Datum
risk_liquidation_price_at_cost(PG_FUNCTION_ARGS)
{
	return liquidation_price(fcinfo, true);
}

/*
 * qty, entry_price | cost, balance, other_pnl, close_fee_rate, multiplier,
 * kind
 */
static Datum
bankruptcy_price(FunctionCallInfo fcinfo, bool at_cost)
{
	ContractKind kind = read_kind(fcinfo, 6);
	Numeric		qty = read_numeric(fcinfo, 0, "qty", ARG_FINITE);
	Numeric		balance = read_numeric(fcinfo, 2, "balance", ARG_FINITE);
	Numeric		other_pnl = read_numeric(fcinfo, 3, "other_pnl", ARG_FINITE);
	Numeric		close_fee_rate = read_numeric(fcinfo, 4, "close_fee_rate",
											  ARG_RATE);
	Numeric		multiplier = read_numeric(fcinfo, 5, "multiplier", ARG_POSITIVE);
	Numeric		cost = read_cost(fcinfo, at_cost, kind, qty, multiplier);
	Numeric		price = position_bankruptcy_price(kind, qty, cost, balance,
												  other_pnl, close_fee_rate,
												  multiplier);

	if (price == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(price);
}

Datum
risk_bankruptcy_price(PG_FUNCTION_ARGS)
{
	return bankruptcy_price(fcinfo, false);
}

Datum
risk_bankruptcy_price_at_cost(PG_FUNCTION_ARGS)
{
	return bankruptcy_price(fcinfo, true);
}
