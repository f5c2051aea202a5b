/* books.c -- what came of the requests. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "load.h"

static const char *const status_names[STATUSES + 1] = {"ok", "cancelled",
    "unknown", "invalid_argument", "deadline_exceeded", "not_found",
    "already_exists", "permission_denied", "resource_exhausted",
    "failed_precondition", "aborted", "out_of_range", "unimplemented",
    "internal", "unavailable", "data_loss", "unauthenticated", "other"};

uint64_t unix_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- While it runs ---- */

static void write_ack(
    struct books *b, const struct leaf *l, const struct server *s)
{
	char serial[2 * sizeof(l->serial) + 1], sum[2 * SHA256_LEN + 1];

	if (b->ack == NULL)
		return;
	hex_encode(serial, l->serial, l->serial_len);
	hex_encode(sum, l->sha256, SHA256_LEN);
	if (fprintf(b->ack, "%" PRIu64 " %s %s %s:%s\n", unix_us(), serial, sum,
		s->host, s->port) < 0) {
		perror("quorate-load: --ack");
		exit(1);
	}
}

static void note_latency(struct books *b, uint64_t us)
{
	if (b->acknowledged == b->latency_cap) {
		size_t cap = b->latency_cap == 0 ? 65536 : 2 * b->latency_cap;
		uint32_t *more =
		    realloc(b->latency_us, cap * sizeof(*b->latency_us));

		if (more == NULL) {
			fputs("quorate-load: out of memory\n", stderr);
			exit(1);
		}
		b->latency_us = more;
		b->latency_cap = cap;
	}
	b->latency_us[b->acknowledged] =
	    us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void books_acknowledge(struct books *b, const struct leaf *l,
    const struct server *s, uint64_t asked_us)
{
	uint64_t now, second;

	write_ack(b, l, s);
	now = clock_mono_us();
	second = (now - b->begin_us) / 1000000;
	note_latency(b, now - asked_us);
	b->acknowledged++;
	if (second < SECONDS_MAX)
		b->per_second[second]++;
	if (b->last_us != 0 && now - b->last_us > b->gap_us) {
		b->gap_us = now - b->last_us;
		b->gap_at_us = unix_us() - b->gap_us;
	}
	b->last_us = now;
}

void books_status(struct books *b, int status)
{
	b->errors[status >= 0 && status < STATUSES ? status : STATUSES]++;
}

/* ---- The report ---- */

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t latency_at(const struct books *b, double part)
{
	size_t n = b->acknowledged;

	if (n == 0)
		return 0;
	return b->latency_us[(size_t)((double)(n - 1) * part)];
}

static double own_cpu_us(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static double rate_of(const struct books *b)
{
	double us = (double)(b->end_us - b->begin_us);

	return us > 0 ? (double)b->acknowledged * 1e6 / us : 0;
}

static void print_json(const struct books *b, const struct options *o)
{
	const char *sep = "";

	printf("{\"acknowledged\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.1f,"
	       "\"connections\":%" PRIu64 ",\"streams\":%" PRIu64
	       ",\"fresh\":%s,\"errors\":{",
	    b->acknowledged, (double)(b->end_us - b->begin_us) / 1e6,
	    rate_of(b), o->connections, o->streams,
	    o->fresh ? "true" : "false");
	for (size_t i = 1; i <= STATUSES; i++)
		if (b->errors[i] > 0) {
			printf("%s\"%s\":%" PRIu64, sep, status_names[i],
			    b->errors[i]);
			sep = ",";
		}
	printf("},\"unknown\":%" PRIu64 ",\"refused\":%" PRIu64
	       ",\"unreachable\":%" PRIu64 ",\"wrong\":%" PRIu64
	       ",\"given_up\":%" PRIu64 ",\"p50_us\":%u,\"p99_us\":%u,"
	       "\"max_us\":%u,\"gap_us\":%" PRIu64 ",\"gap_at_us\":%" PRIu64
	       ",\"cpu_us\":%.0f,\"per_second\":[",
	    b->unknown, b->refused, b->unreachable, b->wrong, b->given_up,
	    latency_at(b, 0.5), latency_at(b, 0.99), latency_at(b, 1),
	    b->gap_us, b->gap_at_us, own_cpu_us());
	for (uint64_t i = 0;
	     i <= (b->end_us - b->begin_us) / 1000000 && i < SECONDS_MAX; i++)
		printf("%s%u", i == 0 ? "" : ",", b->per_second[i]);
	puts("]}");
}

static void print_text(const struct books *b, const struct options *o)
{
	printf("%" PRIu64 " certificates in %.1f s: %.0f/s on %" PRIu64
	       " connections, %" PRIu64 " streams each%s\n",
	    b->acknowledged, (double)(b->end_us - b->begin_us) / 1e6,
	    rate_of(b), o->connections, o->streams,
	    o->fresh ? ", a fresh connection for each" : "");
	printf("latency p50 %u us, p99 %u us, max %u us; longest gap %" PRIu64
	       " us; own CPU %.0f us each\n",
	    latency_at(b, 0.5), latency_at(b, 0.99), latency_at(b, 1),
	    b->gap_us,
	    b->acknowledged > 0 ? own_cpu_us() / (double)b->acknowledged : 0);
	for (size_t i = 1; i <= STATUSES; i++)
		if (b->errors[i] > 0)
			printf(
			    "%s: %" PRIu64 "\n", status_names[i], b->errors[i]);
	if (b->unknown + b->refused + b->unreachable + b->wrong + b->given_up >
	    0)
		printf("unknown %" PRIu64 ", refused %" PRIu64
		       ", unreachable %" PRIu64 ", wrong %" PRIu64
		       ", given up %" PRIu64 "\n",
		    b->unknown, b->refused, b->unreachable, b->wrong,
		    b->given_up);
}

void books_report(struct books *b, const struct options *o)
{
	if (b->acknowledged > 0)
		qsort(b->latency_us, b->acknowledged, sizeof(*b->latency_us),
		    by_size);
	if (o->json)
		print_json(b, o);
	else
		print_text(b, o);
}
