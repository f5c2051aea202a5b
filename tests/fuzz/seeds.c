/* seeds.c -- writes the corpora of the wire targets: messages of every kind.
 * usage: seeds FOLDER (tests/data/fuzz) */
#include <stdio.h>
#include <stdlib.h>

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

/* Sequences for ca_apply: u16 length and an entry, again and again. */
static void sequences(const char *root)
{
	for (unsigned i = 0; i < 8; i++) {
		struct buf all, one;
		struct sample s;

		buf_init(&all);
		buf_init(&one);
		sample_init(&s, 5000 + i);
		while (all.len < 2000) {
			buf_clear(&one);
			if (make(&s, 1 + (unsigned)sample_below(&s, 4), &one) !=
			    E_OK)
				exit(1);
			if (one.len > SEED_MAX)
				continue;
			buf_add_u16be(&all, (uint16_t)one.len);
			buf_add_span(&all, buf_span(&one));
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
