/* quorate-chaos: does anything that was acknowledged get lost?
 * Exit status: 0 nothing did; 1 a promise was broken; 2 usage; 3 it could not
 * be tried. */
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "chaos.h"

static const char help[] =
    "usage: quorate-chaos [--minutes M | --seconds S] [--seed N] [--planted]\n"
    "                     [--keep] [--bin DIR]\n"
    "Three nodes on loopback lose power, hang, restart and are cut off by a\n"
    "plan that the seed gives, while clients ask for certificates and an\n"
    "operator revokes.  Afterwards each certificate that a client holds must "
    "be\n"
    "in every node's log, and each revocation on every node's CRL.\n\n"
    "  --minutes M   of faults (1)\n"
    "  --seed N      the plan (drawn and printed)\n"
    "  --planted     one node drops a record: this must be found\n"
    "  --keep        leave the nodes' folder (it stays after a violation)\n"
    "  --bin DIR     where the programs are (where this one is)\n";

static struct chaos chaos;

static void on_signal(int signo)
{
	(void)signo;
	chaos.interrupted = true;
}

static bool take_number(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0';
}

static bool take_options(struct options *o, int argc, char **argv)
{
	static const struct option rows[] = {{"minutes", 1, 0, 'm'},
	    {"seconds", 1, 0, 's'}, {"seed", 1, 0, 'n'}, {"planted", 0, 0, 'p'},
	    {"keep", 0, 0, 'k'}, {"bin", 1, 0, 'b'}, {0, 0, 0, 0}};
	bool ok = true;
	int c;

	o->seconds = 60;
	o->seed = random_u64() % 1000000;
	o->bin = dirname(strdup(argv[0]));
	while (ok && (c = getopt_long(argc, argv, "", rows, NULL)) != -1)
		switch (c) {
		case 'm':
			ok = take_number(optarg, &o->seconds);
			o->seconds *= 60;
			break;
		case 's': ok = take_number(optarg, &o->seconds); break;
		case 'n': ok = take_number(optarg, &o->seed); break;
		case 'p': o->planted = true; break;
		case 'k': o->keep = true; break;
		case 'b': o->bin = optarg; break;
		default: ok = false; break;
		}
	return ok && optind == argc && o->seconds > 0 && o->seconds < 80000;
}

/* The seed also says what kind of world it is. */
static void draw_world(struct chaos *c)
{
	static const unsigned timers[][2] = {{100, 1000}, {50, 300}, {20, 100}};
	size_t i;

	/* A node that noticed the planted loss never gets ready again. */
	c->patience_s = c->o.planted ? 10 : 60;
	c->plan.s = c->o.seed;
	i = rng_below(&c->plan, 3);
	c->heartbeat_ms = timers[i][0];
	c->election_ms = timers[i][1];
	c->compact_after = rng_percent(&c->plan, 70) ? 1000 : 100000;
	c->streams = 2 + (unsigned)rng_below(&c->plan, 7);
	c->pause_ms = 10 + (unsigned)rng_below(&c->plan, 40);
	if (c->o.planted) { /* enough for checkpoints to be compared */
		c->streams = 8;
		c->pause_ms = 10;
	}
	printf("seed %llu: %llu s of faults; heartbeat %u ms, election %u ms, "
	       "logs cut after %u; 3 connections of %u streams, pause %u ms\n",
	    (unsigned long long)c->o.seed, (unsigned long long)c->o.seconds,
	    c->heartbeat_ms, c->election_ms, c->compact_after, c->streams,
	    c->pause_ms);
	fflush(stdout);
}

static uint64_t unix_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int run(struct chaos *c)
{
	draw_world(c);
	c->begin_ms = clock_mono_ms();
	if (!workers_make(c) || !world_make(c) || !clients_start(c)) {
		fputs("quorate-chaos: the world could not be made\n", stderr);
		c->o.keep = true;
		return 3;
	}
	report_event(c, "three nodes are ready");
	c->begin_ms = clock_mono_ms();
	c->begin_us = unix_us();
	nemesis_run(c);
	if (!clients_stop(c))
		report_violation(c, "client", "a client does not end");
	report_event(c, "clients have ended: checking");
	(void)books_read(c);
	check_all(c);
	logs_read(c);
	report_event(c, "checked");
	report_all(c);
	return c->violations == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct sigaction stop = {.sa_handler = on_signal};
	int rc;

	if (sodium_init() < 0)
		return 3;
	if (!take_options(&chaos.o, argc, argv)) {
		fputs(help, stderr);
		return 2;
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Orphaned signers are then reaped here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	rc = run(&chaos);
	world_end(&chaos);
	books_free(&chaos.books);
	json_decref(chaos.warnings);
	return rc;
}
