/* A service account's token.  The first byte says what follows: a token as it
 * came, or claims, or header and claims (a NUL between them), which are then
 * signed with a cluster's key, so that what is behind the signature is reached
 * too. */
#include <stdlib.h>
#include <string.h>

#include "../unit/auth/world.h"
#include "auth/auth.h"
#include "fuzz.h"

static struct world w;
static struct auth_keys *keys;

static void check(struct span token)
{
	struct auth_identity id;
	struct err e = {0};
	enum code rc =
	    auth_token(keys, token, SPAN_EMPTY, WORLD_NOW_S, &id, &e);

	if (rc != E_OK && e.text[0] == '\0')
		abort();
	if (rc == E_OK && (strncmp(id.uri, "spiffe://" WORLD_TD "/ns/",
			       strlen("spiffe://" WORLD_TD "/ns/")) != 0 ||
			      id.cluster[0] == '\0'))
		abort();
}

static void check_signed(const char *header, const char *claims)
{
	char *token = world_token(w.p256, "ES256", header, claims);

	check(span_str(token));
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096];
	const char *claims;

	if (keys == NULL) {
		struct err e;

		world_make(&w);
		if (auth_keys_make(w.view, &keys, &e) != E_OK)
			abort();
	}
	if (size == 0 || size >= sizeof(text))
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	claims = text + strlen(text) + 1;
	if (data[0] == 'c')
		check_signed("{\"alg\":\"ES256\"}", text);
	else if (data[0] == 'h' && claims < text + size)
		check_signed(text, claims);
	else
		check(span_of(data, size));
	return 0;
}
