/*
 * worker.h
 *		The background worker's part of loading the library.
 */
#ifndef RISK_WORKER_H
#define RISK_WORKER_H

extern void worker_init(void);

#endif							/* RISK_WORKER_H */
