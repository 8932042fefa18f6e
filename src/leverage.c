/*
 * leverage.c
 *		What moves the margin rates of a position: the leverage that was chosen,
 *		the open interest, the volatility of the mark.
 *
 * Pure, like the other formulas.  They are asked when a setting is judged or a
 * rate recorded, not for each row of a report, so they work on NUMERIC.
 */
#include "postgres.h"

#include "margin.h"

/*
 * Margin needed to open a position, N / leverage, where it grows with the open
 * interest O of the instrument: the rate
 * is base = 1 / leverage up to lo and 1, the whole notional, from hi on, and
 *
 *	rate = base + (1 - base) x,   x = clamp((O - lo) / (hi - lo), 0, 1)
 *
 * in between.  As one fraction, with d = hi - lo and n = clamp(O - lo, 0, d):
 * N (d + (leverage - 1) n) / (leverage d), rounded up once.  lo < hi and
 * leverage >= 1.
 */
Numeric
margin_initial_at_open_interest(Numeric notional, Numeric leverage,
								Numeric open_interest, Numeric lo, Numeric hi,
								int scale)
{
	Numeric		range = decimal_subtract(hi, lo);
	Numeric		above = decimal_min(range,
									decimal_max(decimal_from_int64(0),
												decimal_subtract(open_interest, lo)));
	Numeric		growth = decimal_multiply(decimal_subtract(leverage, decimal_from_int64(1)),
										  above);

	return decimal_divide_rounded(decimal_multiply(notional,
												   decimal_add(range, growth)),
								  decimal_multiply(leverage, range),
								  scale, DECIMAL_UP);
}

/*
 * By how much a volatility scales maintenance rates: volatility / reference,
 * rounded up to a multiple of step, so that small moves change nothing, and
 * kept between two bounds.
 */
Numeric
margin_volatility_scale(Numeric volatility, Numeric reference,
						Numeric min_scale, Numeric max_scale, Numeric step)
{
	Numeric		steps = decimal_divide_rounded(volatility,
											   decimal_multiply(reference, step),
											   0, DECIMAL_UP);

	return decimal_max(min_scale,
					   decimal_min(max_scale, decimal_multiply(steps, step)));
}

/* The highest rate that scaling may lead to, in hundredths. */
#define HIGHEST_SCALED_RATE	95

/* Decimals of the initial rate of a tier, 1 / leverage, as a bound. */
#define INITIAL_RATE_SCALE	18

/*
 * A maintenance rate, scaled: rate * scale, but no more than 0.95, nor than
 * the initial rate of the tier, 1 / max_leverage, so that nobody is liquidated
 * with the margin that a position may be opened with.  A rate that is above
 * these bounds as it is stated is not raised, nor brought down by them.
 */
Numeric
margin_scaled_rate(Numeric rate, Numeric scale, Numeric max_leverage)
{
	Numeric		highest = decimal_divide_rounded(decimal_from_int64(HIGHEST_SCALED_RATE),
												 decimal_from_int64(100), 2,
												 DECIMAL_DOWN);
	Numeric		initial = decimal_divide_rounded(decimal_from_int64(1), max_leverage,
												 INITIAL_RATE_SCALE, DECIMAL_DOWN);

	return decimal_min(decimal_max(decimal_min(highest, initial), rate),
					   decimal_multiply(rate, scale));
}

/*
 * The leverage that a position is margined at: what the trader chose, or NULL
 * for none, but no more than its tier allows.
 */
Numeric
margin_effective_leverage(Numeric max_leverage, Numeric chosen)
{
	return chosen == NULL ? max_leverage : decimal_min(max_leverage, chosen);
}
