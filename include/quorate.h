/* quorate.h -- libquorate: certificates from a quorate trust domain, in C.
 *
 *	struct quorate *q;
 *	struct quorate_options o = {
 *	    .servers = "10.0.0.5:8443,10.1.0.5:8443", .root_pem = root};
 *	struct quorate_certificate c;
 *
 *	if (quorate_open(&q, &o) != QUORATE_OK)
 *		die(quorate_error(q));
 *	if (quorate_request(q, csr_pem, token, 3600, &c) == QUORATE_OK) {
 *		use(c.chain_pem);
 *		quorate_certificate_free(&c);
 *	}
 *	quorate_close(q);
 *
 * A handle belongs to one thread at a time; several handles are independent.
 * Link with -lquorate -lcurl -ljansson -lprotobuf-c -lcrypto -lsodium, or as
 * pkg-config says; docs/examples/request.c is a whole program. */
#ifndef QUORATE_H
#define QUORATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* These numbers are stable. */
enum quorate_status {
	QUORATE_OK = 0,
	QUORATE_INVALID = 1,     /* an argument, the CSR, or an answer */
	QUORATE_REFUSED = 2,     /* token or policy: asking again won't help */
	QUORATE_UNAVAILABLE = 3, /* nobody could answer: ask again later */
	QUORATE_UNKNOWN = 4,     /* no answer came; asking again is safe */
	QUORATE_NO_MEMORY = 5
};

struct quorate; /* a connection to a trust domain */

struct quorate_options {
	const char *servers;  /* HOST[:PORT], separated by commas */
	const char *root_pem; /* trusted root certificates; or NULL, and */
	/* 32 bytes: the root is fetched and must have this SHA-256 (of its
	 * DER).  NULL if root_pem is given. */
	const uint8_t *root_sha256;
	const char *cluster; /* the token's cluster; NULL: its key says which */
	unsigned connect_ms; /* until the TLS handshake is done; 0: 1000 */
	unsigned answer_ms;  /* for an answer; 0: 10000 */
};

/* Make a handle; nothing is sent.  The options are copied.  *q is set also
 * after an error, unless memory is short, so that quorate_error can say what
 * is wrong; it is to be closed in any case.
 * QUORATE_INVALID, QUORATE_NO_MEMORY. */
enum quorate_status quorate_open(
    struct quorate **q, const struct quorate_options *options);

/* Frees the handle and what quorate_error returned.  NULL is fine. */
void quorate_close(struct quorate *q);

struct quorate_certificate {
	char *chain_pem;  /* leaf first, roots last; NUL-terminated */
	char server[300]; /* who issued it */
};

/* Have csr_pem certified for the identity in a service-account token.  Names
 * in the CSR do not count.  ttl_s: lifetime wanted, 0 for the policy's default;
 * a longer one than policy allows is shortened.  Blocks.  The servers are
 * asked in turn: the next one at once if a connection is refused, after
 * connect_ms if there is no handshake.  On success *out is to be freed with
 * quorate_certificate_free; otherwise it is empty. */
enum quorate_status quorate_request(struct quorate *q, const char *csr_pem,
    const char *token, uint64_t ttl_s, struct quorate_certificate *out);

void quorate_certificate_free(struct quorate_certificate *c);

/* What went wrong in the last call on q, for people; "" after a success.
 * Never holds the token.  Lives until the next call on q.  NULL (a handle that
 * could not be made) gives "out of memory". */
const char *quorate_error(const struct quorate *q);

/* "0.1.0" */
const char *quorate_version(void);

#ifdef __cplusplus
}
#endif

#endif
