/* internal.h -- what the files of src/front share: event loops and their
 * mailboxes, TLS, and the front itself. */
#ifndef QUORATE_FRONT_INTERNAL_H
#define QUORATE_FRONT_INTERNAL_H

#include <pthread.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "front/front.h"

/* ---- loop.c: one thread, one event base, one mailbox ----------------------
 */

/* A message for a loop.  run() is called exactly once and owns m: on the loop's
 * thread with the loop's owner, or, once the loop has closed, on any thread
 * with NULL: then it only frees. */
struct mail {
	struct mail *next;
	void (*run)(struct mail *m, void *owner);
};

/* Lives until its last reference: who posts may outlive the loop. */
struct mailbox;
struct mailbox *mailbox_ref(struct mailbox *b);
void mailbox_unref(struct mailbox *b);                /* NULL is fine */
void mailbox_post(struct mailbox *b, struct mail *m); /* any thread */

struct loop {
	struct event_base *base;
	struct mailbox *box;
	pthread_t thread;
	bool running;
};
enum code loop_init(struct loop *l, void *owner, struct err *e) MUST_CHECK;
/* Start the thread; it blocks all signals. */
enum code loop_run(struct loop *l, struct err *e) MUST_CHECK;
void loop_join(struct loop *l);  /* after event_base_loopbreak on its thread */
void loop_close(struct loop *l); /* disposes of waiting mail */
void loop_free(struct loop *l);

/* ---- worker.c: a thread for reads that may block --------------------------
 */

struct worker;
enum code worker_start(struct worker **out, struct err *e) MUST_CHECK;
/* fn(arg) on the worker's thread, later.  E_EXHAUSTED: too many wait. */
enum code worker_do(struct worker *w, void (*fn)(void *arg), void *arg,
    struct err *e) MUST_CHECK;
void worker_stop(struct worker *w); /* does what waits first; NULL is fine */

/* ---- listen.c -------------------------------------------------------------
 */

/* A listening socket, not blocking.  share: SO_REUSEPORT. */
enum code listen_on(const char *ip, uint16_t port, bool share, int *fd,
    struct err *e) MUST_CHECK;

/* ---- tls.c ----------------------------------------------------------------
 */

enum tls_kind { TLS_H2, TLS_HTTP1 };
enum code tls_context(SSL_CTX **out, enum tls_kind kind, struct span chain_pem,
    struct span key_pem, struct err *e) MUST_CHECK;

/* ---- front.c --------------------------------------------------------------
 */

#define FRONT_GRPC_THREADS_MAX 16

struct grpc_loop;
struct http_loop;

struct front {
	struct front_config config;
	char listen[64];
	struct front_ops ops;
	pthread_mutex_t open_lock; /* one front_set_tls at a time */
	pthread_mutex_t tls_lock;
	SSL_CTX *tls[2]; /* by tls_kind; NULL before front_set_tls */
	struct worker *worker;
	struct http_loop *metrics, *https;
	struct grpc_loop *grpc[FRONT_GRPC_THREADS_MAX];
	size_t grpc_n;
};

/* A connection's TLS state under the newest certificate; NULL if memory is
 * short.  Any thread. */
SSL *front_ssl(struct front *f, enum tls_kind kind);

/* What a caller may read of an error: faults of ours are logged instead. */
const char *front_text(enum code rc, const struct err *e);

/* ---- server.c -------------------------------------------------------------
 */

enum code grpc_loop_start(
    struct grpc_loop **out, struct front *f, struct err *e) MUST_CHECK;
void grpc_loop_drain(struct grpc_loop *g, unsigned drain_ms); /* any thread */
void grpc_loop_stop(struct grpc_loop *g); /* joins and frees; NULL is fine */

/* ---- https.c, plain.c, metrics.c ------------------------------------------
 */

enum code https_start(
    struct http_loop **out, struct front *f, struct err *e) MUST_CHECK;
enum code plain_add(struct http_loop *h, struct err *e) MUST_CHECK;
enum code metrics_start(
    struct http_loop **out, struct front *f, struct err *e) MUST_CHECK;

#endif
