/*
 * risk_ext.c
 *		Module magic and settings; everything else has a file of its own.
 */
#include "postgres.h"

#include "fmgr.h"

#include "decimal.h"
#include "worker.h"

#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "risk_ext", .version = RISK_EXT_VERSION);
#else
PG_MODULE_MAGIC;
#endif

void		_PG_init(void);

void
_PG_init(void)
{
	decimal_check_format();
	worker_init();
}
