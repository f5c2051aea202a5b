/* log_event.h -- diagnostics: one line an event, a stable name, key=value; the
 * events are the rows of events.def.  Thread-safe.  What a peer supplied is
 * escaped here, never by the caller: control bytes and non-ASCII become
 * \xNN. */
#ifndef QUORATE_BASE_LOG_EVENT_H
#define QUORATE_BASE_LOG_EVENT_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum event_name {
#define EVENT(name, level, meaning) EV_##name,
#include "base/events.def"
#undef EVENT
	EVENT_COUNT
};

/* Least level written (default LOG_INFO), and this process's name. */
void log_setup(enum log_level least, const char *process);
enum code log_level_parse(const char *s, enum log_level *out) MUST_CHECK;
/* A line on stderr: time level process event key=value... */
void log_event(enum event_name event, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
