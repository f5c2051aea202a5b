/* A log entry, as a follower gets it from its leader: what decodes is encoded
 * again, and says the same. */
#include <stdlib.h>

#include "../unit/wire/sample.h"
#include "fuzz.h"

static enum code encode(const struct ca_entry *en, struct buf *out)
{
	struct buf msg;
	enum code rc = E_INTERNAL;

	buf_init(&msg);
	switch (en->kind) {
	case CA_ISSUE:
		rc = wire_issue_encode(
		    out, en->time_ms, en->proposer, &en->u.issue, NULL);
		break;
	case CA_CHECKPOINT:
		rc = wire_checkpoint_encode(
		    out, en->time_ms, en->proposer, &en->u.checkpoint, NULL);
		break;
	case CA_REFRESH_KEYS:
		rc = wire_refresh_encode(
		    out, en->time_ms, en->proposer, &en->u.refresh, NULL);
		break;
	case CA_FREEZE_CRL:
		rc = wire_freeze_encode(
		    out, en->time_ms, en->proposer, &en->u.freeze_crl, NULL);
		break;
	case CA_SIGN_CRL:
		rc = wire_sign_crl_encode(
		    out, en->time_ms, en->proposer, &en->u.sign_crl, NULL);
		break;
	case CA_GENESIS:
		rc = sample_signed_genesis(&msg, &en->u.genesis, NULL);
		break;
	case CA_ADMIN: rc = sample_signed(&msg, &en->u.admin, NULL); break;
	}
	if (rc == E_OK && msg.len != 0)
		rc = wire_signed_entry(out, en->kind, en->time_ms, en->proposer,
		    buf_span(&msg), NULL);
	buf_free(&msg);
	return rc;
}

/* A node that is gone may come without its keys: the encoder writes zeroes. */
static bool keyless(const struct ca_entry *en)
{
	for (size_t i = 0; en->kind == CA_ADMIN && i < en->u.admin.commands_n;
	     i++)
		if (en->u.admin.commands[i].kind == CA_ADMIN_SET_NODE &&
		    en->u.admin.commands[i].u.set_node.removed)
			return true;
	return en->kind == CA_GENESIS && en->u.genesis.node.removed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ca_entry en, again;
	struct wire_memory *mem, *mem2;
	struct buf told, bytes, heard;

	if (wire_entry_decode(span_of(data, size), &en, &mem, NULL) != E_OK)
		return 0;
	buf_init(&told);
	buf_init(&bytes);
	buf_init(&heard);
	tell_entry(&told, &en);
	if (en.format == CA_FORMAT_VERSION && !keyless(&en)) {
		if (encode(&en, &bytes) != E_OK ||
		    wire_entry_decode(buf_span(&bytes), &again, &mem2, NULL) !=
			E_OK)
			abort();
		tell_entry(&heard, &again);
		if (!span_eq(buf_span(&told), buf_span(&heard)))
			abort();
		wire_free(mem2);
	}
	buf_free(&told);
	buf_free(&bytes);
	buf_free(&heard);
	wire_free(mem);
	return 0;
}
