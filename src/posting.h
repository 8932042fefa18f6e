/*
 * posting.h
 *		Balances and entries of one book, opened, changed and written back.
 */
#ifndef RISK_POSTING_H
#define RISK_POSTING_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"

#include "decimal.h"
#include "entry_kind.h"
#include "trigger_rows.h"
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
	STATUS_LIQUIDATING,
	STATUS_FROZEN,
	STATUS_CLOSING,
	STATUS_CLOSED,
	STATUS_KINDS
} AccountStatus;

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
	bool		in_group;		/* a member of its owner's margin group */
	int32		fund_instrument_id; /* of an insurance fund: all that it pays for; 0: shared */

	int			slot;			/* -1 while no row is locked */
	int64		seq;
	TimestampTz posted_at;
	Numeric		amount;
	Numeric		floor;			/* NULL: none */
	Numeric		reserve;		/* of the balance, before a trigger has to move; NULL: none */
	ItemPointerData tid;		/* of the row; invalid when only statements may write it */
	bool		changed;
	List	   *moved;			/* instruments whose position has changed */
	bool		rebanded;		/* all triggers are to be reckoned anew */
} LedgerAccount;

typedef struct Posting Posting;

extern Posting *posting_begin(Wiring *wiring, int32 book_id);
extern void posting_open(Posting *posting, int64 *account_ids, int n);
extern void posting_open_with_backing(Posting *posting, int64 *account_ids, int n);
extern void posting_open_free(Posting *posting, int64 *account_ids, int n);
extern LedgerAccount *posting_account(Posting *posting, int64 account_id);
extern LedgerAccount *posting_system_account(Posting *posting, AccountKind kind,
											 const char *asset_code);
extern LedgerAccount *posting_instrument_fund(Posting *posting, const char *asset_code,
											  int32 instrument_id);
extern void posting_take_slots(Posting *posting, LedgerAccount **accounts, int n);
extern void posting_pass_gate(Posting *posting, LedgerAccount **accounts, int n);
extern List *posting_take_filled_slots(Posting *posting, LedgerAccount *account);
extern Numeric posting_total(Posting *posting, LedgerAccount *account);
extern void posting_post(Posting *posting, LedgerAccount *account, Numeric amount,
						 const char *kind, int64 cause, TimestampTz effective_at);
extern Numeric posting_sum(Posting *posting, LedgerAccount *account, const char *kind);
extern void posting_move_position(LedgerAccount *account, int32 instrument_id);
extern void posting_reband(LedgerAccount *account);
extern void posting_write(Posting *posting);

extern bool account_kind_is_gated(AccountKind kind);
extern const char *account_kind_name(AccountKind kind);
extern const char *account_status_name(AccountStatus status);

#endif							/* RISK_POSTING_H */
