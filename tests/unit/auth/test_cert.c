/* Client certificates, shown in a real handshake between two memory BIOs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "auth/auth.h"
#include "world.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_make(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_free(&w);
	return 0;
}

static int any(X509_STORE_CTX *ctx, void *arg)
{
	(void)ctx;
	(void)arg;
	return 1;
}

static X509 *cert_of(const struct buf *der)
{
	const uint8_t *p = der->p;

	return d2i_X509(NULL, &p, (long)der->len);
}

static SSL *side(const SSL_METHOD *m, const struct buf *cert, EVP_PKEY *key)
{
	SSL_CTX *ctx = SSL_CTX_new(m);
	X509 *x = cert->len > 0 ? cert_of(cert) : NULL;
	SSL *ssl;

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, any, NULL);
	if (x != NULL) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	}
	X509_free(x);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	return ssl;
}

/* The server's end of a connection on which the client showed cert. */
static SSL *handshake(const struct buf *cert, EVP_PKEY *key, SSL **client)
{
	SSL *server = side(TLS_server_method(), &w.root, w.root_key);
	BIO *a, *b;

	*client = side(TLS_client_method(), cert, key);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(server, a, a);
	SSL_set_bio(*client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(*client);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(*client);
		SSL_do_handshake(server);
	}
	assert_true(SSL_is_init_finished(server));
	return server;
}

#define URI "URI:spiffe://" WORLD_TD "/ns/shop/sa/cart"

static void a_workload_s_certificate_names_its_holder(void **state)
{
	const struct {
		const char *what, *names;
		EVP_PKEY *by;
		const struct buf *issuer;
		long life_s;
		uint8_t first; /* of the serial */
		bool ok;
	} rows[] = {
	    {"good", URI, w.issuer_key, &w.issuer, 600, 0x51, true},
	    {"expired", URI, w.issuer_key, &w.issuer, -60, 0x51, false},
	    {"forged", URI, w.stranger_key, &w.issuer, 600, 0x51, false},
	    {"self-signed", URI, w.stranger_key, NULL, 600, 0x51, false},
	    {"two URIs", URI "," URI "2", w.issuer_key, &w.issuer, 600, 0x51,
		false},
	    {"no URI", "DNS:shop", w.issuer_key, &w.issuer, 600, 0x51, false},
	    {"another trust domain",
		"URI:spiffe://evil.example/ns/shop/sa/cart", w.issuer_key,
		&w.issuer, 600, 0x51, false},
	    {"not a SPIFFE ID", "URI:https://" WORLD_TD "/ns/shop/sa/cart",
		w.issuer_key, &w.issuer, 600, 0x51, false},
	    {"a short serial", URI, w.issuer_key, &w.issuer, 600, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world_cert c = {.names = rows[i].names,
		    .key = w.stranger_key,
		    .by = rows[i].by,
		    .issuer = rows[i].issuer,
		    .life_s = rows[i].life_s,
		    .usage = "critical,digitalSignature",
		    .serial = {rows[i].first, 2, 3}};
		struct auth_identity id;
		struct err e = {0};
		struct buf cert;
		SSL *server, *client;
		enum code rc;

		world_cert(&cert, &c);
		server = handshake(&cert, w.stranger_key, &client);
		rc = auth_client_cert(w.view, server, &id, &e);
		if ((rc == E_OK) != rows[i].ok)
			fail_msg("%s: %s", rows[i].what, e.text);
		if (rows[i].ok) {
			assert_string_equal(
			    id.uri, "spiffe://" WORLD_TD "/ns/shop/sa/cart");
			assert_string_equal(id.ns, "shop");
			assert_int_equal(id.via, CA_VIA_CERT);
			assert_memory_equal(id.parent, c.serial, 16);
		} else {
			assert_int_equal(rc, E_UNAUTH);
		}
		SSL_free(server);
		SSL_free(client);
		buf_free(&cert);
	}
}

static void a_revoked_issuer_s_leaves_are_refused(void **state)
{
	struct world_cert c = {.names = URI,
	    .key = w.stranger_key,
	    .by = w.issuer_key,
	    .issuer = &w.issuer,
	    .life_s = 600,
	    .serial = {0x51}};
	struct auth_identity id;
	struct err e = {0};
	struct buf cert;
	SSL *server, *client;

	(void)state;
	world_cert(&cert, &c);
	server = handshake(&cert, w.stranger_key, &client);
	assert_int_equal(auth_client_cert(w.view, server, &id, &e), E_OK);
	w.view->issuers[0].state = CA_ISSUER_REVOKED;
	assert_int_equal(auth_client_cert(w.view, server, &id, &e), E_UNAUTH);
	w.view->issuers[0].state = CA_ISSUER_ACTIVE;
	SSL_free(server);
	SSL_free(client);
	buf_free(&cert);
}

static void an_operator_is_a_registered_key_with_a_role(void **state)
{
	const struct {
		const char *what;
		EVP_PKEY *key;
		uint32_t has, wants;
		bool removed;
		enum code code;
	} rows[] = {
	    {"administrator", w.operator_key, CA_ROLE_ADMIN, CA_ROLE_ADMIN,
		false, E_OK},
	    {"may do everything", w.operator_key, CA_ROLE_ADMIN,
		CA_ROLE_AUDITOR, false, E_OK},
	    {"auditor reads", w.operator_key, CA_ROLE_AUDITOR,
		CA_ROLE_AUDITOR | CA_ROLE_REVOKER, false, E_OK},
	    {"auditor writes", w.operator_key, CA_ROLE_AUDITOR, CA_ROLE_ADMIN,
		false, E_DENIED},
	    {"removed", w.operator_key, CA_ROLE_ADMIN, CA_ROLE_ADMIN, true,
		E_DENIED},
	    {"stranger", w.stranger_key, CA_ROLE_ADMIN, CA_ROLE_ADMIN, false,
		E_DENIED},
	    {"nobody", NULL, CA_ROLE_ADMIN, CA_ROLE_ADMIN, false, E_UNAUTH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf cert = {0};
		const struct ca_operator *op;
		struct err e = {0};
		SSL *server, *client;

		if (rows[i].key != NULL)
			world_cert(&cert, &(struct world_cert){.cn = "anyone",
					      .key = rows[i].key,
					      .by = rows[i].key,
					      .life_s = -60});
		w.view->operators[0].roles = rows[i].has;
		w.view->operators[0].removed = rows[i].removed;
		server = handshake(&cert, rows[i].key, &client);
		if (auth_operator(w.view, server, rows[i].wants, &op, &e) !=
		    rows[i].code)
			fail_msg("%s: %s", rows[i].what, e.text);
		assert_int_equal(op != NULL, rows[i].code == E_OK);
		SSL_free(server);
		SSL_free(client);
		buf_free(&cert);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_workload_s_certificate_names_its_holder),
	    cmocka_unit_test(a_revoked_issuer_s_leaves_are_refused),
	    cmocka_unit_test(an_operator_is_a_registered_key_with_a_role),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
