/*
 * margin.c
 *		What a trade does to a position, and the formulas as posting calls
 *		them: Numeric in, Numeric out.
 *
 * Pure, as formulas.c is, where the formulas themselves are.  Only the value
 * of a trade lives here: it is rounded, because both sides and the clearing
 * account must have the same one, in digits that the books can hold.
 */
#include "postgres.h"

#include "formulas.h"

/* Decimals of the prices that are searched for; no trade has more. */
#define PRICE_SCALE 18

/*
 * The signed value of a trade, in settle: q k P, exact.  Inverse: -(q k / P),
 * rounded half away from zero to INVERSE_EXTRA_SCALE decimals more than the
 * asset has, so that the two sides of a trade are alike.
 */
Numeric
contract_value(ContractKind kind, Numeric qty, Numeric price,
			   Numeric multiplier, int scale)
{
	if (kind == CONTRACT_INVERSE)
		return decimal_negate(decimal_divide_rounded(decimal_multiply(qty, multiplier),
													 price, scale + INVERSE_EXTRA_SCALE,
													 DECIMAL_HALF_AWAY));
	return decimal_multiply(decimal_multiply(qty, multiplier), price);
}

/* See holding_notional(). */
Numeric
contract_notional(ContractKind kind, Numeric qty, Numeric price, Numeric multiplier)
{
	return dec_to_numeric(holding_notional(kind, dec_from_numeric(qty),
										   dec_from_numeric(price),
										   dec_from_numeric(multiplier)));
}

/*
 * The values of the rows of one execution, whose quantities net to zero: do
 * they, too, but for rounding?  Linear values must net exactly.  An inverse
 * value is wrong by half a unit at most, so one unit for each row will do.
 */
bool
contract_values_net(ContractKind kind, Numeric value, int64 rows, int scale)
{
	Decimal		tolerance = {{rows, scale + INVERSE_EXTRA_SCALE}, NULL};

	if (kind != CONTRACT_INVERSE)
		return decimal_sign(value) == 0;
	return decimal_compare(decimal_absolute(value), dec_to_numeric(tolerance)) <= 0;
}

/*
 * The one price, of at most 18 decimals, at which a quantity has this value;
 * NULL when there is none.  Several prices may round to one inverse value: the
 * one with the fewest decimals is taken.
 */
Numeric
contract_price(ContractKind kind, Numeric qty, Numeric value,
			   Numeric multiplier, int scale)
{
	Numeric		size = decimal_multiply(qty, multiplier);
	int			side = kind == CONTRACT_INVERSE ? -1 : 1;

	if (decimal_sign(qty) == 0 || decimal_sign(value) != side * decimal_sign(qty))
		return NULL;
	for (int decimals = side > 0 ? PRICE_SCALE : 0; decimals <= PRICE_SCALE; decimals++)
	{
		Numeric		price = side > 0 ?
			decimal_divide_rounded(value, size, decimals, DECIMAL_HALF_AWAY) :
			decimal_divide_rounded(decimal_negate(size), value, decimals, DECIMAL_HALF_AWAY);

		if (decimal_sign(price) > 0 &&
			decimal_compare(contract_value(kind, qty, price, multiplier, scale), value) == 0)
			return price;
	}
	return NULL;
}

/*
 * The average entry price of a position, to 18 decimals; not for showing.  Not
 * above zero when what was settled has used up the cost.
 */
Numeric
position_entry_price(ContractKind kind, Numeric qty, Numeric cost,
					 Numeric multiplier, DecimalRounding rounding)
{
	Numeric		size = decimal_multiply(qty, multiplier);

	if (kind != CONTRACT_INVERSE)
		return decimal_divide_rounded(cost, size, PRICE_SCALE, rounding);
	if (decimal_sign(cost) == 0)
		return cost;
	return decimal_divide_rounded(decimal_negate(size), cost, PRICE_SCALE, rounding);
}

/* See holding_pnl(). */
Numeric
position_unrealized_pnl(ContractKind kind, Numeric qty, Numeric cost,
						Numeric mark_price, Numeric multiplier)
{
	Holding		holding = {kind, dec_from_numeric(qty), dec_from_numeric(cost),
	dec_from_numeric(multiplier)};

	return dec_to_numeric(holding_pnl(&holding, dec_from_numeric(mark_price)));
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
											 multiplier, scale);
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
		contract_value(kind, decimal_negate(qty), trade_price,
					   multiplier, scale);
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
 * What a position receives (above zero) or pays (below) at a funding, in
 * settle: -s N rate, rounded down to the scale of the asset.  So a payer pays
 * up to a unit more and a receiver gets up to a unit less, and of positions
 * that net to zero the receivers never get more than the payers paid.  Longs
 * pay when the rate is above zero.
 */
Numeric
position_funding(ContractKind kind, Numeric qty, Numeric mark_price,
				 Numeric multiplier, Numeric rate, int scale)
{
	Numeric		payment = decimal_multiply(contract_notional(kind, qty,
															 mark_price,
															 multiplier),
										   rate);

	if (decimal_sign(qty) > 0)
		payment = decimal_negate(payment);
	return decimal_round(payment, scale, DECIMAL_DOWN);
}

/* See initial_margin(). */
Numeric
margin_initial(Numeric notional, Numeric leverage, int scale)
{
	return dec_to_numeric(initial_margin(dec_from_numeric(notional),
										 dec_from_numeric(leverage), scale));
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

/* The part of the index price that counts: p (1 - h). */
static Numeric
discounted_price(Numeric index_price, Numeric haircut)
{
	return decimal_multiply(index_price,
							decimal_subtract(decimal_from_int64(1), haircut));
}

/*
 * What an amount of an asset counts for in a margin group, in the unit of
 * account: a p (1 - h); what is missing (a < 0) in full, a p.  Exact.  A price
 * of 0 stands for none, a haircut of 1 for an asset that is no collateral.
 */
Numeric
margin_collateral_value(Numeric amount, Numeric index_price, Numeric haircut)
{
	return decimal_multiply(amount, decimal_sign(amount) > 0 ?
							discounted_price(index_price, haircut) : index_price);
}

/*
 * What a value in the unit of account is for an account, in its asset: V / p.
 * Below zero it is what the account has to hold so that it counts for as much
 * as is missing: V / (p (1 - h)).  Rounded down either way: less is lent, and
 * more is held.  0 where it has no price, or nothing of it counts.
 */
Numeric
margin_collateral_share(Numeric value, Numeric index_price, Numeric haircut, int scale)
{
	Numeric		price = decimal_sign(value) >= 0 ? index_price :
		discounted_price(index_price, haircut);

	if (decimal_sign(price) <= 0)
		return decimal_round(decimal_from_int64(0), scale, DECIMAL_DOWN);
	return decimal_divide_rounded(value, price, scale, DECIMAL_DOWN);
}

/*
 * How much of another asset has to be given for an amount: the least whose
 * value covers it, a p / (p' (1 - h')), rounded up to scale.
 */
Numeric
margin_collateral_needed(Numeric amount, Numeric index_price, Numeric from_index_price,
						Numeric haircut, int scale)
{
	return decimal_divide_rounded(decimal_multiply(amount, index_price),
								  discounted_price(from_index_price, haircut),
								  scale, DECIMAL_UP);
}

/* See account_withdrawable(). */
Numeric
margin_withdrawable(Numeric balance, Numeric unrealized_pnl, Numeric initial_margin,
					Numeric order_reserve, Numeric holds, bool profit_backs_margin)
{
	return dec_to_numeric(account_withdrawable(dec_from_numeric(balance),
											   dec_from_numeric(unrealized_pnl),
											   dec_from_numeric(initial_margin),
											   dec_from_numeric(order_reserve),
											   dec_from_numeric(holds),
											   profit_backs_margin));
}

/* See account_free_collateral(). */
Numeric
margin_free_collateral(Numeric balance, Numeric unrealized_pnl, Numeric initial_margin,
					   Numeric order_reserve, Numeric holds)
{
	return dec_to_numeric(account_free_collateral(dec_from_numeric(balance),
												  dec_from_numeric(unrealized_pnl),
												  dec_from_numeric(initial_margin),
												  dec_from_numeric(order_reserve),
												  dec_from_numeric(holds)));
}
