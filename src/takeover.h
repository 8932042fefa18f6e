/*
 * takeover.h
 *		Positions that the liquidity account takes from others.
 */
#ifndef RISK_TAKEOVER_H
#define RISK_TAKEOVER_H

#include "posting.h"
#include "valuation.h"

/* One position, or a part of it, that changes hands. */
typedef struct Takeover
{
	int64		account_id;
	int64		liquidity_account;
	int32		instrument_id;
	Numeric		qty;			/* signed, as the account holds it */
	Numeric		price;
	Numeric		bankruptcy_price;	/* or NULL */
	Numeric		mark_price;		/* or NULL */
	int64		execution_id;	/* set by takeover_trade() */
	int64		shortfall_id;	/* 0: nobody had to pay */
	bool		for_adl;		/* more than the liquidity account can carry */
} Takeover;

extern Numeric takeover_price_at_mark(OpenPosition *position);
extern Numeric takeover_price(OpenPosition *position, Numeric bankruptcy_price, Numeric equity);
extern void takeover_read_bankruptcy_prices(Wiring *wiring, int32 book_id, Takeover *takeovers, int n);
extern void takeover_trade(Wiring *wiring, int32 book_id, Takeover *takeovers, int n);
extern void takeover_judge_capacity(Wiring *wiring, int32 book_id, Takeover *takeovers, int n);
extern void takeover_record(Wiring *wiring, int32 book_id, Takeover *takeovers, int n);

#endif							/* RISK_TAKEOVER_H */
