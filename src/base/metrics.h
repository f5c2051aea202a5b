/* metrics.h -- counters and gauges: one row each in metrics.def, from which
 * the exporter and docs/metrics.md are made.  Thread-safe, lock-free. */
#ifndef QUORATE_BASE_METRICS_H
#define QUORATE_BASE_METRICS_H

#include "base/buf.h"

enum metric {
#define COUNTER(sym, name, help) M_##sym,
#define GAUGE(sym, name, help) M_##sym,
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
	METRIC_COUNT
};

void metric_add(enum metric m, uint64_t n); /* counters */
void metric_inc(enum metric m);
void metric_set(enum metric m, uint64_t v); /* gauges */
uint64_t metric_get(enum metric m);
/* The whole table in Prometheus text format 0.0.4. */
bool metrics_write(struct buf *out);

#endif
