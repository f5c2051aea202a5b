#include "node/provision_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>
#include <sodium.h>

#include "base/fs.h"
#include "base/text.h"

/* ---- Reading ---- */

static enum code read_private(
    const char *dir, const char *name, struct buf *out, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	enum code rc = fs_join(path, sizeof(path), dir, name, e);

	if (rc != E_OK)
		return rc;
	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		return err_set(e, E_DENIED,
		    "%s can be read by others (mode %03o): chmod 600 it, and "
		    "replace the key if somebody did",
		    path, (unsigned)st.st_mode & 0777);
	return fs_read(path, PROVISION_FILE_MAX, out, e);
}

static enum code open_mesh_key(
    struct provision *p, const char *dir, struct err *e)
{
	struct buf key;
	enum code rc;

	buf_init(&key);
	rc = read_private(dir, PROVISION_MESH_KEY, &key, e);
	if (rc == E_OK && key.len != sizeof(p->mesh_secret))
		rc = err_set(e, E_CORRUPT,
		    "%s/" PROVISION_MESH_KEY " has %zu bytes, expected 32", dir,
		    key.len);
	if (rc == E_OK) {
		memcpy(p->mesh_secret, key.p, sizeof(p->mesh_secret));
		if (crypto_scalarmult_base(p->mesh_public, p->mesh_secret) != 0)
			rc = err_set(e, E_CORRUPT,
			    "%s/" PROVISION_MESH_KEY " is not a key", dir);
	}
	pki_wipe(&key);
	return rc;
}

/* A file that may be missing: then out stays empty. */
static enum code get_optional(
    const char *dir, const char *name, struct buf *out, struct err *e)
{
	enum code rc = provision_get(dir, name, out, e);

	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code read_json(
    const char *dir, const char *name, json_t **out, struct err *e)
{
	struct buf text;
	json_error_t why;
	enum code rc;

	buf_init(&text);
	rc = provision_get(dir, name, &text, e);
	if (rc == E_OK) {
		*out = json_loadb((const char *)text.p, text.len,
		    JSON_REJECT_DUPLICATES, &why);
		if (*out == NULL)
			rc = err_set(e, E_CORRUPT, "%s/%s:%d: %s", dir, name,
			    why.line, why.text);
	}
	buf_free(&text);
	return rc;
}

static bool peer_from_json(struct provision_peer *peer, json_t *row)
{
	const char *key, *address, *cluster;
	json_int_t id;

	if (json_unpack(row, "{s:I, s:s, s:s, s:s}", "id", &id, "mesh_key",
		&key, "mesh_address", &address, "cluster", &cluster) != 0)
		return false;
	if (id <= 0 || strlen(address) >= sizeof(peer->mesh_address) ||
	    strlen(cluster) >= sizeof(peer->cluster))
		return false;
	peer->id = (uint64_t)id;
	snprintf(peer->mesh_address, sizeof(peer->mesh_address), "%s", address);
	snprintf(peer->cluster, sizeof(peer->cluster), "%s", cluster);
	return hex_decode(peer->mesh_key, sizeof(peer->mesh_key), key, NULL) ==
	       E_OK;
}

static enum code open_peers(struct provision *p, const char *dir, struct err *e)
{
	json_t *list = NULL;
	enum code rc = read_json(dir, PROVISION_PEERS, &list, e);

	if (rc == E_NOTFOUND)
		return E_OK; /* the first node learns its peers from the log */
	if (rc != E_OK)
		return rc;
	p->peers = calloc(json_array_size(list) + 1, sizeof(*p->peers));
	if (p->peers == NULL) {
		json_decref(list);
		return err_nomem(e);
	}
	for (size_t i = 0; i < json_array_size(list) && rc == E_OK; i++)
		if (peer_from_json(&p->peers[i], json_array_get(list, i)))
			p->peers_n++;
		else
			rc = err_set(e, E_CORRUPT,
			    "%s/" PROVISION_PEERS ": row %zu is not a node",
			    dir, i + 1);
	json_decref(list);
	return rc;
}

static enum code take_servers(struct provision *p, json_t *list, struct err *e)
{
	size_t n = json_array_size(list);

	p->servers.v = calloc(n + 1, sizeof(char *));
	if (p->servers.v == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		p->servers.v[i] = strdup(s != NULL ? s : "");
		if (p->servers.v[i] == NULL)
			return err_nomem(e);
		p->servers.n++;
	}
	return E_OK;
}

static enum code open_join(struct provision *p, const char *dir, struct err *e)
{
	const char *root, *auth, *body, *mac;
	json_t *o = NULL, *servers;
	enum code rc = read_json(dir, PROVISION_JOIN, &o, e);

	if (rc != E_OK)
		return rc;
	if (json_unpack(o, "{s:o, s:s, s:s, s:s, s:s}", "servers", &servers,
		"root", &root, "auth", &auth, "body", &body, "mac",
		&mac) != 0 ||
	    hex_decode(p->root_sha256, SHA256_LEN, root, NULL) != E_OK) {
		rc = err_set(e, E_CORRUPT,
		    "%s/" PROVISION_JOIN " is damaged: remove %s and run "
		    "quorate join again",
		    dir, dir);
		goto out;
	}
	rc = take_servers(p, servers, e);
	if (rc == E_OK) {
		json_t *req = json_pack(
		    "{s:s, s:s, s:s}", "auth", auth, "body", body, "mac", mac);
		char *text = req != NULL ? json_dumps(req, 0) : NULL;

		if (text == NULL || !buf_add_str(&p->join_request, text))
			rc = err_nomem(e);
		free(text);
		json_decref(req);
	}
out:
	json_decref(o);
	return rc;
}

static enum code open_dir(struct provision *p, const char *dir, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), dir, PROVISION_CONFIG, e);

	if (rc == E_OK)
		rc = config_load(&p->config, path, e);
	if (rc == E_NOTFOUND)
		return err_set(e, rc,
		    "%s is not a node's data directory (no node.yaml): make "
		    "one with quorate init or quorate join",
		    dir);
	if (rc != E_OK)
		return rc;
	p->joining = p->config.node_id == 0;
	rc = open_mesh_key(p, dir, e);
	if (rc == E_OK)
		rc = read_private(dir, PROVISION_API_KEY, &p->api_key, e);
	if (rc == E_OK)
		rc = get_optional(dir, PROVISION_API_CERT, &p->api_cert, e);
	if (rc == E_OK)
		rc = open_join(p, dir, e);
	if (rc == E_NOTFOUND && !p->joining)
		rc = E_OK; /* the first node did not join */
	if (rc == E_OK && p->joining)
		return E_OK;
	if (rc == E_OK)
		rc = provision_get(dir, PROVISION_GENESIS, &p->genesis, e);
	if (rc == E_OK)
		rc = provision_get(dir, PROVISION_ROOT, &p->root_pem, e);
	return rc == E_OK ? open_peers(p, dir, e) : rc;
}

enum code provision_open(struct provision *p, const char *dir, struct err *e)
{
	enum code rc;

	*p = (struct provision){0};
	rc = open_dir(p, dir, e);
	if (rc != E_OK)
		provision_close(p);
	return rc;
}

void provision_close(struct provision *p)
{
	config_free(&p->config);
	sodium_memzero(p->mesh_secret, sizeof(p->mesh_secret));
	buf_free(&p->genesis);
	buf_free(&p->root_pem);
	pki_wipe(&p->api_key);
	buf_free(&p->api_cert);
	buf_free(&p->join_request);
	free(p->peers);
	for (size_t i = 0; i < p->servers.n; i++)
		free(p->servers.v[i]);
	free(p->servers.v);
	*p = (struct provision){0};
}
