/*
 * settle.h
 *		Who pays after the commit for what stands on suspense.
 */
#ifndef RISK_SETTLE_H
#define RISK_SETTLE_H

#include "fund_use.h"
#include "posting.h"

/* What still stands on suspense for one shortfall, and the rules it is under. */
typedef struct OpenShortfall
{
	int64		shortfall_id;
	int64		takeover_id;	/* not 0: no shortfall, but what the liquidity account cannot carry of it */
	int64		account_id;		/* that is bankrupt */
	char	   *owner_id;		/* or NULL */
	char	   *asset_code;
	int			scale;
	Numeric		remaining;
	char	   *stages;			/* of the policy, with a space before and after each */
	char	   *adl_formula;
	char	   *adl_guard;
	Numeric		adl_max_distance;	/* NULL: no limit */
	char	   *policy_code;
	FundCaps	caps;
	int32		fund_instrument_id; /* whose fund pays before the shared one; 0: none */
	Numeric		paid_by_fund;	/* in the transaction of the loss */
	bool		holds_gainers;	/* see payout.c */

	bool		claims_locked;	/* who can be asked for a share is */
	bool		queue_goes_on;	/* beyond those that are locked */
	bool		unfinished;		/* deleveraging goes on in another transaction */
} OpenShortfall;

/* What risk.settle() tells: a payment, or a position that was closed. */
typedef struct SettledRow
{
	int32		book_id;
	int64		shortfall_id;
	const char *stage;
	int64		account_id;
	int32		instrument_id;	/* 0: none */
	Numeric		qty;			/* NULL: none; likewise the next two */
	Numeric		price;
	Numeric		amount;
} SettledRow;

/* The work on one book. */
typedef struct Settling
{
	Wiring	   *wiring;
	int32		book_id;
	OpenShortfall *shortfalls;
	int			n;
	int64	   *traders;		/* to be locked */
	int			ntraders;
	int			traders_size;
	Posting    *locks;			/* the posting that locked them */
	List	   *needs;			/* of QueueNeed, see deleveraging.c */
	List	  **rows;			/* of SettledRow */
} Settling;

/* A payer of a socialised loss. */
typedef struct LossShare
{
	int64		account_id;
	Numeric		claim;
	Numeric		weight;
	Numeric		amount;
} LossShare;

extern bool shortfall_has_stage(const OpenShortfall *shortfall, const char *stage);
extern void settling_lock_later(Settling *settling, int64 account_id);
extern void settling_tell(Settling *settling, const SettledRow *row);

/* deleveraging.c */
extern void deleveraging_read_excess(Settling *settling);
extern bool deleveraging_prepare(Settling *settling, OpenShortfall *shortfall);
extern Numeric deleveraging_run(Settling *settling, OpenShortfall *shortfall);

/* loss_sharing.c */
extern void loss_sharing_prepare(Settling *settling, OpenShortfall *shortfall);
extern LossShare *loss_sharing_decide(Settling *settling, OpenShortfall *shortfall,
									  Numeric loss, int *n);
extern void loss_sharing_collect(Settling *settling, Posting *posting, LossShare *shares, int n);

#endif							/* RISK_SETTLE_H */
