/* What the signer process may not do: each in a process that has locked
 * itself as the signer does, and must be killed for it. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_event.h"

static EVP_PKEY *key; /* made before the lock, as the signer's is */

static int setup(void **state)
{
	(void)state;
	return pki_key_new(PKI_P256, &key, NULL) != E_OK;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

/* How a locked process ends that does this; 0 is exit status 0. */
static int fate_of(void (*deed)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct err e = {0};

		if (sandbox_lock(&e) != E_OK)
			_exit(99);
		deed();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- Deeds ---- */

static void opens_a_file(void)
{
	(void)!open("/etc/hostname", O_RDONLY);
}

static void makes_a_file(void)
{
	(void)!open("/tmp/signer-was-here", O_WRONLY | O_CREAT, 0600);
}

static void opens_a_socket(void)
{
	(void)!socket(AF_INET, SOCK_STREAM, 0);
}

static void makes_a_socketpair(void)
{
	int pair[2];

	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static void connects(void)
{
	const struct sockaddr to = {.sa_family = AF_UNIX};

	(void)!connect(SANDBOX_FD, &to, sizeof(to));
}

static void sends_elsewhere(void)
{
	struct mmsghdr m = {0};

	(void)!sendmmsg(SANDBOX_FD + 1, &m, 1, 0);
}

static void writes_to_stdout(void)
{
	(void)!write(STDOUT_FILENO, "x", 1);
}

static void reads(void)
{
	char c;

	(void)!read(STDIN_FILENO, &c, 1);
}

static void forks(void)
{
	(void)!fork();
}

static void executes(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void kills_the_node(void)
{
	kill(getppid(), 0);
}

static void reads_another_process(void)
{
	(void)!syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}

static void makes_code(void)
{
	(void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void makes_memory_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void maps_a_file(void)
{
	(void)!mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, SANDBOX_FD, 0);
}

static void becomes_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void every_way_out_is_death(void **state)
{
	static const struct {
		const char *what;
		void (*deed)(void);
	} rows[] = {
#define R(f) {#f, f}
	    R(opens_a_file),
	    R(makes_a_file),
	    R(opens_a_socket),
	    R(makes_a_socketpair),
	    R(connects),
	    R(sends_elsewhere),
	    R(writes_to_stdout),
	    R(reads),
	    R(forks),
	    R(executes),
	    R(kills_the_node),
	    R(reads_another_process),
	    R(makes_code),
	    R(makes_memory_code),
	    R(maps_a_file),
	    R(becomes_dumpable),
#undef R
	};

	(void)state;
	if (SANITIZED)
		skip();
	for (size_t i = 0; i < ROWS(rows); i++) {
		int status = fate_of(rows[i].deed);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %x", rows[i].what, status);
	}
}

/* ---- What it needs ---- */

static void does_its_work(void)
{
	const struct span text = span_str("text");
	uint8_t *big = malloc(8 << 20);
	struct buf sig, spki;
	bool good;

	buf_init(&sig);
	buf_init(&spki);
	memset(big, 1, 8 << 20);
	free(big);
	good = pki_key_spki(&spki, key, NULL) == E_OK &&
	       pki_sign(&sig, key, text, NULL) == E_OK &&
	       pki_verify(buf_span(&spki), text, buf_span(&sig)) &&
	       clock_unix_ms() > 0 && random_u64() != 0;
	log_event(EV_signer_broken_message, "what=test ok=%d", good);
	if (!good)
		_exit(1);
}

static void what_signing_takes_is_allowed(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	log_setup(LOG_DEBUG, "test");
	assert_int_equal(fate_of(does_its_work), 0);
}

/* ---- Isolation ---- */

/* In a child that has isolated itself: the number of what is wrong. */
static int look_around(int fd, int inherited, pid_t parent)
{
	struct rlimit core;
	struct err e = {0};
	char c;

	if (sandbox_isolate(fd, parent, &e) != E_OK)
		return 1;
	for (int i = SANDBOX_FD + 1; i < 256; i++)
		if (fcntl(i, F_GETFD) >= 0)
			return 2;
	if (fcntl(inherited, F_GETFD) >= 0 && inherited > SANDBOX_FD)
		return 3;
	if (read(STDIN_FILENO, &c, 1) != 0 || write(STDOUT_FILENO, "x", 1) != 1)
		return 4;
	if (prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) != 0 ||
	    core.rlim_max != 0)
		return 5;
	if (send(SANDBOX_FD, "here", 4, 0) != 4)
		return 6;
	return 0;
}

static void only_the_socket_is_left(void **state)
{
	int pair[2], pipes[2], status;
	char text[8];
	pid_t parent = getpid(), pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	pid = fork();
	if (pid == 0)
		_exit(look_around(pair[1], pipes[1], parent));
	close(pair[1]);
	close(pipes[1]);
	assert_int_equal(recv(pair[0], text, sizeof(text), 0), 4);
	/* nobody holds the pipe's other end */
	assert_int_equal(read(pipes[0], text, sizeof(text)), 0);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(pair[0]);
	close(pipes[0]);
}

static void a_signer_without_its_node_does_not_start(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		int fd = open("/dev/null", O_RDONLY);

		_exit(sandbox_isolate(fd, getpid(), NULL) == E_UNAVAILABLE ? 0
									   : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* The node is killed; its signer must not outlive it, nor be orphaned. */
static void it_dies_with_the_node(void **state)
{
	static struct world w;
	struct signer_config c;
	struct err e = {0};
	struct signer *s;
	int pipes[2];
	pid_t node, signer;
	uint64_t began;

	(void)state;
	world_open(&w);
	c = (struct signer_config){.keys_path = w.keys,
	    .seal_key_path = w.seal,
	    .no_seccomp = SANITIZED};
	assert_int_equal(pipe(pipes), 0);
	node = fork();
	if (node == 0) {
		if (signer_start(&s, &c, &e) != E_OK)
			_exit(1);
		signer = signer_pid(s);
		kill(signer, SIGSTOP); /* it cannot see its socket close */
		(void)!write(pipes[1], &signer, sizeof(signer));
		pause();
	}
	assert_int_equal(
	    read(pipes[0], &signer, sizeof(signer)), sizeof(signer));
	assert_int_equal(kill(signer, 0), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	kill(node, SIGKILL);
	waitpid(node, NULL, 0);
	for (began = clock_mono_ms(); waitpid(signer, NULL, WNOHANG) == 0;) {
		assert_true(clock_mono_ms() - began < 5000);
		usleep(1000);
	}
	close(pipes[0]);
	close(pipes[1]);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_way_out_is_death),
	    cmocka_unit_test(what_signing_takes_is_allowed),
	    cmocka_unit_test(only_the_socket_is_left),
	    cmocka_unit_test(a_signer_without_its_node_does_not_start),
	    cmocka_unit_test(it_dies_with_the_node),
	};

	return cmocka_run_group_tests_name(
	    "signer sandbox", tests, setup, teardown);
}
