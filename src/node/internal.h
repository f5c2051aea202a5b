/* internal.h -- what the files of the node loop share.
 *
 * Everything in struct node belongs to the loop's thread, but for what the
 * lock covers.  One turn of the loop (loop.c):
 *
 *	inbox, signer's answers, mesh, ticks	events go in
 *	propose					what was signed, in one batch
 *	ready					send, append, respond, apply
 *	commit					state/, when it is due
 *	duties					what leaders and nodes do by the
 *						clock
 */
#ifndef QUORATE_NODE_INTERNAL_H
#define QUORATE_NODE_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "front/front.h"
#include "mesh/mesh.h"
#include "node/node.h"
#include "node/pace.h"
#include "pki/pki.h"
#include "signer/signer.h"
#include "store/store.h"

#define NODE_OPS_MAX 4096     /* requests under way */
#define NODE_ANSWER_MS 2000   /* without a quorum: UNAVAILABLE after this */
#define NODE_RESEND_MS 500    /* a forwarded proposal that is not heard of */
#define NODE_COMMIT_MS 25     /* state/ becomes durable */
#define NODE_COMMIT_COUNT 256 /* entries */
#define NODE_STATUS_MS 500    /* to each peer */
#define NODE_DUTY_MS 100
#define NODE_SILENT_MS 3000 /* a peer not heard for that long is away */
#define HAND_OVER_MS 1000   /* at a stop, for another to take the lead */
#define DRAIN_MS 2000       /* at a stop, for requests under way */
#define NODE_BEAT_TICKS 5   /* between heartbeats */
#define NODE_LAG_MAX 1000   /* entries behind: it still counts as caught up */

struct node;

/* ---- inbox.c: from other threads to the loop ---- */

/* run() is called once, on the loop's thread, and owns t. */
struct task {
	struct task *next;
	void (*run)(struct node *n, struct task *t);
};
void inbox_wake(struct node *n); /* any thread: a turn of the loop */
void inbox_post(struct node *n, struct task *t); /* any thread */
void inbox_run(struct node *n);
bool inbox_wait(struct node *n, int ms); /* true: something is there */
/* fn(n, arg) on the loop's thread; returns when it is done.  Not from the
 * loop's own thread. */
void inbox_call(
    struct node *n, void (*fn)(struct node *n, void *arg), void *arg);

/* ---- ops.c: requests that end in a log entry ---- */

enum op_kind { OP_ISSUE, OP_ADMIN, OP_OWN /* nobody waits */ };
enum op_state {
	OP_TO_SIGN,    /* the signer's socket was full */
	OP_SIGNING,    /* the signer has it */
	OP_TO_PROPOSE, /* raft would not take it yet */
	OP_PROPOSED,   /* waits to be applied */
};

struct op {
	struct task task;
	struct op *prev, *next; /* by age */
	struct op *chain;       /* of the same bucket */
	enum op_kind kind;
	enum op_state state;
	uint64_t id; /* low bits: its slot */
	uint64_t deadline_ms, proposed_ms;
	bool was_proposed; /* it may be in the log, or still come */
	struct signer_request *request;
	struct buf memory; /* what request's spans borrow from */
	struct buf entry;
	uint8_t hash[SHA256_LEN]; /* of entry */
	front_issue_done *issued;
	front_admin_done *applied;
	void *arg;
};

/* The callbacks of struct front_ops. */
void ops_issue(void *ctx, const struct front_issue *req, front_issue_done *done,
    void *arg);
void ops_admin(
    void *ctx, struct span signed_msg, front_admin_done *done, void *arg);
/* An entry that the node itself proposes; takes entry. */
enum code ops_propose(struct node *n, struct buf *entry, struct err *e);
/* Answers of the signer, and what waits for it.  An error: it is gone. */
enum code ops_sign(struct node *n, struct err *e) MUST_CHECK;
void ops_submit(struct node *n);   /* give raft what is ready */
void ops_expire(struct node *n);   /* past their deadline */
void ops_resubmit(struct node *n); /* another leader: propose again */
/* An entry of ours was applied. */
void ops_applied(struct node *n, struct span raw, const struct ca_entry *entry,
    const struct ca_result *r);
void ops_close(struct node *n);

/* ---- reads.c ---- */

enum code reads_begin(
    void *ctx, bool linearizable, struct ca **ca, void **token, struct err *e);
void reads_end(void *ctx, void *token);
void reads_ask(struct node *n); /* a read index for those that want one */
void reads_heard(struct node *n, const struct raft_read_state *r);
void reads_settle(struct node *n); /* after apply and commit */
bool reads_wait_commit(const struct node *n);
void reads_close(struct node *n);

/* ---- apply.c: storage work ---- */

enum code apply_append(
    struct node *n, const struct raft_message *m, struct err *e) MUST_CHECK;
enum code apply_entries(
    struct node *n, const struct raft_message *m, struct err *e) MUST_CHECK;
/* Open the state machine on the store's state, and tell the signer what it
 * missed. */
enum code apply_open(struct node *n, struct err *e) MUST_CHECK;
/* Load the view anew if an administrative row changed. */
enum code apply_refresh_view(struct node *n, struct err *e) MUST_CHECK;

/* ---- peers.c: the mesh ---- */

#define PEER_CHECKPOINTS 4

struct peer {
	uint64_t id;
	bool in_mesh;
	/* as last heard */
	uint64_t heard_ms, status_ms;
	uint64_t sent_ms; /* by its clock, of that status */
	struct rtt rtt;
	uint64_t applied, tree_size;
	int64_t clock_offset_ms;
	int64_t lead_ms[2]; /* its time less ours since boot, at most */
	uint64_t lead_since_ms;
	bool issuing, has_my_crl;
	struct ca_checkpoint checkpoints[PEER_CHECKPOINTS];
	size_t checkpoints_n;
	struct snapshot_out *sending; /* NULL: no snapshot is under way */
	uint64_t refused_ms;          /* when it last refused one; 0: never */
	uint64_t repair; /* it lost its log, and asks with this number */
};

struct peer *peers_find(struct node *n, uint64_t id); /* or NULL */
enum code peers_start(struct node *n, struct err *e) MUST_CHECK;
void peers_sync(struct node *n); /* the mesh knows whom the view names */
enum code peers_receive(struct node *n, struct err *e) MUST_CHECK;
bool peers_is_member(const struct raft_conf_state *c, raft_id id);
void peers_send(struct node *n, const struct raft_message *m);
/* What mesh_send says. */
enum code peers_tell(struct node *n, uint64_t to, enum mesh_channel channel,
    const struct wire_mesh *w);
void peers_status(struct node *n); /* tell each how this node is */
/* A leader's peers that are in touch hold every entry up to this one, or get a
 * snapshot of it; UINT64_MAX: all have all, or this node does not lead. */
uint64_t peers_need_after(const struct node *n);
/* Raft's clock goes as the farthest voter that is heard of asks for. */
void peers_set_pace(struct node *n);
void peers_close(struct node *n);
/* Does a majority of those heard have another state than this node? */
void peers_compare(struct node *n);

/* ---- gone.c: a leader whose process has ended ---- */

void gone_heard(struct node *n, uint64_t peer); /* nobody listens there */
void gone_campaign(struct node *n);             /* if it is time for it */

/* ---- whole.c ---- */

/* Do all rows of the state belong together?  E_CORRUPT. */
enum code whole_check(struct node *n, struct err *e) MUST_CHECK;

/* ---- repair.c ---- */

/* With the store open: what is not one whole is begun anew. */
enum code repair_check_state(struct node *n, struct err *e) MUST_CHECK;
void repair_start(struct node *n);
void repair_heard(struct node *n, struct peer *p, const struct wire_status *s);
void repair_tell(
    const struct node *n, const struct peer *p, struct wire_status *s);
/* E_CORRUPT: nobody can mend this node's log. */
enum code repair_run(struct node *n, struct err *e) MUST_CHECK;

/* ---- snapshot_out.c, snapshot_in.c ---- */

void snapshot_out_start(struct node *n, const struct raft_message *m);
void snapshot_out_ack(struct node *n, struct peer *p, const struct wire_ack *a);
void snapshot_out_tick(struct node *n);
/* While one is sent: raft goes on after this entry when it is there. */
uint64_t snapshot_out_index(const struct peer *p);
void snapshot_out_stop(struct node *n, struct peer *p, bool ok);
enum code snapshot_in_chunk(struct node *n, uint64_t from,
    const struct wire_chunk *c, struct err *e) MUST_CHECK;
/* Is the snapshot of that index what was received and checked? */
bool snapshot_in_is_whole(const struct node *n, uint64_t index);
/* Is one coming?  Raft indexes: of the last record here, and of the snapshot.
 */
bool snapshot_in_progress(const struct node *n, uint64_t *have, uint64_t *of);
/* Before the installation is finished: the reader of what was received. */
void snapshot_in_close_ca(struct node *n);
void snapshot_in_drop(struct node *n);
/* After raft had its turn. */
void snapshot_in_settle(struct node *n);
/* What the putter has done meanwhile. */
enum code snapshot_in_run(struct node *n, struct err *e) MUST_CHECK;

/* ---- snapshot_put.c: on a thread of its own ---- */

struct put_job { /* one chunk */
	struct put_job *next;
	uint64_t stream, seq; /* seq 0 begins: records that are there stay */
	bool last;            /* then all is checked, and synced */
	enum code rc;         /* what came of it */
	struct err why;
	uint64_t have; /* the last record that is there */
	size_t rows_n;
	struct wire_row rows[]; /* and their bytes */
};

struct putter;
enum code putter_start(
    struct putter **out, struct node *n, struct err *e) MUST_CHECK;
/* The chunk is copied. */
enum code putter_give(
    struct putter *p, const struct wire_chunk *c, struct err *e) MUST_CHECK;
struct put_job *putter_done(struct putter *p); /* to free(); NULL: none */
/* While no job is on its way; NULL before the first is done. */
struct ca *putter_ca(const struct putter *p);
void putter_close_ca(struct putter *p);
/* Waits for the job that is being done.  NULL is fine. */
void putter_stop(struct putter *p);

/* ---- duties.c ---- */

void duties_run(struct node *n);
/* The voter to lead after this one: the one that has most; 0: none. */
raft_id duties_successor(struct node *n, const struct raft_status *st);
/* May this node stamp what it is about to propose?  Sets clock_off. */
void duties_watch_clock(struct node *n);

/* ---- crl.c ---- */

#define NODE_CRL_PROPOSED 64
#define NODE_CRL_HEARD_MS 60000

void crl_freeze_due(struct node *n); /* the leader */
/* A freeze was applied just now: the state is as it fixed it. */
void crl_frozen(struct node *n, const struct ca_freeze_crl *f);
/* Key ids of the issuers whose CRL is published here. */
size_t crl_published(const struct node *n, struct span *out, size_t max);
void crl_note_published(
    struct node *n, struct peer *p, const struct wire_status *s);
/* Does this node's issuer wait for its CRL to be out everywhere? */
bool crl_awaited(
    struct node *n, const struct ca_issuer *is, char *why, size_t size);

/* ---- publish.c ---- */

enum code publish_start(struct node *n, struct err *e) MUST_CHECK;
void publish_view(struct node *n); /* there is a newer one */
/* Why publish.dir is not up to date, as an alarm; false: it is, or there is
 * none.  Any thread. */
bool publish_failing(struct node *n, char *why, size_t size);
void publish_stop(struct node *n);

/* ---- api_cert.c ---- */

enum code api_cert_start(struct node *n, struct err *e) MUST_CHECK;
bool api_cert_there(const struct node *n);
void api_cert_check(struct node *n); /* ask for one, when it is time */
void api_cert_close(struct node *n);

/* ---- look.c: how the node is, for people ---- */

/* Why this node's issuer does not sign now; false: it does. */
bool look_not_issuing(struct node *n, char *why, size_t size);
/* Zeroes before Genesis. */
void look_head(const struct node *n, struct ca_head *out);
void look_status(void *ctx, struct front_status *out);
enum code look_ready(void *ctx, struct buf *why);
uint64_t look_age_ms(void *ctx);
uint64_t look_published(void *ctx);
bool look_clock_off(void *ctx);
/* What look_ready answers from now on; takes why. */
void look_set_ready(struct node *n, struct buf *why);
void look_publish(struct node *n, const struct raft_status *st);

/* ---- issuers.c: what leaves take from their issuers ---- */

#define ISSUERS_KEPT 8

struct issuers { /* all zero: none yet; one thread's own */
	struct issuer_row {
		struct buf cert; /* what was read; empty: a free row */
		struct pki_issuer from;
	} row[ISSUERS_KEPT];
	size_t next;
};
/* As pki_issuer_from_cert; *out borrows from m, until ISSUERS_KEPT others have
 * been read. */
enum code issuers_read(struct issuers *m, struct span cert,
    struct pki_issuer *out, struct err *e) MUST_CHECK;
void issuers_free(struct issuers *m);

/* ---- verify.c: the signature of each record, off the commit path ---- */

struct verifier;
struct publisher;
enum code verify_start(struct node *n, struct err *e) MUST_CHECK;
void verify_stop(struct node *n);

/* ---- trace.c: raft's steps, for others to check ---- */

enum code trace_open(
    struct node *n, const char *path, struct err *e) MUST_CHECK;
void trace_step(struct node *n, const struct raft_trace *event);
void trace_close(struct node *n);

/* ---- joining.c ---- */

/* Ask until an operator has approved; n->provision is then the whole one. */
enum code joining_wait(struct node *n, struct err *e) MUST_CHECK;

/* ---- The node ---- */

#define OP_BUCKETS 4096

struct node {
	char dir[PATH_MAX];
	struct provision provision;
	uint64_t id; /* raft id; 0 while it joins */
	uint64_t started_ms;
	struct signer *signer;
	struct store *store;
	struct mesh *mesh;
	struct front *front;
	struct raft *raft;
	struct ca *ca; /* on the store's open transaction */
	struct ca_db db;
	struct ca_crypto crypto;

	int wake_fd;
	atomic_bool stop;
	atomic_bool drained; /* the front has ended */

	/* lock covers these */
	pthread_mutex_t lock;
	struct task *inbox, **inbox_end;
	struct ca_view *view_out; /* for other threads */
	struct buf not_ready;     /* reasons, one a line */
	uint64_t turned_ms;       /* when the loop last came round */

	/* the loop's own */
	struct ca_view *view; /* NULL before Genesis */
	bool view_dirty;
	struct buf root_bundle; /* PEM */
	struct issuers issuers;
	uint64_t signer_fed; /* index of the last entry it was told */

	unsigned tick_ms, configured_tick_ms;
	uint64_t next_tick_ms, next_duty_ms, next_status_ms, next_expiry_ms;
	uint64_t next_reader_check_ms;
	uint64_t commit_due_ms;    /* 0: nothing pends */
	uint64_t campaign_wait_ms; /* of its last draw */
	uint64_t campaign_ms; /* when, after the leader is gone; 0: it is not */

	raft_id leader;
	enum raft_state role;
	raft_term term;

	struct op *slots[NODE_OPS_MAX];
	struct op *buckets[OP_BUCKETS];
	struct op *oldest, *newest;
	size_t ops_n, to_sign_n, to_propose_n;
	uint64_t next_op;
	uint64_t issued; /* certificates released */

	struct read_op *reads;
	uint64_t next_read;

	struct peer peers[MESH_PEERS_MAX];
	size_t peers_n;
	struct snapshot_in *receiving;
	uint64_t stale_stream; /* broken off, or refused: of chunks */

	struct {
		uint64_t ask;         /* random; 0: the log is whole */
		uint64_t hopeless_ms; /* since when there is nobody to ask */
	} repair;
	bool space_low;
	char diverged[200]; /* why this node no longer serves; empty: it does */
	char alarm_members[200];
	char alarm_snapshot[200]; /* why the last one was not taken */
	int64_t clock_behind_ms;  /* against the peers' median */
	int64_t clock_lead_ms;    /* time of day minus monotonic time, last */
	uint64_t clock_jumped_ms; /* monotonic; 0: never */
	bool clock_doubted;       /* it jumped, and no peer has said since */
	bool clock_told;          /* an event says that it is off */
	atomic_bool clock_is_off;
	char clock_off[200]; /* why its time stamps nothing; empty: it does */
	bool crl_everywhere; /* of this node's issuer */
	struct crl_proposed {
		uint8_t issuer[CA_KEY_ID_LEN];
		uint64_t number, at_ms;
	} crl_proposed[NODE_CRL_PROPOSED];
	atomic_uint_fast64_t in_touch_ms; /* with a quorum, last */
	atomic_uint_fast64_t bad_record;  /* index of one, from the verifier */
	struct verifier *verifier;
	struct trace *trace;            /* NULL: nobody asked for one */
	struct publisher *publisher;    /* NULL: nothing is published */
	atomic_uint_fast64_t published; /* up to this index of the view */
	uint64_t checkpoint_retry_ms;
	struct api_cert *api_cert;
};

/* Stop serving: this node's state is not that of the others. */
void node_diverged(struct node *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
const struct ca_node *node_self(const struct node *n); /* or NULL */

#endif
