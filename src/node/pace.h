/* pace.h -- raft's clock slows down where peers are far: pure, any thread. */
#ifndef QUORATE_NODE_PACE_H
#define QUORATE_NODE_PACE_H

#include <stdint.h>

/* The least round trip of the last half minute: what a message has to take, not
 * what it took when somebody was busy or asleep. */
struct rtt {
	uint64_t
	    least_ms[2];   /* of this quarter of a minute, and the one before */
	uint64_t since_ms; /* 0: nothing is known */
};
void rtt_note(struct rtt *r, uint64_t now_ms, uint64_t ms);
uint64_t rtt_ms(const struct rtt *r); /* 0: not known */

/* Ten round trips fit into the wait before an election, as long as it is not
 * more than ten times what is configured: by how much a tick is longer. */
#define PACE_ROUND_TRIPS 10
#define PACE_MAX 10
unsigned pace_tick_ms(
    unsigned configured_ms, uint64_t election_ms, uint64_t farthest_rtt_ms);

/* After a pause time goes on: no more of what was missed is made up. */
#define PACE_TICKS_AT_ONCE 3

/* How long a leader may read after a heartbeat left that a quorum answered:
 * less than any of them waits before an election, if no clock of theirs is more
 * than a tenth faster than the leader's. */
uint64_t pace_lease_ms(unsigned election_ticks, unsigned tick_ms);

#endif
