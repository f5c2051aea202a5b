/* test_raft_faults.c -- memory that runs out, at every place where it can.
 * The core then answers RAFT_ENOMEM for ever; it neither crashes nor leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft.h"

/* ---- Allocation number `fail_at` fails ---- */

static unsigned fail_at, calls;
static bool armed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(void)
{
	return armed && ++calls == fail_at;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

/* ---- One node, and a log that allocates only what the core asks for ---- */

struct disk {
	struct raft_entry log[64]; /* log[0]: the snapshot's */
	char data[64][16];
	raft_index first; /* of the entries that are left */
	size_t n;
	struct raft_hard_state hard;
	struct raft_conf_state conf;
	raft_index applied;
	struct raft *r;
	int rc; /* the first that was not RAFT_OK */
};

static int on_initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	const struct disk *d = ctx;

	*hs = d->hard;
	*cs = d->conf;
	return RAFT_OK;
}

static int on_entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *n)
{
	struct disk *d = ctx;

	(void)max_size;
	if (lo < d->first)
		return RAFT_ECOMPACTED;
	*n = (size_t)(hi - lo);
	*out = malloc(*n * sizeof(**out));
	if (*out == NULL)
		return RAFT_ENOMEM;
	memcpy(*out, &d->log[lo], *n * sizeof(**out));
	return RAFT_OK;
}

static int on_term(void *ctx, raft_index i, raft_term *out)
{
	const struct disk *d = ctx;

	if (i + 1 < d->first)
		return RAFT_ECOMPACTED;
	if (i > d->n)
		return RAFT_EUNAVAILABLE;
	*out = d->log[i].term;
	return RAFT_OK;
}

static int on_first_index(void *ctx, raft_index *out)
{
	*out = ((const struct disk *)ctx)->first;
	return RAFT_OK;
}

static int on_last_index(void *ctx, raft_index *out)
{
	*out = ((const struct disk *)ctx)->n;
	return RAFT_OK;
}

static int on_snapshot(void *ctx, struct raft_snapshot *out)
{
	const struct disk *d = ctx;

	*out = (struct raft_snapshot){.index = d->applied,
	    .term = d->log[d->applied].term,
	    .conf_state = d->conf,
	    .data = {"state", 5}};
	return RAFT_OK;
}

static void saw(struct disk *d, int rc)
{
	if (d->rc == RAFT_OK)
		d->rc = rc;
}

static void store(struct disk *d, const struct raft_message *m)
{
	if (m->snapshot != NULL) {
		d->n = (size_t)m->snapshot->index;
		d->first = m->snapshot->index + 1;
		d->log[d->n].term = m->snapshot->term;
		d->applied = m->snapshot->index;
		d->conf = m->snapshot->conf_state;
	}
	for (size_t i = 0; i < m->entries_n; i++) {
		const struct raft_entry *e = &m->entries[i];

		d->n = (size_t)e->index;
		d->log[d->n] = *e;
		assert_true(e->data.len <= sizeof(d->data[0]));
		if (e->data.len > 0)
			memcpy(d->data[d->n], e->data.p, e->data.len);
		d->log[d->n].data.p = d->data[d->n];
	}
	if (m->term != 0)
		d->hard = (struct raft_hard_state){m->term, m->vote, m->commit};
}

static void apply(struct disk *d, const struct raft_message *m)
{
	struct raft_conf_change change;

	for (size_t i = 0; i < m->entries_n; i++) {
		const struct raft_entry *e = &m->entries[i];

		if (e->type == RAFT_ENTRY_CONF_CHANGE &&
		    raft_conf_change_decode(e->data, &change) == RAFT_OK)
			saw(d, raft_apply_conf_change(d->r, &change, &d->conf));
		d->applied = e->index;
	}
}

static void work(struct disk *d)
{
	struct raft_ready rd;

	while (raft_has_ready(d->r)) {
		int rc = raft_ready(d->r, &rd);

		saw(d, rc);
		if (rc != RAFT_OK)
			return;
		for (size_t i = 0; i < rd.messages_n; i++) {
			const struct raft_message *m = &rd.messages[i];

			if (m->to == RAFT_APPEND_THREAD)
				store(d, m);
			else if (m->to == RAFT_APPLY_THREAD)
				apply(d, m);
			for (size_t k = 0; k < m->responses_n; k++)
				if (m->responses[k].to == 1)
					saw(d,
					    raft_step(d->r, &m->responses[k]));
		}
	}
}

static void hears(struct disk *d, struct raft_message m)
{
	m.to = 1;
	saw(d, raft_step(d->r, &m));
	work(d);
}

/* ---- What it lives through ---- */

static void leads(struct disk *d)
{
	struct raft_span x = {"x", 1};
	struct raft_conf_change joint = {
	    RAFT_JOINT_IMPLICIT, 1, {{RAFT_ADD_LEARNER, 4}}};

	saw(d, raft_read_index(d->r, 1));
	hears(d,
	    (struct raft_message){
		.type = RAFT_MSG_APP_RESP, .from = 2, .term = 2, .index = 2});
	hears(d, (struct raft_message){
		     .type = RAFT_MSG_READ_INDEX, .from = 2, .context = 7});
	hears(d, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP,
		     .from = 2,
		     .term = 2,
		     .context = 2});
	for (int i = 0; i < 10; i++)
		saw(d, raft_propose(d->r, &x, 1));
	work(d);
	hears(d,
	    (struct raft_message){
		.type = RAFT_MSG_APP_RESP, .from = 2, .term = 2, .index = 12});
	saw(d, raft_propose_conf_change(d->r, &joint));
	work(d);
	for (raft_index i = 13; i <= 14; i++)
		hears(d, (struct raft_message){.type = RAFT_MSG_APP_RESP,
			     .from = 2,
			     .term = 2,
			     .index = i});
	d->first = d->applied + 1; /* the log is cut, and 3 is behind */
	hears(d, (struct raft_message){.type = RAFT_MSG_APP_RESP,
		     .from = 3,
		     .term = 2,
		     .index = 1,
		     .reject = true,
		     .reject_hint = 1});
	saw(d, raft_transfer_leader(d->r, 2));
	work(d);
}

static void follows(struct disk *d)
{
	struct raft_entry e[2] = {{.term = 3, .index = 15, .data = {"y", 1}},
	    {.term = 3, .index = 16, .data = {"z", 1}}};
	struct raft_snapshot s = {.index = 20,
	    .term = 3,
	    .conf_state = {.voters = {1, 2, 3}, .voters_n = 3},
	    .data = {"state", 5}};

	hears(d, (struct raft_message){.type = RAFT_MSG_APP,
		     .from = 2,
		     .term = 3,
		     .log_term = 2,
		     .index = 14,
		     .commit = 15,
		     .entries = e,
		     .entries_n = 2});
	saw(d, raft_propose(d->r, &(struct raft_span){"v", 1}, 1));
	saw(d, raft_read_index(d->r, 9));
	hears(d, (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP,
		     .from = 2,
		     .term = 3,
		     .index = 15,
		     .context = 9});
	hears(d,
	    (struct raft_message){
		.type = RAFT_MSG_SNAP, .from = 2, .term = 3, .snapshot = &s});
}

static void lives(struct disk *d)
{
	const struct raft_config config = {.id = 1,
	    .election_ticks = 10,
	    .heartbeat_ticks = 1,
	    .storage = {d, on_initial_state, on_entries, on_term,
		on_first_index, on_last_index, on_snapshot},
	    .applied = 1,
	    .max_size_per_msg = 1 << 20,
	    .max_inflight_msgs = 64,
	    .async_storage = true};
	int rc = raft_init(&d->r, &config);

	saw(d, rc);
	if (rc != RAFT_OK)
		return;
	saw(d, raft_campaign(d->r));
	work(d);
	hears(d, (struct raft_message){
		     .type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 2});
	leads(d);
	follows(d);
}

static void memory_that_runs_out_stops_the_node(void **state)
{
	(void)state;
	for (fail_at = 1;; fail_at++) {
		struct disk d = {.first = 2,
		    .n = 1,
		    .log = {{0}, {.term = 1, .index = 1}},
		    .hard = {1, 0, 1},
		    .conf = {.voters = {1, 2, 3}, .voters_n = 3},
		    .applied = 1};

		calls = 0;
		armed = true;
		lives(&d);
		armed = false;
		if (calls < fail_at) {
			assert_int_equal(d.rc, RAFT_OK);
			assert_int_equal(d.applied, 20);
			raft_free(d.r);
			break;
		}
		if (d.rc != RAFT_ENOMEM)
			fail_msg(
			    "allocation %u: %s", fail_at, raft_strerror(d.rc));
		if (d.r != NULL) {
			assert_false(raft_has_ready(d.r));
			assert_int_equal(raft_campaign(d.r), RAFT_ENOMEM);
		}
		raft_free(d.r);
	}
	assert_true(fail_at > 100); /* the story is a long one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_that_runs_out_stops_the_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
