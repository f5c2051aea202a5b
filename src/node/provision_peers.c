/* provision_peers.c -- peers.json: whom a node without a state can ask. */
#include "node/provision_internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"

static json_t *peer_to_json(const struct ca_node *one)
{
	char key[2 * CA_MESH_KEY_LEN + 1];

	hex_encode(key, one->mesh_key, CA_MESH_KEY_LEN);
	return json_pack("{s:I, s:s%, s:s, s:s%}", "id", (json_int_t)one->id,
	    "cluster", (const char *)one->cluster.p, one->cluster.len,
	    "mesh_key", key, "mesh_address", (const char *)one->mesh_address.p,
	    one->mesh_address.len);
}

enum code provision_peers(
    const char *dir, const struct ca_view *v, struct err *e)
{
	struct buf had;
	json_t *list = json_array();
	char *text;
	enum code rc = E_OK;

	buf_init(&had);
	for (size_t i = 0; list != NULL && i < v->nodes_n; i++)
		if (!v->nodes[i].removed)
			json_array_append_new(list, peer_to_json(&v->nodes[i]));
	text = list == NULL ? NULL : json_dumps(list, 0);
	if (text == NULL)
		rc = err_nomem(e);
	else if (provision_get(dir, PROVISION_PEERS, &had, NULL) != E_OK ||
		 !span_eq_str(buf_span(&had), text))
		rc = provision_put(
		    dir, PROVISION_PEERS, span_str(text), 0644, e);
	free(text);
	json_decref(list);
	buf_free(&had);
	return rc;
}
