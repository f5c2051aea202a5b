/* The command table, help, and what people read after common mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "cli/cli.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static const struct cli_command *const families[] = {cli_init, cli_token,
    cli_join, cli_status, cli_request, cli_cert, cli_bundle, cli_cluster,
    cli_issuer, cli_member, cli_policy, cli_operator, cli_head, cli_revoke,
    cli_blocked, cli_crl, cli_root, cli_federate};

struct said {
	int exit;
	char *out, *err;
};

/* Words are separated by one blank. */
static struct said run(const char *line)
{
	char words[1000], *argv[64];
	size_t out_len, err_len;
	int argc = 0;
	struct said s = {0};
	FILE *out = open_memstream(&s.out, &out_len);
	FILE *err = open_memstream(&s.err, &err_len);

	snprintf(words, sizeof(words), "quorate%s%s",
	    line[0] != '\0' ? " " : "", line);
	for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	s.exit = cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return s;
}

static void said_free(struct said *s)
{
	free(s->out);
	free(s->err);
}

static void every_command_has_help_with_each_option(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(families); i++)
		for (const struct cli_command *c = families[i];
		     c->family != NULL; c++) {
			char line[100];
			struct said s;

			snprintf(line, sizeof(line), "%s%s%s --help", c->family,
			    c->verb != NULL ? " " : "",
			    c->verb != NULL ? c->verb : "");
			s = run(line);
			assert_int_equal(s.exit, EXIT_DONE);
			assert_string_equal(s.err, "");
			assert_non_null(strstr(s.out, c->help));
			assert_non_null(strstr(s.out, "--server"));
			for (const struct cli_option *o = c->options;
			     o->name != NULL; o++)
				assert_non_null(strstr(s.out, o->name));
			said_free(&s);
		}
}

static void help_lists_every_command(void **state)
{
	struct said s = run("--help");

	(void)state;
	assert_int_equal(s.exit, EXIT_DONE);
	for (size_t i = 0; i < ROWS(families); i++)
		for (const struct cli_command *c = families[i];
		     c->family != NULL; c++)
			assert_non_null(strstr(s.out, c->help));
	assert_non_null(strstr(s.out, "3 outcome unknown"));
	said_free(&s);
}

static void option_tables_fit_and_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(families); i++)
		for (const struct cli_command *c = families[i];
		     c->family != NULL; c++) {
			size_t n = 0;

			while (
			    n < CLI_OPTIONS_MAX && c->options[n].name != NULL)
				n++;
			assert_true(n < CLI_OPTIONS_MAX);
			assert_non_null(c->run);
			assert_true(c->least <= c->most);
			assert_true(c->most == 0 || c->operands != NULL);
		}
}

static void mistakes_are_told_in_words(void **state)
{
	static const struct {
		const char *line;
		int exit;
		const char *err;
	} rows[] = {
	    {"", EXIT_USAGE,
		"quorate: a command is missing\n"
		"`quorate --help` lists the commands\n"},
	    {"frobnicate", EXIT_USAGE,
		"quorate: unknown command \"frobnicate\"\n"
		"`quorate --help` lists the commands\n"},
	    {"--frobnicate x status", EXIT_USAGE,
		"quorate: unknown option --frobnicate\n"
		"`quorate --help` lists the commands\n"},
	    {"token", EXIT_USAGE,
		"usage:\n  quorate token create\n      make a token with which "
		"a cluster's node may ask to join\n"},
	    {"token make", EXIT_USAGE,
		"quorate: unknown command \"token make\"\nusage:\n"
		"  quorate token create\n      make a token with which a "
		"cluster's node may ask to join\n"},
	    {"token create", EXIT_USAGE,
		"quorate: --cluster is missing\nusage: quorate token create "
		"[options]; --help says more\n"},
	    {"token create --cluster west --ttl soon", EXIT_USAGE,
		"quorate: \"soon\" is not a duration; expected such as 90s, "
		"15m, 24h, 7d\nusage: quorate token create [options]; --help "
		"says more\n"},
	    {"status -o yaml", EXIT_USAGE,
		"quorate: -o yaml: expected table or json\nusage: quorate "
		"status [options]; --help says more\n"},
	    {"status now", EXIT_USAGE,
		"quorate: unexpected argument \"now\"\nusage: quorate status "
		"[options]; --help says more\n"},
	    {"status --watch=yes", EXIT_USAGE,
		"quorate: --watch takes no value\nusage: quorate status "
		"[options]; --help says more\n"},
	    {"status --server", EXIT_USAGE,
		"quorate: --server needs a value: HOST:PORT[,...]\nusage: "
		"quorate status [options]; --help says more\n"},
	    {"cert show", EXIT_USAGE,
		"quorate: cert show needs SERIAL\nusage: quorate cert show "
		"SERIAL [options]; --help says more\n"},
	    {"cert show 12:34", EXIT_USAGE,
		"quorate: a serial has 32 hexadecimal digits (quorate cert "
		"list shows them)\nusage: quorate cert show SERIAL [options]; "
		"--help says more\n"},
	    {"cert find --identity /some/dir", EXIT_USAGE,
		"quorate: cert find needs an identity: spiffe://TD/ns/NS/sa/SA"
		"\nusage: quorate cert find ID [options]; --help says more\n"},
	    {"join --data d", EXIT_USAGE,
		"quorate: give --token T or --token-file FILE\nusage: quorate "
		"join [options]; --help says more\n"},
	    {"join --data d --token quorate-join-v1.zzzz", EXIT_FAILED,
		"quorate: the join token is damaged (copied in part?): not "
		"JSON inside\n"},
	    {"join --data d --token west", EXIT_FAILED,
		"quorate: not a join token: it begins with quorate-join-v1.; "
		"quorate token create prints one\n"},
	    {"request --token-file /dev/null --new-key k", EXIT_FAILED,
		"quorate: /dev/null does not hold a token; inside a pod it is "
		"/var/run/secrets/tokens/istio-token\n"},
	    {"member remove two", EXIT_USAGE,
		"quorate: \"two\" is not a whole number\nusage: quorate "
		"member remove ID [options]; --help says more\n"},
	    {"policy set", EXIT_USAGE,
		"quorate: policy set changes nothing without an option\nusage: "
		"quorate policy set [options]; --help says more\n"},
	    {"operator add eve --new d --role root", EXIT_USAGE,
		"quorate: --role root: expected admin, revoker or auditor\n"
		"usage: quorate operator add NAME [options]; --help says "
		"more\n"},
	    {"bundle --format der", EXIT_USAGE,
		"quorate: --format der: expected pem or spiffe\nusage: quorate "
		"bundle [options]; --help says more\n"},
	    {"cluster set-jwks east", EXIT_USAGE,
		"quorate: --jwks is missing\nusage: quorate cluster set-jwks "
		"NAME [options]; --help says more\n"},
	    {"status", EXIT_FAILED,
		"quorate: this needs an operator's key: give its folder with "
		"--identity DIR or QUORATE_IDENTITY (quorate init makes the "
		"first)\n"},
	    {"status --identity /nowhere", EXIT_FAILED,
		"quorate: /nowhere is not an operator's folder: cannot open "
		"/nowhere/root.pem: No such file or directory\n"},
	    {"bundle --server h", EXIT_FAILED,
		"quorate: no root is trusted: give --root FILE, --root-sha256 "
		"HEX or --identity DIR\n"},
	    {"bundle --server h --root-sha256 00", EXIT_USAGE,
		"quorate: --root-sha256 wants 64 hexadecimal digits\nusage: "
		"quorate bundle [options]; --help says more\n"},
	    {"bundle --root /dev/null", EXIT_FAILED,
		"quorate: no server is known: give --server HOST:PORT or set "
		"QUORATE_SERVER\n"},
	    {"init --trust-domain t --cluster c", EXIT_USAGE,
		"quorate: --data is missing\nusage: quorate init [options]; "
		"--help says more\n"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct said s = run(rows[i].line);

		assert_string_equal(s.err, rows[i].err);
		assert_string_equal(s.out, "");
		assert_int_equal(s.exit, rows[i].exit);
		said_free(&s);
	}
}

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t s;
	} rows[] = {
	    {"90", true, 90},
	    {"90s", true, 90},
	    {"15m", true, 900},
	    {"24h", true, 86400},
	    {"7d", true, 604800},
	    {"0", true, 0},
	    {"", false, 0},
	    {"-1h", false, 0},
	    {"1.5h", false, 0},
	    {"1h30m", false, 0},
	    {"h", false, 0},
	    {"1w", false, 0},
	    {"99999999999999999999d", false, 0},
	    {"999999999999999999d", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		uint64_t s = 0;
		struct err e;

		assert_int_equal(cli_duration(rows[i].text, &s, &e),
		    rows[i].ok ? E_OK : E_INVAL);
		if (rows[i].ok)
			assert_int_equal(s, rows[i].s);
	}
}

static void options_may_come_anywhere_and_the_last_counts(void **state)
{
	static const struct cli_command c = {"x", NULL, "A B", 0, 2, "", NULL,
	    {{"--name", "N", ""}, {"--flag", NULL, ""}, {NULL, NULL, NULL}}};
	char *argv[] = {"a", "--name=1", "--flag", "-o", "json", "--name", "2",
	    "--", "--b"};
	struct cli_args a = {.command = &c};
	struct span v[4];
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(cli_parse(&a, (int)ROWS(argv), argv, &e), E_OK);
	assert_int_equal(a.operands_n, 2);
	assert_string_equal(a.operands[1], "--b");
	assert_string_equal(cli_value(&a, "--name"), "2");
	assert_string_equal(cli_nth(&a, "--name", 0), "1");
	assert_true(cli_flag(&a, "--flag"));
	assert_int_equal(cli_list(&a, "--name", v, 4, &n, &e), E_OK);
	assert_int_equal(n, 2);
	assert_int_equal(cli_list(&a, "--name", v, 1, &n, &e), E_INVAL);
}

static void exit_status_tells_unknown_from_failed(void **state)
{
	(void)state;
	assert_int_equal(cli_exit_of(E_OK), EXIT_DONE);
	assert_int_equal(cli_exit_of(E_TIMEOUT), EXIT_UNKNOWN);
	assert_int_equal(cli_exit_of(E_DENIED), EXIT_FAILED);
	assert_int_equal(cli_exit_of(E_UNAVAILABLE), EXIT_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_command_has_help_with_each_option),
	    cmocka_unit_test(help_lists_every_command),
	    cmocka_unit_test(option_tables_fit_and_end),
	    cmocka_unit_test(mistakes_are_told_in_words),
	    cmocka_unit_test(durations_have_units),
	    cmocka_unit_test(options_may_come_anywhere_and_the_last_counts),
	    cmocka_unit_test(exit_status_tells_unknown_from_failed),
	};

	if (sodium_init() < 0)
		return 1;
	/* What the person at the keyboard has set does not count here. */
	unsetenv("QUORATE_SERVER");
	unsetenv("QUORATE_IDENTITY");
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", "/nonexistent", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
