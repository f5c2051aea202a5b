/* gone.c -- a leader whose process has ended.  The connection to it breaks, and
 * nobody listens where it listened: then its followers need not wait for an
 * election timeout of silence.
 *
 * That is a hint, and no more than elections can take: a leader that is heard
 * once more leads on, the candidate asks first [9.6], and whoever still hears
 * the leader does not answer [4.2.3]. */
#include "node/internal.h"

#include "base/clock.h"

#define WAIT_MAX_BEATS 4 /* before the third try, the last */

static void wait_again(struct node *n, uint64_t wait_ms)
{
	n->campaign_wait_ms = wait_ms;
	n->campaign_ms = clock_mono_ms() + wait_ms + random_u64() % wait_ms;
}

void gone_heard(struct node *n, uint64_t peer)
{
	if (peer != n->leader || n->role != RAFT_FOLLOWER ||
	    raft_forget_leader(n->raft) != RAFT_OK)
		return;
	/* One heartbeat, for the leader to be heard if it lives and for the
	 * others to notice; the rest keeps candidates apart. */
	wait_again(n, (uint64_t)n->tick_ms * NODE_BEAT_TICKS);
}

void gone_campaign(struct node *n)
{
	uint64_t most = (uint64_t)n->tick_ms * NODE_BEAT_TICKS * WAIT_MAX_BEATS;

	if (n->campaign_ms == 0 || clock_mono_ms() < n->campaign_ms)
		return;
	n->campaign_ms = 0;
	if (n->leader != 0 || n->role == RAFT_LEADER)
		return;
	(void)raft_campaign(n->raft);
	/* Two at once may have got half of the votes each.  A disk that is
	 * slow to write a vote has more time with each try. */
	if (2 * n->campaign_wait_ms <= most)
		wait_again(n, 2 * n->campaign_wait_ms);
}
