/* books.c -- what clients were told: the lines that the load generators wrote
 * before they counted. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "chaos.h"

#define SERVER_MAX 64

static bool add(struct books *b, const struct ack *a)
{
	if (b->acks_n == b->acks_cap) {
		size_t cap = b->acks_cap == 0 ? 16384 : 2 * b->acks_cap;
		struct ack *more = realloc(b->acks, cap * sizeof(*more));

		if (more == NULL)
			return false;
		b->acks = more;
		b->acks_cap = cap;
	}
	b->acks[b->acks_n++] = *a;
	return true;
}

/* "unix_us serial sha256 server" */
static bool take_line(struct books *b, const char *line)
{
	char serial[2 * SERIAL_LEN + 1], sum[2 * SHA256_LEN + 1];
	char server[SERVER_MAX + 1];
	unsigned long long us;
	struct ack a;

	if (sscanf(line, "%llu %32s %64s %64s", &us, serial, sum, server) !=
		4 ||
	    hex_decode(a.serial, sizeof(a.serial), serial, NULL) != E_OK ||
	    hex_decode(a.sha256, sizeof(a.sha256), sum, NULL) != E_OK)
		return false;
	a.unix_us = us;
	return add(b, &a);
}

static bool read_acks(struct chaos *c, const struct client_load *l, size_t *n)
{
	FILE *f = fopen(l->ack, "re");
	char line[300];
	bool ok = true;

	*n = 0;
	if (f == NULL)
		return true; /* none was acknowledged */
	while (ok && fgets(line, sizeof(line), f) != NULL) {
		ok = take_line(&c->books, line);
		*n += ok;
	}
	fclose(f);
	if (!ok)
		report_violation(
		    c, "client", "%s: not a line: %s", l->ack, line);
	return ok;
}

static int by_serial(const void *a, const void *b)
{
	const struct ack *x = a, *y = b;

	return memcmp(x->serial, y->serial, SERIAL_LEN);
}

const struct ack *books_find(
    const struct books *b, const uint8_t serial[SERIAL_LEN])
{
	struct ack key = {0};

	memcpy(key.serial, serial, SERIAL_LEN);
	return b->acks_n == 0 ? NULL
			      : bsearch(&key, b->acks, b->acks_n,
				    sizeof(*b->acks), by_serial);
}

bool books_read(struct chaos *c)
{
	struct books *b = &c->books;
	bool ok = true;

	for (size_t i = 0; i < LOADS; i++) {
		json_t *n;
		size_t lines;

		ok &= read_acks(c, &c->loads[i], &lines);
		b->load[i] = json_load_file(c->loads[i].json, 0, NULL);
		n = json_object_get(b->load[i], "acknowledged");
		if (n != NULL && (size_t)json_integer_value(n) == lines)
			continue;
		report_violation(c, "client",
		    "load generator %zu counted %lld, and wrote %zu", i,
		    (long long)json_integer_value(n), lines);
		ok = false;
	}
	if (b->acks_n > 0)
		qsort(b->acks, b->acks_n, sizeof(*b->acks), by_serial);
	return ok;
}

void books_free(struct books *b)
{
	for (size_t i = 0; i < LOADS; i++)
		json_decref(b->load[i]);
	free(b->acks);
}
