/*
 * transfer.h
 *		What is asked of a transfer, and of whatever else moves money between
 *		accounts.
 */
#ifndef RISK_TRANSFER_H
#define RISK_TRANSFER_H

#include "utils/date.h"

#include "collateral.h"
#include "idempotency.h"
#include "posting.h"
#include "valuation.h"

/* What becomes of a transfer of a batch; the names are in batch.c. */
typedef enum TransferResult
{
	TRANSFER_ACCEPTED,
	TRANSFER_EXISTS,			/* posted before, with the same key */
	TRANSFER_KEY_USED,			/* for something else */
	TRANSFER_UNKNOWN_KIND,
	TRANSFER_UNKNOWN_ACCOUNT,
	TRANSFER_WRONG_ACCOUNT,		/* a kind of account that the transfer is not for */
	TRANSFER_SAME_ACCOUNT,
	TRANSFER_OTHER_ASSET,
	TRANSFER_INVALID_AMOUNT,
	TRANSFER_CLOSED,
	TRANSFER_FROZEN,
	TRANSFER_LIQUIDATING,
	TRANSFER_CLOSING,			/* and is paid into */
	TRANSFER_NO_MARK,			/* what the account needs, nobody knows */
	TRANSFER_EXCEEDS,			/* what the account can spare */
	TRANSFER_SHORTFALL_OPEN,	/* that the fund may have to pay for */
	TRANSFER_PAYOUT_OPEN,		/* on whose other side the account may have gained */
	TRANSFER_RESULTS
} TransferResult;

typedef struct TransferRow
{
	int32		book_id;
	int64		transfer_id;
	int64		from_account;
	int64		to_account;
	TimestampTz effective_at;
	Numeric		amount;
	char	   *kind;
	char	   *idempotency_key;	/* or NULL */
	char	   *who;
	DateADT		period;

	int64		hold_id;		/* that it captures; 0: none */
	Numeric		hold_left;		/* what that keeps after it, or NULL */

	const char *table;			/* for messages; NULL: transfer */
	bool		judged;			/* a fault is its result, not an error */
	TransferResult result;
} TransferRow;

/* An account that money is moved into or out of. */
typedef struct TransferEnd
{
	LedgerAccount *account;
	bool		debited;
} TransferEnd;

/* What stands on suspense in an asset, of shortfalls that are open. */
typedef struct OnSuspense
{
	char	   *asset_code;
	int64		shortfalls;
	Numeric		amount;
} OnSuspense;

/* What transfers by choice are judged by. */
typedef struct Judgement
{
	Requirements *requirements; /* of the accounts that money is taken from */
	Collateral *collateral;		/* their margin groups */
	List	   *on_suspense;	/* of OnSuspense, where money is taken from a fund */
	List	   *payouts;		/* see payout.c */
} Judgement;

extern const KeyedTable keyed_transfers;

extern KeyedRow keyed_transfer(const void *row);
extern LedgerAccount *end_of_transfer(Posting *posting, TransferRow *transfer, int64 account_id);
extern void check_writer(TransferRow *transfer);
extern void check_may_give(TransferRow *transfer, LedgerAccount *from);
extern void check_may_get(Wiring *wiring, TransferRow *transfer, const LedgerAccount *from, LedgerAccount *to);
extern void check_transfer(Wiring *wiring, Posting *posting, TransferRow *transfer);
extern void check_rules(Wiring *wiring, Posting *posting, TransferRow **transfers, int n);
extern void open_system_accounts(Posting *posting, TransferEnd *ends, int n);
extern Judgement read_judgement(Wiring *wiring, Posting *posting, int32 book_id,
								TransferRow **transfers, int n);
extern void check_choice(Posting *posting, const Judgement *judgement, TransferRow *transfer);
extern void post_transfer(Posting *posting, TransferRow *transfer);
extern void pay_debts_of(Wiring *wiring, Posting *posting, int32 book_id, TransferRow **transfers, int n);
extern void insert_posted_transfers(Wiring *wiring, int32 book_id, TransferRow **transfers, int n);

#endif							/* RISK_TRANSFER_H */
