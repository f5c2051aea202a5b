/* tls.c -- what our TLS servers offer: TLS 1.3, and 1.2 with forward secrecy
 * and AEAD; a client certificate is asked for, and judged by src/auth. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "front/internal.h"

/* Possession of the key is proven by the handshake; whose key it is, and
 * whether a chain is needed at all, is not a question of this layer. */
static int any_certificate(X509_STORE_CTX *ctx, void *arg)
{
	(void)ctx;
	(void)arg;
	return 1;
}

/* An encrypted key is refused rather than asked for on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

/* ALPN (RFC 7301): gRPC needs h2 (RFC 9113 §3.2). */
static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i < inlen; i += 1U + in[i])
		if (in[i] == 2 && inlen - i > 2 &&
		    memcmp(in + i + 1, "h2", 2) == 0) {
			*out = in + i + 1;
			*outlen = 2;
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_http1(SSL *ssl, const unsigned char **out,
    unsigned char *outlen, const unsigned char *in, unsigned int inlen,
    void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i < inlen; i += 1U + in[i])
		if (in[i] == 8 && inlen - i > 8 &&
		    memcmp(in + i + 1, "http/1.1", 8) == 0) {
			*out = in + i + 1;
			*outlen = 8;
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

static enum code read_chain(
    struct span pem, X509 **leaf, STACK_OF(X509) * rest, struct err *e)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.len);
	X509 *x;

	*leaf = NULL;
	while (in != NULL &&
	       (x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL) {
		if (*leaf == NULL) {
			*leaf = x;
		} else if (sk_X509_push(rest, x) == 0) {
			X509_free(x);
			break;
		}
	}
	BIO_free(in);
	ERR_clear_error(); /* the end of the text is one */
	return *leaf != NULL
		   ? E_OK
		   : err_set(e, E_INVAL, "the API's chain has no certificate");
}

static enum code use_identity(
    SSL_CTX *ctx, struct span chain_pem, struct span key_pem, struct err *e)
{
	STACK_OF(X509) *rest = sk_X509_new_null();
	BIO *in = BIO_new_mem_buf(key_pem.p, (int)key_pem.len);
	EVP_PKEY *key = NULL;
	X509 *leaf = NULL;
	enum code rc;

	if (rest == NULL || in == NULL) {
		rc = err_nomem(e);
		goto out;
	}
	if ((rc = read_chain(chain_pem, &leaf, rest, e)) != E_OK)
		goto out;
	key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
	if (key == NULL)
		rc = err_set(e, E_INVAL, "the API's key is not a PEM key");
	else if (SSL_CTX_use_cert_and_key(ctx, leaf, key, rest, 1) != 1 ||
		 SSL_CTX_check_private_key(ctx) != 1)
		rc = err_set(e, E_INVAL,
		    "the API's certificate and key do not belong together");
out:
	EVP_PKEY_free(key);
	X509_free(leaf);
	sk_X509_pop_free(rest, X509_free);
	BIO_free(in);
	ERR_clear_error();
	return rc;
}

static bool configure(SSL_CTX *ctx, enum tls_kind kind)
{
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1)
		return false;
	/* No resumption: a session would come back without its chain. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_NO_COMPRESSION |
				     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, 32 * 1024);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, any_certificate, NULL);
	SSL_CTX_set_alpn_select_cb(
	    ctx, kind == TLS_H2 ? choose_h2 : choose_http1, NULL);
	return true;
}

enum code tls_context(SSL_CTX **out, enum tls_kind kind, struct span chain_pem,
    struct span key_pem, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	enum code rc;

	*out = NULL;
	if (ctx == NULL || !configure(ctx, kind))
		rc = err_set(e, E_INTERNAL, "making a TLS context");
	else
		rc = use_identity(ctx, chain_pem, key_pem, e);
	if (rc == E_OK)
		*out = ctx;
	else
		SSL_CTX_free(ctx);
	return rc;
}
