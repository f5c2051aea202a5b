/* quorated: one node of a trust domain's certificate authority. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "base/log_event.h"
#include "node/node.h"

static struct node *running;

static void on_signal(int signo)
{
	(void)signo;
	node_stop(running);
}

static int usage(FILE *f, int status)
{
	struct buf keys;

	fputs(
	    "usage: quorated --data DIR [--raft-trace FILE]\n"
	    "       quorated --config DIR/node.yaml [--raft-trace FILE]\n"
	    "       quorated --help | --version\n"
	    "\n"
	    "Runs the node whose data directory is DIR, as `quorate init` or\n"
	    "`quorate join` made it.  Events go to stderr, one a line;\n"
	    "SIGTERM and SIGINT stop it.  --raft-trace appends each step of\n"
	    "consensus to FILE, as a line that others can check.\n",
	    f);
	buf_init(&keys);
	if (status == 0 && config_print(&keys, CONFIG_FORM_HELP))
		fprintf(f, "\nDIR/node.yaml:\n%.*s", (int)keys.len,
		    (const char *)keys.p);
	buf_free(&keys);
	return status;
}

/* The folder of FILE, which must be its node.yaml. */
static const char *dir_of(char *file)
{
	char *slash = strrchr(file, '/');
	const char *name = slash == NULL ? file : slash + 1;

	if (strcmp(name, PROVISION_CONFIG) != 0) {
		fprintf(stderr,
		    "quorated: %s: the configuration is the file "
		    "" PROVISION_CONFIG " of a data directory\n",
		    file);
		return NULL;
	}
	if (slash == NULL)
		return ".";
	*slash = '\0';
	return file[0] == '\0' ? "/" : file;
}

struct args {
	const char *data, *raft_trace;
	char *config;
};

/* Of --data and --config, one. */
static bool take_options(int argc, char **argv, struct args *a)
{
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			return false;
		if (strcmp(argv[i], "--data") == 0)
			a->data = argv[i + 1];
		else if (strcmp(argv[i], "--config") == 0)
			a->config = argv[i + 1];
		else if (strcmp(argv[i], "--raft-trace") == 0)
			a->raft_trace = argv[i + 1];
		else
			return false;
	}
	return (a->data == NULL) != (a->config == NULL);
}

/* NULL: there is nothing to run, and *status is how to end. */
static const char *take_args(
    int argc, char **argv, const char **raft_trace, int *status)
{
	struct args a = {0};

	*status = 2;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		*status = usage(stdout, 0);
		return NULL;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		*status = 0;
		printf("quorated %s\n", QUORATE_VERSION);
		return NULL;
	}
	if (!take_options(argc, argv, &a)) {
		usage(stderr, 2);
		return NULL;
	}
	*raft_trace = a.raft_trace;
	return a.config != NULL ? dir_of(a.config) : a.data;
}

/* Both databases are read as memory: a page that the disk does not give, or a
 * file that somebody cut short, is this signal. */
static void on_bus_error(int signo)
{
	static const char text[] =
	    "quorated: SIGBUS: a page of raft/data.mdb or state/data.mdb could "
	    "not be read: the disk failed, or the file was cut short. Start "
	    "again: damage is found at a start, and mended from the peers.\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)signo;
	(void)ignored;
	_Exit(EXIT_FAILURE);
}

static void take_bus_errors(void)
{
	struct sigaction bus = {.sa_handler = on_bus_error};

	sigaction(SIGBUS, &bus, NULL);
}

static void take_signals(void)
{
	struct sigaction stop = {.sa_handler = on_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* As many connections as the system allows: 1,024 descriptors, the usual soft
 * limit, is what one client can take up. */
static void raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
	struct err e = {0};
	int status;
	const char *raft_trace = NULL;
	const char *dir = take_args(argc, argv, &raft_trace, &status);
	enum code rc;

	if (dir == NULL)
		return status;
	log_setup(LOG_INFO, "quorated");
	if (sodium_init() < 0) {
		fprintf(stderr, "quorated: cannot start libsodium\n");
		return EXIT_FAILURE;
	}
	raise_files();
	take_bus_errors();
	rc = node_open(&running, dir, raft_trace, &e);
	if (rc == E_OK) {
		take_signals();
		rc = node_run(running, &e);
	}
	if (rc != E_OK) {
		log_event(
		    EV_ended, "code=%s why=\"%s\"", code_name(rc), e.text);
		/* After a failed write nothing more may be promised. */
		_Exit(EXIT_FAILURE);
	}
	node_close(running);
	return EXIT_SUCCESS;
}
