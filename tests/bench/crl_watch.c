/* crl_watch: when the last of some nodes lists a serial.  Asks each for its CRL
 * again and again, with the ETag of what it had, and prints the Unix time in
 * microseconds at which the last one held the serial's bytes.
 * usage: crl_watch SERIAL LIMIT_S URL... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

#define PAUSE_US 2000
#define SERIAL_MAX 20

struct watch {
	CURL *curl;
	struct buf body;
	char etag[200];
	bool seen;
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct watch *w = arg;

	return buf_add(&w->body, p, size * n) ? size * n : 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	static const char name[] = "etag:";
	struct watch *w = arg;
	size_t len = sizeof(name) - 1, all = size * n;

	if (all > len && strncasecmp(p, name, len) == 0)
		snprintf(w->etag, sizeof(w->etag), "If-None-Match:%.*s",
		    (int)strcspn(p + len, "\r\n"), p + len);
	return all;
}

static void ask(struct watch *w, const uint8_t *serial, size_t len)
{
	struct curl_slist *headers = NULL;
	long status = 0;

	if (w->etag[0] != '\0')
		headers = curl_slist_append(NULL, w->etag);
	curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, headers);
	buf_clear(&w->body);
	if (curl_easy_perform(w->curl) == CURLE_OK)
		curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200 && w->body.len > 0 &&
	    memmem(w->body.p, w->body.len, serial, len) != NULL)
		w->seen = true;
	curl_slist_free_all(headers);
}

static bool start(struct watch *w, const char *url)
{
	w->curl = curl_easy_init();
	buf_init(&w->body);
	return w->curl != NULL &&
	       curl_easy_setopt(w->curl, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(w->curl, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, 3000L) ==
		   CURLE_OK &&
	       curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, on_body) ==
		   CURLE_OK &&
	       curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, w) == CURLE_OK &&
	       curl_easy_setopt(w->curl, CURLOPT_HEADERFUNCTION, on_header) ==
		   CURLE_OK &&
	       curl_easy_setopt(w->curl, CURLOPT_HEADERDATA, w) == CURLE_OK;
}

static bool watch(struct watch *all, size_t n, const uint8_t *serial,
    size_t len, uint64_t limit_ms)
{
	uint64_t end = clock_mono_ms() + limit_ms;
	size_t left = n;

	while (left > 0 && clock_mono_ms() < end) {
		left = 0;
		for (size_t i = 0; i < n; i++) {
			if (!all[i].seen)
				ask(&all[i], serial, len);
			left += !all[i].seen;
		}
		if (left > 0)
			usleep(PAUSE_US);
	}
	return left == 0;
}

int main(int argc, char **argv)
{
	size_t n = argc > 3 ? (size_t)argc - 3 : 0, len;
	struct watch *all = calloc(n + 1, sizeof(*all));
	uint8_t serial[SERIAL_MAX];
	struct timespec now;
	struct err e;

	len = argc > 3 ? strlen(argv[1]) / 2 : 0;
	if (all == NULL || len == 0 || len > sizeof(serial) ||
	    hex_decode(serial, len, argv[1], &e) != E_OK) {
		fputs("usage: crl_watch SERIAL LIMIT_S URL...\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < n; i++)
		if (!start(&all[i], argv[i + 3]))
			return 1;
	if (!watch(all, n, serial, len, strtoull(argv[2], NULL, 10) * 1000)) {
		fputs("crl_watch: not everywhere in time\n", stderr);
		return 1;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	printf("%lld%06ld\n", (long long)now.tv_sec, now.tv_nsec / 1000);
	return 0;
}
