/*
 * slow_flush.c
 *		fdatasync() that takes a millisecond longer: what bench/ledger preloads
 *		into the server to stand for a disk whose flushes are dear.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int
fdatasync(int fd)
{
	static int	(*flush) (int);

	if (flush == NULL)
		flush = (int (*) (int)) dlsym(RTLD_NEXT, "fdatasync");
	usleep(1000);
	return flush(fd);
}
