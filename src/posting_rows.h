/*
 * posting_rows.h
 *		The rows of accounts, balances and entries that posting reads and writes.
 */
#ifndef RISK_POSTING_ROWS_H
#define RISK_POSTING_ROWS_H

#include "posting.h"

/* A row of table balance that is locked. */
typedef struct BalanceRow
{
	int64		account_id;
	int			slot;
	int64		seq;
	TimestampTz posted_at;
	Numeric		amount;
	Numeric		floor;			/* NULL: none */
	Numeric		reserve;		/* NULL: none */
	ItemPointerData tid;		/* invalid when only statements may write it */
} BalanceRow;

typedef enum BalanceLock
{
	LOCK_IN_TRANSACTION,		/* wait; 40001 where LEDGER_AS_TRANSACTION says so */
	LOCK_LATEST,				/* wait */
	LOCK_FREE					/* the latest, without those that are held */
} BalanceLock;

typedef struct PostedEntry
{
	LedgerAccount *account;
	int64		seq;
	Numeric		amount;
	Numeric		balance_after;
	const char *kind;
	int64		cause;
	TimestampTz effective_at;
} PostedEntry;

extern BalanceRow *lock_balance_rows(Wiring *wiring, int32 book_id, int slot, const int64 *ids, int n,
									 BalanceLock lock, int *nlocked);
extern bool trader_reaches_floor(Wiring *wiring, int32 book_id, int64 account_id);
extern LedgerAccount *read_account_rows(Wiring *wiring, int32 book_id, const int64 *ids, int n, int *nread);
extern void insert_entry_rows(Wiring *wiring, int32 book_id, const PostedEntry *entries, int n);
extern void update_balance_rows(Wiring *wiring, int32 book_id, LedgerAccount **accounts, int n);
extern Datum account_id_array(const int64 *ids, int n);

#endif							/* RISK_POSTING_ROWS_H */
