#include "node/pace.h"

#define WINDOW_MS 15000
#define DRIFT_PERCENT 10

void rtt_note(struct rtt *r, uint64_t now_ms, uint64_t ms)
{
	if (r->since_ms == 0) {
		r->least_ms[0] = r->least_ms[1] = ms;
		r->since_ms = now_ms;
	} else if (now_ms - r->since_ms > WINDOW_MS) {
		r->least_ms[1] = r->least_ms[0];
		r->least_ms[0] = ms;
		r->since_ms = now_ms;
	} else if (ms < r->least_ms[0]) {
		r->least_ms[0] = ms;
	}
}

uint64_t rtt_ms(const struct rtt *r)
{
	return r->least_ms[0] < r->least_ms[1] ? r->least_ms[0]
					       : r->least_ms[1];
}

unsigned pace_tick_ms(
    unsigned configured_ms, uint64_t election_ms, uint64_t farthest_rtt_ms)
{
	uint64_t want = PACE_ROUND_TRIPS * farthest_rtt_ms;

	if (want <= election_ms)
		return configured_ms;
	if (want > PACE_MAX * election_ms)
		want = PACE_MAX * election_ms;
	return (
	    unsigned)((configured_ms * want + election_ms - 1) / election_ms);
}

uint64_t pace_lease_ms(unsigned election_ticks, unsigned tick_ms)
{
	/* The first tick may come right after the heartbeat, and with it those
	 * that were missed before it. */
	return (uint64_t)(election_ticks - 1 - PACE_TICKS_AT_ONCE) * tick_ms *
	       (100 - DRIFT_PERCENT) / 100;
}
