/* Rows of a snapshot that a peer sends: u8 table, u8 and u16 lengths, key and
 * value.  Whatever comes is refused or makes a state that adds up. */
#include <stdlib.h>
#include <string.h>

#include "../unit/ca/mem.h"
#include "fuzz.h"
#include "pki/pki.h"

static enum code restore(
    struct ca *ca, struct ca_db db, struct reader *r, struct err *e)
{
	enum code rc = E_OK;

	while (rc == E_OK && r->left > 0 && !r->bad) {
		enum ca_table t = (enum ca_table)read_u8(r);
		uint8_t key_len = read_u8(r);
		uint16_t val_len = read_u16be(r);
		struct span key = read_span(r, key_len);
		struct span val = read_span(r, val_len);

		if (r->bad || key.len == 0)
			break;
		rc = db.ops->put(db.ctx, t, key, val, e);
		if (rc == E_OK)
			rc = ca_restore_row(ca, t, key, val, e);
	}
	return rc == E_OK ? ca_restore_check(ca, e) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t digest[SHA256_LEN];
	struct ca_head head;
	struct ca *ca = NULL;
	struct reader r;
	struct mem m;
	struct err e = {0};

	mem_init(&m);
	reader_init(&r, span_of(data, size));
	if (ca_open(&ca, mem_db(&m), pki_ca_crypto(), &e) != E_OK)
		abort();
	if (restore(ca, mem_db(&m), &r, &e) == E_OK &&
	    (ca_head(ca, &head, &e) != E_OK ||
		ca_digest_rows(ca, digest, &e) != E_OK ||
		memcmp(digest, head.state_digest, sizeof(digest)) != 0))
		abort();
	ca_close(ca);
	mem_free(&m);
	return 0;
}
