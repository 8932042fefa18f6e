/*
 * decimal.h
 *		Exact decimal arithmetic on NUMERIC, with stated rounding.
 *
 * Every result is palloc'd in the current memory context.  Nothing here reads
 * a catalogue or a table, and nothing rounds unless its name says so.
 */
#ifndef RISK_DECIMAL_H
#define RISK_DECIMAL_H

#include "utils/numeric.h"

typedef enum DecimalRounding
{
	DECIMAL_DOWN,				/* toward minus infinity */
	DECIMAL_UP,					/* toward plus infinity */
	DECIMAL_HALF_AWAY			/* to nearest, ties away from zero */
} DecimalRounding;

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

#endif							/* RISK_DECIMAL_H */
