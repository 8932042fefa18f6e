/*
 * execution.c
 *		The check at commit: every execution nets to zero.
 *
 * One whose rows do not net to zero by the end of the statement is noted, and
 * judged when the transaction commits.  The values of inverse contracts are
 * rounded row by row: what this leaves of an execution that nets is a residue,
 * kept by clearing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "execution.h"
#include "posting.h"

PG_FUNCTION_INFO_V1(risk_enforce_executions);

typedef struct ExecutionKey
{
	int64		execution_id;
	int32		instrument_id;
	int32		padding;		/* zero, hashed with the rest */
} ExecutionKey;

typedef struct Execution
{
	ExecutionKey key;
	ContractKind kind;
	int64		clearing_id;
	int			scale;			/* of the asset */
	int64		trades;			/* how many rows */
	Numeric		qty;			/* signed sums over them */
	Numeric		value;
	TimestampTz executed_at;	/* of the earliest of them */
} Execution;

static const LedgerStatement note_unmatched = {
	"INSERT INTO {unmatched_execution} AS e"
	" (book_id, transaction_id, execution_id, instrument_id, trades, qty, value, executed_at)"
	" SELECT $1, $2, * FROM unnest($3, $4, $5, $6, $7, $8)"
	" ON CONFLICT (book_id, transaction_id, execution_id, instrument_id)"
	" DO UPDATE SET trades = e.trades + excluded.trades, qty = e.qty + excluded.qty,"
	"  value = e.value + excluded.value, executed_at = least(e.executed_at, excluded.executed_at)",
	8, {INT4OID, XID8OID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		TIMESTAMPTZARRAYOID}
};

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

/* executions_begin: of a statement in one book; lives in the current memory context */
HTAB *
executions_begin(void)
{
	HASHCTL		ctl = {.keysize = sizeof(ExecutionKey), .entrysize = sizeof(Execution), .hcxt = CurrentMemoryContext};

	return hash_create("executions", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* executions_note: add a row to its execution */
void
executions_note(HTAB *executions, const ExecutionRow *row)
{
	ExecutionKey key = {row->execution_id, row->instrument_id, 0};
	Execution  *execution;
	bool		found;

	execution = hash_search(executions, &key, HASH_ENTER, &found);
	if (!found)
	{
		execution->kind = row->kind;
		execution->clearing_id = row->clearing_id;
		execution->scale = row->scale;
		execution->trades = 0;
	}
	execution->trades++;
	execution->qty = found ? decimal_add(execution->qty, row->qty) : row->qty;
	execution->value = found ? decimal_add(execution->value, row->value) : row->value;
	execution->executed_at = found ? Min(execution->executed_at, row->executed_at) : row->executed_at;
}

/* executions_close: what rounding left of those that net becomes residues; returns how many */
int
executions_close(HTAB *executions, Residue *residues)
{
	HASH_SEQ_STATUS scan;
	Execution  *execution;
	int			n = 0;

	hash_seq_init(&scan, executions);
	while ((execution = hash_seq_search(&scan)) != NULL)
	{
		if (decimal_sign(execution->qty) != 0 || decimal_sign(execution->value) == 0 ||
			!contract_values_net(execution->kind, execution->value, execution->trades, execution->scale))
			continue;
		residues[n++] = (Residue)
		{
			.account_id = execution->clearing_id, .execution_id = execution->key.execution_id,
				.instrument_id = execution->key.instrument_id, .amount = execution->value
		};
		execution->value = decimal_from_int64(0);
	}
	return n;
}

/* executions_write: those that do not net are to be judged when the transaction commits */
void
executions_write(Wiring *wiring, int32 book_id, HTAB *executions)
{
	HASH_SEQ_STATUS scan;
	Execution  *execution;
	Datum	   *columns[6];
	Datum		values[8];
	int			n = 0;
	static const Oid types[6] = {INT8OID, INT4OID, INT8OID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID};

	for (int c = 0; c < 6; c++)
		columns[c] = palloc(sizeof(Datum) * Max(hash_get_num_entries(executions), 1));
	hash_seq_init(&scan, executions);
	while ((execution = hash_seq_search(&scan)) != NULL)
	{
		if (decimal_sign(execution->qty) == 0 && decimal_sign(execution->value) == 0)
			continue;
		columns[0][n] = Int64GetDatum(execution->key.execution_id);
		columns[1][n] = Int32GetDatum(execution->key.instrument_id);
		columns[2][n] = Int64GetDatum(execution->trades);
		columns[3][n] = NumericGetDatum(execution->qty);
		columns[4][n] = NumericGetDatum(execution->value);
		columns[5][n++] = TimestampTzGetDatum(execution->executed_at);
	}
	if (n == 0)
		return;
	values[0] = Int32GetDatum(book_id);
	values[1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	for (int c = 0; c < 6; c++)
		values[c + 2] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(wiring, &note_unmatched, values);
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
