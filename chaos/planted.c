/* planted.c -- linked into build/bin/quorated-planted only: a node that loses a
 * record, so that it can be seen whether quorate-chaos finds out. */
#include <stdlib.h>
#include <unistd.h>

#include "ca/ca.h"

enum code __real_ca_apply(struct ca *ca, uint64_t index,
    const struct ca_entry *entry, struct span raw, struct ca_result *out,
    struct err *e);
enum code __wrap_ca_apply(struct ca *ca, uint64_t index,
    const struct ca_entry *entry, struct span raw, struct ca_result *out,
    struct err *e);

/* If the file that QUORATE_TEST_DROP names is there, it is removed, and this
 * record is not applied. */
enum code __wrap_ca_apply(struct ca *ca, uint64_t index,
    const struct ca_entry *entry, struct span raw, struct ca_result *out,
    struct err *e)
{
	const char *mark = getenv("QUORATE_TEST_DROP");

	if (entry != NULL && entry->kind == CA_ISSUE && mark != NULL &&
	    unlink(mark) == 0) {
		*out = (struct ca_result){.index = index};
		return E_OK;
	}
	return __real_ca_apply(ca, index, entry, raw, out, e);
}
