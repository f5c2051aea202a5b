/* power.h -- a disk that forgets, under real files.
 *
 * A program that links this has pwrite, writev, fdatasync, fsync and ftruncate
 * of its own (LMDB 0.9.24 writes pages with pwrite or lseek and writev, syncs
 * with fdatasync, then writes its meta page through a descriptor opened with
 * O_DSYNC).  They remember what of a file is durable, and a power cut puts it
 * back to that, with some of the unsynced sectors thrown in: a disk writes
 * them in any order.  What directories hold counts as durable at once. */
#ifndef QUORATE_TESTS_POWER_H
#define QUORATE_TESTS_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct power_file;

struct power {        /* one machine's disk; zero it */
	uint64_t rng; /* not 0 */
	/* Every file that is written or synced is watched, and what syncs need
	 * not reach a real disk. */
	bool all;
	long cut_in;  /* events (before and after a write or sync) until the
			 power goes; 0: never */
	long fail_in; /* calls until one fails; 0: never */
	int fail_with;
	void (*on_cut)(struct power *p); /* NULL: off, until power_cut */
	bool off;                        /* every call fails */
	struct power_file *files;
	size_t files_n;
};

/* Whose files are written now; NULL: nobody's, and nothing is noticed. */
extern struct power *power_on;

/* durable: what is in the file now was synced. */
void power_watch(struct power *p, const char *path, bool durable);
/* What was not synced is gone, but for some sectors.  The files are not open
 * then, or the process is about to end. */
void power_cut(struct power *p);
void power_free(struct power *p);
uint64_t power_draw(struct power *p, uint64_t below);

#endif
