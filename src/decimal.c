/*
 * decimal.c
 *		Exact decimal arithmetic on NUMERIC.
 *
 * Everything is done by core's own functions, called directly; what this file
 * adds is directed rounding of a quotient and a product that is never rounded
 * without being asked.  No formula lives here, and nothing is read from tables
 * or catalogues.
 *
 * Unless said otherwise the arguments are finite.  Core's errors come through:
 * 22003 when a result has more digits than NUMERIC holds, 22012 for a division
 * by zero.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "decimal.h"

/*
 * The most digits after the point that NUMERIC stores (NUMERIC_DSCALE_MAX,
 * private to core).
 */
#define DECIMAL_MAX_SCALE	0x3FFF

#define call1(function, a) \
	DatumGetNumeric(DirectFunctionCall1(function, NumericGetDatum(a)))
#define call2(function, a, b) \
	DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), \
										NumericGetDatum(b)))

/* 10 ^ exponent; a negative exponent gives exactly that many decimals. */
static Numeric
power_of_ten(int exponent)
{
	char		literal[16];

	snprintf(literal, sizeof(literal), "1e%d", exponent);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(literal),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

Numeric
decimal_from_int64(int64 value)
{
	return int64_to_numeric(value);
}

/* The exact sum. */
Numeric
decimal_add(Numeric a, Numeric b)
{
	return call2(numeric_add, a, b);
}

/* The exact difference a - b. */
Numeric
decimal_subtract(Numeric a, Numeric b)
{
	return call2(numeric_sub, a, b);
}

/*
 * The exact product.
 *
 * numeric_mul keeps every decimal of the product up to DECIMAL_MAX_SCALE and
 * rounds beyond, silently.  A rounded product would break the identities that
 * the books rest on, so that case is an error here (22003).  Only factors with
 * thousands of decimals can get there.
 */
Numeric
decimal_multiply(Numeric a, Numeric b)
{
	Numeric		product = call2(numeric_mul, a, b);

	if (decimal_is_finite(product) &&
		DatumGetInt32(DirectFunctionCall1(numeric_scale,
										  NumericGetDatum(product))) >= DECIMAL_MAX_SCALE &&
		decimal_scale(a) + decimal_scale(b) > DECIMAL_MAX_SCALE)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("product has more decimals than numeric can hold"),
				 errdetail("The factors have %d and %d decimals; together they may have %d.",
						   decimal_scale(a), decimal_scale(b),
						   DECIMAL_MAX_SCALE),
				 errhint("Round the inputs to the decimals they really have.")));
	return product;
}

Numeric
decimal_negate(Numeric a)
{
	return call1(numeric_uminus, a);
}

Numeric
decimal_absolute(Numeric a)
{
	return call1(numeric_abs, a);
}

/* -1, 0 or 1; NaN sorts above everything, as in core. */
int
decimal_compare(Numeric a, Numeric b)
{
	int			order = DatumGetInt32(DirectFunctionCall2(numeric_cmp,
														  NumericGetDatum(a),
														  NumericGetDatum(b)));

	return (order > 0) - (order < 0);
}

int
decimal_sign(Numeric a)
{
	return decimal_compare(a, int64_to_numeric(0));
}

Numeric
decimal_min(Numeric a, Numeric b)
{
	return call2(numeric_smaller, a, b);
}

Numeric
decimal_max(Numeric a, Numeric b)
{
	return call2(numeric_larger, a, b);
}

/*
 * a / b as SQL's own operator gives it: at least 16 significant digits and not
 * fewer decimals than either argument, rounded half away from zero.
 */
Numeric
decimal_divide(Numeric a, Numeric b)
{
	return call2(numeric_div, a, b);
}

/*
 * a / b rounded to exactly scale decimals.
 *
 * The truncated integer quotient of a * 10^scale and b is exact, and so is its
 * remainder; the direction is decided by the remainder.  Rounding a quotient
 * that was itself rounded would be wrong by one unit now and then.
 */
Numeric
decimal_divide_rounded(Numeric a, Numeric b, int scale,
					   DecimalRounding rounding)
{
	Numeric		scaled = decimal_multiply(a, power_of_ten(scale));
	Numeric		quotient = call2(numeric_div_trunc, scaled, b);
	Numeric		remainder = decimal_subtract(scaled,
											 decimal_multiply(quotient, b));
	int			sign = decimal_sign(remainder) * decimal_sign(b);
	bool		away = false;	/* one unit further from zero? */

	Assert(scale >= 0 && scale <= NUMERIC_MAX_DISPLAY_SCALE);

	/*
	 * The remainder has the sign of the dividend, so that sign is that of the
	 * exact quotient, or 0 when the truncated quotient is exact.
	 */
	if (sign != 0)
	{
		switch (rounding)
		{
			case DECIMAL_DOWN:
				away = (sign < 0);
				break;
			case DECIMAL_UP:
				away = (sign > 0);
				break;
			case DECIMAL_HALF_AWAY:
				away = decimal_compare(decimal_absolute(decimal_add(remainder,
																	remainder)),
									   decimal_absolute(b)) >= 0;
				break;
		}
	}
	if (away)
		quotient = decimal_add(quotient, decimal_from_int64(sign));

	return decimal_multiply(quotient, power_of_ten(-scale));
}

/* a with exactly scale decimals. */
Numeric
decimal_round(Numeric a, int scale, DecimalRounding rounding)
{
	Numeric		truncated;
	int			sign;

	Assert(scale >= 0 && scale <= NUMERIC_MAX_DISPLAY_SCALE);

	/* numeric_round rounds half away from zero */
	if (rounding == DECIMAL_HALF_AWAY)
		return DatumGetNumeric(DirectFunctionCall2(numeric_round,
												   NumericGetDatum(a),
												   Int32GetDatum(scale)));

	truncated = DatumGetNumeric(DirectFunctionCall2(numeric_trunc,
													NumericGetDatum(a),
													Int32GetDatum(scale)));
	sign = decimal_compare(a, truncated);	/* 0 when nothing was cut off */
	if (sign < 0 && rounding == DECIMAL_DOWN)
		return decimal_subtract(truncated, power_of_ten(-scale));
	if (sign > 0 && rounding == DECIMAL_UP)
		return decimal_add(truncated, power_of_ten(-scale));
	return truncated;
}

bool
decimal_is_finite(Numeric a)
{
	return !numeric_is_nan(a) && !numeric_is_inf(a);
}

int
decimal_scale(Numeric a)
{
	return DatumGetInt32(DirectFunctionCall1(numeric_min_scale,
											 NumericGetDatum(a)));
}

int
decimal_integer_digits(Numeric a)
{
	Numeric		whole = DatumGetNumeric(DirectFunctionCall2(numeric_trunc,
															NumericGetDatum(decimal_absolute(a)),
															Int32GetDatum(0)));

	return decimal_sign(whole) == 0 ? 0 : (int) strlen(decimal_to_cstring(whole));
}

char *
decimal_to_cstring(Numeric a)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(a)));
}
