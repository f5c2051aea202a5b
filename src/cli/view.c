#include "cli/view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/client.h"

static bool removed(const json_t *row)
{
	return json_is_true(json_object_get(row, "removed"));
}

static json_t *live_named(json_t *view, const char *list, const char *name)
{
	json_t *rows = json_object_get(view, list), *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *s = json_string_value(json_object_get(row, "name"));

		if (!removed(row) && s != NULL && strcmp(s, name) == 0)
			return row;
	}
	return NULL;
}

json_t *view_cluster(json_t *view, const char *name)
{
	return live_named(view, "clusters", name);
}

json_t *view_operator(json_t *view, const char *name)
{
	return live_named(view, "operators", name);
}

static uint64_t id_of(const json_t *node)
{
	return (uint64_t)json_integer_value(json_object_get(node, "id"));
}

json_t *view_node(json_t *view, uint64_t id)
{
	json_t *rows = json_object_get(view, "nodes"), *row;
	size_t i;

	json_array_foreach(
	    rows, i, row) if (!removed(row) && id_of(row) == id) return row;
	return NULL;
}

uint64_t view_next_node(json_t *view)
{
	json_t *rows = json_object_get(view, "nodes"), *row;
	uint64_t most = 0;
	size_t i;

	json_array_foreach(rows, i, row) if (id_of(row) > most) most =
	    id_of(row);
	return most + 1;
}

json_t *view_live(json_t *view, const char *list)
{
	json_t *rows = json_object_get(view, list), *out = json_array(), *row;
	size_t i;

	json_array_foreach(rows, i, row) if (!removed(row))
	    json_array_append(out, row);
	return out;
}

bool view_node_server(json_t *node, char *out, size_t size)
{
	json_t *names = json_object_get(node, "api_addresses");
	const char *host = json_string_value(json_array_get(names, 0));

	if (host == NULL || host[0] == '\0')
		return false;
	return snprintf(out, size,
		   strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host,
		   CLIENT_HTTPS_PORT) < (int)size;
}

static size_t host_len(const char *s)
{
	const char *colon = strrchr(s, ':'), *bracket = strrchr(s, ']');

	if (colon != NULL && (bracket == NULL || colon > bracket))
		return (size_t)(colon - s);
	return strlen(s);
}

bool server_same_host(const char *a, const char *b)
{
	return span_eq(span_of(a, host_len(a)), span_of(b, host_len(b)));
}

void view_time(char out[32], uint64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 32, "-");
}

size_t view_spans(const json_t *list, struct span *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < max; i++) {
		const json_t *row = json_array_get(list, i);

		if (json_is_string(row))
			out[n++] = span_of(
			    json_string_value(row), json_string_length(row));
	}
	return n;
}
