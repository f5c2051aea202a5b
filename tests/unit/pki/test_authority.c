/* Root, issuers, operators: what is made, and what is taken. */
#include "help.h"

#include <openssl/err.h>

static struct chain chain;
static struct ca_crypto crypto;

static int make_chain(void **state)
{
	(void)state;
	crypto = pki_ca_crypto();
	chain_make(&chain, false);
	return 0;
}

static int free_chain(void **state)
{
	(void)state;
	chain_free(&chain);
	return 0;
}

static void expect_ca(X509 *x, int pathlen)
{
	int critical;

	assert_int_equal(X509_get_version(x), X509_VERSION_3);
	assert_true((X509_get_extension_flags(x) & EXFLAG_CA) != 0);
	assert_int_equal(X509_get_pathlen(x), pathlen);
	assert_int_equal(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	BASIC_CONSTRAINTS_free(
	    X509_get_ext_d2i(x, NID_basic_constraints, &critical, NULL));
	assert_int_equal(critical, 1);
	ASN1_BIT_STRING_free(
	    X509_get_ext_d2i(x, NID_key_usage, &critical, NULL));
	assert_int_equal(critical, 1);
}

static void expect_serial(X509 *x)
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(x);

	assert_int_equal(ASN1_STRING_length(s), CA_SERIAL_LEN);
	assert_int_equal(ASN1_STRING_get0_data(s)[0] & 0xc0, 0x40);
}

static void expect_text(const X509_NAME *name, int nid, const char *want)
{
	char got[80];

	assert_true(X509_NAME_get_text_by_NID(
			(X509_NAME *)name, nid, got, sizeof(got)) >= 0);
	assert_string_equal(got, want);
}

static void expect_life(X509 *x, uint64_t from, uint64_t to)
{
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), (time_t)from), 0);
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), (time_t)to), 0);
}

static void the_root_says_what_it_is(void **state)
{
	X509 *x = x509_of(&chain.root);
	struct ca_cert_facts f;
	struct buf spki;
	uint8_t id[CA_KEY_ID_LEN];

	(void)state;
	expect_ca(x, 1);
	expect_serial(x);
	expect_text(X509_get_subject_name(x), NID_commonName, TD " root");
	expect_life(x, NOW_S - 120, NOW_S + 3652 * 86400ULL);
	assert_int_equal(X509_self_signed(x, 1), 1);
	assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(x),
			     X509_get0_authority_key_id(x)),
	    0);
	MUST(crypto.root(crypto.ctx, buf_span(&chain.root), &f, &err));
	spki_of(&spki, chain.root_key);
	MUST(pki_key_id(buf_span(&spki), id, &err));
	assert_memory_equal(f.key_id, id, CA_KEY_ID_LEN);
	assert_true(span_eq(f.spki, buf_span(&spki)));
	assert_true(f.spki.p > chain.root.p);
	assert_true(f.spki.p < chain.root.p + chain.root.len);
	assert_int_equal(f.not_before_s, NOW_S - 120);
	assert_int_equal(f.not_after_s, NOW_S + 3652 * 86400ULL);
	no_leftovers();
	buf_free(&spki);
	X509_free(x);
}

static void an_issuer_says_what_it_is(void **state)
{
	X509 *x = x509_of(&chain.issuer), *root = x509_of(&chain.root);
	struct ca_cert_facts f;

	(void)state;
	expect_ca(x, 0);
	expect_serial(x);
	expect_text(X509_get_subject_name(x), NID_organizationName, TD);
	expect_text(X509_get_subject_name(x), NID_commonName, "east issuer");
	expect_life(x, NOW_S - 120, NOW_S + 90 * 86400);
	assert_int_equal(X509_check_issued(root, x), X509_V_OK);
	assert_int_equal(X509_verify(x, X509_get0_pubkey(root)), 1);
	assert_int_equal(X509_get_ext_by_NID(x, NID_name_constraints, -1), -1);
	MUST(crypto.issuer(crypto.ctx, buf_span(&chain.issuer),
	    buf_span(&chain.root), &f, &err));
	assert_memory_equal(f.key_id, chain.from.key_id, CA_KEY_ID_LEN);
	assert_int_equal(f.not_after_s, chain.from.not_after_s);
	no_leftovers();
	X509_free(x);
	X509_free(root);
}

static void every_key_has_a_name_of_its_own(void **state)
{
	struct chain other;

	(void)state;
	chain_make(&other, false);
	assert_false(span_eq(chain.from.name, other.from.name));
	chain_free(&other);
}

static void long_names_are_cut_to_what_x520_allows(void **state)
{
	char td[256], want[65];
	struct buf der = {0};
	struct ca_cert_facts f;
	X509 *x;

	(void)state;
	memset(td, 'a', 255);
	td[255] = '\0';
	MUST(pki_root_make(&der, chain.root_key, span_str(td), NOW_S, &err));
	x = x509_of(&der);
	memset(want, 'a', 64);
	want[64] = '\0';
	expect_text(X509_get_subject_name(x), NID_organizationName, want);
	memcpy(want + 59, " root", 5);
	expect_text(X509_get_subject_name(x), NID_commonName, want);
	MUST(crypto.root(crypto.ctx, buf_span(&der), &f, &err));
	X509_free(x);
	buf_free(&der);
}

static void an_issuer_never_outlives_the_root(void **state)
{
	struct buf spki, der = {0};
	struct ca_cert_facts f;

	(void)state;
	spki_of(&spki, chain.issuer_key);
	MUST(pki_issuer_make(&der, chain.root_key, buf_span(&chain.root),
	    buf_span(&spki), span_str(TD), span_str("east"), NOW_S,
	    5000 * 86400ULL, false, &err));
	MUST(crypto.issuer(
	    crypto.ctx, buf_span(&der), buf_span(&chain.root), &f, &err));
	assert_int_equal(f.not_after_s, NOW_S + 3652 * 86400ULL);
	buf_free(&spki);
	buf_free(&der);
}

static void the_wrong_parts_make_no_issuer(void **state)
{
	struct buf spki, p384, out = {0};
	struct span root = buf_span(&chain.root), td = span_str(TD);
	struct span east = span_str("east"), key;
	EVP_PKEY *big;

	(void)state;
	MUST(pki_key_new(PKI_P384, &big, &err));
	spki_of(&p384, big);
	spki_of(&spki, chain.issuer_key);
	key = buf_span(&spki);
#define MAKE(signer, cert, spki, td, name, now)                                \
	pki_issuer_make(                                                       \
	    &out, signer, cert, spki, td, name, now, 86400, false, &err)
	REFUSED(MAKE(chain.issuer_key, root, key, td, east, NOW_S), E_INVAL,
	    "not that of the root");
	REFUSED(MAKE(chain.root_key, SPAN_EMPTY, key, td, east, NOW_S), E_INVAL,
	    "root certificate");
	REFUSED(MAKE(chain.root_key, root, buf_span(&p384), td, east, NOW_S),
	    E_INVAL, "not P-256");
	REFUSED(MAKE(chain.root_key, root, key, span_str("Corp"), east, NOW_S),
	    E_INVAL, "trust domain");
	REFUSED(MAKE(chain.root_key, root, key, td, SPAN_EMPTY, NOW_S), E_INVAL,
	    "cluster");
	REFUSED(MAKE(chain.root_key, root, key, td, span_str("\n"), NOW_S),
	    E_INVAL, "cluster");
	REFUSED(
	    MAKE(chain.root_key, root, key, td, east, NOW_S + 4000 * 86400ULL),
	    E_INVAL, "expired");
#undef MAKE
	assert_int_equal(out.len, 0);
	no_leftovers();
	buf_free(&spki);
	buf_free(&p384);
	EVP_PKEY_free(big);
}

static void an_operator_certificate_is_for_clients(void **state)
{
	struct buf der = {0};
	X509 *x;

	(void)state;
	MUST(pki_operator_cert(
	    &der, chain.issuer_key, span_str("alice"), NOW_S, &err));
	x = x509_of(&der);
	expect_serial(x);
	expect_text(X509_get_subject_name(x), NID_commonName, "alice");
	expect_life(x, NOW_S - 120, NOW_S + 3652 * 86400ULL);
	assert_int_equal(X509_self_signed(x, 1), 1);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
	assert_int_equal(X509_check_ca(x), 0);
	buf_clear(&der);
	REFUSED(
	    pki_operator_cert(&der, chain.issuer_key, SPAN_EMPTY, NOW_S, &err),
	    E_INVAL, "name");
	X509_free(x);
	buf_free(&der);
}

/* ---- What others may hand us as an issuer or root ---- */

struct foreign {
	const char *why, *constraints, *usage, *ski, *extra;
	enum { BY_ROOT, BY_SELF, BY_STRANGER } by;
	const char *group; /* the key's; NULL: P-256 */
	long life_s;       /* 0: a day */
	bool v1, no_aki;
	const char *word; /* of the refusal; NULL: taken */
};

static void add_ext(X509 *x, X509V3_CTX *v3, int nid, const char *value)
{
	X509_EXTENSION *ext;

	if (value == NULL)
		return;
	ext = X509V3_EXT_conf_nid(NULL, v3, nid, value);
	assert_non_null(ext);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
}

/* "RFC 7093" for the subject key id. */
static void add_ski(X509 *x, EVP_PKEY *key)
{
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	uint8_t id[CA_KEY_ID_LEN];
	struct buf spki;

	spki_of(&spki, key);
	MUST(pki_key_id(buf_span(&spki), id, &err));
	ASN1_OCTET_STRING_set(s, id, sizeof(id));
	X509_add1_ext_i2d(x, NID_subject_key_identifier, s, 0, 0);
	ASN1_OCTET_STRING_free(s);
	buf_free(&spki);
}

static void foreign_make(struct buf *der, const struct foreign *f)
{
	EVP_PKEY *key = EVP_EC_gen(f->group != NULL ? f->group : "P-256");
	EVP_PKEY *stranger = EVP_EC_gen("P-256");
	X509 *x = X509_new(), *root = x509_of(&chain.root);
	uint8_t *out = NULL;
	X509V3_CTX v3;
	int len;

	X509_set_version(x, f->v1 ? X509_VERSION_1 : X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &(time_t){NOW_S});
	X509_time_adj_ex(X509_getm_notAfter(x), 0,
	    f->life_s != 0 ? f->life_s : 86400, &(time_t){NOW_S});
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	    (const uint8_t *)"foreign", -1, -1, 0);
	X509_set_issuer_name(x, f->by == BY_SELF ? X509_get_subject_name(x)
						 : X509_get_subject_name(root));
	X509_set_pubkey(x, key);
	X509V3_set_ctx(&v3, root, x, NULL, NULL, 0);
	add_ext(x, &v3, NID_basic_constraints, f->constraints);
	add_ext(x, &v3, NID_key_usage, f->usage);
	if (f->ski != NULL && strcmp(f->ski, "RFC 7093") == 0)
		add_ski(x, key);
	else
		add_ext(x, &v3, NID_subject_key_identifier, f->ski);
	if (f->by != BY_SELF && !f->v1 && !f->no_aki)
		add_ext(x, &v3, NID_authority_key_identifier, "keyid:always");
	if (f->extra != NULL)
		add_ext(x, &v3, NID_netscape_comment, f->extra);
	assert_true(X509_sign(x,
			f->by == BY_ROOT   ? chain.root_key
			: f->by == BY_SELF ? key
					   : stranger,
			EVP_sha256()) > 0);
	len = i2d_X509(x, &out);
	buf_add(der, out, (size_t)len);
	OPENSSL_free(out);
	X509_free(x);
	X509_free(root);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger);
}

#define CA0 "critical,CA:TRUE,pathlen:0"
#define CA1 "critical,CA:TRUE,pathlen:1"
#define SIGNS "critical,keyCertSign,cRLSign"
#define ID "RFC 7093"

static void foreign_issuers_are_judged(void **state)
{
	static const struct foreign rows[] = {
	    {"as ours", CA0, SIGNS, ID, .word = NULL},
	    {"harmless extension", CA0, SIGNS, ID, "note", .word = NULL},
	    {"critical extension", CA0, SIGNS, ID, "critical,note",
		.word = "critical"},
	    {"no constraints", NULL, SIGNS, ID, .word = "not a CA"},
	    {"no CA", "critical,CA:FALSE", SIGNS, ID, .word = "not a CA"},
	    {"no CA, no usage", "critical,CA:FALSE", NULL, ID,
		.word = "not a CA"},
	    {"no pathlen", "critical,CA:TRUE", SIGNS, ID,
		.word = "path length"},
	    {"pathlen 1", CA1, SIGNS, ID, .word = "path length"},
	    {"no key usage", CA0, NULL, ID, .word = "key usage"},
	    {"no cRLSign", CA0, "critical,keyCertSign", ID,
		.word = "key usage"},
	    {"no keyCertSign", CA0, "critical,cRLSign", ID,
		.word = "key usage"},
	    {"SHA-1 key id", CA0, SIGNS, "hash", .word = "RFC 7093"},
	    {"short key id", CA0, SIGNS, "0102", .word = "RFC 7093"},
	    {"no key id", CA0, SIGNS, NULL, .word = "RFC 7093"},
	    {"no authority", CA0, SIGNS, ID, .no_aki = true,
		.word = "name the root"},
	    {"P-384", CA0, SIGNS, ID, .group = "P-384", .word = "P-256"},
	    {"secp256k1", CA0, SIGNS, ID, .group = "secp256k1",
		.word = "P-256"},
	    {"self-signed", CA0, SIGNS, ID, .by = BY_SELF,
		.word = "name the root"},
	    {"a stranger's", CA0, SIGNS, ID, .by = BY_STRANGER,
		.word = "not signed by the root"},
	    {"longer than the root", CA0, SIGNS, ID, .life_s = 4000 * 86400L,
		.word = "outlives"},
	    {"v1", NULL, NULL, NULL, .v1 = true, .word = "v3"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf der = {0};
		struct ca_cert_facts f;
		enum code rc;

		foreign_make(&der, &rows[i]);
		rc = crypto.issuer(crypto.ctx, buf_span(&der),
		    buf_span(&chain.root), &f, &err);
		if ((rc == E_OK) != (rows[i].word == NULL) ||
		    (rc != E_OK && strstr(err.text, rows[i].word) == NULL))
			fail_msg("%s: %s", rows[i].why,
			    rc == E_OK ? "taken" : err.text);
		if (rc != E_OK)
			assert_int_equal(rc, E_INVAL);
		no_leftovers();
		buf_free(&der);
	}
}

static void foreign_roots_are_judged(void **state)
{
	static const struct foreign rows[] = {
	    {"unbounded, SHA-1 key id", "critical,CA:TRUE", SIGNS, "hash",
		.by = BY_SELF},
	    {"no key id", CA1, SIGNS, NULL, .by = BY_SELF},
	    {"no room", CA0, SIGNS, ID, .by = BY_SELF, .word = "no room"},
	    {"not its own", CA1, SIGNS, ID, .by = BY_ROOT,
		.word = "own issuer"},
	    {"a stranger's", CA1, SIGNS, ID, .by = BY_STRANGER,
		.word = "own issuer"},
	    {"no CRLs", CA1, "critical,keyCertSign", ID, .by = BY_SELF,
		.word = "key usage"},
	    {"a leaf", NULL, NULL, NULL, .by = BY_SELF, .word = "not a CA"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf der = {0};
		struct ca_cert_facts f;
		enum code rc;

		foreign_make(&der, &rows[i]);
		rc = crypto.root(crypto.ctx, buf_span(&der), &f, &err);
		if ((rc == E_OK) != (rows[i].word == NULL) ||
		    (rc != E_OK && strstr(err.text, rows[i].word) == NULL))
			fail_msg("%s: %s", rows[i].why,
			    rc == E_OK ? "taken" : err.text);
		no_leftovers();
		buf_free(&der);
	}
}

/* Cut anywhere, longer, or with any bit of the first octets turned: an error,
 * never a crash, and nothing is taken whose signature does not hold. */
static void damaged_certificates_are_refused(void **state)
{
	struct buf b = {0};
	struct ca_cert_facts f;
	struct span root = buf_span(&chain.root);

	(void)state;
	for (size_t n = 0; n < chain.issuer.len; n++)
		assert_int_equal(
		    crypto.issuer(
			crypto.ctx, span_of(chain.issuer.p, n), root, &f, NULL),
		    E_INVAL);
	buf_add_span(&b, buf_span(&chain.issuer));
	for (size_t i = 0; i < b.len; i++) {
		b.p[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    crypto.issuer(crypto.ctx, buf_span(&b), root, &f, NULL),
		    E_INVAL);
		b.p[i] ^= (uint8_t)(1 << i % 8);
	}
	buf_add_u8(&b, 0);
	assert_int_equal(
	    crypto.issuer(crypto.ctx, buf_span(&b), root, &f, NULL), E_INVAL);
	buf_clear(&b);
	buf_add_span(&b, root);
	for (size_t i = 0; i < b.len; i++) {
		b.p[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    crypto.root(crypto.ctx, buf_span(&b), &f, NULL), E_INVAL);
		b.p[i] ^= (uint8_t)(1 << i % 8);
	}
	no_leftovers();
	buf_free(&b);
}

static void a_foreign_root_can_sign_issuers(void **state)
{
	struct foreign f = {"", "critical,CA:TRUE", SIGNS, "hash",
	    .by = BY_SELF, .life_s = 86400L * 365};
	struct buf der = {0};
	struct pki_issuer from;

	(void)state;
	foreign_make(&der, &f);
	MUST(pki_issuer_from_cert(buf_span(&der), &from, &err));
	assert_int_equal(from.not_after_s, NOW_S + 86400 * 365);
	REFUSED(pki_issuer_from_cert(SPAN_EMPTY, &from, &err), E_INVAL,
	    "issuer certificate");
	buf_free(&der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_root_says_what_it_is),
	    cmocka_unit_test(an_issuer_says_what_it_is),
	    cmocka_unit_test(every_key_has_a_name_of_its_own),
	    cmocka_unit_test(long_names_are_cut_to_what_x520_allows),
	    cmocka_unit_test(an_issuer_never_outlives_the_root),
	    cmocka_unit_test(the_wrong_parts_make_no_issuer),
	    cmocka_unit_test(an_operator_certificate_is_for_clients),
	    cmocka_unit_test(foreign_issuers_are_judged),
	    cmocka_unit_test(foreign_roots_are_judged),
	    cmocka_unit_test(damaged_certificates_are_refused),
	    cmocka_unit_test(a_foreign_root_can_sign_issuers),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
