/* https.c -- port 8444: what docs/http-api.md lists, over TLS. */
#include "front/http.h"

#define READERS (CA_ROLE_ADMIN | CA_ROLE_REVOKER | CA_ROLE_AUDITOR)
#define WRITERS (CA_ROLE_ADMIN | CA_ROLE_REVOKER)
#define GET EVHTTP_REQ_GET
#define POST EVHTTP_REQ_POST

static const struct route routes[] = {
    {GET, "/v1/root", ROUTE_VIEW, 0, bundle_root},
    {GET, "/v1/bundle", ROUTE_VIEW, 0, bundle_get},
    {GET, "/v1/crl", ROUTE_BLOCKS, 0, crl_get},
    {GET, "/v1/blocks", ROUTE_BLOCKS, READERS, blocks_list},
    {GET, "/v1/head", ROUTE_VIEW | ROUTE_BLOCKS, 0, head_get},
    {GET, "/v1/status", ROUTE_BLOCKS, READERS, status_get},
    {GET, "/v1/view", ROUTE_BLOCKS, READERS, view_get},
    {GET, "/v1/certs", ROUTE_BLOCKS, READERS, certs_list},
    {GET, "/v1/certs/", ROUTE_PREFIX | ROUTE_BLOCKS, READERS, certs_show},
    {POST, "/v1/admin", 0, WRITERS, admin_post},
    {POST, "/v1/transfer", ROUTE_JSON | ROUTE_BLOCKS, CA_ROLE_ADMIN,
	admin_transfer},
    {POST, "/v1/join", ROUTE_VIEW | ROUTE_JSON, 0, join_post},
    {GET, "/v1/join", 0, READERS, join_list},
};

enum code https_start(struct http_loop **out, struct front *f, struct err *e)
{
	struct http_loop *h;
	enum code rc = http_loop_new(&h, f, e);

	*out = NULL;
	if (rc != E_OK)
		return rc;
	rc = http_loop_listen(h, f->config.https_port, true, routes,
	    sizeof(routes) / sizeof(routes[0]), e);
	if (rc == E_OK)
		rc = plain_add(h, e);
	if (rc == E_OK)
		rc = http_loop_run(h, e);
	if (rc == E_OK)
		*out = h;
	else
		http_loop_stop(h);
	return rc;
}
