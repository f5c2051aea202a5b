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
	const struct fake_route *routes;
	pthread_mutex_t lock; /* routes and posted */
	struct buf posted;
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

/* Reads up to the end of the headers and the body they announce; in ends with
 * a NUL.  *body is where the body begins; 0: no request came. */
static size_t read_request(
    struct fake *f, SSL *ssl, char *in, size_t size, size_t *body)
{
	size_t len = 0;

	while (len + 1 < size) {
		const char *end, *at;
		int n;

		if (SSL_pending(ssl) == 0 && stopped(f, SSL_get_fd(ssl)))
			return 0;
		n = SSL_read(ssl, in + len, (int)(size - 1 - len));
		if (n <= 0)
			return 0;
		len += (size_t)n;
		in[len] = '\0';
		end = strstr(in, "\r\n\r\n");
		at = strstr(in, "Content-Length: ");
		if (end == NULL)
			continue;
		*body = (size_t)(end + 4 - in);
		if (len >= *body + (at != NULL && at < end
					   ? strtoul(at + 16, NULL, 10)
					   : 0)) {
			atomic_fetch_add(&f->asked, 1);
			return len;
		}
	}
	return 0;
}

/* The bytes of a route's body. */
static void body_of(const struct fake_route *r, struct buf *out)
{
	if (strncmp(r->body, "hex:", 4) != 0) {
		buf_add_str(out, r->body);
		return;
	}
	for (const char *p = r->body + 4; p[0] != '\0'; p += 2) {
		char digits[3] = {p[0], p[1], '\0'};

		buf_add_u8(out, (uint8_t)strtoul(digits, NULL, 16));
	}
}

static void answer_route(
    struct fake *f, SSL *ssl, const char *in, size_t len, size_t body)
{
	const struct fake_route *r;
	struct buf out;
	char head[200];

	buf_init(&out);
	pthread_mutex_lock(&f->lock);
	if (strncmp(in, "POST", 4) == 0) {
		buf_clear(&f->posted);
		buf_add(&f->posted, in + body, len - body);
	}
	for (r = f->routes; r->request != NULL; r++)
		if (strncmp(in, r->request, strlen(r->request)) == 0)
			break;
	if (r->request != NULL)
		body_of(r, &out);
	snprintf(head, sizeof(head),
	    "HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    r->request != NULL ? r->status : 404, out.len);
	SSL_write(ssl, head, (int)strlen(head));
	if (out.len > 0)
		SSL_write(ssl, out.p, (int)out.len);
	pthread_mutex_unlock(&f->lock);
	buf_free(&out);
}

static void wait_stop(struct fake *f)
{
	while (!atomic_load(&f->stop))
		usleep(5000);
}

static void talk(struct fake *f, SSL *ssl)
{
	char in[16384];
	size_t len, body = 0;

	for (size_t i = 0;
	     (len = read_request(f, ssl, in, sizeof(in), &body)) > 0; i++) {
		if (f->kind == FAKE_BREAKS)
			return;
		if (f->kind == FAKE_HANGS || (f->kind == FAKE_ONCE && i > 0)) {
			wait_stop(f);
			return;
		}
		if (f->routes != NULL)
			answer_route(f, ssl, in, len, body);
		else
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

static struct fake *start(enum fake_kind kind, int status, const char *body,
    const struct fake_route *routes)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	struct fake *f = calloc(1, sizeof(*f));

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->kind = kind;
	f->routes = routes;
	pthread_mutex_init(&f->lock, NULL);
	buf_init(&f->posted);
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

struct fake *fake_start(enum fake_kind kind, int status, const char *body)
{
	return start(kind, status, body, NULL);
}

struct fake *fake_start_routes(const struct fake_route *routes)
{
	return start(FAKE_ANSWERS, 0, NULL, routes);
}

void fake_routes(struct fake *f, const struct fake_route *routes)
{
	pthread_mutex_lock(&f->lock);
	f->routes = routes;
	pthread_mutex_unlock(&f->lock);
}

void fake_posted(struct fake *f, struct buf *out)
{
	pthread_mutex_lock(&f->lock);
	buf_add_span(out, buf_span(&f->posted));
	pthread_mutex_unlock(&f->lock);
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
	pthread_mutex_destroy(&f->lock);
	buf_free(&f->posted);
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
