/* clients.c -- who asks while the nemesis strikes.  Of the load generators, one
 * shares connections among its requests and one opens a fresh one for each;
 * both go to another node when theirs does not answer. */
#include <signal.h>

#include "base/fs.h"
#include "chaos.h"

#define STOP_MS 20000

static bool start(struct chaos *c, size_t load, const char *connections,
    const char *streams, const char *pause_ms, const char *fresh)
{
	struct client_load *l = &c->loads[load];
	char exe[PATH_MAX], root[PATH_MAX], tokens[PATH_MAX], log[PATH_MAX];
	char servers[200], name[64];
	const char *argv[] = {exe, "--server", servers, "--root", root,
	    "--token", tokens, "--connections", connections, "--streams",
	    streams, "--pause-ms", pause_ms, "--retry-ms", "50", "--answer-ms",
	    "3000", "--csrs", "16", "--seconds", "86000", "--ack", l->ack,
	    "--json", fresh, NULL};
	const struct proc_files f = {l->json, log};

	snprintf(servers, sizeof(servers), "%s:8443,%s:8443,%s:8443",
	    c->nodes[load % NODES].ip, c->nodes[(load + 1) % NODES].ip,
	    c->nodes[(load + 2) % NODES].ip);
	snprintf(name, sizeof(name), "ack-%zu", load);
	world_path(c, l->ack, name);
	snprintf(name, sizeof(name), "load-%zu.json", load);
	world_path(c, l->json, name);
	world_path(c, root, "admin/root.pem");
	world_path(c, tokens, "tokens");
	world_path(c, log, "clients.log");
	if (fs_join(exe, sizeof(exe), c->o.bin, "quorate-load", NULL) == E_OK)
		l->pid = proc_start(argv, &f, NULL);
	return l->pid != 0;
}

bool clients_start(struct chaos *c)
{
	char streams[16], pause_ms[16];

	snprintf(streams, sizeof(streams), "%u", c->streams);
	snprintf(pause_ms, sizeof(pause_ms), "%u", c->pause_ms);
	return start(c, 0, "3", streams, pause_ms, NULL) &&
	       start(c, 1, "2", "2", "100", "--fresh") &&
	       (c->reader = worker_start(c, worker_read)) != 0 &&
	       (c->revoker = worker_start(c, worker_revoke)) != 0;
}

bool clients_stop(struct chaos *c)
{
	bool ok = worker_stop(&c->revoker) && worker_stop(&c->reader);

	for (size_t i = 0; i < LOADS; i++)
		if (c->loads[i].pid > 0)
			kill(c->loads[i].pid, SIGTERM);
	for (size_t i = 0; i < LOADS; i++) {
		if (c->loads[i].pid > 0 &&
		    proc_wait(c->loads[i].pid, STOP_MS) < 0)
			ok = false;
		c->loads[i].pid = 0;
	}
	return ok;
}
