/*
 * posting.h
 *		Balances and entries of one book, opened, changed and written back.
 */
#ifndef RISK_POSTING_H
#define RISK_POSTING_H

#include "commands/trigger.h"
#include "datatype/timestamp.h"
#include "utils/date.h"

#include "decimal.h"
#include "wiring.h"

typedef enum AccountKind
{
	ACCOUNT_TRADER,
	ACCOUNT_CLEARING,
	ACCOUNT_FEE,
	ACCOUNT_INSURANCE_FUND,
	ACCOUNT_LIQUIDITY,
	ACCOUNT_EXTERNAL,
	ACCOUNT_HOUSE,
	ACCOUNT_RECEIVABLE,
	ACCOUNT_FUNDING,
	ACCOUNT_INTERBOOK,
	ACCOUNT_SUSPENSE,
	ACCOUNT_KINDS
} AccountKind;

typedef enum AccountStatus
{
	STATUS_ACTIVE,
	STATUS_REDUCE_ONLY,
	STATUS_FROZEN,
	STATUS_CLOSED,
	STATUS_KINDS
} AccountStatus;

/* How a loss came about decides who may pay for it. */
typedef enum EntryClass
{
	CLASS_CHOICE,				/* refused beyond what the account can spare */
	CLASS_MARKET,				/* a fact; the policy says who pays */
	CLASS_OPERATIONAL,			/* a fact; never the insurance fund's */
	CLASS_FEE					/* cut when it cannot be paid */
} EntryClass;

/*
 * An account of the book, and the row of its balance that this posting
 * writes, once that is locked (slot >= 0).
 */
typedef struct LedgerAccount
{
	int64		account_id;		/* key; < 0 for system accounts */
	AccountKind kind;
	AccountStatus status;
	int			scale;			/* of the asset */
	char	   *asset_code;
	char	   *policy_code;
	char	   *owner_id;		/* may be NULL */
	int64		parent_id;		/* 0: no child account */
	int32		isolated_instrument_id; /* of a child: all that it may hold */
	int			isolated_side;	/* of a child: 1 long, -1 short, 0 either */

	int			slot;			/* -1 while no row is locked */
	int64		seq;
	TimestampTz posted_at;
	Numeric		amount;
	Numeric		floor;			/* NULL: none */
	bool		changed;
} LedgerAccount;

typedef struct Posting Posting;

/* The most digits after the point of a quantity or price. */
#define TRADE_SCALE		18

/* A number that must be finite and fit. */
typedef enum NumberRule
{
	NUMBER_POSITIVE,
	NUMBER_ANY_SIGN
} NumberRule;

extern Posting *posting_begin(Wiring *wiring, int32 book_id);
extern void posting_open(Posting *posting, int64 *account_ids, int n);
extern void posting_open_with_parents(Posting *posting, int64 *account_ids, int n);
extern LedgerAccount *posting_account(Posting *posting, int64 account_id);
extern LedgerAccount *posting_system_account(Posting *posting, AccountKind kind,
											 const char *asset_code);
extern void posting_take_slots(Posting *posting, LedgerAccount **accounts, int n);
extern void posting_pass_gate(Posting *posting, LedgerAccount **accounts, int n);
extern Numeric posting_total(Posting *posting, LedgerAccount *account);
extern void posting_post(Posting *posting, LedgerAccount *account, Numeric amount,
						 const char *kind, int64 cause, TimestampTz effective_at);
extern void posting_write(Posting *posting);

extern EntryClass entry_class(const char *kind);
extern const char *entry_cause_kind(const char *kind);
extern bool account_kind_is_gated(AccountKind kind);
extern const char *account_kind_name(AccountKind kind);
extern const char *account_status_name(AccountStatus status);
extern void check_number(const char *table, int64 row_id, const char *column,
						 Numeric value, int scale, NumberRule rule);
extern void check_period(const char *table, int64 row_id, DateADT period);
extern TriggerData *statement_trigger(FunctionCallInfo fcinfo, const char *name);
extern TriggerData *change_trigger(FunctionCallInfo fcinfo, const char *name);
extern TriggerData *row_trigger(FunctionCallInfo fcinfo, const char *name);
extern Datum row_column(TriggerData *trigger, const char *name);
extern TupleTableSlot *inserted_rows(TriggerData *trigger);
extern TupleTableSlot *transition_rows(TriggerData *trigger, Tuplestorestate *rows);

/* What a trigger does with its rows of one book. */
typedef void (*BookPosting) (Wiring *wiring, int32 book_id, void **rows, int n);

extern void post_by_book(Wiring *wiring, void *rows, Size row_size, int n, BookPosting post);

#endif							/* RISK_POSTING_H */
