/* world.c -- three nodes on loopback addresses of their own: made, joined and
 * approved with the commands that an operator would use. */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "chaos.h"

#define COMMAND_MS 30000
#define STEP_MS 30000 /* from one step of a join to the next */
#define IDENTITIES 4  /* of each cluster */
#define TRUST_DOMAIN "chaos.test"
#define COMMAND_ARGS 40
#define SETTINGS 5
#define PASSPHRASE "correct horse battery staple\n"

void world_path(const struct chaos *c, char path[PATH_MAX], const char *name)
{
	if (fs_join(path, PATH_MAX, c->dir, name, NULL) != E_OK)
		path[0] = '\0';
}

/* ---- Commands ---- */

int world_run(struct chaos *c, const char *program, const char *const *args,
    const char *out)
{
	const char *argv[COMMAND_ARGS];
	char exe[PATH_MAX], log[PATH_MAX];
	const struct proc_files f = {out, log};
	size_t n = 0;

	if (fs_join(exe, sizeof(exe), c->o.bin, program, NULL) != E_OK)
		return -1;
	world_path(c, log, "commands.log");
	argv[n++] = exe;
	for (size_t i = 0; args[i] != NULL && n < COMMAND_ARGS - 1; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	return proc_wait(proc_start(argv, &f, NULL), COMMAND_MS);
}

int world_quorate(struct chaos *c, const char *const *args, const char *out)
{
	int rc = world_run(c, "quorate", args, out);

	if (rc != 0)
		fprintf(stderr,
		    "quorate-chaos: quorate %s: exit status %d, see %s\n",
		    args[0], rc, c->dir);
	return rc;
}

/* ---- Nodes ---- */

bool node_start(struct chaos *c, struct node *n)
{
	bool planted = c->o.planted && n == &c->nodes[NODES - 1];
	const char *argv[] = {NULL, "--data", n->data, NULL};
	const struct proc_files f = {NULL, n->log};
	char exe[PATH_MAX], mark[PATH_MAX], env[PATH_MAX + 32];

	if (fs_join(exe, sizeof(exe), c->o.bin,
		planted ? "quorated-planted" : "quorated", NULL) != E_OK)
		return false;
	argv[0] = exe;
	world_path(c, mark, "drop");
	snprintf(env, sizeof(env), "QUORATE_TEST_DROP=%s", mark);
	n->pid = proc_start(argv, &f, planted ? env : NULL);
	c->shared->pids[n - c->nodes] = n->pid;
	n->asked = ASKED_NOTHING;
	return n->pid != 0;
}

static bool wait_ready(struct node *n)
{
	uint64_t end = clock_mono_ms() + STEP_MS;
	char why[400];

	while (!look_ready(n, why)) {
		if (clock_mono_ms() > end || kill(n->pid, 0) != 0) {
			fprintf(stderr,
			    "quorate-chaos: %s does not become ready: %s\n",
			    n->name, why);
			return false;
		}
		proc_pause_ms(50);
	}
	return true;
}

/* ---- Addresses ---- */

static bool is_free(const char *ip)
{
	static const uint16_t ports[] = {8443, 8444, 8080, 9090, 7700, 7701};
	struct sockaddr_in a = {.sin_family = AF_INET};
	bool ok = true;

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]) && ok; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		a.sin_port = htons(ports[i]);
		ok = fd >= 0 && inet_pton(AF_INET, ip, &a.sin_addr) == 1 &&
		     bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
		if (fd >= 0)
			close(fd);
	}
	return ok;
}

static bool take_addresses(struct chaos *c)
{
	unsigned at = (unsigned)getpid() % 60000;

	for (unsigned i = 0; i < 50; i++, at += 7) {
		bool ok = true;

		for (size_t k = 0; k < NODES && ok; k++) {
			snprintf(c->nodes[k].ip, sizeof(c->nodes[k].ip),
			    "127.%u.%u.%zu", 2 + at / 250 % 250, 2 + at % 250,
			    k + 1);
			snprintf(c->nodes[k].mesh_ip,
			    sizeof(c->nodes[k].mesh_ip), "127.%u.%u.%zu",
			    2 + at / 250 % 250, 2 + at % 250, k + 101);
			ok = is_free(c->nodes[k].ip) &&
			     is_free(c->nodes[k].mesh_ip);
		}
		if (ok)
			return true;
	}
	fputs("quorate-chaos: no free loopback addresses\n", stderr);
	return false;
}

/* ---- The first hour ---- */

/* What node.yaml says beside the defaults, as options. */
struct settings {
	char text[SETTINGS][PATH_MAX + 32];
	const char *args[2 * SETTINGS];
};

void world_publish_dir(
    const struct chaos *c, const struct node *n, char path[PATH_MAX])
{
	char name[64];

	snprintf(name, sizeof(name), "publish-%s", n->name);
	world_path(c, path, name);
}

static void settings_of(
    const struct chaos *c, const struct node *n, struct settings *s)
{
	char dir[PATH_MAX];

	world_publish_dir(c, n, dir);
	snprintf(s->text[0], sizeof(s->text[0]), "raft.heartbeat_ms=%u",
	    c->heartbeat_ms);
	snprintf(s->text[1], sizeof(s->text[0]), "raft.election_ms=%u",
	    c->election_ms);
	snprintf(s->text[2], sizeof(s->text[0]), "raft.compact_after=%u",
	    c->compact_after);
	/* Its peers dial the proxy. */
	snprintf(
	    s->text[3], sizeof(s->text[0]), "mesh_address=%s:7700", n->mesh_ip);
	snprintf(s->text[4], sizeof(s->text[0]), "publish.dir=%s", dir);
	for (size_t i = 0; i < SETTINGS; i++) {
		s->args[2 * i] = "--set";
		s->args[2 * i + 1] = s->text[i];
	}
}

/* The command with the node's settings behind its arguments. */
static bool run_with(
    struct chaos *c, const struct node *n, const char *const *args)
{
	const char *all[COMMAND_ARGS];
	struct settings s;
	size_t k = 0;

	settings_of(c, n, &s);
	for (; k < COMMAND_ARGS - 2 * SETTINGS - 1 && args[k] != NULL; k++)
		all[k] = args[k];
	memcpy(all + k, s.args, sizeof(s.args));
	all[k + 2 * SETTINGS] = NULL;
	return world_quorate(c, all, NULL) == 0;
}

static bool init(struct chaos *c)
{
	struct node *n = &c->nodes[0];
	char admin[PATH_MAX], pass[PATH_MAX];
	const char *args[] = {"init", "--trust-domain", TRUST_DOMAIN,
	    "--cluster", n->name, "--data", n->data, "--admin", admin,
	    "--listen", n->ip, "--settle", "0", "--passphrase-file", pass,
	    "--cheap-sealing", NULL};

	world_path(c, admin, "admin");
	world_path(c, pass, "passphrase");
	setenv("QUORATE_IDENTITY", admin, 1);
	unsetenv("QUORATE_SERVER");
	return run_with(c, n, args) && node_start(c, n) && wait_ready(n);
}

/* Asked until the join request is there. */
static bool approve(struct chaos *c, const struct node *n)
{
	char pending[PATH_MAX], pass[PATH_MAX];
	const char *list[] = {"issuer", "list", "-o", "json", NULL};
	const char *args[] = {
	    "issuer", "approve", n->name, "--passphrase-file", pass, NULL};
	uint64_t end = clock_mono_ms() + STEP_MS;
	struct buf text;
	bool heard = false;

	world_path(c, pending, "pending.json");
	world_path(c, pass, "passphrase");
	while (!heard && clock_mono_ms() < end) {
		json_t *o = NULL;

		buf_init(&text);
		if (world_quorate(c, list, pending) == 0 &&
		    fs_read(pending, 1 << 20, &text, NULL) == E_OK)
			o = json_loadb((const char *)text.p, text.len, 0, NULL);
		heard = json_array_size(json_object_get(o, "pending")) > 0;
		json_decref(o);
		buf_free(&text);
		proc_pause_ms(100);
	}
	return heard && world_quorate(c, args, NULL) == 0;
}

static bool wait_voter(struct chaos *c, size_t node)
{
	uint64_t end = clock_mono_ms() + STEP_MS;
	bool voter = false;

	while (!voter && clock_mono_ms() < end) {
		json_t *o = look_json(c, node, "/v1/status", NULL), *m;
		size_t i;

		json_array_foreach(json_object_get(o, "members"), i, m)
		{
			const char *s =
			    json_string_value(json_object_get(m, "state"));

			voter |= json_is_true(json_object_get(m, "self")) &&
				 s != NULL && strcmp(s, "voter") == 0;
		}
		json_decref(o);
		proc_pause_ms(50);
	}
	return voter;
}

static bool join(struct chaos *c, size_t node)
{
	struct node *n = &c->nodes[node];
	char token[PATH_MAX], name[64];
	const char *create[] = {
	    "token", "create", "--cluster", n->name, "--out", token, NULL};
	const char *args[] = {"join", "--token-file", token, "--data", n->data,
	    "--listen", n->ip, "--no-wait", NULL};

	snprintf(name, sizeof(name), "join-%s", n->name);
	world_path(c, token, name);
	return world_quorate(c, create, NULL) == 0 && run_with(c, n, args) &&
	       node_start(c, n) && approve(c, n) && wait_ready(n) &&
	       wait_voter(c, node);
}

/* ---- Identities ---- */

static void key_path(
    const struct chaos *c, const struct node *n, char path[PATH_MAX])
{
	char name[64];

	snprintf(name, sizeof(name), "%s.key", n->name);
	world_path(c, path, name);
}

bool world_token(struct chaos *c, const struct node *n, const char *account,
    const char *file)
{
	char key[PATH_MAX], sub[100];
	const char *args[] = {
	    "--key", key, "--sub", sub, "--ttl", "86400", NULL};

	key_path(c, n, key);
	snprintf(sub, sizeof(sub), "system:serviceaccount:shop:%.60s", account);
	return world_run(c, "quorate-dev-token", args, file) == 0;
}

static bool mint(struct chaos *c, const struct node *n, const char *account)
{
	char one[PATH_MAX], all[PATH_MAX];
	struct buf text;
	FILE *f = NULL;
	bool ok;

	world_path(c, one, "token");
	world_path(c, all, "tokens");
	buf_init(&text);
	ok = world_token(c, n, account, one) &&
	     fs_read(one, 65536, &text, NULL) == E_OK &&
	     (f = fopen(all, "ae")) != NULL;
	if (f != NULL) {
		ok = fwrite(text.p, 1, text.len, f) == text.len;
		ok = fclose(f) == 0 && ok;
	}
	buf_free(&text);
	return ok;
}

static bool identities(struct chaos *c, const struct node *n)
{
	char key[PATH_MAX], jwks[PATH_MAX], name[64];
	const char *make[] = {
	    "--key", key, "--new-key", "--alg", "ES256", "--jwks", jwks, NULL};
	const char *set[] = {
	    "cluster", "set-jwks", n->name, "--jwks", jwks, NULL};
	bool ok;

	key_path(c, n, key);
	snprintf(name, sizeof(name), "%s.jwks", n->name);
	world_path(c, jwks, name);
	ok = world_run(c, "quorate-dev-token", make, NULL) == 0 &&
	     world_quorate(c, set, NULL) == 0;
	for (unsigned i = 0; i < IDENTITIES && ok; i++) {
		snprintf(name, sizeof(name), "%s-%u", n->name, i);
		ok = mint(c, n, name);
	}
	return ok;
}

/* ---- The whole ---- */

static bool make_folder(struct chaos *c)
{
	static const char *const names[NODES] = {"east", "west", "south"};
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX], name[64];

	snprintf(c->dir, sizeof(c->dir), "%s/quorate-chaos-XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
	if (mkdtemp(c->dir) == NULL) {
		perror("quorate-chaos: a private folder");
		return false;
	}
	for (size_t i = 0; i < NODES; i++) {
		struct node *n = &c->nodes[i];

		n->name = names[i];
		world_path(c, n->data, n->name);
		snprintf(name, sizeof(name), "%s.log", n->name);
		world_path(c, n->log, name);
	}
	world_path(c, path, "passphrase");
	return fs_write(path, span_str(PASSPHRASE), 0600, NULL) == E_OK;
}

static bool start_proxy(struct chaos *c)
{
	uint64_t end = clock_mono_ms() + STEP_MS;

	c->proxy = worker_start(c, worker_proxy);
	while (
	    c->proxy != 0 && !c->shared->proxy_ready && clock_mono_ms() < end)
		proc_pause_ms(5);
	return c->shared->proxy_ready;
}

bool world_make(struct chaos *c)
{
	bool ok = make_folder(c) && take_addresses(c) && start_proxy(c) &&
		  init(c) && look_open(c);

	for (size_t i = 1; i < NODES && ok; i++)
		ok = join(c, i);
	for (size_t i = 0; i < NODES && ok; i++)
		ok = identities(c, &c->nodes[i]);
	return ok;
}

static int remove_one(
    const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

void world_end(struct chaos *c)
{
	for (size_t i = 0; i < NODES; i++)
		if (c->nodes[i].pid > 0) {
			kill(-c->nodes[i].pid, SIGKILL);
			(void)waitpid(c->nodes[i].pid, NULL, 0);
			c->nodes[i].pid = 0;
		}
	(void)worker_stop(&c->proxy);
	look_close(c);
	if (c->dir[0] == '\0')
		return;
	if (c->o.keep || c->violations > 0)
		printf("the nodes' data and logs: %s\n", c->dir);
	else
		(void)nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
