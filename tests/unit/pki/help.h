/* help.h -- keys and a chain for the tests of src/pki. */
#ifndef QUORATE_TESTS_PKI_HELP_H
#define QUORATE_TESTS_PKI_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509v3.h>

#include "pki/pki.h"

#define TD "corp.example"
#define NOW_S 1795600000ULL /* 2026-11-25 */
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

/* For what must work; prints why it did not. */
#define MUST(call) must((call), &err, __FILE__, __LINE__)
void must(enum code rc, const struct err *e, const char *file, int line);
/* For what must not: the code, and a word of the text. */
#define REFUSED(call, code, word)                                              \
	refused((call), (code), (word), &err, __FILE__, __LINE__)
void refused(enum code rc, enum code want, const char *word,
    const struct err *e, const char *file, int line);
extern struct err err;

/* OpenSSL's queue must be empty after whatever we did. */
void no_leftovers(void);

struct chain {
	EVP_PKEY *root_key, *issuer_key;
	struct buf root, issuer; /* DER */
	struct pki_issuer from;
};
void chain_make(struct chain *c, bool name_constraints);
void chain_free(struct chain *c);

/* A workload's record from the chain's issuer, unsigned. */
struct ca_issue issue_plain(const struct chain *c, struct span spki);
/* Sign and encode. */
void leaf_make(struct buf *der, struct ca_issue *i, const struct chain *c);
void crl_make(struct buf *der, struct span cert, EVP_PKEY *key, uint64_t number,
    const struct ca_revoked *rows, size_t n);

X509 *x509_of(const struct buf *der); /* all of it, or the test fails */
X509_CRL *crl_of(const struct buf *der);
void spki_of(struct buf *out, EVP_PKEY *key);

#endif
