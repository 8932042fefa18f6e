/*
 * compat.h
 *		Differences between the PostgreSQL versions that are supported.
 *
 * Nothing else in the tree tests PG_VERSION_NUM.
 */
#ifndef RISK_COMPAT_H
#define RISK_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "risk_ext requires PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* The number of this backend, 1 .. MaxBackends. */
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
#define BackendNumber() ((int) MyProcNumber + 1)
#else
#include "storage/backendid.h"
#define BackendNumber() ((int) MyBackendId)
#endif

#endif							/* RISK_COMPAT_H */
