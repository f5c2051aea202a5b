/* worker.c -- what is asked besides certificates, each in a process forked from
 * this one, so that a node that hangs delays neither the nemesis nor the other
 * workers.  They count in memory that is shared. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "chaos.h"

#define STOP_MS 40000 /* a read or a command under way ends by then */
#define TAIL 4096

static volatile sig_atomic_t told;

static void on_term(int signo)
{
	(void)signo;
	told = 1;
}

bool worker_told(void)
{
	return told != 0;
}

bool workers_make(struct chaos *c)
{
	void *p = mmap(NULL, sizeof(*c->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	c->shared = p == MAP_FAILED ? NULL : p;
	return c->shared != NULL;
}

pid_t worker_start(
    struct chaos *c, void (*work)(struct chaos *c, struct rng *r))
{
	const struct sigaction stop = {.sa_handler = on_term};
	struct rng r = {rng_next(&c->plan)};
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid > 0 ? pid : 0;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGINT, SIG_IGN);
	if (getppid() == parent)
		work(c, &r);
	_exit(told != 0 ? 0 : 1);
}

bool worker_stop(pid_t *pid)
{
	int rc;

	if (*pid <= 0)
		return true;
	kill(*pid, SIGTERM);
	rc = proc_wait(*pid, STOP_MS);
	*pid = 0;
	return rc == 0;
}

/* The last whole line: "unix_us serial sha256 server". */
bool worker_last_ack(
    const struct chaos *c, size_t load, char serial[2 * SERIAL_LEN + 1])
{
	char tail[TAIL + 1];
	char *end, *from;
	ssize_t n = -1;
	off_t size;
	int fd = open(c->loads[load].ack, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	size = lseek(fd, 0, SEEK_END);
	if (size >= 0)
		n = pread(fd, tail, TAIL, size > TAIL ? size - TAIL : 0);
	close(fd);
	if (n <= 0)
		return false;
	tail[n] = '\0';
	if ((end = strrchr(tail, '\n')) == NULL)
		return false;
	*end = '\0';
	from = strrchr(tail, '\n');
	from = from == NULL ? tail : from + 1;
	return sscanf(from, "%*u %32s", serial) == 1 &&
	       strlen(serial) == 2 * SERIAL_LEN;
}

/* ---- Reads ---- */

/* What a client was told a moment ago is there, whichever node is asked; or the
 * node says that it cannot know. */
static void read_once(struct chaos *c, struct rng *r)
{
	char serial[2 * SERIAL_LEN + 1], path[100];
	size_t node = rng_below(r, NODES);
	struct err e = {0};
	json_t *o;

	if (!worker_last_ack(c, rng_below(r, LOADS), serial))
		return;
	snprintf(path, sizeof(path), "/v1/certs/%s?consistency=linearizable",
	    serial);
	o = look_json(c, node, path, &e);
	if (o != NULL)
		c->shared->read_ok++;
	else if (e.code != E_NOTFOUND)
		c->shared->read_failed++;
	else if (c->shared->read_stale++ == 0)
		snprintf(c->shared->stale, sizeof(c->shared->stale),
		    "%s: %s: %.200s", c->nodes[node].name, serial, e.text);
	json_decref(o);
}

void worker_read(struct chaos *c, struct rng *r)
{
	if (!look_open(c))
		return;
	while (!worker_told()) {
		size_t node = rng_below(r, NODES);

		if (!published_look(c, node) && c->shared->published_bad++ == 0)
			c->shared->published_first = node;
		read_once(c, r);
		proc_pause_ms(20 + rng_below(r, 60));
	}
}
