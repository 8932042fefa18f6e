/*
 * loss_share.c
 *		A loss shared among many: by weight, nobody above a limit.
 *
 * Pure.  Amounts are multiples of one unit, 10^-scale.  Who reaches the limit
 * pays it, and what is then left is shared among the rest by weight.  The last
 * units go by largest remainder, the first of equals first: the shares are
 * exactly the loss where the limits suffice, and else exactly the limits.
 */
#include "postgres.h"

#include "margin.h"

typedef struct Remainder
{
	int			place;
	Numeric		amount;			/* of the share, times the sum of the weights */
} Remainder;

static int
compare_remainders(const void *a, const void *b)
{
	const Remainder *left = a;
	const Remainder *right = b;
	int			result = decimal_compare(right->amount, left->amount);

	return result != 0 ? result : (left->place > right->place) - (left->place < right->place);
}

/*
 * Pay the limits of those whose part of the loss by weight reaches it, until
 * none does.  Returns what is left of the loss; open says who shares it, and
 * weight is the sum of theirs.
 */
static Numeric
pay_limits(const Numeric *weights, const Numeric *limits, int n, Numeric loss,
		   Numeric *shares, bool *open, Numeric *weight)
{
	bool		reached;

	do
	{
		Numeric		rest = loss;

		reached = false;
		*weight = decimal_from_int64(0);
		for (int i = 0; i < n; i++)
			if (open[i])
				*weight = decimal_add(*weight, weights[i]);
		for (int i = 0; i < n; i++)
		{
			if (!open[i] || decimal_compare(decimal_multiply(weights[i], loss),
											decimal_multiply(limits[i], *weight)) < 0)
				continue;
			open[i] = false;
			reached = true;
			shares[i] = limits[i];
			rest = decimal_subtract(rest, limits[i]);
		}
		loss = rest;
	} while (reached && decimal_sign(loss) > 0);
	return loss;
}

/*
 * loss_shares
 *		What each of n pays.  Weights and limits are not negative; limits and
 *		the loss have at most scale decimals.  Who has no weight pays nothing.
 */
Numeric *
loss_shares(const Numeric *weights, const Numeric *limits, int n, Numeric loss, int scale)
{
	Numeric    *shares = palloc(sizeof(Numeric) * Max(n, 1));
	bool	   *open = palloc(sizeof(bool) * Max(n, 1));
	Remainder  *remainders = palloc(sizeof(Remainder) * Max(n, 1));
	Numeric		one = decimal_from_int64(1);
	Numeric		three = decimal_from_int64(3);
	Numeric		unit = decimal_subtract(decimal_divide_rounded(one, three, scale, DECIMAL_UP),
									decimal_divide_rounded(one, three, scale, DECIMAL_DOWN));
	Numeric		weight;
	Numeric		left;
	int			nopen = 0;

	for (int i = 0; i < n; i++)
	{
		shares[i] = decimal_round(decimal_from_int64(0), scale, DECIMAL_DOWN);
		open[i] = decimal_sign(weights[i]) > 0;
	}
	loss = pay_limits(weights, limits, n, loss, shares, open, &weight);
	left = loss;
	for (int i = 0; i < n; i++)
	{
		Numeric		part;

		if (!open[i] || decimal_sign(loss) <= 0)
			continue;
		part = decimal_multiply(weights[i], loss);
		shares[i] = decimal_divide_rounded(part, weight, scale, DECIMAL_DOWN);
		left = decimal_subtract(left, shares[i]);
		remainders[nopen].place = i;
		remainders[nopen++].amount = decimal_subtract(part, decimal_multiply(shares[i], weight));
	}
	qsort(remainders, nopen, sizeof(Remainder), compare_remainders);
	for (int r = 0; r < nopen && decimal_sign(left) > 0; r++)
	{
		shares[remainders[r].place] = decimal_add(shares[remainders[r].place], unit);
		left = decimal_subtract(left, unit);
	}
	return shares;
}
