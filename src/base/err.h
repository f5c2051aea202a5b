/* err.h -- an error code for machines and a text for operators.
 * The text is set once, at the fault; each outer layer may prepend what it
 * was doing.  It never holds key material, tokens or passphrases. */
#ifndef QUORATE_BASE_ERR_H
#define QUORATE_BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* One row a code: name, gRPC status (RFC-less, from grpc/statuscodes), HTTP
 * status.  The edge maps codes by this table and nowhere else. */
#define ERR_CODES(X)                                                           \
	X(E_OK, "ok", 0, 200)                                                  \
	X(E_NOMEM, "out-of-memory", 8, 503)                                    \
	X(E_INVAL, "invalid", 3, 400) /* the caller's bytes are bad */         \
	X(E_UNAUTH, "unauthenticated", 16, 401)                                \
	X(E_DENIED, "denied", 7, 403) /* known, and not allowed */             \
	X(E_NOTFOUND, "not-found", 5, 404)                                     \
	X(E_EXISTS, "exists", 6, 409)                                          \
	X(E_CONFLICT, "conflict", 9, 409)        /* state does not allow it */ \
	X(E_EXHAUSTED, "exhausted", 8, 429)      /* quota or space */          \
	X(E_UNAVAILABLE, "unavailable", 14, 503) /* no quorum, no peer */      \
	X(E_TIMEOUT, "timeout", 4, 504)          /* outcome unknown */         \
	X(E_UNSUPPORTED, "unsupported", 12, 501)                               \
	X(E_CORRUPT, "corrupt", 15, 500) /* stored bytes are wrong */          \
	X(E_IO, "io", 13, 500)                                                 \
	X(E_INTERNAL, "internal", 13, 500)

enum code {
#define X(sym, name, grpc, http) sym,
	ERR_CODES(X)
#undef X
};

struct err {
	enum code code;
	char text[400];
};

/* Stable lower-case name of a code, for logs and JSON. */
const char *code_name(enum code c);
/* The code with that name; E_INTERNAL if there is none. */
enum code code_from_name(const char *name);
int code_grpc(enum code c);
int code_http(enum code c);

/* Record a fault and return its code.  e may be NULL: then only the code
 * travels.  A text that does not fit is cut. */
enum code err_set(struct err *e, enum code c, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Prepend "<what>: " to a text already set; returns c. */
enum code err_wrap(struct err *e, enum code c, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* E_NOMEM with a text. */
enum code err_nomem(struct err *e);

#endif
