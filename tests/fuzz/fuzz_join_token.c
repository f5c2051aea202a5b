/* The text that an operator hands to whoever joins a node. */
#include <stdlib.h>

#include "client/join.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct join_token t = {0}, again = {0};
	struct buf text;
	struct err e = {0};
	enum code rc = join_token_parse(span_of(data, size), &t, &e);

	buf_init(&text);
	if (rc == E_OK &&
	    (join_token_format(&text, &t, &e) != E_OK ||
		join_token_parse(buf_span(&text), &again, &e) != E_OK ||
		again.servers_n != t.servers_n))
		abort();
	join_token_free(&t);
	join_token_free(&again);
	buf_free(&text);
	return 0;
}
