/*
 * collateral_sql.c
 *		What counts in a margin group, for SQL.
 *
 * What each function returns is said in sql/collateral_formulas.sql.
 */
#include "postgres.h"

#include "arguments.h"
#include "margin.h"

PG_FUNCTION_INFO_V1(risk_collateral_value);
PG_FUNCTION_INFO_V1(risk_collateral_share);

/* Argument n: a part of a price, the whole of it included. */
static Numeric
read_haircut(FunctionCallInfo fcinfo, int n)
{
	Numeric		haircut = read_numeric(fcinfo, n, "haircut", ARG_NOT_NEGATIVE);

	if (decimal_compare(haircut, decimal_from_int64(1)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("haircut must be at most 1"),
				 errdetail("The value given is %.60s.", decimal_to_cstring(haircut)),
				 errhint("Haircuts are fractions: 5 percent is 0.05. With 1 nothing counts.")));
	return haircut;
}

/* amount, index_price, haircut */
Datum
risk_collateral_value(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(margin_collateral_value(read_numeric(fcinfo, 0, "amount", ARG_FINITE),
											  read_numeric(fcinfo, 1, "index_price", ARG_NOT_NEGATIVE),
											  read_haircut(fcinfo, 2)));
}

/* value, index_price, haircut, scale */
Datum
risk_collateral_share(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(margin_collateral_share(read_numeric(fcinfo, 0, "value", ARG_FINITE),
											  read_numeric(fcinfo, 1, "index_price", ARG_NOT_NEGATIVE),
											  read_haircut(fcinfo, 2),
											  read_scale(fcinfo, 3)));
}
