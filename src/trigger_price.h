/*
 * trigger_price.h
 *		The mark prices at which accounts have to be looked at.
 */
#ifndef RISK_TRIGGER_PRICE_H
#define RISK_TRIGGER_PRICE_H

#include "posting.h"

extern bool trigger_prices_are_due(const LedgerAccount *account);
extern void trigger_prices_write(Wiring *wiring, int32 book_id, LedgerAccount **accounts, int n);

#endif							/* RISK_TRIGGER_PRICE_H */
