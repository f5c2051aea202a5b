/* nemesis.c -- strikes nodes by a plan that the seed gives.  A step strikes
 * one node, or two, or all; when the last of them is back there is a pause, and
 * then comes the next step. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "chaos.h"

#define TURN_MS 5
#define END_MS 20000 /* a node that was told to end has ended by then */
#define DROP_MS 15000

const char *const fault_names[FAULT_COUNT] = {
#define X(sym, text) text,
    FAULTS(X)
#undef X
};

enum phase { PHASE_WAITS, PHASE_STRUCK, PHASE_DONE };

struct strike {
	struct node *node;
	enum fault kind;
	enum phase phase;
	bool leads;
	uint64_t at_ms;    /* when it begins */
	uint64_t until_ms; /* when the node comes back */
	unsigned for_ms;
	bool cut;             /* its messages are held */
	pid_t stopped;        /* whom SIGCONT wakes; a group if negative */
	unsigned again;       /* more kills of a flap */
	unsigned again_ms[4]; /* how long the node lives before each */
};

/* ---- Ends of processes ---- */

static void node_ended(struct chaos *c, struct node *n, int status)
{
	enum asked asked = n->asked;

	n->pid = 0;
	n->asked = ASKED_NOTHING;
	if (asked == ASKED_NOTHING)
		report_violation(c, "ended",
		    "%s ended by itself with status %d, see %s", n->name,
		    status, n->log);
	/* Before it has its handlers the signal itself ends it. */
	else if (asked == ASKED_TERM && status != 0 && status != 128 + SIGTERM)
		report_violation(c, "ended",
		    "%s was told to stop and ended with status %d, see %s",
		    n->name, status, n->log);
	else if (asked == ASKED_SIGNER && status == 0)
		report_violation(c, "ended",
		    "%s lost its signer and ended with status 0", n->name);
}

static void worker_ended(
    struct chaos *c, pid_t *worker, pid_t pid, int wstatus, const char *name)
{
	if (*worker != pid)
		return;
	*worker = 0;
	report_violation(c, "client", "the %s ended with status %d", name,
	    proc_status(wstatus));
}

void nemesis_reap(struct chaos *c)
{
	int wstatus;
	pid_t pid;

	while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0) {
		for (size_t i = 0; i < NODES; i++)
			if (c->nodes[i].pid == pid)
				node_ended(
				    c, &c->nodes[i], proc_status(wstatus));
		for (size_t i = 0; i < LOADS; i++)
			if (c->loads[i].pid == pid) {
				c->loads[i].pid = 0;
				report_violation(c, "client",
				    "load generator %zu ended with status %d",
				    i, proc_status(wstatus));
			}
		worker_ended(c, &c->reader, pid, wstatus, "reader");
		worker_ended(c, &c->revoker, pid, wstatus, "revoker");
		worker_ended(c, &c->proxy, pid, wstatus, "proxy");
	}
}

/* ---- One strike ---- */

/* All that the node sends, all that it is sent, or both. */
static void set_cut(struct chaos *c, const struct strike *s, bool cut)
{
	size_t at = (size_t)(s->node - c->nodes);

	for (size_t i = 0; i < NODES; i++) {
		if (i == at)
			continue;
		if (s->kind != FAULT_DEAF)
			c->shared->cut[at][i] = cut;
		if (s->kind != FAULT_MUTE)
			c->shared->cut[i][at] = cut;
	}
}

static bool is_cut(const struct strike *s)
{
	return s->kind == FAULT_CUT || s->kind == FAULT_DEAF ||
	       s->kind == FAULT_MUTE;
}

static void signal_node(struct chaos *c, struct strike *s)
{
	struct node *n = s->node;
	pid_t signer;

	switch (s->kind) {
	case FAULT_POWER:
		kill(-n->pid, SIGKILL);
		n->asked = ASKED_KILL;
		break;
	case FAULT_PAUSE:
	case FAULT_SIGNER_PAUSE:
		signer = proc_child_of(n->pid);
		s->stopped =
		    s->kind == FAULT_PAUSE || signer == 0 ? -n->pid : signer;
		kill(s->stopped, SIGSTOP);
		break;
	case FAULT_CUT:
	case FAULT_DEAF:
	case FAULT_MUTE: set_cut(c, s, s->cut = true); break;
	case FAULT_TERM:
		kill(n->pid, SIGTERM);
		n->asked = ASKED_TERM;
		break;
	case FAULT_SIGNER:
		signer = proc_child_of(n->pid);
		n->asked = signer != 0 ? ASKED_SIGNER : ASKED_KILL;
		kill(signer != 0 ? signer : n->pid, SIGKILL);
		break;
	default:
		kill(n->pid, SIGKILL);
		n->asked = ASKED_KILL;
		break;
	}
	n->asked_ms = clock_mono_ms();
	c->faults[s->kind]++;
}

static void begin(struct chaos *c, struct strike *s, uint64_t now)
{
	s->phase = PHASE_STRUCK;
	s->until_ms = now + s->for_ms;
	if (s->node->pid == 0) {
		report_event(c, "%s is not there to be struck", s->node->name);
		return;
	}
	report_event(c, "%s: %s%s, for %u.%03u s", fault_names[s->kind],
	    s->node->name, s->leads ? " (leader)" : "", s->for_ms / 1000,
	    s->for_ms % 1000);
	signal_node(c, s);
}

/* The process is gone, and should be back. */
static void restart(struct chaos *c, struct strike *s, uint64_t now)
{
	if (!node_start(c, s->node)) {
		report_violation(
		    c, "ended", "%s cannot be started", s->node->name);
		s->phase = PHASE_DONE;
		return;
	}
	c->restarts++;
	if (s->again == 0) {
		s->phase = PHASE_DONE;
		return;
	}
	/* Struck again while it starts. */
	s->again--;
	s->phase = PHASE_WAITS;
	s->at_ms = now + s->again_ms[s->again];
	s->for_ms = 0;
}

static void advance(struct chaos *c, struct strike *s, uint64_t now)
{
	struct node *n = s->node;

	if (s->phase == PHASE_WAITS && now >= s->at_ms) {
		begin(c, s, now);
	} else if (s->phase != PHASE_STRUCK) {
		return;
	} else if (s->cut) {
		if (now < s->until_ms)
			return;
		set_cut(c, s, s->cut = false);
		s->phase = PHASE_DONE;
	} else if (s->stopped != 0) {
		if (now < s->until_ms)
			return;
		kill(s->stopped, SIGCONT);
		s->stopped = 0;
		if (n->pid != 0)
			s->phase = PHASE_DONE;
	} else if (n->pid == 0) {
		if (now >= s->until_ms)
			restart(c, s, now);
	} else if (now > n->asked_ms + END_MS) {
		report_violation(c, "hangs",
		    "%s does not end %u s after %s, see %s", n->name,
		    END_MS / 1000, fault_names[s->kind], n->log);
		kill(-n->pid, SIGKILL);
		n->asked = ASKED_KILL;
		n->asked_ms = now;
	}
}

/* ---- The plan ---- */

static enum fault draw_fault(struct rng *r)
{
	static const struct {
		enum fault kind;
		unsigned weight;
	} rows[] = {{FAULT_KILL, 20}, {FAULT_PAUSE, 18}, {FAULT_TERM, 10},
	    {FAULT_POWER, 6}, {FAULT_FLAP, 12}, {FAULT_SIGNER, 6},
	    {FAULT_SIGNER_PAUSE, 6}, {FAULT_CUT, 10}, {FAULT_DEAF, 6},
	    {FAULT_MUTE, 6}};
	uint64_t at = rng_below(r, 100);
	size_t i = 0;

	while (at >= rows[i].weight)
		at -= rows[i++].weight;
	return rows[i].kind;
}

static void draw_strike(struct rng *r, struct strike *s, bool alone)
{
	s->kind = draw_fault(r);
	s->phase = PHASE_WAITS;
	s->at_ms = clock_mono_ms() + (alone ? 0 : rng_below(r, 800));
	s->for_ms = rng_span_ms(r, 100, 6000);
	if (s->kind == FAULT_SIGNER_PAUSE)
		return; /* a node ends if its signer is silent for 10 s */
	if (s->kind != FAULT_PAUSE && !is_cut(s) && rng_percent(r, 20))
		s->for_ms = 0;
	else if (rng_percent(r, 5))
		s->for_ms += 6000; /* others may have cut their logs by then */
	if (s->kind == FAULT_FLAP) {
		/* Often when it is far behind and gets a snapshot. */
		if (rng_percent(r, 50))
			s->for_ms = 3000 + (unsigned)rng_below(r, 4000);
		s->again = 1 + (unsigned)rng_below(r, 4);
		for (size_t i = 0; i < 4; i++)
			s->again_ms[i] = (unsigned)rng_below(r, 1000);
	}
}

/* Whom: in an order of its own, mostly with the leader first. */
static void draw_order(struct rng *r, size_t order[NODES], size_t leader)
{
	bool first = rng_percent(r, 65);
	size_t from = rng_below(r, NODES);
	bool back = rng_percent(r, 50);

	if (first && leader < NODES)
		from = leader;
	for (size_t i = 0; i < NODES; i++)
		order[i] = (from + (back ? NODES - i : i)) % NODES;
}

static void step(struct chaos *c)
{
	/* What a step draws does not shift the steps after it. */
	struct rng r = {rng_next(&c->plan)};
	struct strike strikes[NODES] = {0};
	size_t leader = look_leader(c), order[NODES], n = 1, done = 0;
	uint64_t dice = rng_below(&r, 100);

	if (dice >= 70)
		n = dice < 90 ? 2 : NODES;
	draw_order(&r, order, leader);
	c->shared->reset = rng_percent(&r, 50);
	for (size_t i = 0; i < n; i++) {
		strikes[i].node = &c->nodes[order[i]];
		strikes[i].leads = order[i] == leader;
		draw_strike(&r, &strikes[i], n == 1);
	}
	while (done < n) {
		uint64_t now = clock_mono_ms();

		nemesis_reap(c);
		done = 0;
		for (size_t i = 0; i < n; i++) {
			advance(c, &strikes[i], now);
			done += strikes[i].phase == PHASE_DONE;
		}
		proc_pause_ms(TURN_MS);
	}
}

/* Watch for a while. */
static void rest(struct chaos *c, uint64_t ms, uint64_t end)
{
	uint64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until && clock_mono_ms() < end &&
	       !c->interrupted) {
		nemesis_reap(c);
		proc_pause_ms(TURN_MS);
	}
}

/* ---- The planted loss ---- */

/* The last node drops the next record it applies (planted.c). */
static void drop_record(struct chaos *c)
{
	uint64_t end = clock_mono_ms() + DROP_MS;
	char mark[PATH_MAX];
	int fd;

	world_path(c, mark, "drop");
	fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	close(fd);
	while (access(mark, F_OK) == 0 && clock_mono_ms() < end)
		rest(c, TURN_MS, end);
	if (access(mark, F_OK) == 0) {
		(void)unlink(mark);
		return;
	}
	c->faults[FAULT_DROP]++;
	report_event(
	    c, "%s: %s", fault_names[FAULT_DROP], c->nodes[NODES - 1].name);
	rest(c, 500, UINT64_MAX); /* until it is durable there */
}

/* ---- The whole ---- */

static void heal(struct chaos *c)
{
	uint64_t end = clock_mono_ms() + c->patience_s * 1000;
	size_t ready = 0;
	char why[400];

	report_event(c, "healed: every node runs");
	while (ready < NODES && clock_mono_ms() < end) {
		rest(c, 50, end);
		for (ready = 0; ready < NODES; ready++)
			if (!look_ready(&c->nodes[ready], why))
				break;
	}
	if (ready < NODES)
		report_violation(c, "stuck",
		    "%s is not ready %u s after healing: %s",
		    c->nodes[ready].name, c->patience_s, why);
	rest(c, 1000, UINT64_MAX);
}

void nemesis_run(struct chaos *c)
{
	uint64_t end = c->begin_ms + c->o.seconds * 1000;

	rest(c, 500, end);
	while (clock_mono_ms() < end && !c->interrupted) {
		struct rng r = {rng_next(&c->plan)};

		if (c->o.planted && c->faults[FAULT_DROP] == 0)
			drop_record(c);
		step(c);
		rest(c, rng_span_ms(&r, 300, 5000), end);
	}
	c->healed_us = clock_mono_us() - c->begin_ms * 1000 + c->begin_us;
	heal(c);
}
