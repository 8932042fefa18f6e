/*
 * valuation.c
 *		Open positions of some accounts, at the latest mark prices.
 *
 * Read after the balances of the accounts are locked, so the positions cannot
 * change.  One statement reads all marks, so an account is valued with marks
 * of one instant.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "valuation.h"

static const LedgerStatement read_positions = {
	"SELECT p.account_id, p.instrument_id, i.kind, p.qty, p.cost, i.multiplier, m.price,"
	" (SELECT t.max_leverage FROM {margin_tier} t"
	"   WHERE t.instrument_id = p.instrument_id"
	"     AND (t.notional_floor < risk.notional(p.qty, m.price, i.multiplier, i.kind)"
	"          OR t.notional_floor = 0)"
	"   ORDER BY t.notional_floor DESC LIMIT 1)"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT p.* FROM {position} p"
	"  WHERE p.book_id = $1 AND p.account_id = u.account_id OFFSET 0) AS p"
	" JOIN {instrument} i ON i.instrument_id = p.instrument_id"
	" LEFT JOIN {mark_price} m ON m.instrument_id = p.instrument_id"
	" WHERE p.qty <> 0"
	" ORDER BY p.account_id, p.instrument_id",
	2, {INT4OID, INT8ARRAYOID}
};

/* valuation_read: the open positions of these accounts; lives in the current memory context */
Valuation *
valuation_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n)
{
	Valuation  *valuation = palloc(sizeof(Valuation));
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));
	Datum		values[2] = {Int32GetDatum(book_id)};

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(account_ids[i]);
	values[1] = array_argument(elements, NULL, n, INT8OID);
	wiring_read(wiring, &read_positions, values, LEDGER_LATEST);

	valuation->n = SPI_processed;
	valuation->positions = palloc0(sizeof(OpenPosition) * Max(valuation->n, 1));
	for (int row = 0; row < valuation->n; row++)
	{
		OpenPosition *position = &valuation->positions[row];

		position->account_id = result_int64(row, 1);
		position->instrument_id = result_int32(row, 2);
		position->kind = contract_kind(result_text(row, 3));
		position->qty = result_numeric(row, 4);
		position->cost = result_numeric(row, 5);
		position->multiplier = result_numeric(row, 6);
		position->mark_price = result_numeric(row, 7);
		position->max_leverage = result_numeric(row, 8);
		if (position->max_leverage == NULL)
			position->max_leverage = decimal_from_int64(1);
		position->unrealized_pnl = position->mark_price == NULL ? decimal_from_int64(0) :
			position_unrealized_pnl(position->kind, position->qty, position->cost,
									position->mark_price, position->multiplier);
	}
	return valuation;
}

/* valuation_of_account: the positions of one account, n of them */
OpenPosition *
valuation_of_account(Valuation *valuation, int64 account_id, int *n)
{
	int			low = 0;
	int			high = valuation->n;
	int			end;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (valuation->positions[middle].account_id < account_id)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < valuation->n && valuation->positions[end].account_id == account_id;)
		end++;
	*n = end - low;
	return &valuation->positions[low];
}
