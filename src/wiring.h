/*
 * wiring.h
 *		Where the tables of a ledger are, and how they are read and written.
 */
#ifndef RISK_WIRING_H
#define RISK_WIRING_H

#include "executor/spi.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "hot_rows.h"

/* The tables that the hub ties together; names are those of its columns. */
typedef enum LedgerTable
{
	LEDGER_ASSET,
	LEDGER_INSTRUMENT,
	LEDGER_MARGIN_TIER,
	LEDGER_MARK_PRICE,
	LEDGER_POLICY,
	LEDGER_BOOK,
	LEDGER_ACCOUNT,
	LEDGER_BALANCE,
	LEDGER_TRANSFER,
	LEDGER_TRADE,
	LEDGER_ENTRY,
	LEDGER_IDEMPOTENCY,
	LEDGER_POSITION,
	LEDGER_SETTLEMENT,
	LEDGER_RESET,
	LEDGER_EVENT,
	LEDGER_BELOW_FLOOR,
	LEDGER_UNMATCHED_EXECUTION,
	LEDGER_FUNDING,
	LEDGER_FUNDING_PAYMENT,
	LEDGER_ORDER_RESERVE,
	LEDGER_MARGIN_SETTING,
	LEDGER_POSITION_LIMIT,
	LEDGER_ADDED_RISK,
	LEDGER_TRANSFER_RULE,
	LEDGER_JOURNAL,
	LEDGER_HOLD,
	LEDGER_HOLD_RELEASE,
	LEDGER_OPEN_HOLD,
	LEDGER_REVERSAL,
	LEDGER_EXCHANGE,
	LEDGER_COLLATERAL,
	LEDGER_INDEX_PRICE,
	LEDGER_SHORTFALL,
	LEDGER_OPEN_SHORTFALL,
	LEDGER_TAKEOVER,
	LEDGER_CHECKPOINT,
	LEDGER_CHECKPOINT_BALANCE,
	LEDGER_SHORTFALL_PAYMENT,
	LEDGER_DELEVERAGING,
	LEDGER_FUND_USE,
	LEDGER_GAINER_WATCH,
	LEDGER_GAINER_HOLD,
	LEDGER_ALERT_STATE,
	LEDGER_LIQUIDATION,
	LEDGER_LATE_FILL,
	LEDGER_TABLES
} LedgerTable;

struct Ledger;

/* A position as a trial has it: it stands for its row. */
typedef struct TrialPosition
{
	int64		account_id;
	int32		instrument_id;
	Numeric		qty;
	Numeric		cost;
	Numeric		open_interest_change;	/* of the instrument, the other side included */
} TrialPosition;

typedef struct Wiring
{
	Relation	relation;		/* that the trigger fired on, or that wiring_enter_ledger() opened */
	bool		opened;			/* by us */
	bool		is_trial;		/* see wiring_enter_trial() */
	const TrialPosition *trial_position;	/* NULL: none */
	Oid			owner;			/* of the tables */
	struct Ledger *ledger;
	Oid			account;		/* the table of that name */
	HotTable   *hot[LEDGER_TABLES];	/* those that are open */
	Oid			caller;			/* who to be again in the end */
	int			caller_security_context;
	int			guc_nest_level; /* 0: settings as the caller has them */
} Wiring;

/*
 * A statement on the tables of a ledger.  In its text {balance} stands for
 * the table of that name and {schema} for its schema.  Statements are static
 * objects; the address is the key of the prepared plan.
 */
typedef struct LedgerStatement
{
	const char *text;
	int			nargs;
	Oid			argtypes[16];
} LedgerStatement;

/* Which state of the database a statement sees. */
typedef enum LedgerView
{
	/*
	 * That of the transaction.  For the lock on a row of a trader: a row that
	 * changed since a REPEATABLE READ transaction began raises 40001.
	 */
	LEDGER_AS_TRANSACTION,

	/* The latest committed one, at every isolation level: after a lock. */
	LEDGER_LATEST
} LedgerView;

extern Wiring *wiring_enter(Relation rel, LedgerTable part);
extern Wiring *wiring_enter_ledger(void);
extern Wiring *wiring_enter_trial(void);
extern void wiring_leave(Wiring *wiring);
extern void wiring_read(Wiring *wiring, const LedgerStatement *statement,
						Datum *values, LedgerView view);
extern void wiring_write(Wiring *wiring, const LedgerStatement *statement,
						 Datum *values);
extern bool wiring_is_writing(void);
extern HotTable *wiring_hot(Wiring *wiring, LedgerTable part, const HotLayout *layout);
extern Snapshot wiring_snapshot(Wiring *wiring, LedgerView view);

/* Columns of the result of the statement that ran last. */
extern Datum result_datum(uint64 row, int column, bool *isnull);
extern int64 result_int64(uint64 row, int column);
extern int32 result_int32(uint64 row, int column);
extern bool result_bool(uint64 row, int column);
extern char *result_text(uint64 row, int column);	/* NULL: no value */
extern Numeric result_numeric(uint64 row, int column);	/* NULL likewise */

/* An array argument of n elements, none of them NULL unless nulls says so. */
extern Datum array_argument(Datum *elements, bool *nulls, int n, Oid type);

#endif							/* RISK_WIRING_H */
