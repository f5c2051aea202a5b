/* memory.h -- one arena a message: what a decoder makes is freed at once, and
 * what an encoder needs on the way too.  Shared by the files of src/wire. */
#ifndef QUORATE_WIRE_MEMORY_H
#define QUORATE_WIRE_MEMORY_H

#include <protobuf-c/protobuf-c.h>

#include "quorate.pb-c.h"
#include "wire/wire.h"

#define WIRE_MESSAGE_MAX (8 * 1024 * 1024)

struct wire_memory *memory_new(void); /* NULL if memory is short */
/* Zeroed; NULL if memory is short.  Freed by wire_free. */
void *memory_get(struct wire_memory *m, size_t n, size_t size);
/* n pointers. */
static inline void *memory_list(struct wire_memory *m, size_t n)
{
	return memory_get(m, n, sizeof(void *));
}

/* How a message is read: scan.c says what STRICT, for all that is logged or
 * signed, refuses besides. */
enum wire_care { WIRE_STRICT, WIRE_LOOSE };

/* Unpack into m.  E_INVAL with what; E_NOMEM. */
enum code memory_unpack(struct wire_memory *m,
    const ProtobufCMessageDescriptor *d, struct span in, enum wire_care care,
    const char *what, void *out, struct err *e) MUST_CHECK;
/* scan.c: E_INVAL with what. */
enum code scan_message(const ProtobufCMessageDescriptor *d, struct span in,
    enum wire_care care, const char *what, struct err *e) MUST_CHECK;
/* Append msg to out. */
enum code memory_pack(
    struct buf *out, const void *msg, struct err *e) MUST_CHECK;

static inline ProtobufCBinaryData bytes_of(struct span s)
{
	return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)s.p};
}

/* Binary of at most max bytes. */
enum code take_bytes(ProtobufCBinaryData in, size_t max, const char *field,
    struct span *out, struct err *e) MUST_CHECK;
/* The same without NUL. */
enum code take_name(ProtobufCBinaryData in, size_t max, const char *field,
    struct span *out, struct err *e) MUST_CHECK;
/* Exactly len bytes. */
enum code take_exact(ProtobufCBinaryData in, size_t len, const char *field,
    uint8_t *out, struct err *e) MUST_CHECK;
/* At most CA_LIST_MAX names. */
enum code take_names(size_t n, const ProtobufCBinaryData *in, size_t max,
    const char *field, struct span out[CA_LIST_MAX], size_t *out_n,
    struct err *e) MUST_CHECK;
/* The other way: an array in m; NULL if memory is short. */
ProtobufCBinaryData *give_names(
    struct wire_memory *m, const struct span *in, size_t n);

/* admin.c */
enum code take_cluster(
    const Quorate__Cluster *in, struct ca_cluster *out, struct err *e);
enum code take_node(
    const Quorate__Node *in, struct ca_node *out, struct err *e);
enum code take_operator(
    const Quorate__Operator *in, struct ca_operator *out, struct err *e);
enum code take_token_keys(size_t n, Quorate__TokenKey *const *in,
    struct ca_token_key out[CA_LIST_MAX], size_t *out_n, struct err *e);
void take_policy(const Quorate__Policy *in, struct ca_policy *out);
enum code take_command(
    const Quorate__AdminCommand *in, struct ca_admin *out, struct err *e);
/* entry.c */
enum code take_checkpoint(const Quorate__Checkpoint *in,
    struct ca_checkpoint *out, struct err *e) MUST_CHECK;
Quorate__Cluster *give_cluster(
    struct wire_memory *m, const struct ca_cluster *c);
Quorate__Node *give_node(struct wire_memory *m, const struct ca_node *n);
Quorate__Operator *give_operator(
    struct wire_memory *m, const struct ca_operator *o);
Quorate__Policy *give_policy(struct wire_memory *m, const struct ca_policy *p);
Quorate__Revoke *give_revoke(struct wire_memory *m, const struct ca_revoke *r);
Quorate__TrustBundle *give_bundle(
    struct wire_memory *m, const struct ca_bundle *b);
Quorate__TokenKey **give_token_keys(
    struct wire_memory *m, const struct ca_token_key *k, size_t n);

#endif
