/* quorate revoke, blocked, crl, issuer retire and revoke, root, federate: what
 * is printed, and what is signed. */
#include "cli/reason.h"
#include "cli/revoke.h"
#include "desk.h"

#define ID "spiffe://corp.example/ns/shop/sa/cart"
#define SERIAL "42010203040506070809101112131415"
#define KEY_A "0a0b0c0d0e0f000102030405060708090a0b0c0d"
#define KEY_B "ffffffffffffffffffffffffffffffffffffffff"

/* cert is base64 of a certificate made by the test. */
#define ISSUERS                                                                \
	"\"issuers\":[{\"key_id\":\"" KEY_A "\",\"node\":1,\"name\":"          \
	"\"east\",\"state\":\"active\",\"cert\":\"%s\"},{\"key_id\":"          \
	"\"" KEY_B "\",\"node\":1,\"name\":\"twin\",\"state\":\"active\"},"    \
	"{\"key_id\":\"" KEY_C "\",\"node\":2,\"name\":\"twin\",\"state\":"    \
	"\"retired\"},{\"key_id\":\"" KEY_D "\",\"node\":3,\"name\":\"east\"," \
	"\"state\":\"revoked\"}]"
#define KEY_C "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
#define KEY_D "dddddddddddddddddddddddddddddddddddddddd"
#define BLOCKS                                                                 \
	"{\"blocks\":[{\"kind\":\"identity\",\"what\":\"" ID "\",\"since\":"   \
	"\"2026-11-25T21:00:00.000Z\",\"reason\":\"keyCompromise\"},"          \
	"{\"kind\":\"pod\",\"what\":\"p-1\",\"since\":"                        \
	"\"2026-11-25T21:00:01.000Z\",\"reason\":\"unspecified\"}]}"
#define PEM "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"

static char view[8000];
static struct fake_route routes[] = {
    {"GET /v1/view", 200, view},
    {"POST /v1/admin", 200, APPLIED},
    {"GET /v1/blocks", 200, BLOCKS},
    {"GET /v1/crl?format=pem", 200, PEM},
    {"GET /v1/crl?format=der", 200, "hex:3000"},
    {"GET /v1/crl?issuer=root", 404, "{}"},
    {NULL, 0, NULL},
};
#define ROOT_CRL 5

static void set_view(const char *cert, const char *bundles)
{
	snprintf(view, sizeof(view),
	    "{\"trust_domain\":\"corp.example\",\"applied\":9,\"nodes\":[],"
	    "\"bundles\":[%s]," ISSUERS "}",
	    bundles, cert);
}

static int begin(void **state)
{
	set_view("", "");
	routes[ROOT_CRL].status = 404;
	routes[ROOT_CRL].body = "{}";
	return desk_begin(state);
}

/* ---- Mistakes --------------------------------------------------------------
 */

static void mistakes_are_told_before_anything_is_sent(void **state)
{
	static const struct {
		const char *line, *err;
		int exit;
	} rows[] = {
	    {"revoke", "say what to revoke: a SERIAL", EXIT_USAGE},
	    {"revoke " SERIAL " --pod p", "say what to revoke", EXIT_USAGE},
	    {"revoke --pod p --identity " ID, "say what to revoke", EXIT_USAGE},
	    {"revoke 12:34", "a serial has 32 hexadecimal digits", EXIT_USAGE},
	    {"revoke " SERIAL "00", "32 hexadecimal digits", EXIT_USAGE},
	    {"revoke " SERIAL " --reason bored",
		"--reason bored: expected one of keyCompromise", EXIT_USAGE},
	    {"revoke " SERIAL " --wait some", "only all is known", EXIT_USAGE},
	    {"revoke --lift --pod p --reason superseded", "--lift goes alone",
		EXIT_USAGE},
	    {"revoke --lift --pod p --wait all", "--lift goes alone",
		EXIT_USAGE},
	    {"crl --format der", "der for one issuer", EXIT_USAGE},
	    {"crl --format text --issuer east", "--format is pem", EXIT_USAGE},
	    {"crl --issuer a/b", "--issuer is a name", EXIT_USAGE},
	    {"crl --issuer a&b=c", "--issuer is a name", EXIT_USAGE},
	    {"issuer retire nobody",
		"there is no issuer nobody: `quorate issuer list`",
		EXIT_FAILED},
	    {"issuer retire twin", "2 issuers are named twin: give the key id",
		EXIT_FAILED},
	    {"issuer revoke twin --passphrase-file @/phrase",
		"2 issuers are named twin", EXIT_FAILED},
	    {"federate add other.example", "--bundle is missing", EXIT_USAGE},
	    {"federate add other.example --bundle @/nothing", "cannot open",
		EXIT_FAILED},
	    {"federate add other.example --bundle @/phrase",
		"holds no certificate", EXIT_FAILED},
	    {"root import", "root import needs FILE", EXIT_USAGE},
	    {"root sign-crl", "root.key is not there", EXIT_FAILED},
	};
	struct fake *f = desk_serve(routes);
	struct buf posted;

	(void)state;
	routes[ROOT_CRL].status = 200;
	routes[ROOT_CRL].body = "hex:3000";
	desk_put("phrase", span_str("open sesame\n"), 0600);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct said s = desk_run(rows[i].line);

		if (s.exit != rows[i].exit ||
		    strstr(s.err, rows[i].err) == NULL)
			fail_msg(
			    "%s: exit %d: %s", rows[i].line, s.exit, s.err);
		assert_string_equal(s.out, "");
		said_free(&s);
	}
	buf_init(&posted);
	fake_posted(f, &posted);
	assert_int_equal(posted.len, 0);
	buf_free(&posted);
	fake_stop(f);
}

static void reasons_have_several_spellings(void **state)
{
	static const struct {
		const char *text;
		int reason; /* -1: none */
	} rows[] = {{"keyCompromise", 1}, {"key-compromise", 1},
	    {"KEY_COMPROMISE", 1}, {"keycompromise", 1}, {"unspecified", 0},
	    {"cACompromise", 2}, {"affiliation-changed", 3}, {"superseded", 4},
	    {"cessation-of-operation", 5}, {"privilegeWithdrawn", 9}, {"", -1},
	    {"-", -1}, {"key", -1}, {"keyCompromised", -1}, {"supersede", -1},
	    {"1", -1}, {"superseded-", 4}};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		enum ca_reason r = CA_REASON_UNSPECIFIED;
		enum code rc = reason_parse(rows[i].text, &r, NULL);

		if ((rc == E_OK) != (rows[i].reason >= 0) ||
		    (rc == E_OK && (int)r != rows[i].reason))
			fail_msg("%s: %d %d", rows[i].text, rc, r);
	}
}

static void serials_are_taken_as_others_show_them(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {{SERIAL, true}, {"0x" SERIAL, true},
	    {"4A:01:02:03:04:05:06:07:08:09:10:11:12:13:14:1f", true},
	    {"4A010203040506070809101112131415", true},
	    {"4201020304050607080910111213141", false}, {SERIAL "1", false},
	    {SERIAL ":", false}, {"", false}, {"0x", false},
	    {"4201020304050607080910111213141g", false},
	    {" 2010203040506070809101112131415", false}};
	uint8_t serial[CA_SERIAL_LEN];

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++)
		if ((revoke_serial_parse(serial, rows[i].text, NULL) == E_OK) !=
		    rows[i].good)
			fail_msg("%s", rows[i].text);
}

/* ---- revoke
 * ------------------------------------------------------------------ */

static void what_is_signed_is_what_was_said(void **state)
{
	static const struct {
		const char *line, *out;
		enum ca_admin_kind kind;
		enum ca_revoke_by by;
		enum ca_reason reason;
		const char *what;
	} rows[] = {
	    {"revoke " SERIAL " --reason keyCompromise",
		SERIAL " is revoked, and what was renewed from it (log index "
		       "12).\n",
		CA_ADMIN_REVOKE, CA_REVOKE_SERIAL, CA_REASON_KEY_COMPROMISE,
		NULL},
	    {"revoke --identity " ID,
		ID ": its certificates are revoked, and it gets no new one "
		   "until that is lifted (log index 12).\n",
		CA_ADMIN_REVOKE, CA_REVOKE_IDENTITY, CA_REASON_UNSPECIFIED, ID},
	    {"revoke --pod p-1 --reason superseded -o json",
		"{\n  \"index\": 12,\n  \"lifted\": false,\n  "
		"\"published_everywhere\": false\n}\n",
		CA_ADMIN_REVOKE, CA_REVOKE_POD, CA_REASON_SUPERSEDED, "p-1"},
	    {"revoke --lift --pod p-1",
		"p-1 may ask for certificates again (log index 12); what was "
		"revoked stays revoked.\n",
		CA_ADMIN_LIFT_BLOCK, CA_REVOKE_POD, CA_REASON_UNSPECIFIED,
		"p-1"},
	};
	struct fake *f = desk_serve(routes);
	uint8_t serial[CA_SERIAL_LEN];

	(void)state;
	assert_int_equal(revoke_serial_parse(serial, SERIAL, NULL), E_OK);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct said s = desk_run(rows[i].line);
		struct wire_memory *mem = NULL;
		struct ca_envelope *env = desk_posted(f, &mem);
		const struct ca_revoke *r = &env->commands[0].u.revoke;

		assert_string_equal(s.err, "");
		assert_string_equal(s.out, rows[i].out);
		assert_int_equal(env->commands_n, 1);
		assert_int_equal(env->commands[0].kind, rows[i].kind);
		assert_int_equal(r->by, rows[i].by);
		assert_int_equal(r->reason, rows[i].reason);
		if (rows[i].what == NULL)
			assert_memory_equal(r->serial, serial, sizeof(serial));
		else
			assert_true(span_eq_str(r->what, rows[i].what));
		wire_free(mem);
		free(env);
		said_free(&s);
	}
	fake_stop(f);
}

static void a_node_publishes_it_or_not(void **state)
{
	static const struct {
		const char *why, *view;
		bool out;
	} rows[] = {
	    {"nothing known", "{}", false},
	    {"behind", "{\"applied\":11,\"crls\":[]}", false},
	    {"no CRL changed", "{\"applied\":12,\"crls\":[]}", true},
	    {"changed, not out",
		"{\"applied\":15,\"crls\":[{\"issuer\":\"a\",\"dirty_index\":"
		"12,\"content_index\":11}]}",
		false},
	    {"changed later, and this is not out either",
		"{\"applied\":15,\"crls\":[{\"issuer\":\"a\",\"dirty_index\":"
		"14,\"content_index\":11}]}",
		false},
	    {"out",
		"{\"applied\":15,\"crls\":[{\"issuer\":\"a\",\"dirty_index\":"
		"14,\"content_index\":13}]}",
		true},
	    {"not in publish.dir yet",
		"{\"applied\":15,\"published\":14,\"crls\":[{\"issuer\":"
		"\"a\",\"dirty_index\":12,\"content_index\":13,"
		"\"signed_index\":15}]}",
		false},
	    {"in publish.dir",
		"{\"applied\":15,\"published\":15,\"crls\":[{\"issuer\":"
		"\"a\",\"dirty_index\":12,\"content_index\":13,"
		"\"signed_index\":15}]}",
		true},
	    {"one of two",
		"{\"applied\":15,\"crls\":[{\"issuer\":\"a\",\"dirty_index\":"
		"12,\"content_index\":13},{\"issuer\":\"b\",\"dirty_index\":"
		"12,\"content_index\":3}]}",
		false},
	    {"a revoked issuer's is made no more",
		"{\"applied\":15,\"issuers\":[{\"key_id\":\"b\",\"state\":"
		"\"revoked\"}],\"crls\":[{\"issuer\":\"b\",\"dirty_index\":"
		"12,\"content_index\":3}]}",
		true},
	    {"a retired issuer's is",
		"{\"applied\":15,\"issuers\":[{\"key_id\":\"b\",\"state\":"
		"\"retired\"}],\"crls\":[{\"issuer\":\"b\",\"dirty_index\":"
		"12,\"content_index\":3}]}",
		false},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		json_t *o = json_loads(rows[i].view, 0, NULL);

		assert_non_null(o);
		if (revoke_is_out(o, 12) != rows[i].out)
			fail_msg("%s", rows[i].why);
		json_decref(o);
	}
}

static void what_is_blocked_is_a_table(void **state)
{
	struct fake *f = desk_serve(routes);
	struct said s = desk_run("blocked");

	(void)state;
	assert_string_equal(s.err, "");
	assert_string_equal(s.out,
	    "KIND      WHO                                    SINCE            "
	    "         REASON\n"
	    "identity  " ID "  2026-11-25T21:00:00.000Z  keyCompromise\n"
	    "pod       p-1                                    "
	    "2026-11-25T21:00:01.000Z  unspecified\n");
	said_free(&s);
	fake_stop(f);
}

/* ---- crl
 * --------------------------------------------------------------------- */

static void a_crl_is_printed_or_kept(void **state)
{
	struct fake *f = desk_serve(routes);
	char path[PATH_MAX];
	struct buf kept;
	struct said s = desk_run("crl");

	(void)state;
	assert_string_equal(s.err, "");
	assert_string_equal(s.out, PEM);
	said_free(&s);
	s = desk_run("crl -o json");
	assert_string_equal(s.out,
	    "{\n  \"pem\": \"-----BEGIN X509 CRL-----"
	    "\\nAAAA\\n-----END X509 CRL-----\\n\"\n}\n");
	said_free(&s);
	s = desk_run("crl --issuer east --format der --out @/east.crl");
	assert_string_equal(s.err, "");
	assert_string_equal(s.out, "");
	assert_int_equal(s.exit, EXIT_DONE);
	said_free(&s);
	snprintf(path, sizeof(path), "%.200s/east.crl", desk_top);
	buf_init(&kept);
	assert_int_equal(fs_read(path, 100, &kept, NULL), E_OK);
	assert_true(span_eq(buf_span(&kept), span_of("\x30\x00", 2)));
	buf_free(&kept);
	s = desk_run("crl --issuer east --format der -o json");
	assert_int_equal(s.exit, EXIT_USAGE);
	said_free(&s);
	fake_stop(f);
}

/* ---- issuer, root
 * -------------------------------------------------------------- */

static void add_text(struct buf *out, struct span bytes, bool hex)
{
	if (!hex) {
		assert_true(base64_encode(out, bytes, BASE64_STD));
	} else {
		buf_add_str(out, "hex:");
		for (size_t i = 0; i < bytes.len; i++)
			buf_printf(out, "%02x", bytes.p[i]);
	}
	assert_true(buf_add_u8(out, 0));
}

struct roots {
	EVP_PKEY *key;
	struct buf root, issuer, crl, issuer_text, crl_text;
};

/* A root, an issuer of it that the view shows as east, and a root CRL number 7
 * with one entry. */
static void roots_make(struct roots *r)
{
	static const struct ca_revoked row = {
	    .serial = {0x55, 1}, .revoked_s = 1795600000, .reason = 4};
	EVP_PKEY *key;
	struct buf spki = {0}, tbs = {0}, sig = {0};
	uint64_t now_s = clock_unix_ms() / 1000;

	*r = (struct roots){0};
	r->key = desk_root(&r->root);
	assert_int_equal(pki_key_new(PKI_P256, &key, NULL), E_OK);
	assert_int_equal(pki_key_spki(&spki, key, NULL), E_OK);
	assert_int_equal(pki_issuer_make(&r->issuer, r->key, buf_span(&r->root),
			     buf_span(&spki), span_str("corp.example"),
			     span_str("east"), now_s, 86400, false, NULL),
	    E_OK);
	assert_int_equal(pki_crl_tbs(&tbs, buf_span(&r->root), 7, now_s - 600,
			     now_s + 86400, &row, 1, NULL),
	    E_OK);
	assert_int_equal(pki_sign(&sig, r->key, buf_span(&tbs), NULL), E_OK);
	assert_int_equal(
	    pki_crl_der(&r->crl, buf_span(&tbs), buf_span(&sig), NULL), E_OK);
	add_text(&r->issuer_text, buf_span(&r->issuer), false);
	add_text(&r->crl_text, buf_span(&r->crl), true);
	set_view((const char *)r->issuer_text.p, "");
	routes[ROOT_CRL].status = 200;
	routes[ROOT_CRL].body = (const char *)r->crl_text.p;
	EVP_PKEY_free(key);
	buf_free(&spki);
	buf_free(&tbs);
	buf_free(&sig);
}

static void roots_free(struct roots *r)
{
	EVP_PKEY_free(r->key);
	buf_free(&r->root);
	buf_free(&r->issuer);
	buf_free(&r->crl);
	buf_free(&r->issuer_text);
	buf_free(&r->crl_text);
}

static void retiring_needs_no_root_key(void **state)
{
	struct fake *f = desk_serve(routes);
	struct said s = desk_run("issuer retire east");
	struct wire_memory *mem = NULL;
	struct ca_envelope *env = desk_posted(f, &mem);
	uint8_t key_id[CA_KEY_ID_LEN];

	(void)state;
	assert_string_equal(s.err, "");
	assert_string_equal(
	    s.out, "Issuer east (" KEY_A ") is retired (log index 12).\n");
	assert_int_equal(env->commands[0].kind, CA_ADMIN_RETIRE_ISSUER);
	assert_int_equal(hex_decode(key_id, sizeof(key_id), KEY_A, NULL), E_OK);
	assert_memory_equal(
	    env->commands[0].u.retire_issuer, key_id, sizeof(key_id));
	wire_free(mem);
	free(env);
	said_free(&s);
	s = desk_run("issuer retire " KEY_C " -o json"); /* by its key id */
	assert_non_null(strstr(s.out, "\"key_id\": \"" KEY_C "\""));
	said_free(&s);
	fake_stop(f);
}

static void expect_crl(const struct roots *r, struct span crl, uint64_t number,
    struct span lists, size_t entries)
{
	struct pki_crl_facts facts;
	struct err e = {0};

	if (pki_crl_read(crl, buf_span(&r->root), lists, &facts, &e) != E_OK)
		fail_msg("%s", e.text);
	assert_int_equal(facts.number, number);
	assert_int_equal(facts.entries, entries);
	assert_true(facts.next_s > clock_unix_ms() / 1000 + 365 * 86400);
}

static void revoking_puts_the_issuer_on_the_roots_crl(void **state)
{
	struct wire_memory *mem = NULL;
	struct ca_envelope *env;
	struct ca_revoked *rows;
	struct roots r;
	struct fake *f;
	struct said s;
	size_t n;

	(void)state;
	roots_make(&r);
	f = desk_serve(routes);
	s = desk_run("issuer revoke east --passphrase-file @/wrong");
	assert_int_equal(s.exit, EXIT_FAILED);
	assert_non_null(strstr(s.err, "root.key"));
	said_free(&s);
	s = desk_run("issuer revoke east --passphrase-file @/phrase");
	assert_string_equal(s.err, "");
	assert_string_equal(
	    s.out, "Issuer east (" KEY_A ") is revoked (log index 12).\n");
	said_free(&s);
	env = desk_posted(f, &mem);
	assert_int_equal(env->commands[0].kind, CA_ADMIN_REVOKE_ISSUER);
	expect_crl(&r, env->commands[0].u.revoke_issuer.root_crl, 8,
	    buf_span(&r.issuer), 2); /* what it listed, it goes on listing */
	assert_int_equal(pki_crl_rows(env->commands[0].u.revoke_issuer.root_crl,
			     &rows, &n, NULL),
	    E_OK);
	assert_int_equal(rows[0].serial[0], 0x55);
	assert_int_equal(rows[1].reason, CA_REASON_CA_COMPROMISE);
	free(rows);
	wire_free(mem);
	free(env);
	fake_stop(f);
	roots_free(&r);
}

static void the_roots_crl_is_signed_anew(void **state)
{
	struct wire_memory *mem = NULL;
	struct ca_envelope *env;
	struct roots r;
	struct fake *f;
	struct said s;

	(void)state;
	roots_make(&r);
	f = desk_serve(routes);
	s = desk_run("root sign-crl --passphrase-file @/phrase");
	assert_string_equal(s.err, "");
	assert_string_equal(
	    s.out, "The root's CRL is signed anew (log index 12).\n");
	said_free(&s);
	env = desk_posted(f, &mem);
	assert_int_equal(env->commands[0].kind, CA_ADMIN_SET_ROOT_CRL);
	expect_crl(&r, env->commands[0].u.set_root_crl, 8, SPAN_EMPTY, 1);
	wire_free(mem);
	free(env);
	/* Not what somebody else signed, whoever serves it. */
	r.crl_text.p[r.crl_text.len - 4] ^= 1;
	s = desk_run("root sign-crl --passphrase-file @/phrase");
	assert_int_equal(s.exit, EXIT_FAILED);
	assert_non_null(strstr(s.err, "the root's next CRL"));
	said_free(&s);
	fake_stop(f);
	roots_free(&r);
}

/* ---- Bundles
 * -------------------------------------------------------------------- */

static void put_pem(const char *name, struct span der, int n)
{
	struct buf pem;

	buf_init(&pem);
	for (int i = 0; i < n; i++)
		assert_int_equal(
		    pki_pem_add(&pem, "CERTIFICATE", der, NULL), E_OK);
	desk_put(name, buf_span(&pem), 0644);
	buf_free(&pem);
}

/* The root key signs for the sequence that comes next. */
static void importing_a_root_is_signed_with_the_root_key(void **state)
{
	static const struct {
		const char *bundles;
		uint64_t sequence;
	} rows[] = {
	    {"", 1}, {"{\"trust_domain\":\"corp.example\",\"certs\":[],"
		      "\"sequence\":4},{\"trust_domain\":\"other.example\","
		      "\"sequence\":9}",
			 5}};
	struct buf input, spki = {0};
	struct roots r;
	struct fake *f;

	(void)state;
	roots_make(&r);
	put_pem("more.pem", buf_span(&r.issuer), 1);
	assert_int_equal(pki_key_spki(&spki, r.key, NULL), E_OK);
	f = desk_serve(routes);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct wire_memory *mem = NULL;
		struct ca_envelope *env;
		struct ca_bundle *b;
		struct said s;

		set_view("", rows[i].bundles);
		s = desk_run(
		    "root import @/more.pem --passphrase-file @/phrase");
		assert_string_equal(s.err, "");
		assert_string_equal(s.out, "corp.example: 1 certificate is "
					   "trusted (log index 12).\n");
		said_free(&s);
		env = desk_posted(f, &mem);
		b = &env->commands[0].u.set_trust_bundle;
		assert_int_equal(
		    env->commands[0].kind, CA_ADMIN_SET_TRUST_BUNDLE);
		assert_true(span_eq_str(b->trust_domain, "corp.example"));
		assert_true(span_eq(b->certs[0], buf_span(&r.issuer)));
		b->sequence = rows[i].sequence;
		buf_init(&input);
		assert_true(ca_bundle_input(&input, b));
		assert_true(
		    pki_verify(buf_span(&spki), buf_span(&input), b->root_sig));
		buf_free(&input);
		wire_free(mem);
		free(env);
	}
	fake_stop(f);
	buf_free(&spki);
	roots_free(&r);
}

static void federating_takes_an_operator_alone(void **state)
{
	struct wire_memory *mem = NULL;
	struct ca_envelope *env;
	struct fake *f = desk_serve(routes);
	const struct ca_bundle *b;
	struct said s;

	(void)state;
	put_pem("other.pem", fake_root_der(), 2);
	s = desk_run("federate add other.example --bundle @/other.pem");
	assert_string_equal(s.err, "");
	assert_string_equal(s.out, "other.example: 2 certificates are trusted "
				   "(log index 12).\n");
	said_free(&s);
	env = desk_posted(f, &mem);
	b = &env->commands[0].u.set_trust_bundle;
	assert_true(span_eq_str(b->trust_domain, "other.example"));
	assert_int_equal(b->certs_n, 2);
	assert_int_equal(b->root_sig.len, 0);
	wire_free(mem);
	free(env);
	s = desk_run("federate remove other.example");
	assert_string_equal(s.err, "");
	said_free(&s);
	env = desk_posted(f, &mem);
	assert_int_equal(env->commands[0].u.set_trust_bundle.certs_n, 0);
	wire_free(mem);
	free(env);
	set_view("", "{\"trust_domain\":\"other.example\",\"certs\":[\"AA==\","
		     "\"AA==\"],\"sequence\":3},{\"trust_domain\":\"gone\","
		     "\"certs\":[],\"sequence\":2}");
	s = desk_run("federate list");
	assert_string_equal(s.out, "TRUST DOMAIN   CERTIFICATES  SEQUENCE\n"
				   "other.example  2             3\n");
	said_free(&s);
	put_pem("many.pem", fake_root_der(), CA_LIST_MAX + 1);
	s = desk_run("federate add other.example --bundle @/many.pem");
	assert_int_equal(s.exit, EXIT_FAILED);
	assert_non_null(strstr(s.err, "more than 64"));
	said_free(&s);
	fake_stop(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, desk_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(mistakes_are_told_before_anything_is_sent),
	    TEST(reasons_have_several_spellings),
	    TEST(serials_are_taken_as_others_show_them),
	    TEST(what_is_signed_is_what_was_said),
	    TEST(a_node_publishes_it_or_not),
	    TEST(what_is_blocked_is_a_table),
	    TEST(a_crl_is_printed_or_kept),
	    TEST(retiring_needs_no_root_key),
	    TEST(revoking_puts_the_issuer_on_the_roots_crl),
	    TEST(the_roots_crl_is_signed_anew),
	    TEST(importing_a_root_is_signed_with_the_root_key),
	    TEST(federating_takes_an_operator_alone),
	};

	if (sodium_init() < 0)
		return 1;
	fake_global_init();
	unsetenv("XDG_CONFIG_HOME");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
