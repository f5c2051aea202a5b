/* When memory is short, at any allocation of ours or of OpenSSL's: an error, no
 * crash, nothing leaks, nothing is taken that should not be, and afterwards all
 * works again. */
#include "help.h"

#include <openssl/crypto.h>

#include "pki/internal.h"

static long fail_at; /* allocations until one fails; 0: never */

static bool out_of_memory(void)
{
	return fail_at != 0 && --fail_at == 0;
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

static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return __wrap_malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return __wrap_realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* ---- What is tried ---- */

static struct chain chain;
static EVP_PKEY *key;
static struct buf spki, key_pem, csr_pem, sealed, bad_issuer, message_sig,
    crl_der;

static int make_inputs(void **state)
{
	struct ca_revoked row = {.revoked_s = NOW_S, .reason = 2};

	(void)state;
	chain_make(&chain, true);
	MUST(pki_key_new(PKI_P256, &key, &err));
	spki_of(&spki, key);
	MUST(pki_key_to_pem(&key_pem, key, &err));
	MUST(pki_csr_make(&csr_pem, key, span_str("spiffe://" TD "/ns/a/sa/b"),
	    NULL, 0, &err));
	MUST(pki_seal(&sealed, "label", span_str("secret"), span_str("phrase"),
	    true, &err));
	MUST(pki_sign(&message_sig, key, span_str("message"), &err));
	buf_add_span(&bad_issuer, buf_span(&chain.issuer));
	bad_issuer.p[bad_issuer.len - 1] ^= 1;
	MUST(pki_cert_serial(buf_span(&chain.issuer), row.serial, &err));
	crl_make(&crl_der, buf_span(&chain.root), chain.root_key, 1, &row, 1);
	return 0;
}

static int free_inputs(void **state)
{
	(void)state;
	chain_free(&chain);
	EVP_PKEY_free(key);
	buf_free(&spki);
	buf_free(&key_pem);
	buf_free(&csr_pem);
	buf_free(&sealed);
	buf_free(&bad_issuer);
	buf_free(&message_sig);
	buf_free(&crl_der);
	return 0;
}

static enum code key_forms(struct buf *out)
{
	EVP_PKEY *a = NULL, *b = NULL;
	enum code rc = pki_key_from_pem(buf_span(&key_pem), &a, &err);

	if (rc == E_OK)
		rc = pki_key_spki(out, a, &err);
	if (rc == E_OK)
		rc = pki_key_from_spki(buf_span(out), &b, &err);
	if (rc == E_OK)
		rc = pki_key_to_pem(out, a, &err);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	return rc;
}

static enum code sign(struct buf *out)
{
	return pki_sign(out, key, span_str("message"), &err);
}

static enum code leaf(struct buf *out)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&spki));

	i.common_name = span_str("east");
	i.signature = span_str("signature");
	return pki_leaf_der(out, &i, &chain.from, &err);
}

static enum code root(struct buf *out)
{
	return pki_root_make(out, chain.root_key, span_str(TD), NOW_S, &err);
}

static enum code issuer(struct buf *out)
{
	return pki_issuer_make(out, chain.root_key, buf_span(&chain.root),
	    buf_span(&spki), span_str(TD), span_str("east"), NOW_S, 86400, true,
	    &err);
}

static enum code operator_cert(struct buf *out)
{
	return pki_operator_cert(out, key, span_str("alice"), NOW_S, &err);
}

static enum code crl(struct buf *out)
{
	struct ca_revoked row = {.serial = {0x40}, .reason = 1};

	return pki_crl_tbs(
	    out, buf_span(&chain.issuer), 1, NOW_S, NOW_S + 1, &row, 1, &err);
}

static enum code crl_read(struct buf *out)
{
	struct pki_crl_facts f;
	struct ca_revoked *rows;
	size_t n;
	enum code rc = pki_crl_read(buf_span(&crl_der), buf_span(&chain.root),
	    buf_span(&chain.issuer), &f, &err);

	(void)out;
	if (rc == E_OK)
		rc = pki_crl_rows(buf_span(&crl_der), &rows, &n, &err);
	if (rc == E_OK)
		free(rows);
	assert_int_not_equal(rc, E_INVAL);
	return rc;
}

static enum code csr_make(struct buf *out)
{
	struct span dns = span_str("a.example");

	return pki_csr_make(out, key, span_str("spiffe://a"), &dns, 1, &err);
}

static enum code csr_parse(struct buf *out)
{
	struct pki_csr csr;
	enum code rc = pki_csr_parse(buf_span(&csr_pem), &csr, &err);

	(void)out;
	if (rc != E_OK)
		assert_null(csr.spki.p);
	else
		assert_true(span_eq(buf_span(&csr.spki), buf_span(&spki)));
	pki_csr_free(&csr);
	return rc;
}

static enum code judge(struct buf *out)
{
	struct ca_crypto c = pki_ca_crypto();
	struct ca_cert_facts f;
	enum code rc = c.root(c.ctx, buf_span(&chain.root), &f, &err);

	(void)out;
	if (rc == E_OK)
		rc = c.issuer(c.ctx, buf_span(&chain.issuer),
		    buf_span(&chain.root), &f, &err);
	assert_int_not_equal(rc, E_INVAL);
	return rc;
}

/* A signature that holds is never said not to: nodes would differ. */
static enum code verify(struct buf *out)
{
	enum code rc = verify_sha256(
	    buf_span(&spki), span_str("message"), buf_span(&message_sig), &err);

	(void)out;
	assert_int_not_equal(rc, E_INVAL);
	return rc;
}

/* What must not be taken is not, whatever fails on the way. */
static enum code judge_bad(struct buf *out)
{
	struct ca_crypto c = pki_ca_crypto();
	struct ca_cert_facts f;
	enum code rc = c.issuer(
	    c.ctx, buf_span(&bad_issuer), buf_span(&chain.root), &f, &err);

	(void)out;
	assert_int_not_equal(rc, E_OK);
	return rc == E_INVAL ? E_OK : rc;
}

static enum code seal(struct buf *out)
{
	return pki_seal(
	    out, "label", span_str("secret"), span_str("phrase"), true, &err);
}

static enum code unseal(struct buf *out)
{
	return pki_unseal(
	    out, "label", buf_span(&sealed), span_str("phrase"), &err);
}

static enum code envelope(struct buf *out)
{
	struct ca_admin *c = __real_calloc(1, sizeof(*c));
	enum code rc;

	c->kind = CA_ADMIN_SET_OPERATOR;
	c->u.set_operator.name = span_str("bob");
	c->u.set_operator.spki = buf_span(&spki);
	rc = pki_envelope_sign(out, key, span_str(TD), 1, c, 1, &err);
	free(c);
	return rc;
}

static enum code pem(struct buf *out)
{
	struct buf text = {0};
	enum code rc = pki_pem_add(&text, "LABEL", buf_span(&spki), &err);

	if (rc == E_OK)
		rc = pki_pem_first(buf_span(&text), "LABEL", out, &err);
	buf_free(&text);
	return rc;
}

static void memory_may_fail_anywhere(void **state)
{
	static const struct {
		const char *name;
		enum code (*run)(struct buf *out);
	} rows[] = {
	    {"key forms", key_forms},
	    {"sign", sign},
	    {"leaf", leaf},
	    {"root", root},
	    {"issuer", issuer},
	    {"operator", operator_cert},
	    {"crl", crl},
	    {"crl read", crl_read},
	    {"csr make", csr_make},
	    {"csr parse", csr_parse},
	    {"verify", verify},
	    {"judge", judge},
	    {"judge bad", judge_bad},
	    {"seal", seal},
	    {"unseal", unseal},
	    {"envelope", envelope},
	    {"pem", pem},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		enum code rc = E_NOMEM;
		long n;

		for (n = 1;; n++) {
			struct buf out = {0};
			bool hit;

			fail_at = n;
			rc = rows[i].run(&out);
			hit = fail_at == 0;
			fail_at = 0;
			no_leftovers();
			pki_wipe(&out);
			if (!hit)
				break;
		}
		assert_int_equal(rc, E_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_may_fail_anywhere),
	};

	if (CRYPTO_set_mem_functions(
		openssl_malloc, openssl_realloc, openssl_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, make_inputs, free_inputs);
}
