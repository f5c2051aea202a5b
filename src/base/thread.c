#include "base/thread.h"

#include <signal.h>
#include <string.h>

enum code thread_start(
    pthread_t *out, void *(*run)(void *arg), void *arg, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(out, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? E_OK
		       : err_set(e, E_UNAVAILABLE, "starting a thread: %s",
			     strerror(rc));
}
