/* The sealed blob: made once, opened with its seal key and no other. */
#include "world.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void both_files_are_the_owners_alone(void **state)
{
	const char *const paths[] = {w.keys, w.seal};
	struct stat st;

	(void)state;
	for (size_t i = 0; i < ROWS(paths); i++) {
		assert_int_equal(stat(paths[i], &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void opening_gives_the_public_keys_of_the_making(void **state)
{
	struct signer_keys k;
	struct err e = {0};

	(void)state;
	assert_int_equal(keys_open(&k, w.keys, w.seal, &e), E_OK);
	assert_int_equal(k.public.issuer_spki_len, CA_P256_SPKI_LEN);
	assert_memory_equal(&k.public, &w.public, sizeof(k.public));
	keys_close(&k);
}

static void keys_are_never_overwritten(void **state)
{
	struct signer_public other;
	struct err e = {0};
	struct buf before, after;

	(void)state;
	buf_init(&before);
	buf_init(&after);
	assert_int_equal(fs_read(w.keys, 4096, &before, &e), E_OK);
	assert_int_equal(
	    signer_keys_create(w.keys, w.seal, &other, &e), E_EXISTS);
	assert_int_equal(fs_read(w.keys, 4096, &after, &e), E_OK);
	assert_true(span_eq(buf_span(&before), buf_span(&after)));
	buf_free(&before);
	buf_free(&after);
}

static void two_signers_have_nothing_in_common(void **state)
{
	struct signer_public other;
	struct err e = {0};
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/other.sealed", w.dir);
	assert_int_equal(signer_keys_create(path, w.seal, &other, &e), E_OK);
	assert_memory_not_equal(
	    other.issuer_spki, w.public.issuer_spki, CA_P256_SPKI_LEN);
	assert_memory_not_equal(other.log_key, w.public.log_key, 32);
}

static void a_changed_byte_anywhere_is_found(void **state)
{
	struct signer_keys k;
	struct err e = {0};
	struct buf blob;
	char path[128];

	(void)state;
	buf_init(&blob);
	snprintf(path, sizeof(path), "%s/changed.sealed", w.dir);
	assert_int_equal(fs_read(w.keys, 4096, &blob, &e), E_OK);
	for (size_t i = 0; i < blob.len; i++) {
		blob.p[i] ^= 0x20;
		assert_int_equal(
		    fs_write(path, buf_span(&blob), 0600, &e), E_OK);
		assert_int_equal(keys_open(&k, path, w.seal, &e), E_CORRUPT);
		assert_non_null(strstr(e.text, path));
		blob.p[i] ^= 0x20;
	}
	for (size_t len = 0; len < blob.len; len += 25) {
		assert_int_equal(
		    fs_write(path, span_of(blob.p, len), 0600, &e), E_OK);
		assert_int_equal(keys_open(&k, path, w.seal, &e), E_CORRUPT);
	}
	buf_free(&blob);
}

static void a_seal_key_must_be_right_and_private(void **state)
{
	static const struct {
		const char *why;
		size_t len; /* 0: no file */
		mode_t mode;
		enum code code;
	} rows[] = {
	    {"another key", 32, 0600, E_CORRUPT},
	    {"the group may read it", 32, 0640, E_DENIED},
	    {"all may read it", 32, 0604, E_DENIED},
	    {"too short", 31, 0600, E_CORRUPT},
	    {"too long", 33, 0600, E_CORRUPT},
	    {"not there", 0, 0, E_NOTFOUND},
	};
	uint8_t bytes[33];
	struct signer_keys k;
	char path[128];

	(void)state;
	random_bytes(bytes, sizeof(bytes));
	snprintf(path, sizeof(path), "%s/other.key", w.dir);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct err e = {0};

		unlink(path);
		if (rows[i].len > 0)
			assert_int_equal(
			    fs_write(path, span_of(bytes, rows[i].len),
				rows[i].mode, &e),
			    E_OK);
		if (keys_open(&k, w.keys, path, &e) != rows[i].code)
			fail_msg("%s: %s", rows[i].why, e.text);
		assert_true(e.text[0] != '\0');
	}
}

static void possession_is_proved_by_a_signature(void **state)
{
	struct span msg = span_str("the join request");
	struct span spki =
	    span_of(w.public.issuer_spki, w.public.issuer_spki_len);
	struct err e = {0};
	struct buf sig;

	(void)state;
	buf_init(&sig);
	assert_int_equal(
	    signer_keys_prove(w.keys, w.seal, msg, &sig, &e), E_OK);
	assert_true(pki_verify(spki, msg, buf_span(&sig)));
	assert_false(pki_verify(spki, span_str("another"), buf_span(&sig)));
	buf_free(&sig);
	assert_int_equal(
	    signer_keys_prove(w.seal, w.seal, msg, &sig, &e), E_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_files_are_the_owners_alone),
	    cmocka_unit_test(opening_gives_the_public_keys_of_the_making),
	    cmocka_unit_test(keys_are_never_overwritten),
	    cmocka_unit_test(two_signers_have_nothing_in_common),
	    cmocka_unit_test(a_changed_byte_anywhere_is_found),
	    cmocka_unit_test(a_seal_key_must_be_right_and_private),
	    cmocka_unit_test(possession_is_proved_by_a_signature),
	};

	return cmocka_run_group_tests_name(
	    "signer keys", tests, setup, teardown);
}
