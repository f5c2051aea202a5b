/* What reaches the mesh port before anything is authentic: the input as it is,
 * and the input as a payload that the peer sealed and somebody changed. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mesh/seal.h"

enum { US = 8, PEER = 16, CHANNEL = 0 };

static struct seal_self us, peer;
static struct seal_keys ours, theirs;

static void make_self(struct seal_self *s, uint8_t first)
{
	uint8_t secret[SEAL_KEY_LEN] = {first}, public[SEAL_KEY_LEN];

	if (crypto_scalarmult_base(public, secret) != 0 ||
	    mesh_self_make(s, secret, public, span_str("td"), NULL) != E_OK)
		abort();
}

static void make_keys(void)
{
	if (us.secret[0] != 0)
		return;
	make_self(&us, US);
	make_self(&peer, PEER);
	if (mesh_keys_make(&ours, &us, peer.public, NULL) != E_OK ||
	    mesh_keys_make(&theirs, &peer, us.public, NULL) != E_OK)
		abort();
}

static enum code open_sealed(struct span sealed, uint8_t *payload)
{
	struct seal_header h;
	enum code rc = mesh_header_read(&h, &us, CHANNEL, US, sealed, NULL);

	return rc == E_OK ? mesh_unseal(payload, &ours, sealed, NULL) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seal_header h = {.channel = CHANNEL, .from = PEER, .to = US};
	uint8_t nonce[SEAL_NONCE_LEN] = {0};
	uint8_t *payload, *sealed;

	make_keys();
	payload = malloc(size + 1);
	sealed = malloc(size + SEAL_OVERHEAD);
	if (payload == NULL || sealed == NULL)
		abort();
	/* Nobody without a key makes one that opens. */
	if (open_sealed(span_of(data, size), payload) == E_OK)
		abort();
	mesh_seal(sealed, &peer, &theirs, &h, nonce, span_of(data, size));
	if (open_sealed(span_of(sealed, size + SEAL_OVERHEAD), payload) !=
		E_OK ||
	    (size > 0 && memcmp(payload, data, size) != 0))
		abort();
	sealed[size > 0 ? data[0] % (size + SEAL_OVERHEAD) : 0] ^= 1;
	if (open_sealed(span_of(sealed, size + SEAL_OVERHEAD), payload) == E_OK)
		abort();
	free(payload);
	free(sealed);
	return 0;
}
