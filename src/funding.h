/*
 * funding.h
 *		Fundings of a book, and what trades that come late owe them.
 */
#ifndef RISK_FUNDING_H
#define RISK_FUNDING_H

#include "datatype/timestamp.h"
#include "storage/lockdefs.h"

#include "posting.h"

typedef struct FundedInstrument
{
	int32		book_id;
	int32		instrument_id;
} FundedInstrument;

/* A funding that has been posted. */
typedef struct PastFunding
{
	int64		funding_id;
	TimestampTz funding_at;
	Numeric		rate;
	Numeric		mark_price;
} PastFunding;

/* Those of one instrument after some time, by funding_at. */
typedef struct PastFundings
{
	int32		book_id;
	int32		instrument_id;
	bool		refuses;		/* the book does not charge late trades */
	PastFunding *fundings;
	int			n;
} PastFundings;

/* Rows for the table funding_payment; starts as zeroes. */
typedef struct FundingPayments
{
	Datum	   *columns[5];
	int			n;
	int			size;
} FundingPayments;

extern void funding_lock(FundedInstrument *instruments, int n, LOCKMODE mode);
extern PastFundings *past_fundings(Wiring *wiring, int32 book_id, int32 instrument_id,
								   TimestampTz after);
extern void refuse_late_trade(PastFundings *past, int64 trade_id, TimestampTz executed_at);
extern void funding_pay(Posting *posting, FundingPayments *payments,
						int64 funding_id, TimestampTz funding_at,
						LedgerAccount *account, LedgerAccount *funding,
						int64 late_trade, Numeric qty, Numeric amount);
extern void funding_payments_write(Wiring *wiring, int32 book_id, FundingPayments *payments);

#endif							/* RISK_FUNDING_H */
