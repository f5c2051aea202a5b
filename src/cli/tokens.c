#include "cli/tokens.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#define KEEP_MS (24 * 3600 * 1000ULL) /* after expiry */
#define NAME_SIZE (sizeof("tokens/.json") + 2 * SHA256_LEN)

static void name_of(char out[NAME_SIZE], const uint8_t id[SHA256_LEN])
{
	char hex[2 * SHA256_LEN + 1];

	hex_encode(hex, id, SHA256_LEN);
	snprintf(out, NAME_SIZE, "tokens/%s.json", hex);
}

static void id_of(uint8_t id[SHA256_LEN], const struct join_token *t)
{
	uint8_t auth[SHA256_LEN];

	join_auth(auth, t->secret);
	sha256_of(id, span_of(auth, sizeof(auth)));
	sodium_memzero(auth, sizeof(auth));
}

enum code tokens_keep(struct session *s, const struct join_token *t,
    uint64_t expires_ms, struct err *e)
{
	uint8_t id[SHA256_LEN];
	char name[NAME_SIZE], dir[PATH_MAX], secret[2 * JOIN_SECRET_LEN + 1];
	json_t *o;
	char *text;
	enum code rc;

	id_of(id, t);
	name_of(name, id);
	hex_encode(secret, t->secret, JOIN_SECRET_LEN);
	o = json_pack("{s:s, s:s, s:I}", "cluster", t->cluster, "secret",
	    secret, "expires_ms", (json_int_t)expires_ms);
	text = o != NULL ? json_dumps(o, JSON_INDENT(1)) : NULL;
	rc = text == NULL ? err_nomem(e)
			  : fs_join(dir, sizeof(dir), s->dir, "tokens", e);
	if (rc == E_OK)
		rc = fs_mkdirs(dir, 0700, e);
	if (rc == E_OK)
		rc = session_write(s, name, span_str(text), 0600, e);
	if (text != NULL)
		sodium_memzero(text, strlen(text));
	sodium_memzero(secret, sizeof(secret));
	free(text);
	json_decref(o);
	return rc;
}

static void drop(struct session *s, const char *name)
{
	char path[PATH_MAX];

	if (fs_join(path, sizeof(path), s->dir, name, NULL) == E_OK)
		unlink(path);
}

void tokens_drop(struct session *s, const struct join_token *t)
{
	uint8_t id[SHA256_LEN];
	char name[NAME_SIZE];

	id_of(id, t);
	name_of(name, id);
	drop(s, name);
}

static enum code load(
    struct session *s, const char *name, json_t **out, struct err *e)
{
	struct buf text;
	enum code rc;

	*out = NULL;
	buf_init(&text);
	rc = session_read_private(s, name, &text, e);
	if (rc == E_OK) {
		*out = json_loadb((const char *)text.p, text.len, 0, NULL);
		if (*out == NULL)
			rc = err_set(
			    e, E_CORRUPT, "%s/%s is damaged", s->dir, name);
	}
	pki_wipe(&text);
	return rc;
}

void tokens_prune(struct session *s)
{
	uint64_t now = clock_unix_ms();
	char path[PATH_MAX], name[300];
	struct dirent *row;
	DIR *d;

	if (fs_join(path, sizeof(path), s->dir, "tokens", NULL) != E_OK)
		return;
	d = opendir(path);
	while (d != NULL && (row = readdir(d)) != NULL) {
		json_t *o = NULL;
		json_int_t expires;

		snprintf(name, sizeof(name), "tokens/%s", row->d_name);
		if (strlen(row->d_name) != NAME_SIZE - sizeof("tokens/") ||
		    load(s, name, &o, NULL) != E_OK)
			continue;
		expires = json_integer_value(json_object_get(o, "expires_ms"));
		if (expires > 0 && (uint64_t)expires + KEEP_MS < now)
			drop(s, name);
		json_decref(o);
	}
	if (d != NULL)
		closedir(d);
}

enum code tokens_find(struct session *s, const uint8_t id[SHA256_LEN],
    uint8_t secret[JOIN_SECRET_LEN], char cluster[64], struct err *e)
{
	const char *name, *hex;
	char file[NAME_SIZE];
	json_t *o = NULL;
	enum code rc;

	name_of(file, id);
	rc = load(s, file, &o, e);
	if (rc != E_OK)
		return rc;
	name = json_string_value(json_object_get(o, "cluster"));
	hex = json_string_value(json_object_get(o, "secret"));
	if (name == NULL || strlen(name) > CA_NAME_MAX || hex == NULL ||
	    hex_decode(secret, JOIN_SECRET_LEN, hex, NULL) != E_OK)
		rc = err_set(e, E_CORRUPT, "%s/%s is damaged", s->dir, file);
	else
		snprintf(cluster, 64, "%s", name);
	json_decref(o);
	return rc;
}
