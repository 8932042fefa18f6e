/*
 * recourse.h
 *		Debts of accounts whose policy asks back what others paid.
 */
#ifndef RISK_RECOURSE_H
#define RISK_RECOURSE_H

#include "wiring.h"

extern void recourse_claim(Wiring *wiring, int32 book_id, Datum *shortfall_ids, int n);
extern void recourse_pay_debts(Wiring *wiring, int32 book_id, Datum *account_ids, int n);

#endif							/* RISK_RECOURSE_H */
