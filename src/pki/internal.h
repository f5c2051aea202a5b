/* internal.h -- what the files of src/pki share, and nobody else includes. */
#ifndef QUORATE_PKI_INTERNAL_H
#define QUORATE_PKI_INTERNAL_H

#include <openssl/x509v3.h>

#include "pki/der.h"
#include "pki/pki.h"

/* ---- key.c ---- */

/* After OpenSSL was at work: empties its error queue, so that nothing of it
 * reaches the caller.  An rc that is an error becomes E_NOMEM if the queue says
 * that memory was the reason: OpenSSL's own answer is only "no". */
enum code openssl_done(enum code rc, struct err *e);
/* E_INTERNAL with that text, or E_NOMEM; then as openssl_done. */
enum code openssl_fault(struct err *e, const char *what);
/* An uncompressed point on a named curve, by the exact bytes of its SPKI. */
bool spki_is_p256(struct span spki);
bool spki_is_p384(struct span spki);
/* The two parts of a SubjectPublicKeyInfo (RFC 5280 §4.1), borrowed. */
struct spki_parts {
	struct span algorithm; /* OID content octets */
	struct span bits;      /* subjectPublicKey */
};
enum code spki_split(
    struct span spki, struct spki_parts *out, struct err *e) MUST_CHECK;
/* pki_verify that tells why not: E_INVAL if it does not hold; E_NOMEM,
 * E_INTERNAL if that is not known. */
enum code verify_sha256(struct span spki, struct span msg, struct span sig,
    struct err *e) MUST_CHECK;
/* With SHA-256, whatever kind of key; no check of the kind. */
enum code sign_sha256(
    struct buf *sig, EVP_PKEY *key, struct span msg, struct err *e) MUST_CHECK;

/* ---- import.c ---- */

/* The key of an SPKI that is P-256, P-384 or RSA of at most 4096 bits; NULL if
 * it is none of these, or not on its curve.  OpenSSL's queue may hold why. */
EVP_PKEY *spki_import(struct span spki);

/* ---- cert.c: parts of certificates and CRLs, written ---- */

/* AlgorithmIdentifier: ecdsa-with-SHA256 (RFC 5758 §3.2: no parameters). */
void put_algorithm(struct buf *b);
/* SIGNED{}: the signed part, its algorithm, the signature. */
void put_signed(struct buf *b, struct span part, struct span sig);
/* One RelativeDistinguishedName with one attribute. */
void put_rdn(struct buf *b, enum der_oid oid, unsigned tag, struct span text);
/* O = trust domain, CN = first, second; serialNumber = key id: one name for
 * one key.  Texts are cut to what X.520 allows (64). */
void put_ca_name(struct buf *b, struct span td, struct span first,
    const char *second, const uint8_t key_id[CA_KEY_ID_LEN]);

/* version to subjectPublicKeyInfo of a TBSCertificate (RFC 5280 §4.1.2). */
struct cert_head {
	struct span serial;
	struct span issuer, subject; /* DER Names */
	uint64_t not_before_s, not_after_s;
	struct span spki;
};
void put_cert_head(struct buf *b, const struct cert_head *h);
enum code cert_times_check(
    uint64_t not_before_s, uint64_t not_after_s, struct err *e) MUST_CHECK;
/* Text for a Name: 1 to 64 printable ASCII characters. */
enum code cert_text_check(
    struct span text, const char *what, struct err *e) MUST_CHECK;
/* Random, 16 octets, top bits 01. */
void serial_make(uint8_t out[CA_SERIAL_LEN]);
/* Sign tbs with key and append the certificate to der. */
enum code cert_sign(struct buf *der, const struct buf *tbs, EVP_PKEY *key,
    struct err *e) MUST_CHECK;

/* ---- ext.c: extensions, RFC 5280 §4.2 ---- */

/* extensions [3] (certificates) or [0] (CRLs) around a SEQUENCE. */
struct exts {
	size_t outer, list;
};
struct exts exts_begin(const struct buf *b);
void exts_end(struct buf *b, struct exts x, unsigned number);
struct ext {
	size_t whole, value;
};
struct ext ext_begin(struct buf *b, enum der_oid oid, bool critical);
void ext_end(struct buf *b, struct ext x);

void ext_leaf_constraints(struct buf *b); /* CA:FALSE */
void ext_ca_constraints(struct buf *b, unsigned pathlen);
void ext_key_usage(struct buf *b, unsigned bits); /* OpenSSL's KU_ */
void ext_key_purposes(struct buf *b, bool server);
void ext_subject_key_id(struct buf *b, const uint8_t id[CA_KEY_ID_LEN]);
void ext_authority_key_id(struct buf *b, struct span id);
void ext_name_constraints(struct buf *b, struct span td);

/* SubjectAltName; nothing is written if there is no name. */
struct ext_names {
	struct span uri;
	const struct span *dns, *ip;
	size_t dns_n, ip_n;
};
void ext_alt_names(struct buf *b, const struct ext_names *n, bool critical);
enum code ext_names_check(const struct ext_names *n, struct err *e) MUST_CHECK;

/* ---- read.c: a CA certificate, read ---- */

/* Spans borrow from the bytes read. */
struct ca_cert {
	struct span tbs, signature; /* what is signed, and with what */
	struct span issuer, subject, spki;
	uint64_t not_before_s, not_after_s;
	uint8_t key_id[CA_KEY_ID_LEN]; /* pki_key_id of spki */
	/* Extensions */
	bool ca, has_pathlen, critical_unknown;
	unsigned pathlen;
	unsigned usage; /* KU_ bits; 0 without the extension */
	struct span subject_key_id, authority_key_id; /* may be empty */
};
/* Strictly DER, X.509 v3, ecdsa-with-SHA256; no memory is taken.  E_INVAL. */
enum code ca_cert_read(
    struct span cert, struct ca_cert *out, struct err *e) MUST_CHECK;
/* What those that it signs name as their authority's key: its subject key
 * identifier or, where a foreign root has none, its key id. */
struct span ca_cert_authority(const struct ca_cert *c);

/* ---- crl.c, crl_read.c ---- */

/* RFC 5280 §5.3.1: what may stand on a complete CRL. */
bool crl_reason_valid(unsigned reason);

/* A CA certificate with any kind of key, as a trust anchor.  E_INVAL. */
enum code anchor_check(struct span cert, struct err *e) MUST_CHECK;

#endif
