/*
 * loss_sharing.c
 *		The stage `socialise`: who bears how much of a loss, and out of what.
 *
 * risk.loss_claims() says who can be asked for how much, loss_share.c how the
 * loss is shared among them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "margin.h"
#include "settle.h"
#include "position_settlement.h"
#include "valuation.h"

static const LedgerStatement read_claims = {
	"SELECT c.account_id, c.claim, c.weight FROM risk.loss_claims($1, $2) c ORDER BY c.account_id",
	2, {INT4OID, INT8OID}
};

/* Profit to be taken out of positions. */
typedef struct TakenProfits
{
	PositionSettlement *positions;
	int			n;
} TakenProfits;

/* Before the locks: note who can be asked. */
void
loss_sharing_prepare(Settling *settling, OpenShortfall *shortfall)
{
	Datum		values[2] = {Int32GetDatum(settling->book_id), Int64GetDatum(shortfall->shortfall_id)};

	shortfall->claims_locked = true;
	wiring_read(settling->wiring, &read_claims, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
		settling_lock_later(settling, result_int64(row, 1));
}

/* Share a loss among those that are locked; returns the payers, by account_id. */
LossShare *
loss_sharing_decide(Settling *settling, OpenShortfall *shortfall, Numeric loss, int *n)
{
	Datum		values[2] = {Int32GetDatum(settling->book_id), Int64GetDatum(shortfall->shortfall_id)};
	LossShare  *shares;
	Numeric    *weights;
	Numeric    *claims;
	Numeric    *amounts;
	int			asked = 0;

	wiring_read(settling->wiring, &read_claims, values, LEDGER_LATEST);
	shares = palloc(sizeof(LossShare) * Max(SPI_processed, 1));
	weights = palloc(sizeof(Numeric) * Max(SPI_processed, 1));
	claims = palloc(sizeof(Numeric) * Max(SPI_processed, 1));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		LedgerAccount *account = posting_account(settling->locks, result_int64(row, 1));

		/* who came to a claim since the locks were taken has another turn */
		if (account == NULL || account->slot < 0)
			continue;
		shares[asked].account_id = account->account_id;
		claims[asked] = shares[asked].claim = result_numeric(row, 2);
		weights[asked] = shares[asked].weight = result_numeric(row, 3);
		asked++;
	}
	amounts = loss_shares(weights, claims, asked, loss, shortfall->scale);
	*n = 0;
	for (int i = 0; i < asked; i++)
	{
		if (decimal_sign(amounts[i]) <= 0)
			continue;
		shares[*n] = shares[i];
		shares[(*n)++].amount = amounts[i];
	}
	return shares;
}

static int
compare_profit(const void *a, const void *b)
{
	const OpenPosition *left = *(OpenPosition *const *) a;
	const OpenPosition *right = *(OpenPosition *const *) b;
	int			result = decimal_compare(right->unrealized_pnl, left->unrealized_pnl);

	return result != 0 ? result :
		(left->instrument_id > right->instrument_id) - (left->instrument_id < right->instrument_id);
}

/*
 * Take due out of the profits of an account, largest first, ties by
 * instrument, as the stage `own` does; the largest makes up for fractions of a
 * unit.  Returns what the profits do not cover: nothing, unless a mark has
 * moved since the claim was computed.
 */
static Numeric
take_profit(TakenProfits *taken, LedgerAccount *account, OpenPosition *positions, int n, Numeric due)
{
	OpenPosition **order = palloc(sizeof(OpenPosition *) * Max(n, 1));
	Numeric		profit = decimal_from_int64(0);
	int			first = taken->n;

	for (int i = 0; i < n; i++)
		order[i] = &positions[i];
	qsort(order, n, sizeof(OpenPosition *), compare_profit);
	for (int i = 0; i < n && decimal_sign(due) > 0; i++)
	{
		Numeric		amount = decimal_min(due, decimal_round(order[i]->unrealized_pnl, account->scale, DECIMAL_DOWN));

		if (decimal_sign(amount) <= 0)
			break;
		profit = decimal_add(profit, decimal_subtract(order[i]->unrealized_pnl, amount));
		due = decimal_subtract(due, amount);
		taken->positions[taken->n++] = (PositionSettlement) {account, order[i]->instrument_id, amount};
	}
	if (decimal_sign(due) > 0 && taken->n > first && decimal_compare(profit, due) >= 0)
	{
		taken->positions[first].amount = decimal_add(taken->positions[first].amount, due);
		due = decimal_from_int64(0);
	}
	return due;
}

/*
 * What the payers have not got on their balances is settled out of profits
 * that are not realised yet, so that nobody comes below the floor.  A share
 * that cannot be collected is cut.
 */
void
loss_sharing_collect(Settling *settling, Posting *posting, LossShare *shares, int n)
{
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	Valuation  *valuation;
	TakenProfits taken = {.n = 0};

	for (int i = 0; i < n; i++)
		ids[i] = shares[i].account_id;
	valuation = valuation_read(settling->wiring, settling->book_id, ids, n);
	taken.positions = palloc(sizeof(PositionSettlement) * Max(valuation->n, 1));
	for (int i = 0; i < n; i++)
	{
		LedgerAccount *account = posting_account(posting, shares[i].account_id);
		int			npositions;
		OpenPosition *positions = valuation_of_account(valuation, account->account_id, &npositions);
		Numeric		due;

		if (account->floor == NULL)
			continue;
		due = decimal_subtract(shares[i].amount,
							   decimal_max(decimal_subtract(account->amount, account->floor), decimal_from_int64(0)));
		if (decimal_sign(due) <= 0)
			continue;
		due = take_profit(&taken, account, positions, npositions, due);
		shares[i].amount = decimal_subtract(shares[i].amount, due);
	}
	settle_positions(settling->wiring, posting, settling->book_id, taken.positions, taken.n, false);
}
