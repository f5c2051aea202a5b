/* test_wire_faults.c -- when memory is short, at any allocation, the answer is
 * E_NOMEM and nothing leaks; a damaged message is E_INVAL all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"

static int fail_at; /* allocations until one fails; 0: never */

static bool out_of_memory(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	return out_of_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return out_of_memory() ? NULL : __real_realloc(p, n);
}

/* One thing to do, again and again with less memory. */
typedef enum code attempt(void *arg, struct err *e);

static int exhaust(attempt *fn, void *arg)
{
	int at = 0, left;
	enum code rc;

	do {
		struct err e = {0};

		fail_at = ++at;
		rc = fn(arg, &e);
		left = fail_at;
		fail_at = 0;
		if (rc != E_OK && rc != E_NOMEM)
			fail_msg(
			    "allocation %d: %s: %s", at, code_name(rc), e.text);
		if (left == 0 && rc != E_NOMEM)
			fail_msg("allocation %d failed unnoticed", at);
	} while (left == 0);
	assert_int_equal(rc, E_OK);
	return at - 1;
}

static enum code decode_entry(void *arg, struct err *e)
{
	static struct ca_entry en;
	struct wire_memory *mem;
	enum code rc = wire_entry_decode(*(struct span *)arg, &en, &mem, e);

	assert_true((mem != NULL) == (rc == E_OK));
	wire_free(mem);
	return rc;
}

static enum code decode_envelope(void *arg, struct err *e)
{
	struct ca_envelope env;
	struct wire_memory *mem;
	enum code rc = wire_envelope_decode(*(struct span *)arg, &env, &mem, e);

	assert_true((mem != NULL) == (rc == E_OK));
	wire_free(mem);
	return rc;
}

static enum code decode_mesh(void *arg, struct err *e)
{
	struct wire_mesh m;
	struct wire_memory *mem;
	enum code rc = wire_mesh_decode(*(struct span *)arg, &m, &mem, e);

	assert_true((mem != NULL) == (rc == E_OK));
	wire_free(mem);
	return rc;
}

static enum code decode_csr(void *arg, struct err *e)
{
	struct wire_csr_request r;
	struct wire_memory *mem;
	enum code rc =
	    wire_csr_request_decode(*(struct span *)arg, &r, &mem, e);

	assert_true((mem != NULL) == (rc == E_OK));
	wire_free(mem);
	return rc;
}

static enum code use_chain(void *arg, struct err *e)
{
	const struct span *in = arg;
	struct wire_memory *mem;
	struct span *chain;
	struct buf b;
	size_t n;
	enum code rc;

	buf_init(&b);
	rc = wire_csr_response_encode(&b, in, 2, e);
	if (rc == E_OK) {
		rc =
		    wire_csr_response_decode(buf_span(&b), &chain, &n, &mem, e);
		assert_true((mem != NULL) == (rc == E_OK));
		wire_free(mem);
	}
	buf_free(&b);
	return rc;
}

static enum code encode_mesh(void *arg, struct err *e)
{
	struct buf b;
	enum code rc;

	buf_init(&b);
	rc = wire_mesh_encode(&b, arg, e);
	if (rc != E_OK)
		assert_int_equal(b.len, 0);
	buf_free(&b);
	return rc;
}

/* The generator's own allocations do not fail: they come before. */
struct entry_job {
	enum ca_kind kind;
	struct ca_entry en;
};

static enum code encode_entry(void *arg, struct err *e)
{
	struct entry_job *j = arg;
	struct buf b, msg;
	enum code rc = E_INTERNAL;

	buf_init(&b);
	buf_init(&msg);
	switch (j->kind) {
	case CA_ISSUE:
		rc = wire_issue_encode(&b, 1, 2, &j->en.u.issue, e);
		break;
	case CA_CHECKPOINT:
		rc = wire_checkpoint_encode(&b, 1, 2, &j->en.u.checkpoint, e);
		break;
	case CA_REFRESH_KEYS:
		rc = wire_refresh_encode(&b, 1, 2, &j->en.u.refresh, e);
		break;
	case CA_FREEZE_CRL:
		rc = wire_freeze_encode(&b, 1, 2, &j->en.u.freeze_crl, e);
		break;
	case CA_SIGN_CRL:
		rc = wire_sign_crl_encode(&b, 1, 2, &j->en.u.sign_crl, e);
		break;
	case CA_GENESIS:
		rc = sample_signed_genesis(&msg, &j->en.u.genesis, e);
		break;
	case CA_ADMIN: rc = sample_signed(&msg, &j->en.u.admin, e); break;
	}
	if (rc == E_OK && msg.len != 0)
		rc = wire_signed_entry(&b, j->kind, 1, 2, buf_span(&msg), e);
	buf_free(&b);
	buf_free(&msg);
	return rc;
}

static void entries(void **state)
{
	static struct entry_job job;
	int tried = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct sample s;
		struct span in;
		struct buf b;

		sample_init(&s, seed);
		buf_init(&b);
		job.kind = (enum ca_kind)(CA_GENESIS + seed % 7);
		assert_int_equal(sample_entry(&s, job.kind, &b, NULL), E_OK);
		in = buf_span(&b);
		tried += exhaust(decode_entry, &in);
		buf_clear(&b);
		switch (job.kind) {
		case CA_GENESIS: sample_genesis(&s, &job.en.u.genesis); break;
		case CA_ISSUE: sample_issue(&s, &job.en.u.issue); break;
		case CA_ADMIN:
			sample_envelope(&s, &job.en.u.admin);
			assert_int_equal(
			    sample_signed(&b, &job.en.u.admin, NULL), E_OK);
			in = buf_span(&b);
			tried += exhaust(decode_envelope, &in);
			break;
		case CA_CHECKPOINT:
			sample_checkpoint(&s, &job.en.u.checkpoint);
			break;
		case CA_FREEZE_CRL:
			sample_freeze(&s, &job.en.u.freeze_crl);
			break;
		case CA_SIGN_CRL:
			sample_sign_crl(&s, &job.en.u.sign_crl);
			break;
		case CA_REFRESH_KEYS:
			sample_refresh(&s, &job.en.u.refresh);
			break;
		}
		tried += exhaust(encode_entry, &job);
		buf_free(&b);
		sample_free(&s);
	}
	assert_true(tried > 150);
}

static void messages(void **state)
{
	struct span chain[2] = {
	    {(const uint8_t *)"leaf", 4}, {(const uint8_t *)"root", 4}};
	int tried = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct wire_csr_request r;
		struct wire_mesh m;
		struct sample s;
		struct span in;
		struct buf b;

		sample_init(&s, seed);
		buf_init(&b);
		sample_mesh(&s, (enum wire_mesh_kind)(1 + seed % 5), &m);
		tried += exhaust(encode_mesh, &m);
		assert_int_equal(wire_mesh_encode(&b, &m, NULL), E_OK);
		in = buf_span(&b);
		tried += exhaust(decode_mesh, &in);
		buf_clear(&b);
		sample_csr(&s, &r);
		assert_int_equal(wire_csr_request_encode(&b, &r, NULL), E_OK);
		in = buf_span(&b);
		tried += exhaust(decode_csr, &in);
		buf_free(&b);
		sample_free(&s);
	}
	tried += exhaust(use_chain, chain);
	assert_true(tried > 150);
}

/* A buffer that has failed takes no more, and says so. */
static void a_failed_buffer_stays_failed(void **state)
{
	struct ca_checkpoint c = {0};
	struct buf b;

	(void)state;
	buf_init(&b);
	fail_at = 1;
	assert_false(buf_add_str(&b, "x"));
	assert_int_equal(wire_checkpoint_encode(&b, 1, 1, &c, NULL), E_NOMEM);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries),
	    cmocka_unit_test(messages),
	    cmocka_unit_test(a_failed_buffer_stays_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
