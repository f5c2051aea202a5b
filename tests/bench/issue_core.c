/* issue_core: what one certificate costs in CPU, three ways over the same
 * CSRs (P-256) in the same run:
 *
 *	quorate	what the front and the node do to a CSR, and the signer process
 *		that builds and signs it, both counted
 *	raw	the cryptography alone: import the public key (d2i_PUBKEY),
 *verify the CSR's signature, sign as many bytes least	the same with the
 *cheapest import that OpenSSL has: the point set on a key that knows its curve
 *	x509	the plain way: OpenSSL's PEM, X509_REQ, X509 and X509V3
 *
 * Prints one JSON object a round.  usage: issue_core [ROUNDS [CERTIFICATES]] */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"
#include "node/provision.h"
#include "pki/pki.h"
#include "signer/signer.h"
#include "wire/wire.h"

#define CSRS 64
#define WINDOW 32 /* at the signer at once; 64 streams do as much */
#define URI "spiffe://bench.example/ns/shop/sa/cart"
#define TTL_S 86400

struct sample {
	struct buf pem, spki, tbs, sig; /* of a CSR and its parts */
};

struct bench {
	struct sample csr[CSRS];
	char dir[64];
	struct signer *signer;
	clockid_t signer_clock;
	struct buf issuer_der;
	struct pki_issuer issuer;
	EVP_PKEY *key;     /* of an issuer: raw and x509 sign with it */
	X509 *issuer_x509; /* named like ours, with that key */
};

static void must(bool ok, const char *what, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "issue_core: %s: %s\n", what, e != NULL ? e->text : "");
	exit(1);
}

static double cpu_us(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- What is made beforehand ---- */

static void take_parts(struct sample *s)
{
	BIO *in = BIO_new_mem_buf(s->pem.p, (int)s->pem.len);
	X509_REQ *req = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	const ASN1_BIT_STRING *sig;
	unsigned char *der = NULL;
	int n;

	must(req != NULL, "reading a CSR", NULL);
	X509_REQ_get0_signature(req, &sig, NULL);
	buf_add(&s->sig, ASN1_STRING_get0_data(sig),
	    (size_t)ASN1_STRING_length(sig));
	n = i2d_re_X509_REQ_tbs(req, &der);
	buf_add(&s->tbs, der, (size_t)n);
	OPENSSL_free(der);
	X509_REQ_free(req);
	BIO_free(in);
}

static void make_csrs(struct bench *b)
{
	struct err e;

	for (size_t i = 0; i < CSRS; i++) {
		struct sample *s = &b->csr[i];
		EVP_PKEY *key;

		must(pki_key_new(PKI_P256, &key, &e) == E_OK &&
			 pki_csr_make(&s->pem, key, span_str(URI), NULL, 0,
			     &e) == E_OK &&
			 pki_key_spki(&s->spki, key, &e) == E_OK,
		    "making a CSR", &e);
		EVP_PKEY_free(key);
		take_parts(s);
	}
}

/* The issuer's certificate, from entry 1. */
static void take_issuer(struct bench *b, struct span genesis)
{
	struct ca_entry *entry = malloc(sizeof(*entry));
	struct wire_memory *mem;
	struct err e;

	must(entry != NULL &&
		 wire_entry_decode(genesis, entry, &mem, &e) == E_OK,
	    "reading entry 1", &e);
	buf_add_span(&b->issuer_der, entry->u.genesis.issuer_cert);
	wire_free(mem);
	free(entry);
	must(pki_issuer_from_cert(buf_span(&b->issuer_der), &b->issuer, &e) ==
		 E_OK,
	    "reading the issuer", &e);
}

static void start_signer(struct bench *b)
{
	char data[80], admin[80], keys[160], seal[160], genesis[160];
	const uint64_t settle = 0;
	const struct provision_init p = {.trust_domain = "bench.example",
	    .cluster = "bench",
	    .data_dir = data,
	    .admin_dir = admin,
	    .operator_name = "admin",
	    .passphrase = span_str("only for the benchmark"),
	    .cheap = true,
	    .settle_ms = &settle,
	    .now_ms = clock_unix_ms()};
	const struct signer_config c = {
	    .keys_path = keys, .seal_key_path = seal};
	struct provision_made made;
	struct buf raw;
	struct err e;

	must(mkdtemp(b->dir) != NULL, "a temporary folder", NULL);
	snprintf(data, sizeof(data), "%s/data", b->dir);
	snprintf(admin, sizeof(admin), "%s/admin", b->dir);
	snprintf(keys, sizeof(keys), "%s/" PROVISION_SIGNER, data);
	snprintf(seal, sizeof(seal), "%s/" PROVISION_SEAL_KEY, data);
	snprintf(genesis, sizeof(genesis), "%s/" PROVISION_GENESIS, data);
	buf_init(&raw);
	must(provision_init(&p, &made, &e) == E_OK, "init", &e);
	must(fs_read(genesis, 1 << 20, &raw, &e) == E_OK, "entry 1", &e);
	must(signer_start(&b->signer, &c, &e) == E_OK &&
		 signer_feed(b->signer, buf_span(&raw), &e) == E_OK,
	    "the signer", &e);
	must(clock_getcpuclockid(signer_pid(b->signer), &b->signer_clock) == 0,
	    "the signer's clock", NULL);
	take_issuer(b, buf_span(&raw));
	buf_free(&raw);
}

static void make_issuer(struct bench *b)
{
	const uint8_t *p = b->issuer_der.p;
	struct err e;

	must(pki_key_new(PKI_P256, &b->key, &e) == E_OK, "a key", &e);
	b->issuer_x509 = d2i_X509(NULL, &p, (long)b->issuer_der.len);
	must(b->issuer_x509 != NULL &&
		 X509_set_pubkey(b->issuer_x509, b->key) == 1,
	    "an issuer", NULL);
}

/* ---- quorate ---- */

struct flight {
	struct pki_csr csr;
	struct signer_request *request;
};

static void send_one(struct bench *b, struct flight *f, uint64_t id)
{
	struct ca_issue *i = &f->request->issue;
	struct err e;

	must(pki_csr_parse(buf_span(&b->csr[id % CSRS].pem), &f->csr, &e) ==
		 E_OK,
	    "the CSR", &e);
	memset(f->request, 0, sizeof(*f->request));
	f->request->id = id;
	random_bytes(i->serial, sizeof(i->serial));
	i->serial[0] = (uint8_t)((i->serial[0] & 0x3f) | 0x40);
	i->profile = CA_PROFILE_WORKLOAD;
	i->via = CA_VIA_TOKEN;
	i->uri = span_str(URI);
	i->spki = buf_span(&f->csr.spki);
	i->not_after_s = clock_unix_ms() / 1000 + TTL_S;
	must(signer_ask(b->signer, f->request, &e) == E_OK, "asking", &e);
}

static void take_one(struct bench *b, struct flight *flights)
{
	struct signer_answer a;
	struct flight *f;
	struct ca_issue *i;
	struct buf der;
	uint8_t sum[SHA256_LEN];
	struct err e;
	enum code rc;

	while ((rc = signer_receive(b->signer, &a, &e)) == E_NOTFOUND) {
		struct pollfd wait = {
		    .fd = signer_fd(b->signer), .events = POLLIN};

		poll(&wait, 1, -1);
	}
	must(rc == E_OK, "the answer", &e);
	must(a.code == E_OK, a.why, NULL);
	f = &flights[a.id % WINDOW];
	i = &f->request->issue;
	memcpy(i->issuer, a.issuer, sizeof(i->issuer));
	i->encoder = a.encoder;
	i->not_before_s = a.not_before_s;
	i->not_after_s = a.not_after_s;
	i->signature = span_of(a.signature, a.signature_len);
	buf_init(&der);
	must(pki_leaf_der(&der, i, &b->issuer, &e) == E_OK, "encoding", &e);
	sha256_of(sum, buf_span(&der));
	must(memcmp(sum, a.cert_sha256, sizeof(sum)) == 0,
	    "what was signed is not what was built", NULL);
	buf_free(&der);
	pki_csr_free(&f->csr);
}

/* Answers come in order: the ring of flights is one. */
static double run_quorate(struct bench *b, size_t n)
{
	static struct flight flights[WINDOW];
	double before, after;

	for (size_t i = 0; i < WINDOW; i++)
		if (flights[i].request == NULL)
			flights[i].request =
			    malloc(sizeof(*flights[0].request));
	before = cpu_us(CLOCK_PROCESS_CPUTIME_ID) + cpu_us(b->signer_clock);
	for (size_t done = 0, sent = 0; done < n; done++) {
		for (; sent < n && sent - done < WINDOW; sent++)
			send_one(b, &flights[sent % WINDOW], sent);
		take_one(b, flights);
	}
	after = cpu_us(CLOCK_PROCESS_CPUTIME_ID) + cpu_us(b->signer_clock);
	return (after - before) / (double)n;
}

/* ---- raw ---- */

static EVP_PKEY *decode(struct bench *b, struct span spki)
{
	const uint8_t *p = spki.p;

	(void)b;
	return d2i_PUBKEY(NULL, &p, (long)spki.len);
}

static EVP_PKEY *set_point(struct bench *b, struct span spki)
{
	EVP_PKEY *key = EVP_PKEY_new();

	must(EVP_PKEY_copy_parameters(key, b->key) == 1 &&
		 EVP_PKEY_set1_encoded_public_key(
		     key, spki.p + spki.len - 65, 65) == 1,
	    "setting a point", NULL);
	return key;
}

static void raw_one(struct bench *b, const struct sample *s,
    EVP_PKEY *(*import)(struct bench *, struct span))
{
	EVP_PKEY *key = import(b, buf_span(&s->spki));
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t sig[80];
	size_t len = sizeof(sig);

	must(key != NULL &&
		 EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
		 EVP_DigestVerify(
		     md, s->sig.p, s->sig.len, s->tbs.p, s->tbs.len) == 1,
	    "raw verify", NULL);
	EVP_MD_CTX_reset(md);
	/* The issuer's certificate is about as long as what we sign. */
	must(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, b->key) == 1 &&
		 EVP_DigestSign(
		     md, sig, &len, b->issuer_der.p, b->issuer_der.len) == 1,
	    "raw sign", NULL);
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
}

static double run_raw(
    struct bench *b, size_t n, EVP_PKEY *(*import)(struct bench *, struct span))
{
	double before = cpu_us(CLOCK_PROCESS_CPUTIME_ID);

	for (size_t i = 0; i < n; i++)
		raw_one(b, &b->csr[i % CSRS], import);
	return (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - before) / (double)n;
}

/* ---- x509 ---- */

static void add_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

	must(ext != NULL && X509_add_ext(x, ext, -1) == 1, "extension", NULL);
	X509_EXTENSION_free(ext);
}

static void x509_fill(struct bench *b, X509 *x, EVP_PKEY *key)
{
	uint8_t serial[16];
	BIGNUM *n;
	X509V3_CTX ctx;

	RAND_bytes(serial, sizeof(serial));
	n = BN_bin2bn(serial, sizeof(serial), NULL);
	BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	X509_set_version(x, X509_VERSION_3);
	X509_set_issuer_name(x, X509_get_subject_name(b->issuer_x509));
	X509_gmtime_adj(X509_getm_notBefore(x), -120);
	X509_gmtime_adj(X509_getm_notAfter(x), TTL_S);
	X509_set_pubkey(x, key);
	X509V3_set_ctx(&ctx, b->issuer_x509, x, NULL, NULL, 0);
	add_extension(x, &ctx, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(x, &ctx, NID_key_usage, "critical,digitalSignature");
	add_extension(x, &ctx, NID_ext_key_usage, "serverAuth,clientAuth");
	add_extension(x, &ctx, NID_authority_key_identifier, "keyid");
	add_extension(x, &ctx, NID_subject_alt_name, "critical,URI:" URI);
}

static void x509_one(struct bench *b, const struct sample *s)
{
	BIO *in = BIO_new_mem_buf(s->pem.p, (int)s->pem.len);
	X509_REQ *req = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	EVP_PKEY *key = X509_REQ_get_pubkey(req);
	X509 *x = X509_new();
	unsigned char *der = NULL;

	must(X509_REQ_verify(req, key) == 1, "x509 verify", NULL);
	x509_fill(b, x, key);
	must(X509_sign(x, b->key, EVP_sha256()) > 0 && i2d_X509(x, &der) > 0,
	    "x509 sign", NULL);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	X509_REQ_free(req);
	BIO_free(in);
}

static double run_x509(struct bench *b, size_t n)
{
	double before = cpu_us(CLOCK_PROCESS_CPUTIME_ID);

	for (size_t i = 0; i < n; i++)
		x509_one(b, &b->csr[i % CSRS]);
	return (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - before) / (double)n;
}

/* ---- The whole ---- */

static void clean_up(struct bench *b)
{
	char command[80];

	signer_stop(b->signer);
	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	if (system(command) != 0)
		fprintf(stderr, "issue_core: %s is left behind\n", b->dir);
}

int main(int argc, char **argv)
{
	static struct bench b = {.dir = "/tmp/issue_core-XXXXXX"};
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	size_t n = argc > 2 ? (size_t)atoi(argv[2]) : 5000;

	if (sodium_init() < 0 || rounds < 1 || n < CSRS) {
		fputs("usage: issue_core [ROUNDS [CERTIFICATES]]\n", stderr);
		return 2;
	}
	start_signer(&b);
	make_csrs(&b);
	make_issuer(&b);
	run_quorate(&b, CSRS); /* warm */
	run_raw(&b, CSRS, decode);
	run_x509(&b, CSRS);
	for (int i = 0; i < rounds; i++) {
		double ours = run_quorate(&b, n);
		double raw = run_raw(&b, n, decode);
		double least = run_raw(&b, n, set_point);
		double x509 = run_x509(&b, n);

		printf("{\"quorate_us\":%.1f,\"raw_us\":%.1f,\"least_us\":"
		       "%.1f,\"x509_us\":%.1f,\"ratio\":%.3f,"
		       "\"certificates\":%zu}\n",
		    ours, raw, least, x509, ours / raw, n);
	}
	clean_up(&b);
	return 0;
}
