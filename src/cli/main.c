/* quorate: the operators' command. */
#include <sodium.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
	if (sodium_init() < 0) {
		fprintf(stderr, "quorate: cannot start libsodium\n");
		return EXIT_FAILED;
	}
	return cli_main(argc, argv, stdout, stderr);
}
