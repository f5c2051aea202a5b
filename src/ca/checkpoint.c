/* checkpoint.c -- every CA_CHECKPOINT_EVERY leaves a node notes its own head;
 * the leader has its own logged, and each node compares (ARCHITECTURE §4). */
#include <string.h>

#include "ca/internal.h"
#include "ca/tlog.h"

#define KEPT 8 /* checkpoints in the table */

static void row_checkpoint(
    struct buf *out, const struct ca_checkpoint *c, bool confirmed)
{
	buf_add_u64be(out, c->index);
	buf_add_u64be(out, c->tree_size);
	buf_add(out, c->root, SHA256_LEN);
	buf_add(out, c->state_digest, SHA256_LEN);
	buf_add_u8(out, confirmed);
}

static enum code row_checkpoint_read(
    struct span val, struct ca_checkpoint *c, bool *confirmed, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	c->index = read_u64be(&r);
	c->tree_size = read_u64be(&r);
	read_bytes(&r, c->root, SHA256_LEN);
	read_bytes(&r, c->state_digest, SHA256_LEN);
	*confirmed = read_u8(&r) != 0;
	return r.bad ? err_set(e, E_CORRUPT, "a checkpoint does not decode")
		     : E_OK;
}

/* Rows' keys are the checkpoint's ordinal: tree_size / CA_CHECKPOINT_EVERY. */
static struct span key_of(uint8_t key[8], uint64_t tree_size)
{
	put_u64be(key, tree_size / CA_CHECKPOINT_EVERY);
	return span_of(key, 8);
}

static enum code put_checkpoint(
    struct ca *ca, const struct ca_checkpoint *c, bool confirmed, struct err *e)
{
	uint8_t key[8];
	enum code rc;

	buf_clear(&ca->row);
	row_checkpoint(&ca->row, c, confirmed);
	if ((rc = buf_check(&ca->row, e)) != E_OK)
		return rc;
	return state_put(ca, CA_T_CHECKPOINT, key_of(key, c->tree_size),
	    buf_span(&ca->row), e);
}

enum code checkpoint_take(struct ca *ca, uint64_t index, struct err *e)
{
	struct ca_checkpoint c = {
	    .index = index, .tree_size = ca->meta.tree_size};
	uint8_t key[8];
	enum code rc;

	if (c.tree_size % CA_CHECKPOINT_EVERY != 0)
		return E_OK;
	memcpy(c.state_digest, ca->meta.digest, SHA256_LEN);
	rc = tlog_root(ca, c.tree_size, c.root, e);
	if (rc == E_OK)
		rc = put_checkpoint(ca, &c, false, e);
	if (rc == E_OK && c.tree_size > KEPT * CA_CHECKPOINT_EVERY)
		rc = state_del(ca, CA_T_CHECKPOINT,
		    key_of(key, c.tree_size - KEPT * CA_CHECKPOINT_EVERY), e);
	return rc;
}

static enum code at_size(const struct ca *ca, uint64_t tree_size,
    struct ca_checkpoint *out, bool *confirmed, struct err *e)
{
	uint8_t key[8];
	struct span val;
	enum code rc =
	    state_get(ca, CA_T_CHECKPOINT, key_of(key, tree_size), &val, e);

	return rc == E_OK ? row_checkpoint_read(val, out, confirmed, e) : rc;
}

enum code ca_checkpoint_newest(const struct ca *ca, struct ca_checkpoint *out,
    bool *confirmed, struct err *e)
{
	return at_size(ca, ca->meta.tree_size, out, confirmed, e);
}

enum code ca_checkpoint_at(const struct ca *ca, uint64_t index,
    struct ca_checkpoint *out, struct err *e)
{
	uint64_t size = ca->meta.tree_size;
	bool confirmed;
	enum code rc;

	for (int i = 0; i < KEPT; i++) {
		rc = at_size(ca, size, out, &confirmed, e);
		if (rc != E_OK || out->index == index)
			return rc;
		if (size < CA_CHECKPOINT_EVERY)
			break;
		size -= CA_CHECKPOINT_EVERY;
	}
	return E_NOTFOUND;
}

enum code apply_checkpoint(struct ca *ca, const struct ca_checkpoint *c,
    struct ca_result *out, struct err *e)
{
	struct ca_checkpoint own;
	bool confirmed;
	enum code rc = at_size(ca, c->tree_size, &own, &confirmed, e);

	if (rc == E_NOTFOUND)
		return refuse(out, CA_NOT_FOUND,
		    "no checkpoint is kept for a tree of %llu leaves",
		    (unsigned long long)c->tree_size);
	if (rc != E_OK)
		return rc;
	if (own.index != c->index || own.tree_size != c->tree_size ||
	    memcmp(own.root, c->root, SHA256_LEN) != 0 ||
	    memcmp(own.state_digest, c->state_digest, SHA256_LEN) != 0)
		return refuse(out, CA_DIVERGED,
		    "the checkpoint at index %llu is not this state",
		    (unsigned long long)c->index);
	if (confirmed)
		return refuse(out, CA_REPEATED, "%s", "");
	return put_checkpoint(ca, &own, true, e);
}
