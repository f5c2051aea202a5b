/* Commands against a node's answers: what is printed, and what is signed. */
#include "cli/approve.h"
#include "cli/tokens.h"
#include "desk.h"

static const struct fake_route routes[] = {
    {"GET /v1/view", 200, VIEW},
    {"POST /v1/admin", 200, APPLIED},
    {"GET /v1/join", 200, "{\"pending\":[]}"},
    {NULL, 0, NULL},
};

/* ---- Printing ---- */

static void lists_are_tables(void **state)
{
	static const struct {
		const char *line, *out;
	} rows[] = {
	    {"cluster list",
		"CLUSTER  KEYS      AUDIENCES  ISSUER  NAMESPACES  ALIASES\n"
		"east     RS256:k1  istio-ca   -       a,b         e\n"},
	    {"issuer list",
		"ISSUER  NODE  STATE   NOT AFTER             KEY ID\n"
		"east    1     active  2030-01-01T00:00:00Z  02020202\n"},
	    {"operator list", "OPERATOR  ROLES  KEY\nalice     admin  AAAA\n"},
	    {"policy get", "version            3\n"
			   "ttl default, s     86400\n"
			   "ttl max, s         86400\n"
			   "renew max, s       86400\n"
			   "issuer settle, ms  120000\n"
			   "quota, identity/h  0\n"
			   "quota, cluster/h   0\n"
			   "admin signatures   1\n"
			   "name constraints   no\n"},
	};
	struct fake *f = desk_serve(routes);

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct said s = desk_run(rows[i].line);

		assert_string_equal(s.err, "");
		assert_string_equal(s.out, rows[i].out);
		assert_int_equal(s.exit, EXIT_DONE);
		said_free(&s);
	}
	fake_stop(f);
}

static void json_is_what_the_node_said(void **state)
{
	static const char *const lines[] = {"cluster list -o json",
	    "-o json issuer list", "operator list -o=json",
	    "policy get -o json"};
	struct fake *f = desk_serve(routes);

	(void)state;
	for (size_t i = 0; i < ROWS(lines); i++) {
		struct said s = desk_run(lines[i]);
		json_t *o = json_loads(s.out, 0, NULL);

		assert_int_equal(s.exit, EXIT_DONE);
		assert_non_null(o);
		json_decref(o);
		said_free(&s);
	}
	fake_stop(f);
}

static void control_bytes_do_not_reach_the_terminal(void **state)
{
	static const struct fake_route evil[] = {
	    {"GET /v1/certs", 200,
		"{\"certs\":[{\"index\":1,\"serial\":\"00\",\"uri\":"
		"\"\\u001b[2J\\u00e9\"}],\"next\":null}"},
	    {NULL, 0, NULL},
	};
	struct fake *f = desk_serve(evil);
	struct said s = desk_run("cert list");

	(void)state;
	assert_int_equal(s.exit, EXIT_DONE);
	assert_null(strchr(s.out, '\033'));
	assert_non_null(strstr(s.out, "\\x1b[2J\\xc3\\xa9"));
	said_free(&s);
	fake_stop(f);
}

/* ---- Signing ---- */

static void policy_set_keeps_what_is_not_named(void **state)
{
	struct fake *f = desk_serve(routes);
	struct said s = desk_run("policy set --ttl-max 2d --issuer-settle 30s");
	struct wire_memory *mem = NULL;
	struct ca_envelope *env = desk_posted(f, &mem);
	const struct ca_policy *p = &env->commands[0].u.set_policy;

	(void)state;
	assert_int_equal(s.exit, EXIT_DONE);
	assert_int_equal(env->commands_n, 1);
	assert_int_equal(env->commands[0].kind, CA_ADMIN_SET_POLICY);
	assert_int_equal(p->ttl_max_s, 172800);
	assert_int_equal(p->ttl_default_s, 86400);
	assert_int_equal(p->issuer_settle_ms, 30000);
	assert_int_equal(p->admin_signatures, 1);
	wire_free(mem);
	free(env);
	said_free(&s);
	fake_stop(f);
}

static void set_jwks_keeps_the_rest_of_the_cluster(void **state)
{
	static const char jwks[] =
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"new\","
	    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
	struct fake *f = desk_serve(routes);
	struct wire_memory *mem = NULL;
	const struct ca_cluster *c;
	struct ca_envelope *env;
	char line[PATH_MAX];
	struct said s;

	(void)state;
	desk_put("jwks.json", span_str(jwks), 0644);
	snprintf(line, sizeof(line),
	    "cluster set-jwks east --jwks %.200s/jwks.json --audience x,y",
	    desk_top);
	s = desk_run(line);
	assert_string_equal(s.err, "");
	assert_string_equal(
	    s.out, "Cluster east has 1 token key (log index 12).\n");
	env = desk_posted(f, &mem);
	c = &env->commands[0].u.set_cluster;
	assert_int_equal(env->commands[0].kind, CA_ADMIN_SET_CLUSTER);
	assert_int_equal(c->keys_n, 1);
	assert_true(span_eq_str(c->keys[0].kid, "new"));
	assert_true(span_eq_str(c->keys[0].alg, "ES256"));
	assert_int_equal(c->keys[0].spki.len, CA_P256_SPKI_LEN);
	assert_int_equal(c->audiences_n, 2);
	assert_int_equal(c->namespaces_n, 2);
	assert_int_equal(c->aliases_n, 1);
	assert_false(c->removed);
	wire_free(mem);
	free(env);
	said_free(&s);
	fake_stop(f);
}

static void what_is_not_there_is_said_before_anything_is_sent(void **state)
{
	static const struct {
		const char *line, *err;
	} rows[] = {
	    {"cluster set-jwks nowhere --jwks /dev/null",
		"quorate: no cluster nowhere is registered: `quorate cluster "
		"list` shows them, `quorate cluster add nowhere` registers "
		"it\n"},
	    {"cluster add east",
		"quorate: cluster east is registered already: `quorate cluster "
		"set-jwks east` replaces its keys\n"},
	    {"cluster remove gone",
		"quorate: no cluster gone is registered: `quorate cluster "
		"list` shows them, `quorate cluster add gone` registers it\n"},
	    {"member remove 4",
		"quorate: there is no node 4: `quorate member list` shows "
		"them\n"},
	    {"operator remove bob",
		"quorate: there is no operator bob: `quorate operator list` "
		"shows them\n"},
	    {"issuer approve west",
		"quorate: no node of cluster west waits for approval: is "
		"`quorate join` or quorated running there, and can it reach "
		"these servers? (`quorate issuer list` shows who waits)\n"},
	};
	struct fake *f = desk_serve(routes);
	struct buf body;

	(void)state;
	buf_init(&body);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct said s = desk_run(rows[i].line);

		assert_string_equal(s.err, rows[i].err);
		assert_int_equal(s.exit, EXIT_FAILED);
		said_free(&s);
	}
	fake_posted(f, &body);
	assert_int_equal(body.len, 0);
	buf_free(&body);
	fake_stop(f);
}

static void an_unconfirmed_command_ends_with_status_3(void **state)
{
	static const struct fake_route busy[] = {
	    {"GET /v1/view", 200, VIEW},
	    {"POST /v1/admin", 503,
		"{\"error\":\"unavailable\",\"why\":\"no quorum\"}"},
	    {NULL, 0, NULL},
	};
	struct fake *f = desk_serve(busy);
	struct said s = desk_run("cluster remove east");

	(void)state;
	assert_int_equal(s.exit, EXIT_UNKNOWN);
	assert_non_null(strstr(s.err, "outcome unknown"));
	assert_non_null(strstr(s.err, "`quorate cluster list` shows"));
	said_free(&s);
	fake_stop(f);
}

static void a_refusal_is_told_as_the_node_told_it(void **state)
{
	static const struct fake_route no[] = {
	    {"GET /v1/view", 200, VIEW},
	    {"POST /v1/admin", 409,
		"{\"error\":\"conflict\",\"why\":\"node 1 is the last one\"}"},
	    {NULL, 0, NULL},
	};
	struct fake *f = desk_serve(no);
	struct said s = desk_run("member remove 1");

	(void)state;
	assert_int_equal(s.exit, EXIT_FAILED);
	assert_string_equal(s.err, "quorate: node 1 is the last one\n");
	said_free(&s);
	fake_stop(f);
}

static void a_removed_node_is_not_asked_any_more(void **state)
{
	static const struct fake_route yes[] = {
	    {"GET /v1/view", 200, VIEW},
	    {"POST /v1/admin", 200, APPLIED},
	    {"GET /v1/status", 200,
		"{\"id\":2,\"quorum\":true,\"members\":"
		"[{\"id\":1,\"state\":\"removed\"}]}"},
	    {NULL, 0, NULL},
	};
	struct fake *f = desk_serve(yes);
	struct said s;
	struct buf left;
	char path[PATH_MAX];

	(void)state;
	buf_init(&left);
	desk_put("servers", span_str("127.0.0.1:1\n127.0.7.1:8444\n"), 0644);
	s = desk_run("member remove 1");
	assert_int_equal(s.exit, EXIT_DONE);
	assert_non_null(strstr(s.out, "votes no more"));
	assert_int_equal(
	    fs_join(path, sizeof(path), desk_top, "servers", NULL), E_OK);
	assert_int_equal(fs_read(path, 1000, &left, NULL), E_OK);
	assert_true(span_eq_str(buf_span(&left), "127.0.0.1:1\n"));
	said_free(&s);
	buf_free(&left);
	fake_stop(f);
}

/* ---- Tokens and joins ---- */

static size_t tokens_kept(void)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.200s/tokens", desk_top);
	return stat(path, &st) == 0 ? (size_t)st.st_nlink : 0;
}

static void token_create_logs_the_hash_and_keeps_the_secret(void **state)
{
	struct fake *f = desk_serve(routes);
	struct said s = desk_run("token create --cluster west --ttl 10m");
	struct wire_memory *mem = NULL;
	struct ca_envelope *env = desk_posted(f, &mem);
	uint8_t auth[SHA256_LEN], hash[SHA256_LEN], secret[JOIN_SECRET_LEN];
	struct session own = {0};
	struct join_token t;
	char cluster[64];

	(void)state;
	assert_int_equal(s.exit, EXIT_DONE);
	assert_int_equal(join_token_parse(span_str(s.out), &t, NULL), E_OK);
	assert_string_equal(t.cluster, "west");
	assert_string_equal(t.servers[0], fake_name(f));
	assert_string_equal(t.servers[1], "127.0.7.1:8444");
	/* A cluster that is new comes in the same envelope. */
	assert_int_equal(env->commands_n, 2);
	assert_int_equal(env->commands[0].kind, CA_ADMIN_SET_CLUSTER);
	assert_int_equal(env->commands[1].kind, CA_ADMIN_CREATE_JOIN_TOKEN);
	join_auth(auth, t.secret);
	sha256_of(hash, span_of(auth, sizeof(auth)));
	assert_memory_equal(
	    env->commands[1].u.create_join_token.secret_hash, hash, 32);
	snprintf(own.dir, sizeof(own.dir), "%.200s", desk_top);
	assert_int_equal(tokens_find(&own, hash, secret, cluster, NULL), E_OK);
	assert_memory_equal(secret, t.secret, sizeof(secret));
	assert_string_equal(cluster, "west");
	hash[0] ^= 1;
	assert_int_equal(
	    tokens_find(&own, hash, secret, cluster, NULL), E_NOTFOUND);
	assert_true(tokens_kept() > 0);
	join_token_free(&t);
	wire_free(mem);
	free(env);
	said_free(&s);
	fake_stop(f);
}

struct joiner {
	uint8_t secret[JOIN_SECRET_LEN];
	EVP_PKEY *issuer;
	struct buf body;
};

static void add_base64(struct buf *out, struct span s)
{
	assert_true(base64_encode(out, s, BASE64_STD));
}

/* A join request as provision_join writes it; witness: without an issuer;
 * wrong: the proof is over another mesh key. */
static void make_joiner(struct joiner *j, bool witness, bool wrong)
{
	uint8_t mesh[32];
	struct buf msg, sig, spki;

	memset(mesh, 5, sizeof(mesh));
	memset(j->secret, 6, sizeof(j->secret));
	buf_init(&msg);
	buf_init(&sig);
	buf_init(&spki);
	buf_init(&j->body);
	assert_int_equal(pki_key_new(PKI_P256, &j->issuer, NULL), E_OK);
	assert_int_equal(pki_key_spki(&spki, j->issuer, NULL), E_OK);
	buf_add(&msg, "quorate issuer proof v1", 24);
	mesh[0] ^= wrong;
	buf_add(&msg, mesh, sizeof(mesh));
	assert_int_equal(pki_sign(&sig, j->issuer, buf_span(&msg), NULL), E_OK);
	buf_add_str(&j->body,
	    "{\"cluster\":\"west\",\"mesh_address\":\"127.0.7.2:7700\","
	    "\"mesh_key\":\"0505050505050505050505050505050505050505"
	    "050505050505050505050505\",\"log_key\":\"" KEY32 "\","
	    "\"api_addresses\":[\"127.0.7.2\"],\"api_spki\":\"");
	add_base64(&j->body, buf_span(&spki));
	buf_add_str(&j->body, "\",\"issuer_spki\":\"");
	if (!witness)
		add_base64(&j->body, buf_span(&spki));
	buf_add_str(&j->body, "\",\"issuer_proof\":\"");
	if (!witness)
		add_base64(&j->body, buf_span(&sig));
	buf_add_str(&j->body, "\"}");
	buf_free(&msg);
	buf_free(&sig);
	buf_free(&spki);
}

static void joiner_free(struct joiner *j)
{
	EVP_PKEY_free(j->issuer);
	buf_free(&j->body);
}

static void a_join_is_taken_only_with_mac_and_proof(void **state)
{
	static const struct {
		const char *why;
		bool witness, wrong_proof, changed, wrong_mac;
		enum code want;
	} rows[] = {
	    {"as it was made", false, false, false, false, E_OK},
	    {"a witness", true, false, false, false, E_OK},
	    {"proof over another key", false, true, false, false, E_DENIED},
	    {"changed on the way", false, false, true, false, E_DENIED},
	    {"another secret", false, false, false, true, E_DENIED},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct join_request r = {0};
		struct joiner j;
		uint8_t mac[SHA256_LEN];
		struct err e = {0};

		make_joiner(&j, rows[i].witness, rows[i].wrong_proof);
		join_mac(mac, j.secret, buf_span(&j.body));
		if (rows[i].changed)
			j.body.p[j.body.len - 3] ^= 1;
		if (rows[i].wrong_mac)
			j.secret[0] ^= 1;
		assert_int_equal(
		    join_request_read(&r, buf_span(&j.body), mac, j.secret, &e),
		    rows[i].want);
		if (rows[i].want == E_OK) {
			assert_int_equal(r.node.has_issuer, !rows[i].witness);
			assert_int_equal(r.node.mesh_key[31], 5);
			join_request_free(&r);
		}
		joiner_free(&j);
	}
}

static void approve_signs_node_and_issuer_in_one_envelope(void **state)
{
	struct joiner j;
	struct join_token t = {.cluster = "west"};
	struct session own = {0};
	uint8_t mac[SHA256_LEN], auth[SHA256_LEN], id[SHA256_LEN];
	char mac_hex[65], id_hex[65], line[PATH_MAX];
	struct buf pending, root;
	struct fake_route r[ROWS(routes)];
	EVP_PKEY *root_key = NULL;
	struct wire_memory *mem = NULL;
	struct ca_envelope *env;
	struct fake *f;
	struct said s;

	(void)state;
	buf_init(&pending);
	root_key = desk_root(&root);
	make_joiner(&j, false, false);
	join_mac(mac, j.secret, buf_span(&j.body));
	join_auth(auth, j.secret);
	sha256_of(id, span_of(auth, sizeof(auth)));
	hex_encode(mac_hex, mac, 32);
	hex_encode(id_hex, id, 32);
	memcpy(t.secret, j.secret, sizeof(t.secret));
	snprintf(own.dir, sizeof(own.dir), "%.200s", desk_top);
	assert_int_equal(
	    tokens_keep(&own, &t, clock_unix_ms() + 60000, NULL), E_OK);
	buf_printf(&pending,
	    "{\"pending\":[{\"cluster\":\"west\",\"mesh_key\":\"05\","
	    "\"token\":\"%s\",\"mac\":\"%s\",\"body\":\"",
	    id_hex, mac_hex);
	add_base64(&pending, buf_span(&j.body));
	buf_add(&pending, "\"}]}", 5); /* with its NUL */
	memcpy(r, routes, sizeof(r));
	r[2].body = (const char *)pending.p;
	f = desk_serve(r);

	snprintf(line, sizeof(line),
	    "issuer approve west --passphrase-file %.200s/wrong", desk_top);
	s = desk_run(line);
	assert_int_equal(s.exit, EXIT_FAILED);
	assert_non_null(strstr(s.err, "root.key"));
	said_free(&s);
	snprintf(line, sizeof(line),
	    "issuer approve west --passphrase-file %.200s/phrase", desk_top);
	s = desk_run(line);
	assert_string_equal(s.err, "");
	assert_int_equal(s.exit, EXIT_DONE);
	assert_non_null(strstr(s.out, "Node 5 of cluster west"));
	env = desk_posted(f, &mem);
	assert_int_equal(env->commands_n, 2);
	assert_int_equal(env->commands[0].kind, CA_ADMIN_SET_NODE);
	/* Node 4 was removed: its id is not used again. */
	assert_int_equal(env->commands[0].u.set_node.id, 5);
	assert_int_equal(env->commands[1].kind, CA_ADMIN_ADD_ISSUER);
	assert_int_equal(env->commands[1].u.add_issuer.node, 5);
	assert_true(env->commands[1].u.add_issuer.cert.len > 0);
	wire_free(mem);
	free(env);
	said_free(&s);
	fake_stop(f);
	joiner_free(&j);
	EVP_PKEY_free(root_key);
	buf_free(&pending);
	buf_free(&root);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
	char path[PATH_MAX];
	struct said s;

	(void)state;
	snprintf(path, sizeof(path), "%.200s/operator.key", desk_top);
	assert_int_equal(chmod(path, 0644), 0);
	s = desk_run("status --server 127.0.0.1:1");
	assert_int_equal(s.exit, EXIT_FAILED);
	assert_non_null(strstr(s.err, "chmod 600"));
	said_free(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lists_are_tables),
	    TEST(json_is_what_the_node_said),
	    TEST(control_bytes_do_not_reach_the_terminal),
	    TEST(policy_set_keeps_what_is_not_named),
	    TEST(set_jwks_keeps_the_rest_of_the_cluster),
	    TEST(what_is_not_there_is_said_before_anything_is_sent),
	    TEST(an_unconfirmed_command_ends_with_status_3),
	    TEST(a_refusal_is_told_as_the_node_told_it),
	    TEST(a_removed_node_is_not_asked_any_more),
	    TEST(token_create_logs_the_hash_and_keeps_the_secret),
	    TEST(a_join_is_taken_only_with_mac_and_proof),
	    TEST(approve_signs_node_and_issuer_in_one_envelope),
	    TEST(a_key_that_others_may_read_is_refused),
	};

	if (sodium_init() < 0)
		return 1;
	fake_global_init();
	unsetenv("XDG_CONFIG_HOME");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
