/* seeds.c -- writes the corpora of the wire targets: messages of every kind.
 * usage: seeds FOLDER (tests/data/fuzz) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/wire/sample.h"

#define SEED_MAX 1500

static int put(const char *root, const char *target, const char *name,
    unsigned i, const struct buf *b)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s-%u", root, target, name, i);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(b->p, 1, b->len, f) != b->len) {
		perror(path);
		exit(1);
	}
	return fclose(f);
}

static enum code make(struct sample *s, unsigned kind, struct buf *b)
{
	struct wire_csr_request r;
	static struct wire_mesh m;
	struct ca_envelope env;
	struct raft_conf_state c;

	if (kind < 5) {
		return sample_entry(
		    s, (enum ca_kind)(CA_GENESIS + kind), b, NULL);
	} else if (kind < 10) {
		sample_mesh(s, (enum wire_mesh_kind)(kind - 4), &m);
		return wire_mesh_encode(b, &m, NULL);
	} else if (kind == 10) {
		sample_csr(s, &r);
		return wire_csr_request_encode(b, &r, NULL);
	} else if (kind == 11) {
		sample_envelope(s, &env);
		return sample_signed(b, &env, NULL);
	}
	sample_conf(s, &c);
	return wire_conf_state_encode(b, &c, NULL);
}

/* ---- Sequences for ca_apply: u16 length and an entry, again and again
 * -------- */

static void add_entry(struct buf *all, struct buf *one)
{
	buf_add_u16be(all, (uint16_t)one->len);
	buf_add_span(all, buf_span(one));
	buf_clear(one);
}

/* Commands that its Genesis allows. */
static void fill_commands(struct sample *s, struct ca_admin *c, size_t n)
{
	static struct ca_admin drawn;

	for (size_t i = 0; i < n; i++) {
		sample_command(s, &drawn);
		c[i] = drawn;
		switch (c[i].kind) {
		case CA_ADMIN_SET_NODE:
			c[i].u.set_node.id = 1 + sample_below(s, 4);
			c[i].u.set_node.cluster = span_str("c");
			c[i].u.set_node.mesh_address = span_str("m:2");
			c[i].u.set_node.api_addresses[0] = span_str("h");
			c[i].u.set_node.api_addresses_n = 1;
			c[i].u.set_node.api_spki = span_str("k2");
			break;
		case CA_ADMIN_SET_CLUSTER:
			c[i].u.set_cluster = (struct ca_cluster){
			    .name = span_str(sample_below(s, 2) ? "c" : "d")};
			c[i].u.set_cluster.audiences[0] = span_str("a");
			c[i].u.set_cluster.audiences_n = 1;
			break;
		case CA_ADMIN_SET_POLICY:
			c[i].u.set_policy =
			    (struct ca_policy){.ttl_default_s = 60,
				.ttl_max_s = 3600,
				.renew_max_s = 3600,
				.quota_identity_per_h = 2,
				.admin_signatures = 1};
			break;
		case CA_ADMIN_CREATE_JOIN_TOKEN:
			c[i].u.create_join_token.cluster = span_str("d");
			c[i].u.create_join_token.expires_ms = 5000;
			break;
		case CA_ADMIN_ADD_ISSUER:
		case CA_ADMIN_SET_OPERATOR: break;
		}
	}
}

static enum code valid_admin(struct sample *s, struct buf *out)
{
	static uint8_t operator_key[CA_P256_SPKI_LEN] = {'k'};
	struct ca_signature sig = {
	    span_of(operator_key, sizeof(operator_key)), span_str("1")};
	struct ca_admin *c = sample_get(s, 2, sizeof(*c));
	size_t n = 1 + sample_below(s, 2);
	struct ca_envelope env = {.trust_domain = span_str("td"),
	    .expires_ms = 4000 + sample_below(s, 1000),
	    .commands = c,
	    .commands_n = n,
	    .signatures = &sig,
	    .signatures_n = 1};
	struct buf msg;
	enum code rc;

	buf_init(&msg);
	fill_commands(s, c, n);
	sample_fill(s, env.nonce, sizeof(env.nonce));
	rc = sample_signed(&msg, &env, NULL);
	if (rc == E_OK)
		rc = wire_signed_entry(
		    out, CA_ADMIN, 1000, 1, buf_span(&msg), NULL);
	buf_free(&msg);
	return rc;
}

static enum code valid_issue(struct sample *s, struct buf *out)
{
	static struct ca_issue i;
	uint8_t hash[SHA256_LEN];

	sha256_of(hash, span_str("issuer"));
	i = (struct ca_issue){.profile = CA_PROFILE_WORKLOAD,
	    .encoder = 1,
	    .uri = span_str(sample_below(s, 2) ? "spiffe://td/ns/a/sa/b"
					       : "spiffe://td/ns/a/sa/c"),
	    .spki = span_str("k"),
	    .not_after_s = 100,
	    .via = CA_VIA_TOKEN,
	    .cluster = span_str("c"),
	    .policy_version = 1 + sample_below(s, 2),
	    .has_parent = false,
	    .signature = span_str("s")};
	memcpy(i.issuer, hash, CA_KEY_ID_LEN);
	i.serial[0] = 0x40;
	i.serial[1] = (uint8_t)sample_below(s, 4);
	if (sample_below(s, 3) == 0) {
		i.via = CA_VIA_CERT;
		i.has_parent = true;
		i.parent[0] = 0x40;
		i.parent[1] = (uint8_t)sample_below(s, 4);
	}
	return wire_issue_encode(out, 1000, 1, &i, NULL);
}

static void sequences(const char *root)
{
	for (unsigned i = 0; i < 12; i++) {
		struct buf all, one;
		struct sample s;

		buf_init(&all);
		buf_init(&one);
		sample_init(&s, 5000 + i);
		while (all.len < 1500) {
			unsigned kind = (unsigned)sample_below(&s, 6);
			enum code rc = kind < 3   ? valid_issue(&s, &one)
				       : kind < 5 ? valid_admin(&s, &one)
						  : make(&s, 3, &one);

			if (rc != E_OK)
				exit(1);
			if (one.len > SEED_MAX)
				buf_clear(&one);
			else
				add_entry(&all, &one);
		}
		put(root, "ca_apply", "sequence", i, &all);
		sample_free(&s);
		buf_free(&all);
		buf_free(&one);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *target, *name;
	} rows[] = {
	    {"wire_entry", "genesis"},
	    {"wire_entry", "issue"},
	    {"wire_entry", "admin"},
	    {"wire_entry", "checkpoint"},
	    {"wire_entry", "refresh"},
	    {"wire_mesh", "raft"},
	    {"wire_mesh", "status"},
	    {"wire_mesh", "hello"},
	    {"wire_mesh", "chunk"},
	    {"wire_mesh", "ack"},
	    {"wire_csr", "request"},
	    {"envelope", "envelope"},
	    {"wire_mesh", "conf"},
	};
	struct sample s;
	struct buf b;

	if (argc != 2)
		return 2;
	buf_init(&b);
	for (unsigned k = 0; k < sizeof(rows) / sizeof(*rows); k++)
		for (unsigned i = 0; i < 3; i++) {
			uint64_t seed = 100 * k + i;

			do { /* a small one */
				sample_init(&s, seed);
				buf_clear(&b);
				if (make(&s, k, &b) != E_OK)
					return 1;
				sample_free(&s);
				seed += 10000;
			} while (b.len > SEED_MAX || b.len < 4);
			put(argv[1], rows[k].target, rows[k].name, i, &b);
		}
	buf_free(&b);
	sequences(argv[1]);
	return 0;
}
