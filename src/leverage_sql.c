/*
 * leverage_sql.c
 *		The SQL face of leverage.c.
 *
 * What each function returns is said in sql/leverage_formulas.sql.
 */
#include "postgres.h"

#include "arguments.h"
#include "margin.h"

PG_FUNCTION_INFO_V1(risk_initial_margin_at_open_interest);
PG_FUNCTION_INFO_V1(risk_volatility_scale);
PG_FUNCTION_INFO_V1(risk_scaled_rate);
PG_FUNCTION_INFO_V1(risk_leverage_in_force);

static void
order_error(const char *rule, Numeric value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", rule),
			 errdetail("The value given is %.60s.", decimal_to_cstring(value)),
			 errhint("%s", hint)));
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
		order_error("open_interest_hi must be greater than open_interest_lo", hi,
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
		order_error("max_scale must be at least min_scale", max_scale,
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
risk_leverage_in_force(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(margin_effective_leverage(read_numeric(fcinfo, 0, "max_leverage", ARG_POSITIVE),
												read_numeric(fcinfo, 1, "chosen", ARG_POSITIVE)));
}
