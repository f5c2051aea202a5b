/* buf.h -- a borrowed span of bytes, and an owned growable buffer.
 * A failed append leaves the buffer unchanged and marks it `failed`; writers
 * may append many times and look once at the end (buf_check). */
#ifndef QUORATE_BASE_BUF_H
#define QUORATE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Borrowed bytes: whoever hands one out says how long it lives. */
struct span {
	const uint8_t *p;
	size_t len;
};

struct buf {
	uint8_t *p;
	size_t len, cap;
	bool failed; /* an append ran out of memory */
};

#define SPAN_EMPTY ((struct span){NULL, 0})

struct span span_of(const void *p, size_t len);
struct span span_str(const char *s); /* without the NUL */
bool span_eq(struct span a, struct span b);
bool span_eq_str(struct span a, const char *s);
/* A NUL-terminated copy to free(); NULL if memory is short or a NUL is in it */
char *span_dup_str(struct span s);

void buf_init(struct buf *b);
void buf_free(struct buf *b);  /* NULL-safe; leaves it initialised */
void buf_clear(struct buf *b); /* keeps the memory */
struct span buf_span(const struct buf *b);
bool buf_reserve(struct buf *b, size_t more);
bool buf_add(struct buf *b, const void *p, size_t len);
bool buf_add_span(struct buf *b, struct span s);
bool buf_add_str(struct buf *b, const char *s);
bool buf_add_u8(struct buf *b, uint8_t v);
bool buf_add_u16be(struct buf *b, uint16_t v);
bool buf_add_u32be(struct buf *b, uint32_t v);
bool buf_add_u64be(struct buf *b, uint64_t v);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* E_NOMEM if any append since buf_init or buf_clear failed. */
enum code buf_check(const struct buf *b, struct err *e) MUST_CHECK;

/* A bounds-checked reader.  A read past the end yields zeroes and sets
 * `bad`; look once at the end. */
struct reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};
void reader_init(struct reader *r, struct span s);
uint8_t read_u8(struct reader *r);
uint16_t read_u16be(struct reader *r);
uint32_t read_u32be(struct reader *r);
uint64_t read_u64be(struct reader *r);
struct span read_span(struct reader *r, size_t len); /* borrowed */
bool read_bytes(struct reader *r, void *out, size_t len);

void put_u32be(uint8_t *p, uint32_t v);
void put_u64be(uint8_t *p, uint64_t v);
uint32_t get_u32be(const uint8_t *p);
uint64_t get_u64be(const uint8_t *p);

#endif
