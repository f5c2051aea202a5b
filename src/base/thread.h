/* thread.h -- a thread that takes no signals: those are the main thread's. */
#ifndef QUORATE_BASE_THREAD_H
#define QUORATE_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/* E_UNAVAILABLE: the machine has no room for one more. */
enum code thread_start(pthread_t *out, void *(*run)(void *arg), void *arg,
    struct err *e) MUST_CHECK;

#endif
