/*
 * arguments.c
 *		What SQL passes to the formulas, judged: numbers in their domains,
 *		kinds of contract, tables of tiers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "arguments.h"

static void
domain_error(const char *name, const char *rule, Decimal value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s", name, rule),
			 errdetail("The value given is %.60s.", decimal_to_cstring(dec_to_numeric(value))),
			 errhint("%s", hint)));
}

void
judge_number(FixedInt fixed, int scale, Numeric numeric, const char *name, ArgDomain domain)
{
	Decimal		value = {{fixed, scale}, numeric};

	if (value.numeric != NULL && !decimal_is_finite(value.numeric))
		domain_error(name, "a finite number", value,
					 "Pass NULL for what is unknown; the result is then NULL.");

	switch (domain)
	{
		case ARG_FINITE:
			break;
		case ARG_NOT_ZERO:
			if (dec_sign(value) == 0)
				domain_error(name, "other than zero", value,
							 "Leave flat positions out; the forms by cost take them.");
			break;
		case ARG_NOT_NEGATIVE:
			if (dec_sign(value) < 0)
				domain_error(name, "zero or more", value,
							 "This argument is a size and has no sign.");
			break;
		case ARG_POSITIVE:
			if (dec_sign(value) <= 0)
				domain_error(name, "greater than zero", value,
							 "Pass NULL for what is unknown; the result is then NULL.");
			break;
		case ARG_ONE_OR_MORE:
			if (dec_compare(value, dec_integer(1)) < 0)
				domain_error(name, "1 or more", value,
							 "Pass NULL for what is unknown; the result is then NULL.");
			break;
		case ARG_RATE:
			if (dec_sign(value) < 0 || dec_compare(value, dec_integer(1)) >= 0)
				domain_error(name, "at least 0 and less than 1", value,
							 "Rates are fractions: 0.5 percent is 0.005.");
			break;
	}
}

/* read_numeric: the same as read_number(), for what works on NUMERIC */
Numeric
read_numeric(FunctionCallInfo fcinfo, int n, const char *name, ArgDomain domain)
{
	Decimal		value;

	read_number(fcinfo, n, name, domain, &value);
	return dec_to_numeric(value);
}

/* The scale of an asset. */
int
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

ContractKind
read_other_kind(FunctionCallInfo fcinfo, int n)
{
	return contract_kind(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

LiquidationTrigger
read_trigger(FunctionCallInfo fcinfo, int n)
{
	text	   *trigger = PG_GETARG_TEXT_PP(n);

	/* without a copy: it is asked for every row */
	if (VARSIZE_ANY_EXHDR(trigger) == 11 && memcmp(VARDATA_ANY(trigger), "at_or_below", 11) == 0)
		return TRIGGER_AT_OR_BELOW;
	return liquidation_trigger(text_to_cstring(trigger));
}

/*
 * The tables of tiers that a call site saw last.  Nearly always the next row
 * has the same; then neither decoding nor judging is done again.
 */
typedef struct TierCache
{
	MemoryContext context;		/* all of the below */
	struct varlena *stored[2];	/* floors and rates as they were passed */
	TierTable	tiers;
} TierCache;

static void
tier_error(const char *rule, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", rule),
			 errdetail_internal("%s", detail),
			 errhint("Pass one floor and one rate for each tier, lowest first, as array_agg(... ORDER BY notional_floor) gives them.")));
}

/* The numbers of a one-dimensional array without NULLs. */
static Decimal *
read_numbers(struct varlena *stored, const char *name, int *n)
{
	ArrayType  *array = DatumGetArrayTypeP(PointerGetDatum(stored));
	Datum	   *elements;
	bool	   *nulls;
	Decimal    *numbers;

	if (ARR_NDIM(array) > 1)
		tier_error(psprintf("%s must have one dimension", name),
				   psprintf("It has %d.", ARR_NDIM(array)));
	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	if (*n == 0)
		tier_error(psprintf("%s must not be empty", name),
				   "There is no tier to take a rate from.");
	numbers = palloc(sizeof(Decimal) * *n);
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			tier_error(psprintf("%s must not contain NULL", name),
					   psprintf("Element %d is NULL.", i + 1));
		numbers[i] = dec_from_datum(elements[i]);
	}
	return numbers;
}

static void
build_tiers(TierCache *cache)
{
	TierTable  *tiers = &cache->tiers;
	int			rates;
	Decimal    *amounts;

	tiers->floors = read_numbers(cache->stored[0], "tier_floors", &tiers->n);
	tiers->rates = read_numbers(cache->stored[1], "tier_rates", &rates);
	if (rates != tiers->n)
		tier_error("tier_floors and tier_rates must have the same length",
				   psprintf("The lengths are %d and %d.", tiers->n, rates));
	for (int i = 0; i < tiers->n; i++)
	{
		judge_number(tiers->floors[i].fixed.value, tiers->floors[i].fixed.scale, tiers->floors[i].numeric,
					 "a floor of tier_floors", ARG_NOT_NEGATIVE);
		judge_number(tiers->rates[i].fixed.value, tiers->rates[i].fixed.scale, tiers->rates[i].numeric,
					 "a rate of tier_rates", ARG_RATE);
		if (i > 0 && dec_compare(tiers->floors[i - 1], tiers->floors[i]) >= 0)
			tier_error("tier_floors must ascend",
					   psprintf("Element %d is %.60s, element %d is %.60s.",
								i, decimal_to_cstring(dec_to_numeric(tiers->floors[i - 1])),
								i + 1, decimal_to_cstring(dec_to_numeric(tiers->floors[i]))));
	}
	amounts = palloc(sizeof(Decimal) * tiers->n);
	derive_tier_amounts(tiers->n, tiers->floors, tiers->rates, amounts);
	tiers->amounts = amounts;
}

/* Arguments n and n + 1: the floors and the rates of the tiers. */
const TierTable *
read_tiers(FunctionCallInfo fcinfo, int n)
{
	TierCache  *cache = fcinfo->flinfo->fn_extra;
	struct varlena *given[2];
	MemoryContext caller;

	for (int i = 0; i < 2; i++)
	{
		given[i] = (struct varlena *) PG_GETARG_POINTER(n + i);
		if (VARATT_IS_EXTERNAL(given[i]) || VARATT_IS_COMPRESSED(given[i]))
			given[i] = PG_DETOAST_DATUM(PG_GETARG_DATUM(n + i));
	}
	if (cache != NULL && cache->context != NULL &&
		VARSIZE_ANY(given[0]) == VARSIZE_ANY(cache->stored[0]) &&
		VARSIZE_ANY(given[1]) == VARSIZE_ANY(cache->stored[1]) &&
		memcmp(given[0], cache->stored[0], VARSIZE_ANY(given[0])) == 0 &&
		memcmp(given[1], cache->stored[1], VARSIZE_ANY(given[1])) == 0)
		return &cache->tiers;

	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
																  sizeof(TierCache));
	if (cache->context != NULL)
	{
		MemoryContextDelete(cache->context);
		cache->context = NULL;
	}

	/* valid only once it is complete: the arrays may be refused */
	{
		MemoryContext context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "risk tiers",
													  ALLOCSET_SMALL_SIZES);

		caller = MemoryContextSwitchTo(context);
		for (int i = 0; i < 2; i++)
		{
			cache->stored[i] = palloc(VARSIZE_ANY(given[i]));
			memcpy(cache->stored[i], given[i], VARSIZE_ANY(given[i]));
		}
		build_tiers(cache);
		cache->context = context;
		MemoryContextSwitchTo(caller);
	}
	return &cache->tiers;
}
