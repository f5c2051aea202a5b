#include "client/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "pki/pki.h"

#define TOKEN_MAX 16384

/* ---- The token's text ---- */

void join_auth(uint8_t out[SHA256_LEN], const uint8_t secret[JOIN_SECRET_LEN])
{
	join_mac(out, secret, span_str("quorate join auth"));
}

void join_mac(uint8_t out[SHA256_LEN], const uint8_t secret[JOIN_SECRET_LEN],
    struct span body)
{
	crypto_auth_hmacsha256(out, body.p, body.len, secret);
}

void join_token_free(struct join_token *t)
{
	for (size_t i = 0; i < t->servers_n; i++)
		free(t->servers[i]);
	sodium_memzero(t, sizeof(*t));
}

static bool copy_text(char *out, size_t size, const char *s)
{
	return s[0] != '\0' && snprintf(out, size, "%s", s) < (int)size;
}

static enum code take_servers(struct join_token *t, json_t *list, struct err *e)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > JOIN_SERVERS_MAX)
		return err_set(e, E_INVAL, "it names %zu servers", n);
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s == NULL)
			return err_set(e, E_INVAL, "a server is not text");
		t->servers[i] = strdup(s);
		if (t->servers[i] == NULL)
			return err_nomem(e);
		t->servers_n++;
	}
	return E_OK;
}

static enum code take_fields(struct join_token *t, json_t *o, struct err *e)
{
	const char *root, *td, *cluster, *secret;
	struct buf raw;
	json_t *servers;
	enum code rc;

	if (json_unpack(o, "{s:o, s:s, s:s, s:s, s:s}", "servers", &servers,
		"root", &root, "trust_domain", &td, "cluster", &cluster,
		"secret", &secret) != 0)
		return err_set(e, E_INVAL, "a field is missing");
	if (!copy_text(t->trust_domain, sizeof(t->trust_domain), td) ||
	    !copy_text(t->cluster, sizeof(t->cluster), cluster))
		return err_set(e, E_INVAL, "a name does not fit");
	if (hex_decode(t->root, sizeof(t->root), root, NULL) != E_OK)
		return err_set(e, E_INVAL, "the root's hash is damaged");
	buf_init(&raw);
	rc = base64_decode(&raw, span_str(secret), BASE64_URL, NULL);
	if (rc == E_OK && raw.len == JOIN_SECRET_LEN)
		memcpy(t->secret, raw.p, JOIN_SECRET_LEN);
	else
		rc = err_set(e, E_INVAL, "the secret is damaged");
	pki_wipe(&raw);
	return rc == E_OK ? take_servers(t, servers, e) : rc;
}

enum code join_token_parse(
    struct span text, struct join_token *out, struct err *e)
{
	const size_t skip = sizeof(JOIN_TOKEN_PREFIX) - 1;
	struct buf json;
	json_t *o = NULL;
	enum code rc;

	*out = (struct join_token){0};
	buf_init(&json);
	while (text.len > 0 && strchr(" \t\r\n", text.p[text.len - 1]) != NULL)
		text.len--;
	if (text.len <= skip || text.len > TOKEN_MAX ||
	    memcmp(text.p, JOIN_TOKEN_PREFIX, skip) != 0)
		return err_set(e, E_INVAL,
		    "not a join token: it begins with " JOIN_TOKEN_PREFIX
		    "; quorate token create prints one");
	rc = base64_decode(
	    &json, span_of(text.p + skip, text.len - skip), BASE64_URL, e);
	if (rc == E_OK) {
		o = json_loadb((const char *)json.p, json.len, 0, NULL);
		rc = o == NULL ? err_set(e, E_INVAL, "not JSON inside")
			       : take_fields(out, o, e);
	}
	if (rc == E_INVAL)
		rc = err_wrap(
		    e, rc, "the join token is damaged (copied in part?)");
	if (rc != E_OK)
		join_token_free(out);
	json_decref(o);
	pki_wipe(&json);
	return rc;
}

enum code join_token_format(
    struct buf *out, const struct join_token *t, struct err *e)
{
	char root[2 * SHA256_LEN + 1];
	struct buf secret;
	json_t *o, *servers = json_array();
	char *text = NULL;
	enum code rc;

	buf_init(&secret);
	hex_encode(root, t->root, sizeof(t->root));
	for (size_t i = 0; i < t->servers_n; i++)
		json_array_append_new(servers, json_string(t->servers[i]));
	base64_encode(&secret, span_of(t->secret, JOIN_SECRET_LEN), BASE64_URL);
	o = json_pack("{s:o, s:s, s:s, s:s, s:s%}", "servers", servers, "root",
	    root, "trust_domain", t->trust_domain, "cluster", t->cluster,
	    "secret", secret.p, secret.len);
	if (o != NULL && json_array_size(servers) == t->servers_n)
		text = json_dumps(o, JSON_COMPACT);
	buf_add_str(out, JOIN_TOKEN_PREFIX);
	if (text == NULL || !base64_encode(out, span_str(text), BASE64_URL))
		rc = err_nomem(e);
	else
		rc = buf_check(out, e);
	if (text != NULL)
		sodium_memzero(text, strlen(text));
	free(text);
	json_decref(o);
	pki_wipe(&secret);
	return rc;
}

/* ---- Asking to join ---- */

struct join {
	struct client *client;
};

enum code join_open(struct join **out, const char *const *servers, size_t n,
    const uint8_t root_sha256[SHA256_LEN], struct err *e)
{
	struct client_options o = {
	    .servers = servers, .servers_n = n, .root_sha256 = root_sha256};
	struct join *j = calloc(1, sizeof(*j));
	enum code rc;

	if (j == NULL)
		return err_nomem(e);
	rc = client_open(&j->client, &o, e);
	if (rc != E_OK) {
		join_close(j);
		return rc;
	}
	*out = j;
	return E_OK;
}

void join_close(struct join *j)
{
	if (j == NULL)
		return;
	client_close(j->client);
	free(j);
}

void join_answer_free(struct join_answer *a)
{
	buf_free(&a->genesis);
	buf_free(&a->issuer_cert);
	buf_free(&a->api_cert);
	buf_free(&a->peers);
	*a = (struct join_answer){0};
}

static bool add_field(struct buf *out, json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	buf_clear(out);
	return s == NULL || buf_add_str(out, s);
}

static enum code take_approval(struct join_answer *a, json_t *o, struct err *e)
{
	json_int_t id = json_integer_value(json_object_get(o, "id"));
	const char *genesis = json_string_value(json_object_get(o, "genesis"));
	json_t *nodes = json_object_get(o, "nodes");
	char *text;
	enum code rc;

	if (id <= 0 || genesis == NULL || !json_is_array(nodes))
		return err_set(e, E_INTERNAL,
		    "answered an approval without id, genesis or nodes");
	buf_clear(&a->genesis);
	rc = base64_decode(&a->genesis, span_str(genesis), BASE64_STD, e);
	if (rc != E_OK)
		return rc;
	text = json_dumps(nodes, JSON_INDENT(1));
	buf_clear(&a->peers);
	if (text == NULL || !buf_add_str(&a->peers, text) ||
	    !add_field(&a->issuer_cert, o, "issuer_cert") ||
	    !add_field(&a->api_cert, o, "api_cert"))
		rc = err_nomem(e);
	free(text);
	a->id = (uint64_t)id;
	a->approved = rc == E_OK;
	return rc;
}

static enum code take_answer(
    struct join_answer *a, const struct client_answer *said, struct err *e)
{
	const char *state;
	json_t *o = NULL;
	enum code rc = client_json(buf_span(&said->body), said->server, &o, e);

	if (rc != E_OK)
		return rc;
	state = json_string_value(json_object_get(o, "state"));
	if (state != NULL && strcmp(state, "approved") == 0)
		rc = take_approval(a, o, e);
	else if (state != NULL && strcmp(state, "pending") == 0)
		a->heard++;
	else
		rc = err_set(e, E_INTERNAL, "answered no state");
	json_decref(o);
	return rc == E_OK ? rc : err_wrap(e, rc, "%s", said->server);
}

enum code join_poll(
    struct join *j, struct span request, struct join_answer *out, struct err *e)
{
	const struct client_request r = {.method = "POST",
	    .path = "/v1/join",
	    .type = "application/json",
	    .body = request};
	enum code first = E_OK;

	*out = (struct join_answer){0};
	for (size_t i = 0; i < client_servers(j->client); i++) {
		struct client_answer said;
		struct err one = {0};
		enum code rc = client_call_at(j->client, i, &r, &said, &one);

		if (rc == E_OK)
			rc = take_answer(out, &said, &one);
		client_answer_free(&said);
		/* A refusal says more than a server that is away. */
		if (rc != E_OK && (first == E_OK || first == E_UNAVAILABLE))
			first = err_set(e, rc, "%s", one.text);
		if (out->approved && out->api_cert.len > 0)
			break;
	}
	if (out->approved || out->heard > 0)
		return E_OK;
	join_answer_free(out);
	return first;
}
