/* metrics.c -- port 9090: health, readiness and metrics, from the first moment
 * on, on a thread that nothing else can keep busy. */
#include "base/metrics.h"

#include "front/http.h"

static enum code healthz(struct exchange *x, struct err *e)
{
	x->type = "text/plain";
	return buf_add_str(&x->out, "ok\n") ? E_OK : err_nomem(e);
}

/* 503 with the reasons as they are, one a line. */
static enum code readyz(struct exchange *x, struct err *e)
{
	const struct front_ops *ops = &x->front->ops;

	x->type = "text/plain";
	if (ops->ready(ops->ctx, &x->out) != E_OK)
		x->status = HTTP_SERVUNAVAIL;
	else if (!buf_add_str(&x->out, "ready\n"))
		return err_nomem(e);
	return E_OK;
}

static enum code metrics(struct exchange *x, struct err *e)
{
	x->type = "text/plain; version=0.0.4";
	return metrics_write(&x->out) ? E_OK : err_nomem(e);
}

static const struct route routes[] = {
    {EVHTTP_REQ_GET, "/healthz", 0, 0, healthz},
    {EVHTTP_REQ_GET, "/readyz", 0, 0, readyz},
    {EVHTTP_REQ_GET, "/metrics", 0, 0, metrics},
};

enum code metrics_start(struct http_loop **out, struct front *f, struct err *e)
{
	struct http_loop *h;
	enum code rc = http_loop_new(&h, f, e);

	*out = NULL;
	if (rc != E_OK)
		return rc;
	rc = http_loop_listen(h, f->config.metrics_port, false, routes,
	    sizeof(routes) / sizeof(routes[0]), e);
	if (rc == E_OK)
		rc = http_loop_run(h, e);
	if (rc == E_OK)
		*out = h;
	else
		http_loop_stop(h);
	return rc;
}
