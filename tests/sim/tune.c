/* tune.c -- what a seed draws before it begins. */
#include "sim.h"

static void tune_story(struct world *w)
{
	struct tuning *t = &w->t;
	unsigned draw = sim_below(w, 10);

	if (draw == 0) {
		t->story = STORY_CHURN;
		t->voters = t->nodes = 5;
		t->max_size = t->inflight = 1;
		t->nemesis_ms = 200 + sim_below(w, 300);
		t->client_ms = 5 + sim_below(w, 20);
		t->delay_max = 5 + sim_below(w, 40);
		t->pre_vote = sim_chance(w, 50);
		t->check_quorum = sim_chance(w, 50);
		t->drop = t->read = 0;
	} else if (draw == 1) {
		t->story = STORY_LAG;
		t->voters = 3;
		t->nodes = 5;
		t->nemesis_ms = 300 + sim_below(w, 200);
		t->drop = 0;
	} else if (draw == 2) {
		t->story = STORY_JOINT;
		t->voters = t->nodes = 5;
		t->nemesis_ms = 300 + sim_below(w, 200);
		t->delay_max = 2 + sim_below(w, 10);
		t->client_ms = 5 + sim_below(w, 20);
		t->drop = 0;
	}
}

void nemesis_tune(struct world *w)
{
	struct tuning *t = &w->t;
	bool quiet = sim_chance(w, 10);

	t->voters = 3 + sim_below(w, 3);
	t->nodes = t->voters + sim_below(w, SIM_FIRST - t->voters + 1);
	t->drop = quiet || sim_chance(w, 30) ? 0 : sim_below(w, 300);
	t->duplicate = sim_chance(w, 40) ? 0 : sim_below(w, 100);
	t->replay = sim_chance(w, 50)   ? 0
		    : sim_chance(w, 20) ? sim_below(w, 500)
					: sim_below(w, 60);
	t->delay_max = 2 + sim_below(w, sim_chance(w, 50)   ? 10
					: sim_chance(w, 80) ? 60
							    : 200);
	t->disk_max = sim_chance(w, 30) ? 0 : sim_below(w, 40);
	t->client_ms = 5 + sim_below(w, 60);
	t->nemesis_ms = 60 + sim_below(w, 300);
	t->run_ms = 5000 + sim_below(w, 3000);
	t->lazy_ready = sim_chance(w, 50) ? 0 : sim_below(w, 60);
	t->flush = sim_chance(w, 30) ? 100 : sim_below(w, 60);
	t->read = sim_below(w, 50);
	t->pre_vote = sim_chance(w, 75);
	t->check_quorum = sim_chance(w, 75);
	t->step_down = sim_chance(w, 50);
	t->burst = sim_chance(w, 50);
	t->slow_apply = sim_chance(w, 40);
	t->changes = sim_chance(w, 60);
	t->crashes = !quiet && sim_chance(w, 75);
	t->cuts = !quiet && sim_chance(w, 75);
	t->pauses = !quiet && sim_chance(w, 40);
	t->compaction = sim_chance(w, 70);
	t->clogs = !quiet && sim_chance(w, 50);
	t->skew = sim_chance(w, 50);
	t->slow_disks = sim_chance(w, 80);
	t->disk_errors = !quiet && sim_chance(w, 50);
	t->full_disks = !quiet && sim_chance(w, 50);
	t->losses = !quiet && sim_chance(w, 70);
	t->transfers = sim_chance(w, 90);
	t->max_size = sim_chance(w, 50) ? 4096 : 20 + sim_below(w, 300);
	t->max_committed = sim_chance(w, 50) ? 0 : 20 + sim_below(w, 300);
	t->max_uncommitted = sim_chance(w, 50) ? 0 : 50 + sim_below(w, 2000);
	t->inflight = 1 + sim_below(w, sim_chance(w, 50) ? 4 : 64);
	t->inflight_bytes =
	    sim_chance(w, 70) ? 0 : t->max_size + sim_below(w, 500);
	tune_story(w);
	repair_tune(w);
	/* Ticks that come at once after a pause would make an election too
	 * early for a lease: no node does that. */
	if (t->check_quorum && !t->burst && sim_chance(w, 50))
		t->lease_ms = (SIM_ELECTION_TICKS - 1) *
			      (t->skew ? SIM_TICK_LEAST_MS : SIM_TICK_MS);
	if (t->story != STORY_NONE)
		t->losses = false;
	if (t->losses && t->flush < 20)
		t->flush = 20;
	/* Without both, a member that may not campaign and got to a later term
	 * ignores its leader for ever: etcd's rule, kept. */
	if (!t->pre_vote && !t->check_quorum &&
	    (t->changes || t->story == STORY_LAG || t->story == STORY_JOINT))
		t->check_quorum = true;
	far_tune(w);
	mixed_tune(w);
}
