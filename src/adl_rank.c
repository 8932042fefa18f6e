/*
 * adl_rank.c
 *		Who is first when positions are deleveraged: three formulas, by name.
 *
 * Pure.  Each score is one fraction, rounded once, half away from zero, to
 * ADL_SCORE_SCALE decimals; the higher, the earlier.  Scores of different
 * formulas are not to be compared.  False where a score does not exist: who
 * has none comes last.
 */
#include "postgres.h"

#include "margin.h"

/* Decimals of a score. */
#define ADL_SCORE_SCALE		18

static bool
score(Decimal numerator, Decimal denominator, Decimal *result)
{
	if (dec_sign(denominator) <= 0)
		return false;
	*result = dec_divide_rounded(numerator, denominator, ADL_SCORE_SCALE, DECIMAL_HALF_AWAY);
	return true;
}

/*
 * ret * lev, or ret / lev of a position at a loss:
 *
 *	ret = (V - C) / |C|,   lev = |V| / (V - B)
 *
 * with the signed values of the position at the mark (V), at entry (C) and at
 * its bankruptcy price (B).  V - B is what it has left to lose.
 */
bool
adl_rank_bitmex(Decimal mark_value, Decimal entry_value, Decimal bankruptcy_value, Decimal *rank)
{
	Decimal		profit = dec_subtract(mark_value, entry_value);
	Decimal		size = dec_absolute(mark_value);
	Decimal		left = dec_subtract(mark_value, bankruptcy_value);
	Decimal		entry = dec_absolute(entry_value);

	if (dec_sign(left) <= 0)
		return false;
	if (dec_sign(profit) > 0)
		return score(dec_multiply(profit, size), dec_multiply(entry, left), rank);
	return score(dec_multiply(profit, left), dec_multiply(entry, size), rank);
}

/* Profit in percent of the value at entry, times leverage: 100 u L / |C|. */
bool
adl_rank_coinex(Decimal unrealized_pnl, Decimal entry_value, Decimal leverage, Decimal *rank)
{
	return score(dec_multiply(dec_multiply(unrealized_pnl, dec_integer(100)), leverage),
				 dec_absolute(entry_value), rank);
}

/* Profit to the equity of the account: u / equity. */
bool
adl_rank_pnl_equity(Decimal unrealized_pnl, Decimal equity, Decimal *rank)
{
	return score(unrealized_pnl, equity, rank);
}
