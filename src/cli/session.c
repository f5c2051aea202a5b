#include "cli/session.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#define ENVELOPE_LIFE_MS (5 * 60 * 1000ULL)

/* ---- Where the operator's folder is ---- */

static enum code config_home(char out[PATH_MAX], struct err *e)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg != NULL && xdg[0] == '/')
		return fs_join(out, PATH_MAX, xdg, "quorate", e);
	if (home != NULL && home[0] == '/')
		return fs_join(out, PATH_MAX, home, ".config/quorate", e);
	return err_set(e, E_NOTFOUND,
	    "HOME is not set, so there is no default folder: give one");
}

enum code session_default_dir(
    char out[PATH_MAX], const char *trust_domain, struct err *e)
{
	char home[PATH_MAX];
	enum code rc = config_home(home, e);

	return rc == E_OK ? fs_join(out, PATH_MAX, home, trust_domain, e) : rc;
}

/* The only trust domain under home; "" if there is none. */
static enum code only_folder(
    char out[PATH_MAX], const char *home, struct err *e)
{
	enum code rc = E_OK;
	struct dirent *row;
	DIR *d = opendir(home);

	out[0] = '\0';
	if (d == NULL)
		return E_OK;
	while (rc == E_OK && (row = readdir(d)) != NULL) {
		if (row->d_name[0] == '.')
			continue;
		if (out[0] != '\0')
			rc = err_set(e, E_CONFLICT,
			    "%s holds more than one trust domain: choose with "
			    "--identity DIR or QUORATE_IDENTITY",
			    home);
		else
			rc = fs_join(out, PATH_MAX, home, row->d_name, e);
	}
	closedir(d);
	return rc;
}

bool session_is_identity(const char *value)
{
	return strncmp(value, "spiffe://", 9) == 0;
}

static enum code find_dir(
    struct session *s, const struct cli_args *a, struct err *e)
{
	const char *dir = NULL, *v;
	char home[PATH_MAX];

	for (size_t i = 0; (v = cli_nth(a, "--identity", i)) != NULL; i++)
		if (!session_is_identity(v))
			dir = v;
	if (dir == NULL)
		dir = getenv("QUORATE_IDENTITY");
	if (dir != NULL && dir[0] != '\0') {
		if (snprintf(s->dir, PATH_MAX, "%s", dir) >= PATH_MAX)
			return err_set(e, E_INVAL, "--identity is too long");
		return E_OK;
	}
	if (config_home(home, NULL) != E_OK)
		return E_OK;
	return only_folder(s->dir, home, e);
}

/* ---- Its files ---- */

enum code session_read(
    struct session *s, const char *name, struct buf *out, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), s->dir, name, e);

	return rc == E_OK ? fs_read(path, SESSION_FILE_MAX, out, e) : rc;
}

enum code session_read_private(
    struct session *s, const char *name, struct buf *out, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	enum code rc = fs_join(path, sizeof(path), s->dir, name, e);

	if (rc != E_OK)
		return rc;
	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		return err_set(e, E_DENIED,
		    "%s can be read by others (mode %03o): chmod 600 it, and "
		    "replace the key if somebody did",
		    path, (unsigned)st.st_mode & 0777);
	return fs_read(path, SESSION_FILE_MAX, out, e);
}

enum code session_write(struct session *s, const char *name, struct span data,
    mode_t mode, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), s->dir, name, e);

	return rc == E_OK ? fs_write(path, data, mode, e) : rc;
}

static enum code load_operator(struct session *s, struct err *e)
{
	enum code rc;

	if (s->dir[0] == '\0')
		return err_set(e, E_NOTFOUND,
		    "this needs an operator's key: give its folder with "
		    "--identity DIR or QUORATE_IDENTITY (quorate init makes "
		    "the first)");
	rc = session_read(s, "root.pem", &s->root_pem, e);
	if (rc == E_OK)
		rc = session_read(s, "trust-domain", &s->trust_domain, e);
	if (rc == E_OK)
		rc = session_read(s, "operator.pem", &s->cert_pem, e);
	if (rc == E_OK)
		rc = session_read_private(s, "operator.key", &s->key_pem, e);
	if (rc == E_NOTFOUND)
		return err_wrap(
		    e, rc, "%s is not an operator's folder", s->dir);
	if (rc == E_OK)
		rc = pki_key_from_pem(buf_span(&s->key_pem), &s->key, e);
	while (s->trust_domain.len > 0 &&
	       s->trust_domain.p[s->trust_domain.len - 1] == '\n')
		s->trust_domain.len--;
	return rc == E_OK ? rc
			  : err_wrap(e, rc, "operator's folder %s", s->dir);
}

/* ---- Servers ---- */

static enum code add_servers(struct session *s, const char *list, struct err *e)
{
	static const char gaps[] = ", \t\r\n";

	for (list += strspn(list, gaps); *list != '\0';
	     list += strspn(list, gaps)) {
		size_t len = strcspn(list, gaps);

		if (s->servers_n == SESSION_SERVERS_MAX)
			return err_set(e, E_INVAL, "more than %d servers",
			    SESSION_SERVERS_MAX);
		s->servers[s->servers_n] = strndup(list, len);
		if (s->servers[s->servers_n] == NULL)
			return err_nomem(e);
		s->servers_n++;
		list += len;
	}
	return E_OK;
}

static enum code find_servers(
    struct session *s, const struct cli_args *a, struct err *e)
{
	const char *list = cli_value(a, "--server");
	struct buf text;
	enum code rc;

	if (list == NULL)
		list = getenv("QUORATE_SERVER");
	if (list != NULL && list[0] != '\0')
		return add_servers(s, list, e);
	if (s->dir[0] == '\0')
		return E_OK; /* client_open says what to do */
	buf_init(&text);
	rc = session_read(s, "servers", &text, e);
	if (rc == E_NOTFOUND)
		rc = E_OK;
	buf_add_u8(&text, 0);
	if (rc == E_OK)
		rc = buf_check(&text, e);
	if (rc == E_OK)
		rc = add_servers(s, (const char *)text.p, e);
	buf_free(&text);
	return rc;
}

/* ---- Life ---- */

/* The root of somebody who is no operator. */
static enum code load_root(struct session *s, const struct cli_args *a,
    uint8_t pin[SHA256_LEN], bool *pinned, struct err *e)
{
	const char *file = cli_value(a, "--root");
	const char *hex = cli_value(a, "--root-sha256");

	*pinned = false;
	if (file != NULL)
		return fs_read(file, SESSION_FILE_MAX, &s->root_pem, e);
	if (hex != NULL) {
		*pinned = true;
		if (hex_decode(pin, SHA256_LEN, hex, NULL) == E_OK)
			return E_OK;
		return cli_usage(e, "--root-sha256 wants %d hexadecimal digits",
		    2 * SHA256_LEN);
	}
	if (s->dir[0] != '\0')
		return session_read(s, "root.pem", &s->root_pem, e);
	return err_set(e, E_NOTFOUND,
	    "no root is trusted: give --root FILE, --root-sha256 HEX or "
	    "--identity DIR");
}

static enum code open_all(struct session *s, const struct cli_args *a,
    enum session_who who, struct err *e)
{
	struct client_options o = {0};
	uint8_t pin[SHA256_LEN];
	bool pinned = false;
	enum code rc = find_dir(s, a, e);

	/* Who brings a root and servers needs no folder. */
	if (rc == E_CONFLICT && who == SESSION_ANYONE) {
		s->dir[0] = '\0';
		rc = E_OK;
	}
	if (rc == E_OK)
		rc = who == SESSION_OPERATOR ? load_operator(s, e)
					     : load_root(s, a, pin, &pinned, e);
	if (rc == E_OK)
		rc = find_servers(s, a, e);
	if (rc != E_OK)
		return rc;
	o.servers = (const char *const *)s->servers;
	o.servers_n = s->servers_n;
	o.root_pem = buf_span(&s->root_pem);
	o.root_sha256 = pinned ? pin : NULL;
	o.cert_pem = buf_span(&s->cert_pem);
	o.key_pem = buf_span(&s->key_pem);
	return client_open(&s->client, &o, e);
}

enum code session_open(struct session **out, const struct cli_args *a,
    enum session_who who, struct err *e)
{
	struct session *s = calloc(1, sizeof(*s));
	enum code rc;

	*out = NULL;
	if (s == NULL)
		return err_nomem(e);
	rc = open_all(s, a, who, e);
	if (rc != E_OK) {
		session_close(s);
		return rc;
	}
	*out = s;
	return E_OK;
}

void session_close(struct session *s)
{
	if (s == NULL)
		return;
	client_close(s->client);
	EVP_PKEY_free(s->key);
	for (size_t i = 0; i < s->servers_n; i++)
		free(s->servers[i]);
	buf_free(&s->trust_domain);
	buf_free(&s->root_pem);
	buf_free(&s->cert_pem);
	pki_wipe(&s->key_pem);
	free(s);
}

/* ---- Calls ---- */

enum code session_view(struct session *s, json_t **out, struct err *e)
{
	return client_get_json(
	    s->client, "/v1/view?consistency=linearizable", out, e);
}

static enum code take_index(
    const struct client_answer *answer, uint64_t *index, struct err *e)
{
	json_t *o = NULL;
	enum code rc =
	    client_json(buf_span(&answer->body), answer->server, &o, e);

	if (rc == E_OK && index != NULL)
		*index =
		    (uint64_t)json_integer_value(json_object_get(o, "index"));
	json_decref(o);
	return rc;
}

enum code session_submit(struct session *s, const struct ca_admin *commands,
    size_t n, const char *look, uint64_t *index, struct err *e)
{
	struct client_request r = {.method = "POST",
	    .path = "/v1/admin",
	    .type = "application/octet-stream",
	    .once = true};
	struct client_answer answer = {0};
	struct buf envelope;
	enum code rc;

	buf_init(&envelope);
	rc = pki_envelope_sign(&envelope, s->key, buf_span(&s->trust_domain),
	    clock_unix_ms() + ENVELOPE_LIFE_MS, commands, n, e);
	r.body = buf_span(&envelope);
	if (rc == E_OK)
		rc = client_call(s->client, &r, &answer, e);
	if (rc == E_OK)
		rc = take_index(&answer, index, e);
	else if (rc == E_TIMEOUT)
		err_set(e, rc,
		    "outcome unknown: %.200s; it may still be applied within "
		    "five minutes: `%s` shows whether it was",
		    e->text, look);
	client_answer_free(&answer);
	buf_free(&envelope);
	return rc;
}
