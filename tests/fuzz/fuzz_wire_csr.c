/* What anybody may send to the gRPC port, and what a server may answer. */
#include <stdlib.h>

#include "../unit/wire/sample.h"
#include "fuzz.h"

static void response(struct span in)
{
	struct wire_memory *mem;
	struct span *chain;
	struct buf b;
	size_t n;

	if (wire_csr_response_decode(in, &chain, &n, &mem, NULL) != E_OK)
		return;
	buf_init(&b);
	if (wire_csr_response_encode(&b, chain, n, NULL) != E_OK)
		abort();
	buf_free(&b);
	wire_free(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_csr_request r, again;
	struct wire_memory *mem, *mem2;
	struct buf told, bytes, heard;

	response(span_of(data, size));
	if (wire_csr_request_decode(span_of(data, size), &r, &mem, NULL) !=
	    E_OK)
		return 0;
	buf_init(&told);
	buf_init(&bytes);
	buf_init(&heard);
	tell_csr(&told, &r);
	if (wire_csr_request_encode(&bytes, &r, NULL) != E_OK ||
	    wire_csr_request_decode(buf_span(&bytes), &again, &mem2, NULL) !=
		E_OK)
		abort();
	tell_csr(&heard, &again);
	if (!span_eq(buf_span(&told), buf_span(&heard)))
		abort();
	wire_free(mem2);
	buf_free(&told);
	buf_free(&bytes);
	buf_free(&heard);
	wire_free(mem);
	return 0;
}
