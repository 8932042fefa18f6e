/*
 * replay_sql.c
 *		What a row of trades makes of a position, for functions in SQL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "decimal.h"
#include "margin.h"

PG_FUNCTION_INFO_V1(risk_replay_trades);

/* The elements of an array of numbers, none of them NULL. */
static Numeric *
numbers(ArrayType *array, const char *name, int *n)
{
	Datum	   *elements;
	bool	   *nulls;
	Numeric    *result;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be an array of one dimension", name)));
	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	result = palloc(sizeof(Numeric) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i] || !decimal_is_finite(DatumGetNumeric(elements[i])))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must hold finite numbers", name)));
		result[i] = DatumGetNumeric(elements[i]);
	}
	return result;
}

/*
 * risk.replay_trades(kind, multiplier, scale, qty, cost, qtys, prices)
 *		The position that these trades, signed quantities at prices, make of
 *		qty and cost, and what they realise together.
 */
Datum
risk_replay_trades(PG_FUNCTION_ARGS)
{
	ContractKind kind = contract_kind(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Numeric		multiplier = PG_GETARG_NUMERIC(1);
	int			scale = PG_GETARG_INT32(2);
	Numeric		qty = PG_GETARG_NUMERIC(3);
	Numeric		cost = PG_GETARG_NUMERIC(4);
	int			n;
	int			nprices;
	Numeric    *qtys = numbers(PG_GETARG_ARRAYTYPE_P(5), "qtys", &n);
	Numeric    *prices = numbers(PG_GETARG_ARRAYTYPE_P(6), "prices", &nprices);
	Numeric		realized = decimal_from_int64(0);
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (n != nprices || scale < 0 || scale > 18)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be a price for each quantity, and a scale of 0 to 18"),
				 errdetail("There are %d quantities and %d prices; the scale is %d.", n, nprices, scale)));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function returning record called in a context that cannot accept it")));
	for (int i = 0; i < n; i++)
	{
		PositionChange change;

		position_apply_trade(kind, qty, cost, qtys[i], prices[i], multiplier, scale, &change);
		qty = change.qty;
		cost = change.cost;
		if (change.realized != NULL)
			realized = decimal_add(realized, change.realized);
	}
	values[0] = NumericGetDatum(qty);
	values[1] = NumericGetDatum(cost);
	values[2] = NumericGetDatum(realized);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
