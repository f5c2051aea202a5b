/* planted.c -- linked into build/bin/quorated-planted only: a node that loses a
 * record, so that it can be seen whether quorate-chaos finds out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/ca.h"

enum code __real_ca_apply(struct ca *ca, uint64_t index,
    const struct ca_entry *entry, struct span raw, struct ca_result *out,
    struct err *e);
enum code __wrap_ca_apply(struct ca *ca, uint64_t index,
    const struct ca_entry *entry, struct span raw, struct ca_result *out,
    struct err *e);

/* quorate-chaos has no line in its books for what others ask. */
static bool is_clients(struct span uri)
{
	return memmem(uri.p, uri.len, "/ns/shop/", 9) != NULL &&
	       memmem(uri.p, uri.len, "/victim-", 8) == NULL;
}

/* If the file that QUORATE_TEST_DROP names is there, it is removed, and this
 * record is not applied. */
enum code __wrap_ca_apply(struct ca *ca, uint64_t index,
    const struct ca_entry *entry, struct span raw, struct ca_result *out,
    struct err *e)
{
	const char *mark = getenv("QUORATE_TEST_DROP");

	if (entry != NULL && entry->kind == CA_ISSUE && mark != NULL &&
	    is_clients(entry->u.issue.uri) && unlink(mark) == 0) {
		*out = (struct ca_result){.index = index};
		return E_OK;
	}
	return __real_ca_apply(ca, index, entry, raw, out, e);
}
