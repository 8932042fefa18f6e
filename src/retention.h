/*
 * retention.h
 *		What posting has to know of periods whose rows are gone.
 */
#ifndef RISK_RETENTION_H
#define RISK_RETENTION_H

#include "utils/date.h"

#include "wiring.h"

extern DateADT retired_before(Wiring *wiring);
extern char *date_text(DateADT date);

#endif							/* RISK_RETENTION_H */
