/* admin.c -- operators' commands: carried to the log, judged there. */
#include <string.h>

#include "base/metrics.h"
#include "front/http.h"
#include "wire/wire.h"

/* On the node loop's thread. */
static void on_applied(void *arg, const struct front_applied *r)
{
	struct exchange *x = arg;
	json_t *o;

	x->rc = r->code;
	if (r->code != E_OK) {
		err_set(&x->err, r->code, "%s", r->why);
		if (r->code != E_UNAVAILABLE)
			metric_inc(M_admin_refused);
	} else {
		metric_inc(M_admin_ok);
		o = json_object();
		json_set(o, "index", json_u64(r->index));
		json_set(o, "outcome",
		    json_string(r->outcome == CA_REPEATED ? "repeated" : "ok"));
		x->rc = json_finish(x, o, &x->err);
	}
	exchange_return(x);
}

/* The envelope's signatures are checked when it is applied (ARCHITECTURE §4);
 * here it must decode, so that garbage never reaches the log. */
enum code admin_post(struct exchange *x, struct err *e)
{
	const struct front_ops *ops = &x->front->ops;
	struct wire_memory *mem = NULL;
	struct ca_envelope env;
	enum code rc = wire_envelope_decode(buf_span(&x->in), &env, &mem, e);

	wire_free(mem);
	if (rc != E_OK)
		return rc;
	x->later = true;
	ops->admin(ops->ctx, buf_span(&x->in), on_applied, x);
	return E_OK;
}

enum code admin_transfer(struct exchange *x, struct err *e)
{
	const struct front_ops *ops = &x->front->ops;
	json_t *o = json_loadb(
	    (const char *)x->in.p, x->in.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *to = json_object_get(o, "to");
	json_int_t id = json_integer_value(to);
	bool ok = json_is_integer(to) && id >= 0;
	enum code rc;

	json_decref(o);
	if (!ok)
		return err_set(e, E_INVAL, "the body is {\"to\": ID}");
	rc = ops->transfer(ops->ctx, (uint64_t)id, e);
	return rc == E_OK ? json_finish(x, json_object(), e) : rc;
}
