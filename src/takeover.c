/*
 * takeover.c
 *		Positions that the liquidity account takes from others: the trades, and
 *		the record of the prices.
 *
 * The caller has locked both accounts, the liquidity account at the gate.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "margin.h"
#include "takeover.h"

/* The share of the equity that each position of an account has, as the view reckons it. */
static const LedgerStatement read_bankruptcy_prices = {
	"SELECT p.account_id, p.instrument_id, p.bankruptcy_price"
	" FROM unnest($2) AS u(account_id), LATERAL ("
	"  SELECT r.* FROM {schema}.position_risk r"
	"  WHERE r.book_id = $1 AND r.account_id = u.account_id OFFSET 0) AS p",
	2, {INT4OID, INT8ARRAYOID}
};

/* The numbers of these executions are negative, apart from those of the matching engine. */
static const LedgerStatement next_executions = {
	"SELECT -nextval('{schema}.trade_execution_id_seq') FROM generate_series(1, $1)",
	1, {INT4OID}
};

/* Executed now, both sides at the same time: after any funding that the transaction has posted. */
static const LedgerStatement insert_trades = {
	"INSERT INTO {trade} (executed_at, book_id, account_id, instrument_id, execution_id, side, qty, price, kind)"
	" SELECT (SELECT clock_timestamp()), $1, CASE WHEN l.trader THEN t.account_id ELSE t.liquidity_id END, t.instrument_id,"
	"  t.execution_id, CASE WHEN (t.qty > 0) = l.trader THEN 'sell' ELSE 'buy' END,"
	"  abs(t.qty), trim_scale(t.price), 'takeover'"
	" FROM unnest($2, $3, $4, $5, $6, $7) AS t(account_id, liquidity_id, instrument_id, qty, price, execution_id),"
	" (VALUES (true), (false)) AS l(trader)",
	7, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, INT8ARRAYOID}
};

static const LedgerStatement insert_takeovers = {
	"INSERT INTO {takeover} (book_id, account_id, liquidity_account, instrument_id, execution_id, qty, price,"
	"  bankruptcy_price, mark_price, shortfall_id, for_adl)"
	" SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	11, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		NUMERICARRAYOID, NUMERICARRAYOID, INT8ARRAYOID, BOOLARRAYOID}
};

/* From now on its fills may be late, see late_fill.c. */
static const LedgerStatement note_takeovers = {
	"UPDATE {position} AS p SET was_taken_over = true FROM unnest($2, $3) AS u(account_id, instrument_id)"
	" WHERE p.book_id = $1 AND p.account_id = u.account_id AND p.instrument_id = u.instrument_id AND NOT p.was_taken_over",
	3, {INT4OID, INT8ARRAYOID, INT4ARRAYOID}
};

/* The money behind what a liquidity account holds: its own, and that of the funds of its asset. */
static const LedgerStatement read_backing = {
	"SELECT l.account_id, k.takeover_stress_rate, (SELECT sum(b.amount) FROM {account} a, {balance} b"
	"  WHERE a.book_id = $1 AND a.kind IN ('liquidity', 'insurance_fund') AND a.asset_code = l.asset_code"
	"   AND b.book_id = $1 AND b.account_id = a.account_id)"
	" FROM {book} k, (SELECT DISTINCT unnest($2) AS account_id) AS u, LATERAL ("
	"  SELECT l.* FROM {account} l WHERE l.book_id = $1 AND l.account_id = u.account_id OFFSET 0) AS l"
	" WHERE k.book_id = $1 AND k.takeover_stress_rate IS NOT NULL",
	2, {INT4OID, INT8ARRAYOID}
};

/* A liquidity account of a book that limits what it carries. */
typedef struct Backing
{
	int64		account_id;
	Numeric		stress_rate;
	Numeric		money;
} Backing;

/*
 * takeover_price_at_mark
 *		The mark; without one, the average entry, since that is how the position
 *		was valued, rounded so that its holder makes no loss by it: up when a
 *		long is sold, down when a short is bought back.
 */
Numeric
takeover_price_at_mark(OpenPosition *position)
{
	Numeric		price = position->mark_price;

	if (price == NULL)
		price = position_entry_price(position->kind, position->qty, position->cost, position->multiplier,
									 decimal_sign(position->qty) > 0 ? DECIMAL_UP : DECIMAL_DOWN);
	if (decimal_sign(price) <= 0)
	{
		Numeric		cost = decimal_absolute(position->cost);

		price = position_entry_price(position->kind, decimal_absolute(position->qty),
									 position->kind == CONTRACT_INVERSE ? decimal_negate(cost) : cost,
									 position->multiplier, DECIMAL_UP);
	}
	return price;
}

/*
 * takeover_price
 *		While the account has equity the bankruptcy price, so that what is left
 *		above it is decided apart from the price; else the mark, so that all that
 *		is missing is seen as a shortfall.  With as many digits as the price of a
 *		trade can have, to the good of the account.
 */
Numeric
takeover_price(OpenPosition *position, Numeric bankruptcy_price, Numeric equity)
{
	if (bankruptcy_price == NULL || decimal_sign(equity) <= 0)
		return takeover_price_at_mark(position);
	return decimal_round(bankruptcy_price, TRADE_SCALE,
						 decimal_sign(position->qty) > 0 ? DECIMAL_UP : DECIMAL_DOWN);
}

/* takeover_read_bankruptcy_prices: of whole positions, as they stand before any of them changes hands */
void
takeover_read_bankruptcy_prices(Wiring *wiring, int32 book_id, Takeover *takeovers, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		values[2] = {Int32GetDatum(book_id)};
	int			nids = 0;

	/* positions of one account stand next to each other */
	for (int i = 0; i < n; i++)
		if (i == 0 || takeovers[i].account_id != takeovers[i - 1].account_id)
			ids[nids++] = Int64GetDatum(takeovers[i].account_id);
	values[1] = array_argument(ids, NULL, nids, INT8OID);
	wiring_read(wiring, &read_bankruptcy_prices, values, LEDGER_LATEST);
	for (uint64 row = 0, i = 0; row < SPI_processed; row++)
	{
		int64		account_id = result_int64(row, 1);
		int32		instrument_id = result_int32(row, 2);

		/* the accounts come in the order in which they were asked for */
		while (i < (uint64) n && takeovers[i].account_id != account_id)
			i++;
		for (uint64 j = i; j < (uint64) n && takeovers[j].account_id == account_id; j++)
			if (takeovers[j].instrument_id == instrument_id)
				takeovers[j].bankruptcy_price = result_numeric(row, 3);
	}
}

static Datum
number_or_null(Numeric value, bool *isnull)
{
	*isnull = value == NULL;
	return value == NULL ? (Datum) 0 : NumericGetDatum(value);
}

/* takeover_trade: the trades of kind takeover that close the positions; sets execution_id */
void
takeover_trade(Wiring *wiring, int32 book_id, Takeover *takeovers, int n)
{
	Datum	   *columns[6];
	Datum		values[7] = {Int32GetDatum(n)};
	static const Oid types[6] = {INT8OID, INT8OID, INT4OID, NUMERICOID, NUMERICOID, INT8OID};

	wiring_read(wiring, &next_executions, values, LEDGER_LATEST);
	for (int c = 0; c < 6; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		takeovers[i].execution_id = result_int64(i, 1);
		columns[0][i] = Int64GetDatum(takeovers[i].account_id);
		columns[1][i] = Int64GetDatum(takeovers[i].liquidity_account);
		columns[2][i] = Int32GetDatum(takeovers[i].instrument_id);
		columns[3][i] = NumericGetDatum(takeovers[i].qty);
		columns[4][i] = NumericGetDatum(takeovers[i].price);
		columns[5][i] = Int64GetDatum(takeovers[i].execution_id);
	}
	values[0] = Int32GetDatum(book_id);
	for (int c = 0; c < 6; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(wiring, &insert_trades, values);
}

/* Mark for deleveraging what one liquidity account took last, until its money covers the stress on the rest. */
static void
judge_backing(const Backing *backing, OpenPosition *positions, int npositions, Takeover *takeovers, int n)
{
	Numeric		money = backing->money;
	Numeric		notional = decimal_from_int64(0);
	Numeric    *left = palloc(sizeof(Numeric) * npositions);	/* signed quantities that stay */

	for (int p = 0; p < npositions; p++)
	{
		left[p] = positions[p].qty;
		money = decimal_add(money, positions[p].unrealized_pnl);
		notional = decimal_add(notional, contract_notional(positions[p].kind, left[p], takeover_price_at_mark(&positions[p]),
														   positions[p].multiplier));
	}
	for (int t = n - 1; t >= 0 && decimal_compare(money, decimal_multiply(notional, backing->stress_rate)) < 0; t--)
		for (int p = 0; p < npositions; p++)
		{
			Numeric		placed = takeovers[t].qty;

			/* what met an opposite position has left nothing to carry */
			if (takeovers[t].liquidity_account != backing->account_id ||
				positions[p].instrument_id != takeovers[t].instrument_id ||
				decimal_sign(left[p]) != decimal_sign(placed))
				continue;
			if (decimal_compare(decimal_absolute(placed), decimal_absolute(left[p])) > 0)
				placed = left[p];
			left[p] = decimal_subtract(left[p], placed);
			notional = decimal_subtract(notional, contract_notional(positions[p].kind, placed,
																	takeover_price_at_mark(&positions[p]),
																	positions[p].multiplier));
			takeovers[t].for_adl = true;
		}
}

/*
 * takeover_judge_capacity
 *		After the positions have changed hands, and those who pay have paid: what
 *		a liquidity account can carry, by the stress rate of the book.
 */
void
takeover_judge_capacity(Wiring *wiring, int32 book_id, Takeover *takeovers, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));
	Datum		values[2] = {Int32GetDatum(book_id)};
	int64	   *ids;
	Backing    *backings;
	Valuation  *valuation;
	int			nbackings;

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(takeovers[i].liquidity_account);
	values[1] = array_argument(elements, NULL, n, INT8OID);
	wiring_read(wiring, &read_backing, values, LEDGER_LATEST);
	nbackings = SPI_processed;
	if (nbackings == 0)
		return;
	ids = palloc(sizeof(int64) * nbackings);
	backings = palloc(sizeof(Backing) * nbackings);
	for (int i = 0; i < nbackings; i++)
	{
		backings[i] = (Backing) {result_int64(i, 1), result_numeric(i, 2), result_numeric(i, 3)};
		ids[i] = backings[i].account_id;
	}
	valuation = valuation_read(wiring, book_id, ids, nbackings);
	for (int i = 0; i < nbackings; i++)
	{
		int			npositions;
		OpenPosition *positions = valuation_of_account(valuation, ids[i], &npositions);

		judge_backing(&backings[i], positions, npositions, takeovers, n);
	}
}

/* takeover_record: a row of takeover for each */
void
takeover_record(Wiring *wiring, int32 book_id, Takeover *takeovers, int n)
{
	Datum	   *columns[10];
	bool	   *nulls[10] = {0};
	Datum		values[11] = {Int32GetDatum(book_id)};
	static const Oid types[10] = {INT8OID, INT8OID, INT4OID, INT8OID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID,
	INT8OID, BOOLOID};

	if (n == 0)
		return;
	for (int c = 0; c < 10; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int c = 6; c < 9; c++)
		nulls[c] = palloc(sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = Int64GetDatum(takeovers[i].account_id);
		columns[1][i] = Int64GetDatum(takeovers[i].liquidity_account);
		columns[2][i] = Int32GetDatum(takeovers[i].instrument_id);
		columns[3][i] = Int64GetDatum(takeovers[i].execution_id);
		columns[4][i] = NumericGetDatum(takeovers[i].qty);
		columns[5][i] = NumericGetDatum(takeovers[i].price);
		columns[6][i] = number_or_null(takeovers[i].bankruptcy_price, &nulls[6][i]);
		columns[7][i] = number_or_null(takeovers[i].mark_price, &nulls[7][i]);
		nulls[8][i] = takeovers[i].shortfall_id == 0;
		columns[8][i] = Int64GetDatum(takeovers[i].shortfall_id);
		columns[9][i] = BoolGetDatum(takeovers[i].for_adl);
	}
	for (int c = 0; c < 10; c++)
		values[c + 1] = array_argument(columns[c], nulls[c], n, types[c]);
	wiring_write(wiring, &insert_takeovers, values);
	values[2] = values[3];
	wiring_write(wiring, &note_takeovers, values);
}
