/* Leaves: which are refused, how long the others live, and that what comes out
 * is a certificate. */
#include "world.h"

#include <stdio.h>

#include <openssl/rsa.h>

#include "base/clock.h"

#define URI "spiffe://" TD "/ns/prod/sa/web"
#define DAY_S 86400ULL

static struct world w;
static struct trust t;
static struct signer_keys keys;
static struct buf p384_spki, rsa_spki[3], ed25519_spki, rsa1024_spki;

static const uint8_t ip4[] = {10, 0, 0, 2}, other_ip4[] = {10, 0, 0, 3};
static const uint8_t ip6[16] = {0xfd, [15] = 2};

static void spki_of(EVP_PKEY *key, struct buf *out)
{
	assert_non_null(key);
	buf_init(out);
	assert_int_equal(pki_key_spki(out, key, NULL), E_OK);
	EVP_PKEY_free(key);
}

static void make_keys(void)
{
	EVP_PKEY *key;

	assert_int_equal(pki_key_new(PKI_P384, &key, NULL), E_OK);
	spki_of(key, &p384_spki);
	for (int i = 0; i < 3; i++)
		spki_of(EVP_RSA_gen(2048U + 1024U * (unsigned)i), &rsa_spki[i]);
	spki_of(EVP_RSA_gen(1024), &rsa1024_spki);
	spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &ed25519_spki);
}

static void feed(const struct ca_admin *commands, size_t n)
{
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = commands, .n = n};
	struct trust_seen seen = {0};
	struct err e = {0};
	struct buf entry;

	world_envelope(&w, &env, &entry);
	if (trust_feed(&t, &seen, buf_span(&entry), &e) != E_OK)
		fail_msg("%s", e.text);
	free(seen.v);
	buf_free(&entry);
}

/* Nodes 1 and 2; node 3 was removed. */
static int begin(void **state)
{
	const struct ca_admin nodes[] = {
	    world_set_node(&w, 2), world_set_node(&w, 3), world_remove_node(3)};
	struct trust_seen seen = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(
	    pki_key_id(span_of(w.public.issuer_spki, w.public.issuer_spki_len),
		t.own, &e),
	    E_OK);
	if (trust_feed(&t, &seen, buf_span(&w.genesis), &e) != E_OK)
		fail_msg("%s", e.text);
	feed(nodes, ROWS(nodes));
	return 0;
}

static int end(void **state)
{
	(void)state;
	trust_free(&t);
	return 0;
}

static int setup(void **state)
{
	struct err e = {0};

	(void)state;
	world_open(&w);
	make_keys();
	return keys_open(&keys, w.keys, w.seal, &e) != E_OK;
}

static int teardown(void **state)
{
	(void)state;
	keys_close(&keys);
	buf_free(&p384_spki);
	for (int i = 0; i < 3; i++)
		buf_free(&rsa_spki[i]);
	buf_free(&ed25519_spki);
	buf_free(&rsa1024_spki);
	world_close(&w);
	return 0;
}

/* Sign at now_s; *sig is owned by the caller. */
static enum code sign(
    uint64_t now_s, struct ca_issue *i, struct buf *sig, struct err *e)
{
	e->text[0] = '\0';
	buf_init(sig);
	return leaf_sign(&t, keys.issuer, now_s, i, sig, e);
}

static struct ca_issue node_leaf(void)
{
	struct ca_issue i = world_leaf(&w, "");

	i.profile = CA_PROFILE_NODE;
	i.via = CA_VIA_NODE;
	i.spki = buf_span(&w.api_spki[1]);
	i.dns[i.dns_n++] = span_str("n2.example");
	i.ip[i.ip_n++] = span_of(ip4, sizeof(ip4));
	i.ip[i.ip_n++] = span_of(ip6, sizeof(ip6));
	return i;
}

/* ---- Workloads ---- */

static void workloads_have_one_name_inside_the_trust_domain(void **state)
{
	static const struct {
		const char *why, *uri;
		enum code code;
	} rows[] = {
	    {"plain", URI, E_OK},
	    {"another trust domain", "spiffe://other.example/ns/a/sa/b",
		E_DENIED},
	    {"a longer trust domain", "spiffe://evil" TD "/ns/a/sa/b",
		E_DENIED},
	    {"a prefix of it", "spiffe://mesh/ns/a/sa/b", E_DENIED},
	    {"upper case", "spiffe://MESH.EXAMPLE/ns/a/sa/b", E_DENIED},
	    {"no namespace", "spiffe://" TD "/sa/b", E_DENIED},
	    {"a node's path", "spiffe://" TD "/node/b", E_DENIED},
	    {"more after it", URI "/x", E_DENIED},
	    {"an empty account", "spiffe://" TD "/ns/a/sa/", E_DENIED},
	    {"https", "https://" TD "/ns/a/sa/b", E_DENIED},
	    {"nothing", "", E_DENIED},
	};
	struct buf sig;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i = world_leaf(&w, rows[k].uri);

		if (sign(w.now_s, &i, &sig, &e) != rows[k].code)
			fail_msg("%s: %s", rows[k].why, e.text);
		assert_int_equal(sig.len > 0, rows[k].code == E_OK);
		buf_free(&sig);
	}
}

static void a_workload_gets_nothing_else(void **state)
{
	static const char *const rows[] = {"a DNS name", "an address",
	    "a subject", "proof of a node", "no proof", "istiod's profile",
	    "a gateway's profile", "no profile"};
	struct buf sig;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i = world_leaf(&w, URI);

		switch (k) {
		case 0: i.dns[i.dns_n++] = span_str("n1.example"); break;
		case 1: i.ip[i.ip_n++] = span_of(ip4, 4); break;
		case 2: i.common_name = span_str("east"); break;
		case 3: i.via = CA_VIA_NODE; break;
		case 4: i.via = (enum ca_via)0; break;
		case 5: i.profile = CA_PROFILE_ISTIOD; break;
		case 6: i.profile = CA_PROFILE_GATEWAY; break;
		default: i.profile = (enum ca_profile)0; break;
		}
		if (sign(w.now_s, &i, &sig, &e) != E_DENIED)
			fail_msg("%s: %s", rows[k], e.text);
		buf_free(&sig);
	}
}

/* ---- Nodes ---- */

static void a_node_gets_its_own_names_for_its_own_key(void **state)
{
	static const struct {
		const char *why;
		enum code code;
	} rows[] = {{"its own", E_OK}, {"its cluster as subject", E_OK},
	    {"an address as subject", E_OK}, {"one name only", E_OK},
	    {"another node's name", E_DENIED},
	    {"another node's address", E_DENIED},
	    {"another cluster as subject", E_DENIED},
	    {"another node's key", E_DENIED}, {"a key of nobody", E_DENIED},
	    {"a removed node's", E_DENIED}, {"a SPIFFE ID", E_DENIED},
	    {"no names", E_DENIED}, {"a token as proof", E_DENIED},
	    {"a suffix of its name", E_DENIED},
	    {"a name with a NUL", E_DENIED}};
	struct buf sig;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i = node_leaf();

		switch (k) {
		case 0: break;
		case 1: i.common_name = span_str("west"); break;
		case 2: i.common_name = span_str("10.0.0.2"); break;
		case 3: i.ip_n = 0; break;
		case 4: i.dns[0] = span_str("n1.example"); break;
		case 5: i.ip[0] = span_of(other_ip4, 4); break;
		case 6: i.common_name = span_str("east"); break;
		case 7: i.spki = buf_span(&w.api_spki[0]); break;
		case 8: i.spki = buf_span(&w.api_spki[3]); break;
		case 9:
			i.spki = buf_span(&w.api_spki[2]);
			i.dns[0] = span_str("n3.example");
			i.ip_n = 0;
			break;
		case 10: i.uri = span_str(URI); break;
		case 11: i.dns_n = i.ip_n = 0; break;
		case 12: i.via = CA_VIA_TOKEN; break;
		case 13: i.dns[0] = span_str("2.example"); break;
		default: i.dns[0] = span_of("n2.example", 11); break;
		}
		if (sign(w.now_s, &i, &sig, &e) != rows[k].code)
			fail_msg("%s: %s", rows[k].why, e.text);
		if (rows[k].code == E_OK)
			world_check_leaf(&w, &i);
		buf_free(&sig);
	}
}

static void a_changed_record_changes_what_a_node_gets(void **state)
{
	struct ca_admin c = world_set_node(&w, 2);
	struct ca_issue i = node_leaf();
	struct buf sig;
	struct err e;

	(void)state;
	c.u.set_node.api_addresses[0] = span_str("new.example");
	feed(&c, 1);
	assert_int_equal(sign(w.now_s, &i, &sig, &e), E_DENIED);
	i.dns[0] = span_str("new.example");
	assert_int_equal(sign(w.now_s, &i, &sig, &e), E_OK);
	buf_free(&sig);
}

/* ---- Keys ---- */

static void keys_are_of_the_kinds_that_are_taken(void **state)
{
	const struct {
		const char *why;
		struct buf *spki;
		size_t change; /* a byte to change; 0: none */
		int longer;
		enum code code;
	} rows[] = {
	    {"P-256", &w.api_spki[3], 0, 0, E_OK},
	    {"P-384", &p384_spki, 0, 0, E_OK},
	    {"RSA 2048", &rsa_spki[0], 0, 0, E_OK},
	    {"RSA 3072", &rsa_spki[1], 0, 0, E_OK},
	    {"RSA 4096", &rsa_spki[2], 0, 0, E_OK},
	    {"RSA 1024", &rsa1024_spki, 0, 0, E_DENIED},
	    {"Ed25519", &ed25519_spki, 0, 0, E_DENIED},
	    {"cut off", &w.api_spki[3], 0, -1, E_DENIED},
	    {"nothing", &w.api_spki[3], 0, -CA_P256_SPKI_LEN, E_DENIED},
	    {"another curve", &w.api_spki[3], 22, 0, E_DENIED},
	    {"a compressed point", &w.api_spki[3], 26, 0, E_DENIED},
	    {"another RSA algorithm", &rsa_spki[0], 16, 0, E_DENIED},
	    {"another exponent", &rsa_spki[0], 291, 0, E_DENIED},
	};
	struct buf sig, spki;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i = world_leaf(&w, URI);

		buf_init(&spki);
		buf_add_span(&spki, buf_span(rows[k].spki));
		if (rows[k].change != 0)
			spki.p[rows[k].change] ^= 1;
		i.spki =
		    span_of(spki.p, (size_t)((int)spki.len + rows[k].longer));
		if (sign(w.now_s, &i, &sig, &e) != rows[k].code)
			fail_msg("%s: %s", rows[k].why, e.text);
		if (rows[k].code == E_OK)
			world_check_leaf(&w, &i);
		buf_free(&sig);
		buf_free(&spki);
	}
}

/* ---- Validity ---- */

static void a_leaf_lives_as_policy_and_issuer_allow(void **state)
{
	const uint64_t now = w.now_s, end_s = now + 365 * DAY_S;
	const struct {
		const char *why;
		bool node;
		uint64_t at, asked, not_after;
	} rows[] = {
	    {"what was asked", false, now, now + 600, now + 600},
	    {"policy's default", false, now, 0, now + 3600},
	    {"shortened to policy", false, now, now + 30 * DAY_S, now + DAY_S},
	    {"for ever", false, now, UINT64_MAX, now + DAY_S},
	    {"a node's is not a workload's", true, now, now + 5 * DAY_S,
		now + 5 * DAY_S},
	    {"nor for ever", true, now, UINT64_MAX, now + CA_LEAF_LIFE_MAX_S},
	    {"not past the issuer", false, end_s - 7200, end_s + 7200, end_s},
	    {"the last that is given", false, end_s - 3600, 0, end_s},
	};
	struct buf sig;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i =
		    rows[k].node ? node_leaf() : world_leaf(&w, URI);

		i.not_after_s = rows[k].asked;
		if (sign(rows[k].at, &i, &sig, &e) != E_OK)
			fail_msg("%s: %s", rows[k].why, e.text);
		if (i.not_after_s != rows[k].not_after)
			fail_msg("%s: %lld s off", rows[k].why,
			    (long long)(i.not_after_s - rows[k].not_after));
		assert_int_equal(i.not_before_s, rows[k].at - CA_BACKDATE_S);
		buf_free(&sig);
	}
}

static void outside_the_issuers_time_nothing_is_signed(void **state)
{
	const uint64_t end_s = w.now_s + 365 * DAY_S;
	const struct {
		const char *why;
		uint64_t at, asked;
		enum code code;
	} rows[] = {
	    {"less than a lifetime is left", end_s - 3599, 0, E_CONFLICT},
	    {"even for a short one", end_s - 3599, end_s - 3500, E_CONFLICT},
	    {"after its end", end_s + 1, 0, E_CONFLICT},
	    {"before its beginning", w.now_s - CA_BACKDATE_S - 1, 0,
		E_CONFLICT},
	    {"at 1970", 0, 0, E_CONFLICT},
	    {"expired already", w.now_s, w.now_s, E_INVAL},
	};
	struct buf sig;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i = world_leaf(&w, URI);

		i.not_after_s = rows[k].asked;
		if (sign(rows[k].at, &i, &sig, &e) != rows[k].code)
			fail_msg("%s: %s", rows[k].why, e.text);
		buf_free(&sig);
	}
}

static void not_before_is_not_before_the_issuers(void **state)
{
	struct ca_issue i = world_leaf(&w, URI);
	struct buf sig;
	struct err e;

	(void)state;
	assert_int_equal(sign(w.now_s - CA_BACKDATE_S + 5, &i, &sig, &e), E_OK);
	assert_int_equal(i.not_before_s, t.not_before_s);
	world_check_leaf(&w, &i);
	buf_free(&sig);
}

static void a_removed_node_signs_no_more(void **state)
{
	const struct ca_admin c = world_remove_node(1);
	struct ca_issue i = world_leaf(&w, URI);
	struct buf sig;
	struct err e;

	(void)state;
	feed(&c, 1);
	assert_int_equal(sign(w.now_s, &i, &sig, &e), E_CONFLICT);
	assert_non_null(strstr(e.text, "removed"));
}

/* RFC 5280 §4.1.2.2: positive; and never 17 octets. */
static void serials_begin_with_01(void **state)
{
	struct buf sig;
	struct err e;

	(void)state;
	for (unsigned top = 0; top < 4; top++) {
		struct ca_issue i = world_leaf(&w, URI);

		i.serial[0] = (uint8_t)(top << 6 | 0x15);
		assert_int_equal(
		    sign(w.now_s, &i, &sig, &e), top == 1 ? E_OK : E_INVAL);
		buf_free(&sig);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(workloads_have_one_name_inside_the_trust_domain),
	    T(a_workload_gets_nothing_else),
	    T(a_node_gets_its_own_names_for_its_own_key),
	    T(a_changed_record_changes_what_a_node_gets),
	    T(keys_are_of_the_kinds_that_are_taken),
	    T(a_leaf_lives_as_policy_and_issuer_allow),
	    T(outside_the_issuers_time_nothing_is_signed),
	    T(not_before_is_not_before_the_issuers),
	    T(a_removed_node_signs_no_more),
	    T(serials_begin_with_01),
	};

	return cmocka_run_group_tests_name(
	    "signer leaves", tests, setup, teardown);
}
