/* Committed entries: whatever is in them, every node must go on, and to the
 * same state.  The input is entries, each behind a u16 length.  An error of
 * ca_apply ends a process, so one that bytes can cause would end all of them.
 *
 * Keys are made up so that the fuzzer can pass them: a signature is good if its
 * first byte is odd, a certificate's key is its own hash. */
#include <stdlib.h>
#include <string.h>

#include "../unit/ca/mem.h"
#include "ca/ca.h"
#include "fuzz.h"
#include "wire/wire.h"

static enum code odd_verify(void *ctx, struct span spki, struct span msg,
    struct span sig, struct err *e)
{
	(void)ctx;
	(void)spki;
	(void)msg;
	if (sig.len == 0 || (sig.p[0] & 1) == 0)
		return err_set(e, E_INVAL, "an even signature");
	return E_OK;
}

static enum code facts(
    struct span cert, struct ca_cert_facts *out, struct err *e)
{
	uint8_t hash[SHA256_LEN];

	if (cert.len == 0)
		return err_set(e, E_INVAL, "no certificate");
	sha256_of(hash, cert);
	memcpy(out->key_id, hash, CA_KEY_ID_LEN);
	out->spki = cert;
	out->not_before_s = 0;
	out->not_after_s = UINT64_MAX;
	return E_OK;
}

static enum code root_facts(
    void *ctx, struct span cert, struct ca_cert_facts *out, struct err *e)
{
	(void)ctx;
	return facts(cert, out, e);
}

static enum code issuer_facts(void *ctx, struct span cert, struct span root,
    struct ca_cert_facts *out, struct err *e)
{
	(void)ctx;
	(void)root;
	return facts(cert, out, e);
}

static enum code odd_root_crl(void *ctx, struct span crl, struct span root,
    struct span lists, uint64_t *number, struct err *e)
{
	(void)ctx;
	(void)root;
	if (crl.len == 0 || (crl.p[0] & 1) == 0)
		return err_set(e, E_INVAL, "an even CRL");
	*number = crl.len + lists.len;
	return E_OK;
}

static enum code odd_anchor(void *ctx, struct span cert, struct err *e)
{
	(void)ctx;
	return cert.len != 0 && (cert.p[0] & 1) != 0
		   ? E_OK
		   : err_set(e, E_INVAL, "an even certificate");
}

static enum code rows_tbs(void *ctx, struct buf *out, struct span issuer,
    uint64_t number, uint64_t this_s, uint64_t next_s,
    const struct ca_revoked *rows, size_t n, struct err *e)
{
	(void)ctx;
	(void)issuer;
	buf_add_u64be(out, number);
	buf_add_u64be(out, this_s);
	buf_add_u64be(out, next_s);
	for (size_t i = 0; i < n; i++)
		buf_add(out, rows[i].serial, CA_SERIAL_LEN);
	return buf_check(out, e);
}

static const struct ca_crypto crypto = {.verify = odd_verify,
    .root = root_facts,
    .issuer = issuer_facts,
    .root_crl = odd_root_crl,
    .anchor = odd_anchor,
    .crl_tbs = rows_tbs};

static struct ca *opened(struct mem *m)
{
	struct ca *ca;

	if (ca_open(&ca, mem_db(m), crypto, NULL) != E_OK)
		abort();
	return ca;
}

static void fill_genesis(struct ca_genesis *g)
{
	static uint8_t operator_key[CA_P256_SPKI_LEN] = {'k'};
	struct ca_cert_facts f;

	g->signature = span_str("1");
	g->trust_domain = span_str("td");
	g->root_cert = span_str("root");
	g->op = (struct ca_operator){.name = span_str("a"),
	    .spki = span_of(operator_key, sizeof(operator_key)),
	    .roles = CA_ROLE_ADMIN};
	g->cluster.name = span_str("c");
	g->cluster.audiences[0] = span_str("a");
	g->cluster.audiences_n = 1;
	g->node.id = 1;
	g->node.cluster = g->cluster.name;
	g->node.mesh_key[0] = g->node.log_key[0] = 1;
	g->node.mesh_address = span_str("m:1");
	g->node.api_addresses[0] = span_str("h");
	g->node.api_addresses_n = 1;
	g->node.api_spki = span_str("k");
	g->node.has_issuer = true;
	g->issuer_cert = span_str("issuer");
	if (facts(g->issuer_cert, &f, NULL) != E_OK)
		abort();
	memcpy(g->node.issuer, f.key_id, CA_KEY_ID_LEN);
	g->policy = (struct ca_policy){.ttl_default_s = 60,
	    .ttl_max_s = 86400,
	    .renew_max_s = 86400,
	    .admin_signatures = 1};
}

static void apply(struct ca *ca, const struct ca_entry *en, struct span raw)
{
	uint8_t rows[SHA256_LEN];
	struct ca_result result;
	struct ca_head head;

	if (ca_apply(ca, ca_applied(ca) + 1, en, raw, &result, NULL) != E_OK ||
	    ca_head(ca, &head, NULL) != E_OK ||
	    ca_digest_rows(ca, rows, NULL) != E_OK ||
	    memcmp(rows, head.state_digest, SHA256_LEN) != 0)
		abort();
}

static void apply_bytes(struct ca *ca, struct span raw)
{
	static struct ca_entry en;
	struct wire_memory *mem;

	if (wire_entry_decode(raw, &en, &mem, NULL) == E_OK)
		apply(ca, &en, raw);
	else
		apply(ca, NULL, raw);
	wire_free(mem);
}

/* A snapshot of what came of it is the same state. */
static void restore(const struct mem *from)
{
	struct mem to;
	struct ca_db db;
	struct buf why;
	struct ca *ca;

	mem_init(&to);
	db = mem_db(&to);
	ca = opened(&to);
	for (size_t i = 0; i < from->n; i++) {
		const struct mem_row *r = &from->rows[i];

		if (mem_class(r->table) == CA_TABLE_DERIVED)
			continue;
		if (db.ops->put(db.ctx, r->table, r->key, r->val, NULL) !=
			E_OK ||
		    (r->table == CA_T_RECORD &&
			ca_restore_row(ca, r->table, r->key, r->val, NULL) !=
			    E_OK))
			abort();
	}
	buf_init(&why);
	if (ca_restore_check(ca, NULL) != E_OK || !mem_same(from, &to, &why))
		abort();
	buf_free(&why);
	ca_close(ca);
	mem_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ca_entry first = {
	    .format = CA_FORMAT_VERSION, .proposer = 1, .kind = CA_GENESIS};
	struct reader r;
	struct mem m;
	struct ca *ca;

	mem_init(&m);
	ca = opened(&m);
	fill_genesis(&first.u.genesis);
	apply(ca, &first, span_str("genesis"));
	reader_init(&r, span_of(data, size));
	for (int i = 0; i < 100 && r.left > 2; i++) {
		size_t len = read_u16be(&r);

		apply_bytes(ca, read_span(&r, len < r.left ? len : r.left));
		if (i % 8 == 7) {
			ca_close(ca);
			ca = opened(&m);
		}
	}
	restore(&m);
	ca_close(ca);
	mem_free(&m);
	return 0;
}
