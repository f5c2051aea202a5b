/* revoke.c -- the operator's part, with the operator's command: certificates
 * that clients just got are revoked one by one, and now and then an identity,
 * which then must get nothing any more.  Each line of the file "revoked" is
 * written before it counts:
 *
 *	ask SERIAL		the command is about to run
 *	ok SERIAL		it said that it is done
 *	victim N SERIAL INDEX	identity N is revoked, and with it SERIAL */
#include <string.h>

#include "base/fs.h"
#include "chaos.h"

#define ANSWER_MS 30000

static bool note(FILE *f, const char *verb, const char *what)
{
	return fprintf(f, "%s %s\n", verb, what) > 0 && fflush(f) == 0;
}

/* All nodes, a different one first each time. */
static void servers_of(
    const struct chaos *c, struct rng *r, char out[100], const char *port)
{
	size_t from = rng_below(r, NODES), n = 0;

	for (size_t i = 0; i < NODES; i++)
		n += (size_t)snprintf(out + n, 100 - n, "%s%s:%s",
		    i > 0 ? "," : "", c->nodes[(from + i) % NODES].ip, port);
}

static void count(uint64_t sums[3], int rc)
{
	sums[rc == 0   ? OUTCOME_OK
	     : rc == 3 ? OUTCOME_UNKNOWN
		       : OUTCOME_FAILED]++;
}

static void revoke_one(struct chaos *c, struct rng *r, FILE *f)
{
	char serial[2 * SERIAL_LEN + 1], servers[100];
	const char *args[] = {"revoke", serial, "--reason", "superseded",
	    "--server", servers, NULL};
	int rc;

	if (!worker_last_ack(c, rng_below(r, LOADS), serial) ||
	    !note(f, "ask", serial))
		return;
	servers_of(c, r, servers, "8444");
	rc = world_run(c, "quorate", args, NULL);
	if (rc == 0 && !note(f, "ok", serial))
		return;
	count(c->shared->revoked, rc);
}

/* ---- Identities ---- */

static bool read_json(struct chaos *c, const char *name, json_t **out)
{
	char path[PATH_MAX];

	world_path(c, path, name);
	*out = json_load_file(path, 0, NULL);
	return *out != NULL;
}

/* A fresh identity gets its certificate. */
static bool victim_new(
    struct chaos *c, struct rng *r, unsigned n, char serial[2 * SERIAL_LEN + 1])
{
	char out[PATH_MAX], chain[PATH_MAX], key[PATH_MAX], token[PATH_MAX];
	char servers[100], name[64];
	const char *args[] = {"request", "--new-key", key, "--token-file",
	    token, "--out", chain, "--server", servers, "-o", "json", NULL};
	json_t *o = NULL;
	const char *got = NULL;

	snprintf(name, sizeof(name), "victim-%u.token", n);
	world_path(c, token, name);
	snprintf(name, sizeof(name), "victim-%u.key", n);
	world_path(c, key, name);
	world_path(c, out, "victim.json");
	world_path(c, chain, "victim.pem");
	servers_of(c, r, servers, "8443");
	snprintf(name, sizeof(name), "victim-%u", n);
	if (world_token(c, &c->nodes[0], name, token) &&
	    world_run(c, "quorate", args, out) == 0 &&
	    read_json(c, "victim.json", &o))
		got = json_string_value(json_object_get(o, "serial"));
	if (got != NULL)
		snprintf(serial, 2 * SERIAL_LEN + 1, "%s", got);
	json_decref(o);
	return got != NULL;
}

static void revoke_victim(struct chaos *c, struct rng *r, FILE *f, unsigned n)
{
	char serial[2 * SERIAL_LEN + 1], servers[100], id[100], out[PATH_MAX];
	const char *args[] = {"revoke", "--identity", id, "--reason",
	    "keyCompromise", "--server", servers, "-o", "json", NULL};
	json_t *o = NULL;
	int rc;

	if (!victim_new(c, r, n, serial))
		return;
	snprintf(id, sizeof(id), WORLD_IDENTITY "victim-%u", n);
	world_path(c, out, "victim.json");
	servers_of(c, r, servers, "8444");
	rc = world_run(c, "quorate", args, out);
	if (rc == 0 && read_json(c, "victim.json", &o)) {
		fprintf(f, "victim %u %s %lld\n", n, serial,
		    (long long)json_integer_value(json_object_get(o, "index")));
		fflush(f);
		json_decref(o);
	}
	count(c->shared->blocked, rc);
}

void worker_revoke(struct chaos *c, struct rng *r)
{
	char path[PATH_MAX];
	unsigned victims = 0;
	FILE *f;

	world_path(c, path, "revoked");
	f = fopen(path, "ae");
	while (f != NULL && !worker_told()) {
		if (rng_below(r, 8) == 0)
			revoke_victim(c, r, f, victims++);
		else
			revoke_one(c, r, f);
		proc_pause_ms(100 + rng_below(r, 300));
	}
	if (f != NULL)
		fclose(f);
}
