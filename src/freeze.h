/*
 * freeze.h
 *		Whether an account is frozen, whatever its status says.
 */
#ifndef RISK_FREEZE_H
#define RISK_FREEZE_H

#include "wiring.h"

extern bool account_has_freeze(Wiring *wiring, int32 book_id, int64 account_id, const char *owner_id);

#endif							/* RISK_FREEZE_H */
