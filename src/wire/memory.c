/* memory.c -- the arena, and the checks every field goes through. */
#include "wire/memory.h"

#include <stdlib.h>
#include <string.h>

/* A sanitizer sees a read past a block, so there each piece has its own. */
#ifdef QUORATE_SANITIZED
#define BLOCK 0
#else
#define BLOCK 4096
#endif
#define ALIGN (sizeof(void *) * 2)

struct block {
	struct block *next;
	size_t used, cap;
	_Alignas(16) uint8_t data[];
};

/* What others than a log send may be many times its bytes when unpacked, if it
 * is made for that; no real message comes near this bound: the smallest rows
 * take about 20 times their bytes. */
#define UNPACK_BASE 65536
#define UNPACK_TIMES 32

struct wire_memory {
	struct block *blocks;
	size_t used, limit;
	bool failed;   /* memory is short */
	bool too_much; /* past the limit */
};

struct wire_memory *memory_new(void)
{
	struct wire_memory *m = calloc(1, sizeof(*m));

	if (m != NULL)
		m->limit = SIZE_MAX;
	return m;
}

void wire_free(struct wire_memory *m)
{
	struct block *next;

	if (m == NULL)
		return;
	for (struct block *b = m->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(m);
}

static void *arena_alloc(void *arg, size_t size)
{
	struct wire_memory *m = arg;
	struct block *b = m->blocks;
	void *p;

	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (size > m->limit - m->used) {
		m->too_much = true;
		return NULL;
	}
	if (b == NULL || b->cap - b->used < size) {
		size_t cap = size > BLOCK ? size : BLOCK;

		b = malloc(sizeof(*b) + cap);
		if (b == NULL) {
			m->failed = true;
			return NULL;
		}
		*b = (struct block){.next = m->blocks, .cap = cap};
		m->blocks = b;
	}
	p = b->data + b->used;
	b->used += size;
	m->used += size;
	return p;
}

static void arena_free(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

void *memory_get(struct wire_memory *m, size_t n, size_t size)
{
	void *p;

	if (n == 0)
		n = 1;
	if (n > SIZE_MAX / 2 / size)
		return NULL;
	p = arena_alloc(m, n * size);
	if (p != NULL)
		memset(p, 0, n * size);
	return p;
}

enum code memory_unpack(struct wire_memory *m,
    const ProtobufCMessageDescriptor *d, struct span in, enum wire_care care,
    const char *what, void *out, struct err *e)
{
	ProtobufCAllocator arena = {arena_alloc, arena_free, m};
	enum code rc;
	void *msg;

	if (in.len > WIRE_MESSAGE_MAX)
		return err_set(
		    e, E_INVAL, "%s: %zu bytes are too many", what, in.len);
	if ((rc = scan_message(d, in, care, what, e)) != E_OK)
		return rc;
	if (care == WIRE_LOOSE)
		m->limit = m->used + UNPACK_BASE + UNPACK_TIMES * in.len;
	msg = protobuf_c_message_unpack(d, &arena, in.len, in.p);
	m->limit = SIZE_MAX;
	if (msg == NULL && m->failed)
		return err_nomem(e);
	if (msg == NULL)
		return err_set(e, E_INVAL,
		    m->too_much ? "%s: it has too many parts"
				: "%s: not a valid message",
		    what);
	*(void **)out = msg;
	return E_OK;
}

enum code memory_pack(struct buf *out, const void *msg, struct err *e)
{
	size_t n = protobuf_c_message_get_packed_size(msg);

	if (out->failed || !buf_reserve(out, n))
		return err_nomem(e);
	if (n > 0)
		out->len += protobuf_c_message_pack(msg, out->p + out->len);
	return E_OK;
}

enum code take_bytes(ProtobufCBinaryData in, size_t max, const char *field,
    struct span *out, struct err *e)
{
	if (in.len > max)
		return err_set(e, E_INVAL, "%s: %zu bytes, at most %zu", field,
		    in.len, max);
	*out = span_of(in.data, in.len);
	return E_OK;
}

enum code take_name(ProtobufCBinaryData in, size_t max, const char *field,
    struct span *out, struct err *e)
{
	if (in.len > 0 && memchr(in.data, '\0', in.len) != NULL)
		return err_set(e, E_INVAL, "%s: a NUL byte in it", field);
	return take_bytes(in, max, field, out, e);
}

enum code take_exact(ProtobufCBinaryData in, size_t len, const char *field,
    uint8_t *out, struct err *e)
{
	if (in.len != len)
		return err_set(
		    e, E_INVAL, "%s: %zu bytes, not %zu", field, in.len, len);
	memcpy(out, in.data, len);
	return E_OK;
}

enum code take_names(size_t n, const ProtobufCBinaryData *in, size_t max,
    const char *field, struct span out[CA_LIST_MAX], size_t *out_n,
    struct err *e)
{
	enum code rc = E_OK;

	if (n > CA_LIST_MAX)
		return err_set(e, E_INVAL, "%s: %zu of them, at most %d", field,
		    n, CA_LIST_MAX);
	for (size_t i = 0; rc == E_OK && i < n; i++)
		rc = take_name(in[i], max, field, &out[i], e);
	*out_n = n;
	return rc;
}

ProtobufCBinaryData *give_names(
    struct wire_memory *m, const struct span *in, size_t n)
{
	ProtobufCBinaryData *out = memory_get(m, n, sizeof(*out));

	for (size_t i = 0; out != NULL && i < n; i++)
		out[i] = bytes_of(in[i]);
	return out;
}
