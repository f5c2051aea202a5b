/* What a peer sends, after the seal: what decodes is encoded again, and says
 * the same. */
#include <stdlib.h>

#include "../unit/wire/sample.h"
#include "fuzz.h"

static void conf(struct span in)
{
	struct raft_conf_state c;
	struct wire_memory *mem;
	struct buf b;

	if (wire_conf_state_decode(in, &c, &mem, NULL) != E_OK)
		return;
	buf_init(&b);
	if (wire_conf_state_encode(&b, &c, NULL) != E_OK)
		abort();
	buf_free(&b);
	wire_free(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_memory *mem, *mem2;
	struct buf told, bytes, heard;
	static struct wire_mesh m, again;

	conf(span_of(data, size));
	if (wire_mesh_decode(span_of(data, size), &m, &mem, NULL) != E_OK)
		return 0;
	buf_init(&told);
	buf_init(&bytes);
	buf_init(&heard);
	tell_mesh(&told, &m);
	if (wire_mesh_encode(&bytes, &m, NULL) != E_OK ||
	    wire_mesh_decode(buf_span(&bytes), &again, &mem2, NULL) != E_OK)
		abort();
	tell_mesh(&heard, &again);
	if (!span_eq(buf_span(&told), buf_span(&heard)))
		abort();
	wire_free(mem2);
	buf_free(&told);
	buf_free(&bytes);
	buf_free(&heard);
	wire_free(mem);
	return 0;
}
