/* pki.h -- X.509 for quorate.  Certificates and CRLs are written by our own
 * small deterministic DER encoder; requests and CA certificates are stepped
 * through by a strict reader of our own, so that every node judges them alike;
 * keys and signatures are OpenSSL's, and so are the names in a request.
 * What takes a buf appends to it; on an error it may hold a part.  OpenSSL's
 * error queue is empty after every function.  Reentrant; any thread. */
#ifndef QUORATE_PKI_PKI_H
#define QUORATE_PKI_PKI_H

#include <openssl/evp.h>

#include "ca/ca.h"
#include "wire/wire.h"

/* ---- Keys ---- */
enum pki_key_kind { PKI_P256, PKI_P384, PKI_RSA2048, PKI_RSA3072, PKI_RSA4096 };
enum code pki_key_new(
    enum pki_key_kind kind, EVP_PKEY **out, struct err *e) MUST_CHECK;
enum code pki_key_spki(struct buf *out, EVP_PKEY *key,
    struct err *e) MUST_CHECK; /* DER SubjectPublicKeyInfo */
enum code pki_key_from_spki(
    struct span spki, EVP_PKEY **out, struct err *e) MUST_CHECK;
/* PKCS#8 PEM, unencrypted (API keys, operator keys: files of mode 0600). */
enum code pki_key_to_pem(
    struct buf *out, EVP_PKEY *key, struct err *e) MUST_CHECK;
enum code pki_key_from_pem(
    struct span pem, EVP_PKEY **out, struct err *e) MUST_CHECK;
/* RFC 7093 §2 method 1 over the SPKI's subjectPublicKey bits. */
enum code pki_key_id(
    struct span spki, uint8_t out[CA_KEY_ID_LEN], struct err *e) MUST_CHECK;
/* ECDSA P-256 with SHA-256, signature in DER. */
enum code pki_sign(
    struct buf *sig, EVP_PKEY *key, struct span msg, struct err *e) MUST_CHECK;
bool pki_verify(struct span spki, struct span msg, struct span sig);
/* The functions src/ca needs; stateless.  root and issuer allocate nothing but
 * for the signature. */
struct ca_crypto pki_ca_crypto(void);

/* ---- SPIFFE IDs ---- */
struct pki_spiffe {
	struct span trust_domain, ns, sa; /* borrow from the string parsed */
};
/* spiffe://TD/ns/NS/sa/SA, strictly (SPIFFE-ID §2; DNS label rules for ns). */
enum code pki_spiffe_parse(
    struct span uri, struct pki_spiffe *out, struct err *e) MUST_CHECK;
enum code pki_spiffe_format(struct buf *out, struct span td, struct span ns,
    struct span sa, struct err *e) MUST_CHECK;
enum code pki_trust_domain_check(struct span td, struct err *e) MUST_CHECK;

/* ---- CSRs ---- */
struct pki_csr {
	struct buf spki; /* DER */
	struct buf uri;  /* the URI SAN asked for; empty if none */
	bool many_uris;  /* more than one URI SAN */
	bool rsa;        /* key type, for the profile */
};
/* PEM of exactly one request, <= 16 KiB; signature checked; key P-256, P-384 or
 * RSA 2048/3072/4096 (others E_INVAL with the list). */
enum code pki_csr_parse(
    struct span pem, struct pki_csr *out, struct err *e) MUST_CHECK;
void pki_csr_free(struct pki_csr *c);
/* A CSR for key with these names (any may be empty): CLI, joiners and tests. */
enum code pki_csr_make(struct buf *pem, EVP_PKEY *key, struct span uri,
    const struct span *dns, size_t dns_n, struct err *e) MUST_CHECK;

/* ---- Certificates: our encoder ---- */
/* What a leaf takes from its issuer. */
struct pki_issuer {
	struct span
	    name; /* DER Name: the issuer certificate's subject, exactly */
	uint8_t key_id[CA_KEY_ID_LEN];
	uint64_t not_after_s;
};
/* From a CA certificate; spans borrow from cert.  It is read, not judged. */
enum code pki_issuer_from_cert(
    struct span cert, struct pki_issuer *out, struct err *e) MUST_CHECK;
/* TBSCertificate of a record (ca_issue), RFC 5280 §4.1: deterministic. */
enum code pki_leaf_tbs(struct buf *out, const struct ca_issue *i,
    const struct pki_issuer *issuer, struct err *e) MUST_CHECK;
/* The whole certificate of a record: TBS, ecdsa-with-SHA256, i->signature. */
enum code pki_leaf_der(struct buf *out, const struct ca_issue *i,
    const struct pki_issuer *issuer, struct err *e) MUST_CHECK;

/* Root: self-signed, CN "TD root", pathlen 1, keyCertSign + cRLSign, 10 y. */
enum code pki_root_make(struct buf *der, EVP_PKEY *key, struct span td,
    uint64_t now_s, struct err *e) MUST_CHECK;
/* Issuer: DN unique per key, pathlen 0, signed by the root key; spki is the
 * node signer's.  name_constraints: URI and DNS permitted subtree of td. */
enum code pki_issuer_make(struct buf *der, EVP_PKEY *root_key,
    struct span root_cert, struct span spki, struct span td,
    struct span cluster, uint64_t now_s, uint64_t life_s, bool name_constraints,
    struct err *e) MUST_CHECK;
/* A CRL (RFC 5280 §5) with the given entries, signed by key. */
enum code pki_crl_tbs(struct buf *out, struct span issuer_cert, uint64_t number,
    uint64_t this_s, uint64_t next_s, const struct ca_revoked *rows, size_t n,
    struct err *e) MUST_CHECK;
enum code pki_crl_der(struct buf *out, struct span tbs, struct span sig,
    struct err *e) MUST_CHECK;
/* What a CRL says, checked against its issuer's certificate: signature, name,
 * number.  lists: a certificate that must stand on it, or empty.  E_INVAL. */
struct pki_crl_facts {
	uint64_t number, this_s, next_s; /* next_s 0: none */
	size_t entries;
};
enum code pki_crl_read(struct span crl, struct span issuer_cert,
    struct span lists, struct pki_crl_facts *out, struct err *e) MUST_CHECK;
/* The entries of a CRL, to be signed again with more; *rows is for free(). */
enum code pki_crl_rows(struct span crl, struct ca_revoked **rows, size_t *n,
    struct err *e) MUST_CHECK;
/* The serial of a certificate of ours: 16 octets. */
enum code pki_cert_serial(
    struct span cert, uint8_t out[CA_SERIAL_LEN], struct err *e) MUST_CHECK;
/* Self-signed client certificate of an operator's key (10 y). */
enum code pki_operator_cert(struct buf *der, EVP_PKEY *key, struct span name,
    uint64_t now_s, struct err *e) MUST_CHECK;

/* ---- PEM ---- */
enum code pki_pem_add(struct buf *out, const char *label, struct span der,
    struct err *e) MUST_CHECK;
/* The first block with that label; E_NOTFOUND. */
enum code pki_pem_first(struct span pem, const char *label, struct buf *der,
    struct err *e) MUST_CHECK;

/* ---- Sealing: root key and signer blob ---- */
/* Argon2id (libsodium MODERATE, or INTERACTIVE if cheap) and
 * XChaCha20-Poly1305; parameters and salt are in the header, which is the
 * associated data; label names what it is ("root key", "signer keys"). */
enum code pki_seal(struct buf *out, const char *label, struct span secret,
    struct span passphrase, bool cheap, struct err *e) MUST_CHECK;
/* E_DENIED: wrong passphrase or altered file.  out is wiped by the caller. */
enum code pki_unseal(struct buf *out, const char *label, struct span sealed,
    struct span passphrase, struct err *e) MUST_CHECK;
void pki_wipe(struct buf *b); /* zero, then free */

/* ---- Envelopes ---- */
/* Sign commands as an operator: the Signed bytes a front takes. */
enum code pki_envelope_sign(struct buf *out, EVP_PKEY *operator_key,
    struct span trust_domain, uint64_t expires_ms, const struct ca_admin *cmds,
    size_t n, struct err *e) MUST_CHECK;
/* Genesis signed with the root key: Signed bytes. */
enum code pki_genesis_sign(struct buf *out, EVP_PKEY *root_key,
    const struct ca_genesis *g, struct err *e) MUST_CHECK;

#endif
