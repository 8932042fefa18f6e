/*
 * ranks_sql.c
 *		The SQL face of adl_rank.c and loss_share.c.
 *
 * What each function returns is said in sql/ranks.sql.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "arguments.h"
#include "compat.h"
#include "margin.h"

PG_FUNCTION_INFO_V1(risk_adl_rank_bitmex);
PG_FUNCTION_INFO_V1(risk_adl_rank_coinex);
PG_FUNCTION_INFO_V1(risk_adl_rank_pnl_equity);
PG_FUNCTION_INFO_V1(risk_loss_shares);
PG_FUNCTION_INFO_V1(risk_loss_shares_by_weight);

static Datum
return_rank(FunctionCallInfo fcinfo, bool exists, Decimal rank)
{
	if (!exists)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(dec_to_numeric(rank));
}

/* mark_value, entry_value, bankruptcy_value */
Datum
risk_adl_rank_bitmex(PG_FUNCTION_ARGS)
{
	Decimal		mark_value;
	Decimal		entry_value;
	Decimal		bankruptcy_value;
	Decimal		rank = dec_integer(0);
	bool		exists;

	read_number(fcinfo, 0, "mark_value", ARG_FINITE, &mark_value);
	read_number(fcinfo, 1, "entry_value", ARG_FINITE, &entry_value);
	read_number(fcinfo, 2, "bankruptcy_value", ARG_FINITE, &bankruptcy_value);
	exists = adl_rank_bitmex(mark_value, entry_value, bankruptcy_value, &rank);
	return return_rank(fcinfo, exists, rank);
}

/* unrealized_pnl, entry_value, leverage */
Datum
risk_adl_rank_coinex(PG_FUNCTION_ARGS)
{
	Decimal		unrealized_pnl;
	Decimal		entry_value;
	Decimal		leverage;
	Decimal		rank = dec_integer(0);
	bool		exists;

	read_number(fcinfo, 0, "unrealized_pnl", ARG_FINITE, &unrealized_pnl);
	read_number(fcinfo, 1, "entry_value", ARG_FINITE, &entry_value);
	read_number(fcinfo, 2, "leverage", ARG_POSITIVE, &leverage);
	exists = adl_rank_coinex(unrealized_pnl, entry_value, leverage, &rank);
	return return_rank(fcinfo, exists, rank);
}

/* unrealized_pnl, equity */
Datum
risk_adl_rank_pnl_equity(PG_FUNCTION_ARGS)
{
	Decimal		unrealized_pnl;
	Decimal		equity;
	Decimal		rank = dec_integer(0);
	bool		exists;

	read_number(fcinfo, 0, "unrealized_pnl", ARG_FINITE, &unrealized_pnl);
	read_number(fcinfo, 1, "equity", ARG_FINITE, &equity);
	exists = adl_rank_pnl_equity(unrealized_pnl, equity, &rank);
	return return_rank(fcinfo, exists, rank);
}

static void
amount_error(const char *rule, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", rule),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint)));
}

/* Argument arg, an array of numbers that are not negative. */
static Numeric *
read_amounts(FunctionCallInfo fcinfo, int arg, const char *name, int *n)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(arg);
	Datum	   *elements;
	bool	   *nulls;
	Numeric    *amounts;

	if (ARR_NDIM(array) > 1)
		amount_error(psprintf("%s must have one dimension", name),
					 psprintf("It has %d.", ARR_NDIM(array)),
					 "Pass one number for each account.");
	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	amounts = palloc(sizeof(Numeric) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		Decimal		value;

		if (nulls[i])
			amount_error(psprintf("%s must not contain NULL", name),
						 psprintf("Element %d is NULL.", i + 1),
						 "Who has nothing to pay with has 0.");
		value = dec_from_datum(elements[i]);
		judge_number(value.fixed.value, value.fixed.scale, value.numeric, name, ARG_NOT_NEGATIVE);
		amounts[i] = dec_to_numeric(value);
	}
	return amounts;
}

/* The shares as an array; limits are rounded down to the scale. */
static Datum
return_shares(Numeric *weights, Numeric *limits, int n, Numeric loss, int scale)
{
	Numeric    *shares;
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	if (decimal_scale(loss) > scale)
		amount_error(psprintf("loss must have at most %d decimals", scale),
					 psprintf("The value given is %.60s.", decimal_to_cstring(loss)),
					 "Pass the scale of the asset of the loss.");
	shares = loss_shares(weights, limits, n, loss, scale);
	for (int i = 0; i < n; i++)
		elements[i] = NumericGetDatum(shares[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, n, NUMERICOID, -1, false, TYPALIGN_INT));
}

static void
round_down(Numeric *amounts, int n, int scale)
{
	for (int i = 0; i < n; i++)
		amounts[i] = decimal_round(amounts[i], scale, DECIMAL_DOWN);
}

/* claims, loss, scale */
Datum
risk_loss_shares(PG_FUNCTION_ARGS)
{
	int			scale = read_scale(fcinfo, 2);
	int			n;
	Numeric    *claims = read_amounts(fcinfo, 0, "a claim", &n);

	round_down(claims, n, scale);
	return return_shares(claims, claims, n, read_numeric(fcinfo, 1, "loss", ARG_NOT_NEGATIVE), scale);
}

/* weights, limits, loss, scale */
Datum
risk_loss_shares_by_weight(PG_FUNCTION_ARGS)
{
	int			scale = read_scale(fcinfo, 3);
	int			n;
	int			nlimits;
	Numeric    *weights = read_amounts(fcinfo, 0, "a weight", &n);
	Numeric    *limits = read_amounts(fcinfo, 1, "a limit", &nlimits);

	if (n != nlimits)
		amount_error("weights and limits must have the same length",
					 psprintf("The lengths are %d and %d.", n, nlimits),
					 "Pass one of each for each account.");
	round_down(limits, n, scale);
	return return_shares(weights, limits, n, read_numeric(fcinfo, 2, "loss", ARG_NOT_NEGATIVE), scale);
}
