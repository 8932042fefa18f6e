/*
 * decimal.h
 *		Exact decimal arithmetic on NUMERIC, with stated rounding.
 *
 * Two faces of one thing.  The functions decimal_* take and give Numeric, one
 * operation at a time, as posting needs them.  The type Decimal and the
 * functions dec_* are for formulas: the arguments are decoded once, and only
 * the result is made a Numeric again.
 *
 * Every result is, byte for byte, what SQL's operators give for the same
 * operation; where a function rounds, its name says so.  Results are palloc'd
 * in the current memory context.  Nothing here reads a catalogue or a table.
 */
#ifndef RISK_DECIMAL_H
#define RISK_DECIMAL_H

#include "utils/numeric.h"

#include "compat.h"
#include "fixed.h"

typedef FixedRounding DecimalRounding;

#define DECIMAL_DOWN		FIXED_DOWN
#define DECIMAL_UP			FIXED_UP
#define DECIMAL_HALF_AWAY	FIXED_HALF_AWAY

/*
 * A number inside of a formula.  Each operation takes the 128-bit road when it
 * can, and core's functions when a number or the result does not fit.
 */
typedef struct Decimal
{
	Fixed		fixed;			/* counts when numeric is NULL */
	Numeric		numeric;		/* what does not fit: too long, NaN, infinite */
} Decimal;

/* Numeric in, Numeric out */

extern Numeric decimal_from_int64(int64 value);
extern Numeric decimal_add(Numeric a, Numeric b);
extern Numeric decimal_subtract(Numeric a, Numeric b);
extern Numeric decimal_multiply(Numeric a, Numeric b);	/* exact */
extern Numeric decimal_negate(Numeric a);
extern Numeric decimal_absolute(Numeric a);
extern int	decimal_compare(Numeric a, Numeric b);	/* -1, 0, 1 */
extern int	decimal_sign(Numeric a);	/* -1, 0, 1 */
extern Numeric decimal_min(Numeric a, Numeric b);
extern Numeric decimal_max(Numeric a, Numeric b);

/* a / b with the scale and rounding of NUMERIC's own division */
extern Numeric decimal_divide(Numeric a, Numeric b);

/* a / b correctly rounded to scale, whatever the number of digits */
extern Numeric decimal_divide_rounded(Numeric a, Numeric b, int scale,
									  DecimalRounding rounding);

/* a with exactly scale digits after the point */
extern Numeric decimal_round(Numeric a, int scale, DecimalRounding rounding);

/*
 * the natural logarithm of a > 0, as SQL's ln gives it: at least 16
 * significant digits, and not fewer decimals than a has
 */
extern Numeric decimal_ln(Numeric a);

extern bool decimal_is_finite(Numeric a);	/* neither NaN nor infinite */
extern int	decimal_scale(Numeric a);	/* digits after the point, trailing
										 * zeros not counted */
extern int	decimal_integer_digits(Numeric a);	/* digits before the point, 0
												 * when |a| < 1 */
extern char *decimal_to_cstring(Numeric a);

/* Decimal in, Decimal out */

typedef enum DecimalOperation
{
	DEC_ADD,
	DEC_SUBTRACT,
	DEC_MULTIPLY,
	DEC_DIVIDE,
	DEC_DIVIDE_ROUNDED,
	DEC_ROUND,
	DEC_NEGATE,
	DEC_COMPARE					/* the result is -1, 0 or 1 */
} DecimalOperation;

/* What dec_decode_long() has to say beside the value. */
typedef struct DecodedNumber
{
	int32		scale;
	Numeric		numeric;		/* what does not fit */
} DecodedNumber;

extern void decimal_check_format(void);
extern FixedInt dec_decode_long(Datum datum, DecodedNumber *rest);
extern Numeric dec_encode(FixedInt value, int scale);
extern void dec_compute_by_core(DecimalOperation operation,
								FixedInt value_a, int scale_a, Numeric numeric_a,
								FixedInt value_b, int scale_b, Numeric numeric_b,
								int scale, DecimalRounding rounding,
								Decimal *result);

#define dec_is_fixed(a)			likely((a).numeric == NULL)
#define dec_are_fixed(a, b)		likely((a).numeric == NULL && (b).numeric == NULL)

/*
 * The road by core's functions.  Field by field, so that the compiler need not
 * keep a number in memory on the other road.
 */
fixed_inline Decimal
dec_by_core(DecimalOperation operation, Decimal a, Decimal b, int scale,
			DecimalRounding rounding)
{
	Decimal		stored;
	Decimal		result;

	dec_compute_by_core(operation, a.fixed.value, a.fixed.scale, a.numeric,
						b.fixed.value, b.fixed.scale, b.numeric, scale, rounding,
						&stored);
	result.fixed.value = stored.fixed.value;
	result.fixed.scale = stored.fixed.scale;
	result.numeric = stored.numeric;
	return result;
}

fixed_inline Decimal
dec_integer(int64 value)
{
	Decimal		result = {{value, 0}, NULL};

	return result;
}

/*
 * A numeric as SQL passes it.  Read where it lies: PG_GETARG_NUMERIC would
 * copy what comes from a table with a short length word.
 */
fixed_inline Decimal
dec_from_datum(Datum datum)
{
	const char *stored = DatumGetPointer(datum);
	bool		is_short = VARATT_IS_1B(stored);
	Decimal		result;
	DecodedNumber rest;

	/* a length that is none of a number, when it lies elsewhere or compressed */
	result.numeric = NULL;
	if (likely(fixed_decode_short(is_short ? VARDATA_1B(stored) : VARDATA_4B(stored),
								  is_short ? (size_t) VARSIZE_1B(stored) - VARHDRSZ_SHORT :
								  VARATT_IS_4B_U(stored) ? (size_t) VARSIZE_4B(stored) - VARHDRSZ : 0,
								  &result.fixed)))
		return result;

	result.fixed.value = dec_decode_long(datum, &rest);
	result.fixed.scale = rest.scale;
	result.numeric = rest.numeric;
	return result;
}

fixed_inline Decimal
dec_from_numeric(Numeric numeric)
{
	return dec_from_datum(NumericGetDatum(numeric));
}

fixed_inline Numeric
dec_to_numeric(Decimal a)
{
	return dec_is_fixed(a) ? dec_encode(a.fixed.value, a.fixed.scale) : a.numeric;
}

fixed_inline Decimal
dec_add(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) && likely(fixed_add(a.fixed, b.fixed, &result.fixed)))
		return result;
	return dec_by_core(DEC_ADD, a, b, 0, DECIMAL_DOWN);
}

fixed_inline Decimal
dec_subtract(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) && likely(fixed_subtract(a.fixed, b.fixed, &result.fixed)))
		return result;
	return dec_by_core(DEC_SUBTRACT, a, b, 0, DECIMAL_DOWN);
}

/* exact */
fixed_inline Decimal
dec_multiply(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) && likely(fixed_multiply(a.fixed, b.fixed, &result.fixed)))
		return result;
	return dec_by_core(DEC_MULTIPLY, a, b, 0, DECIMAL_DOWN);
}

/* b not zero */
fixed_inline Decimal
dec_divide(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) &&
		likely(fixed_divide(a.fixed, b.fixed, fixed_quotient_scale(a.fixed, b.fixed),
							FIXED_HALF_AWAY, &result.fixed)))
		return result;
	return dec_by_core(DEC_DIVIDE, a, b, 0, DECIMAL_DOWN);
}

/* b not zero */
fixed_inline Decimal
dec_divide_rounded(Decimal a, Decimal b, int scale, DecimalRounding rounding)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) &&
		likely(fixed_divide(a.fixed, b.fixed, scale, rounding, &result.fixed)))
		return result;
	return dec_by_core(DEC_DIVIDE_ROUNDED, a, b, scale, rounding);
}

fixed_inline Decimal
dec_round(Decimal a, int scale, DecimalRounding rounding)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_is_fixed(a) && likely(fixed_round(a.fixed, scale, rounding, &result.fixed)))
		return result;
	return dec_by_core(DEC_ROUND, a, a, scale, rounding);
}

fixed_inline Decimal
dec_negate(Decimal a)
{
	if (!dec_is_fixed(a))
		return dec_by_core(DEC_NEGATE, a, a, 0, DECIMAL_DOWN);
	a.fixed = fixed_negate(a.fixed);
	return a;
}

/* -1, 0, 1 */
fixed_inline int
dec_compare(Decimal a, Decimal b)
{
	if (dec_are_fixed(a, b))
		return fixed_compare(a.fixed, b.fixed);
	return (int) dec_by_core(DEC_COMPARE, a, b, 0, DECIMAL_DOWN).fixed.value;
}

/* -1, 0, 1 */
fixed_inline int
dec_sign(Decimal a)
{
	return dec_is_fixed(a) ? fixed_sign(a.fixed) : decimal_sign(a.numeric);
}

fixed_inline Decimal
dec_absolute(Decimal a)
{
	return dec_sign(a) < 0 ? dec_negate(a) : a;
}

/* of equals, the first */
fixed_inline Decimal
dec_min(Decimal a, Decimal b)
{
	return dec_compare(b, a) < 0 ? b : a;
}

fixed_inline Decimal
dec_max(Decimal a, Decimal b)
{
	return dec_compare(b, a) > 0 ? b : a;
}

#endif							/* RISK_DECIMAL_H */
