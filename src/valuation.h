/*
 * valuation.h
 *		Open positions of some accounts, at the latest mark prices, and what
 *		these accounts have to keep for them.
 */
#ifndef RISK_VALUATION_H
#define RISK_VALUATION_H

#include "margin.h"
#include "wiring.h"

typedef struct OpenPosition
{
	int64		account_id;
	int32		instrument_id;
	int			scale;			/* of the asset that it settles in */
	ContractKind kind;
	Numeric		qty;
	Numeric		cost;
	Numeric		multiplier;
	Numeric		mark_price;		/* NULL: none yet; valued at its cost */
	bool		mark_stale;		/* older than the instrument allows, or that is halted */
	Numeric		unrealized_pnl;
	Numeric		max_leverage;	/* of the tier at the mark; 1 without tiers */
	Numeric		chosen_leverage;	/* by the trader, or NULL */
	Numeric		open_interest_lo;	/* where initial margin grows; NULL: nowhere */
	Numeric		open_interest_hi;
	bool		profit_backs_margin;	/* by the policy of the account */
} OpenPosition;

typedef struct Valuation
{
	OpenPosition *positions;	/* by account_id, instrument_id */
	int			n;
} Valuation;

/* What an account has to keep, by its open positions and orders. */
typedef struct Requirement
{
	int64		account_id;
	Numeric		unrealized_pnl;
	Numeric		initial_margin;
	Numeric		order_reserve;
	Numeric		holds;			/* what open holds keep */
	bool		profit_backs_margin;	/* by its policy; of no consequence without a position */
	bool		unmarked;		/* a position whose mark is missing or stale is left out */
} Requirement;

typedef struct Requirements
{
	Requirement *accounts;		/* by account_id, none of them twice */
	int			n;
} Requirements;

extern Valuation *valuation_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n);
extern OpenPosition *valuation_of_account(Valuation *valuation, int64 account_id, int *n);
extern Requirements *requirements_read(Wiring *wiring, int32 book_id, int64 *account_ids, int n,
									   bool need_marks);
extern Requirement *requirement_of_account(Requirements *requirements, int64 account_id);

#endif							/* RISK_VALUATION_H */
