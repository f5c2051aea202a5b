/* plain.c -- port 8080: what carries its own proof needs no TLS. */
#include "front/http.h"

static const struct route routes[] = {
    {EVHTTP_REQ_GET, "/bundle.pem", ROUTE_VIEW, 0, bundle_pem},
    {EVHTTP_REQ_GET, "/bundle.json", ROUTE_VIEW, 0, bundle_json},
    {EVHTTP_REQ_GET, "/federated.json", ROUTE_VIEW, 0, bundle_federated},
    {EVHTTP_REQ_GET, "/root.crl", ROUTE_BLOCKS, 0, crl_root},
    {EVHTTP_REQ_GET, "/crl.pem", ROUTE_BLOCKS, 0, crl_all},
    {EVHTTP_REQ_GET, "/crl/", ROUTE_PREFIX | ROUTE_BLOCKS, 0, crl_file},
    {EVHTTP_REQ_GET, "/head", ROUTE_VIEW | ROUTE_BLOCKS, 0, head_get},
};

enum code plain_add(struct http_loop *h, struct err *e)
{
	return http_loop_listen(h, http_loop_front(h)->config.http_port, false,
	    routes, sizeof(routes) / sizeof(routes[0]), e);
}
