/* desk.h -- an operator's desk: a folder that trusts a fake node, commands run
 * there, and what they print and post. */
#ifndef QUORATE_TESTS_CLI_DESK_H
#define QUORATE_TESTS_CLI_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>

#include "../client/fake.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/cli.h"
#include "pki/pki.h"
#include "wire/wire.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define KEY32 "0101010101010101010101010101010101010101010101010101010101010101"

extern char desk_top[PATH_MAX]; /* the folder; QUORATE_IDENTITY says so */

int desk_begin(void **state);
int desk_end(void **state);
void desk_put(const char *name, struct span data, mode_t mode);
/* A root of our own beside the fake's, which TLS needs: root.pem, root.key
 * under a passphrase that the file "phrase" has and "wrong" has not.  Its
 * certificate (DER) goes to root. */
EVP_PKEY *desk_root(struct buf *root);

struct said {
	int exit;
	char *out, *err;
};
/* Words are separated by one blank; @ is the folder. */
struct said desk_run(const char *line);
void said_free(struct said *s);

/* What a node answers; QUORATE_SERVER names it. */
struct fake *desk_serve(const struct fake_route *r);
/* The one envelope that was posted, checked: trust domain and signature. */
struct ca_envelope *desk_posted(struct fake *f, struct wire_memory **mem);

#define VIEW                                                                   \
	"{\"trust_domain\":\"corp.example\",\"applied\":9,"                    \
	"\"policy\":{\"version\":3,\"ttl_default_s\":86400,"                   \
	"\"ttl_max_s\":86400,\"renew_max_s\":86400,"                           \
	"\"issuer_settle_ms\":120000,\"quota_identity_per_h\":0,"              \
	"\"quota_cluster_per_h\":0,\"admin_signatures\":1,"                    \
	"\"name_constraints\":false},"                                         \
	"\"clusters\":[{\"name\":\"east\",\"keys\":[{\"kid\":\"k1\","          \
	"\"alg\":\"RS256\",\"spki\":\"\"}],\"issuer\":\"\","                   \
	"\"audiences\":[\"istio-ca\"],\"aliases\":[\"e\"],"                    \
	"\"api_address\":\"\",\"namespaces\":[\"a\",\"b\"],"                   \
	"\"removed\":false},{\"name\":\"gone\",\"removed\":true}],"            \
	"\"nodes\":[{\"id\":1,\"cluster\":\"east\",\"mesh_key\":\"" KEY32      \
	"\",\"mesh_address\":\"127.0.7.1:7700\","                              \
	"\"api_addresses\":[\"127.0.7.1\"],\"api_spki\":\"\",\"log_key\":"     \
	"\"" KEY32 "\",\"has_issuer\":true,\"issuer\":"                        \
	"\"0202020202020202020202020202020202020202\",\"removed\":false},"     \
	"{\"id\":4,\"cluster\":\"old\",\"removed\":true}],"                    \
	"\"issuers\":[{\"key_id\":\"02020202\",\"node\":1,\"name\":\"east\","  \
	"\"not_after\":\"2030-01-01T00:00:00Z\",\"state\":\"active\"}],"       \
	"\"operators\":[{\"name\":\"alice\",\"spki\":\"AAAA\","                \
	"\"roles\":[\"admin\"],\"removed\":false}]}"
#define APPLIED "{\"index\":12,\"outcome\":\"ok\"}"

#endif
