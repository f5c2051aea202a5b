/* Any thread may call anything: what OpenSSL shares between keys of one curve
 * is only read. */
#include "help.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 50 };

static struct chain chain;

static enum code one_round(void)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct buf pem = {0}, tbs = {0}, sig = {0};
	struct span uri = span_str("spiffe://" TD "/ns/a/sa/b");
	EVP_PKEY *key = NULL;
	struct ca_cert_facts f;
	struct pki_csr csr = {0};
	struct ca_issue i;
	struct err e;
	enum code rc = pki_key_new(PKI_P256, &key, &e);

	if (rc == E_OK)
		rc = pki_csr_make(&pem, key, uri, NULL, 0, &e);
	if (rc == E_OK)
		rc = pki_csr_parse(buf_span(&pem), &csr, &e);
	if (rc == E_OK)
		rc = crypto.issuer(crypto.ctx, buf_span(&chain.issuer),
		    buf_span(&chain.root), &f, &e);
	i = issue_plain(&chain, buf_span(&csr.spki));
	if (rc == E_OK)
		rc = pki_leaf_tbs(&tbs, &i, &chain.from, &e);
	if (rc == E_OK)
		rc = pki_sign(&sig, chain.issuer_key, buf_span(&tbs), &e);
	if (rc == E_OK)
		rc = crypto.verify(
		    crypto.ctx, f.spki, buf_span(&tbs), buf_span(&sig), &e);
	EVP_PKEY_free(key);
	pki_csr_free(&csr);
	buf_free(&pem);
	buf_free(&tbs);
	buf_free(&sig);
	return rc;
}

static void *rounds(void *arg)
{
	enum code *rc = arg;

	for (int i = 0; *rc == E_OK && i < ROUNDS; i++)
		*rc = one_round();
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	pthread_t threads[THREADS];
	enum code rc[THREADS] = {E_OK};

	(void)state;
	chain_make(&chain, false);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, rounds, &rc[i]), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(rc[i], E_OK);
	}
	chain_free(&chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
