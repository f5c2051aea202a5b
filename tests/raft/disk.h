/* disk.h -- the memory storage that etcd's scripts run on. */
#ifndef QUORATE_TESTS_RAFT_DISK_H
#define QUORATE_TESTS_RAFT_DISK_H

#include "internal.h"

struct disk {
	struct raft_hard_state hard;
	struct raft_conf_state conf; /* of the snapshot it started with */
	struct raft_entry_id before; /* the entry before the first */
	struct raft_entry **entries; /* each a block of its own */
	size_t n;
	struct raft_snapshot *history; /* after each applied entry */
	size_t history_n;
};

struct raft_storage disk_storage(struct disk *d);
void disk_free(struct disk *d);
raft_index disk_last(const struct disk *d);
/* hard: NULL, or the new one. */
void disk_append(struct disk *d, const struct raft_hard_state *hard,
    const struct raft_entry *e, size_t n, const struct raft_snapshot *s);
/* Entries up to `to`, included, are gone. */
int disk_compact(struct disk *d, raft_index to);
void disk_remember(struct disk *d, const struct raft_snapshot *s);
const struct raft_snapshot *disk_newest(const struct disk *d);

#endif
