/* read.c -- a read transaction for one exchange; on the worker's thread. */
#include "front/http.h"

enum code read_open(struct read *r, struct exchange *x, struct err *e)
{
	const struct front_ops *ops = &x->front->ops;
	enum code rc;

	*r = (struct read){.front = x->front};
	rc = ops->read_begin(ops->ctx, x->linearizable, &r->ca, &r->token, e);
	if (rc != E_OK) {
		r->ca = NULL;
		return rc;
	}
	x->applied = ca_applied(r->ca);
	return E_OK;
}

void read_close(struct read *r)
{
	if (r->ca != NULL)
		r->front->ops.read_end(r->front->ops.ctx, r->token);
	r->ca = NULL;
}
