/*
 * liquidation_fee.c
 *		What a liquidation costs.
 *
 * Pure, like the other formulas.
 */
#include "postgres.h"

#include "formulas.h"

/* Decimals of 1 + N / N0, and of the rate. */
#define GROWTH_SCALE		24
#define FEE_RATE_SCALE		8

/*
 * The rate of the liquidation fee: it grows with the size of the position,
 * with the volatility and with the lack of depth of the market, between two
 * bounds.
 *
 *	clamp(base + a ln(1 + N / N0) + b (volatility ratio - 1)+
 *		  + c (1 - depth ratio)+, minimum, maximum)
 *
 * 1 + N / N0 is rounded up to 24 decimals, and its logarithm has as many or
 * more; then the rate is rounded up to 8, once.  Continuous, but for that
 * rounding, and never falling in N.
 */
Decimal
liquidation_fee_rate(const LiquidationFee *fee, Decimal notional, Decimal reference_notional,
					 Decimal volatility_ratio, Decimal depth_ratio)
{
	Decimal		zero = dec_integer(0);
	Decimal		one = dec_integer(1);
	Decimal		rate = fee->base;

	if (dec_sign(fee->by_size) != 0)
	{
		Decimal		growth = dec_divide_rounded(dec_add(reference_notional, notional),
												reference_notional, GROWTH_SCALE,
												DECIMAL_UP);

		rate = dec_add(rate,
					   dec_multiply(fee->by_size,
									dec_from_numeric(decimal_ln(dec_to_numeric(growth)))));
	}
	rate = dec_add(rate, dec_multiply(fee->by_volatility,
									  dec_max(dec_subtract(volatility_ratio, one), zero)));
	rate = dec_add(rate, dec_multiply(fee->by_depth,
									  dec_max(dec_subtract(one, depth_ratio), zero)));
	rate = dec_round(rate, FEE_RATE_SCALE, DECIMAL_UP);
	return dec_max(dec_min(rate, fee->maximum), fee->minimum);
}

/*
 * What is charged for the liquidation of this notional: the fee, rounded up to
 * the scale of the asset, but never more than what is available, rounded down,
 * which is what is left above bankruptcy.
 */
Decimal
liquidation_fee_charged(Decimal notional, Decimal fee_rate, int scale, Decimal available)
{
	return dec_max(dec_min(dec_round(liquidation_fee(notional, fee_rate), scale, DECIMAL_UP),
						   dec_round(available, scale, DECIMAL_DOWN)),
				   dec_integer(0));
}
