/* Sealing: one passphrase opens it, and no altered octet is overlooked. */
#include "help.h"

static const struct span phrase = {(const uint8_t *)"correct horse", 13};
static const struct span secret = {(const uint8_t *)"key material", 12};

static void what_is_sealed_opens_again(void **state)
{
	static const struct {
		const char *why, *secret, *phrase;
		bool cheap;
	} rows[] = {
	    {"cheap", "key material", "correct horse", true},
	    {"dear", "key material", "correct horse", false},
	    {"empty secret", "", "correct horse", true},
	    {"empty passphrase", "key material", "", true},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf sealed = {0}, out = {0};

		MUST(pki_seal(&sealed, "root key", span_str(rows[i].secret),
		    span_str(rows[i].phrase), rows[i].cheap, &err));
		MUST(pki_unseal(&out, "root key", buf_span(&sealed),
		    span_str(rows[i].phrase), &err));
		assert_true(span_eq_str(buf_span(&out), rows[i].secret));
		if (rows[i].secret[0] != '\0')
			assert_null(memmem(sealed.p, sealed.len, rows[i].secret,
			    strlen(rows[i].secret)));
		pki_wipe(&out);
		buf_free(&sealed);
	}
}

static void two_seals_of_a_secret_differ(void **state)
{
	struct buf a = {0}, b = {0};

	(void)state;
	MUST(pki_seal(&a, "root key", secret, phrase, true, &err));
	MUST(pki_seal(&b, "root key", secret, phrase, true, &err));
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.p + 25, b.p + 25, 40); /* salt, nonce */
	assert_memory_not_equal(a.p + a.len - 28, b.p + b.len - 28, 28);
	buf_free(&a);
	buf_free(&b);
}

static void a_wrong_passphrase_or_label_is_denied(void **state)
{
	struct buf sealed = {0}, out = {0};

	(void)state;
	MUST(pki_seal(&sealed, "root key", secret, phrase, true, &err));
	REFUSED(pki_unseal(&out, "root key", buf_span(&sealed),
		    span_str("correct hors"), &err),
	    E_DENIED, "wrong passphrase");
	REFUSED(
	    pki_unseal(&out, "root key", buf_span(&sealed), SPAN_EMPTY, &err),
	    E_DENIED, "wrong passphrase");
	REFUSED(
	    pki_unseal(&out, "signer keys", buf_span(&sealed), phrase, &err),
	    E_DENIED, "signer keys");
	assert_null(strstr(err.text, "correct"));
	assert_int_equal(out.len, 0);
	pki_wipe(&out);
	buf_free(&sealed);
}

/* Each costs a derivation, which sanitizers make a second long. */
#ifdef QUORATE_SANITIZED
#define STEP 7
#else
#define STEP 1
#endif

static void an_altered_octet_is_denied(void **state)
{
	struct buf sealed = {0};

	(void)state;
	MUST(pki_seal(&sealed, "root key", secret, phrase, true, &err));
	for (size_t i = 0; i < sealed.len; i += STEP) {
		struct buf out = {0};

		sealed.p[i] ^= 1;
		assert_int_equal(pki_unseal(&out, "root key", buf_span(&sealed),
				     phrase, &err),
		    E_DENIED);
		assert_int_equal(out.len, 0);
		sealed.p[i] ^= 1;
		pki_wipe(&out);
	}
	buf_free(&sealed);
}

static void a_cut_file_is_denied(void **state)
{
	struct buf sealed = {0}, out = {0};

	(void)state;
	MUST(pki_seal(&sealed, "root key", secret, phrase, true, &err));
	/* Past the header each try costs a derivation: a few are enough. */
	for (size_t n = 0; n < sealed.len - secret.len; n++)
		REFUSED(pki_unseal(&out, "root key", span_of(sealed.p, n),
			    phrase, &err),
		    E_DENIED, "altered");
	REFUSED(pki_unseal(&out, "root key", span_of(sealed.p, sealed.len - 1),
		    phrase, &err),
	    E_DENIED, "altered");
	buf_add_u8(&sealed, 0);
	REFUSED(pki_unseal(&out, "root key", buf_span(&sealed), phrase, &err),
	    E_DENIED, "altered");
	pki_wipe(&out);
	buf_free(&sealed);
}

/* A header from elsewhere must not cost us memory or time. */
static void a_dear_header_is_denied_at_once(void **state)
{
	static const size_t at[] = {9, 10, 13, 16, 17, 20, 21};
	struct buf sealed = {0}, out = {0};

	(void)state;
	MUST(pki_seal(&sealed, "root key", secret, phrase, true, &err));
	for (size_t i = 0; i < ROWS(at); i++) {
		uint8_t was = sealed.p[at[i]];

		sealed.p[at[i]] = 0xff;
		REFUSED(pki_unseal(
			    &out, "root key", buf_span(&sealed), phrase, &err),
		    E_DENIED, "not a sealed file");
		sealed.p[at[i]] = was;
	}
	buf_free(&sealed);
}

static void seal_appends_and_wipe_zeroes(void **state)
{
	struct buf b = {0}, out = {0};

	(void)state;
	buf_add_str(&b, "before");
	MUST(pki_seal(&b, "root key", secret, phrase, true, &err));
	assert_memory_equal(b.p, "before", 6);
	buf_add_str(&out, "before");
	MUST(pki_unseal(
	    &out, "root key", span_of(b.p + 6, b.len - 6), phrase, &err));
	assert_true(span_eq_str(buf_span(&out), "beforekey material"));
	pki_wipe(&out);
	assert_null(out.p);
	pki_wipe(&out);
	pki_wipe(NULL);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_sealed_opens_again),
	    cmocka_unit_test(two_seals_of_a_secret_differ),
	    cmocka_unit_test(a_wrong_passphrase_or_label_is_denied),
	    cmocka_unit_test(an_altered_octet_is_denied),
	    cmocka_unit_test(a_cut_file_is_denied),
	    cmocka_unit_test(a_dear_header_is_denied_at_once),
	    cmocka_unit_test(seal_appends_and_wipe_zeroes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
