/* The sealed blob: made once, opened with its seal key and no other. */
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	if (CRYPTO_secure_malloc_init(32768, 16) == 0)
		return -1;
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

/* ---- Where the secrets lie ---- */

/* Half of each secret as it may lie in memory, masked so that what is looked
 * for is not found in itself. */
#define PART 16
static struct {
	uint8_t mask[PART];
	uint8_t part[3][PART]; /* scalar, scalar as OpenSSL's words, seed */
	size_t found[3];
} hunt;

static void hunt_begin(void)
{
	uint8_t *plain = sodium_malloc(129), key[32];
	struct buf file;
	FILE *f = fopen(w.seal, "rb");

	buf_init(&file);
	memset(&hunt, 0, sizeof(hunt));
	random_bytes(hunt.mask, PART);
	setvbuf(f, NULL, _IONBF, 0);
	assert_int_equal(fread(key, 1, sizeof(key), f), sizeof(key));
	fclose(f);
	assert_int_equal(fs_read(w.keys, 4096, &file, NULL), E_OK);
	assert_int_equal(
	    crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL,
		file.p + 32, file.len - 32, file.p, 8, file.p + 8, key),
	    0);
	for (size_t k = 0; k < PART; k++) {
		hunt.part[0][k] = plain[k] ^ hunt.mask[k];
		hunt.part[1][k] = plain[31 - k] ^ hunt.mask[k];
		hunt.part[2][k] = plain[97 + k] ^ hunt.mask[k];
	}
	sodium_free(plain);
	buf_free(&file);
}

static void hunt_in(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + PART <= n; i++)
		for (size_t which = 0; which < 3; which++) {
			size_t k = 0;

			while (k < PART &&
			       (p[i + k] ^ hunt.mask[k]) == hunt.part[which][k])
				k++;
			hunt.found[which] += k == PART;
		}
}

/* All memory of this process that can be read, through /proc/self/mem. */
static void hunt_everywhere(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY);
	unsigned long from, to;
	char line[512], perm[8];

	memset(hunt.found, 0, sizeof(hunt.found));
	while (fgets(line, sizeof(line), maps) != NULL) {
		size_t n;
		uint8_t *copy;

		if (sscanf(line, "%lx-%lx %7s", &from, &to, perm) != 3 ||
		    perm[0] != 'r')
			continue;
		n = to - from;
		copy = calloc(1, n);
		if (pread(mem, copy, n, (off_t)from) == (ssize_t)n)
			hunt_in(copy, n);
		sodium_memzero(copy, n);
		free(copy);
	}
	fclose(maps);
	close(mem);
}

/* As the signer process does it: one copy of each, in OpenSSL's secure heap
 * and in guarded memory, also after signing. */
static void an_open_secret_is_in_memory_once(void **state)
{
	struct signer_keys k;
	struct err e = {0};
	struct buf sig;

	(void)state;
	if (SANITIZED)
		skip(); /* their shadow is terabytes */
	buf_init(&sig);
	hunt_begin();
	hunt_everywhere();
	for (size_t which = 0; which < 3; which++)
		assert_int_equal(hunt.found[which], 0);
	assert_int_equal(keys_open(&k, w.keys, w.seal, &e), E_OK);
	assert_int_equal(pki_sign(&sig, k.issuer, span_str("text"), &e), E_OK);
	hunt_everywhere();
	assert_int_equal(hunt.found[0], 0);
	assert_int_equal(hunt.found[1], 1);
	assert_int_equal(hunt.found[2], 1);
	keys_close(&k);
	hunt_everywhere();
	for (size_t which = 0; which < 3; which++)
		assert_int_equal(hunt.found[which], 0);
	buf_free(&sig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_open_secret_is_in_memory_once),
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
