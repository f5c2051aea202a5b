/* What an operator's tool posts: a front and a node that applies the entry must
 * read the same commands, over the same signed bytes. */
#include <stdlib.h>

#include "../unit/wire/sample.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct wire_memory *mem = NULL, *mem2 = NULL;
	static struct ca_entry en;
	struct ca_envelope env;
	struct buf entry, told, heard;
	enum code front, node;

	buf_init(&entry);
	buf_init(&told);
	buf_init(&heard);
	front = wire_envelope_decode(in, &env, &mem, NULL);
	if (wire_signed_entry(&entry, CA_ADMIN, 1, 2, in, NULL) != E_OK)
		abort();
	node = wire_entry_decode(buf_span(&entry), &en, &mem2, NULL);
	if (front != node)
		abort();
	if (front == E_OK) {
		tell_envelope(&told, &env);
		tell_envelope(&heard, &en.u.admin);
		if (!span_eq(buf_span(&told), buf_span(&heard)) ||
		    !span_eq(env.signed_bytes, en.u.admin.signed_bytes))
			abort();
	}
	wire_free(mem);
	wire_free(mem2);
	buf_free(&entry);
	buf_free(&told);
	buf_free(&heard);
	return 0;
}
