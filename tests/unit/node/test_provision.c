/* A data directory is made whole or not at all, and never holds the root key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "node/provision.h"
#include "pki/pki.h"
#include "store/store.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define PASSPHRASE "correct horse"

/* ---- A fault at the n-th rename ---- */

static int rename_left; /* 0: never */
static bool rename_dies;

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	if (rename_left > 0 && --rename_left == 0) {
		if (rename_dies)
			_exit(9);
		errno = EIO;
		return -1;
	}
	return __real_rename(from, to);
}

/* ---- Folders ---- */

static char top[PATH_MAX], data[PATH_MAX], admin[PATH_MAX];

static int remove_one(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int begin(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "test-provision-XXXXXX");
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(data, sizeof(data), "%.200s/data", top);
	snprintf(admin, sizeof(admin), "%.200s/admin", top);
	rename_left = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static size_t entries_of(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;
	struct dirent *row;

	while (d != NULL && (row = readdir(d)) != NULL)
		n += row->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static bool exists(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return fs_join(path, sizeof(path), dir, name, NULL) == E_OK &&
	       access(path, F_OK) == 0;
}

static enum code init(struct provision_made *made, struct err *e)
{
	static const char *const set[] = {
	    "listen=127.0.7.1", "store.map_size=64MiB"};
	const struct provision_init p = {
	    .trust_domain = "corp.example",
	    .cluster = "east",
	    .data_dir = data,
	    .admin_dir = admin,
	    .operator_name = "alice",
	    .set = set,
	    .set_n = ROWS(set),
	    .passphrase = span_str(PASSPHRASE),
	    .cheap = true,
	    .now_ms = clock_unix_ms(),
	};

	return provision_init(&p, made, e);
}

/* ---- init ---- */

static void init_makes_a_node_that_opens(void **state)
{
	struct provision_made made;
	struct provision p;
	struct err e = {0};

	(void)state;
	assert_int_equal(init(&made, &e), E_OK);
	assert_string_equal(made.server, "127.0.7.1:8444");
	assert_int_equal(provision_open(&p, data, &e), E_OK);
	assert_false(p.joining);
	assert_int_equal(p.config.node_id, 1);
	assert_string_equal(p.config.trust_domain, "corp.example");
	assert_true(p.genesis.len > 0);
	assert_true(p.root_pem.len > 0);
	assert_int_equal(p.peers_n, 0);
	provision_close(&p);
	assert_int_equal(entries_of(top), 2); /* nothing staged is left */
	assert_true(exists(admin, "tokens"));
	assert_true(exists(admin, "servers"));
}

static void the_log_is_genesis_and_node_1(void **state)
{
	struct store_config config = {.dir = data, .map_size = 64 << 20};
	struct raft_conf_change change;
	struct raft_hard_state hard;
	struct raft_conf_state conf;
	struct raft_storage from;
	struct store_identity id;
	struct provision_made made;
	struct raft_entry *entries;
	struct provision p;
	struct store *s;
	size_t n;

	(void)state;
	assert_int_equal(init(&made, NULL), E_OK);
	assert_int_equal(provision_open(&p, data, NULL), E_OK);
	assert_int_equal(store_open(&s, &config, NULL), E_OK);
	assert_int_equal(store_identity(s, &id, NULL), E_OK);
	assert_int_equal(id.node_id, 1);
	store_raft_storage(s, &from);
	assert_int_equal(from.initial_state(from.ctx, &hard, &conf), 0);
	assert_int_equal(hard.term, 1);
	assert_int_equal(hard.vote, 0);
	assert_int_equal(hard.commit, 2);
	assert_int_equal(
	    from.entries(from.ctx, 1, 3, SIZE_MAX, &entries, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(entries[0].data.len, p.genesis.len);
	assert_memory_equal(entries[0].data.p, p.genesis.p, p.genesis.len);
	assert_int_equal(entries[1].type, RAFT_ENTRY_CONF_CHANGE);
	assert_int_equal(raft_conf_change_decode(entries[1].data, &change), 0);
	assert_int_equal(change.n, 1);
	assert_int_equal(change.changes[0].type, RAFT_ADD_VOTER);
	assert_int_equal(change.changes[0].id, 1);
	free(entries);
	store_close(s);
	provision_close(&p);
}

/* ---- The root key ---- */

static struct buf *needles;
static size_t needles_n, files_seen;

/* Which form of the key text holds, also across the lines of a PEM file; -1:
 * none. */
static int form_in(const struct buf *text)
{
	struct buf joined;
	int form = -1;

	buf_init(&joined);
	for (size_t i = 0; i < text->len; i++)
		if (text->p[i] != '\n')
			buf_add_u8(&joined, text->p[i]);
	for (size_t i = 0; i < needles_n; i++)
		if (memmem(text->p, text->len, needles[i].p, needles[i].len) !=
			NULL ||
		    memmem(joined.p, joined.len, needles[i].p,
			needles[i].len) != NULL)
			form = (int)i;
	buf_free(&joined);
	return form;
}

static int search_one(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct buf text;

	(void)st;
	(void)ftw;
	if (flag != FTW_F)
		return 0;
	buf_init(&text);
	assert_int_equal(fs_read(path, 256 << 20, &text, NULL), E_OK);
	files_seen++;
	if (form_in(&text) >= 0)
		fail_msg("%s holds the root key", path);
	buf_free(&text);
	return 0;
}

/* The scalar raw, in hex, and in base64 at each of its three alignments. */
static void make_needles(struct buf out[6], const uint8_t scalar[32])
{
	char hex[65];
	uint8_t padded[34] = {0};

	hex_encode(hex, scalar, 32);
	buf_add(&out[0], scalar, 32);
	buf_add(&out[1], hex, 64);
	for (size_t i = 0; i < 64; i++)
		if (hex[i] >= 'a')
			hex[i] = (char)(hex[i] - 32);
	buf_add(&out[2], hex, 64);
	for (size_t shift = 0; shift < 3; shift++) {
		struct buf text;

		buf_init(&text);
		memcpy(padded + shift, scalar, 32);
		base64_encode(&text, span_of(padded, 32 + shift), BASE64_STD);
		/* What its neighbours do not change. */
		buf_add(&out[3 + shift], text.p + 4, 32);
		buf_free(&text);
	}
}

static EVP_PKEY *root_key(const char *passphrase, enum code want)
{
	EVP_PKEY *key = NULL;
	struct buf sealed, pem;
	char path[PATH_MAX];
	struct err e;

	buf_init(&sealed);
	buf_init(&pem);
	assert_int_equal(
	    fs_join(path, sizeof(path), admin, "root.key", &e), E_OK);
	assert_int_equal(fs_read(path, 1 << 20, &sealed, &e), E_OK);
	assert_int_equal(pki_unseal(&pem, "root key", buf_span(&sealed),
			     span_str(passphrase), &e),
	    want);
	if (want == E_OK)
		assert_int_equal(
		    pki_key_from_pem(buf_span(&pem), &key, &e), E_OK);
	buf_free(&sealed);
	pki_wipe(&pem);
	return key;
}

static void no_byte_of_the_root_key_is_in_a_folder(void **state)
{
	struct buf forms[6] = {0};
	struct provision_made made;
	uint8_t scalar[32];
	BIGNUM *n = NULL;
	EVP_PKEY *key;

	(void)state;
	assert_int_equal(init(&made, NULL), E_OK);
	key = root_key(PASSPHRASE, E_OK);
	assert_int_equal(
	    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &n), 1);
	assert_int_equal(BN_bn2binpad(n, scalar, 32), 32);
	make_needles(forms, scalar);
	needles = forms;
	needles_n = 6;
	files_seen = 0;
	assert_int_equal(nftw(data, search_one, 16, FTW_PHYS), 0);
	assert_true(files_seen >= 8);
	assert_int_equal(nftw(admin, search_one, 16, FTW_PHYS), 0);
	for (size_t i = 0; i < 6; i++)
		buf_free(&forms[i]);
	BN_free(n);
	EVP_PKEY_free(key);
}

/* The search finds what it looks for: the operator's key is in the clear. */
static void the_search_would_find_a_key(void **state)
{
	struct buf forms[6] = {0}, pem;
	struct provision_made made;
	uint8_t scalar[32];
	char path[PATH_MAX];
	BIGNUM *n = NULL;
	EVP_PKEY *key;

	(void)state;
	buf_init(&pem);
	assert_int_equal(init(&made, NULL), E_OK);
	snprintf(path, sizeof(path), "%.200s/operator.key", admin);
	assert_int_equal(fs_read(path, 65536, &pem, NULL), E_OK);
	assert_int_equal(pki_key_from_pem(buf_span(&pem), &key, NULL), E_OK);
	assert_int_equal(
	    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &n), 1);
	assert_int_equal(BN_bn2binpad(n, scalar, 32), 32);
	make_needles(forms, scalar);
	needles = forms;
	needles_n = 6;
	assert_true(form_in(&pem) >= 3);
	for (size_t i = 0; i < 6; i++)
		buf_free(&forms[i]);
	BN_free(n);
	EVP_PKEY_free(key);
	buf_free(&pem);
}

static void a_wrong_passphrase_does_not_open_it(void **state)
{
	struct provision_made made;

	(void)state;
	assert_int_equal(init(&made, NULL), E_OK);
	assert_null(root_key("correct horsf", E_DENIED));
	assert_null(root_key("", E_DENIED));
}

/* ---- Modes ---- */

static void only_the_owner_may_read(void **state)
{
	static const struct {
		const char *dir, *name;
		unsigned mode;
	} rows[] = {
	    {data, "", 0700},
	    {data, "keys", 0700},
	    {data, "keys/mesh.key", 0600},
	    {data, "keys/seal.key", 0600},
	    {data, "keys/signer.sealed", 0600},
	    {data, "keys/api.key", 0600},
	    {admin, "", 0700},
	    {admin, "tokens", 0700},
	    {admin, "root.key", 0600},
	    {admin, "operator.key", 0600},
	};
	struct provision_made made;
	struct provision p;
	struct err e;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(init(&made, NULL), E_OK);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct stat st;

		snprintf(
		    path, sizeof(path), "%.200s/%s", rows[i].dir, rows[i].name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].mode);
	}
	snprintf(path, sizeof(path), "%.200s/keys/mesh.key", data);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(provision_open(&p, data, &e), E_DENIED);
	assert_non_null(strstr(e.text, "chmod 600"));
}

/* ---- What is refused ---- */

static void a_folder_in_use_is_left_alone(void **state)
{
	struct provision_made made;
	struct err e = {0};
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(mkdir(data, 0700), 0);
	snprintf(path, sizeof(path), "%.200s/precious", data);
	assert_int_equal(fs_write(path, span_str("x"), 0600, NULL), E_OK);
	assert_int_equal(init(&made, &e), E_EXISTS);
	assert_non_null(strstr(e.text, "nothing was changed"));
	assert_int_equal(entries_of(data), 1);
	assert_false(exists(top, "admin"));
	assert_int_equal(unlink(path), 0);
	/* An empty folder is as good as none. */
	assert_int_equal(init(&made, &e), E_OK);
	/* A second time: both are in use. */
	assert_int_equal(init(&made, &e), E_EXISTS);
}

static void what_cannot_be_is_refused_before_anything_is_made(void **state)
{
	const struct provision_init good = {
	    .trust_domain = "corp.example",
	    .cluster = "east",
	    .data_dir = data,
	    .admin_dir = admin,
	    .operator_name = "alice",
	    .passphrase = span_str(PASSPHRASE),
	    .cheap = true,
	    .now_ms = clock_unix_ms(),
	};
	static const char *const bad_key[] = {"lisen=::1"};
	static const char *const no_value[] = {"listen"};
	struct {
		struct provision_init p;
		const char *want;
	} rows[6];
	struct provision_made made;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++)
		rows[i].p = good;
	rows[n].p.passphrase = span_str("short");
	rows[n++].want = "the root passphrase has 5 characters";
	rows[n].p.trust_domain = "Corp Example";
	rows[n++].want = "trust_domain";
	rows[n].p.cluster = "East";
	rows[n++].want = "expected a DNS label";
	rows[n].p.operator_name = "";
	rows[n++].want = "the operator's name";
	rows[n].p.set = bad_key;
	rows[n].p.set_n = 1;
	rows[n++].want = "unknown key \"lisen\"";
	rows[n].p.set = no_value;
	rows[n].p.set_n = 1;
	rows[n++].want = "is not KEY=VALUE";
	for (size_t i = 0; i < n; i++) {
		struct err e = {0};

		assert_int_equal(
		    provision_init(&rows[i].p, &made, &e), E_INVAL);
		assert_non_null(strstr(e.text, rows[i].want));
		assert_int_equal(entries_of(top), 0);
	}
}

static void a_folder_that_is_none_says_what_to_do(void **state)
{
	struct provision p;
	struct err e;

	(void)state;
	assert_int_equal(provision_open(&p, data, &e), E_NOTFOUND);
	assert_non_null(strstr(e.text, "quorate init or quorate join"));
}

/* ---- Faults ---- */

static void an_error_leaves_nothing_behind(void **state)
{
	int n = 1;

	(void)state;
	for (;; n++) {
		struct provision_made made;
		struct err e = {0};
		enum code rc;

		rename_left = n;
		rename_dies = false;
		rc = init(&made, &e);
		if (rename_left > 0) {
			assert_int_equal(rc, E_OK);
			break;
		}
		assert_int_not_equal(rc, E_OK);
		assert_int_equal(entries_of(top), 0);
	}
	assert_true(n > 10); /* every file, and both folders */
}

static void a_crash_leaves_no_half_folder(void **state)
{
	int n = 1, status = 0;

	(void)state;
	for (;; n++) {
		struct provision_made made;
		struct provision p;
		pid_t child = fork();

		if (child == 0) {
			rename_left = n;
			rename_dies = true;
			_exit(init(&made, NULL) == E_OK ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WEXITSTATUS(status) == 0)
			break;
		assert_int_equal(WEXITSTATUS(status), 9);
		/* A node's folder never comes before its operator's. */
		assert_false(exists(top, "data"));
		assert_int_equal(provision_open(&p, data, NULL), E_NOTFOUND);
		if (exists(top, "admin")) {
			assert_true(exists(admin, "root.key"));
			assert_true(exists(admin, "servers"));
		}
		end(NULL);
		begin(NULL);
	}
	assert_true(n > 10);
	assert_true(exists(top, "data"));
}

/* ---- join ---- */

static enum code join(bool witness, struct err *e)
{
	static const char *const servers[] = {"127.0.7.1:8444"};
	static const uint8_t secret[PROVISION_SECRET_LEN] = {7};
	static const uint8_t root[SHA256_LEN] = {9};
	static const char *const set[] = {"listen=127.0.7.2"};
	const struct provision_join p = {
	    .servers = servers,
	    .servers_n = 1,
	    .root_sha256 = root,
	    .trust_domain = "corp.example",
	    .cluster = "west",
	    .data_dir = data,
	    .secret = secret,
	    .set = set,
	    .set_n = 1,
	    .witness = witness,
	};

	return provision_join(&p, e);
}

static void join_makes_a_node_that_waits(void **state)
{
	uint8_t mac[crypto_auth_hmacsha256_BYTES], want[sizeof(mac)];
	static const uint8_t secret[PROVISION_SECRET_LEN] = {7};
	struct provision p;
	struct buf body;
	json_t *o, *in;
	struct err e = {0};

	(void)state;
	buf_init(&body);
	assert_int_equal(join(false, &e), E_OK);
	assert_int_equal(provision_open(&p, data, &e), E_OK);
	assert_true(p.joining);
	assert_int_equal(p.servers.n, 1);
	o = json_loadb(
	    (const char *)p.join_request.p, p.join_request.len, 0, NULL);
	assert_int_equal(
	    base64_decode(&body,
		span_str(json_string_value(json_object_get(o, "body"))),
		BASE64_STD, NULL),
	    E_OK);
	assert_int_equal(
	    hex_decode(mac, sizeof(mac),
		json_string_value(json_object_get(o, "mac")), NULL),
	    E_OK);
	crypto_auth_hmacsha256(want, body.p, body.len, secret);
	assert_memory_equal(mac, want, sizeof(mac));
	in = json_loadb((const char *)body.p, body.len, 0, NULL);
	assert_string_equal(
	    json_string_value(json_object_get(in, "cluster")), "west");
	assert_string_equal(
	    json_string_value(json_object_get(in, "mesh_address")),
	    "127.0.7.2:7700");
	assert_true(json_string_length(json_object_get(in, "issuer_spki")) > 0);
	json_decref(in);
	json_decref(o);
	buf_free(&body);
	provision_close(&p);
	assert_int_equal(join(false, &e), E_EXISTS);
}

static void a_witness_offers_no_issuer(void **state)
{
	struct provision p;
	struct buf body;
	json_t *o, *in;

	(void)state;
	buf_init(&body);
	assert_int_equal(join(true, NULL), E_OK);
	assert_int_equal(provision_open(&p, data, NULL), E_OK);
	o = json_loadb(
	    (const char *)p.join_request.p, p.join_request.len, 0, NULL);
	assert_int_equal(
	    base64_decode(&body,
		span_str(json_string_value(json_object_get(o, "body"))),
		BASE64_STD, NULL),
	    E_OK);
	in = json_loadb((const char *)body.p, body.len, 0, NULL);
	assert_int_equal(
	    json_string_length(json_object_get(in, "issuer_spki")), 0);
	json_decref(in);
	json_decref(o);
	buf_free(&body);
	provision_close(&p);
}

/* The first trust domain's Genesis, and a joiner that pinned `root`. */
static void a_joiner_takes_only_the_pinned_genesis(void **state)
{
	struct provision_made made;
	struct provision first, p;
	struct err e = {0};
	char joiner[PATH_MAX];

	(void)state;
	assert_int_equal(init(&made, &e), E_OK);
	assert_int_equal(provision_open(&first, data, &e), E_OK);
	snprintf(joiner, sizeof(joiner), "%.200s/joiner", top);
	for (int good = 0; good < 2; good++) {
		static const uint8_t secret[PROVISION_SECRET_LEN] = {7};
		static const uint8_t other[SHA256_LEN] = {9};
		const char *const servers[] = {made.server};
		const struct provision_join j = {.servers = servers,
		    .servers_n = 1,
		    .root_sha256 = good ? made.root_sha256 : other,
		    .trust_domain = "corp.example",
		    .cluster = "west",
		    .data_dir = joiner,
		    .secret = secret};
		const struct provision_approved a = {.id = 2,
		    .genesis = buf_span(&first.genesis),
		    .peers = span_str("[]")};

		assert_int_equal(provision_join(&j, &e), E_OK);
		assert_int_equal(
		    provision_approve(joiner, &a, &e), good ? E_OK : E_DENIED);
		assert_int_equal(provision_open(&p, joiner, &e), E_OK);
		assert_int_equal(p.joining, !good);
		assert_int_equal(p.config.node_id, good ? 2 : 0);
		provision_close(&p);
		if (good) /* the same answer again changes nothing */
			assert_int_equal(
			    provision_approve(joiner, &a, &e), E_OK);
		else
			assert_int_equal(
			    nftw(joiner, remove_one, 16, FTW_DEPTH | FTW_PHYS),
			    0);
	}
	provision_close(&first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(init_makes_a_node_that_opens),
	    TEST(the_log_is_genesis_and_node_1),
	    TEST(no_byte_of_the_root_key_is_in_a_folder),
	    TEST(the_search_would_find_a_key),
	    TEST(a_wrong_passphrase_does_not_open_it),
	    TEST(only_the_owner_may_read),
	    TEST(a_folder_in_use_is_left_alone),
	    TEST(what_cannot_be_is_refused_before_anything_is_made),
	    TEST(a_folder_that_is_none_says_what_to_do),
	    TEST(an_error_leaves_nothing_behind),
	    TEST(a_crash_leaves_no_half_folder),
	    TEST(join_makes_a_node_that_waits),
	    TEST(a_witness_offers_no_issuer),
	    TEST(a_joiner_takes_only_the_pinned_genesis),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
