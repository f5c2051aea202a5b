/* The join request that an operator's command reads before it signs: the MAC is
 * good, for whoever holds a token can make one. */
#include <stdlib.h>

#include "cli/approve.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t secret[JOIN_SECRET_LEN] = {1}, mac[SHA256_LEN];
	struct join_request r;

	join_mac(mac, secret, span_of(data, size));
	if (join_request_read(&r, span_of(data, size), mac, secret, NULL) ==
	    E_OK)
		join_request_free(&r);
	return 0;
}
