/* node.yaml: what is taken can be written, and read again as the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "node/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct err e = {0};
	enum code rc = config_parse(&c, span_of(data, size), "node.yaml", &e);

	if (rc != E_OK && e.text[0] == '\0')
		abort();
	if (rc == E_OK && (c.trust_domain[0] == '\0' || c.election_ms == 0))
		abort();
	config_free(&c);
	return 0;
}
