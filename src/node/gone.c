/* gone.c -- a leader whose process has ended.  The connection to it breaks, and
 * nobody listens where it listened: then its followers need not wait for an
 * election timeout of silence.
 *
 * That is a hint, and no more than elections can take: a leader that is heard
 * once more leads on, the candidate asks first [9.6], and whoever still hears
 * the leader does not answer [4.2.3]. */
#include "node/internal.h"

#include "base/clock.h"

void gone_heard(struct node *n, uint64_t peer)
{
	uint64_t beat = (uint64_t)n->tick_ms * NODE_BEAT_TICKS;

	if (peer != n->leader || n->role != RAFT_FOLLOWER ||
	    raft_forget_leader(n->raft) != RAFT_OK)
		return;
	/* One heartbeat, for the leader to be heard if it lives and for the
	 * others to notice; the rest keeps candidates apart. */
	n->campaign_ms = clock_mono_ms() + beat + random_u64() % beat;
}

void gone_campaign(struct node *n)
{
	if (n->campaign_ms == 0 || clock_mono_ms() < n->campaign_ms)
		return;
	n->campaign_ms = 0;
	if (n->leader == 0 && n->role == RAFT_FOLLOWER)
		(void)raft_campaign(n->raft);
}
