/* h2.h -- a small blocking HTTP/2 client, for what curl does not show: GOAWAYs,
 * resets, many calls on one connection. */
#ifndef QUORATE_TESTS_H2_H
#define QUORATE_TESTS_H2_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "harness.h"

#define H2_STREAMS 300

struct h2 {
	int fd;
	SSL *ssl;
	nghttp2_session *session;
	int32_t goaway[4]; /* last stream ids, in order */
	unsigned goaways;
	bool closed; /* by the server */
	struct h2_stream {
		int status; /* grpc-status; -1: none yet */
		bool done;
		uint32_t error; /* RST_STREAM or 0 */
		size_t body;    /* bytes received */
		struct span left;
	} streams[2 * H2_STREAMS];
};
void h2_open(struct h2 *c, struct harness *h);
void h2_close(struct h2 *c);
/* POST to CREATE; body must outlive the call.  The stream's id. */
int32_t h2_call(struct h2 *c, const char *token, struct span body);
void h2_reset(struct h2 *c, int32_t stream);
void h2_flush(struct h2 *c);
/* Read and answer frames until done(c, arg), or the server closes; false after
 * limit_ms. */
bool h2_until(struct h2 *c, bool (*done)(struct h2 *c, void *arg), void *arg,
    long limit_ms);
SSL *h2_tls(int fd);

#endif
