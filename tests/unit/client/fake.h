/* fake.h -- a server of one behaviour on a loopback port, in a thread. */
#ifndef TESTS_CLIENT_FAKE_H
#define TESTS_CLIENT_FAKE_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/buf.h"

enum fake_kind {
	FAKE_REFUSES, /* nothing listens */
	FAKE_SILENT,  /* the connection opens, and that is all */
	FAKE_ANSWERS, /* TLS; each request is answered */
	FAKE_BREAKS,  /* TLS; reads a request, then hangs up */
	FAKE_HANGS,   /* TLS; reads a request, then says nothing */
	FAKE_ONCE,    /* TLS; answers the first request, then hangs */
};

/* What a path is answered; matched in order, by what it begins with. */
struct fake_route {
	const char *request; /* "GET /v1/view" */
	int status;
	const char *body; /* after "hex:", bytes in hex */
};

struct fake;
/* status and body of each answer; 0 and NULL for those that send none. */
struct fake *fake_start(enum fake_kind kind, int status, const char *body);
/* Answers by route, which end with a NULL request; else 404.  May be changed
 * while nothing is asked. */
struct fake *fake_start_routes(const struct fake_route *routes);
void fake_routes(struct fake *f, const struct fake_route *routes);
/* The body of the last POST, appended to out. */
void fake_posted(struct fake *f, struct buf *out);
void fake_stop(struct fake *f);
const char *fake_name(const struct fake *f); /* 127.0.0.1:port */
size_t fake_asked(const struct fake *f);     /* requests read so far */

/* The certificate of every fake, self-signed for 127.0.0.1: also the root. */
struct span fake_root_pem(void);
struct span fake_root_der(void);
void fake_global_init(void);

#endif
