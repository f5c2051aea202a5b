/* json.c -- JSON out of our types.  jansson takes a NULL value as a failure of
 * the whole object, which json_finish reports. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "front/http.h"

/* A mark in the object that memory ran out on the way. */
#define BROKEN "!"

void json_set(json_t *o, const char *name, json_t *value)
{
	if (json_object_set_new(o, name, value) != 0)
		json_object_set_new(o, BROKEN, json_true());
}

bool json_failed(const json_t *o)
{
	return o == NULL || json_object_get(o, BROKEN) != NULL;
}

json_t *json_hex(const uint8_t *p, size_t len)
{
	char *text = malloc(2 * len + 1);
	json_t *out;

	if (text == NULL)
		return NULL;
	hex_encode(text, p, len);
	out = json_string(text);
	free(text);
	return out;
}

json_t *json_span(struct span s)
{
	json_t *out = s.len == 0 ? json_string("")
				 : json_stringn((const char *)s.p, s.len);

	return out != NULL ? out : json_hex(s.p, s.len);
}

json_t *json_base64(struct span s)
{
	struct buf text;
	json_t *out = NULL;

	buf_init(&text);
	if (base64_encode(&text, s, BASE64_STD))
		out = json_span(buf_span(&text));
	buf_free(&text);
	return out;
}

json_t *json_u64(uint64_t v)
{
	return json_integer((json_int_t)v);
}

json_t *json_spans(const struct span *s, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_span(s[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

void time_text_s(char out[32], uint64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		memcpy(out, "9999-12-31T23:59:59Z", 21);
}

json_t *json_time_s(uint64_t unix_s)
{
	char text[32];

	time_text_s(text, unix_s);
	return json_string(text);
}

json_t *json_time_ms(uint64_t unix_ms)
{
	char text[32], out[40];

	time_text_s(text, unix_ms / 1000);
	text[strlen(text) - 1] = '\0';
	snprintf(
	    out, sizeof(out), "%s.%03uZ", text, (unsigned)(unix_ms % 1000));
	return json_string(out);
}

enum code json_finish(struct exchange *x, json_t *o, struct err *e)
{
	char *text = NULL;
	enum code rc;

	if (!json_failed(o))
		text = json_dumps(o, JSON_COMPACT);
	rc = text != NULL && buf_add_str(&x->out, text) &&
		     buf_add_str(&x->out, "\n")
		 ? E_OK
		 : err_nomem(e);
	free(text);
	json_decref(o);
	x->type = "application/json";
	return rc;
}
