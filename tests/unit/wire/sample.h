/* sample.h -- messages with random contents, from a seed, and their contents as
 * text, so that two structs compare field by field. */
#ifndef TESTS_WIRE_SAMPLE_H
#define TESTS_WIRE_SAMPLE_H

#include "wire/wire.h"

/* A generator and the memory of what it made. */
struct sample {
	uint64_t state;
	struct sample_block *blocks;
};
void sample_init(struct sample *s, uint64_t seed);
void sample_free(struct sample *s); /* and all that was made with it */

uint64_t sample_u64(struct sample *s); /* of any length in bits */
size_t sample_below(struct sample *s, size_t n);
struct span sample_bytes(struct sample *s, size_t max); /* 0 to max */
struct span sample_name(struct sample *s, size_t max);  /* without NUL */
void sample_fill(struct sample *s, uint8_t *out, size_t len);
/* n zeroed structs of that size, and what sample_bytes would fill. */
void *sample_get(struct sample *s, size_t n, size_t size);

void sample_issue(struct sample *s, struct ca_issue *out);
void sample_checkpoint(struct sample *s, struct ca_checkpoint *out);
void sample_refresh(struct sample *s, struct ca_refresh_keys *out);
void sample_freeze(struct sample *s, struct ca_freeze_crl *out);
void sample_sign_crl(struct sample *s, struct ca_sign_crl *out);
void sample_genesis(struct sample *s, struct ca_genesis *out);
void sample_command(struct sample *s, struct ca_admin *out);
/* Commands, signatures and the rest, but signed_bytes. */
void sample_envelope(struct sample *s, struct ca_envelope *out);
void sample_mesh(
    struct sample *s, enum wire_mesh_kind kind, struct wire_mesh *out);
void sample_conf(struct sample *s, struct raft_conf_state *out);
void sample_csr(struct sample *s, struct wire_csr_request *out);

/* Signed bytes around the payload of an envelope or of Genesis. */
enum code sample_signed(
    struct buf *out, const struct ca_envelope *env, struct err *e) MUST_CHECK;
enum code sample_signed_genesis(
    struct buf *out, const struct ca_genesis *g, struct err *e) MUST_CHECK;
/* The bytes of an Entry of that kind. */
enum code sample_entry(struct sample *s, enum ca_kind kind, struct buf *out,
    struct err *e) MUST_CHECK;

/* tell.c: every field, a line each. */
void tell_entry(struct buf *b, const struct ca_entry *en);
void tell_issue(struct buf *b, const struct ca_issue *i);
void tell_checkpoint(struct buf *b, const struct ca_checkpoint *c);
void tell_refresh(struct buf *b, const struct ca_refresh_keys *r);
void tell_genesis(struct buf *b, const struct ca_genesis *g);
void tell_envelope(struct buf *b, const struct ca_envelope *v);
void tell_mesh(struct buf *b, const struct wire_mesh *m);
void tell_conf(struct buf *b, const struct raft_conf_state *c);
void tell_csr(struct buf *b, const struct wire_csr_request *r);

#endif
