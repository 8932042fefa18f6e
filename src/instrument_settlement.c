/*
 * instrument_settlement.c
 *		Closes every position in an instrument at one price: the contract has
 *		expired, is delisted, or its coin is dead.
 *
 * The funding locks of all books first, exclusively, so that no trade of the
 * instrument is under way, then book by book as posting.c locks: the traders
 * who hold it, then the gate, behind which no waterfall moves a position to the
 * liquidity account.  The positions are read after that.  What is long in a
 * book is short in it, too, so the trades of a book are one execution that
 * nets.  Losses beyond a balance are settled at commit like any others.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "funding.h"
#include "margin.h"
#include "posting.h"

PG_FUNCTION_INFO_V1(risk_close_instrument);

static const LedgerStatement read_instrument = {
	"SELECT i.kind, i.settle_asset, i.state FROM {instrument} i WHERE i.instrument_id = $1 FOR NO KEY UPDATE",
	1, {INT4OID}
};

static const LedgerStatement read_books = {
	"SELECT b.book_id FROM {book} b ORDER BY b.book_id",
	0, {0}
};

static const LedgerStatement read_holders = {
	"SELECT p.account_id FROM {position} p"
	" WHERE (p.book_id::bigint << 32) + p.instrument_id = ($1::bigint << 32) + $2 AND p.qty <> 0",
	2, {INT4OID, INT4OID}
};

/* executed now, and not when the statement began: after any funding that has been posted */
static const LedgerStatement close_positions = {
	"INSERT INTO {trade} (executed_at, book_id, account_id, instrument_id, execution_id, side, qty, price, kind)"
	" SELECT (SELECT clock_timestamp()), $1, p.account_id, $2, (SELECT -nextval('{schema}.trade_execution_id_seq')),"
	"  CASE WHEN p.qty > 0 THEN 'sell' ELSE 'buy' END, abs(p.qty), $3, 'settlement'"
	" FROM {position} p"
	" WHERE (p.book_id::bigint << 32) + p.instrument_id = ($1::bigint << 32) + $2 AND p.qty <> 0"
	" ORDER BY p.account_id",
	3, {INT4OID, INT4OID, NUMERICOID}
};

/* Accounts of the venue that may hold a position now, or get one from a waterfall under way. */
static const AccountKind position_holders[] = {ACCOUNT_LIQUIDITY, ACCOUNT_INTERBOOK};

/* Close what is open in one book; returns how many positions. */
static int64
close_in_book(Wiring *wiring, int32 book_id, int32 instrument_id, const char *settle_asset, Numeric price)
{
	Posting    *posting = posting_begin(wiring, book_id);
	Datum		values[3] = {Int32GetDatum(book_id), Int32GetDatum(instrument_id), NumericGetDatum(price)};
	LedgerAccount *gated[lengthof(position_holders)];
	int64	   *ids;
	int			n;

	wiring_read(wiring, &read_holders, values, LEDGER_LATEST);
	n = SPI_processed;
	if (n == 0)
		return 0;
	ids = palloc_extended(sizeof(int64) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		ids[i] = result_int64(i, 1);
	posting_open(posting, ids, n);
	for (int i = 0; i < (int) lengthof(position_holders); i++)
		gated[i] = posting_system_account(posting, position_holders[i], settle_asset);
	posting_pass_gate(posting, gated, lengthof(position_holders));

	wiring_write(wiring, &close_positions, values);
	return SPI_processed;
}

/*
 * risk.close_instrument(instrument_id, price)
 *		Closes all positions and returns how many there were.  Errors: 23503 for
 *		an unknown instrument, 22023 for a price that is none: above zero, or
 *		zero for contracts that are not settled in the coin.
 */
Datum
risk_close_instrument(PG_FUNCTION_ARGS)
{
	int32		instrument_id = PG_GETARG_INT32(0);
	Numeric		price = PG_GETARG_NUMERIC(1);
	Wiring	   *wiring = wiring_enter_ledger();
	Datum		values[1] = {Int32GetDatum(instrument_id)};
	ContractKind kind;
	char	   *settle_asset;
	FundedInstrument *funded;
	int32	   *books;
	int			n;
	int64		closed = 0;

	wiring_read(wiring, &read_books, NULL, LEDGER_LATEST);
	n = SPI_processed;
	books = palloc(sizeof(int32) * Max(n, 1));
	funded = palloc(sizeof(FundedInstrument) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		books[i] = result_int32(i, 1);
		funded[i] = (FundedInstrument) {books[i], instrument_id};
	}
	funding_lock(funded, n, ExclusiveLock);

	wiring_read(wiring, &read_instrument, values, LEDGER_LATEST);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("instrument %d does not exist", instrument_id),
				 errhint("See the table instrument.")));
	kind = contract_kind(result_text(0, 1));
	settle_asset = result_text(0, 2);
	if (!decimal_is_finite(price) || decimal_sign(price) < 0 ||
		(decimal_sign(price) == 0 && kind == CONTRACT_INVERSE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("instrument %d cannot be settled at %s", instrument_id, decimal_to_cstring(price)),
				 kind == CONTRACT_INVERSE ?
				 errdetail("It is settled in the coin: at a price of zero a contract would be worth more than there is.") :
				 errdetail("A price is a finite number, zero at the least."),
				 errhint("Settle it at the last price that was traded.")));
	for (int i = 0; i < n; i++)
		closed += close_in_book(wiring, books[i], instrument_id, settle_asset, price);
	wiring_leave(wiring);
	PG_RETURN_INT64(closed);
}
