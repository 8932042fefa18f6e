/*
 * stages.h
 *		The stages of a policy that others than the account itself pay in.
 */
#ifndef RISK_STAGES_H
#define RISK_STAGES_H

#include "collateral.h"
#include "fund_use.h"
#include "posting.h"

/* An account that the transaction took below its floor. */
typedef struct Deficit
{
	int64		account_id;
	LedgerAccount *account;
	bool		insolvent;		/* judged by its equity, whatever its balance is */

	char	  **stages;			/* of its policy, ended by NULL */
	int			policy_version;
	bool		recourse;		/* what others pay is owed */
	bool		holds_gainers;	/* see payout.c */
	FundCaps	caps;
	bool		fund_by_instrument;
	int32		instrument_id;	/* of the cause, where the fund goes by it; 0: none */
	Numeric		capped;			/* what a cap kept the fund from; NULL: nothing */

	int64		cause;			/* of the entry that crossed the floor */
	const char *cause_kind;		/* trade, funding, exchange or transfer */
	int64		fee_cause;		/* trade whose fee is cut */
	Numeric		fees;			/* part of the way down that fees made */
	Numeric		operational;	/* part that is not the market's */

	Numeric		shortfall;		/* what others have to pay, in all; NULL: nothing */
	Numeric		market_due;		/* what nobody has paid yet, by class */
	Numeric		operational_due;
	int64		shortfall_id;	/* 0: none */
} Deficit;

/* A payment by another party. */
typedef struct Payment
{
	Deficit    *deficit;
	LedgerAccount *payer;
	const char *stage;
	Numeric		amount;
	Numeric		payer_before;
} Payment;

/* A system account that pays, with its balance over all slots. */
typedef struct Payer
{
	LedgerAccount *account;
	Numeric		total;
} Payer;

/* All deficits of a transaction in one book, and who pays for them. */
typedef struct Waterfall
{
	Wiring	   *wiring;
	int32		book_id;
	Posting    *posting;
	Collateral *collateral;		/* NULL: no account is in a margin group */
	Deficit    *deficits;
	int			ndeficits;
	Payment    *payments;
	int			npayments;
	Payer	   *payers;
	int			npayers;
	FundPayments fund;
} Waterfall;

extern Numeric deficit_missing(const Deficit *deficit);
extern void stages_read(Waterfall *waterfall);
extern void stages_run(Waterfall *waterfall, Deficit *deficit);
extern void stages_write(Waterfall *waterfall);

#endif							/* RISK_STAGES_H */
