#include "pki/der.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

static const struct {
	const char *bytes;
	size_t len;
} oids[] = {
#define X(name, bytes) {bytes, sizeof(bytes) - 1},
    DER_OIDS(X)
#undef X
};

struct span der_oid_bytes(enum der_oid oid)
{
	return span_of(oids[oid].bytes, oids[oid].len);
}

/* Tag and length (X.690 §8.1.3, the shortest form); returns the octets. */
static size_t header(uint8_t out[10], unsigned tag, size_t len)
{
	size_t n = 0;

	out[0] = (uint8_t)tag;
	if (len < 0x80) {
		out[1] = (uint8_t)len;
		return 2;
	}
	for (size_t rest = len; rest > 0; rest >>= 8)
		n++;
	out[1] = (uint8_t)(0x80 | n);
	for (size_t i = 0; i < n; i++)
		out[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
	return 2 + n;
}

size_t der_begin(const struct buf *b)
{
	return b->len;
}

void der_end(struct buf *b, size_t at, unsigned tag)
{
	uint8_t head[10];
	size_t n, len;

	if (b->failed)
		return;
	len = b->len - at;
	n = header(head, tag, len);
	if (!buf_add(b, head, n)) /* makes the room */
		return;
	memmove(b->p + at + n, b->p + at, len);
	memcpy(b->p + at, head, n);
}

void der_put(struct buf *b, unsigned tag, struct span content)
{
	uint8_t head[10];

	buf_add(b, head, header(head, tag, content.len));
	buf_add_span(b, content);
}

void der_oid(struct buf *b, enum der_oid oid)
{
	der_put(b, DER_OID, der_oid_bytes(oid));
}

void der_true(struct buf *b)
{
	der_put(b, DER_BOOLEAN, span_of("\xff", 1));
}

void der_uint(struct buf *b, unsigned tag, struct span be)
{
	size_t at = der_begin(b);

	while (be.len > 0 && be.p[0] == 0)
		be = span_of(be.p + 1, be.len - 1);
	if (be.len == 0 || be.p[0] >= 0x80)
		buf_add_u8(b, 0);
	buf_add_span(b, be);
	der_end(b, at, tag);
}

void der_u64(struct buf *b, unsigned tag, uint64_t v)
{
	uint8_t be[8];

	put_u64be(be, v);
	der_uint(b, tag, span_of(be, sizeof(be)));
}

void der_bits(struct buf *b, struct span bytes)
{
	size_t at = der_begin(b);

	buf_add_u8(b, 0);
	buf_add_span(b, bytes);
	der_end(b, at, DER_BIT_STRING);
}

void der_named_bits(struct buf *b, uint8_t bits)
{
	uint8_t content[2] = {0, bits};

	while (content[0] < 7 && (bits >> content[0] & 1) == 0)
		content[0]++;
	der_put(b, DER_BIT_STRING, span_of(content, bits == 0 ? 1 : 2));
}

/* By arithmetic: the C library's gmtime looks at the time zone's file. */
void der_time(struct buf *b, uint64_t unix_s)
{
	struct tm tm = {.tm_year = 70, .tm_mday = 1};
	char text[80];
	bool utc;
	int n;

	OPENSSL_gmtime_adj(&tm, (int)(unix_s / 86400), (long)(unix_s % 86400));
	utc = tm.tm_year < 150;
	n = snprintf(text, sizeof(text), utc ? "%02d" : "%04d",
	    utc ? tm.tm_year % 100 : tm.tm_year + 1900);
	n += snprintf(text + n, sizeof(text) - (size_t)n,
	    "%02d%02d%02d%02d%02dZ", tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
	der_put(b, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME,
	    span_of(text, (size_t)n));
}

/* The length after the tag: definite and shortest, or it is not DER. */
static bool read_length(struct reader *r, size_t *len)
{
	uint8_t first = read_u8(r), octets = first & 0x7f;

	*len = first;
	if (first < 0x80)
		return !r->bad;
	if (octets == 0 || octets > 4)
		return false;
	*len = 0;
	for (uint8_t i = 0; i < octets; i++)
		*len = *len << 8 | read_u8(r);
	return !r->bad && *len >= 0x80 && *len >> 8 * (octets - 1) != 0;
}

bool der_take(
    struct span *in, unsigned tag, struct span *content, struct span *whole)
{
	const uint8_t *start = in->p;
	struct reader r;
	size_t len;

	reader_init(&r, *in);
	if (read_u8(&r) != tag || r.bad || !read_length(&r, &len))
		return false;
	*content = read_span(&r, len);
	if (r.bad)
		return false;
	*in = span_of(r.p, r.left);
	if (whole != NULL)
		*whole = span_of(start, (size_t)(r.p - start));
	return true;
}

static unsigned leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const uint8_t days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 ? leap(year) : 0);
}

/* Leap days from the year 1 to that one's end. */
static uint64_t leaps_through(unsigned year)
{
	return year / 4 - year / 100 + year / 400;
}

/* year, month, day, hours, minutes, seconds; false if there is no such time. */
static bool to_unix(const unsigned t[6], uint64_t *unix_s)
{
	uint64_t days;

	if (t[0] < 1970 || t[1] < 1 || t[1] > 12 || t[2] < 1 ||
	    t[2] > days_of(t[0], t[1]) || t[3] > 23 || t[4] > 59 || t[5] > 59)
		return false;
	days = 365 * (uint64_t)(t[0] - 1970) + leaps_through(t[0] - 1) -
	       leaps_through(1969) + t[2] - 1;
	for (unsigned m = 1; m < t[1]; m++)
		days += days_of(t[0], m);
	*unix_s = days * 86400 + t[3] * 3600 + t[4] * 60 + t[5];
	return true;
}

bool der_take_time(struct span *in, uint64_t *unix_s)
{
	unsigned t[6], parts[7];
	size_t years = 1; /* octets of two digits */
	struct span text;

	if (!der_take(in, DER_UTC_TIME, &text, NULL)) {
		years = 2;
		if (!der_take(in, DER_GENERALIZED_TIME, &text, NULL))
			return false;
	}
	if (text.len != 2 * (years + 5) + 1 || text.p[text.len - 1] != 'Z')
		return false;
	for (size_t i = 0; i < years + 5; i++) {
		unsigned tens = text.p[2 * i] - (unsigned)'0';
		unsigned ones = text.p[2 * i + 1] - (unsigned)'0';

		if (tens > 9 || ones > 9)
			return false;
		parts[i] = tens * 10 + ones;
	}
	if (years == 2)
		t[0] = parts[0] * 100 + parts[1];
	else
		t[0] = parts[0] + (parts[0] < 50 ? 2000 : 1900);
	memcpy(t + 1, parts + years, 5 * sizeof(t[0]));
	return to_unix(t, unix_s);
}

bool der_take_uint(struct span *in, struct span *be)
{
	return der_take(in, DER_INTEGER, be, NULL) && be->len > 0 &&
	       be->p[0] < 0x80 &&
	       (be->len == 1 || be->p[0] != 0 || be->p[1] >= 0x80);
}
