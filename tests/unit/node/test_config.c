/* node.yaml: what is taken, and what an operator reads when it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/config.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BASE "trust_domain: eu.example\ncluster: east\n"

static void a_minimal_file_gets_every_default(void **state)
{
	struct config c;
	struct err e;

	(void)state;
	assert_int_equal(config_parse(&c, span_str(BASE), "f", &e), E_OK);
	assert_string_equal(c.trust_domain, "eu.example");
	assert_string_equal(c.listen, "127.0.0.1");
	assert_string_equal(c.mesh_address, "127.0.0.1:7700");
	assert_int_equal(c.api_addresses.n, 1);
	assert_string_equal(c.api_addresses.v[0], "127.0.0.1");
	assert_int_equal(c.node_id, 0);
	assert_int_equal(c.port_grpc, 8443);
	assert_int_equal(c.heartbeat_ms, 100);
	assert_int_equal(c.election_ms, 1000);
	assert_int_equal(c.store_reserve, 256 << 20);
	assert_int_equal(c.log_level, LOG_INFO);
	assert_int_equal(c.reads, READS_SAFE);
	config_free(&c);
}

static void every_kind_of_value_is_read(void **state)
{
	static const char text[] =
	    BASE "node_id: 3\nlisten: '::1'\nmesh_address: n3.example:7710\n"
		 "api_addresses: [n3.example, 10.0.0.3]\n"
		 "ports: {grpc: 9443, mesh: 7710}\n"
		 "raft:\n  heartbeat_ms: 50\n  election_ms: 400\n"
		 "store:\n  reserve: 1 GiB\n  map_size: 67108864\n"
		 "log:\n  level: debug\n";
	struct config c;
	struct err e;

	(void)state;
	assert_int_equal(config_parse(&c, span_str(text), "f", &e), E_OK);
	assert_int_equal(c.node_id, 3);
	assert_string_equal(c.listen, "::1");
	assert_string_equal(c.mesh_address, "n3.example:7710");
	assert_int_equal(c.api_addresses.n, 2);
	assert_string_equal(c.api_addresses.v[1], "10.0.0.3");
	assert_int_equal(c.port_grpc, 9443);
	assert_int_equal(c.port_https, 8444);
	assert_int_equal(c.port_mesh, 7710);
	assert_int_equal(c.election_ms, 400);
	assert_int_equal(c.store_reserve, 1 << 30);
	assert_int_equal(c.store_map_size, 67108864);
	assert_int_equal(c.log_level, LOG_DEBUG);
	config_free(&c);
}

static void errors_say_where_what_and_what_is_allowed(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {BASE "lisen: 10.0.0.1\n",
		"node.yaml:3: unknown key \"lisen\"; `quorated --help` lists "
		"the keys"},
	    {BASE "raft:\n  election: 1000\n",
		"node.yaml:4: unknown key \"raft.election\"; `quorated "
		"--help` lists the keys"},
	    {BASE "raft:\n  heartbeat_ms: 5\n",
		"node.yaml:4: raft.heartbeat_ms is \"5\", expected a whole "
		"number from 10 to 10000"},
	    {BASE "raft: {heartbeat_ms: fast}\n",
		"node.yaml:3: raft.heartbeat_ms is \"fast\", expected a whole "
		"number from 10 to 10000"},
	    {BASE "ports:\n  grpc: 70000\n",
		"node.yaml:4: ports.grpc is \"70000\", expected a whole "
		"number from 1 to 65535"},
	    {BASE "ports:\n  grpc: -1\n",
		"node.yaml:4: ports.grpc is \"-1\", expected a whole number "
		"from 1 to 65535"},
	    {BASE "ports:\n  grpc: [1, 2]\n",
		"node.yaml:4: ports.grpc: Expecting STRING, got event: "
		"SEQUENCE_START; expected a whole number from 1 to 65535"},
	    {BASE "listen: node.example\n",
		"node.yaml:3: listen is \"node.example\", expected an IPv4 "
		"or IPv6 address"},
	    {"trust_domain: eu.example\ncluster: East\n",
		"node.yaml:2: cluster is \"East\", expected a DNS label: "
		"a-z, 0-9 and '-', at most 63"},
	    {BASE "store:\n  reserve: 1kb\n",
		"node.yaml:4: store.reserve is \"1kb\", expected a size such "
		"as 256MiB, from 1048576 to 1099511627776 bytes"},
	    {BASE "store:\n  reserve: 99999999999TiB\n",
		"node.yaml:4: store.reserve is \"99999999999TiB\", expected a "
		"size such as 256MiB, from 1048576 to 1099511627776 bytes"},
	    {BASE "log: {level: loud}\n",
		"node.yaml:3: log.level is \"loud\", expected one of debug, "
		"info, warn, error"},
	    {BASE "raft: {reads: stale}\n",
		"node.yaml:3: raft.reads is \"stale\", expected safe or "
		"lease"},
	    {BASE "api_addresses: 10.0.0.1\n",
		"node.yaml:3: api_addresses: Expecting SEQUENCE, got event: "
		"SCALAR; expected a list of at most 64 strings"},
	    {"cluster: east\n",
		"node.yaml: trust_domain is missing; it is the --trust-domain "
		"given to quorate init"},
	    {"trust_domain: eu.example\n",
		"node.yaml: cluster is missing; it is the --cluster given to "
		"quorate init or join"},
	    {"", "node.yaml: trust_domain is missing; it is the "
		 "--trust-domain given to quorate init"},
	    {BASE "raft: {heartbeat_ms: 400}\n",
		"node.yaml: raft.election_ms is 1000, expected at least 3 "
		"times raft.heartbeat_ms (400)"},
	    {BASE "ports: {http: 7701}\n",
		"node.yaml: ports.http and the port after ports.mesh "
		"(snapshots) are both 7701; give each its own"},
	    {BASE "listen: 0.0.0.0\n",
		"node.yaml: listen is 0.0.0.0, which peers cannot dial: set "
		"mesh_address to HOST:PORT"},
	    {BASE "listen: 0.0.0.0\nmesh_address: n:7700\n",
		"node.yaml: listen is 0.0.0.0, which clients cannot dial: set "
		"api_addresses to this node's names"},
	    {BASE "mesh_address: no-port\n",
		"node.yaml: mesh_address is \"no-port\", expected HOST:PORT"},
	    {"cluster: b: c\n",
		"node.yaml:1: cluster: libyaml: mapping values are not "
		"allowed in this context; expected a DNS label: a-z, 0-9 and "
		"'-', at most 63"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct config c;
		struct err e = {0};

		assert_int_equal(
		    config_parse(&c, span_str(rows[i].text), "node.yaml", &e),
		    E_INVAL);
		assert_string_equal(e.text, rows[i].want);
	}
}

static void a_key_given_twice_is_refused(void **state)
{
	struct config c;
	struct err e;

	(void)state;
	assert_int_equal(
	    config_parse(&c, span_str(BASE "cluster: b\n"), "f", &e), E_INVAL);
	assert_string_equal(e.text, "f:2: cluster is given twice; keep one");
}

static void what_is_saved_loads_again(void **state)
{
	char dir[] = "test-config-XXXXXX", path[64];
	struct config a, b;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/node.yaml", dir);
	assert_int_equal(config_init(&a, &e), E_OK);
	assert_int_equal(
	    config_set(&a, "trust_domain", "eu.example", &e), E_OK);
	assert_int_equal(config_set(&a, "cluster", "east", &e), E_OK);
	assert_int_equal(config_set(&a, "raft.heartbeat_ms", "20", &e), E_OK);
	assert_int_equal(config_set(&a, "raft.election_ms", "99", &e), E_OK);
	assert_int_equal(config_set(&a, "store.reserve", "3MiB", &e), E_OK);
	assert_int_equal(config_set(&a, "raft.reads", "lease", &e), E_OK);
	assert_int_equal(
	    config_set(&a, "raft.compact_after", "2000", &e), E_OK);
	assert_int_equal(config_set(&a, "commit.min_clusters", "2", &e), E_OK);
	assert_int_equal(config_set(&a, "log.level", "warn", &e), E_OK);
	assert_int_equal(config_set(&a, "api_addresses", "x", &e), E_OK);
	assert_int_equal(config_set(&a, "api_addresses", "y", &e), E_OK);
	assert_int_equal(config_set(&a, "node_id", "7", &e), E_OK);
	assert_int_equal(config_check(&a, &e), E_OK);
	assert_int_equal(config_save(&a, path, &e), E_OK);
	assert_int_equal(config_load(&b, path, &e), E_OK);
	assert_int_equal(b.heartbeat_ms, 20);
	assert_int_equal(b.election_ms, 99);
	assert_int_equal(b.store_reserve, 3 << 20);
	assert_int_equal(b.reads, READS_LEASE);
	assert_int_equal(b.compact_after, 2000);
	assert_int_equal(b.commit_min_clusters, 2);
	assert_int_equal(b.log_level, LOG_WARN);
	assert_int_equal(b.node_id, 7);
	assert_int_equal(b.api_addresses.n, 2);
	assert_string_equal(b.mesh_address, a.mesh_address);
	config_free(&a);
	config_free(&b);
	unlink(path);
	rmdir(dir);
}

static void every_key_is_in_the_help(void **state)
{
	static const char *const names[] = {
#define KEY(field, section, key, kind, def, min, max, help) key,
#include "node/config.def"
#undef KEY
	};

	(void)state;
	for (int form = CONFIG_FORM_HELP; form <= CONFIG_FORM_MAN; form++) {
		struct buf out;

		buf_init(&out);
		assert_true(config_print(&out, (enum config_form)form));
		assert_true(buf_add_u8(&out, 0));
		for (size_t i = 0; i < ROWS(names); i++)
			assert_non_null(strstr((char *)out.p, names[i]));
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_minimal_file_gets_every_default),
	    cmocka_unit_test(every_kind_of_value_is_read),
	    cmocka_unit_test(errors_say_where_what_and_what_is_allowed),
	    cmocka_unit_test(a_key_given_twice_is_refused),
	    cmocka_unit_test(what_is_saved_loads_again),
	    cmocka_unit_test(every_key_is_in_the_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
