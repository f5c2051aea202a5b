/* view.h -- reading the JSON of GET /v1/view. */
#ifndef QUORATE_CLI_VIEW_H
#define QUORATE_CLI_VIEW_H

#include <jansson.h>

#include "base/buf.h"

/* Borrowed from view; NULL if there is none, or it was removed. */
json_t *view_cluster(json_t *view, const char *name);
json_t *view_node(json_t *view, uint64_t id);
json_t *view_operator(json_t *view, const char *name);
uint64_t view_next_node(json_t *view); /* ids are never used twice */
/* The rows of a list that were not removed; the caller's reference. */
json_t *view_live(json_t *view, const char *list);
/* HOST:8444 by the first name of its API certificate; false: it has none. */
bool view_node_server(json_t *node, char *out, size_t size);
bool server_same_host(const char *a, const char *b);
/* RFC 3339, UTC. */
void view_time(char out[32], uint64_t unix_s);
/* Texts of a JSON list; spans borrow.  Returns how many, at most max. */
size_t view_spans(const json_t *list, struct span *out, size_t max);

#endif
