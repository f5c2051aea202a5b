/* A clock that is wrong: preloaded, it adds to the time of day what the file
 * SKEW_FILE holds (int64_t, microseconds, little-endian), which may change
 * while the program runs.  The monotonic clock is left alone.  libfaketime
 * would read its file when asked for the time, which the signer's sandbox does
 * not allow. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *skew_us;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void skew_open(void)
{
	const char *file = getenv("SKEW_FILE");
	int fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
	void *p;

	real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(
	    RTLD_NEXT, "clock_gettime");
	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*skew_us), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		skew_us = p;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int64_t us;

	if (real_gettime == NULL)
		skew_open();
	if (real_gettime(clock, out) != 0)
		return -1;
	if (skew_us == NULL ||
	    (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return 0;
	us = (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000 +
	     atomic_load(skew_us);
	out->tv_sec = us / 1000000;
	out->tv_nsec = us % 1000000 * 1000;
	return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
