/* A JSON Web Key Set becomes the keys that OpenSSL would have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>

#include "base/text.h"
#include "cli/jwks.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static void add_number(struct buf *out, const char *name, EVP_PKEY *key,
    const char *param, int len)
{
	BIGNUM *n = NULL;
	uint8_t raw[600];

	assert_int_equal(EVP_PKEY_get_bn_param(key, param, &n), 1);
	if (len == 0)
		len = BN_num_bytes(n);
	assert_int_equal(BN_bn2binpad(n, raw, len), len);
	buf_printf(out, ",\"%s\":\"", name);
	base64_encode(out, span_of(raw, (size_t)len), BASE64_URL);
	buf_add_str(out, "\"");
	BN_free(n);
}

static void add_key(struct buf *out, EVP_PKEY *key, const char *crv, int len)
{
	if (crv == NULL) {
		buf_add_str(out, "{\"kty\":\"RSA\",\"kid\":\"k1\"");
		add_number(out, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
		add_number(out, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else {
		buf_printf(
		    out, "{\"kty\":\"EC\",\"use\":\"sig\",\"crv\":\"%s\"", crv);
		add_number(out, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, len);
		add_number(out, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, len);
	}
	buf_add_str(out, "}");
}

static void every_kind_becomes_its_public_key(void **state)
{
	static const struct {
		const char *crv, *alg;
		int bits;
	} rows[] = {{NULL, "RS256", 2048}, {NULL, "RS256", 3072},
	    {NULL, "RS256", 4096}, {"P-256", "ES256", 256},
	    {"P-384", "ES384", 384}};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		EVP_PKEY *key = rows[i].crv == NULL
				    ? EVP_RSA_gen((unsigned)rows[i].bits)
				    : EVP_EC_gen(rows[i].crv);
		unsigned char *der = NULL;
		int len = i2d_PUBKEY(key, &der);
		struct jwks *j;
		struct buf text;
		struct err e = {0};

		buf_init(&text);
		buf_add_str(&text, "{\"keys\":[");
		add_key(&text, key, rows[i].crv, rows[i].bits / 8);
		buf_add_str(&text, "]}");
		assert_int_equal(jwks_parse(buf_span(&text), &j, &e), E_OK);
		assert_int_equal(j->n, 1);
		assert_int_equal(j->keys[0].spki.len, len);
		assert_memory_equal(j->keys[0].spki.p, der, (size_t)len);
		assert_true(span_eq_str(j->keys[0].alg, rows[i].alg));
		assert_true(span_eq_str(
		    j->keys[0].kid, rows[i].crv == NULL ? "k1" : ""));
		jwks_free(j);
		buf_free(&text);
		OPENSSL_free(der);
		EVP_PKEY_free(key);
	}
}

/* From RFC 7515 appendix A.3. */
#define RFC_EC                                                                 \
	"\"kty\":\"EC\",\"crv\":\"P-256\","                                    \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","               \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

static void what_is_wrong_is_said_by_key(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"", "not JSON"},
	    {"[]", "no keys are in it"},
	    {"{\"keys\":[]}", "kubectl get --raw /openid/v1/jwks"},
	    {"{\"keys\":[{}]}", "key 1: not a kind that is taken"},
	    {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}",
		"key 1: not a kind that is taken"},
	    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\"}]}",
		"key 1: not a kind that is taken"},
	    {"{\"keys\":[{" RFC_EC ",\"alg\":\"RS256\"}]}",
		"key 1: not a kind that is taken"},
	    {"{\"keys\":[{" RFC_EC ",\"d\":\"AA\"}]}", "PRIVATE key"},
	    {"{\"keys\":[{" RFC_EC "},{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}",
		"key 2: \"n\" is missing or damaged"},
	    {"{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"}]}",
		"key 1: RSA keys of 2048 to 4096 bits are taken"},
	    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\","
	     "\"y\":\"AA\"}]}",
		"key 1: \"x\" has 1 bytes, expected 32"},
	    {"{\"keys\":[{\"use\":\"enc\"}]}", "no signing key is in it"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct err e = {0};
		struct jwks *j;

		assert_int_equal(
		    jwks_parse(span_str(rows[i].text), &j, &e), E_INVAL);
		assert_null(j);
		if (strstr(e.text, rows[i].want) == NULL)
			fail_msg(
			    "\"%s\" does not say \"%s\"", e.text, rows[i].want);
	}
}

static void a_point_off_the_curve_is_refused(void **state)
{
	static const char text[] =
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
	    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	    "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}";
	struct err e = {0};
	struct jwks *j;

	(void)state;
	assert_int_not_equal(jwks_parse(span_str(text), &j, &e), E_OK);
	assert_non_null(strstr(e.text, "key 1"));
}

static void encryption_keys_are_skipped(void **state)
{
	static const char text[] =
	    "{\"keys\":[{\"use\":\"enc\"},{" RFC_EC "}]}";
	struct jwks *j;

	(void)state;
	assert_int_equal(jwks_parse(span_str(text), &j, NULL), E_OK);
	assert_int_equal(j->n, 1);
	jwks_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_becomes_its_public_key),
	    cmocka_unit_test(what_is_wrong_is_said_by_key),
	    cmocka_unit_test(a_point_off_the_curve_is_refused),
	    cmocka_unit_test(encryption_keys_are_skipped),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
