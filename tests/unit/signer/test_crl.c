/* CRLs of the signer's own issuer: what it signs is what it was given, and
 * OpenSSL takes it for the issuer's. */
#include "world.h"

#include <openssl/x509v3.h>
#include <poll.h>

#include "base/clock.h"

#define URI "spiffe://" TD "/ns/shop/sa/cart"

static struct world w;
static struct signer *s;

static int begin(void **state)
{
	struct signer_config c;
	struct err e = {0};

	(void)state;
	world_open(&w);
	c = (struct signer_config){.keys_path = w.keys,
	    .seal_key_path = w.seal,
	    .no_seccomp = SANITIZED};
	if (signer_start(&s, &c, &e) != E_OK)
		fail_msg("%s", e.text);
	return 0;
}

static int end(void **state)
{
	(void)state;
	signer_stop(s);
	world_close(&w);
	return 0;
}

static void feed_genesis(void)
{
	struct err e = {0};

	if (signer_feed(s, buf_span(&w.genesis), &e) != E_OK)
		fail_msg("%s", e.text);
}

static void feed(const struct ca_admin *command)
{
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = command, .n = 1};
	struct err e = {0};
	struct buf entry;

	world_envelope(&w, &env, &entry);
	if (signer_feed(s, buf_span(&entry), &e) != E_OK)
		fail_msg("%s", e.text);
	buf_free(&entry);
}

/* ---- Asking ---- */

static struct ca_revoked *rows_of(size_t n)
{
	struct ca_revoked *rows = calloc(n + 1, sizeof(*rows));

	assert_non_null(rows);
	for (size_t i = 0; i < n; i++) {
		rows[i].serial[0] = 0x41;
		put_u64be(rows[i].serial + 8, i);
		rows[i].revoked_s = w.now_s - i % 1000;
		rows[i].reason = i % 7 == 0 ? 0 : 4;
	}
	return rows;
}

static struct signer_crl crl_of(
    uint64_t number, const struct ca_revoked *rows, size_t n)
{
	return (struct signer_crl){.number = number,
	    .this_s = w.now_s - 600,
	    .next_s = w.now_s + 7 * 86400,
	    .rows = rows,
	    .n = n};
}

static enum code sign(uint64_t number, const struct ca_revoked *rows, size_t n)
{
	const struct signer_crl c = crl_of(number, rows, n);
	uint8_t sig[CA_SIG_MAX], sum[SHA256_LEN];
	struct err e;
	size_t len;

	return signer_sign_crl(s, &c, sig, &len, sum, &e);
}

/* What every node derives must be what was signed, and OpenSSL agrees. */
static void check(const struct signer_crl *c, struct span sig,
    const uint8_t tbs_sha256[SHA256_LEN])
{
	uint8_t sum[SHA256_LEN];
	struct buf tbs = {0}, der = {0};
	const uint8_t *p = w.issuer.p;
	X509 *issuer = d2i_X509(NULL, &p, (long)w.issuer.len);
	X509_CRL *crl;
	struct err e = {0};

	assert_non_null(issuer);
	assert_int_equal(pki_crl_tbs(&tbs, buf_span(&w.issuer), c->number,
			     c->this_s, c->next_s, c->rows, c->n, &e),
	    E_OK);
	sha256_of(sum, buf_span(&tbs));
	assert_memory_equal(sum, tbs_sha256, SHA256_LEN);
	assert_int_equal(pki_crl_der(&der, buf_span(&tbs), sig, &e), E_OK);
	p = der.p;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	assert_non_null(crl);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(issuer)), 1);
	if (c->n > 0)
		assert_int_equal(
		    sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), c->n);
	X509_CRL_free(crl);
	X509_free(issuer);
	buf_free(&tbs);
	buf_free(&der);
}

static void sign_and_check(uint64_t number, size_t n)
{
	struct ca_revoked *rows = rows_of(n);
	const struct signer_crl c = crl_of(number, rows, n);
	uint8_t sig[CA_SIG_MAX], sum[SHA256_LEN];
	struct err e = {0};
	size_t len = 0;

	if (signer_sign_crl(s, &c, sig, &len, sum, &e) != E_OK)
		fail_msg("%s", e.text);
	check(&c, span_of(sig, len), sum);
	free(rows);
}

static void ask(uint64_t id)
{
	struct signer_request r = {.id = id, .issue = world_leaf(&w, URI)};
	struct err e = {0};

	if (signer_ask(s, &r, &e) != E_OK)
		fail_msg("%s", e.text);
}

static void wait_answer(struct signer_answer *a)
{
	struct pollfd p = {.fd = signer_fd(s), .events = POLLIN};
	struct err e = {0};
	enum code rc;

	while ((rc = signer_receive(s, a, &e)) == E_NOTFOUND)
		assert_int_equal(poll(&p, 1, 10000), 1);
	if (rc != E_OK)
		fail_msg("%s", e.text);
}

/* ---- Tests ---- */

static void what_is_signed_is_what_was_given(void **state)
{
	/* Around what one packet holds: 1,022 rows. */
	static const size_t sizes[] = {0, 1, 3, 1021, 1022, 1023, 2044, 2045};

	(void)state;
	feed_genesis();
	for (size_t i = 0; i < ROWS(sizes); i++)
		sign_and_check(i + 1, sizes[i]);
}

static void numbers_only_grow(void **state)
{
	(void)state;
	feed_genesis();
	assert_int_equal(sign(0, NULL, 0), E_CONFLICT);
	assert_int_equal(sign(5, NULL, 0), E_OK);
	assert_int_equal(sign(5, NULL, 0), E_CONFLICT);
	assert_int_equal(sign(4, NULL, 0), E_CONFLICT);
	sign_and_check(6, 1);
	sign_and_check(600, 1);
	sign_and_check(UINT64_MAX, 1);
}

static void without_a_certificate_nothing_is_signed(void **state)
{
	(void)state;
	assert_int_equal(sign(1, NULL, 0), E_CONFLICT);
	feed_genesis();
	sign_and_check(1, 2); /* the refusal took no number */
}

/* A refusal takes no number either. */
static void what_cannot_stand_on_a_crl_is_refused(void **state)
{
	struct ca_revoked *rows = rows_of(3);

	(void)state;
	feed_genesis();
	rows[1].reason = (enum ca_reason)7;
	assert_int_equal(sign(1, rows, 3), E_INVAL);
	rows[1].reason = (enum ca_reason)0;
	rows[2].revoked_s = UINT64_MAX;
	assert_int_equal(sign(1, rows, 3), E_INVAL);
	assert_int_equal(sign(1, rows, (size_t)MSG_CRL_ROWS_MAX + 1), E_INVAL);
	free(rows);
	sign_and_check(1, 3);
}

static void a_retired_issuer_signs_crls_and_no_leaf(void **state)
{
	struct ca_admin c = {.kind = CA_ADMIN_RETIRE_ISSUER};
	struct signer_answer a;
	struct err e;

	(void)state;
	feed_genesis();
	sign_and_check(1, 1);
	assert_int_equal(
	    pki_key_id(span_of(w.public.issuer_spki, w.public.issuer_spki_len),
		c.u.retire_issuer, &e),
	    E_OK);
	c.u.retire_issuer[0] ^= 1; /* another's end is nothing to it */
	feed(&c);
	ask(1);
	wait_answer(&a);
	assert_int_equal(a.code, E_OK);
	c.u.retire_issuer[0] ^= 1;
	feed(&c);
	ask(2);
	wait_answer(&a);
	assert_int_equal(a.code, E_CONFLICT);
	assert_non_null(strstr(a.why, "retired"));
	sign_and_check(2, 30);
}

/* Thirty packets of rows among leaves that are on their way. */
static void many_rows_and_leaves_do_not_mix(void **state)
{
	enum { LEAVES = 200, MANY = 30000 };
	struct signer_answer a;
	uint64_t next = 0, asked = 0;

	(void)state;
	feed_genesis();
	for (uint64_t number = 1; number <= 3; number++) {
		for (int i = 0; i < LEAVES; i++) {
			struct signer_request r = {
			    .id = asked, .issue = world_leaf(&w, URI)};
			struct err e = {0};
			enum code rc = signer_ask(s, &r, &e);

			if (rc == E_UNAVAILABLE) /* the socket is full */
				break;
			assert_int_equal(rc, E_OK);
			asked++;
		}
		assert_true(asked > next);
		sign_and_check(number, MANY);
		for (; next < asked; next++) {
			wait_answer(&a);
			assert_int_equal(a.id, next);
			assert_int_equal(a.code, E_OK);
		}
	}
	assert_int_equal(signer_receive(s, &a, NULL), E_NOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_signed_is_what_was_given),
	    TEST(numbers_only_grow),
	    TEST(without_a_certificate_nothing_is_signed),
	    TEST(what_cannot_stand_on_a_crl_is_refused),
	    TEST(a_retired_issuer_signs_crls_and_no_leaf),
	    TEST(many_rows_and_leaves_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
