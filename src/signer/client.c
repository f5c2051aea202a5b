/* client.c -- the node's end: start the process, ask, and take the answers. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signer/internal.h"

#define SYNC_TIMEOUT_MS 10000 /* a synchronous call takes milliseconds */
#define FEED_PART (MSG_MAX - sizeof(struct msg_feed))

struct signer {
	int fd;       /* the socket */
	int event_fd; /* readable while queue is not empty */
	int epoll_fd; /* of both: what the node polls */
	pid_t pid;
	bool gone;
	struct signer_public public;
	size_t asked; /* leaves that have no answer yet */
	/* Answers that a synchronous call came across, oldest first; there is
	 * room for as many as were asked for. */
	struct signer_answer *queue;
	size_t queue_at, queue_n, queue_cap;
};

/* ---- One message --------------------------------------------------------- */

static enum code gone(struct signer *s, const char *why, struct err *e)
{
	s->gone = true;
	return err_set(e, E_UNAVAILABLE, "the signer process %s", why);
}

/* E_NOTFOUND if nothing waits. */
static enum code receive(struct signer *s, struct msg_reply *r, struct err *e)
{
	ssize_t n;

	if (s->gone)
		return gone(s, "is gone", e);
	do
		n = recv(s->fd, r, sizeof(*r), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return err_set(e, E_NOTFOUND, "the signer has no answer yet");
	if (n <= 0)
		return gone(s, "has ended", e);
	if (n != sizeof(*r))
		return gone(s, "answers with what is no answer", e);
	return E_OK;
}

/* E_EXHAUSTED if the socket is full. */
static enum code send_parts(
    struct signer *s, struct iovec *iov, size_t n, struct err *e)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent;

	if (s->gone)
		return gone(s, "is gone", e);
	do
		sent = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return E_OK;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return err_set(e, E_EXHAUSTED, "the signer's socket is full");
	return gone(s, "has ended", e);
}

/* ---- The queue ----------------------------------------------------------- */

/* Room for all that waits, the answers to all that was asked, and one more. */
static enum code queue_reserve(struct signer *s, struct err *e)
{
	size_t cap = s->queue_cap == 0 ? 64 : 2 * s->queue_cap;
	void *p;

	if (s->queue_n - s->queue_at + s->asked < s->queue_cap)
		return E_OK;
	p = realloc(s->queue, cap * sizeof(*s->queue));
	if (p == NULL)
		return err_nomem(e);
	s->queue = p;
	s->queue_cap = cap;
	return E_OK;
}

static void queue_push(struct signer *s, const struct signer_answer *a)
{
	if (s->queue_at > 0) {
		s->queue_n -= s->queue_at;
		memmove(s->queue, s->queue + s->queue_at,
		    s->queue_n * sizeof(*s->queue));
		s->queue_at = 0;
	}
	if (s->queue_n == 0)
		(void)eventfd_write(s->event_fd, 1);
	s->queue[s->queue_n++] = *a;
}

static bool queue_pop(struct signer *s, struct signer_answer *out)
{
	eventfd_t ignored;

	if (s->queue_at == s->queue_n)
		return false;
	*out = s->queue[s->queue_at++];
	if (s->queue_at == s->queue_n) {
		s->queue_at = s->queue_n = 0;
		(void)eventfd_read(s->event_fd, &ignored);
	}
	return true;
}

/* ---- Synchronous calls --------------------------------------------------- */

static enum code wait_for(struct signer *s, short events, struct err *e)
{
	struct pollfd p = {.fd = s->fd, .events = events};
	int n;

	do
		n = poll(&p, 1, SYNC_TIMEOUT_MS);
	while (n < 0 && errno == EINTR);
	return n > 0 ? E_OK : gone(s, "does not answer", e);
}

/* The next reply; a leaf's answer is queued.  E_NOTFOUND if nothing waits, or
 * if it was a leaf's. */
static enum code receive_done(
    struct signer *s, struct msg_reply *r, struct err *e)
{
	enum code rc = receive(s, r, e);

	if (rc != E_OK || r->kind != MSG_LEAF)
		return rc;
	if (s->asked == 0)
		return gone(s, "answers what nobody asked", e);
	s->asked--;
	queue_push(s, &r->u.leaf);
	return err_set(e, E_NOTFOUND, "a leaf's answer came first");
}

/* Answers are taken while the socket is full: neither end waits for the other.
 */
static enum code sync_send(
    struct signer *s, struct iovec *iov, size_t n, struct err *e)
{
	struct msg_reply r;
	enum code rc;

	while ((rc = send_parts(s, iov, n, e)) == E_EXHAUSTED) {
		if ((rc = wait_for(s, POLLIN | POLLOUT, e)) != E_OK)
			return rc;
		rc = receive_done(s, &r, e);
		if (rc == E_OK)
			return gone(s, "answers what nobody asked", e);
		if (rc != E_NOTFOUND)
			return rc;
	}
	return rc;
}

static enum code sync_receive(
    struct signer *s, enum msg_kind kind, struct msg_reply *r, struct err *e)
{
	enum code rc;

	while ((rc = receive_done(s, r, e)) == E_NOTFOUND)
		if ((rc = wait_for(s, POLLIN, e)) != E_OK)
			return rc;
	if (rc != E_OK)
		return rc;
	if (r->kind != kind)
		return gone(s, "answers what nobody asked", e);
	return r->u.done.code == E_OK
		   ? E_OK
		   : err_set(e, r->u.done.code, "%.199s", r->u.done.why);
}

enum code signer_feed(struct signer *s, struct span raw, struct err *e)
{
	struct msg_feed m = {.kind = MSG_FEED, .total = (uint32_t)raw.len};
	struct msg_reply r;
	size_t at = 0;
	enum code rc;

	if (raw.len == 0 || raw.len > MSG_FEED_MAX)
		return err_set(e, E_INVAL,
		    "an entry of %zu bytes, expected 1 to %d", raw.len,
		    MSG_FEED_MAX);
	while (at < raw.len) {
		size_t n = raw.len - at < FEED_PART ? raw.len - at : FEED_PART;
		struct iovec iov[2] = {
		    {&m, sizeof(m)}, {(void *)(uintptr_t)(raw.p + at), n}};

		m.offset = (uint32_t)at;
		if ((rc = sync_send(s, iov, 2, e)) != E_OK)
			return rc;
		at += n;
	}
	return sync_receive(s, MSG_FEED, &r, e);
}

enum code signer_sign_head(
    struct signer *s, struct span head, uint8_t sig[64], struct err *e)
{
	struct msg_head m = {.kind = MSG_HEAD};
	struct iovec iov[2] = {
	    {&m, sizeof(m)}, {(void *)(uintptr_t)head.p, head.len}};
	struct msg_reply r;
	enum code rc;

	if (head.len > SIGNER_HEAD_MAX)
		return err_set(e, E_INVAL,
		    "a tree head of %zu bytes, expected at most %d", head.len,
		    SIGNER_HEAD_MAX);
	if ((rc = sync_send(s, iov, 2, e)) != E_OK ||
	    (rc = sync_receive(s, MSG_HEAD, &r, e)) != E_OK)
		return rc;
	memcpy(sig, r.u.done.sig, 64);
	return E_OK;
}

#define CRL_PART                                                               \
	((MSG_MAX - sizeof(struct msg_crl)) / sizeof(struct ca_revoked))

enum code signer_sign_crl(struct signer *s, const struct signer_crl *c,
    uint8_t sig[CA_SIG_MAX], size_t *sig_len, uint8_t tbs_sha256[SHA256_LEN],
    struct err *e)
{
	struct msg_crl m = {.kind = MSG_CRL,
	    .rows = (uint32_t)c->n,
	    .number = c->number,
	    .this_s = c->this_s,
	    .next_s = c->next_s};
	struct msg_reply r;
	size_t at = 0;
	enum code rc;

	if (c->n > MSG_CRL_ROWS_MAX)
		return err_set(e, E_INVAL, "a CRL of %zu entries, at most %d",
		    c->n, MSG_CRL_ROWS_MAX);
	do {
		size_t n = c->n - at < CRL_PART ? c->n - at : CRL_PART;
		struct iovec iov[2] = {
		    {&m, sizeof(m)}, {(void *)(uintptr_t)(c->rows + at),
					 n * sizeof(struct ca_revoked)}};

		m.offset = (uint32_t)at;
		if ((rc = sync_send(s, iov, 2, e)) != E_OK)
			return rc;
		at += n;
	} while (at < c->n);
	if ((rc = sync_receive(s, MSG_CRL, &r, e)) != E_OK)
		return rc;
	*sig_len = r.u.done.sig_len;
	memcpy(sig, r.u.done.sig, CA_SIG_MAX);
	memcpy(tbs_sha256, r.u.done.tbs_sha256, SHA256_LEN);
	return E_OK;
}

/* ---- Leaves -------------------------------------------------------------- */

static enum code check_lengths(const struct ca_issue *i, struct err *e)
{
	if (i->uri.len > CA_URI_MAX ||
	    i->common_name.len > MSG_COMMON_NAME_MAX ||
	    i->spki.len > CA_SPKI_MAX || i->dns_n > CA_LIST_MAX ||
	    i->ip_n > CA_LIST_MAX)
		return err_set(e, E_INVAL, "a name or the key is too long");
	for (size_t k = 0; k < i->dns_n; k++)
		if (i->dns[k].len > MSG_DNS_MAX)
			return err_set(
			    e, E_INVAL, "DNS name %zu is too long", k + 1);
	for (size_t k = 0; k < i->ip_n; k++)
		if (i->ip[k].len != 4 && i->ip[k].len != 16)
			return err_set(e, E_INVAL, "address %zu has %zu octets",
			    k + 1, i->ip[k].len);
	return E_OK;
}

static void add_part(struct iovec *iov, size_t *n, struct span part)
{
	iov[(*n)++] = (struct iovec){(void *)(uintptr_t)part.p, part.len};
}

#define LEAF_PARTS (4 + 2 * CA_LIST_MAX)

/* The message, and where its parts are; returns their number. */
static size_t write_leaf(struct msg_leaf *m, struct iovec iov[LEAF_PARTS],
    const struct signer_request *r)
{
	const struct ca_issue *i = &r->issue;
	size_t n = 0;

	memset(m, 0, sizeof(*m));
	m->kind = MSG_LEAF;
	m->profile = i->profile;
	m->via = i->via;
	m->id = r->id;
	m->not_after_s = i->not_after_s;
	memcpy(m->serial, i->serial, sizeof(m->serial));
	m->uri_len = (uint16_t)i->uri.len;
	m->common_name_len = (uint16_t)i->common_name.len;
	m->spki_len = (uint16_t)i->spki.len;
	m->dns_n = (uint16_t)i->dns_n;
	m->ip_n = (uint16_t)i->ip_n;
	add_part(iov, &n, span_of(m, sizeof(*m)));
	add_part(iov, &n, i->uri);
	add_part(iov, &n, i->common_name);
	add_part(iov, &n, i->spki);
	for (size_t k = 0; k < i->dns_n; k++) {
		m->dns_len[k] = (uint8_t)i->dns[k].len;
		add_part(iov, &n, i->dns[k]);
	}
	for (size_t k = 0; k < i->ip_n; k++) {
		m->ip_len[k] = (uint8_t)i->ip[k].len;
		add_part(iov, &n, i->ip[k]);
	}
	return n;
}

enum code signer_ask(
    struct signer *s, const struct signer_request *r, struct err *e)
{
	struct iovec iov[LEAF_PARTS];
	struct msg_leaf m;
	size_t n;
	enum code rc;

	if ((rc = check_lengths(&r->issue, e)) != E_OK ||
	    (rc = queue_reserve(s, e)) != E_OK)
		return rc;
	n = write_leaf(&m, iov, r);
	rc = send_parts(s, iov, n, e);
	if (rc == E_OK)
		s->asked++;
	return rc == E_EXHAUSTED ? E_UNAVAILABLE : rc;
}

enum code signer_receive(
    struct signer *s, struct signer_answer *out, struct err *e)
{
	struct msg_reply r;
	enum code rc;

	if (queue_pop(s, out))
		return E_OK;
	if ((rc = receive(s, &r, e)) != E_OK)
		return rc;
	if (r.kind != MSG_LEAF || s->asked == 0)
		return gone(s, "answers what nobody asked", e);
	s->asked--;
	*out = r.u.leaf;
	return E_OK;
}

/* ---- The process --------------------------------------------------------- */

static enum code watch(struct signer *s, int fd, struct err *e)
{
	struct epoll_event ev = {.events = EPOLLIN};

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0
		   ? E_OK
		   : err_set(e, E_IO, "cannot watch the signer's socket: %s",
			 strerror(errno));
}

static enum code open_polled(struct signer *s, struct err *e)
{
	enum code rc;

	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->event_fd < 0 || s->epoll_fd < 0)
		return err_set(e, E_IO, "cannot watch the signer's socket: %s",
		    strerror(errno));
	rc = watch(s, s->fd, e);
	return rc == E_OK ? watch(s, s->event_fd, e) : rc;
}

static enum code fork_child(
    struct signer *s, const struct signer_config *c, struct err *e)
{
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_set(e, E_IO, "cannot make the signer's socket: %s",
		    strerror(errno));
	s->fd = pair[0];
	s->pid = fork();
	if (s->pid == 0)
		child_main(pair[1], parent, c);
	close(pair[1]);
	return s->pid > 0 ? E_OK
			  : err_set(e, E_IO, "cannot fork the signer: %s",
				strerror(errno));
}

enum code signer_start(
    struct signer **out, const struct signer_config *c, struct err *e)
{
	struct signer *s = calloc(1, sizeof(*s));
	struct msg_reply hello;
	enum code rc;

	*out = NULL;
	if (s == NULL)
		return err_nomem(e);
	s->fd = s->event_fd = s->epoll_fd = -1;
	rc = fork_child(s, c, e);
	if (rc == E_OK)
		rc = open_polled(s, e);
	if (rc == E_OK)
		rc = sync_receive(s, MSG_HELLO, &hello, e);
	if (rc == E_OK) {
		s->public = hello.u.done.keys;
		*out = s;
	} else {
		rc = err_wrap(e, rc, "starting the signer");
		signer_stop(s);
	}
	return rc;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

void signer_stop(struct signer *s)
{
	if (s == NULL)
		return;
	close_if(s->epoll_fd);
	close_if(s->event_fd);
	close_if(s->fd);
	if (s->pid > 0 && s->gone)
		kill(s->pid, SIGKILL);
	if (s->pid > 0)
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	free(s->queue);
	free(s);
}

int signer_fd(const struct signer *s)
{
	return s->epoll_fd;
}

int signer_pid(const struct signer *s)
{
	return s->pid;
}

void signer_public_keys(const struct signer *s, struct signer_public *out)
{
	*out = s->public;
}
