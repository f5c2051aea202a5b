/* sandbox.c -- what the signer process may still do: answer, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <seccomp.h>

#include "signer/internal.h"

static enum code failed(const char *what, struct err *e)
{
	return err_set(e, E_INTERNAL, "%s: %s", what, strerror(errno));
}

/* stdin and stdout become /dev/null; stderr stays for what must be said. */
static enum code close_all_but(int fd, struct err *e)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, SANDBOX_FD + 1), null;

	if (kept < 0)
		return failed("cannot keep the signer's socket", e);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return failed("cannot open /dev/null", e);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(kept, SANDBOX_FD) < 0 ||
	    close_range(SANDBOX_FD + 1, ~0U, 0) != 0)
		return failed("cannot close what the signer must not hold", e);
	return E_OK;
}

/* None of the node's handlers; and what ends the node closes the socket, which
 * is the signer's end too. */
static void reset_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL); /* but SIGKILL, SIGSTOP and glibc's own */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

enum code sandbox_isolate(int fd, pid_t parent, struct err *e)
{
	const struct rlimit none = {0, 0};

	reset_signals();
	prctl(PR_SET_NAME, "quorate-signer");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return failed("cannot ask to die with the node", e);
	if (getppid() != parent)
		return err_set(e, E_UNAVAILABLE, "the node is gone already");
	if (prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    setrlimit(RLIMIT_CORE, &none) != 0)
		return failed("cannot forbid core dumps", e);
	return close_all_but(fd, e);
}

/* ---- System calls -------------------------------------------------------- */

static const int allowed[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* time and randomness, where the vDSO does not answer */
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom),
    /* OpenSSL's locks, and its look for a fork */
    SCMP_SYS(futex), SCMP_SYS(getpid),
    /* being stopped and continued; the end */
    SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

/* Calls that are allowed with these arguments only. */
static int allow_some(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp socket = SCMP_A0(SCMP_CMP_EQ, SANDBOX_FD),
				  log = SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO),
				  no_code =
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				  no_file = SCMP_A3(SCMP_CMP_MASKED_EQ,
				      MAP_ANONYMOUS, MAP_ANONYMOUS);

	if (seccomp_rule_add(
		f, SCMP_ACT_ALLOW, SCMP_SYS(recvmmsg), 1, socket) != 0 ||
	    seccomp_rule_add(
		f, SCMP_ACT_ALLOW, SCMP_SYS(sendmmsg), 1, socket) != 0 ||
	    seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, log) != 0 ||
	    seccomp_rule_add(
		f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code) != 0)
		return -1;
	return seccomp_rule_add(
	    f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, no_code, no_file);
}

static int allow(scmp_filter_ctx f)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0) != 0)
			return -1;
	return allow_some(f);
}

enum code sandbox_lock(struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	enum code rc = E_OK;
	int failure;

	if (f == NULL)
		return err_nomem(e);
	tzset(); /* reads a file the first time that a time is printed */
	if (seccomp_attr_set(
		f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
	    allow(f) != 0)
		rc = err_set(e, E_INTERNAL, "cannot write the seccomp filter");
	else if ((failure = seccomp_load(f)) != 0)
		rc = err_set(e, E_INTERNAL,
		    "cannot load the seccomp filter: %s", strerror(-failure));
	seccomp_release(f);
	return rc;
}
