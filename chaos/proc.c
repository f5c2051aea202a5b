/* proc.c -- processes: start one, wait for one, find a child of one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "chaos.h"

#define POLL_MS 5

void proc_pause_ms(uint64_t ms)
{
	(void)poll(NULL, 0, (int)ms);
}

static void open_as(int fd, const char *path, int flags)
{
	int got = open(path, flags | O_CREAT | O_CLOEXEC, 0600);

	if (got < 0 || dup2(got, fd) < 0)
		_exit(126);
}

static _Noreturn void become(const char *const *argv,
    const struct proc_files *f, const char *env, pid_t parent)
{
	/* What is given to putenv and execv is not changed by them. */
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv};
	union {
		const char *in;
		char *out;
	} one = {.in = env};

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
	open_as(STDERR_FILENO, f->err, O_WRONLY | O_APPEND);
	if (f->out != NULL)
		open_as(STDOUT_FILENO, f->out, O_WRONLY | O_TRUNC);
	else if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(126);
	if (env != NULL && putenv(one.out) != 0)
		_exit(126);
	execv(argv[0], args.out);
	_exit(127);
}

pid_t proc_start(
    const char *const *argv, const struct proc_files *f, const char *env)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become(argv, f, env, parent);
	return pid > 0 ? pid : 0;
}

int proc_status(int wstatus)
{
	return WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus)
				    : WEXITSTATUS(wstatus);
}

int proc_wait(pid_t pid, uint64_t ms)
{
	uint64_t end = clock_mono_ms() + ms;
	int status = 0;
	pid_t got;

	if (pid <= 0)
		return -1;
	while ((got = waitpid(pid, &status, WNOHANG)) == 0 ||
	       (got < 0 && errno == EINTR)) {
		if (clock_mono_ms() > end) {
			kill(-pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			return -1;
		}
		proc_pause_ms(POLL_MS);
	}
	return got == pid ? proc_status(status) : -1;
}

/* Its parent, by /proc/PID/stat: pid (name) state ppid ... */
static pid_t parent_of(const char *pid)
{
	char path[64], line[512];
	const char *p = NULL;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) != NULL)
		for (const char *q = line; *q != '\0'; q++)
			if (*q == ')')
				p = q;
	if (p != NULL && sscanf(p, ") %*c %d", &parent) != 1)
		parent = 0;
	fclose(f);
	return parent;
}

pid_t proc_child_of(pid_t pid)
{
	struct dirent *row;
	pid_t found = 0;
	DIR *d = opendir("/proc");

	while (d != NULL && found == 0 && (row = readdir(d)) != NULL)
		if (row->d_name[0] >= '1' && row->d_name[0] <= '9' &&
		    parent_of(row->d_name) == pid)
			found = atoi(row->d_name);
	if (d != NULL)
		closedir(d);
	return found;
}
