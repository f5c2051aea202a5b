/* A real signer, forked: what goes in and what comes out, in which order, and
 * what becomes of the node's calls when it dies. */
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"

#define URI "spiffe://" TD "/ns/prod/sa/web"

static struct world w;
static struct signer *s;

/* ---- Faults: a poll that nothing comes to, an allocation that fails ---- */

static bool poll_in_vain;
static int allocations_left = -1; /* negative: all succeed */

int __real_poll(struct pollfd *p, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	return __real_poll(p, n, poll_in_vain ? 10 : timeout_ms);
}

static bool fails(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* ---- A signer ---- */

static struct signer_config config(void)
{
	return (struct signer_config){.keys_path = w.keys,
	    .seal_key_path = w.seal,
	    .no_seccomp = SANITIZED};
}

static int begin(void **state)
{
	const struct signer_config c = config();
	struct err e = {0};

	(void)state;
	world_open(&w);
	if (signer_start(&s, &c, &e) != E_OK)
		fail_msg("%s", e.text);
	return 0;
}

static int end(void **state)
{
	(void)state;
	signer_stop(s);
	world_close(&w);
	return 0;
}

static void feed_genesis(void)
{
	struct err e = {0};

	if (signer_feed(s, buf_span(&w.genesis), &e) != E_OK)
		fail_msg("%s", e.text);
}

static void feed(enum code want, const struct ca_admin *commands, size_t n)
{
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = commands, .n = n};
	struct err e = {0};
	struct buf entry;

	world_envelope(&w, &env, &entry);
	if (signer_feed(s, buf_span(&entry), &e) != want)
		fail_msg("%s", e.text);
	buf_free(&entry);
}

static bool readable(int timeout_ms)
{
	struct pollfd p = {.fd = signer_fd(s), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void wait_answer(struct signer_answer *a)
{
	struct err e = {0};
	enum code rc;

	while ((rc = signer_receive(s, a, &e)) == E_NOTFOUND)
		assert_true(readable(10000));
	if (rc != E_OK)
		fail_msg("%s", e.text);
}

static void ask(uint64_t id, const struct ca_issue *i)
{
	struct signer_request r = {.id = id, .issue = *i};
	struct err e = {0};

	if (signer_ask(s, &r, &e) != E_OK)
		fail_msg("%s", e.text);
}

/* The record that the answer completes. */
static void complete(struct ca_issue *i, const struct signer_answer *a)
{
	memcpy(i->issuer, a->issuer, sizeof(i->issuer));
	i->encoder = a->encoder;
	i->not_before_s = a->not_before_s;
	i->not_after_s = a->not_after_s;
	i->signature = span_of(a->signature, a->signature_len);
	memcpy(i->cert_sha256, a->cert_sha256, sizeof(i->cert_sha256));
}

/* ---- Leaves ---- */

static void it_tells_the_public_keys_it_holds(void **state)
{
	struct signer_public p;

	(void)state;
	signer_public_keys(s, &p);
	assert_memory_equal(&p, &w.public, sizeof(p));
	assert_int_equal(kill(signer_pid(s), 0), 0);
}

static void a_leaf_verifies_against_root_and_issuer(void **state)
{
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;

	(void)state;
	feed_genesis();
	i.not_after_s = w.now_s + 600;
	ask(77, &i);
	wait_answer(&a);
	assert_int_equal(a.id, 77);
	assert_int_equal(a.code, E_OK);
	assert_int_equal(a.policy_version, 1);
	assert_int_equal(a.not_after_s, w.now_s + 600);
	assert_int_not_equal(a.signer_boot, 0);
	assert_int_equal(a.signer_seq, 1);
	complete(&i, &a);
	world_check_leaf(&w, &i);
}

static void a_node_gets_the_names_of_its_record(void **state)
{
	const uint8_t ip4[] = {127, 0, 0, 1};
	struct ca_issue i = world_leaf(&w, "");
	struct signer_answer a;

	(void)state;
	feed_genesis();
	i.profile = CA_PROFILE_NODE;
	i.via = CA_VIA_NODE;
	i.spki = buf_span(&w.api_spki[0]);
	i.dns[i.dns_n++] = span_str("n1.example");
	i.ip[i.ip_n++] = span_of(ip4, sizeof(ip4));
	i.common_name = span_str("east");
	ask(1, &i);
	wait_answer(&a);
	if (a.code != E_OK)
		fail_msg("%s", a.why);
	complete(&i, &a);
	world_check_leaf(&w, &i);
}

static void before_genesis_nothing_is_signed(void **state)
{
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;

	(void)state;
	ask(1, &i);
	wait_answer(&a);
	assert_int_equal(a.code, E_CONFLICT);
	assert_non_null(strstr(a.why, "issuer"));
}

static void a_refusal_takes_no_number(void **state)
{
	struct ca_issue good = world_leaf(&w, URI),
			bad = world_leaf(
			    &w, "spiffe://other.example/ns/prod/sa/web");
	struct signer_answer a;
	uint64_t boot = 0;

	(void)state;
	feed_genesis();
	for (uint64_t n = 1; n <= 3; n++) {
		ask(2 * n, &bad);
		ask(2 * n + 1, &good);
		wait_answer(&a);
		assert_int_equal(a.id, 2 * n);
		assert_int_equal(a.code, E_DENIED);
		assert_int_equal(a.signature_len, 0);
		wait_answer(&a);
		assert_int_equal(a.id, 2 * n + 1);
		assert_int_equal(a.code, E_OK);
		assert_int_equal(a.signer_seq, n);
		assert_true(n == 1 || a.signer_boot == boot);
		boot = a.signer_boot;
	}
}

static void what_cannot_be_sent_is_refused_at_once(void **state)
{
	static uint8_t big[1024];
	struct signer_request r;
	struct err e = {0};

	(void)state;
#define REFUSED(field, value)                                                  \
	do {                                                                   \
		r = (struct signer_request){.issue = world_leaf(&w, URI)};     \
		r.issue.field = value;                                         \
		assert_int_equal(signer_ask(s, &r, &e), E_INVAL);              \
	} while (0)
	REFUSED(uri, span_of(big, CA_URI_MAX + 1));
	REFUSED(spki, span_of(big, CA_SPKI_MAX + 1));
	REFUSED(common_name, span_of(big, MSG_COMMON_NAME_MAX + 1));
	REFUSED(dns_n, CA_LIST_MAX + 1);
	REFUSED(ip_n, CA_LIST_MAX + 1);
	REFUSED(ip_n, 1); /* an empty address */
	r.issue = world_leaf(&w, URI);
	r.issue.dns_n = 1;
	r.issue.dns[0] = span_of(big, MSG_DNS_MAX + 1);
	assert_int_equal(signer_ask(s, &r, &e), E_INVAL);
}

/* The longest of everything still fits one packet. */
static void the_largest_request_arrives(void **state)
{
	static uint8_t big[1024];
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;

	(void)state;
	feed_genesis();
	memset(big, 'a', sizeof(big));
	i.uri = span_of(big, CA_URI_MAX);
	i.common_name = span_of(big, MSG_COMMON_NAME_MAX);
	i.spki = span_of(big, CA_SPKI_MAX);
	for (i.dns_n = 0; i.dns_n < CA_LIST_MAX; i.dns_n++)
		i.dns[i.dns_n] = span_of(big, MSG_DNS_MAX);
	for (i.ip_n = 0; i.ip_n < CA_LIST_MAX; i.ip_n++)
		i.ip[i.ip_n] = span_of(big, 16);
	ask(5, &i);
	wait_answer(&a);
	assert_int_equal(a.id, 5);
	assert_int_equal(a.code, E_DENIED);
}

/* ---- Entries and heads ---- */

static void policy_counts_its_versions(void **state)
{
	struct ca_admin c = world_set_policy(7200, 1);
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;

	(void)state;
	feed_genesis();
	feed(E_OK, &c, 1);
	feed(E_OK, &c, 1);
	i.not_after_s = w.now_s + 86400;
	ask(1, &i);
	wait_answer(&a);
	assert_int_equal(a.policy_version, 3);
	assert_in_range(a.not_after_s, w.now_s + 7200, w.now_s + 7260);
}

/* One SetCluster with as much as fits an object, sixteen times. */
static void an_entry_of_a_megabyte_arrives(void **state)
{
	static uint8_t key[CA_SPKI_MAX];
	struct ca_admin *c = calloc(CA_BATCH_MAX, sizeof(*c));
	struct envelope env = {
	    .signers = {w.op[0]}, .commands = c, .n = CA_BATCH_MAX};
	struct err e = {0};
	struct buf entry;

	(void)state;
	assert_non_null(c);
	feed_genesis();
	for (size_t i = 0; i < CA_BATCH_MAX; i++) {
		struct ca_cluster *cl = &c[i].u.set_cluster;

		c[i].kind = CA_ADMIN_SET_CLUSTER;
		cl->name = span_str("west");
		for (; cl->keys_n < CA_LIST_MAX; cl->keys_n++)
			cl->keys[cl->keys_n] = (struct ca_token_key){
			    .kid = span_of(memset(key, 'k', 255), 255),
			    .alg = span_str("ES256"),
			    .spki = span_of(key, sizeof(key))};
	}
	world_envelope(&w, &env, &entry);
	assert_in_range(entry.len, 1024 * 1024, MSG_FEED_MAX);
	assert_int_equal(signer_feed(s, buf_span(&entry), &e), E_OK);
	/* and the next one begins anew */
	feed(E_OK, c, 1);
	buf_free(&entry);
	free(c);
}

static void feeding_again_changes_nothing(void **state)
{
	const struct ca_admin c = world_set_policy(7200, 1);
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = &c, .n = 1};
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;
	struct err e = {0};
	struct buf entry;

	(void)state;
	world_envelope(&w, &env, &entry);
	assert_int_equal(signer_feed(s, buf_span(&entry), &e), E_CONFLICT);
	for (int k = 0; k < 3; k++) {
		feed_genesis();
		assert_int_equal(signer_feed(s, buf_span(&entry), &e), E_OK);
	}
	ask(1, &i);
	wait_answer(&a);
	assert_int_equal(a.policy_version, 2);
	buf_free(&entry);
}

static void what_nobody_signed_is_not_taken(void **state)
{
	const struct ca_admin c = world_set_policy(7200, 1);
	struct envelope env = {.signers = {w.other}, .commands = &c, .n = 1};
	struct err e = {0};
	struct buf entry;

	(void)state;
	feed_genesis();
	world_envelope(&w, &env, &entry);
	assert_int_equal(signer_feed(s, buf_span(&entry), &e), E_DENIED);
	assert_non_null(strstr(e.text, "operator who may order"));
	buf_free(&entry);
	assert_int_equal(signer_feed(s, span_str("no entry"), &e), E_INVAL);
	assert_int_equal(signer_feed(s, SPAN_EMPTY, &e), E_INVAL);
}

static void heads_are_signed_with_the_log_key_and_nothing_else_is(void **state)
{
	static char big[SIGNER_HEAD_MAX + 1] = SIGNER_HEAD_PREFIX;
	static const struct {
		const char *why;
		struct span text;
		enum code code;
	} rows[] = {
	    {"a head", {(const uint8_t *)SIGNER_HEAD_PREFIX "7", 22}, E_OK},
	    {"the longest", {(const uint8_t *)big, SIGNER_HEAD_MAX}, E_OK},
	    {"too long", {(const uint8_t *)big, sizeof(big)}, E_INVAL},
	    {"another text", {(const uint8_t *)"quorate admin v1", 16},
		E_DENIED},
	    {"half a prefix", {(const uint8_t *)SIGNER_HEAD_PREFIX, 20},
		E_DENIED},
	    {"nothing", {NULL, 0}, E_DENIED},
	};
	uint8_t sig[64];

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct err e = {0};
		enum code rc = signer_sign_head(s, rows[i].text, sig, &e);

		if (rc != rows[i].code)
			fail_msg("%s: %s", rows[i].why, e.text);
		if (rc == E_OK)
			assert_int_equal(
			    crypto_sign_verify_detached(sig, rows[i].text.p,
				rows[i].text.len, w.public.log_key),
			    0);
	}
}

/* ---- Order and pressure ---- */

static void answers_survive_the_synchronous_calls(void **state)
{
	const struct ca_admin c = world_set_policy(7200, 1);
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;
	struct err e = {0};
	uint8_t sig[64];
	uint64_t id = 0, next = 1;

	(void)state;
	feed_genesis();
	for (int round = 0; round < 10; round++) {
		for (int k = 0; k < 5; k++)
			ask(++id, &i);
		feed(E_OK, &c, 1);
		assert_true(readable(0));
		for (int k = 0; k < 5; k++)
			ask(++id, &i);
		assert_int_equal(
		    signer_sign_head(s, span_str(SIGNER_HEAD_PREFIX), sig, &e),
		    E_OK);
		/* some now, the others with the next round's */
		for (int k = 0; k < 7; k++) {
			assert_true(readable(0));
			assert_int_equal(signer_receive(s, &a, &e), E_OK);
			assert_int_equal(a.id, next++);
		}
	}
	while (next <= id) {
		assert_true(readable(0));
		assert_int_equal(signer_receive(s, &a, &e), E_OK);
		assert_int_equal(a.id, next++);
	}
	assert_int_equal(signer_receive(s, &a, &e), E_NOTFOUND);
	assert_false(readable(0));
}

static void a_full_socket_says_so_and_loses_nothing(void **state)
{
	struct signer_request r = {.issue = world_leaf(&w, URI)};
	const struct ca_admin c = world_set_policy(7200, 1);
	struct signer_answer a;
	struct err e = {0};
	uint64_t asked = 0, next = 1;
	enum code rc = E_OK;

	(void)state;
	feed_genesis();
	kill(signer_pid(s), SIGSTOP);
	while (rc == E_OK && asked < 100000) {
		r.id = asked + 1;
		rc = signer_ask(s, &r, &e);
		asked += rc == E_OK;
	}
	assert_int_equal(rc, E_UNAVAILABLE);
	assert_non_null(strstr(e.text, "full"));
	assert_true(asked >= 32);
	kill(signer_pid(s), SIGCONT);
	/* Neither end waits for the other, though both directions fill. */
	for (int k = 0; k < 50; k++) {
		r.id = asked + 1;
		if (signer_ask(s, &r, &e) == E_OK)
			asked++;
		feed(E_OK, &c, 1);
	}
	while (next <= asked) {
		wait_answer(&a);
		assert_int_equal(a.id, next++);
		assert_int_equal(a.code, E_OK);
	}
	assert_int_equal(signer_receive(s, &a, &e), E_NOTFOUND);
}

static void thousands_in_flight_come_back_in_order(void **state)
{
	struct signer_request r = {.issue = world_leaf(&w, URI)};
	const uint64_t total = SANITIZED ? 2000 : 20000;
	uint64_t asked = 0, answered = 0, began = clock_mono_us();
	struct signer_answer a;
	struct err e = {0};
	enum code rc;

	(void)state;
	feed_genesis();
	while (answered < total) {
		for (rc = E_OK; rc == E_OK && asked < total;) {
			r.id = asked + 1;
			rc = signer_ask(s, &r, &e);
			asked += rc == E_OK;
		}
		assert_true(readable(10000));
		while (signer_receive(s, &a, &e) == E_OK) {
			assert_int_equal(a.id, ++answered);
			assert_int_equal(a.signer_seq, answered);
		}
	}
	print_message("%llu leaves a second\n",
	    (unsigned long long)(total * 1000000 / (clock_mono_us() - began)));
}

/* ---- The end ---- */

static void after_its_death_every_call_says_so(void **state)
{
	struct signer_request r = {.issue = world_leaf(&w, URI)};
	struct signer_answer a;
	struct err e = {0};
	uint8_t sig[64];

	(void)state;
	feed_genesis();
	kill(signer_pid(s), SIGKILL);
	assert_true(readable(10000));
	assert_int_equal(signer_receive(s, &a, &e), E_UNAVAILABLE);
	assert_non_null(strstr(e.text, "signer"));
	assert_int_equal(signer_ask(s, &r, &e), E_UNAVAILABLE);
	assert_int_equal(
	    signer_feed(s, buf_span(&w.genesis), &e), E_UNAVAILABLE);
	assert_int_equal(
	    signer_sign_head(s, span_str(SIGNER_HEAD_PREFIX), sig, &e),
	    E_UNAVAILABLE);
	assert_true(readable(0));
}

static void death_during_a_synchronous_call_ends_it(void **state)
{
	struct err e = {0};
	pid_t killer;

	(void)state;
	kill(signer_pid(s), SIGSTOP);
	killer = fork();
	if (killer == 0) {
		usleep(100000);
		kill(signer_pid(s), SIGKILL);
		_exit(0);
	}
	assert_int_equal(
	    signer_feed(s, buf_span(&w.genesis), &e), E_UNAVAILABLE);
	waitpid(killer, NULL, 0);
}

static void answers_before_its_death_are_not_lost(void **state)
{
	struct ca_issue i = world_leaf(&w, URI);
	struct signer_answer a;
	struct err e = {0};

	(void)state;
	feed_genesis();
	ask(1, &i);
	ask(2, &i);
	feed_genesis(); /* both are answered now */
	kill(signer_pid(s), SIGKILL);
	wait_answer(&a);
	assert_int_equal(a.id, 1);
	wait_answer(&a);
	assert_int_equal(a.id, 2);
	while (signer_receive(s, &a, &e) == E_NOTFOUND)
		assert_true(readable(10000));
	assert_int_equal(signer_receive(s, &a, &e), E_UNAVAILABLE);
}

/* Who does not answer is as good as dead; the node ends, and so does he. */
static void a_signer_that_hangs_is_given_up(void **state)
{
	struct signer_answer a;
	struct err e = {0};
	pid_t pid = signer_pid(s);

	(void)state;
	kill(pid, SIGSTOP);
	poll_in_vain = true;
	assert_int_equal(
	    signer_feed(s, buf_span(&w.genesis), &e), E_UNAVAILABLE);
	poll_in_vain = false;
	assert_non_null(strstr(e.text, "does not answer"));
	assert_int_equal(signer_receive(s, &a, &e), E_UNAVAILABLE);
	signer_stop(s);
	s = NULL;
	assert_int_equal(kill(pid, 0), -1);
}

static void short_memory_refuses_and_loses_nothing(void **state)
{
	struct signer_request r = {.issue = world_leaf(&w, URI)};
	const struct signer_config c = config();
	struct signer *other = NULL;
	struct signer_answer a;
	struct err e = {0};
	uint64_t asked = 0;
	enum code rc = E_NOMEM;

	(void)state;
	for (int n = 0; rc != E_OK; n++) {
		allocations_left = n; /* also the child's */
		rc = signer_start(&other, &c, &e);
		allocations_left = -1;
		if (rc != E_OK && rc != E_NOMEM && rc != E_UNAVAILABLE)
			fail_msg("allocation %d: %s", n, e.text);
	}
	signer_stop(other);
	feed_genesis();
	while (rc == E_OK) {
		allocations_left = 0;
		r.id = asked + 1;
		rc = signer_ask(s, &r, &e);
		allocations_left = -1;
		asked += rc == E_OK;
		if (rc == E_NOMEM && asked == 0) {
			ask(++asked, &r.issue); /* makes room for more */
			rc = E_OK;
		}
	}
	assert_true(rc == E_NOMEM || rc == E_UNAVAILABLE);
	feed_genesis();
	for (uint64_t id = 1; id <= asked; id++) {
		wait_answer(&a);
		assert_int_equal(a.id, id);
	}
}

static void signals_that_end_the_node_do_not_end_it(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct err e = {0};
	uint8_t sig[64];

	(void)state;
	for (size_t i = 0; i < ROWS(signals); i++)
		kill(signer_pid(s), signals[i]);
	assert_int_equal(
	    signer_sign_head(s, span_str(SIGNER_HEAD_PREFIX), sig, &e), E_OK);
}

static void a_start_that_fails_says_why(void **state)
{
	struct signer_config c = config();
	struct signer *other;
	struct err e = {0};
	char path[128];

	(void)state;
	c.keys_path = w.seal;
	assert_int_equal(signer_start(&other, &c, &e), E_CORRUPT);
	assert_null(other);
	assert_non_null(strstr(e.text, w.seal));
	c = config();
	snprintf(path, sizeof(path), "%s/none", w.dir);
	c.seal_key_path = path;
	assert_int_equal(signer_start(&other, &c, &e), E_NOTFOUND);
	assert_non_null(strstr(e.text, path));
}

/* ---- A node that is not what it should be ---- */

static void a_message_that_does_not_add_up_ends_the_signer(void **state)
{
	static uint8_t packet[MSG_MAX + 1];
	struct msg_feed part = {.kind = MSG_FEED, .total = 10, .offset = 5};
	struct msg_leaf leaf = {.kind = MSG_LEAF, .uri_len = 9};
	struct msg_leaf many = {.kind = MSG_LEAF, .dns_n = CA_LIST_MAX + 1};
	struct msg_leaf ip = {.kind = MSG_LEAF, .ip_n = 1, .ip_len = {5}};
	const struct {
		const char *why;
		struct span bytes;
	} rows[] = {
	    {"of no kind", {packet, 4}},
	    {"too short for a kind", {packet, 3}},
	    {"too long", {packet, sizeof(packet)}},
	    {"an entry from its middle", {(uint8_t *)&part, sizeof(part)}},
	    {"a leaf cut off", {(uint8_t *)&leaf, 30}},
	    {"a name past the end", {(uint8_t *)&leaf, sizeof(leaf)}},
	    {"too many names", {(uint8_t *)&many, sizeof(many)}},
	    {"an address of five bytes", {(uint8_t *)&ip, sizeof(ip)}},
	};
	const struct signer_config c = config();
	struct msg_reply r;
	int pair[2], status;
	pid_t parent = getpid(), pid;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		pid = fork();
		if (pid == 0)
			child_main(pair[1], parent, &c);
		close(pair[1]);
		assert_int_equal(recv(pair[0], &r, sizeof(r), 0), sizeof(r));
		assert_int_equal(r.u.done.code, E_OK);
		assert_int_equal(
		    send(pair[0], rows[i].bytes.p, rows[i].bytes.len, 0),
		    rows[i].bytes.len);
		waitpid(pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
			fail_msg("%s: status %x", rows[i].why, status);
		close(pair[0]);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(it_tells_the_public_keys_it_holds),
	    T(a_leaf_verifies_against_root_and_issuer),
	    T(a_node_gets_the_names_of_its_record),
	    T(before_genesis_nothing_is_signed),
	    T(a_refusal_takes_no_number),
	    T(what_cannot_be_sent_is_refused_at_once),
	    T(the_largest_request_arrives),
	    T(policy_counts_its_versions),
	    T(an_entry_of_a_megabyte_arrives),
	    T(feeding_again_changes_nothing),
	    T(what_nobody_signed_is_not_taken),
	    T(heads_are_signed_with_the_log_key_and_nothing_else_is),
	    T(answers_survive_the_synchronous_calls),
	    T(a_full_socket_says_so_and_loses_nothing),
	    T(thousands_in_flight_come_back_in_order),
	    T(after_its_death_every_call_says_so),
	    T(death_during_a_synchronous_call_ends_it),
	    T(answers_before_its_death_are_not_lost),
	    T(a_signer_that_hangs_is_given_up),
	    T(short_memory_refuses_and_loses_nothing),
	    T(signals_that_end_the_node_do_not_end_it),
	    T(a_start_that_fails_says_why),
	    T(a_message_that_does_not_add_up_ends_the_signer),
	};

	return cmocka_run_group_tests_name("signer process", tests, NULL, NULL);
}
