#include "help.h"

#include <stdio.h>

#include <openssl/err.h>

struct err err;

void must(enum code rc, const struct err *e, const char *file, int line)
{
	if (rc != E_OK)
		print_error("%s: %s\n", code_name(rc), e->text);
	_assert_int_equal(rc, E_OK, file, line);
}

void refused(enum code rc, enum code want, const char *word,
    const struct err *e, const char *file, int line)
{
	if (rc != want || strstr(e->text, word) == NULL)
		print_error("%s \"%s\", not %s with \"%s\"\n", code_name(rc),
		    rc == E_OK ? "" : e->text, code_name(want), word);
	_assert_int_equal(rc, want, file, line);
	_assert_true(strstr(e->text, word) != NULL, word, file, line);
}

void no_leftovers(void)
{
	assert_int_equal(ERR_peek_error(), 0);
}

void spki_of(struct buf *out, EVP_PKEY *key)
{
	buf_init(out);
	MUST(pki_key_spki(out, key, &err));
}

void chain_make(struct chain *c, bool name_constraints)
{
	struct buf spki;

	*c = (struct chain){0};
	MUST(pki_key_new(PKI_P256, &c->root_key, &err));
	MUST(pki_key_new(PKI_P256, &c->issuer_key, &err));
	spki_of(&spki, c->issuer_key);
	MUST(pki_root_make(&c->root, c->root_key, span_str(TD), NOW_S, &err));
	MUST(pki_issuer_make(&c->issuer, c->root_key, buf_span(&c->root),
	    buf_span(&spki), span_str(TD), span_str("east"), NOW_S, 90 * 86400,
	    name_constraints, &err));
	MUST(pki_issuer_from_cert(buf_span(&c->issuer), &c->from, &err));
	buf_free(&spki);
}

void chain_free(struct chain *c)
{
	EVP_PKEY_free(c->root_key);
	EVP_PKEY_free(c->issuer_key);
	buf_free(&c->root);
	buf_free(&c->issuer);
}

struct ca_issue issue_plain(const struct chain *c, struct span spki)
{
	struct ca_issue i = {
	    .profile = CA_PROFILE_WORKLOAD,
	    .encoder = 1,
	    .uri = span_str("spiffe://" TD "/ns/shop/sa/cart"),
	    .spki = spki,
	    .not_before_s = NOW_S - 120,
	    .not_after_s = NOW_S + 86400,
	};

	for (size_t k = 0; k < sizeof(i.serial); k++)
		i.serial[k] = (uint8_t)(0x40 + k);
	memcpy(i.issuer, c->from.key_id, sizeof(i.issuer));
	return i;
}

void leaf_make(struct buf *der, struct ca_issue *i, const struct chain *c)
{
	struct buf tbs = {0}, sig = {0};

	MUST(pki_leaf_tbs(&tbs, i, &c->from, &err));
	MUST(pki_sign(&sig, c->issuer_key, buf_span(&tbs), &err));
	i->signature = buf_span(&sig);
	MUST(pki_leaf_der(der, i, &c->from, &err));
	i->signature = SPAN_EMPTY;
	buf_free(&tbs);
	buf_free(&sig);
}

void crl_make(struct buf *der, struct span cert, EVP_PKEY *key, uint64_t number,
    const struct ca_revoked *rows, size_t n)
{
	struct buf tbs = {0}, sig = {0};

	MUST(pki_crl_tbs(
	    &tbs, cert, number, NOW_S - 600, NOW_S + 7 * 86400, rows, n, &err));
	MUST(pki_sign(&sig, key, buf_span(&tbs), &err));
	MUST(pki_crl_der(der, buf_span(&tbs), buf_span(&sig), &err));
	buf_free(&tbs);
	buf_free(&sig);
}

X509 *x509_of(const struct buf *der)
{
	const uint8_t *p = der->p;
	X509 *x = d2i_X509(NULL, &p, (long)der->len);

	assert_non_null(x);
	assert_ptr_equal(p, der->p + der->len);
	return x;
}

X509_CRL *crl_of(const struct buf *der)
{
	const uint8_t *p = der->p;
	X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der->len);

	assert_non_null(x);
	assert_ptr_equal(p, der->p + der->len);
	return x;
}
