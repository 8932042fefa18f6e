/*
 * account_state.c
 *		Which trades the state of an account, or of an instrument, lets through.
 *
 * A trade is a fact, and what is forced is booked in every state but closed.
 * A fill that adds risk is refused, with all of its execution, where the state
 * forbids it; unless it is late: executed while the account was active still,
 * and here only after that.  The balance of the account is locked, and its
 * status was read after that lock.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account_state.h"

/* asked only for an account that is not active: there are few */
static const LedgerStatement read_terms = {
	"SELECT coalesce($3 < a.inactive_since, false), p.late_fill = 'book', p.frozen_reduces"
	" FROM {account} a JOIN {policy} p ON p.policy_code = a.policy_code AND p.effective_at <= clock_timestamp()"
	" WHERE a.book_id = $1 AND a.account_id = $2 ORDER BY p.version DESC LIMIT 1",
	3, {INT4OID, INT8OID, TIMESTAMPTZOID}
};

static const LedgerStatement insert_event = {
	"INSERT INTO {event} (book_id, account_id, kind, payload)"
	" SELECT $1, $2, 'late_fill', jsonb_build_object('trade_id', $3, 'instrument_id', $4, 'executed_at', $5,"
	"  'status', $6, 'inactive_since', a.inactive_since, 'qty_before', trim_scale($7), 'qty', trim_scale($8))"
	" FROM {account} a WHERE a.book_id = $1 AND a.account_id = $2",
	8, {INT4OID, INT8OID, INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID, NUMERICOID, NUMERICOID}
};

/* account_state_check_open: 55000 for a closed account, whatever the trade is */
void
account_state_check_open(const LedgerAccount *account, int64 trade_id)
{
	if (account->status == STATUS_CLOSED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " is closed",
						trade_id, account->account_id),
				 errdetail("Nothing can be booked on a closed account."),
				 errhint("Set its status to active first, or book the trade on another account.")));
}

static void
refuse(const LedgerAccount *account, const StatedTrade *trade, bool is_late, bool reduces)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " is %s",
					trade->trade_id, account->account_id, account_status_name(account->status)),
			 errdetail("The trade would take its position in instrument %d from %s to %s.%s",
					   trade->instrument_id, decimal_to_cstring(trade->qty_before),
					   decimal_to_cstring(trade->qty),
					   is_late ? " It was executed while the account was active, and is late." : ""),
			 is_late ?
			 errhint("Its policy refuses late fills (late_fill).") :
			 reduces ?
			 errhint("Trades that reduce a position are booked; this one has to wait until the account is active.") :
			 errhint("Its policy books no trade while it is frozen (frozen_reduces), but for liquidations.")));
}

static void
note_late_fill(Wiring *wiring, int32 book_id, const LedgerAccount *account, const StatedTrade *trade)
{
	Datum		values[8] = {
		Int32GetDatum(book_id), Int64GetDatum(account->account_id), Int64GetDatum(trade->trade_id),
		Int32GetDatum(trade->instrument_id), TimestampTzGetDatum(trade->executed_at),
		CStringGetTextDatum(account_status_name(account->status)),
		NumericGetDatum(trade->qty_before), NumericGetDatum(trade->qty)
	};

	wiring_write(wiring, &insert_event, values);
}

/* account_state_admit: 55000 for a trade that the state forbids; an event with one that is late */
void
account_state_admit(Wiring *wiring, int32 book_id, const LedgerAccount *account, const StatedTrade *trade)
{
	Datum		terms[3] = {Int32GetDatum(book_id), Int64GetDatum(account->account_id),
	TimestampTzGetDatum(trade->executed_at)};
	bool		is_late;
	bool		reduces;

	if (account->status == STATUS_ACTIVE ||
		(!trade->adds_risk && account->status != STATUS_FROZEN))
		return;
	wiring_read(wiring, &read_terms, terms, LEDGER_LATEST);
	is_late = SPI_processed > 0 && result_bool(0, 1);
	/* by policy */
	reduces = account->status != STATUS_FROZEN || SPI_processed == 0 || result_bool(0, 3);
	if (!trade->adds_risk)
	{
		/* one that is late was done while it was free to */
		if (!is_late && !reduces)
			refuse(account, trade, false, false);
		return;
	}
	if (!is_late || !result_bool(0, 2))
		refuse(account, trade, is_late, reduces);
	note_late_fill(wiring, book_id, account, trade);
}

/*
 * instrument_state_admit
 *		An instrument that is not open takes no new risk of traders, and a
 *		settled one no trade at all: 55000.
 */
void
instrument_state_admit(const char *state, const LedgerAccount *account, const StatedTrade *trade)
{
	bool		settled = strcmp(state, "settled") == 0;

	if (strcmp(state, "open") == 0 ||
		(!settled && (!trade->adds_risk || account->kind != ACCOUNT_TRADER)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("trade " INT64_FORMAT ": instrument %d is %s", trade->trade_id, trade->instrument_id, state),
			 errdetail("The trade would take the position of account " INT64_FORMAT " from %s to %s.",
					   account->account_id, decimal_to_cstring(trade->qty_before), decimal_to_cstring(trade->qty)),
			 settled ?
			 errhint("No trade of a settled instrument is booked.") :
			 errhint("Trades that reduce a position are booked; this one has to wait until the instrument is open.")));
}
