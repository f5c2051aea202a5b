/* der.h -- write DER (X.690 §10) by appending to a buffer, and step through it.
 * A constructed value is written content first; der_end then puts its header
 * in front.  Writers never fail on the spot: memory that ran out shows in
 * buf_check. */
#ifndef QUORATE_PKI_DER_H
#define QUORATE_PKI_DER_H

#include "base/buf.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT_0 = 0x80, /* [0] primitive; add the number */
	DER_CONSTRUCTED_0 = 0xa0,
};

#define DER_OIDS(X)                                                            \
	X(OID_ECDSA_SHA256, "\x2a\x86\x48\xce\x3d\x04\x03\x02")                \
	X(OID_RSA, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")                     \
	X(OID_RSA_SHA256, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")              \
	X(OID_EXTENSION_REQUEST, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")       \
	X(OID_COMMON_NAME, "\x55\x04\x03")                                     \
	X(OID_SERIAL_NUMBER, "\x55\x04\x05")                                   \
	X(OID_ORGANIZATION, "\x55\x04\x0a")                                    \
	X(OID_SUBJECT_KEY_ID, "\x55\x1d\x0e")                                  \
	X(OID_KEY_USAGE, "\x55\x1d\x0f")                                       \
	X(OID_SUBJECT_ALT_NAME, "\x55\x1d\x11")                                \
	X(OID_BASIC_CONSTRAINTS, "\x55\x1d\x13")                               \
	X(OID_CRL_NUMBER, "\x55\x1d\x14")                                      \
	X(OID_CRL_REASON, "\x55\x1d\x15")                                      \
	X(OID_NAME_CONSTRAINTS, "\x55\x1d\x1e")                                \
	X(OID_AUTHORITY_KEY_ID, "\x55\x1d\x23")                                \
	X(OID_EXT_KEY_USAGE, "\x55\x1d\x25")                                   \
	X(OID_SERVER_AUTH, "\x2b\x06\x01\x05\x05\x07\x03\x01")                 \
	X(OID_CLIENT_AUTH, "\x2b\x06\x01\x05\x05\x07\x03\x02")

enum der_oid {
#define X(name, bytes) name,
	DER_OIDS(X)
#undef X
};

struct span der_oid_bytes(enum der_oid oid);

/* Where a constructed value's content starts. */
size_t der_begin(const struct buf *b);
/* Everything since `at` becomes the content of one value with that tag. */
void der_end(struct buf *b, size_t at, unsigned tag);

void der_put(struct buf *b, unsigned tag, struct span content);
void der_oid(struct buf *b, enum der_oid oid);
void der_true(struct buf *b);
/* Non-negative, from big-endian bytes; leading zeros do not matter. */
void der_uint(struct buf *b, unsigned tag, struct span be);
void der_u64(struct buf *b, unsigned tag, uint64_t v);
void der_bits(struct buf *b, struct span bytes); /* no unused bits */
/* A NamedBitList of at most eight bits, the first in the top one (X.690
 * §11.2.2). */
void der_named_bits(struct buf *b, uint8_t bits);

/* RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
#define DER_TIME_MAX_S 253402300799ULL         /* 9999-12-31 23:59:59 */
void der_time(struct buf *b, uint64_t unix_s); /* at most DER_TIME_MAX_S */

/* Take one value with that tag off the front of *in; false if the next one is
 * another, or is not DER.  *whole may be NULL: header and content. */
bool der_take(
    struct span *in, unsigned tag, struct span *content, struct span *whole);
/* A time of RFC 5280 §4.1.2.5 from 1970 on, in either of its types. */
bool der_take_time(struct span *in, uint64_t *unix_s);
/* A positive or zero INTEGER in its shortest form. */
bool der_take_uint(struct span *in, struct span *be);

#endif
