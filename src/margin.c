/*
 * margin.c
 *		The formulas of margin and profit.
 *
 * Pure functions of their arguments: no table, no catalogue, no setting.  They
 * are the only place where a formula is written; the SQL functions, the views
 * and the triggers all come here.
 *
 * Arguments are finite and have been judged by the caller: prices and
 * multipliers above zero, rates not below zero.  A result too large for
 * NUMERIC is 22003, raised by the arithmetic.
 *
 * Names in the comments: q signed quantity, s its sign, k multiplier, P price,
 * E average entry price, C signed cost (q k E), W balance, m maintenance rate,
 * f closing fee rate.  "Settle" is one unit of the settlement asset.
 */
#include "postgres.h"

#include "margin.h"

/*
 * The kind of contract that a name stands for.  Errors: 0A000 for a kind that
 * is known but has no formulas yet, 22023 for any other name.
 */
ContractKind
contract_kind(const char *name)
{
	if (strcmp(name, "linear") == 0)
		return CONTRACT_LINEAR;

	if (strcmp(name, "inverse") == 0 || strcmp(name, "quanto") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("contracts of kind \"%s\" are not supported yet", name),
				 errdetail("This version computes linear contracts only."),
				 errhint("Use kind 'linear'.")));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown kind of contract \"%.60s\"", name),
			 errdetail("The kinds are linear, inverse and quanto."),
			 errhint("Use kind 'linear'.")));
}

/*
 * What a quantity is worth at a price, in settle, with the sign of the
 * quantity: q k P.  Exact.
 */
Numeric
contract_value(ContractKind kind, Numeric qty, Numeric price,
			   Numeric multiplier)
{
	switch (kind)
	{
		case CONTRACT_LINEAR:
			return decimal_multiply(decimal_multiply(qty, multiplier), price);
	}
	elog(ERROR, "unrecognized contract kind: %d", (int) kind);
}

/* The size of a position in settle, never negative: |q| k P.  Exact. */
Numeric
contract_notional(ContractKind kind, Numeric qty, Numeric price,
				  Numeric multiplier)
{
	return decimal_absolute(contract_value(kind, qty, price, multiplier));
}

/*
 * Profit (above zero) or loss not yet realised at a price, in settle:
 * q k P - C, which is s |q| k (P - E).  Exact.  Zero for a flat position.
 */
Numeric
position_unrealized_pnl(ContractKind kind, Numeric qty, Numeric cost,
						Numeric mark_price, Numeric multiplier)
{
	return decimal_subtract(contract_value(kind, qty, mark_price, multiplier),
							cost);
}

/*
 * Books a trade of a signed, nonzero quantity on a position, given by quantity
 * and cost.  All money in settle; scale is the number of decimals of the
 * asset.
 *
 * With V the signed value of a trade:
 *
 *	open	C' = C + V
 *	close	of c out of |q|: the position gives up C c / |q| of its cost, and
 *			the trade pays -V for it.  The profit is -V - C c / |q|, rounded
 *			down to scale, that is against the trader, so that rounding never
 *			creates money; C' = C + V + realised.
 *	flip	closes all of it, then opens the rest; the value of the opening
 *			part is V less the value of the closing part.
 *
 * Nothing is lost by the rounding: while the position is open the difference
 * stays in the cost, and comes out with a later close.  When the position is
 * closed, what is left in the cost (above -1 unit of scale, at most 0) is the
 * residue, returned with its sign changed: the caller books it to clearing.
 *
 * Hence over any sequence of trades, exactly:
 *		cost = sum of V + sum of realised + sum of residues.
 *
 * The quotient is never formed on its own: the profit is one fraction with the
 * denominator |q|, rounded once.
 */
void
position_apply_trade(ContractKind kind, Numeric qty, Numeric cost,
					 Numeric trade_qty, Numeric trade_price,
					 Numeric multiplier, int scale, PositionChange *change)
{
	Numeric		trade_value = contract_value(kind, trade_qty, trade_price,
											 multiplier);
	int			side = decimal_sign(qty);
	int			trade_side = decimal_sign(trade_qty);
	Numeric		close_value;
	Numeric		close_cost;
	int			order;

	if (trade_side == 0)
		elog(ERROR, "trade has no quantity");

	change->qty = decimal_add(qty, trade_qty);
	change->realized = NULL;
	change->residue = NULL;

	if (side == 0 || side == trade_side)
	{
		change->cost = decimal_add(cost, trade_value);
		change->adds_risk = true;
		return;
	}

	order = decimal_compare(decimal_absolute(trade_qty),
							decimal_absolute(qty));
	change->adds_risk = (order > 0);

	if (order < 0)
	{
		/*
		 * Part of it.  As fractions of q: (-V q + C t) / q, where t, the
		 * trade's quantity, has the opposite sign of q: t / q = -c / |q|.
		 */
		change->realized =
			decimal_divide_rounded(decimal_subtract(decimal_multiply(cost, trade_qty),
													decimal_multiply(trade_value, qty)),
								   qty, scale, DECIMAL_DOWN);
		change->cost = decimal_add(decimal_add(cost, trade_value),
								   change->realized);
		return;
	}

	/* all of it, and perhaps more */
	close_value = (order == 0) ? trade_value :
		contract_value(kind, decimal_negate(qty), trade_price, multiplier);
	close_cost = decimal_add(cost, close_value);
	change->realized = decimal_round(decimal_negate(close_cost), scale,
									 DECIMAL_DOWN);

	close_cost = decimal_add(close_cost, change->realized);
	Assert(decimal_sign(close_cost) <= 0);
	if (decimal_sign(close_cost) != 0)
		change->residue = decimal_negate(close_cost);

	change->cost = (order == 0) ? decimal_from_int64(0) :
		decimal_subtract(trade_value, close_value);
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
Numeric
margin_maintenance(Numeric notional, Numeric rate, Numeric amount)
{
	Numeric		zero = decimal_from_int64(0);

	if (decimal_sign(notional) == 0)
		return zero;
	if (decimal_sign(rate) == 0)
		return amount;
	return decimal_max(zero,
					   decimal_subtract(decimal_multiply(notional, rate),
										amount));
}

/*
 * Margin needed to open a position, in settle: N / leverage, rounded up to the
 * scale of the asset, so that it is never a fraction short.  The leverage is
 * above zero.
 */
Numeric
margin_initial(Numeric notional, Numeric leverage, int scale)
{
	return decimal_divide_rounded(notional, leverage, scale, DECIMAL_UP);
}

/*
 * What is given back of a balance when a position is reduced from one quantity
 * to another: W (|q0| - |q|) / |q0|, rounded down to scale.
 */
Numeric
margin_released(Numeric balance, Numeric qty_before, Numeric qty, int scale)
{
	Numeric		before = decimal_absolute(qty_before);
	Numeric		closed = decimal_subtract(before, decimal_absolute(qty));

	return decimal_divide_rounded(decimal_multiply(balance, closed), before, scale, DECIMAL_DOWN);
}

/*
 * The same where it grows with the open interest O of the instrument: the rate
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

/*
 * What new orders and positions may use, in settle: W + u - IM - R, where R is
 * the margin reserved for open orders.  Below zero when more is bound than
 * there is.  Exact.
 */
Numeric
margin_free_collateral(Numeric balance, Numeric unrealized_pnl,
					   Numeric initial_margin, Numeric order_reserve)
{
	return decimal_subtract(decimal_subtract(decimal_add(balance, unrealized_pnl),
											 initial_margin),
							order_reserve);
}

/*
 * What may leave the account, in settle: max(0, W + min(0, u) - IM - R), the
 * free collateral without profits: losses not yet realised count at once,
 * profits only when realised or settled.  Exact.
 */
Numeric
margin_withdrawable(Numeric balance, Numeric unrealized_pnl,
					Numeric initial_margin, Numeric order_reserve)
{
	Numeric		zero = decimal_from_int64(0);

	return decimal_max(zero,
					   margin_free_collateral(balance,
											  decimal_min(zero, unrealized_pnl),
											  initial_margin, order_reserve));
}

/*
 * The price at which funds + q k P - C = |q| k P requirement_rate, that is
 * (funds - C) / (|q| k (requirement_rate - s)); funds is the part of the
 * equity less the requirement that does not move with this price.
 *
 * NULL for a flat position, where the price would not be above zero, and for a
 * long position with requirement_rate >= 1: what it needs then grows as fast
 * as its value or faster, and no fall of the price leads through such a point.
 */
static Numeric
break_even_price(ContractKind kind, Numeric qty, Numeric cost, Numeric funds,
				 Numeric requirement_rate, Numeric multiplier)
{
	int			side = decimal_sign(qty);
	Numeric		slope;
	Numeric		dividend;
	Numeric		divisor;

	if (kind != CONTRACT_LINEAR)
		elog(ERROR, "unrecognized contract kind: %d", (int) kind);
	if (side == 0)
		return NULL;

	slope = decimal_subtract(requirement_rate, decimal_from_int64(side));
	if (decimal_sign(slope) != -side)
		return NULL;

	dividend = decimal_subtract(funds, cost);
	if (decimal_sign(dividend) != -side)
		return NULL;

	divisor = decimal_multiply(decimal_multiply(decimal_absolute(qty),
												multiplier), slope);
	return decimal_divide(dividend, divisor);
}

/*
 * The price of this instrument, all else unchanged, at which the equity of the
 * account equals its maintenance margin plus the fee for closing this
 * position, in settle per unit:
 *
 *	P = (W + u_other - MM_other + c - C) / (|q| k (m + f - s))
 *
 * rate and amount are read as margin_maintenance reads them: with rate > 0,
 * m = rate and c = amount; with rate = 0, m = 0 and c = -amount.  Where the
 * first would make the maintenance negative, it is zero there, too (m = c =
 * 0).  The tier is the one that holds at the resulting price; choosing it is
 * the caller's.
 *
 * Rounded as SQL rounds a quotient: at least 16 significant digits, half away
 * from zero.
 *
 * NULL as in break_even_price.  A long position whose price would be zero or
 * less is safe at every price; a short one is below its maintenance at every
 * price.  The sign of equity - maintenance at the mark tells them apart.
 */
Numeric
position_liquidation_price(ContractKind kind, Numeric qty, Numeric cost,
						   Numeric balance, Numeric rate, Numeric amount,
						   Numeric other_pnl, Numeric other_maintenance,
						   Numeric close_fee_rate, Numeric multiplier)
{
	Numeric		funds = decimal_subtract(decimal_add(balance, other_pnl),
										 other_maintenance);
	Numeric		price;

	if (decimal_sign(rate) == 0)
		return break_even_price(kind, qty, cost,
								decimal_subtract(funds, amount),
								close_fee_rate, multiplier);

	price = break_even_price(kind, qty, cost, decimal_add(funds, amount),
							 decimal_add(rate, close_fee_rate), multiplier);

	/*
	 * At small notionals the amount exceeds N rate, and the maintenance is
	 * zero; a short position that breaks even nowhere without maintenance
	 * does so nowhere with it.
	 */
	if (decimal_sign(amount) > 0)
	{
		Numeric		unmargined = break_even_price(kind, qty, cost, funds,
												  close_fee_rate, multiplier);

		if (unmargined == NULL ||
			decimal_compare(decimal_multiply(contract_notional(kind, qty,
															   unmargined,
															   multiplier),
											 rate),
							amount) <= 0)
			return unmargined;
	}
	return price;
}

/*
 * The price at which the equity of the account, less the fee for closing this
 * position, is zero: the liquidation price without any maintenance.  Rounding
 * and NULL as there.
 */
Numeric
position_bankruptcy_price(ContractKind kind, Numeric qty, Numeric cost,
						  Numeric balance, Numeric other_pnl,
						  Numeric close_fee_rate, Numeric multiplier)
{
	return break_even_price(kind, qty, cost, decimal_add(balance, other_pnl),
							close_fee_rate, multiplier);
}
