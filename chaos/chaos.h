/* chaos.h -- quorate-chaos: three real nodes, clients that keep books, and a
 * nemesis that kills, stops and restarts nodes by a seeded plan.  Afterwards
 * nothing that was acknowledged may be missing, anywhere.
 *
 * One thread.  Nodes, clients and the operator's commands are processes of
 * their own; what this one does is wait, strike, and compare. */
#ifndef QUORATE_CHAOS_H
#define QUORATE_CHAOS_H

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "client/client.h"

#define NODES 3
#define LOADS 2       /* load generators */
#define SERIAL_LEN 16 /* bytes */
#define WINDOW_MS 500 /* silence that counts as unavailability */
#define ISSUER_HEX 40 /* digits of a key id */
#define VIOLATIONS 8  /* of a kind are printed in full */
#define KINDS 16

struct options {
	const char *bin; /* folder of the programs */
	uint64_t seconds, seed;
	bool planted; /* one node drops one applied record */
	bool keep;    /* the folder stays */
};

/* ---- rng.c: the plan's dice ---- */

struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 .. n - 1 */
bool rng_percent(struct rng *r, unsigned percent);
/* Between from and to, short ones as likely as long ones. */
unsigned rng_span_ms(struct rng *r, unsigned from, unsigned to);

/* ---- proc.c: processes ---- */

struct proc_files {
	const char *out; /* replaced; NULL: goes where err goes */
	const char *err; /* appended to */
};
/* In a process group of its own; it does not outlive this process.  env: one
 * more NAME=VALUE, or NULL.  0: it could not be started. */
pid_t proc_start(
    const char *const *argv, const struct proc_files *f, const char *env);
/* The exit status, 128 + N after signal N; -1: it ran on and was killed. */
int proc_wait(pid_t pid, uint64_t ms);
/* The same of a status that waitpid gave. */
int proc_status(int wstatus);
pid_t proc_child_of(pid_t pid); /* a child process of it; 0 */
void proc_pause_ms(uint64_t ms);

/* ---- world.c: the nodes ---- */

enum asked { ASKED_NOTHING, ASKED_KILL, ASKED_TERM, ASKED_SIGNER };

struct node {
	const char *name;         /* its cluster */
	char ip[24], mesh_ip[24]; /* where it listens; where peers dial */
	char data[PATH_MAX], log[PATH_MAX];
	pid_t pid;        /* 0: it does not run */
	enum asked asked; /* what the nemesis did to this process */
	uint64_t asked_ms;
};

struct books;
struct chaos;

/* Folder, addresses, init, joins, approvals, token keys. */
bool world_make(struct chaos *c);
void world_end(struct chaos *c); /* kills what runs */
bool node_start(struct chaos *c, struct node *n);
/* A program's exit status; what it says goes to the world's log. */
int world_run(struct chaos *c, const char *program, const char *const *args,
    const char *out);
/* The operator's command, which should succeed. */
int world_quorate(struct chaos *c, const char *const *args, const char *out);
#define WORLD_IDENTITY "spiffe://chaos.test/ns/shop/sa/"
/* A token of that node's cluster for a service account, into a file. */
bool world_token(struct chaos *c, const struct node *n, const char *account,
    const char *file);
/* Where the node publishes. */
void world_publish_dir(
    const struct chaos *c, const struct node *n, char path[PATH_MAX]);
/* path is NAME in the world's folder. */
void world_path(const struct chaos *c, char path[PATH_MAX], const char *name);

/* ---- look.c: what nodes say ---- */

struct look {
	uint64_t term, applied, commit;
	bool leads;
};
bool look_open(struct chaos *c);
void look_close(struct chaos *c);
bool look_status(struct chaos *c, size_t node, struct look *out, char why[400]);
/* The node that leads, by the highest term; NODES: nobody. */
size_t look_leader(struct chaos *c);
/* GET over HTTPS as the operator; the caller drops its reference. */
json_t *look_json(
    struct chaos *c, size_t node, const char *path, struct err *e);
/* GET of a node's port 9090: 200.  Otherwise why has what it said. */
bool look_ready(const struct node *n, char why[400]);

/* ---- clients.c: who asks ---- */

struct client_load {
	pid_t pid;
	char ack[PATH_MAX], json[PATH_MAX];
};
bool clients_start(struct chaos *c);
bool clients_stop(struct chaos *c);

/* ---- worker.c ---- */

/* Written by workers, read by all. */
enum { OUTCOME_OK, OUTCOME_FAILED, OUTCOME_UNKNOWN };
struct shared {
	volatile bool proxy_ready;
	volatile pid_t pids[NODES];
	volatile bool cut[NODES][NODES]; /* from, to */
	volatile bool reset; /* what was held is closed afterwards */
	uint64_t revoked[3], blocked[3]; /* by outcome */
	uint64_t read_ok, read_failed, read_stale;
	uint64_t published_bad;
	size_t published_first; /* the node */
	char stale[400];        /* the first of them */
};
bool workers_make(struct chaos *c);
/* A process that works until it is told to end; 0: none. */
pid_t worker_start(
    struct chaos *c, void (*work)(struct chaos *c, struct rng *r));
bool worker_told(void);
bool worker_stop(pid_t *pid);
/* What a load generator was told last. */
bool worker_last_ack(
    const struct chaos *c, size_t load, char serial[2 * SERIAL_LEN + 1]);
/* Linearizable reads of it. */
void worker_read(struct chaos *c, struct rng *r);

/* ---- revoke.c ---- */

/* Revokes what clients just got, and now and then an identity. */
void worker_revoke(struct chaos *c, struct rng *r);

/* ---- proxy.c ---- */

/* The network between the nodes. */
void worker_proxy(struct chaos *c, struct rng *r);

/* ---- nemesis.c ---- */

#define FAULTS(X)                                                              \
	X(FAULT_KILL, "kill -9")                                               \
	X(FAULT_POWER, "kill -9 with signer")                                  \
	X(FAULT_PAUSE, "SIGSTOP")                                              \
	X(FAULT_TERM, "SIGTERM")                                               \
	X(FAULT_SIGNER, "kill -9 of signer")                                   \
	X(FAULT_SIGNER_PAUSE, "SIGSTOP of signer")                             \
	X(FAULT_FLAP, "kill -9 at start")                                      \
	X(FAULT_CUT, "cut off")                                                \
	X(FAULT_DEAF, "deaf")                                                  \
	X(FAULT_MUTE, "mute")                                                  \
	X(FAULT_DROP, "planted: drop a record")

enum fault {
#define X(sym, text) sym,
	FAULTS(X)
#undef X
	    FAULT_COUNT
};
extern const char *const fault_names[FAULT_COUNT];

/* Strike until the time is over, then heal. */
void nemesis_run(struct chaos *c);
/* Collect ended processes; one that nobody asked to end is a violation. */
void nemesis_reap(struct chaos *c);

/* ---- books.c: what clients were told ---- */

struct ack {
	uint8_t serial[SERIAL_LEN], sha256[SHA256_LEN];
	uint64_t unix_us;
};
struct books {
	struct ack *acks; /* by serial, after books_read */
	size_t acks_n, acks_cap;
	json_t *load[LOADS]; /* each generator's own report */
};
bool books_read(struct chaos *c);
void books_free(struct books *b);
const struct ack *books_find(
    const struct books *b, const uint8_t serial[SERIAL_LEN]);

/* ---- check.c ---- */

/* A certificate as a node's log has it. */
struct row {
	uint8_t serial[SERIAL_LEN], sha256[SHA256_LEN];
	uint64_t index;
	char issuer[ISSUER_HEX + 1];
	bool workload;
	long victim; /* its number; -1: it is none */
};
struct rows { /* by serial */
	struct row *p;
	size_t n, cap;
};
const struct row *rows_find(
    const struct rows *rows, const uint8_t serial[SERIAL_LEN]);

/* Every promise, on every node. */
void check_all(struct chaos *c);

/* ---- crl.c ---- */

void check_revoked(struct chaos *c, const struct rows *rows);

/* ---- published.c ---- */

/* Is what a node publishes whole at this moment? */
bool published_look(struct chaos *c, size_t node);
void check_published(struct chaos *c);

/* ---- logs.c ---- */

void logs_read(struct chaos *c);

/* ---- report.c ---- */

void report_event(struct chaos *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* kind is a word to search for: lost, twice, differs, ... */
void report_violation(struct chaos *c, const char *kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void report_all(struct chaos *c);

/* ---- The whole ---- */

struct chaos {
	struct options o;
	/* After healing, until all are ready, and then at one index; longer is
	 * a fault. */
	unsigned patience_s;
	char dir[PATH_MAX];
	struct node nodes[NODES];
	struct client *client[NODES];
	struct client_load loads[LOADS];
	pid_t reader, revoker, proxy;
	struct shared *shared;
	bool published[NODES]; /* it was there once; the reader's */
	/* drawn from the seed */
	unsigned heartbeat_ms, election_ms, compact_after, pause_ms, streams;
	struct rng plan;
	uint64_t begin_us, healed_us; /* Unix time: strikes in between */
	uint64_t begin_ms;            /* monotonic */
	unsigned faults[FAULT_COUNT], restarts;
	uint64_t logged, untold; /* certificates; those nobody was told of */
	size_t rebuilt, on_crls;
	struct books books;
	unsigned elections, snapshots;
	json_t *warnings; /* events of the nodes: how often */
	size_t violations;
	struct {
		const char *name;
		size_t n;
	} kinds[KINDS];
	volatile bool interrupted;
};

#endif
