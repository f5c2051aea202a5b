#include "fake.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define CONNECTIONS_MAX 16

struct fake {
	enum fake_kind kind;
	char answer[4096];
	SSL_CTX *ctx;
	struct connection {
		struct fake *f;
		int fd;
		pthread_t thread;
	} connections[CONNECTIONS_MAX];
	size_t connections_n;
	char name[40];
	int listen_fd;
	pthread_t thread;
	atomic_bool stop;
	atomic_size_t asked;
};

static EVP_PKEY *key;
static X509 *cert;
static char *pem;
static size_t pem_len;
static unsigned char *der;
static size_t der_len;

/* ---- The certificate ---- */

static void add_ext(int nid, const char *value)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (x == NULL || X509_add_ext(cert, x, -1) != 1)
		abort();
	X509_EXTENSION_free(x);
}

void fake_global_init(void)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text;
	long len;

	signal(SIGPIPE, SIG_IGN);
	key = EVP_EC_gen("P-256");
	cert = X509_new();
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
	    MBSTRING_ASC, (const unsigned char *)"fake", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	add_ext(NID_basic_constraints, "critical,CA:TRUE");
	add_ext(NID_subject_alt_name, "IP:127.0.0.1");
	if (X509_sign(cert, key, EVP_sha256()) == 0 ||
	    PEM_write_bio_X509(out, cert) != 1)
		abort();
	len = BIO_get_mem_data(out, &text);
	pem = strndup(text, (size_t)len);
	pem_len = (size_t)len;
	BIO_free(out);
	der_len = (size_t)i2d_X509(cert, &der);
}

struct span fake_root_pem(void)
{
	return span_of(pem, pem_len);
}

struct span fake_root_der(void)
{
	return span_of(der, der_len);
}

/* ---- One connection ---- */

static bool stopped(struct fake *f, int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	while (!atomic_load(&f->stop)) {
		int n = poll(&p, 1, 10);

		if (n > 0)
			return false;
	}
	return true;
}

/* Reads up to the end of the headers and the body they announce. */
static bool read_request(struct fake *f, SSL *ssl)
{
	char in[8192];
	size_t len = 0;

	while (len + 1 < sizeof(in)) {
		const char *end, *at;
		int n;

		if (SSL_pending(ssl) == 0 && stopped(f, SSL_get_fd(ssl)))
			return false;
		n = SSL_read(ssl, in + len, (int)(sizeof(in) - 1 - len));
		if (n <= 0)
			return false;
		len += (size_t)n;
		in[len] = '\0';
		end = strstr(in, "\r\n\r\n");
		at = strstr(in, "Content-Length: ");
		if (end != NULL &&
		    len >= (size_t)(end + 4 - in) +
			       (at != NULL ? strtoul(at + 16, NULL, 10) : 0)) {
			atomic_fetch_add(&f->asked, 1);
			return true;
		}
	}
	return false;
}

static void wait_stop(struct fake *f)
{
	while (!atomic_load(&f->stop))
		usleep(5000);
}

static void talk(struct fake *f, SSL *ssl)
{
	for (size_t i = 0; read_request(f, ssl); i++) {
		if (f->kind == FAKE_BREAKS)
			return;
		if (f->kind == FAKE_HANGS || (f->kind == FAKE_ONCE && i > 0)) {
			wait_stop(f);
			return;
		}
		SSL_write(ssl, f->answer, (int)strlen(f->answer));
	}
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	SSL *ssl;

	if (c->f->kind == FAKE_SILENT) {
		wait_stop(c->f);
		close(c->fd);
		return NULL;
	}
	ssl = SSL_new(c->f->ctx);
	SSL_set_fd(ssl, c->fd);
	if (SSL_accept(ssl) == 1)
		talk(c->f, ssl);
	SSL_free(ssl);
	close(c->fd);
	return NULL;
}

static void *run(void *arg)
{
	struct fake *f = arg;

	while (!stopped(f, f->listen_fd)) {
		struct connection *c = &f->connections[f->connections_n];

		c->f = f;
		c->fd = accept(f->listen_fd, NULL, NULL);
		if (c->fd < 0)
			continue;
		if (++f->connections_n == CONNECTIONS_MAX ||
		    pthread_create(&c->thread, NULL, serve, c) != 0)
			abort();
	}
	return NULL;
}

/* ---- Life ---- */

struct fake *fake_start(enum fake_kind kind, int status, const char *body)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	struct fake *f = calloc(1, sizeof(*f));

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->kind = kind;
	snprintf(f->answer, sizeof(f->answer),
	    "HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    status, body != NULL ? strlen(body) : 0, body != NULL ? body : "");
	f->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(f->ctx, cert);
	SSL_CTX_use_PrivateKey(f->ctx, key);
	f->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(f->listen_fd, (struct sockaddr *)&at, len) != 0 ||
	    getsockname(f->listen_fd, (struct sockaddr *)&at, &len) != 0)
		abort();
	snprintf(f->name, sizeof(f->name), "127.0.0.1:%u",
	    (unsigned)ntohs(at.sin_port));
	if (kind == FAKE_REFUSES)
		return f; /* bound, so nobody else takes it; not listening */
	if (listen(f->listen_fd, 8) != 0 ||
	    pthread_create(&f->thread, NULL, run, f) != 0)
		abort();
	return f;
}

void fake_stop(struct fake *f)
{
	atomic_store(&f->stop, true);
	if (f->kind != FAKE_REFUSES)
		pthread_join(f->thread, NULL);
	for (size_t i = 0; i < f->connections_n; i++)
		pthread_join(f->connections[i].thread, NULL);
	SSL_CTX_free(f->ctx);
	close(f->listen_fd);
	free(f);
}

const char *fake_name(const struct fake *f)
{
	return f->name;
}

size_t fake_asked(const struct fake *f)
{
	return atomic_load(&f->asked);
}
