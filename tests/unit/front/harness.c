#include "harness.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "front/internal.h"
#include "pki/pki.h"

/* ---- The fake node ---- */

struct job {
	struct harness *h;
	front_issue_done *issued;
	front_admin_done *applied;
	void *arg;
};

static struct ca_view *fake_view(void *ctx)
{
	struct harness *h = ctx;
	struct ca_view *v;

	pthread_mutex_lock(&h->lock);
	v = h->no_view ? NULL : ca_view_ref(h->world.view);
	pthread_mutex_unlock(&h->lock);
	return v;
}

static void answer_issue(void *arg)
{
	struct job *j = arg;
	struct harness *h = j->h;
	struct front_issued r = {.why = ""};
	struct buf root;

	buf_init(&root);
	world_pem(&root, &h->world.root);
	pthread_mutex_lock(&h->lock);
	h->held++;
	pthread_cond_broadcast(&h->changed);
	while (h->hold)
		pthread_cond_wait(&h->changed, &h->lock);
	h->held--;
	r.code = h->issue_code;
	if (r.code != E_OK)
		r.why = h->why;
	pthread_mutex_unlock(&h->lock);
	r.cert = span_str("the leaf");
	r.issuer_cert = buf_span(&h->world.issuer);
	r.root_bundle = buf_span(&root);
	j->issued(j->arg, &r);
	buf_free(&root);
	free(j);
}

static void keep_text(char *out, size_t size, struct span s)
{
	snprintf(out, size, "%.*s", (int)s.len, (const char *)s.p);
}

static void fake_issue(
    void *ctx, const struct front_issue *req, front_issue_done *done, void *arg)
{
	struct harness *h = ctx;
	struct job *j = calloc(1, sizeof(*j));
	struct err e;

	*j = (struct job){.h = h, .issued = done, .arg = arg};
	pthread_mutex_lock(&h->lock);
	h->seen = *req;
	h->issues++;
	keep_text(h->seen_uri, sizeof(h->seen_uri), req->uri);
	keep_text(h->seen_cluster, sizeof(h->seen_cluster), req->cluster);
	keep_text(h->seen_requester, sizeof(h->seen_requester), req->requester);
	pthread_mutex_unlock(&h->lock);
	if (worker_do(h->node, answer_issue, j, &e) != E_OK)
		abort();
}

static void answer_admin(void *arg)
{
	struct job *j = arg;
	struct front_applied r = {.index = 42, .why = ""};

	pthread_mutex_lock(&j->h->lock);
	r.code = j->h->issue_code;
	if (r.code != E_OK)
		r.why = j->h->why;
	pthread_mutex_unlock(&j->h->lock);
	j->applied(j->arg, &r);
	free(j);
}

static void fake_admin(
    void *ctx, struct span msg, front_admin_done *done, void *arg)
{
	struct harness *h = ctx;
	struct job *j = calloc(1, sizeof(*j));
	struct err e;

	(void)msg;
	*j = (struct job){.h = h, .applied = done, .arg = arg};
	if (worker_do(h->node, answer_admin, j, &e) != E_OK)
		abort();
}

static enum code fake_transfer(void *ctx, uint64_t to, struct err *e)
{
	(void)ctx;
	return to == 2 ? E_OK : err_set(e, E_NOTFOUND, "no such member");
}

static enum code fake_read_begin(
    void *ctx, bool linearizable, struct ca **ca, void **token, struct err *e)
{
	struct harness *h = ctx;

	pthread_mutex_lock(&h->lock);
	if (linearizable && h->read_code != E_OK) {
		pthread_mutex_unlock(&h->lock);
		return err_set(e, h->read_code, "no quorum");
	}
	*ca = h->world.ca;
	*token = h;
	return E_OK;
}

static void fake_read_end(void *ctx, void *token)
{
	struct harness *h = ctx;

	assert(token == h);
	pthread_mutex_unlock(&h->lock);
}

static void fake_status(void *ctx, struct front_status *out)
{
	(void)ctx;
	snprintf(out->trust_domain, sizeof(out->trust_domain), WORLD_TD);
	out->id = 1;
	out->quorum = true;
	out->members_n = 1;
	out->members[0].id = 1;
	out->members[0].self = true;
}

static enum code fake_ready(void *ctx, struct buf *why)
{
	struct harness *h = ctx;
	enum code rc;

	pthread_mutex_lock(&h->lock);
	rc = h->ready_code;
	pthread_mutex_unlock(&h->lock);
	if (rc != E_OK)
		buf_add_str(why, "no quorum\n");
	return rc;
}

static enum code fake_sign_head(
    void *ctx, struct span head, uint8_t sig[64], struct err *e)
{
	(void)ctx;
	(void)head;
	(void)e;
	memset(sig, 7, 64);
	return E_OK;
}

static uint64_t fake_age_ms(void *ctx)
{
	(void)ctx;
	return 7;
}

static bool fake_clock_off(void *ctx)
{
	(void)ctx;
	return false;
}

static uint64_t fake_published(void *ctx)
{
	(void)ctx;
	return UINT64_MAX;
}

/* ---- Start and stop ---- */

static enum code start_front(struct harness *h, struct err *e)
{
	const struct front_config c = {.listen = h->address,
	    .grpc_port = GRPC_PORT,
	    .https_port = HTTPS_PORT,
	    .http_port = HTTP_PORT,
	    .metrics_port = METRICS_PORT,
	    .threads = 2};
	const struct front_ops ops = {.ctx = h,
	    .view = fake_view,
	    .issue = fake_issue,
	    .admin = fake_admin,
	    .transfer = fake_transfer,
	    .read_begin = fake_read_begin,
	    .read_end = fake_read_end,
	    .status = fake_status,
	    .age_ms = fake_age_ms,
	    .published = fake_published,
	    .clock_off = fake_clock_off,
	    .ready = fake_ready,
	    .sign_head = fake_sign_head};

	return front_start(&h->front, &c, &ops, e);
}

int harness_start(struct harness *h, bool tls)
{
	EVP_PKEY *key = world_key("P-256");
	struct err e = {0};
	struct buf der;
	char names[64];
	int pid = getpid();

	*h = (struct harness){.why = ""};
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	snprintf(h->address, sizeof(h->address), "127.%d.%d.%d",
	    1 + pid / 62500 % 250, 1 + pid / 250 % 250, 1 + pid % 250);
	snprintf(names, sizeof(names), "IP:%s", h->address);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_make(&h->world);
	world_cert(&der, &(struct world_cert){.names = names,
			     .key = key,
			     .by = h->world.issuer_key,
			     .issuer = &h->world.issuer,
			     .life_s = 3600});
	world_pem(&h->server_cert, &der);
	world_pem(&h->server_cert, &h->world.issuer);
	world_pem(&h->ca_pem, &h->world.root);
	world_key_pem(&h->server_key, key);
	buf_free(&der);
	EVP_PKEY_free(key);
	assert(worker_start(&h->node, &e) == E_OK);
	if (start_front(h, &e) != E_OK ||
	    (tls && front_set_tls(h->front, buf_span(&h->server_cert),
			buf_span(&h->server_key), &e) != E_OK)) {
		fprintf(stderr, "front: %s\n", e.text);
		return -1;
	}
	return 0;
}

void harness_stop(struct harness *h)
{
	harness_release(h);
	if (h->front != NULL)
		front_stop(h->front, 100);
	worker_stop(h->node);
	buf_free(&h->server_cert);
	buf_free(&h->server_key);
	buf_free(&h->ca_pem);
	world_free(&h->world);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->changed);
}

void harness_release(struct harness *h)
{
	pthread_mutex_lock(&h->lock);
	h->hold = false;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

void harness_wait_held(struct harness *h, unsigned n)
{
	pthread_mutex_lock(&h->lock);
	while (h->held < n)
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

/* ---- Clients ---- */

void reply_free(struct reply *r)
{
	buf_free(&r->body);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct reply *r = arg;

	buf_add(&r->body, p, size * n);
	return size * n;
}

static void take(
    const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);

	if (len < n || strncasecmp(line, name, n) != 0)
		return;
	while (n < len && line[n] == ' ')
		n++;
	while (len > n && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	snprintf(out, size, "%.*s", (int)(len - n), line + n);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct reply *r = arg;
	char number[16] = "";

	take(p, size * n, "grpc-status:", number, sizeof(number));
	if (number[0] != '\0')
		r->grpc = atoi(number);
	take(p, size * n, "grpc-message:", r->message, sizeof(r->message));
	take(p, size * n, "content-type:", r->type, sizeof(r->type));
	take(p, size * n, "quorate-applied:", r->applied, sizeof(r->applied));
	take(p, size * n, "quorate-state-age-ms:", r->age, sizeof(r->age));
	take(p, size * n, "etag:", r->etag, sizeof(r->etag));
	take(p, size * n, "cache-control:", r->cache, sizeof(r->cache));
	return size * n;
}

static void set_blob(CURL *c, CURLoption o, const struct buf *b)
{
	struct curl_blob blob = {
	    .data = b->p, .len = b->len, .flags = CURL_BLOB_COPY};

	curl_easy_setopt(c, o, &blob);
}

static void set_client_cert(CURL *curl, const struct call *c)
{
	struct buf cert, key;

	if (c->key == NULL)
		return;
	buf_init(&cert);
	buf_init(&key);
	world_pem(&cert, c->cert);
	world_key_pem(&key, c->key);
	set_blob(curl, CURLOPT_SSLCERT_BLOB, &cert);
	set_blob(curl, CURLOPT_SSLKEY_BLOB, &key);
	buf_free(&cert);
	buf_free(&key);
}

static void run(struct harness *h, CURL *curl, const char *url,
    const struct call *c, struct curl_slist *headers, struct reply *r)
{
	*r = (struct reply){.grpc = -1};
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
	    c->timeout_ms != 0 ? c->timeout_ms : 20000L);
	set_blob(curl, CURLOPT_CAINFO_BLOB, &h->ca_pem);
	set_client_cert(curl, c);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, r);
	if (!c->get) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
		    c->body.len > 0 ? (const char *)c->body.p : "");
		curl_easy_setopt(
		    curl, CURLOPT_POSTFIELDSIZE, (long)c->body.len);
	}
	r->curl = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r->http);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
}

static struct curl_slist *add(
    struct curl_slist *l, const char *name, const char *value)
{
	struct buf b;
	char *text;

	buf_init(&b);
	buf_printf(&b, "%s: %s", name, value);
	text = span_dup_str(buf_span(&b));
	l = curl_slist_append(l, text);
	free(text);
	buf_free(&b);
	return l;
}

void grpc_do(struct harness *h, const struct call *c, struct reply *r)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *l = add(NULL, "te", "trailers");
	char url[256];

	snprintf(url, sizeof(url), "https://%s:%d%s", h->address, GRPC_PORT,
	    c->path != NULL ? c->path : CREATE);
	l = add(
	    l, "content-type", c->type != NULL ? c->type : "application/grpc");
	l = add(l, "expect", "");
	if (c->token != NULL)
		l = add(l, "authorization", c->token);
	if (c->clusterid != NULL)
		l = add(l, "clusterid", c->clusterid);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
	    c->http1 ? CURL_HTTP_VERSION_1_1
		     : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	if (c->no_alpn)
		curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
	run(h, curl, url, c, l, r);
}

void http_do(struct harness *h, const char *scheme, unsigned port,
    const struct call *c, struct reply *r)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *l = add(NULL, "expect", "");
	char url[512];

	snprintf(url, sizeof(url), "%s://%s:%u%s", scheme, h->address, port,
	    c->path);
	if (c->type != NULL)
		l = add(l, "content-type", c->type);
	if (c->if_none_match != NULL)
		l = add(l, "if-none-match", c->if_none_match);
	run(h, curl, url, c, l, r);
}

void csr_message(
    struct buf *out, const char *uri, int64_t validity_s, const char *imp)
{
	EVP_PKEY *key = world_key("P-256");
	struct wire_csr_request r = {
	    .validity_s = validity_s, .impersonated = span_str(imp)};
	struct buf pem, msg;
	struct err e = {0};

	buf_init(&pem);
	buf_init(&msg);
	assert(pki_csr_make(&pem, key, span_str(uri), NULL, 0, &e) == E_OK);
	r.csr = buf_span(&pem);
	assert(wire_csr_request_encode(&msg, &r, &e) == E_OK);
	buf_init(out);
	buf_add_u8(out, 0);
	buf_add_u32be(out, (uint32_t)msg.len);
	buf_add_span(out, buf_span(&msg));
	buf_free(&pem);
	buf_free(&msg);
	EVP_PKEY_free(key);
}

char *good_token(struct harness *h)
{
	char *claims = world_claims(
	    clock_unix_ms() / 1000 + 3600, "shop", "cart", NULL, NULL);
	char *token = world_token(h->world.p256, "ES256",
	    "{\"alg\":\"ES256\",\"kid\":\"two\"}", claims);
	struct buf b;
	char *out;

	buf_init(&b);
	buf_printf(&b, "Bearer %s", token);
	out = span_dup_str(buf_span(&b));
	buf_free(&b);
	free(token);
	free(claims);
	return out;
}

int raw_connect(struct harness *h, unsigned port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, h->address, &a.sin_addr);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

long raw_wait_close(int fd, long limit_ms)
{
	uint64_t from = clock_mono_ms();
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char sink[4096];

	for (;;) {
		long gone = (long)(clock_mono_ms() - from);

		if (gone >= limit_ms)
			return -1;
		if (poll(&p, 1, (int)(limit_ms - gone)) > 0 &&
		    read(fd, sink, sizeof(sink)) <= 0)
			return (long)(clock_mono_ms() - from);
	}
}
