/* published.c -- publish.dir: what an istiod mounts is whole whenever it is
 * looked at, and in the end it is what the node says. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "base/fs.h"
#include "chaos.h"

#define FILE_BYTES_MAX (8 << 20)

static enum code read_file(
    const struct chaos *c, size_t node, const char *name, struct buf *out)
{
	char dir[PATH_MAX], path[PATH_MAX];

	world_publish_dir(c, &c->nodes[node], dir);
	if (fs_join(path, sizeof(path), dir, name, NULL) != E_OK)
		return E_INVAL;
	return fs_read(path, FILE_BYTES_MAX, out, NULL);
}

static size_t count_of(struct span text, const char *what)
{
	size_t n = 0, len = strlen(what);
	const uint8_t *at = text.p, *end = text.p + text.len;

	while (at < end &&
	       (at = memmem(at, (size_t)(end - at), what, len)) != NULL) {
		at += len;
		n++;
	}
	return n;
}

/* At least one, and nothing that does not parse. */
static bool crls_parse(struct span text)
{
	BIO *in = BIO_new_mem_buf(text.p, (int)text.len);
	X509_CRL *crl;
	size_t n = 0;

	while (in != NULL &&
	       (crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL) {
		X509_CRL_free(crl);
		n++;
	}
	ERR_clear_error();
	BIO_free(in);
	return n > 0 && n == count_of(text, "-----BEGIN") &&
	       n == count_of(text, "-----END");
}

bool published_look(struct chaos *c, size_t node)
{
	struct buf text;
	enum code rc;
	bool ok;

	buf_init(&text);
	rc = read_file(c, node, "ca-crl.pem", &text);
	ok = rc == E_OK ? crls_parse(buf_span(&text))
			: rc == E_NOTFOUND && !c->published[node];
	c->published[node] = c->published[node] || rc == E_OK;
	buf_free(&text);
	return ok;
}

static bool is_current(struct chaos *c, size_t node)
{
	const struct client_request r = {
	    .method = "GET", .path = "/v1/crl?format=pem"};
	struct client_answer answer = {0};
	struct err e = {0};
	struct buf text;
	bool same;

	buf_init(&text);
	same = client_call(c->client[node], &r, &answer, &e) == E_OK &&
	       read_file(c, node, "ca-crl.pem", &text) == E_OK &&
	       span_eq(buf_span(&text), buf_span(&answer.body));
	client_answer_free(&answer);
	buf_free(&text);
	return same;
}

void check_published(struct chaos *c)
{
	uint64_t end = clock_mono_ms() + c->patience_s * 1000;

	if (c->shared->published_bad > 0)
		report_violation(c, "published",
		    "%llu times a publish.dir held no whole list of CRLs, "
		    "first that of %s",
		    (unsigned long long)c->shared->published_bad,
		    c->nodes[c->shared->published_first].name);
	for (size_t i = 0; i < NODES; i++) {
		bool current = is_current(c, i);

		while (!current && clock_mono_ms() < end) {
			proc_pause_ms(100);
			current = is_current(c, i);
		}
		if (!current)
			report_violation(c, "published",
			    "publish.dir of %s is not what the node says",
			    c->nodes[i].name);
	}
}
