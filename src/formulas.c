/*
 * formulas.c
 *		The formulas that are not asked for every row of a large query: see
 *		formulas.h.
 */
#include "postgres.h"

#include "formulas.h"

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

/* Likewise of the triggers of a liquidation. */
LiquidationTrigger
liquidation_trigger(const char *name)
{
	if (strcmp(name, "below") == 0)
		return TRIGGER_BELOW;
	if (strcmp(name, "at_or_below") == 0)
		return TRIGGER_AT_OR_BELOW;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown trigger of liquidations \"%.60s\"", name),
			 errdetail("The triggers are below and at_or_below."),
			 errhint("Use one of these.")));
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
	return dec_max(spare, zero);
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
 * Against an opposing position of q0 contracts it closes that one first.  What
 * that one is margined with, IM0, becomes free, and the first q0 contracts need
 * no margin, though the fee: with N0 their notional at the order's price,
 *
 *	F + IM0 - (N - N0) / L - f N >= 0, so that N <= ((F + IM0) L + N0) / (1 + f L)
 *
 * An order that only reduces always fits.  The number of lots is rounded down
 * once, from the exact quotient.
 */
Decimal
largest_order(ContractKind kind, Decimal free_collateral, Decimal price,
			  Decimal leverage, Decimal fee_rate, Decimal lot, Decimal multiplier,
			  Decimal opposing_qty, Decimal opposing_margin)
{
	Decimal		funds = dec_multiply(dec_add(free_collateral, opposing_margin), leverage);
	Decimal		opposing = dec_multiply(opposing_qty, multiplier);
	Decimal		need = dec_multiply(multiplier,
									dec_add(dec_integer(1),
											dec_multiply(fee_rate, leverage)));
	Decimal		lots;

	/* both sides times P for inverse, where N is q k / P */
	if (kind == CONTRACT_INVERSE)
		funds = dec_multiply(funds, price);
	else
	{
		opposing = dec_multiply(opposing, price);
		need = dec_multiply(need, price);
	}
	lots = dec_max(dec_divide_rounded(dec_add(funds, opposing), dec_multiply(need, lot),
									  0, DECIMAL_DOWN),
				   dec_divide_rounded(opposing_qty, lot, 0, DECIMAL_DOWN));
	return dec_sign(lots) > 0 ? dec_multiply(lots, lot) : dec_integer(0);
}
