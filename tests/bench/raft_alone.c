/* raft_alone: the consensus core without disk and network: N members in one
 * thread, each log an array, messages handed over as they come.  Nanoseconds
 * of CPU for a proposal of 512 bytes that every member has applied, one JSON
 * object a run.
 * usage: raft_alone MEMBERS BATCH RUNS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raft.h"

#define MEMBERS_MAX 5
#define VALUE 512
#define PROPOSALS 200000 /* a run */

struct member {
	raft_id id;
	struct raft *raft;
	raft_term *terms; /* terms[i] is that of entry i + 1 */
	size_t n, cap;
	raft_index applied;
};

static struct member members[MEMBERS_MAX + 1]; /* by id */
static size_t members_n;
static const uint8_t value[VALUE];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "raft_alone: %s\n", what);
	exit(1);
}

/* ---- A log that is an array ---- */

static int initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	(void)ctx;
	*hs = (struct raft_hard_state){0};
	*cs = (struct raft_conf_state){.voters_n = members_n};
	for (size_t i = 0; i < members_n; i++)
		cs->voters[i] = i + 1;
	return RAFT_OK;
}

static int entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *n)
{
	const struct member *m = ctx;
	size_t want = (size_t)(hi - lo), size = 0, k;
	struct raft_entry *e;
	uint8_t *data;

	if (hi > m->n + 1)
		return RAFT_EUNAVAILABLE;
	e = malloc(want * (sizeof(*e) + VALUE));
	if (e == NULL)
		return RAFT_ENOMEM;
	data = (uint8_t *)(e + want);
	for (k = 0; k < want; k++, data += VALUE) {
		size += VALUE + 16;
		if (k > 0 && size > max_size)
			break;
		memcpy(data, value, VALUE);
		e[k] = (struct raft_entry){.term = m->terms[lo + k - 1],
		    .index = lo + k,
		    .data = {data, VALUE}};
	}
	*out = e;
	*n = k;
	return RAFT_OK;
}

static int term(void *ctx, raft_index i, raft_term *out)
{
	const struct member *m = ctx;

	if (i > m->n)
		return RAFT_EUNAVAILABLE;
	*out = i == 0 ? 0 : m->terms[i - 1];
	return RAFT_OK;
}

static int first_index(void *ctx, raft_index *out)
{
	(void)ctx;
	*out = 1;
	return RAFT_OK;
}

static int last_index(void *ctx, raft_index *out)
{
	*out = ((const struct member *)ctx)->n;
	return RAFT_OK;
}

static int snapshot(void *ctx, struct raft_snapshot *out)
{
	(void)ctx;
	(void)out;
	return RAFT_ESNAP_NOT_READY;
}

static void append(struct member *m, const struct raft_message *work)
{
	if (work->entries_n == 0)
		return;
	m->n = (size_t)work->entries[0].index - 1;
	if (m->n + work->entries_n > m->cap) {
		m->cap = 2 * m->cap + work->entries_n;
		m->terms = realloc(m->terms, m->cap * sizeof(*m->terms));
		must(m->terms != NULL, "out of memory");
	}
	for (size_t i = 0; i < work->entries_n; i++)
		m->terms[m->n++] = work->entries[i].term;
}

/* ---- Moving ---- */

static void start(struct member *m, raft_id id)
{
	const struct raft_config c = {.id = id,
	    .seed = id,
	    .election_ticks = 10,
	    .heartbeat_ticks = 1,
	    .storage = {m, initial_state, entries, term, first_index,
		last_index, snapshot},
	    .max_size_per_msg = 1 << 20,
	    .max_inflight_msgs = 256,
	    .check_quorum = true,
	    .pre_vote = true,
	    .async_storage = true};

	m->id = id;
	must(raft_init(&m->raft, &c) == RAFT_OK, "raft_init");
}

static void hand_over(const struct raft_message *m)
{
	must(raft_step(members[m->to].raft, m) == RAFT_OK, "raft_step");
}

static bool move(struct member *m)
{
	struct raft_ready rd;

	if (!raft_has_ready(m->raft))
		return false;
	must(raft_ready(m->raft, &rd) == RAFT_OK, "raft_ready");
	for (size_t i = 0; i < rd.messages_n; i++) {
		const struct raft_message *w = &rd.messages[i];

		if (w->to == RAFT_APPEND_THREAD)
			append(m, w);
		else if (w->to == RAFT_APPLY_THREAD && w->entries_n > 0)
			m->applied = w->entries[w->entries_n - 1].index;
		else if (w->to != RAFT_APPLY_THREAD)
			hand_over(w);
		for (size_t k = 0; k < w->responses_n; k++)
			hand_over(&w->responses[k]);
	}
	return true;
}

static void settle(void)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (size_t i = 1; i <= members_n; i++)
			moved |= move(&members[i]);
	}
}

/* A heartbeat: followers hear what is committed. */
static void tick(void)
{
	for (size_t i = 1; i <= members_n; i++)
		raft_tick(members[i].raft);
	settle();
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double one_run(size_t batch)
{
	struct raft_span spans[256];
	double before = cpu_ns();

	for (size_t i = 0; i < batch; i++)
		spans[i] = (struct raft_span){value, VALUE};
	for (size_t done = 0; done < PROPOSALS; done += batch) {
		must(raft_propose(members[1].raft, spans, batch) == RAFT_OK,
		    "raft_propose");
		settle();
	}
	tick();
	for (size_t i = 1; i <= members_n; i++)
		must(members[i].applied == members[1].n, "not all is applied");
	return (cpu_ns() - before) / PROPOSALS;
}

int main(int argc, char **argv)
{
	size_t batch = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	int runs = argc == 4 ? atoi(argv[3]) : 0;

	members_n = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
	if (members_n < 1 || members_n > MEMBERS_MAX || batch < 1 ||
	    batch > 256 || runs < 1) {
		fputs("usage: raft_alone MEMBERS BATCH RUNS\n", stderr);
		return 2;
	}
	for (size_t i = 1; i <= members_n; i++)
		start(&members[i], i);
	must(raft_campaign(members[1].raft) == RAFT_OK, "raft_campaign");
	settle();
	for (int i = 0; i < runs; i++) {
		double ns = one_run(batch);

		printf("{\"ns_per_proposal\":%.0f,\"proposals_per_s\":%.0f}\n",
		    ns, 1e9 / ns);
	}
	for (size_t i = 1; i <= members_n; i++) {
		raft_free(members[i].raft);
		free(members[i].terms);
	}
	return 0;
}
