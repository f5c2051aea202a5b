/* csr.c -- Istio's certificate service: istio.v1.auth, and as much of
 * google.protobuf.Struct as its metadata uses. */
#include <string.h>

#include "wire/memory.h"

#define CSR_MAX 16384
#define CERTS_MAX 64

static enum code take_metadata(
    const Quorate__PbStruct *in, struct wire_csr_request *out, struct err *e)
{
	enum code rc = E_OK;

	for (size_t i = 0; rc == E_OK && i < in->n_fields; i++) {
		const Quorate__PbField *f = in->fields[i];
		struct span key = span_of(f->key.data, f->key.len);

		if (f->value == NULL)
			continue;
		if (span_eq_str(key, "CertSigner"))
			rc = take_name(f->value->string_value, 255,
			    "CertSigner", &out->cert_signer, e);
		else if (span_eq_str(key, "ImpersonatedIdentity"))
			rc = take_name(f->value->string_value, CA_URI_MAX,
			    "ImpersonatedIdentity", &out->impersonated, e);
	}
	return rc;
}

enum code wire_csr_request_decode(struct span in, struct wire_csr_request *out,
    struct wire_memory **mem, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__IstioCertificateRequest *r;
	enum code rc;

	*mem = NULL;
	memset(out, 0, sizeof(*out));
	if (m == NULL)
		return err_nomem(e);
	rc = memory_unpack(m, &quorate__istio_certificate_request__descriptor,
	    in, WIRE_LOOSE, "IstioCertificateRequest", &r, e);
	if (rc == E_OK) {
		out->validity_s = r->validity_duration;
		rc = take_name(r->csr, CSR_MAX, "csr", &out->csr, e);
	}
	if (rc == E_OK && r->metadata != NULL)
		rc = take_metadata(r->metadata, out, e);
	if (rc == E_OK)
		*mem = m;
	else
		wire_free(m);
	return rc;
}

static void fill_field(Quorate__PbField *f, Quorate__PbValue *v,
    const char *key, struct span value)
{
	quorate__pb_field__init(f);
	quorate__pb_value__init(v);
	f->key = bytes_of(span_str(key));
	v->string_value = bytes_of(value);
	f->value = v;
}

enum code wire_csr_request_encode(
    struct buf *out, const struct wire_csr_request *r, struct err *e)
{
	Quorate__IstioCertificateRequest o =
	    QUORATE__ISTIO_CERTIFICATE_REQUEST__INIT;
	Quorate__PbStruct meta = QUORATE__PB_STRUCT__INIT;
	Quorate__PbField f[2], *list[2] = {&f[0], &f[1]};
	Quorate__PbValue v[2];

	o.csr = bytes_of(r->csr);
	o.validity_duration = r->validity_s;
	meta.fields = list;
	if (r->cert_signer.len != 0) {
		fill_field(&f[meta.n_fields], &v[meta.n_fields], "CertSigner",
		    r->cert_signer);
		meta.n_fields++;
	}
	if (r->impersonated.len != 0) {
		fill_field(&f[meta.n_fields], &v[meta.n_fields],
		    "ImpersonatedIdentity", r->impersonated);
		meta.n_fields++;
	}
	if (meta.n_fields != 0)
		o.metadata = &meta;
	return memory_pack(out, &o, e);
}

enum code wire_csr_response_encode(
    struct buf *out, const struct span *chain, size_t n, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__IstioCertificateResponse o =
	    QUORATE__ISTIO_CERTIFICATE_RESPONSE__INIT;
	enum code rc;

	if (m == NULL)
		return err_nomem(e);
	o.n_cert_chain = n;
	o.cert_chain = give_names(m, chain, n);
	rc = o.cert_chain == NULL ? err_nomem(e) : memory_pack(out, &o, e);
	wire_free(m);
	return rc;
}

enum code wire_csr_response_decode(struct span in, struct span **chain,
    size_t *n, struct wire_memory **mem, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__IstioCertificateResponse *r;
	enum code rc;

	*mem = NULL;
	*chain = NULL;
	*n = 0;
	if (m == NULL)
		return err_nomem(e);
	rc = memory_unpack(m, &quorate__istio_certificate_response__descriptor,
	    in, WIRE_LOOSE, "IstioCertificateResponse", &r, e);
	if (rc == E_OK && r->n_cert_chain > CERTS_MAX)
		rc = err_set(
		    e, E_INVAL, "a chain of %zu certificates", r->n_cert_chain);
	if (rc == E_OK) {
		*chain = memory_get(m, r->n_cert_chain, sizeof(**chain));
		if (*chain == NULL)
			rc = err_nomem(e);
	}
	for (size_t i = 0; rc == E_OK && i < r->n_cert_chain; i++)
		rc = take_name(
		    r->cert_chain[i], 65536, "certificate", &(*chain)[i], e);
	if (rc == E_OK) {
		*n = r->n_cert_chain;
		*mem = m;
	} else {
		wire_free(m);
	}
	return rc;
}
