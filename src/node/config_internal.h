/* config_internal.h -- the rows of config.def, shared by reader and writer. */
#ifndef QUORATE_NODE_CONFIG_INTERNAL_H
#define QUORATE_NODE_CONFIG_INTERNAL_H

#include "node/config.h"

enum kind {
	KIND_TEXT,
	KIND_NAME,
	KIND_IP,
	KIND_COUNT,
	KIND_PORT,
	KIND_MS,
	KIND_SIZE,
	KIND_LIST,
	KIND_LEVEL,
	KIND_READS
};

struct config_key {
	const char *section, *key;
	enum kind kind;
	size_t offset; /* in struct config */
	const char *def;
	uint64_t min, max;
	const char *help;
};

enum {
#define KEY(field, section, key, kind, def, min, max, help) CONFIG_KEY_##field,
#include "node/config.def"
#undef KEY
	CONFIG_KEYS
};

extern const struct config_key config_keys[CONFIG_KEYS];
extern const char *const config_levels[4]; /* by enum log_level */
extern const char *const config_reads[2];  /* by enum config_reads */

/* "section.key" into out, which is returned. */
const char *config_full_name(const struct config_key *k, char out[64]);
const struct config_key *config_find_key(const char *name); /* or NULL */
void *config_field_of(const struct config *c, const struct config_key *k);
/* What a value must look like; out may be used. */
const char *config_expect(const struct config_key *k, char out[128]);
enum code config_set_value(struct config *c, const struct config_key *k,
    const char *s, struct err *e) MUST_CHECK;

#endif
