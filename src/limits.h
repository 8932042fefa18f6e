/*
 * limits.h
 *		What limits say to trades, and to one that is not booked yet.
 */
#ifndef RISK_LIMITS_H
#define RISK_LIMITS_H

#include "wiring.h"

extern void limits_note(Wiring *wiring, Datum *values);
extern void limits_judge(Wiring *wiring, int32 book_id);
extern void limits_try(Wiring *wiring, int32 book_id, const TrialPosition *trial, Numeric qty_before);

#endif							/* RISK_LIMITS_H */
