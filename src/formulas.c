/*
 * formulas.c
 *		The formulas of margin and profit.
 *
 * Pure functions of their arguments: no table, no catalogue, no setting.  They
 * are the only place where a formula is written; the SQL functions, the views
 * and the triggers all come here.  Each is computed in the order in which it
 * is written, so that it gives what the same expression gives in SQL.
 *
 * Arguments are finite and have been judged by the caller: prices, multipliers
 * and leverages above zero, rates not below zero.  A result too large for
 * NUMERIC is 22003, raised by the arithmetic.
 */
#include "postgres.h"

#include "margin.h"

/* Decimals of a price that is searched for. */
#define PRICE_SCALE 18

/*
 * The kind of contract that a name stands for.  Error: 22023 for any other
 * name.
 */
ContractKind
contract_kind(const char *name)
{
	if (strcmp(name, "linear") == 0)
		return CONTRACT_LINEAR;
	if (strcmp(name, "inverse") == 0)
		return CONTRACT_INVERSE;
	if (strcmp(name, "quanto") == 0)
		return CONTRACT_QUANTO;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown kind of contract \"%.60s\"", name),
			 errdetail("The kinds are linear, inverse and quanto."),
			 errhint("Use one of these.")));
}

/*
 * What a quantity is worth at a price, in settle: q k P, exact, with the sign
 * of the quantity.  Inverse: -(q k / P), which is a fall of the debt in quote
 * when the price rises; at least 16 significant digits.
 */
Decimal
holding_value(ContractKind kind, Decimal qty, Decimal price, Decimal multiplier)
{
	Decimal		size = dec_multiply(qty, multiplier);

	if (kind == CONTRACT_INVERSE)
		return dec_negate(dec_divide(size, price));
	return dec_multiply(size, price);
}

/* The size of a position in settle, never negative: |V|. */
Decimal
holding_notional(ContractKind kind, Decimal qty, Decimal price, Decimal multiplier)
{
	return dec_absolute(holding_value(kind, qty, price, multiplier));
}

/*
 * Profit (above zero) or loss not yet realised at a price, in settle: V - C.
 * Linear: s |q| k (P - E).  Inverse: s |q| k (1/E - 1/P).  Zero for a flat
 * position.
 */
Decimal
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
Decimal
maintenance_margin(Decimal notional, Maintenance maintenance)
{
	if (dec_sign(notional) == 0)
		return dec_integer(0);
	if (dec_sign(maintenance.rate) == 0)
		return maintenance.amount;
	return dec_max(dec_integer(0),
				   dec_subtract(dec_multiply(notional, maintenance.rate),
								maintenance.amount));
}

/*
 * The cumulative amounts of tiers, derived from floors and rates: they make
 * the maintenance margin continuous from tier to tier.
 *
 *	c_n = floor_n (m_n - m_(n-1)) + c_(n-1), from c_0 = m_0 = 0
 */
void
derive_tier_amounts(int n, const Decimal *floors, const Decimal *rates, Decimal *amounts)
{
	for (int i = 0; i < n; i++)
		amounts[i] = i == 0 ? dec_multiply(floors[0], rates[0]) :
			dec_add(dec_multiply(floors[i], dec_subtract(rates[i], rates[i - 1])),
					amounts[i - 1]);
}

/*
 * The tier that holds for a notional: the last whose floor is below it.  Below
 * the first floor there is none: -1; but at notional 0 the first is meant when
 * its floor is 0.
 */
int
tier_of_notional(const TierTable *tiers, Decimal notional)
{
	int			tier = dec_sign(tiers->floors[0]) == 0 ? 0 : -1;

	while (tier + 1 < tiers->n && dec_compare(tiers->floors[tier + 1], notional) < 0)
		tier++;
	return tier;
}

/* Maintenance margin of a notional, in settle: N m - c of its tier.  Exact. */
Decimal
maintenance_margin_by_tiers(const TierTable *tiers, Decimal notional)
{
	int			tier = tier_of_notional(tiers, notional);

	if (tier < 0 || dec_sign(notional) == 0)
		return dec_integer(0);
	return dec_subtract(dec_multiply(notional, tiers->rates[tier]), tiers->amounts[tier]);
}

/*
 * Margin needed to open a position, in settle: N / leverage, rounded up to the
 * scale of the asset, so that it is never a fraction short.
 */
Decimal
initial_margin(Decimal notional, Decimal leverage, int scale)
{
	return dec_divide_rounded(notional, leverage, scale, DECIMAL_UP);
}

/*
 * Average entry price, for reading: C / (q k), rounded as SQL does.  False
 * when there is none.
 *
 * Inverse: -(q k) / C.  The cost of one contract has few digits, so that this
 * quotient shows the rounding of the cost (59,999.99999988 for 60,000): shown
 * is the price with the fewest decimals whose value, rounded as the values of
 * trades are, is this cost.
 */
bool
holding_entry_price(const Holding *holding, int scale, Decimal *price)
{
	Decimal		size = dec_multiply(holding->qty, holding->multiplier);

	if (dec_sign(size) == 0)
		return false;
	if (holding->kind != CONTRACT_INVERSE)
	{
		*price = dec_divide(holding->cost, size);
		return true;
	}

	if (dec_sign(holding->cost) != -dec_sign(size))
		return false;
	for (int decimals = 0; decimals < PRICE_SCALE; decimals++)
	{
		*price = dec_divide_rounded(dec_negate(size), holding->cost, decimals,
									DECIMAL_HALF_AWAY);
		if (dec_sign(*price) > 0 &&
			dec_compare(dec_divide_rounded(dec_negate(size), *price,
										   scale + INVERSE_EXTRA_SCALE,
										   DECIMAL_HALF_AWAY),
						holding->cost) == 0)
			return true;
	}
	*price = dec_divide(dec_negate(size), holding->cost);
	return true;
}

/*
 * How the equity moves with the notional N of a position: +1 up, -1 down.  The
 * value of a long linear position is N, that of a long inverse one -N: its
 * notional grows as the price falls.
 */
static int
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
static bool
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

static Decimal
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
bool
holding_liquidation_price(const Holding *holding, const Surroundings *account,
						  Maintenance maintenance, Decimal close_fee_rate,
						  Decimal *price)
{
	Decimal		funds = funds_of(account);
	Decimal		unmargined;

	if (dec_sign(maintenance.rate) == 0)
		return break_even_price(holding, dec_subtract(funds, maintenance.amount),
								close_fee_rate, price);

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
 * The same by tiers, in the one that holds at the resulting price.
 *
 * Equity less requirement, as a function g(N) of the notional, is continuous
 * and monotone: it holds W + u_other - MM_other - C + d N - N f - (N m - c).
 * The walk goes up while g has not changed its sign at the next floor.
 */
bool
holding_liquidation_price_by_tiers(const Holding *holding,
								   const Surroundings *account,
								   const TierTable *tiers,
								   Decimal close_fee_rate, Decimal *price)
{
	int			direction = notional_direction(holding);
	Decimal		funds = funds_of(account);
	Decimal		rest = dec_subtract(funds, holding->cost);
	Decimal		amount = dec_integer(0);
	Decimal		rate = close_fee_rate;
	int			tier = -1;		/* below the first floor */

	if (direction == 0)
		return false;
	while (tier + 1 < tiers->n)
	{
		Decimal		floor = tiers->floors[tier + 1];
		Decimal		slope = dec_subtract(dec_integer(direction), rate);
		Decimal		surplus = dec_add(dec_add(rest, amount), dec_multiply(floor, slope));

		/* notional 0 is no position: the first tier holds from there on */
		if (dec_sign(floor) != 0 && dec_sign(surplus) != -direction)
			break;
		tier++;
		amount = tiers->amounts[tier];
		rate = dec_add(tiers->rates[tier], close_fee_rate);
	}
	return break_even_price(holding, dec_add(funds, amount), rate, price);
}

/*
 * The price at which the equity of the account, less the fee for closing this
 * position, is zero: the liquidation price without any maintenance.  Rounding
 * and false as there.
 */
bool
holding_zero_equity_price(const Holding *holding, Decimal funds,
						  Decimal close_fee_rate, Decimal *price)
{
	return break_even_price(holding, funds, close_fee_rate, price);
}

/*
 * Is the equity at or below what is required, at this mark?
 *
 *	W + u_other + u <= MM_other + MM + f N
 *
 * False without a position: then there is nothing to liquidate.
 */
bool
holding_is_liquidatable(const Holding *holding, const Surroundings *account,
						Maintenance maintenance, Decimal close_fee_rate,
						Decimal mark_price)
{
	Decimal		value = holding_value(holding->kind, holding->qty, mark_price,
									  holding->multiplier);
	Decimal		notional = dec_absolute(value);
	Decimal		equity = dec_add(dec_add(account->balance, account->other_pnl),
								 dec_subtract(value, holding->cost));
	Decimal		requirement = dec_add(account->other_maintenance,
									  maintenance_margin(notional, maintenance));

	if (dec_sign(close_fee_rate) != 0)
		requirement = dec_add(requirement, dec_multiply(notional, close_fee_rate));
	return dec_sign(notional) != 0 && dec_compare(equity, requirement) <= 0;
}

/*
 * What may leave the account, in settle.  Losses not yet realised count at
 * once.  Profit not yet realised is never paid out; the second form lets it
 * bear the margin of the positions:
 *
 *	max(0, W - holds + min(0, u) - IM - reserve)
 *	max(0, min(W - holds, W - holds + u - IM - reserve))
 *
 * Exact.
 */
Decimal
account_withdrawable(Decimal balance, Decimal pnl, Decimal initial_margin,
					 Decimal order_reserve, Decimal holds, bool profit_backs_margin)
{
	Decimal		zero = dec_integer(0);
	Decimal		held = dec_subtract(balance, holds);
	Decimal		spare;

	if (!profit_backs_margin)
		pnl = dec_min(zero, pnl);
	spare = dec_subtract(dec_subtract(dec_add(held, pnl), initial_margin), order_reserve);
	if (profit_backs_margin)
		spare = dec_min(held, spare);
	return dec_max(zero, spare);
}

/* What new orders may use, in settle: W + u - IM - reserve - holds.  Exact. */
Decimal
account_free_collateral(Decimal balance, Decimal pnl, Decimal initial_margin,
						Decimal order_reserve, Decimal holds)
{
	return dec_subtract(dec_subtract(dec_subtract(dec_add(balance, pnl), initial_margin),
									 order_reserve), holds);
}

/*
 * The largest order, in whole lots, whose initial margin and fee are within
 * the free collateral F, at leverage L and fee rate f:
 *
 *	linear	F L / (k P (1 + f L))
 *	inverse	F L P / (k (1 + f L))
 *
 * The number of lots is rounded down once, from the exact quotient.
 */
Decimal
largest_order(ContractKind kind, Decimal free_collateral, Decimal price,
			  Decimal leverage, Decimal fee_rate, Decimal lot, Decimal multiplier)
{
	Decimal		funds = dec_multiply(free_collateral, leverage);
	Decimal		need = dec_multiply(multiplier,
									dec_add(dec_integer(1),
											dec_multiply(fee_rate, leverage)));

	if (dec_sign(free_collateral) <= 0)
		return dec_integer(0);
	if (kind == CONTRACT_INVERSE)
		funds = dec_multiply(funds, price);
	else
		need = dec_multiply(need, price);
	return dec_multiply(dec_divide_rounded(funds, dec_multiply(need, lot), 0, DECIMAL_DOWN),
						lot);
}
