/* Entries as the node process hands them to the signer, which trusts none of
 * it: each behind a u16 length.  What is refused leaves its trust as it was. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "signer/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trust_seen seen = {0};
	struct trust t = {0};
	struct reader r;

	reader_init(&r, span_of(data, size));
	for (int i = 0; i < 20 && r.left > 2; i++) {
		size_t len = read_u16be(&r), operators = t.operators_n;
		size_t nodes = t.nodes_n, taken = seen.n;
		bool started = t.started;

		if (trust_feed(&t, &seen,
			read_span(&r, len < r.left ? len : r.left),
			NULL) != E_OK &&
		    (t.started != started || t.operators_n != operators ||
			t.nodes_n != nodes || seen.n != taken))
			abort();
	}
	trust_free(&t);
	free(seen.v);
	return 0;
}
