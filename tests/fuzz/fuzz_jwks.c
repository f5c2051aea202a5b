/* A cluster's key set, as kubectl prints it or somebody sends it. */
#include <stdlib.h>

#include "cli/jwks.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jwks *j = NULL;
	struct err e = {0};
	enum code rc = jwks_parse(span_of(data, size), &j, &e);

	if ((rc == E_OK) != (j != NULL) || (rc != E_OK && e.text[0] == '\0'))
		abort();
	for (size_t i = 0; j != NULL && i < j->n; i++)
		if (j->keys[i].spki.len == 0 ||
		    j->keys[i].spki.len > CA_SPKI_MAX ||
		    j->keys[i].alg.len == 0)
			abort();
	jwks_free(j);
	return 0;
}
