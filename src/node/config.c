#include "node/config_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pki/pki.h"

const struct config_key config_keys[CONFIG_KEYS] = {
#define KEY(field, section, key, kind, def, min, max, help)                    \
	{section, key, KIND_##kind, offsetof(struct config, field), def, min,  \
	    max, help},
#include "node/config.def"
#undef KEY
};

const char *const config_levels[4] = {"debug", "info", "warn", "error"};
const char *const config_reads[2] = {"safe", "lease"};

const char *config_full_name(const struct config_key *k, char out[64])
{
	snprintf(out, 64, "%s%s%s", k->section,
	    k->section[0] != '\0' ? "." : "", k->key);
	return out;
}

const struct config_key *config_find_key(const char *name)
{
	char full[64];

	for (size_t i = 0; i < CONFIG_KEYS; i++)
		if (strcmp(config_full_name(&config_keys[i], full), name) == 0)
			return &config_keys[i];
	return NULL;
}

void *config_field_of(const struct config *c, const struct config_key *k)
{
	return (char *)(uintptr_t)c + k->offset;
}

/* What a value must look like, for error messages and the manual. */
const char *config_expect(const struct config_key *k, char out[128])
{
	switch (k->kind) {
	case KIND_TEXT:
		snprintf(out, 128, "text of at most %llu bytes",
		    (unsigned long long)k->max);
		break;
	case KIND_NAME: return "a DNS label: a-z, 0-9 and '-', at most 63";
	case KIND_IP: return "an IPv4 or IPv6 address";
	case KIND_SIZE:
		snprintf(out, 128,
		    "a size such as 256MiB, from %llu to %llu bytes",
		    (unsigned long long)k->min, (unsigned long long)k->max);
		break;
	case KIND_LIST:
		snprintf(out, 128, "a list of at most %llu strings",
		    (unsigned long long)k->max);
		break;
	case KIND_LEVEL: return "one of debug, info, warn, error";
	case KIND_READS: return "safe or lease";
	case KIND_COUNT:
	case KIND_PORT:
	case KIND_MS:
		snprintf(out, 128, "a whole number from %llu to %llu",
		    (unsigned long long)k->min, (unsigned long long)k->max);
		break;
	}
	return out;
}

/* ---- One value ---- */

static bool parse_number(const char *s, uint64_t *out, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return false;
	errno = 0;
	*out = strtoull(s, &end, 10);
	*rest = end;
	return errno == 0;
}

static bool parse_size(const char *s, uint64_t *out)
{
	static const struct {
		const char *suffix;
		unsigned shift;
	} units[] = {
	    {"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
	const char *rest;

	if (!parse_number(s, out, &rest))
		return false;
	while (*rest == ' ')
		rest++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(rest, units[i].suffix) == 0) {
			if (*out > UINT64_MAX >> units[i].shift)
				return false;
			*out <<= units[i].shift;
			return true;
		}
	return false;
}

static bool is_label(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool is_ip(const char *s)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, s, addr) == 1 ||
	       inet_pton(AF_INET6, s, addr) == 1;
}

static bool set_number(const struct config_key *k, void *field, const char *s)
{
	uint64_t v;
	const char *rest;

	if (k->kind == KIND_SIZE ? !parse_size(s, &v)
				 : !parse_number(s, &v, &rest) || *rest != '\0')
		return false;
	if (v < k->min || v > k->max)
		return false;
	if (k->kind == KIND_PORT)
		*(uint16_t *)field = (uint16_t)v;
	else
		*(uint64_t *)field = v;
	return true;
}

static enum code set_text(char **field, const char *s, struct err *e)
{
	char *copy = strdup(s);

	if (copy == NULL)
		return err_nomem(e);
	free(*field);
	*field = copy;
	return E_OK;
}

static enum code list_add(struct config_list *l, const char *s, struct err *e)
{
	char **v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(e);
	l->v = v;
	l->v[l->n] = strdup(s);
	if (l->v[l->n] == NULL)
		return err_nomem(e);
	l->n++;
	return E_OK;
}

static bool set_level(enum log_level *field, const char *s)
{
	for (size_t i = 0; i < sizeof(config_levels) / sizeof(config_levels[0]);
	     i++)
		if (strcmp(s, config_levels[i]) == 0) {
			*field = (enum log_level)i;
			return true;
		}
	return false;
}

static bool set_reads(enum config_reads *field, const char *s)
{
	for (size_t i = 0; i < sizeof(config_reads) / sizeof(config_reads[0]);
	     i++)
		if (strcmp(s, config_reads[i]) == 0) {
			*field = (enum config_reads)i;
			return true;
		}
	return false;
}

static bool text_fits(const struct config_key *k, const char *s)
{
	if (k->kind == KIND_NAME)
		return is_label(s);
	if (k->kind == KIND_IP)
		return is_ip(s);
	return strlen(s) >= k->min && strlen(s) <= k->max;
}

enum code config_set_value(
    struct config *c, const struct config_key *k, const char *s, struct err *e)
{
	char name[64], want[128];
	void *field = config_field_of(c, k);
	bool ok = false;

	switch (k->kind) {
	case KIND_TEXT:
	case KIND_NAME:
	case KIND_IP:
		ok = text_fits(k, s);
		if (ok)
			return set_text(field, s, e);
		break;
	case KIND_COUNT:
	case KIND_PORT:
	case KIND_MS:
	case KIND_SIZE: ok = set_number(k, field, s); break;
	case KIND_LEVEL: ok = set_level(field, s); break;
	case KIND_READS: ok = set_reads(field, s); break;
	case KIND_LIST:
		ok = ((struct config_list *)field)->n < k->max &&
		     strlen(s) > 0 && strlen(s) <= 253;
		if (ok)
			return list_add(field, s, e);
		break;
	}
	if (ok)
		return E_OK;
	return err_set(e, E_INVAL, "%s is \"%.40s\", expected %s",
	    config_full_name(k, name), s, config_expect(k, want));
}

enum code config_set(
    struct config *c, const char *name, const char *value, struct err *e)
{
	const struct config_key *k = config_find_key(name);

	if (k == NULL)
		return err_set(e, E_INVAL,
		    "unknown key \"%.60s\"; `quorated --help` lists the keys",
		    name);
	return config_set_value(c, k, value, e);
}

/* ---- Life ---- */

enum code config_init(struct config *c, struct err *e)
{
	enum code rc = E_OK;

	*c = (struct config){0};
	for (size_t i = 0; i < CONFIG_KEYS && rc == E_OK; i++) {
		const struct config_key *k = &config_keys[i];

		if (k->kind == KIND_LIST)
			continue;
		if (k->kind == KIND_TEXT || k->kind == KIND_NAME ||
		    k->kind == KIND_IP)
			rc = set_text(config_field_of(c, k), k->def, e);
		else
			rc = config_set_value(c, k, k->def, e);
	}
	if (rc != E_OK)
		config_free(c);
	return rc;
}

static void list_free(struct config_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct config_list){0};
}

void config_free(struct config *c)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		void *field = config_field_of(c, &config_keys[i]);

		if (config_keys[i].kind == KIND_LIST)
			list_free(field);
		else if (config_keys[i].kind <= KIND_IP)
			free(*(char **)field);
	}
	*c = (struct config){0};
}

static enum code fill_in(struct config *c, struct err *e)
{
	char mesh[320];
	enum code rc = E_OK;

	if (c->mesh_address[0] == '\0') {
		snprintf(mesh, sizeof(mesh),
		    strchr(c->listen, ':') != NULL ? "[%s]:%u" : "%s:%u",
		    c->listen, (unsigned)c->port_mesh);
		rc = set_text(&c->mesh_address, mesh, e);
	}
	if (rc == E_OK && c->api_addresses.n == 0)
		rc = list_add(&c->api_addresses, c->listen, e);
	return rc;
}

static enum code addresses_fit(const struct config *c, struct err *e)
{
	bool any =
	    strcmp(c->listen, "0.0.0.0") == 0 || strcmp(c->listen, "::") == 0;
	const char *colon = strrchr(c->mesh_address, ':');

	if (any && c->mesh_address[0] == '\0')
		return err_set(e, E_INVAL,
		    "listen is %s, which peers cannot dial: set mesh_address "
		    "to HOST:PORT",
		    c->listen);
	if (any && c->api_addresses.n == 0)
		return err_set(e, E_INVAL,
		    "listen is %s, which clients cannot dial: set "
		    "api_addresses to this node's names",
		    c->listen);
	if (c->mesh_address[0] != '\0' &&
	    (colon == NULL || colon == c->mesh_address ||
		strtol(colon + 1, NULL, 10) < 1 ||
		strtol(colon + 1, NULL, 10) > 65534))
		return err_set(e, E_INVAL,
		    "mesh_address is \"%.100s\", expected HOST:PORT",
		    c->mesh_address);
	return E_OK;
}

static enum code ports_differ(const struct config *c, struct err *e)
{
	const struct {
		const char *name;
		unsigned port;
	} rows[] = {
	    {"ports.grpc", c->port_grpc},
	    {"ports.https", c->port_https},
	    {"ports.http", c->port_http},
	    {"ports.metrics", c->port_metrics},
	    {"ports.mesh", c->port_mesh},
	    {"the port after ports.mesh (snapshots)", c->port_mesh + 1u},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t k = 0; k < i; k++)
			if (rows[i].port == rows[k].port)
				return err_set(e, E_INVAL,
				    "%s and %s are both %u; give each its own",
				    rows[k].name, rows[i].name, rows[i].port);
	return E_OK;
}

enum code config_check(struct config *c, struct err *e)
{
	enum code rc;

	if (c->trust_domain[0] == '\0')
		return err_set(e, E_INVAL,
		    "trust_domain is missing; it is the --trust-domain given "
		    "to quorate init");
	rc = pki_trust_domain_check(span_str(c->trust_domain), e);
	if (rc != E_OK)
		return err_wrap(e, rc, "trust_domain");
	if (c->cluster[0] == '\0')
		return err_set(e, E_INVAL,
		    "cluster is missing; it is the --cluster given to quorate "
		    "init or join");
	if (c->election_ms < 3 * c->heartbeat_ms)
		return err_set(e, E_INVAL,
		    "raft.election_ms is %llu, expected at least 3 times "
		    "raft.heartbeat_ms (%llu)",
		    (unsigned long long)c->election_ms,
		    (unsigned long long)c->heartbeat_ms);
	rc = addresses_fit(c, e);
	if (rc == E_OK)
		rc = ports_differ(c, e);
	return rc == E_OK ? fill_in(c, e) : rc;
}
