/* check.c -- after healing: what the promises say of every node. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "chaos.h"

#define PAGE 1000
#define PEMS_MAX 5000 /* certificates rebuilt and compared on each node */

/* ---- Convergence ---- */

static bool all_at_one_index(struct chaos *c, char why[400])
{
	struct look l[NODES];

	for (size_t i = 0; i < NODES; i++)
		if (!look_status(c, i, &l[i], why))
			return false;
	snprintf(why, 400, "applied %llu, %llu, %llu; commit %llu, %llu, %llu",
	    (unsigned long long)l[0].applied, (unsigned long long)l[1].applied,
	    (unsigned long long)l[2].applied, (unsigned long long)l[0].commit,
	    (unsigned long long)l[1].commit, (unsigned long long)l[2].commit);
	for (size_t i = 0; i < NODES; i++)
		if (l[i].applied != l[0].applied || l[i].commit != l[i].applied)
			return false;
	return true;
}

static bool converge(struct chaos *c)
{
	uint64_t end = clock_mono_ms() + c->patience_s * 1000;
	char why[400];
	unsigned same = 0;

	while (same < 3 && clock_mono_ms() < end) {
		nemesis_reap(c);
		same = all_at_one_index(c, why) ? same + 1 : 0;
		proc_pause_ms(100);
	}
	if (same < 3)
		report_violation(c, "stuck",
		    "the nodes do not come to one index in %u s: %s",
		    c->patience_s, why);
	return same == 3;
}

/* Each node issues again. */
static void check_service(struct chaos *c)
{
	char token[PATH_MAX], key[PATH_MAX], chain[PATH_MAX];

	world_path(c, token, "token");
	world_path(c, chain, "last.pem");
	for (size_t i = 0; i < NODES; i++) {
		const struct node *n = &c->nodes[i];
		char server[40], name[64];
		const char *args[] = {"request", "--new-key", key,
		    "--token-file", token, "--out", chain, "--server", server,
		    NULL};

		snprintf(server, sizeof(server), "%s:8443", n->ip);
		snprintf(name, sizeof(name), "last-%s.key", n->name);
		world_path(c, key, name);
		if (world_quorate(c, args, NULL) != 0)
			report_violation(c, "refuses",
			    "%s does not issue after healing", n->name);
	}
}

/* ---- Heads ---- */

static void check_heads(struct chaos *c)
{
	json_t *first = NULL;

	for (size_t i = 0; i < NODES; i++) {
		static const char *const fields[] = {
		    "index", "tree_size", "root", "state_digest"};
		struct err e = {0};
		json_t *o = look_json(c, i, "/v1/head", &e);

		if (o == NULL)
			report_violation(c, "silent", "%s shows no head: %s",
			    c->nodes[i].name, e.text);
		for (size_t k = 0; o != NULL && first != NULL && k < 4; k++)
			if (!json_equal(json_object_get(first, fields[k]),
				json_object_get(o, fields[k])))
				report_violation(c, "differs",
				    "the head of %s: another %s than before it",
				    c->nodes[i].name, fields[k]);
		if (first == NULL)
			first = o;
		else
			json_decref(o);
	}
	json_decref(first);
}

/* ---- The log of one node ---- */

static int by_serial(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return memcmp(x->serial, y->serial, SERIAL_LEN);
}

static bool take_row(struct rows *rows, const json_t *o)
{
	const char *serial = json_string_value(json_object_get(o, "serial"));
	const char *sum = json_string_value(json_object_get(o, "sha256"));
	const char *profile = json_string_value(json_object_get(o, "profile"));
	const char *issuer = json_string_value(json_object_get(o, "issuer"));
	const char *uri = json_string_value(json_object_get(o, "uri"));
	struct row *r;

	if (rows->n == rows->cap) {
		size_t cap = rows->cap == 0 ? 16384 : 2 * rows->cap;
		struct row *more = realloc(rows->p, cap * sizeof(*more));

		if (more == NULL)
			return false;
		rows->p = more;
		rows->cap = cap;
	}
	r = &rows->p[rows->n];
	r->index = (uint64_t)json_integer_value(json_object_get(o, "index"));
	r->workload = profile != NULL && strcmp(profile, "workload") == 0;
	r->victim = -1;
	if (uri != NULL)
		(void)sscanf(uri, WORLD_IDENTITY "victim-%ld", &r->victim);
	snprintf(
	    r->issuer, sizeof(r->issuer), "%s", issuer != NULL ? issuer : "");
	if (serial == NULL || sum == NULL ||
	    hex_decode(r->serial, SERIAL_LEN, serial, NULL) != E_OK ||
	    hex_decode(r->sha256, SHA256_LEN, sum, NULL) != E_OK)
		return false;
	rows->n++;
	return true;
}

static bool read_log(struct chaos *c, size_t node, struct rows *rows)
{
	uint64_t after = 0;
	struct err e = {0};
	bool ok = true;

	do {
		char path[80];
		json_t *o, *row;
		size_t i;

		snprintf(path, sizeof(path), "/v1/certs?limit=%d&after=%llu",
		    PAGE, (unsigned long long)after);
		o = look_json(c, node, path, &e);
		ok = o != NULL;
		json_array_foreach(json_object_get(o, "certs"), i, row) ok =
		    ok && take_row(rows, row);
		after =
		    (uint64_t)json_integer_value(json_object_get(o, "next"));
		json_decref(o);
	} while (ok && after > 0);
	if (!ok)
		report_violation(c, "silent", "%s does not show its log: %s",
		    c->nodes[node].name, e.text);
	else if (rows->n > 0)
		qsort(rows->p, rows->n, sizeof(*rows->p), by_serial);
	return ok;
}

const struct row *rows_find(
    const struct rows *rows, const uint8_t serial[SERIAL_LEN])
{
	struct row key = {0};

	memcpy(key.serial, serial, SERIAL_LEN);
	return rows->n == 0 ? NULL
			    : bsearch(&key, rows->p, rows->n, sizeof(*rows->p),
				  by_serial);
}

static void check_acks(
    struct chaos *c, const struct node *n, const struct rows *rows)
{
	char hex[2 * SERIAL_LEN + 1];

	for (size_t i = 1; i < rows->n; i++)
		if (by_serial(&rows->p[i - 1], &rows->p[i]) == 0) {
			hex_encode(hex, rows->p[i].serial, SERIAL_LEN);
			report_violation(c, "twice",
			    "serial %s is twice in the log of %s", hex,
			    n->name);
		}
	for (size_t i = 0; i < c->books.acks_n; i++) {
		const struct ack *a = &c->books.acks[i];
		const struct row *r = rows_find(rows, a->serial);

		hex_encode(hex, a->serial, SERIAL_LEN);
		if (r == NULL)
			report_violation(c, "lost",
			    "serial %s, acknowledged at %llu us, is not in the "
			    "log of %s",
			    hex, (unsigned long long)a->unix_us, n->name);
		else if (memcmp(r->sha256, a->sha256, SHA256_LEN) != 0)
			report_violation(c, "differs",
			    "serial %s: the log of %s has another certificate",
			    hex, n->name);
	}
}

static void check_acks_once(struct chaos *c)
{
	const struct ack *a = c->books.acks;
	char hex[2 * SERIAL_LEN + 1];

	for (size_t i = 1; i < c->books.acks_n; i++)
		if (memcmp(a[i - 1].serial, a[i].serial, SERIAL_LEN) == 0) {
			hex_encode(hex, a[i].serial, SERIAL_LEN);
			report_violation(c, "twice",
			    "serial %s was acknowledged twice", hex);
		}
}

/* Also what nobody was told is the same on every node. */
static void check_same(struct chaos *c, const struct rows all[NODES])
{
	for (size_t i = 1; i < NODES; i++) {
		if (all[i].n != all[0].n)
			report_violation(c, "differs",
			    "%s has %zu certificates, %s has %zu",
			    c->nodes[i].name, all[i].n, c->nodes[0].name,
			    all[0].n);
		for (size_t k = 0; k < all[i].n && k < all[0].n; k++)
			if (all[i].p[k].index != all[0].p[k].index ||
			    memcmp(all[i].p[k].sha256, all[0].p[k].sha256,
				SHA256_LEN) != 0) {
				report_violation(c, "differs",
				    "the logs of %s and %s", c->nodes[i].name,
				    c->nodes[0].name);
				break;
			}
	}
}

/* ---- Certificates rebuilt from the log ---- */

static bool pem_sum(const char *pem, uint8_t sum[SHA256_LEN])
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	const char *from = pem != NULL ? strstr(pem, begin) : NULL, *end;
	struct buf der;
	bool ok;

	if (from == NULL ||
	    (end = strstr(from += sizeof(begin) - 1, "-----END")) == NULL)
		return false;
	buf_init(&der);
	ok = base64_decode(&der, span_of(from, (size_t)(end - from)),
		 BASE64_STD, NULL) == E_OK;
	sha256_of(sum, buf_span(&der));
	buf_free(&der);
	return ok;
}

static void check_pem(struct chaos *c, size_t node, const struct ack *a)
{
	char path[80] = "/v1/certs/", *serial = path + 10;
	uint8_t sum[SHA256_LEN];
	struct err e = {0};
	json_t *o;

	hex_encode(serial, a->serial, SERIAL_LEN);
	o = look_json(c, node, path, &e);
	if (o == NULL)
		report_violation(c, "lost", "%s does not show serial %s: %s",
		    c->nodes[node].name, serial, e.text);
	else if (!pem_sum(json_string_value(json_object_get(o, "pem")), sum) ||
		 memcmp(sum, a->sha256, SHA256_LEN) != 0)
		report_violation(c, "differs",
		    "serial %s: %s rebuilds another certificate", serial,
		    c->nodes[node].name);
	json_decref(o);
}

/* All of them, or evenly spread ones. */
static void check_pems(struct chaos *c)
{
	size_t n = c->books.acks_n;
	size_t every = n <= PEMS_MAX ? 1 : (n + PEMS_MAX - 1) / PEMS_MAX;

	for (size_t i = 0; i < n; i += every) {
		for (size_t k = 0; k < NODES; k++)
			check_pem(c, k, &c->books.acks[i]);
		c->rebuilt++;
	}
}

void check_all(struct chaos *c)
{
	struct rows all[NODES] = {0};
	bool whole = true;

	if (converge(c)) {
		check_service(c);
		converge(c);
	}
	check_heads(c);
	if (c->shared->read_stale > 0)
		report_violation(c, "stale",
		    "%llu linearizable reads missed what was acknowledged "
		    "before, the first of %s",
		    (unsigned long long)c->shared->read_stale,
		    c->shared->stale);
	check_acks_once(c);
	for (size_t i = 0; i < NODES; i++) {
		if (read_log(c, i, &all[i]))
			check_acks(c, &c->nodes[i], &all[i]);
		else
			whole = false;
	}
	if (whole)
		check_same(c, all);
	for (size_t i = 0; i < all[0].n; i++) {
		bool told = books_find(&c->books, all[0].p[i].serial) != NULL;

		c->logged += all[0].p[i].workload;
		c->untold +=
		    all[0].p[i].workload && all[0].p[i].victim < 0 && !told;
	}
	check_revoked(c, &all[0]);
	check_published(c);
	check_pems(c);
	for (size_t i = 0; i < NODES; i++)
		free(all[i].p);
}
