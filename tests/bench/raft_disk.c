/* raft_disk: consensus with the log in LMDB: N members, a thread and a store
 * each, messages through memory, so that the disk is what costs.  One client
 * proposes BATCH values of 512 bytes and waits until the leader has applied
 * them all, again and again; then the same bytes are written to N files and
 * synced at once, and the time until a majority has done so is the floor.
 * One JSON object a run.
 * usage: raft_disk FOLDER MEMBERS BATCH RUNS */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "raft.h"
#include "store/store.h"

#define MEMBERS_MAX 5
#define VALUE 512
#define ROUNDS 400
#define COMMIT_EVERY 256 /* entries, of the state: as a node does */

struct member {
	raft_id id;
	struct raft *raft;
	struct store *store;
	pthread_t thread;
	/* Under lock: what has arrived. */
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct raft_message **in;
	size_t in_n, in_cap;
	size_t wanted; /* proposals of the client */
	bool stop, campaign;
	/* Under lock: what the client waits for. */
	pthread_cond_t moved;
	raft_index applied;
};

static struct member members[MEMBERS_MAX + 1]; /* by id */
static size_t members_n;
static const uint8_t value[VALUE];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "raft_disk: %s\n", what);
	exit(1);
}

static void must_ok(enum code rc, const struct err *e)
{
	must(rc == E_OK, e->text);
}

/* ---- Stores ---- */

/* A log that makes all of them voters, committed. */
static void bootstrap(const char *dir, raft_id id)
{
	const struct store_config c = {.dir = dir};
	const struct store_identity who = {.node_id = id};
	const struct raft_hard_state hs = {.term = 1, .commit = members_n};
	uint8_t data[MEMBERS_MAX][RAFT_CONF_CHANGE_MAX];
	struct raft_entry e[MEMBERS_MAX];
	struct err err = {0};

	for (size_t i = 0; i < members_n; i++) {
		const struct raft_conf_change add = {
		    .n = 1, .changes = {{RAFT_ADD_VOTER, i + 1}}};

		e[i] = (struct raft_entry){.term = 1,
		    .index = i + 1,
		    .type = RAFT_ENTRY_CONF_CHANGE,
		    .data = {data[i], raft_conf_change_encode(&add, data[i])}};
	}
	must_ok(store_bootstrap(&c, &who, &hs, e, members_n, &err), &err);
}

static void open_member(struct member *m, const char *folder, raft_id id)
{
	char dir[4096];
	const struct store_config sc = {.dir = dir};
	struct raft_config c = {.id = id,
	    .seed = id,
	    .election_ticks = 10,
	    .heartbeat_ticks = 1,
	    .max_size_per_msg = 1 << 20,
	    .max_inflight_msgs = 256,
	    .check_quorum = true,
	    .pre_vote = true,
	    .async_storage = true};
	struct err e = {0};

	snprintf(dir, sizeof(dir), "%s/%d", folder, (int)id);
	bootstrap(dir, id);
	must_ok(store_open(&m->store, &sc, &e), &e);
	store_raft_storage(m->store, &c.storage);
	c.applied = store_durable_applied(m->store);
	m->id = id;
	must(raft_init(&m->raft, &c) == RAFT_OK, "raft_init");
	must(pthread_mutex_init(&m->lock, NULL) == 0 &&
		 pthread_cond_init(&m->news, NULL) == 0 &&
		 pthread_cond_init(&m->moved, NULL) == 0,
	    "pthread");
}

/* ---- A member ---- */

static void deliver(const struct raft_message *w)
{
	struct member *to = &members[w->to];
	struct raft_message *copy = raft_message_copy(w);

	must(copy != NULL, "out of memory");
	pthread_mutex_lock(&to->lock);
	if (to->in_n == to->in_cap) {
		to->in_cap = 2 * to->in_cap + 16;
		to->in = realloc(to->in, to->in_cap * sizeof(*to->in));
		must(to->in != NULL, "out of memory");
	}
	to->in[to->in_n++] = copy;
	pthread_cond_signal(&to->news);
	pthread_mutex_unlock(&to->lock);
}

static void append(struct member *m, const struct raft_message *w)
{
	const struct raft_hard_state hs = {w->term, w->vote, w->commit};
	struct err e = {0};

	must_ok(store_append(m->store, w->term != 0 ? &hs : NULL, w->entries,
		    w->entries_n, &e),
	    &e);
}

static void apply(struct member *m, const struct raft_message *w)
{
	struct err e = {0};

	for (size_t i = 0; i < w->entries_n; i++) {
		const struct raft_entry *in = &w->entries[i];
		struct raft_conf_change c;
		struct raft_conf_state cs;
		bool conf = in->type == RAFT_ENTRY_CONF_CHANGE;

		if (conf)
			must(raft_conf_change_decode(in->data, &c) == RAFT_OK &&
				 raft_apply_conf_change(m->raft, &c, &cs) ==
				     RAFT_OK,
			    "a change of members");
		must_ok(store_state_set_applied(m->store, in->index, in->term,
			    conf ? &cs : NULL, &e),
		    &e);
	}
	if (store_state_pending(m->store) >= COMMIT_EVERY)
		must_ok(store_state_commit(m->store, &e), &e);
	pthread_mutex_lock(&m->lock);
	m->applied = store_applied(m->store);
	pthread_cond_signal(&m->moved);
	pthread_mutex_unlock(&m->lock);
}

static void work(struct member *m)
{
	struct raft_ready rd;

	while (raft_has_ready(m->raft)) {
		must(raft_ready(m->raft, &rd) == RAFT_OK, "raft_ready");
		for (size_t i = 0; i < rd.messages_n; i++) {
			const struct raft_message *w = &rd.messages[i];

			if (w->to == RAFT_APPEND_THREAD)
				append(m, w);
			else if (w->to == RAFT_APPLY_THREAD)
				apply(m, w);
			else
				deliver(w);
			for (size_t k = 0; k < w->responses_n; k++) {
				if (w->responses[k].to != m->id)
					deliver(&w->responses[k]);
				else
					must(raft_step(m->raft,
						 &w->responses[k]) == RAFT_OK,
					    "a response");
			}
		}
	}
}

static void propose(struct member *m, size_t n)
{
	struct raft_span spans[256];

	for (size_t i = 0; i < n; i++)
		spans[i] = (struct raft_span){value, VALUE};
	must(raft_propose(m->raft, spans, n) == RAFT_OK, "raft_propose");
}

/* Whatever has arrived makes one turn, and at most one sync. */
static bool turn(struct member *m)
{
	struct raft_message **in;
	size_t n, wanted;
	bool stop, campaign;

	pthread_mutex_lock(&m->lock);
	while (m->in_n == 0 && m->wanted == 0 && !m->stop && !m->campaign)
		pthread_cond_wait(&m->news, &m->lock);
	in = m->in, n = m->in_n, wanted = m->wanted;
	stop = m->stop, campaign = m->campaign;
	m->in = NULL, m->in_n = m->in_cap = m->wanted = 0, m->campaign = false;
	pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < n; i++) {
		must(raft_step(m->raft, in[i]) == RAFT_OK, "raft_step");
		free(in[i]);
	}
	free(in);
	if (campaign)
		must(raft_campaign(m->raft) == RAFT_OK, "raft_campaign");
	if (wanted > 0)
		propose(m, wanted);
	work(m);
	return !stop;
}

static void *run(void *arg)
{
	struct member *m = arg;

	work(m);
	while (turn(m))
		;
	return NULL;
}

/* ---- The client ---- */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void wake(struct member *m, size_t proposals, bool campaign, bool stop)
{
	pthread_mutex_lock(&m->lock);
	m->wanted += proposals;
	m->campaign |= campaign;
	m->stop |= stop;
	pthread_cond_signal(&m->news);
	pthread_mutex_unlock(&m->lock);
}

static raft_index wait_applied(struct member *m, raft_index at_least)
{
	raft_index at;

	pthread_mutex_lock(&m->lock);
	while (m->applied < at_least)
		pthread_cond_wait(&m->moved, &m->lock);
	at = m->applied;
	pthread_mutex_unlock(&m->lock);
	return at;
}

/* Each round's time, sorted. */
static void commit_rounds(size_t batch, uint64_t took[ROUNDS])
{
	struct member *leader = &members[1];
	raft_index at = wait_applied(leader, members_n + 1);

	for (size_t i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_mono_us();

		wake(leader, batch, false, false);
		at = wait_applied(leader, at + batch);
		took[i] = clock_mono_us() - begin;
	}
	qsort(took, ROUNDS, sizeof(*took), by_size);
}

/* ---- The floor ---- */

struct writer {
	pthread_t thread;
	char path[4096];
	size_t bytes;
	pthread_barrier_t *round;
	uint64_t ended[ROUNDS];
};

static void *write_rounds(void *arg)
{
	struct writer *w = arg;
	char *bytes = calloc(1, w->bytes);
	int fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	must(bytes != NULL && fd >= 0, w->path);
	for (size_t i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(w->round);
		must(write(fd, bytes, w->bytes) == (ssize_t)w->bytes &&
			 fdatasync(fd) == 0,
		    w->path);
		w->ended[i] = clock_mono_us();
		pthread_barrier_wait(w->round);
	}
	close(fd);
	unlink(w->path);
	free(bytes);
	return NULL;
}

/* Time until a majority of the files is on the disk; sorted. */
static void floor_rounds(
    const char *folder, size_t batch, uint64_t took[ROUNDS])
{
	static struct writer w[MEMBERS_MAX];
	pthread_barrier_t round;
	uint64_t begin[ROUNDS], ended[MEMBERS_MAX];

	must(pthread_barrier_init(&round, NULL, (unsigned)members_n + 1) == 0,
	    "pthread");
	for (size_t i = 0; i < members_n; i++) {
		w[i].bytes = batch * VALUE;
		w[i].round = &round;
		snprintf(w[i].path, sizeof(w[i].path), "%s/floor-%zu", folder,
		    i + 1);
		must(pthread_create(&w[i].thread, NULL, write_rounds, &w[i]) ==
			 0,
		    "pthread");
	}
	for (size_t r = 0; r < ROUNDS; r++) {
		begin[r] = clock_mono_us();
		pthread_barrier_wait(&round);
		pthread_barrier_wait(&round);
	}
	for (size_t i = 0; i < members_n; i++)
		pthread_join(w[i].thread, NULL);
	pthread_barrier_destroy(&round);
	for (size_t r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < members_n; i++)
			ended[i] = w[i].ended[r];
		qsort(ended, members_n, sizeof(*ended), by_size);
		took[r] = ended[members_n / 2] - begin[r];
	}
	qsort(took, ROUNDS, sizeof(*took), by_size);
}

/* ---- The whole ---- */

static void report(
    size_t batch, const uint64_t ours[ROUNDS], const uint64_t least[ROUNDS])
{
	uint64_t p50 = ours[ROUNDS / 2], p99 = ours[ROUNDS * 99 / 100];
	uint64_t sum = 0;

	for (size_t i = 0; i < ROUNDS; i++)
		sum += ours[i];
	printf("{\"commits_per_s\":%.0f,\"p50_us\":%llu,\"p99_us\":%llu,"
	       "\"floor_p50_us\":%llu,\"floor_p99_us\":%llu,"
	       "\"over_p50_us\":%lld}\n",
	    (double)(batch * ROUNDS) * 1e6 / (double)sum,
	    (unsigned long long)p50, (unsigned long long)p99,
	    (unsigned long long)least[ROUNDS / 2],
	    (unsigned long long)least[ROUNDS * 99 / 100],
	    (long long)p50 - (long long)least[ROUNDS / 2]);
}

static void stop(void)
{
	for (size_t i = 1; i <= members_n; i++)
		wake(&members[i], 0, false, true);
	for (size_t i = 1; i <= members_n; i++)
		pthread_join(members[i].thread, NULL);
	for (size_t i = 1; i <= members_n; i++) {
		raft_free(members[i].raft);
		store_close(members[i].store);
		for (size_t k = 0; k < members[i].in_n; k++)
			free(members[i].in[k]);
		free(members[i].in);
	}
}

int main(int argc, char **argv)
{
	static uint64_t ours[ROUNDS], least[ROUNDS];
	size_t batch = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
	int runs = argc == 5 ? atoi(argv[4]) : 0;

	members_n = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
	if (members_n < 1 || members_n > MEMBERS_MAX || batch < 1 ||
	    batch > 256 || runs < 1) {
		fputs("usage: raft_disk FOLDER MEMBERS BATCH RUNS\n", stderr);
		return 2;
	}
	must(mkdir(argv[1], 0700) == 0 || errno == EEXIST, argv[1]);
	for (size_t i = 1; i <= members_n; i++)
		open_member(&members[i], argv[1], i);
	for (size_t i = 1; i <= members_n; i++)
		must(pthread_create(
			 &members[i].thread, NULL, run, &members[i]) == 0,
		    "pthread");
	wait_applied(&members[1], members_n);
	wake(&members[1], 0, true, false);
	for (int i = 0; i < runs; i++) {
		commit_rounds(batch, ours);
		floor_rounds(argv[1], batch, least);
		report(batch, ours, least);
	}
	stop();
	return 0;
}
