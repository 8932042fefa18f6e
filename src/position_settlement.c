/*
 * position_settlement.c
 *		settle(position, amount): the balance gets the amount, clearing gives
 *		it, and the cost of the position grows by it, for a short as for a long.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "position_settlement.h"

PG_FUNCTION_INFO_V1(risk_settle_position);

static const LedgerStatement insert_settlements = {
	"INSERT INTO {settlement} (book_id, account_id, instrument_id, kind, amount)"
	" SELECT $1, u.account_id, u.instrument_id, $5, u.amount"
	" FROM unnest($2, $3, $4) WITH ORDINALITY AS u(account_id, instrument_id, amount, place)"
	" ORDER BY u.place RETURNING settlement_id",
	5, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, TEXTOID}
};

static const LedgerStatement add_to_costs = {
	"INSERT INTO {position} AS p (book_id, account_id, instrument_id, cost, trades, qty)"
	" SELECT $1, u.*, 0, 0 FROM unnest($2, $3, $4) AS u"
	" ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE"
	" SET cost = p.cost + excluded.cost",
	4, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID}
};

/*
 * settle_positions
 *		Positions are written at once, balances and entries with the posting.
 *		What a bust settles is operational: never the insurance fund's loss.
 */
void
settle_positions(Wiring *wiring, Posting *posting, int32 book_id, PositionSettlement *settlements, int n, bool by_bust)
{
	Datum	   *columns[3];
	const char *kind = by_bust ? "bust_settlement" : "settlement";
	Datum		values[5] = {Int32GetDatum(book_id)};
	static const Oid types[3] = {INT8OID, INT4OID, NUMERICOID};
	int64	   *settlement_ids = palloc(sizeof(int64) * Max(n, 1));
	TimestampTz now = GetCurrentTimestamp();

	if (n == 0)
		return;
	for (int c = 0; c < 3; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = Int64GetDatum(settlements[i].account->account_id);
		columns[1][i] = Int32GetDatum(settlements[i].instrument_id);
		columns[2][i] = NumericGetDatum(settlements[i].amount);
	}
	for (int c = 0; c < 3; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(wiring, &add_to_costs, values);
	values[4] = CStringGetTextDatum(by_bust ? "bust" : "profit");
	wiring_write(wiring, &insert_settlements, values);
	for (int i = 0; i < n; i++)
		settlement_ids[i] = result_int64(i, 1);
	for (int i = 0; i < n; i++)
	{
		LedgerAccount *account = settlements[i].account;
		LedgerAccount *clearing = posting_system_account(posting, ACCOUNT_CLEARING, account->asset_code);

		if (clearing->slot < 0)
			posting_take_slots(posting, &clearing, 1);
		posting_move_position(account, settlements[i].instrument_id);
		posting_post(posting, account, settlements[i].amount, kind, settlement_ids[i], now);
		posting_post(posting, clearing, decimal_negate(settlements[i].amount), kind, settlement_ids[i], now);
	}
}

/*
 * risk.settle_position(book_id, account_id, instrument_id, amount)
 *		What a bust settles; the caller has locked the account.
 */
Datum
risk_settle_position(PG_FUNCTION_ARGS)
{
	int32		book_id = PG_GETARG_INT32(0);
	int64		account_id = PG_GETARG_INT64(1);
	Wiring	   *wiring = wiring_enter_ledger();
	Posting    *posting = posting_begin(wiring, book_id);
	PositionSettlement settlement = {.instrument_id = PG_GETARG_INT32(2), .amount = PG_GETARG_NUMERIC(3)};

	posting_open(posting, &account_id, 1);
	settlement.account = posting_account(posting, account_id);
	if (settlement.account == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("account " INT64_FORMAT " of book %d does not exist", account_id, book_id),
				 errhint("See the table account.")));
	if (settlement.account->kind != ACCOUNT_TRADER)
		posting_pass_gate(posting, &settlement.account, 1);
	settle_positions(wiring, posting, book_id, &settlement, 1, true);
	posting_write(posting);
	wiring_leave(wiring);
	PG_RETURN_VOID();
}
