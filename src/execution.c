/*
 * execution.c
 *		The check at commit: every execution nets to zero.
 *
 * trade.c notes the executions whose rows did not net when their statement
 * ended.  Here they are judged, when the transaction commits.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "execution.h"
#include "margin.h"
#include "posting.h"

PG_FUNCTION_INFO_V1(risk_enforce_executions);

static const LedgerStatement insert_residues = {
	"INSERT INTO {settlement} (book_id, account_id, trade_id, execution_id, instrument_id, kind, amount)"
	" SELECT $1, u.account_id, nullif(u.trade_id, 0), CASE u.trade_id WHEN 0 THEN u.execution_id END,"
	"  u.instrument_id, 'residue', u.amount"
	" FROM unnest($2, $3, $4, $5, $6) AS u(account_id, trade_id, execution_id, instrument_id, amount)",
	6, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID}
};

static const LedgerStatement take_unmatched = {
	"WITH taken AS (DELETE FROM {unmatched_execution} e"
	"  WHERE e.book_id = $1 AND e.transaction_id = $2"
	"  RETURNING e.execution_id, e.instrument_id, e.trades, e.qty, e.value, e.executed_at)"
	" SELECT t.execution_id, t.instrument_id, t.trades, t.qty, t.value,"
	"  i.kind, i.multiplier, i.settle_asset, s.scale::int, b.unmatched, t.executed_at"
	" FROM taken t"
	" JOIN {instrument} i ON i.instrument_id = t.instrument_id"
	" JOIN {asset} s ON s.asset_code = i.settle_asset"
	" JOIN {book} b ON b.book_id = $1"
	" WHERE t.qty <> 0 OR t.value <> 0"
	" ORDER BY t.execution_id, t.instrument_id",
	2, {INT4OID, XID8OID}
};

static const LedgerStatement is_unmatched = {
	"SELECT FROM {unmatched_execution} e"
	" WHERE e.book_id = $1 AND e.transaction_id = $2 AND e.execution_id = $3 AND e.instrument_id = $4",
	4, {INT4OID, XID8OID, INT8OID, INT4OID}
};

static const LedgerStatement insert_mirrors = {
	"INSERT INTO {trade} (book_id, account_id, instrument_id, execution_id, side, qty, price, executed_at, kind)"
	" SELECT $1, u.account_id, u.instrument_id, u.execution_id, u.side, u.qty, trim_scale(u.price),"
	"  u.executed_at, 'mirror'"
	" FROM unnest($2, $3, $4, $5, $6, $7, $8)"
	"  AS u(account_id, instrument_id, execution_id, side, qty, price, executed_at)",
	8, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		TIMESTAMPTZARRAYOID}
};

/* write_residues: record n residues as settlements */
void
write_residues(Wiring *wiring, int32 book_id, Residue *residues, int n)
{
	Datum	   *columns[5];
	Datum		values[6] = {Int32GetDatum(book_id)};
	static const Oid types[5] = {INT8OID, INT8OID, INT8OID, INT4OID, NUMERICOID};

	if (n == 0)
		return;
	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = Int64GetDatum(residues[i].account_id);
		columns[1][i] = Int64GetDatum(residues[i].trade_id);
		columns[2][i] = Int64GetDatum(residues[i].execution_id);
		columns[3][i] = Int32GetDatum(residues[i].instrument_id);
		columns[4][i] = NumericGetDatum(residues[i].amount);
	}
	for (int c = 0; c < 5; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(wiring, &insert_residues, values);
}

/* An execution that had not netted when its statement ended. */
typedef struct Leftover
{
	int64		execution_id;
	int32		instrument_id;
	int64		trades;
	Numeric		qty;
	Numeric		value;
	ContractKind kind;
	Numeric		multiplier;
	char	   *settle_asset;
	int			scale;
	char	   *rule;			/* of the book */
	TimestampTz executed_at;	/* of the earliest row */
	Numeric		price;			/* that the other side gets */
} Leftover;

static Leftover *
read_leftovers(int n)
{
	Leftover   *leftovers = palloc(sizeof(Leftover) * n);

	for (int row = 0; row < n; row++)
	{
		Leftover   *leftover = &leftovers[row];

		leftover->execution_id = result_int64(row, 1);
		leftover->instrument_id = result_int32(row, 2);
		leftover->trades = result_int64(row, 3);
		leftover->qty = result_numeric(row, 4);
		leftover->value = result_numeric(row, 5);
		leftover->kind = contract_kind(result_text(row, 6));
		leftover->multiplier = result_numeric(row, 7);
		leftover->settle_asset = result_text(row, 8);
		leftover->scale = result_int32(row, 9);
		leftover->rule = result_text(row, 10);
		leftover->executed_at = result_int64(row, 11);
		leftover->price = NULL;
	}
	return leftovers;
}

static void
refuse_execution(int32 book_id, Leftover *leftover, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("execution " INT64_FORMAT " of book %d does not net to zero", leftover->execution_id, book_id),
			 errdetail("Its rows in instrument %d leave a quantity of %s and a value of %s.",
					   leftover->instrument_id, decimal_to_cstring(leftover->qty),
					   decimal_to_cstring(leftover->value)),
			 errhint("%s", hint)));
}

/*
 * The price at which somebody takes the other side.  Its value cancels what is
 * left exactly, or, of an inverse contract, but for rounding; the value that
 * is still left then stays in the leftover.
 */
static void
price_other_side(int32 book_id, Leftover *leftover)
{
	Numeric		price = contract_price(leftover->kind, leftover->qty, leftover->value,
									   leftover->multiplier, leftover->scale);
	Numeric		rest = decimal_from_int64(0);

	if (price == NULL && leftover->kind == CONTRACT_INVERSE &&
		decimal_sign(leftover->qty) * decimal_sign(leftover->value) < 0)
	{
		price = position_entry_price(leftover->kind, leftover->qty, leftover->value, leftover->multiplier,
									 DECIMAL_HALF_AWAY);
		if (decimal_sign(price) > 0)
			rest = decimal_subtract(leftover->value,
									contract_value(leftover->kind, leftover->qty, price,
												   leftover->multiplier, leftover->scale));
	}
	if (price == NULL || decimal_sign(price) <= 0 ||
		!contract_values_net(leftover->kind, rest, leftover->trades + 1, leftover->scale))
		refuse_execution(book_id, leftover,
						 "No single price takes the other side of that; give its rows execution numbers of their own.");
	leftover->price = price;
	leftover->value = rest;
}

/* The other side of executions that have none, booked on the liquidity account. */
static void
insert_other_sides(Wiring *wiring, Posting *posting, int32 book_id, Leftover *leftovers, int n)
{
	Datum	   *columns[7];
	Datum		values[8] = {Int32GetDatum(book_id)};
	static const Oid types[7] = {INT8OID, INT4OID, INT8OID, TEXTOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID};

	for (int c = 0; c < 7; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		Leftover   *leftover = &leftovers[i];

		columns[0][i] = Int64GetDatum(posting_system_account(posting, ACCOUNT_LIQUIDITY,
															 leftover->settle_asset)->account_id);
		columns[1][i] = Int32GetDatum(leftover->instrument_id);
		columns[2][i] = Int64GetDatum(leftover->execution_id);
		columns[3][i] = CStringGetTextDatum(decimal_sign(leftover->qty) > 0 ? "sell" : "buy");
		columns[4][i] = NumericGetDatum(decimal_absolute(leftover->qty));
		columns[5][i] = NumericGetDatum(leftover->price);
		columns[6][i] = TimestampTzGetDatum(leftover->executed_at);
	}
	for (int c = 0; c < 7; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(wiring, &insert_mirrors, values);
}

/* Judge n executions: each nets after all, or gets another side, or is refused or let through. */
static void
judge_leftovers(Wiring *wiring, int32 book_id, Leftover *leftovers, int n)
{
	Posting    *posting = posting_begin(wiring, book_id);
	Residue    *residues = palloc(sizeof(Residue) * n);
	Leftover   *unmatched = palloc(sizeof(Leftover) * n);
	int			nresidues = 0;
	int			nunmatched = 0;

	for (int i = 0; i < n; i++)
	{
		Leftover   *leftover = &leftovers[i];

		if (decimal_sign(leftover->qty) != 0 ||
			!contract_values_net(leftover->kind, leftover->value, leftover->trades, leftover->scale))
		{
			if (strcmp(leftover->rule, "reject") == 0)
				refuse_execution(book_id, leftover,
								 "Insert all its sides in one transaction, or let the liquidity account take the other side: UPDATE ledger.book SET unmatched = 'liquidity'.");
			if (strcmp(leftover->rule, "liquidity") != 0)
				continue;
			price_other_side(book_id, leftover);
			unmatched[nunmatched++] = *leftover;
		}
		if (decimal_sign(leftover->value) != 0)
		{
			Residue    *residue = &residues[nresidues++];

			residue->account_id = posting_system_account(posting, ACCOUNT_CLEARING,
														 leftover->settle_asset)->account_id;
			residue->trade_id = 0;
			residue->execution_id = leftover->execution_id;
			residue->instrument_id = leftover->instrument_id;
			residue->amount = leftover->value;
		}
	}
	write_residues(wiring, book_id, residues, nresidues);
	if (nunmatched > 0)
		insert_other_sides(wiring, posting, book_id, unmatched, nunmatched);
}

/*
 * risk.enforce_executions()
 *		Deferred constraint trigger on unmatched_execution, FOR EACH ROW.
 *
 * The first event of a transaction judges all its executions; the others find
 * nothing left.
 */
Datum
risk_enforce_executions(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger(fcinfo, "risk.enforce_executions");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_UNMATCHED_EXECUTION);
	Datum		values[4] = {row_column(trigger, "book_id"), row_column(trigger, "transaction_id"),
	row_column(trigger, "execution_id"), row_column(trigger, "instrument_id")};
	int32		book_id = DatumGetInt32(values[0]);

	wiring_read(wiring, &is_unmatched, values, LEDGER_LATEST);
	if (SPI_processed > 0)
	{
		int			n;

		wiring_write(wiring, &take_unmatched, values);
		n = SPI_processed;
		if (n > 0)
			judge_leftovers(wiring, book_id, read_leftovers(n), n);
	}
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
