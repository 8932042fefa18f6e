/*
 * formulas.h
 *		The formulas of margin and profit of one position.
 *
 * Pure functions of their arguments: no table, no catalogue, no setting.  They
 * are the only place where a formula is written; the SQL functions, the views
 * and the triggers all come here.  Each is computed in the order in which it
 * is written, so that it gives what the same expression gives in SQL.
 *
 * Arguments are finite and have been judged by the caller: prices, multipliers
 * and leverages above zero, rates not below zero.  A result too large for
 * NUMERIC is 22003, raised by the arithmetic.
 *
 * Inline, because a formula takes less time than handing its numbers over;
 * what is asked less often is in formulas.c.
 */
#ifndef RISK_FORMULAS_H
#define RISK_FORMULAS_H

#include "margin.h"

/*
 * What a quantity is worth at a price, in settle: q k P, exact, with the sign
 * of the quantity.  Inverse: -(q k / P), which is a fall of the debt in quote
 * when the price rises; at least 16 significant digits.
 */
fixed_inline Decimal
holding_value(ContractKind kind, Decimal qty, Decimal price, Decimal multiplier)
{
	Decimal		size = dec_multiply(qty, multiplier);

	if (kind == CONTRACT_INVERSE)
		return dec_negate(dec_divide(size, price));
	return dec_multiply(size, price);
}

/* The size of a position in settle, never negative: |V|. */
fixed_inline Decimal
holding_notional(ContractKind kind, Decimal qty, Decimal price, Decimal multiplier)
{
	return dec_absolute(holding_value(kind, qty, price, multiplier));
}

/*
 * Profit (above zero) or loss not yet realised at a price, in settle: V - C.
 * Linear: s |q| k (P - E).  Inverse: s |q| k (1/E - 1/P).  Zero for a flat
 * position.
 */
fixed_inline Decimal
holding_pnl(const Holding *holding, Decimal price)
{
	return dec_subtract(holding_value(holding->kind, holding->qty, price,
									  holding->multiplier),
						holding->cost);
}

/*
 * Maintenance margin of a position, in settle, from its notional N >= 0.
 *
 *	rate > 0	N rate - amount, and not below zero.  The amount is the
 *				cumulative maintenance amount of the tier, as exchanges publish
 *				it: it makes the sum over the tiers one line for each tier, and
 *				so it is deducted.  Below zero only where another tier holds.
 *	rate = 0	the amount itself: a fixed maintenance margin.
 *
 * No position (N = 0), no maintenance.  Exact.
 */
fixed_inline Decimal
maintenance_margin(Decimal notional, Maintenance maintenance)
{
	if (dec_sign(notional) == 0)
		return dec_integer(0);
	if (dec_sign(maintenance.rate) == 0)
		return maintenance.amount;
	return dec_max(dec_subtract(dec_multiply(notional, maintenance.rate),
								maintenance.amount),
				   dec_integer(0));
}

/*
 * The tier that holds for a notional: the last whose floor is below it.  Below
 * the first floor there is none: -1; but at notional 0 the first is meant when
 * its floor is 0.
 */
fixed_inline int
tier_of_notional(const TierTable *tiers, Decimal notional)
{
	int			tier = dec_sign(tiers->floors[0]) == 0 ? 0 : -1;

	while (tier + 1 < tiers->n && dec_compare(tiers->floors[tier + 1], notional) < 0)
		tier++;
	return tier;
}

/* Maintenance margin of a notional, in settle: N m - c of its tier.  Exact. */
fixed_inline Decimal
maintenance_margin_by_tiers(const TierTable *tiers, Decimal notional)
{
	int			tier = tier_of_notional(tiers, notional);

	if (tier < 0 || dec_sign(notional) == 0)
		return dec_integer(0);
	return dec_subtract(dec_multiply(notional, tiers->rates[tier]), tiers->amounts[tier]);
}

/*
 * The fee for the liquidation of a whole position, in settle: N f.  Exact: it
 * is a part of the requirement, and becomes whole units only when it is
 * charged.
 */
fixed_inline Decimal
liquidation_fee(Decimal notional, Decimal fee_rate)
{
	return dec_multiply(notional, fee_rate);
}

/*
 * What the equity has to be for a position, in settle: its maintenance margin,
 * whatever that is taken on, and the liquidation fee on the whole of it.
 */
fixed_inline Decimal
liquidation_requirement(Decimal notional, Decimal maintenance, Decimal fee_rate)
{
	if (dec_sign(fee_rate) == 0)
		return maintenance;
	return dec_add(maintenance, liquidation_fee(notional, fee_rate));
}

/* Is the equity too low for what is required? */
fixed_inline bool
requirement_is_breached(Decimal equity, Decimal requirement, LiquidationTrigger trigger)
{
	int			order = dec_compare(equity, requirement);

	return order < 0 || (order == 0 && trigger == TRIGGER_AT_OR_BELOW);
}

/*
 * Margin needed to open a position, in settle: N / leverage, rounded up to the
 * scale of the asset, so that it is never a fraction short.
 */
fixed_inline Decimal
initial_margin(Decimal notional, Decimal leverage, int scale)
{
	return dec_divide_rounded(notional, leverage, scale, DECIMAL_UP);
}

/*
 * How the equity moves with the notional N of a position: +1 up, -1 down.  The
 * value of a long linear position is N, that of a long inverse one -N: its
 * notional grows as the price falls.
 */
fixed_inline int
notional_direction(const Holding *holding)
{
	int			side = dec_sign(holding->qty);

	return holding->kind == CONTRACT_INVERSE ? -side : side;
}

/*
 * The price at which the equity is what is required.  With d the direction
 * above, and funds all of the equity less the requirement that does not move
 * with this price, but for the cost:
 *
 *		funds - C + d N = N r, so that N = (funds - C) / (r - d)
 *		linear:		P = (funds - C) / (|q| k (r - s))
 *		inverse:	P = |q| k (r + s) / (funds - C)
 *
 * False for a flat position, where the price would not be above zero or would
 * be without bound, and when r >= 1 where the requirement then grows as fast
 * as the equity or faster.
 */
fixed_inline bool
break_even_price(const Holding *holding, Decimal funds, Decimal requirement_rate,
				 Decimal *price)
{
	int			direction = notional_direction(holding);
	Decimal		slope;
	Decimal		rest;
	Decimal		size;

	if (direction == 0)
		return false;
	slope = dec_subtract(requirement_rate, dec_integer(direction));
	if (dec_sign(slope) != -direction)
		return false;
	rest = dec_subtract(funds, holding->cost);
	if (dec_sign(rest) != -direction)
		return false;

	size = dec_multiply(dec_multiply(dec_absolute(holding->qty),
									 holding->multiplier), slope);
	*price = holding->kind == CONTRACT_INVERSE ? dec_divide(size, rest) :
		dec_divide(rest, size);
	/* less than the last digit that numeric gives a quotient */
	return dec_sign(*price) > 0;
}

fixed_inline Decimal
funds_of(const Surroundings *account)
{
	return dec_subtract(dec_add(account->balance, account->other_pnl),
						account->other_maintenance);
}

/*
 * The price of this instrument, all else unchanged, at which the equity of the
 * account equals its maintenance margin plus the fee for closing this
 * position, in settle per unit; with s |q| k / E = -C for inverse:
 *
 *	linear	P = (W + u_other - MM_other + c - C) / (|q| k (m + f - s))
 *	inverse	P = |q| k (m + f + s) / (W + u_other - MM_other + c - C)
 *
 * Rate and amount are read as maintenance_margin reads them: with rate > 0, m
 * = rate and c = amount; with rate = 0, m = 0 and c = -amount.  Where the
 * first would make the maintenance negative, it is zero there, too (m = c =
 * 0).
 *
 * Rounded as SQL rounds a quotient: at least 16 significant digits, half away
 * from zero.
 *
 * False as in break_even_price.  A long linear position whose price would be
 * zero or less is safe at every price; a short one is below its maintenance at
 * every price; of inverse ones the other way around.  The sign of equity -
 * maintenance at the mark tells them apart.
 */
fixed_inline bool
holding_liquidation_price(const Holding *holding, const Surroundings *account,
						  Maintenance maintenance, Decimal close_fee_rate,
						  Decimal *price)
{
	Decimal		funds = funds_of(account);
	Decimal		unmargined;

	if (dec_sign(maintenance.rate) == 0)
		return break_even_price(holding, dec_subtract(funds, maintenance.amount),
								dec_add(maintenance.rate, close_fee_rate), price);

	/*
	 * At small notionals the amount exceeds N rate, and the maintenance is
	 * zero; a position that breaks even nowhere without maintenance does so
	 * nowhere with it.
	 */
	if (dec_sign(maintenance.amount) > 0)
	{
		if (!break_even_price(holding, funds, close_fee_rate, &unmargined))
			return false;
		if (dec_compare(dec_multiply(holding_notional(holding->kind, holding->qty,
													  unmargined, holding->multiplier),
									 maintenance.rate),
						maintenance.amount) <= 0)
		{
			*price = unmargined;
			return true;
		}
	}
	return break_even_price(holding, dec_add(funds, maintenance.amount),
							dec_add(maintenance.rate, close_fee_rate), price);
}

/*
 * The price at which the equity of the account, less the fee for closing this
 * position, is zero: the liquidation price without any maintenance.  Rounding
 * and false as there.
 */
fixed_inline bool
holding_zero_equity_price(const Holding *holding, Decimal funds,
						  Decimal close_fee_rate, Decimal *price)
{
	return break_even_price(holding, funds, close_fee_rate, price);
}

/*
 * Is the equity too low for what is required, where the position has a value V
 * and a maintenance margin MM?
 *
 *	W + u_other + V - C < MM_other + MM + f |V|, or at most that
 *
 * False without a position: then there is nothing to liquidate.
 */
fixed_inline bool
holding_is_liquidatable(const Holding *holding, const Surroundings *account,
						Decimal value, Decimal maintenance, Decimal fee_rate,
						LiquidationTrigger trigger)
{
	Decimal		equity = dec_add(dec_add(account->balance, account->other_pnl),
								 dec_subtract(value, holding->cost));
	Decimal		requirement = liquidation_requirement(dec_absolute(value),
													  dec_add(account->other_maintenance, maintenance),
													  fee_rate);

	return dec_sign(value) != 0 && requirement_is_breached(equity, requirement, trigger);
}

#endif							/* RISK_FORMULAS_H */
