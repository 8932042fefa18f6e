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

extern bool decimal_is_finite(Numeric a);	/* neither NaN nor infinite */
extern int	decimal_scale(Numeric a);	/* digits after the point, trailing
										 * zeros not counted */
extern int	decimal_integer_digits(Numeric a);	/* digits before the point, 0
												 * when |a| < 1 */
extern char *decimal_to_cstring(Numeric a);

/* Decimal in, Decimal out: the roads by core's functions, in decimal.c */

extern void decimal_check_format(void);

extern Decimal dec_from_datum_slowly(Datum datum);
extern Decimal dec_add_slowly(Decimal a, Decimal b);
extern Decimal dec_subtract_slowly(Decimal a, Decimal b);
extern Decimal dec_multiply_slowly(Decimal a, Decimal b);
extern Decimal dec_divide_slowly(Decimal a, Decimal b);
extern Decimal dec_divide_rounded_slowly(Decimal a, Decimal b, int scale,
										 DecimalRounding rounding);
extern Decimal dec_round_slowly(Decimal a, int scale, DecimalRounding rounding);
extern Decimal dec_negate_slowly(Decimal a);
extern int	dec_compare_slowly(Decimal a, Decimal b);

#define dec_is_fixed(a)			likely((a).numeric == NULL)
#define dec_are_fixed(a, b)		likely((a).numeric == NULL && (b).numeric == NULL)

static inline Decimal
dec_integer(int64 value)
{
	Decimal		result = {{value, 0}, NULL};

	return result;
}

/*
 * A numeric as SQL passes it.  Read where it lies: PG_GETARG_NUMERIC would
 * copy what comes from a table with a short length word.
 */
static inline Decimal
dec_from_datum(Datum datum)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(datum);
	Decimal		result;

	result.numeric = NULL;
	if (likely(!VARATT_IS_EXTERNAL(stored) && !VARATT_IS_COMPRESSED(stored)) &&
		likely(fixed_decode(VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored),
							&result.fixed)))
		return result;
	return dec_from_datum_slowly(datum);
}

static inline Decimal
dec_from_numeric(Numeric numeric)
{
	return dec_from_datum(NumericGetDatum(numeric));
}

static inline Numeric
dec_to_numeric(Decimal a)
{
	if (dec_is_fixed(a))
	{
		char		data[FIXED_MAX_BYTES];
		int			length = fixed_encode(a.fixed, data);
		struct varlena *result = palloc(VARHDRSZ + length);

		SET_VARSIZE(result, VARHDRSZ + length);
		memcpy(VARDATA(result), data, length);
		return (Numeric) result;
	}
	return a.numeric;
}

static inline Decimal
dec_add(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) && likely(fixed_add(a.fixed, b.fixed, &result.fixed)))
		return result;
	return dec_add_slowly(a, b);
}

static inline Decimal
dec_subtract(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) && likely(fixed_subtract(a.fixed, b.fixed, &result.fixed)))
		return result;
	return dec_subtract_slowly(a, b);
}

/* exact */
static inline Decimal
dec_multiply(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) && likely(fixed_multiply(a.fixed, b.fixed, &result.fixed)))
		return result;
	return dec_multiply_slowly(a, b);
}

/* b not zero */
static inline Decimal
dec_divide(Decimal a, Decimal b)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) &&
		likely(fixed_divide(a.fixed, b.fixed, fixed_quotient_scale(a.fixed, b.fixed),
							FIXED_HALF_AWAY, &result.fixed)))
		return result;
	return dec_divide_slowly(a, b);
}

/* b not zero */
static inline Decimal
dec_divide_rounded(Decimal a, Decimal b, int scale, DecimalRounding rounding)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_are_fixed(a, b) &&
		likely(fixed_divide(a.fixed, b.fixed, scale, rounding, &result.fixed)))
		return result;
	return dec_divide_rounded_slowly(a, b, scale, rounding);
}

static inline Decimal
dec_round(Decimal a, int scale, DecimalRounding rounding)
{
	Decimal		result;

	result.numeric = NULL;
	if (dec_is_fixed(a) && likely(fixed_round(a.fixed, scale, rounding, &result.fixed)))
		return result;
	return dec_round_slowly(a, scale, rounding);
}

static inline Decimal
dec_negate(Decimal a)
{
	if (!dec_is_fixed(a))
		return dec_negate_slowly(a);
	a.fixed = fixed_negate(a.fixed);
	return a;
}

/* -1, 0, 1 */
static inline int
dec_compare(Decimal a, Decimal b)
{
	if (dec_are_fixed(a, b))
		return fixed_compare(a.fixed, b.fixed);
	return dec_compare_slowly(a, b);
}

/* -1, 0, 1 */
static inline int
dec_sign(Decimal a)
{
	return dec_is_fixed(a) ? fixed_sign(a.fixed) : decimal_sign(a.numeric);
}

static inline Decimal
dec_absolute(Decimal a)
{
	return dec_sign(a) < 0 ? dec_negate(a) : a;
}

/* of equals, the first */
static inline Decimal
dec_min(Decimal a, Decimal b)
{
	return dec_compare(b, a) < 0 ? b : a;
}

static inline Decimal
dec_max(Decimal a, Decimal b)
{
	return dec_compare(b, a) > 0 ? b : a;
}

#endif							/* RISK_DECIMAL_H */
