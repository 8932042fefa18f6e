/*
 * collateral.h
 *		Margin groups: accounts of one owner that stand in for each other.
 */
#ifndef RISK_COLLATERAL_H
#define RISK_COLLATERAL_H

#include "posting.h"

/* The margin groups of some accounts; NULL when none of these is in one. */
typedef struct Collateral Collateral;

/* What becomes of a group that cannot be valued. */
typedef enum CollateralUse
{
	COLLATERAL_AS_IT_IS,		/* nothing leaves it by choice */
	COLLATERAL_TO_JUDGE			/* 55000 without a mark, 40001 without a lock */
} CollateralUse;

extern Collateral *collateral_open(Wiring *wiring, Posting *posting, int32 book_id,
								   const int64 *account_ids, int n, CollateralUse use);
extern bool collateral_are_one_group(const LedgerAccount *a, const LedgerAccount *b);
extern Numeric collateral_of(Collateral *collateral, LedgerAccount *account);
extern Numeric collateral_limit(Collateral *collateral, LedgerAccount *account, Numeric own);

extern List *collateral_assets(Collateral *collateral);
extern Numeric collateral_available(Collateral *collateral, LedgerAccount *account);
extern void collateral_exchange(Collateral *collateral, LedgerAccount *account, Numeric due,
								int64 cause, const char *cause_kind);
extern void collateral_post(Collateral *collateral);

#endif							/* RISK_COLLATERAL_H */
