#include "base/log_event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warn", "error"};
static const struct {
	enum log_level level;
	const char *name;
} events[] = {
#define EVENT(name, level, meaning) {level, #name},
#include "base/events.def"
#undef EVENT
};
static enum log_level floor_level = LOG_INFO;
static const char *process_name = "quorate";

void log_setup(enum log_level least, const char *process)
{
	floor_level = least;
	process_name = process;
}

enum code log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(s, names[i]) == 0) {
			*out = (enum log_level)i;
			return E_OK;
		}
	return E_INVAL;
}

/* Copy src to dst with everything but printable ASCII as \xNN. */
static size_t escape(char *dst, size_t room, const char *src)
{
	size_t n = 0;

	for (; *src != '\0' && n + 5 < room; src++) {
		unsigned char c = (unsigned char)*src;

		if (c >= 0x20 && c < 0x7f)
			dst[n++] = (char)c;
		else
			n += (size_t)snprintf(dst + n, room - n, "\\x%02x", c);
	}
	dst[n] = '\0';
	return n;
}

void log_event(enum event_name event, const char *fmt, ...)
{
	enum log_level level = events[event].level;
	char text[1024], line[4096];
	struct timespec now;
	struct tm tm;
	size_t n;
	int saved = errno;
	va_list ap;

	if (level < floor_level)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %s %s ",
	    now.tv_nsec / 1000000, names[level], process_name,
	    events[event].name);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n += escape(line + n, sizeof(line) - n - 1, text);
	line[n++] = '\n';
	/* one write: lines of several threads do not mix */
	if (write(STDERR_FILENO, line, n) < 0) {
		/* nowhere left to say so */
	}
	errno = saved;
}
