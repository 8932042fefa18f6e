/*
 * arguments.h
 *		What SQL passes to the formulas, judged.
 *
 * What passes here is what the formulas take for granted.  Errors: 22023, with
 * the name of the argument and its value.
 */
#ifndef RISK_ARGUMENTS_H
#define RISK_ARGUMENTS_H

#include "fmgr.h"

#include "formulas.h"

/* Asset scales are far below; more digits could not be stored sensibly. */
#define MAX_SCALE	38

typedef enum ArgDomain
{
	ARG_FINITE,					/* any number */
	ARG_NOT_ZERO,
	ARG_NOT_NEGATIVE,
	ARG_POSITIVE,
	ARG_ONE_OR_MORE,
	ARG_RATE					/* 0 <= x < 1 */
} ArgDomain;

extern void judge_number(FixedInt value, int scale, Numeric numeric,
						 const char *name, ArgDomain domain);
extern Numeric read_numeric(FunctionCallInfo fcinfo, int n, const char *name,
							ArgDomain domain);
extern int	read_scale(FunctionCallInfo fcinfo, int n);
extern ContractKind read_other_kind(FunctionCallInfo fcinfo, int n);
extern LiquidationTrigger read_trigger(FunctionCallInfo fcinfo, int n);
extern const TierTable *read_tiers(FunctionCallInfo fcinfo, int n);

/* Argument n: linear is by far the most frequent. */
fixed_inline ContractKind
read_kind(FunctionCallInfo fcinfo, int n)
{
	const char *kind = DatumGetPointer(PG_GETARG_DATUM(n));

	if (VARATT_IS_1B(kind) ? VARSIZE_1B(kind) == VARHDRSZ_SHORT + 6 && memcmp(VARDATA_1B(kind), "linear", 6) == 0 :
		VARSIZE_4B(kind) == VARHDRSZ + 6 && memcmp(VARDATA_4B(kind), "linear", 6) == 0)
		return CONTRACT_LINEAR;
	return read_other_kind(fcinfo, n);
}

/* Argument n, which is called name, refused when outside of its domain. */
fixed_inline void
read_number(FunctionCallInfo fcinfo, int n, const char *name, ArgDomain domain,
			Decimal *value)
{
	Decimal		number = dec_from_datum(PG_GETARG_DATUM(n));

	*value = number;
	if (!dec_is_fixed(number) ||
		(domain != ARG_FINITE && domain != ARG_NOT_ZERO && number.fixed.value < 0) ||
		((domain == ARG_POSITIVE || domain == ARG_NOT_ZERO) && number.fixed.value == 0) ||
		domain == ARG_ONE_OR_MORE ||
		(domain == ARG_RATE && number.fixed.value != 0 &&
		 (number.fixed.scale > 38 || fixed_magnitude(number.fixed.value) >= fixed_power(number.fixed.scale))))
		judge_number(number.fixed.value, number.fixed.scale, number.numeric, name, domain);
}

#endif							/* RISK_ARGUMENTS_H */
