#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct span span_of(const void *p, size_t len)
{
	return (struct span){p, len};
}

struct span span_str(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool span_eq_str(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

char *span_dup_str(struct span s)
{
	char *out;

	if (s.len > 0 && memchr(s.p, 0, s.len) != NULL)
		return NULL;
	out = malloc(s.len + 1);
	if (out == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(out, s.p, s.len);
	out[s.len] = '\0';
	return out;
}

void buf_init(struct buf *b)
{
	*b = (struct buf){0};
}

void buf_free(struct buf *b)
{
	if (b == NULL)
		return;
	free(b->p);
	buf_init(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

struct span buf_span(const struct buf *b)
{
	return (struct span){b->p, b->len};
}

bool buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap;
	uint8_t *p;

	if (more > SIZE_MAX - b->len) {
		b->failed = true;
		return false;
	}
	if (b->len + more <= cap)
		return true;
	if (cap < 64)
		cap = 64;
	while (cap < b->len + more)
		cap = cap > SIZE_MAX / 2 ? b->len + more : cap * 2;
	p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

bool buf_add(struct buf *b, const void *p, size_t len)
{
	if (b->failed || !buf_reserve(b, len))
		return false;
	if (len > 0)
		memcpy(b->p + b->len, p, len);
	b->len += len;
	return true;
}

bool buf_add_span(struct buf *b, struct span s)
{
	return buf_add(b, s.p, s.len);
}

bool buf_add_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

bool buf_add_u8(struct buf *b, uint8_t v)
{
	return buf_add(b, &v, 1);
}

bool buf_add_u16be(struct buf *b, uint16_t v)
{
	uint8_t p[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	return buf_add(b, p, sizeof(p));
}

bool buf_add_u32be(struct buf *b, uint32_t v)
{
	uint8_t p[4];

	put_u32be(p, v);
	return buf_add(b, p, sizeof(p));
}

bool buf_add_u64be(struct buf *b, uint64_t v)
{
	uint8_t p[8];

	put_u64be(p, v);
	return buf_add(b, p, sizeof(p));
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	/* vsnprintf writes a NUL past the text: room for it, not kept */
	if (n < 0 || b->failed || !buf_reserve(b, (size_t)n + 1)) {
		b->failed = true;
		return false;
	}
	va_start(ap, fmt);
	vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return true;
}

enum code buf_check(const struct buf *b, struct err *e)
{
	return b->failed ? err_nomem(e) : E_OK;
}

void reader_init(struct reader *r, struct span s)
{
	*r = (struct reader){s.p, s.len, false};
}

struct span read_span(struct reader *r, size_t len)
{
	struct span s = {r->p, len};

	if (r->bad || len > r->left) {
		r->bad = true;
		return SPAN_EMPTY;
	}
	if (len > 0)
		r->p += len;
	r->left -= len;
	return s;
}

bool read_bytes(struct reader *r, void *out, size_t len)
{
	struct span s = read_span(r, len);

	if (r->bad) {
		memset(out, 0, len);
		return false;
	}
	if (len > 0)
		memcpy(out, s.p, len);
	return true;
}

uint8_t read_u8(struct reader *r)
{
	uint8_t v;

	read_bytes(r, &v, 1);
	return v;
}

uint16_t read_u16be(struct reader *r)
{
	uint8_t p[2];

	read_bytes(r, p, sizeof(p));
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t read_u32be(struct reader *r)
{
	uint8_t p[4];

	read_bytes(r, p, sizeof(p));
	return get_u32be(p);
}

uint64_t read_u64be(struct reader *r)
{
	uint8_t p[8];

	read_bytes(r, p, sizeof(p));
	return get_u64be(p);
}

void put_u32be(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

void put_u64be(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

uint32_t get_u32be(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

uint64_t get_u64be(const uint8_t *p)
{
	return (uint64_t)get_u32be(p) << 32 | get_u32be(p + 4);
}
