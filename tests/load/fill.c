/* quorate-fill: issued certificates by the million, into the data directories
 * of stopped nodes.  For tests and figures; not installed.
 *
 *	usage: quorate-fill --count N [--seed S] DIR...
 *
 * DIR...: of every member of one cluster, all of them stopped and voters (three
 * nodes: three directories).  Nodes that were stopped one after the other
 * rarely end at one index: so each first gets what the longest log holds, and
 * applies it.  Then N leaves are signed by the nodes' own signers, in turn,
 * encoded as log entries, and applied by ca_apply on each node; the log begins
 * behind them, as after a snapshot.  Term and vote stay.  Start the nodes as
 * usual afterwards.
 *
 * Serials and identities follow from the seed (1); each tenth leaf renews an
 * earlier one.  Times and signatures are of now: two runs differ, the nodes of
 * one run do not.  One JSON line says what was done.  Quotas must be off.
 * Exit status: 0 done; 1 it could not be; 2 usage. */
#include "fill.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/pki.h"

#define KEYS 256  /* of workloads, used in turn */
#define WINDOW 64 /* at one signer at once */
#define RENEWS 10 /* each so many is a renewal */
#define BACK 7    /* of the leaf so many before */
#define NAMESPACES 200
#define LEAVES_EACH 20 /* of an identity, about */

struct leaf { /* who a leaf is for; follows from seed and number */
	uint8_t serial[CA_SERIAL_LEN];
	char uri[CA_URI_MAX], subject[200], pod[80], uid[40];
	struct span cluster;
};

struct fill {
	struct fill_node nodes[FILL_NODES_MAX];
	size_t nodes_n;
	uint64_t count, seed;
	struct buf keys[KEYS];
	struct ca_view *view;
	char trust_domain[CA_TRUST_DOMAIN_MAX + 1];
	uint64_t first_index;
	raft_term term;
	struct batch *batch[2];
	pthread_barrier_t turn;
};

/* ---- Leaves ---- */

static void draw(const struct fill *f, uint64_t i, uint8_t out[SHA256_LEN])
{
	uint8_t in[16];

	put_u64be(in, f->seed);
	put_u64be(in + 8, i);
	sha256_of(out, span_of(in, sizeof(in)));
}

static bool renews(uint64_t i)
{
	return i % RENEWS == RENEWS - 1 && i >= BACK;
}

static void leaf_of(const struct fill *f, uint64_t i, struct leaf *out)
{
	uint8_t d[SHA256_LEN];
	uint64_t who, ns;
	char hex[2 * SHA256_LEN + 1];

	draw(f, i, d);
	memcpy(out->serial, d, CA_SERIAL_LEN);
	out->serial[0] = (uint8_t)((d[0] & 0x3f) | 0x40);
	if (renews(i)) /* the same pod shows its certificate */
		draw(f, i - BACK, d);
	who = get_u64be(d + 16) % (f->count / LEAVES_EACH + 1);
	ns = who % NAMESPACES;
	hex_encode(hex, d, SHA256_LEN);
	out->cluster = f->view->clusters[who % f->view->clusters_n].name;
	snprintf(out->uri, sizeof(out->uri),
	    "spiffe://%s/ns/team-%" PRIu64 "/sa/service-%" PRIu64,
	    f->trust_domain, ns, who);
	snprintf(out->subject, sizeof(out->subject),
	    "system:serviceaccount:team-%" PRIu64 ":service-%" PRIu64, ns, who);
	snprintf(out->pod, sizeof(out->pod), "service-%" PRIu64 "-%.10s-%.5s",
	    who, hex + 20, hex + 30);
	snprintf(out->uid, sizeof(out->uid), "%.8s-%.4s-4%.3s-8%.3s-%.12s",
	    hex + 40, hex + 48, hex + 36, hex + 33, hex + 52);
}

static void ask(
    const struct fill *f, uint64_t i, struct leaf *l, struct ca_issue *out)
{
	struct leaf parent;

	leaf_of(f, i, l);
	memset(out, 0, sizeof(*out));
	memcpy(out->serial, l->serial, CA_SERIAL_LEN);
	out->profile = CA_PROFILE_WORKLOAD;
	out->uri = span_str(l->uri);
	out->spki = buf_span(&f->keys[i % KEYS]);
	out->via = renews(i) ? CA_VIA_CERT : CA_VIA_TOKEN;
	out->cluster = l->cluster;
	out->requester = span_str(renews(i) ? l->uri : l->subject);
	if (renews(i)) {
		leaf_of(f, i - BACK, &parent);
		out->has_parent = true;
		memcpy(out->parent, parent.serial, CA_SERIAL_LEN);
	} else {
		out->pod_name = span_str(l->pod);
		out->pod_uid = span_str(l->uid);
	}
}

/* ---- Entries ---- */

static void encode(const struct fill *f, struct batch *b, size_t k,
    const struct fill_node *by, const struct ca_issue *issue)
{
	struct buf *raw = &b->raw[k];
	struct err e = {0};

	buf_clear(raw);
	fill_must(wire_issue_encode(raw, clock_unix_ms(), by->id, issue, &e),
	    "an entry", &e);
	b->entries[k].term = f->term;
	b->entries[k].type = RAFT_ENTRY_NORMAL;
	b->entries[k].data = (struct raft_span){.p = raw->p, .len = raw->len};
}

static void take_answer(const struct fill *f, struct batch *b, uint64_t first,
    const struct fill_node *by)
{
	static struct ca_issue issue;
	struct signer_answer a;
	struct leaf l;
	struct err e = {0};
	enum code rc;

	while ((rc = signer_receive(by->signer, &a, &e)) == E_NOTFOUND) {
		struct pollfd wait = {
		    .fd = signer_fd(by->signer), .events = POLLIN};

		poll(&wait, 1, -1);
	}
	fill_must(rc, by->dir, &e);
	if (a.code != E_OK)
		fill_fail(by->dir, "its signer: %s", a.why);
	ask(f, a.id, &l, &issue);
	memcpy(issue.issuer, a.issuer, sizeof(issue.issuer));
	issue.encoder = a.encoder;
	issue.not_before_s = a.not_before_s;
	issue.not_after_s = a.not_after_s;
	issue.policy_version = a.policy_version;
	issue.signer_boot = a.signer_boot;
	issue.signer_seq = a.signer_seq;
	issue.signature = span_of(a.signature, a.signature_len);
	memcpy(issue.cert_sha256, a.cert_sha256, SHA256_LEN);
	encode(f, b, (size_t)(a.id - first), by, &issue);
}

static const struct fill_node *signer_of(const struct fill *f, uint64_t i)
{
	return &f->nodes[i % f->nodes_n];
}

/* Leaves first, first + 1, ... */
static void make_batch(const struct fill *f, struct batch *b, uint64_t first)
{
	static struct signer_request r;
	uint64_t n = f->count - first, ahead;
	struct leaf l;
	struct err e = {0};

	if (n > FILL_BATCH)
		n = FILL_BATCH;
	ahead = WINDOW * f->nodes_n;
	for (uint64_t i = 0; i < n + ahead; i++) {
		if (i < n) {
			r.id = first + i;
			ask(f, r.id, &l, &r.issue);
			fill_must(signer_ask(signer_of(f, i)->signer, &r, &e),
			    signer_of(f, i)->dir, &e);
		}
		if (i >= ahead && i - ahead < n)
			take_answer(f, b, first, signer_of(f, i - ahead));
	}
	for (uint64_t i = 0; i < n; i++)
		b->entries[i].index = f->first_index + first + i;
	b->n = (size_t)n;
}

/* ---- All of it ---- */

struct worker {
	struct fill *f;
	struct fill_node *node;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0;; i ^= 1) {
		pthread_barrier_wait(&w->f->turn);
		if (w->f->batch[i]->n == 0)
			return NULL;
		node_take(w->node, w->f->batch[i]);
	}
}

/* One batch is made while the nodes take the one before. */
static void run(struct fill *f)
{
	struct worker workers[FILL_NODES_MAX];
	uint64_t done = 0;

	pthread_barrier_init(&f->turn, NULL, (unsigned)f->nodes_n + 1);
	for (size_t i = 0; i < f->nodes_n; i++) {
		node_rest(&f->nodes[i]);
		workers[i] = (struct worker){f, &f->nodes[i]};
		if (pthread_create(
			&f->nodes[i].thread, NULL, work, &workers[i]) != 0)
			fill_fail("a thread", "it cannot be started");
	}
	for (int i = 0;; i ^= 1) {
		make_batch(f, f->batch[i], done);
		done += f->batch[i]->n;
		pthread_barrier_wait(&f->turn);
		if (f->batch[i]->n == 0)
			break;
		fprintf(stderr, "%" PRIu64 " of %" PRIu64 "\n", done, f->count);
	}
	for (size_t i = 0; i < f->nodes_n; i++)
		pthread_join(f->nodes[i].thread, NULL);
}

static void prepare(struct fill *f)
{
	struct fill_node *first = &f->nodes[0];
	uint64_t last;
	struct err e = {0};

	for (size_t i = 0; i < f->nodes_n; i++)
		node_start_signer(&f->nodes[i]);
	for (size_t i = 0; i < f->nodes_n; i++)
		node_open(&f->nodes[i]);
	nodes_level(f->nodes, f->nodes_n);
	for (size_t i = 0; i < f->nodes_n; i++)
		node_feed_signer(&f->nodes[i]);
	for (size_t i = 0; i < KEYS; i++) {
		EVP_PKEY *key;

		fill_must(pki_key_new(PKI_P256, &key, &e), "a key", &e);
		fill_must(pki_key_spki(&f->keys[i], key, &e), "a key", &e);
		EVP_PKEY_free(key);
	}
	fill_must(ca_view_load(first->ca, &f->view, &e), first->dir, &e);
	if (f->view->clusters_n == 0)
		fill_fail(first->dir, "no cluster's keys are registered: "
				      "quorate cluster set-jwks");
	snprintf(f->trust_domain, sizeof(f->trust_domain), "%.*s",
	    (int)f->view->trust_domain.len,
	    (const char *)f->view->trust_domain.p);
	last = store_last_index(first->store);
	f->first_index = last + 1;
	if (first->log.term(first->log.ctx, last, &f->term) != RAFT_OK)
		fill_fail(first->dir, "its log has no end");
	for (size_t i = 0; i < 2; i++)
		if ((f->batch[i] = calloc(1, sizeof(*f->batch[i]))) == NULL)
			fill_fail("a batch", "out of memory");
}

static void report(const struct fill *f, uint64_t took_ms)
{
	char root[2 * SHA256_LEN + 1], digest[2 * SHA256_LEN + 1];
	struct ca_head head, other;
	struct err e = {0};

	fill_must(ca_head(f->nodes[0].ca, &head, &e), f->nodes[0].dir, &e);
	for (size_t i = 1; i < f->nodes_n; i++) {
		fill_must(
		    ca_head(f->nodes[i].ca, &other, &e), f->nodes[i].dir, &e);
		if (memcmp(&head, &other, sizeof(head)) != 0)
			fill_fail(f->nodes[i].dir, "its state differs");
	}
	hex_encode(root, head.root, SHA256_LEN);
	hex_encode(digest, head.state_digest, SHA256_LEN);
	printf("{\"certificates\":%" PRIu64 ",\"nodes\":%zu,\"ms\":%" PRIu64
	       ",\"per_s\":%.0f,\"applied\":%" PRIu64 ",\"tree_size\":%" PRIu64
	       ",\"root\":\"%s\",\"state_digest\":\"%s\"}\n",
	    f->count, f->nodes_n, took_ms,
	    took_ms == 0 ? 0.0 : (double)f->count * 1000.0 / (double)took_ms,
	    head.index, head.tree_size, root, digest);
}

static bool take_options(struct fill *f, int argc, char **argv)
{
	static const struct option options[] = {
	    {"count", required_argument, NULL, 'c'},
	    {"seed", required_argument, NULL, 's'}, {0}};
	int c;

	f->seed = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			f->count = strtoull(optarg, NULL, 10);
		else if (c == 's')
			f->seed = strtoull(optarg, NULL, 10);
		else
			return false;
	}
	for (; optind < argc && f->nodes_n < FILL_NODES_MAX; optind++)
		f->nodes[f->nodes_n++].dir = argv[optind];
	return f->count > 0 && f->nodes_n > 0 && optind == argc;
}

int main(int argc, char **argv)
{
	static struct fill f;
	uint64_t begin;

	if (sodium_init() < 0)
		return 1;
	if (!take_options(&f, argc, argv)) {
		fputs("usage: quorate-fill --count N [--seed S] DIR...\n",
		    stderr);
		return 2;
	}
	prepare(&f);
	begin = clock_mono_ms();
	run(&f);
	report(&f, clock_mono_ms() - begin);
	for (size_t i = 0; i < f.nodes_n; i++)
		node_close(&f.nodes[i]);
	for (size_t i = 0; i < KEYS; i++)
		buf_free(&f.keys[i]);
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < FILL_BATCH; k++)
			buf_free(&f.batch[i]->raw[k]);
		free(f.batch[i]);
	}
	pthread_barrier_destroy(&f.turn);
	ca_view_unref(f.view);
	return 0;
}
