/* options.c -- quorate-load's command line. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "load.h"

static const char help[] =
    "usage: quorate-load --server HOST:PORT[,...] --root FILE --token FILE\n"
    "                    (--seconds N | --count N) [options]\n"
    "Asks for certificates over gRPC, many at once, and keeps books.\n\n"
    "  --server LIST     connection i begins at server i of the list\n"
    "  --root FILE       trusted root, PEM\n"
    "  --token FILE      service-account tokens, one a line; may be repeated\n"
    "  --cluster NAME    sent as clusterid\n"
    "  --connections C   (4)\n"
    "  --streams S       requests at once on each (16)\n"
    "  --seconds N       for so long, or\n"
    "  --count N         until so many requests are done\n"
    "  --fresh           a connection for each request\n"
    "  --retry-ms N      try a request until it succeeds, the next server\n"
    "                    after N ms (0: try once)\n"
    "  --pause-ms N      between two requests of a stream (0)\n"
    "  --connect-ms N    until a connection must stand (1000)\n"
    "  --answer-ms N     until an answer must be there (5000)\n"
    "  --csrs N          made beforehand (one for each connection)\n"
    "  --rsa             RSA-2048 keys rather than P-256\n"
    "  --ttl SECONDS     lifetime asked for (0: the policy's)\n"
    "  --ack FILE        append for each certificate, before it is counted:\n"
    "                    unix_us serial sha256 server\n"
    "  --json            one line for programs\n";

static bool complain(const char *what, const char *value)
{
	fprintf(stderr, "quorate-load: %s: %s\n", what, value);
	return false;
}

static bool take_number(const char *name, const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || *out > 1000000000)
		return complain(name, "not a number that can be used");
	return true;
}

static bool take_servers(struct options *o, const char *list)
{
	while (*list != '\0') {
		size_t len = strcspn(list, ",");
		struct server *s = &o->servers[o->servers_n];
		const char *colon = memchr(list, ':', len);
		size_t host = colon != NULL ? (size_t)(colon - list) : len;
		size_t port = colon != NULL ? len - host - 1 : 0;

		if (o->servers_n == SERVERS_MAX || host == 0 ||
		    host >= sizeof(s->host) || port >= sizeof(s->port))
			return complain("--server", list);
		memcpy(s->host, list, host);
		if (port > 0)
			memcpy(s->port, colon + 1, port);
		else
			memcpy(s->port, "8443", 5);
		o->servers_n++;
		list += len + (list[len] == ',');
	}
	return true;
}

static bool take_tokens(struct options *o, const char *path)
{
	struct buf text;
	struct err e = {0};
	char *line, *rest;
	bool ok;

	buf_init(&text);
	ok = fs_read(path, 16 << 20, &text, &e) == E_OK;
	buf_add_u8(&text, 0);
	if (!ok || text.failed)
		complain("--token", e.text);
	for (line = ok ? strtok_r((char *)text.p, " \r\n", &rest) : NULL;
	     line != NULL; line = strtok_r(NULL, " \r\n", &rest)) {
		char *value;

		if (o->tokens_n == TOKENS_MAX ||
		    asprintf(&value, "Bearer %s", line) < 0) {
			ok = complain("--token", "too many");
			break;
		}
		o->tokens[o->tokens_n++] = value;
	}
	buf_free(&text);
	return ok;
}

static bool check(struct options *o)
{
	if (o->servers_n == 0)
		return complain("--server", "is needed");
	if (o->root == NULL)
		return complain("--root", "is needed");
	if (o->tokens_n == 0)
		return complain("--token", "is needed");
	if ((o->seconds == 0) == (o->count == 0))
		return complain("--seconds, --count", "one of the two");
	if (o->seconds >= SECONDS_MAX)
		return complain("--seconds", "less than a day");
	if (o->connections == 0 || o->connections > 10000 || o->streams == 0 ||
	    o->streams > 1000)
		return complain("--connections, --streams",
		    "at least 1, and at most 10000 and 1000");
	if (o->csrs == 0)
		o->csrs = o->connections < 64 ? o->connections : 64;
	if (o->csrs > 100000)
		return complain("--csrs", "at most 100000");
	return true;
}

enum {
	SERVER,
	ROOT,
	TOKEN,
	CLUSTER,
	ACK,
	FRESH,
	RSA_KEYS,
	JSON,
	HELP,
	NUMBERS
};

static bool take_one(struct options *o, int c, const char *name)
{
	uint64_t *const numbers[] = {&o->connections, &o->streams, &o->seconds,
	    &o->count, &o->retry_ms, &o->pause_ms, &o->connect_ms,
	    &o->answer_ms, &o->csrs, &o->ttl_s};

	if (c >= NUMBERS)
		return take_number(name, optarg, numbers[c - NUMBERS]);
	switch (c) {
	case SERVER: return take_servers(o, optarg);
	case ROOT: o->root = optarg; return true;
	case TOKEN: return take_tokens(o, optarg);
	case CLUSTER: o->cluster = optarg; return true;
	case ACK: o->ack = optarg; return true;
	case FRESH: o->fresh = true; return true;
	case RSA_KEYS: o->rsa = true; return true;
	case JSON: o->json = true; return true;
	default: fputs(help, stderr); return false;
	}
}

bool options_take(struct options *o, int argc, char **argv)
{
	static const struct option rows[] = {{"server", 1, 0, SERVER},
	    {"root", 1, 0, ROOT}, {"token", 1, 0, TOKEN},
	    {"cluster", 1, 0, CLUSTER}, {"ack", 1, 0, ACK},
	    {"fresh", 0, 0, FRESH}, {"rsa", 0, 0, RSA_KEYS},
	    {"json", 0, 0, JSON}, {"help", 0, 0, HELP},
	    {"connections", 1, 0, NUMBERS}, {"streams", 1, 0, NUMBERS + 1},
	    {"seconds", 1, 0, NUMBERS + 2}, {"count", 1, 0, NUMBERS + 3},
	    {"retry-ms", 1, 0, NUMBERS + 4}, {"pause-ms", 1, 0, NUMBERS + 5},
	    {"connect-ms", 1, 0, NUMBERS + 6}, {"answer-ms", 1, 0, NUMBERS + 7},
	    {"csrs", 1, 0, NUMBERS + 8}, {"ttl", 1, 0, NUMBERS + 9},
	    {0, 0, 0, 0}};
	int c, row = 0;

	*o = (struct options){.connections = 4,
	    .streams = 16,
	    .connect_ms = 1000,
	    .answer_ms = 5000};
	while ((c = getopt_long(argc, argv, "", rows, &row)) != -1)
		if (!take_one(o, c, c == '?' ? "" : rows[row].name))
			return false;
	if (optind < argc)
		return complain("what is this", argv[optind]);
	return check(o);
}

void options_free(struct options *o)
{
	while (o->tokens_n > 0)
		free(o->tokens[--o->tokens_n]);
}
