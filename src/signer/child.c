/* child.c -- the signer process: takes what is waiting, answers it, waits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "signer/internal.h"

#define BATCH 32              /* requests taken at once */
#define SECURE_HEAP_LEN 32768 /* for OpenSSL's private numbers */
#define SECURE_HEAP_MIN 16

struct child {
	struct signer_keys keys;
	struct trust trust;
	struct trust_seen seen;
	uint64_t boot, seq;
	struct buf feed; /* an entry that is still coming in */
	struct buf crl;  /* rows of a CRL, the same */
	uint64_t crl_number;
	struct buf sig;
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	uint8_t packets[BATCH][MSG_MAX];
	struct msg_reply replies[BATCH];
};

/* ---- Start --------------------------------------------------------------- */

static void wire_up(struct child *c)
{
	for (size_t i = 0; i < BATCH; i++) {
		c->in_iov[i] = (struct iovec){c->packets[i], MSG_MAX};
		c->in[i].msg_hdr.msg_iov = &c->in_iov[i];
		c->in[i].msg_hdr.msg_iovlen = 1;
		c->out_iov[i] =
		    (struct iovec){&c->replies[i], sizeof(c->replies[i])};
		c->out[i].msg_hdr.msg_iov = &c->out_iov[i];
		c->out[i].msg_hdr.msg_iovlen = 1;
	}
}

/* What a signature needs is fetched and set up before files are out of reach.
 */
static enum code warm_up(struct child *c, struct err *e)
{
	const struct span text = span_str("quorate");
	struct span spki =
	    span_of(c->keys.public.issuer_spki, c->keys.public.issuer_spki_len);
	enum code rc = pki_sign(&c->sig, c->keys.issuer, text, e);

	if (rc == E_OK && !pki_verify(spki, text, buf_span(&c->sig)))
		rc = err_set(
		    e, E_CORRUPT, "the issuer key does not match its point");
	if (rc == E_OK)
		rc = pki_key_id(spki, c->trust.own, e);
	while (c->boot == 0)
		c->boot = random_u64();
	return rc;
}

static enum code start(struct child *c, int fd, pid_t parent,
    const struct signer_config *config, struct err *e)
{
	enum code rc = sandbox_isolate(fd, parent, e);

	if (rc != E_OK)
		return rc;
	if (CRYPTO_secure_malloc_init(SECURE_HEAP_LEN, SECURE_HEAP_MIN) == 0)
		return err_set(e, E_NOMEM, "no memory for OpenSSL's keys");
	rc = keys_open(&c->keys, config->keys_path, config->seal_key_path, e);
	if (rc == E_OK)
		rc = warm_up(c, e);
	if (rc == E_OK && !config->no_seccomp)
		rc = sandbox_lock(e);
	return rc;
}

/* ---- Answers ------------------------------------------------------------- */

static void reply_done(
    struct msg_reply *r, enum msg_kind kind, enum code code, const char *why)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->u.done.code = code;
	if (code != E_OK)
		snprintf(r->u.done.why, sizeof(r->u.done.why), "%.199s", why);
}

/* The socket's other end is the node: if it is gone, so is the signer. */
static void send_replies(struct child *c, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		int k =
		    sendmmsg(SANDBOX_FD, c->out + sent, n - sent, MSG_NOSIGNAL);

		if (k > 0)
			sent += (unsigned)k;
		else if (errno != EINTR)
			_exit(0);
	}
}

/* Only a broken node sends what does not add up. */
static _Noreturn void broken(const char *what)
{
	log_event(EV_signer_broken_message, "what=%s", what);
	_exit(1);
}

/* ---- Leaves -------------------------------------------------------------- */

/* The spans that follow the fixed part, as its lengths say. */
static void read_spans(
    struct ca_issue *i, const struct msg_leaf *m, struct reader *r)
{
	i->uri = read_span(r, m->uri_len);
	i->common_name = read_span(r, m->common_name_len);
	i->spki = read_span(r, m->spki_len);
	i->dns_n = m->dns_n;
	for (size_t k = 0; k < i->dns_n; k++)
		i->dns[k] = read_span(r, m->dns_len[k]);
	i->ip_n = m->ip_n;
	for (size_t k = 0; k < i->ip_n; k++) {
		i->ip[k] = read_span(r, m->ip_len[k]);
		if (i->ip[k].len != 4 && i->ip[k].len != 16)
			broken("address");
	}
}

static void read_leaf(
    struct msg_leaf *m, struct ca_issue *i, struct span packet)
{
	struct reader r;

	reader_init(&r, packet);
	if (!read_bytes(&r, m, sizeof(*m)) || m->dns_n > CA_LIST_MAX ||
	    m->ip_n > CA_LIST_MAX)
		broken("leaf");
	*i = (struct ca_issue){
	    .profile = (enum ca_profile)m->profile,
	    .via = (enum ca_via)m->via,
	    .not_after_s = m->not_after_s,
	};
	memcpy(i->serial, m->serial, CA_SERIAL_LEN);
	read_spans(i, m, &r);
	if (r.bad || r.left != 0)
		broken("leaf");
}

static void answer_ok(struct signer_answer *a, const struct ca_issue *i)
{
	memcpy(a->issuer, i->issuer, sizeof(a->issuer));
	a->encoder = i->encoder;
	a->not_before_s = i->not_before_s;
	a->not_after_s = i->not_after_s;
	a->policy_version = i->policy_version;
	memcpy(a->signature, i->signature.p, i->signature.len);
	a->signature_len = i->signature.len;
	memcpy(a->cert_sha256, i->cert_sha256, sizeof(a->cert_sha256));
}

static void answer_leaf(
    struct child *c, struct span packet, struct msg_reply *out)
{
	uint64_t now_s = clock_unix_ms() / 1000;
	struct signer_answer *a = &out->u.leaf;
	struct msg_leaf m;
	struct ca_issue i;
	struct err err = {0};

	memset(out, 0, sizeof(*out));
	out->kind = MSG_LEAF;
	read_leaf(&m, &i, packet);
	a->id = m.id;
	buf_clear(&c->sig);
	a->code =
	    leaf_sign(&c->trust, c->keys.issuer, now_s, &i, &c->sig, &err);
	if (a->code == E_OK) {
		answer_ok(a, &i);
		a->signer_boot = c->boot;
		a->signer_seq = ++c->seq;
	} else {
		snprintf(a->why, sizeof(a->why), "%.159s", err.text);
	}
}

/* ---- Entries and tree heads ---------------------------------------------- */

/* True if the entry is whole, and answered. */
static bool answer_feed(
    struct child *c, struct span packet, struct msg_reply *out)
{
	struct err err = {0};
	struct msg_feed m;
	struct reader r;
	enum code rc;

	reader_init(&r, packet);
	if (!read_bytes(&r, &m, sizeof(m)) || m.total > MSG_FEED_MAX ||
	    m.offset > m.total || r.left > m.total - m.offset)
		broken("entry");
	if (m.offset == 0)
		buf_clear(&c->feed);
	else if (!c->feed.failed && m.offset != c->feed.len)
		broken("entry");
	buf_add(&c->feed, r.p, r.left);
	if (m.offset + r.left < m.total)
		return false;
	rc = buf_check(&c->feed, &err);
	if (rc == E_OK)
		rc = trust_feed(&c->trust, &c->seen, buf_span(&c->feed), &err);
	buf_free(&c->feed);
	reply_done(out, MSG_FEED, rc, err.text);
	return true;
}

static void answer_head(
    struct child *c, struct span packet, struct msg_reply *out)
{
	const struct span prefix = span_str(SIGNER_HEAD_PREFIX);
	struct span text = span_of(packet.p + sizeof(struct msg_head),
	    packet.len - sizeof(struct msg_head));

	if (text.len < prefix.len ||
	    !span_eq(span_of(text.p, prefix.len), prefix)) {
		reply_done(out, MSG_HEAD, E_DENIED, "this is not a tree head");
		return;
	}
	reply_done(out, MSG_HEAD, E_OK, "");
	crypto_sign_detached(
	    out->u.done.sig, NULL, text.p, text.len, c->keys.log_secret);
}

/* ---- CRLs ---------------------------------------------------------------- */

static enum code sign_crl(struct child *c, const struct msg_crl *m,
    struct msg_reply *out, struct err *e)
{
	const struct ca_revoked *rows = (const void *)c->crl.p;
	struct buf tbs;
	enum code rc;

	if (!c->trust.has_issuer)
		return err_set(
		    e, E_CONFLICT, "the signer has no issuer certificate yet");
	if (m->number <= c->crl_number)
		return err_set(e, E_CONFLICT,
		    "CRL %llu was signed already, and numbers only grow",
		    (unsigned long long)c->crl_number);
	buf_init(&tbs);
	buf_clear(&c->sig);
	rc = pki_crl_tbs(&tbs, buf_span(&c->trust.issuer_cert), m->number,
	    m->this_s, m->next_s, rows, m->rows, e);
	if (rc == E_OK)
		rc = pki_sign(&c->sig, c->keys.issuer, buf_span(&tbs), e);
	if (rc == E_OK) {
		c->crl_number = m->number;
		sha256_of(out->u.done.tbs_sha256, buf_span(&tbs));
		out->u.done.sig_len = c->sig.len;
		memcpy(out->u.done.sig, c->sig.p, c->sig.len);
	}
	buf_free(&tbs);
	return rc;
}

/* True if the rows are all there, and answered. */
static bool answer_crl(
    struct child *c, struct span packet, struct msg_reply *out)
{
	const size_t size = sizeof(struct ca_revoked);
	struct err err = {0};
	struct msg_crl m;
	struct reader r;
	enum code rc;

	reader_init(&r, packet);
	if (!read_bytes(&r, &m, sizeof(m)) || m.rows > MSG_CRL_ROWS_MAX ||
	    m.offset > m.rows || r.left % size != 0 ||
	    r.left / size > m.rows - m.offset)
		broken("CRL");
	if (m.offset == 0)
		buf_clear(&c->crl);
	else if (!c->crl.failed && m.offset * size != c->crl.len)
		broken("CRL");
	buf_add(&c->crl, r.p, r.left);
	if (m.offset + r.left / size < m.rows)
		return false;
	reply_done(out, MSG_CRL, E_OK, "");
	rc = buf_check(&c->crl, &err);
	if (rc == E_OK)
		rc = sign_crl(c, &m, out, &err);
	if (rc != E_OK)
		reply_done(out, MSG_CRL, rc, err.text);
	buf_free(&c->crl);
	return true;
}

/* ---- The loop ------------------------------------------------------------ */

/* True if there is a reply in out. */
static bool answer(struct child *c, struct span packet, struct msg_reply *out)
{
	uint32_t kind;

	if (packet.len < sizeof(kind))
		broken("packet");
	memcpy(&kind, packet.p, sizeof(kind));
	switch (kind) {
	case MSG_FEED: return answer_feed(c, packet, out);
	case MSG_LEAF: answer_leaf(c, packet, out); return true;
	case MSG_HEAD: answer_head(c, packet, out); return true;
	case MSG_CRL: return answer_crl(c, packet, out);
	default: broken("kind");
	}
}

/* One batch: what waits already, at least one packet. */
static void serve(struct child *c)
{
	unsigned replies = 0;
	bool closed = false;
	int n = recvmmsg(SANDBOX_FD, c->in, BATCH, MSG_WAITFORONE, NULL);

	if (n < 0 && errno != EINTR)
		_exit(0);
	for (int k = 0; k < n && !closed; k++) {
		struct span packet = span_of(c->packets[k], c->in[k].msg_len);

		closed = packet.len == 0;
		if ((c->in[k].msg_hdr.msg_flags & MSG_TRUNC) != 0)
			broken("length");
		if (!closed && answer(c, packet, &c->replies[replies]))
			replies++;
	}
	send_replies(c, replies);
	if (closed)
		_exit(0);
}

_Noreturn void child_main(
    int fd, pid_t parent, const struct signer_config *config)
{
	struct child *c = calloc(1, sizeof(*c));
	struct err err = {0};
	enum code rc;

	if (c == NULL)
		_exit(1);
	wire_up(c);
	rc = start(c, fd, parent, config, &err);
	reply_done(&c->replies[0], MSG_HELLO, rc, err.text);
	c->replies[0].u.done.keys = c->keys.public;
	send_replies(c, 1);
	if (rc != E_OK)
		_exit(1);
	for (;;)
		serve(c);
}
