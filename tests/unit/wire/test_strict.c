/* test_strict.c -- messages put together by hand, which no encoder of ours
 * would make: what is refused before anything else looks at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/wire.h"

static void varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_u8(b, (uint8_t)(v | 0x80));
	buf_add_u8(b, (uint8_t)v);
}

static void field(struct buf *b, unsigned number, const void *p, size_t len)
{
	varint(b, (uint64_t)number << 3 | 2);
	varint(b, len);
	buf_add(b, p, len);
}

static void number(struct buf *b, unsigned n, uint64_t v)
{
	varint(b, (uint64_t)n << 3);
	varint(b, v);
}

/* Refused for the reason, whatever it is wrapped in. */
static void expect_entry(struct span in, const char *says)
{
	static struct ca_entry en;
	struct wire_memory *mem;
	struct err e = {0};
	enum code rc = wire_entry_decode(in, &en, &mem, &e);

	if (rc != E_INVAL || strstr(e.text, says) == NULL)
		fail_msg(
		    "%s \"%s\", expected \"%s\"", code_name(rc), e.text, says);
	assert_null(mem);
}

static void wrapped(
    unsigned number_of_body, const struct buf *body, const char *says)
{
	struct buf entry;

	buf_init(&entry);
	number(&entry, 1, 1);
	field(&entry, number_of_body, body->p, body->len);
	expect_entry(buf_span(&entry), says);
	buf_free(&entry);
}

static void entries_of_no_known_kind(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	expect_entry(SPAN_EMPTY, "kind not known");
	wrapped(9, &b, "field 9 is not known");
	expect_entry(span_of("\xff", 1), "not a valid message");
	wrapped(3, &b, "profile");   /* Issue, all defaults */
	wrapped(5, &b, "tree root"); /* Checkpoint */
	wrapped(4, &b, "nonce");     /* Signed without a payload */
	wrapped(2, &b, "Genesis");
	buf_free(&b);
}

static void exact_lengths_are_exact(void **state)
{
	uint8_t zeros[40] = {0};

	(void)state;
	for (size_t len = 0; len <= 33; len++) {
		struct buf b;

		buf_init(&b);
		number(&b, 3, 1);
		number(&b, 4, 1);
		number(&b, 12, 1);
		field(&b, 1, zeros, len);
		wrapped(3, &b,
		    len == CA_SERIAL_LEN ? "issuer: 0 bytes" : "serial: ");
		buf_clear(&b);
		field(&b, 3, zeros, len);
		wrapped(5, &b,
		    len == SHA256_LEN ? "state digest: 0" : "tree root: ");
		buf_free(&b);
	}
}

static void lists_stop_at_their_bounds(void **state)
{
	struct buf b, payload;

	(void)state;
	buf_init(&b);
	buf_init(&payload);
	for (int i = 0; i <= CA_LIST_MAX; i++) /* TokenKeys of RefreshKeys */
		field(&b, 3, "", 0);
	wrapped(6, &b, "field 3 comes too often");
	buf_clear(&b);
	field(&payload, 2, "0123456789abcdef", 16);
	for (int i = 0; i <= CA_BATCH_MAX; i++)
		field(&payload, 4, "", 0);
	field(&b, 1, payload.p, payload.len);
	wrapped(4, &b, "17 commands");
	buf_clear(&b);
	buf_clear(&payload);
	field(&payload, 2, "0123456789abcdef", 16);
	field(&payload, 4, "", 0); /* a command of no kind */
	field(&b, 1, payload.p, payload.len);
	wrapped(4, &b, "command of a kind");
	buf_clear(&b);
	buf_clear(&payload);
	field(&payload, 2, "0123456789abcdef", 16);
	field(&b, 1, payload.p, payload.len);
	for (int i = 0; i <= 16; i++) /* more than may sign, fewer than lists */
		field(&b, 2, "", 0);
	wrapped(4, &b, "too many signatures");
	buf_free(&b);
	buf_free(&payload);
}

/* A message whose parts repeat costs each time a copy of all before it: 64 KiB
 * of input would take a gigabyte. */
static void no_bytes_grow_a_thousandfold(void **state)
{
	struct wire_csr_request r;
	struct wire_memory *mem;
	struct err e = {0};
	struct buf b;

	(void)state;
	buf_init(&b);
	for (int i = 0; i < 16384; i++)
		field(&b, 4, "\x0a\x00", 2); /* metadata with one field */
	assert_int_equal(
	    wire_csr_request_decode(buf_span(&b), &r, &mem, &e), E_INVAL);
	assert_non_null(strstr(e.text, "IstioCertificateRequest"));
	buf_free(&b);
}

/* What is logged has one reading: nothing twice, nothing that this version does
 * not know, and no list so long that memory decides. */
static void log_entries_are_read_strictly(void **state)
{
	struct buf good, b;

	(void)state;
	buf_init(&good);
	buf_init(&b);
	number(&good, 1, 1);
	field(&good, 5, "", 0);
	expect_entry(buf_span(&good), "tree root");
	buf_add_span(&b, buf_span(&good));
	number(&b, 1, 1);
	expect_entry(buf_span(&b), "log entry: field 1 comes twice");
	buf_clear(&b);
	buf_add_span(&b, buf_span(&good));
	field(&b, 5, "", 0);
	expect_entry(buf_span(&b), "field 5 comes twice");
	buf_clear(&b);
	buf_add_span(&b, buf_span(&good));
	field(&b, 3, "", 0);
	expect_entry(buf_span(&b), "field 3 excludes");
	buf_clear(&b);
	buf_add_span(&b, buf_span(&good));
	number(&b, 18, 1);
	expect_entry(buf_span(&b), "field 18 is not known");
	buf_clear(&b);
	number(&b, 23, 1);
	wrapped(3, &b, "field 23 is not known");
	buf_clear(&b);
	for (int i = 0; i <= CA_LIST_MAX; i++)
		field(&b, 6, "d", 1);
	wrapped(3, &b, "field 6 comes too often");
	buf_clear(&b);
	field(&b, 1, "\x28\x01", 2); /* a payload with field 5 */
	wrapped(4, &b, "command: field 5 is not known");
	buf_clear(&b);
	field(&b, 1, "\x48\x01", 2); /* with field 9 */
	wrapped(2, &b, "Genesis: field 9 is not known");
	buf_free(&good);
	buf_free(&b);
}

/* An entry that only looks like a lack of memory would end every node. */
static void the_largest_entry_is_no_lack_of_memory(void **state)
{
	static const size_t max = 8 * 1024 * 1024;
	struct buf payload, msg, entry;
	uint8_t *p = calloc(1, max);

	(void)state;
	assert_non_null(p);
	buf_init(&payload);
	buf_init(&msg);
	buf_init(&entry);
	/* 4 and 1 bytes of lengths and tags, twice */
	field(&payload, 1, p, max - 17);
	field(&msg, 1, payload.p, payload.len);
	number(&entry, 1, 1);
	field(&entry, 4, msg.p, msg.len);
	assert_int_equal(entry.len, max);
	expect_entry(buf_span(&entry), "NUL");
	buf_free(&payload);
	buf_free(&msg);
	buf_free(&entry);
	free(p);
}

static void a_message_has_a_size(void **state)
{
	static const size_t max = 8 * 1024 * 1024;
	uint8_t *p = calloc(1, max + 1);

	(void)state;
	assert_non_null(p);
	expect_entry(span_of(p, max + 1), "too many");
	expect_entry(span_of(p, max), "not a valid message");
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_of_no_known_kind),
	    cmocka_unit_test(exact_lengths_are_exact),
	    cmocka_unit_test(lists_stop_at_their_bounds),
	    cmocka_unit_test(no_bytes_grow_a_thousandfold),
	    cmocka_unit_test(log_entries_are_read_strictly),
	    cmocka_unit_test(the_largest_entry_is_no_lack_of_memory),
	    cmocka_unit_test(a_message_has_a_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
