#include "base/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>

static _Atomic uint64_t values[METRIC_COUNT];

static const struct {
	const char *name, *type, *help;
} rows[] = {
#define COUNTER(sym, name, help) {"quorate_" name, "counter", help},
#define GAUGE(sym, name, help) {"quorate_" name, "gauge", help},
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
};

void metric_add(enum metric m, uint64_t n)
{
	atomic_fetch_add_explicit(&values[m], n, memory_order_relaxed);
}

void metric_inc(enum metric m)
{
	metric_add(m, 1);
}

void metric_set(enum metric m, uint64_t v)
{
	atomic_store_explicit(&values[m], v, memory_order_relaxed);
}

uint64_t metric_get(enum metric m)
{
	return atomic_load_explicit(&values[m], memory_order_relaxed);
}

bool metrics_write(struct buf *out)
{
	for (size_t i = 0; i < METRIC_COUNT; i++)
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n",
		    rows[i].name, rows[i].help, rows[i].name, rows[i].type,
		    rows[i].name, metric_get((enum metric)i));
	return !out->failed;
}
