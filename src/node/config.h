/* config.h -- node.yaml: one table (config.def) from which the parser, the
 * help text and the manual are made. */
#ifndef QUORATE_NODE_CONFIG_H
#define QUORATE_NODE_CONFIG_H

#include "base/buf.h"
#include "base/log_event.h"

struct config_list {
	char **v;
	size_t n;
};

enum config_reads { READS_SAFE, READS_LEASE };

/* Every string is owned and never NULL; config_free frees them. */
struct config {
#define CONFIG_TEXT char *
#define CONFIG_NAME char *
#define CONFIG_IP char *
#define CONFIG_COUNT uint64_t
#define CONFIG_PORT uint16_t
#define CONFIG_MS uint64_t
#define CONFIG_SIZE uint64_t /* bytes */
#define CONFIG_LIST struct config_list
#define CONFIG_LEVEL enum log_level
#define CONFIG_READS enum config_reads
#define KEY(field, section, key, kind, def, min, max, help) CONFIG_##kind field;
#include "node/config.def"
#undef KEY
};

/* Defaults of the table; what has none is empty.  E_NOMEM. */
enum code config_init(struct config *c, struct err *e) MUST_CHECK;
void config_free(struct config *c); /* an all-zero struct is fine */

/* Read and check a file: c is complete, mesh_address and api_addresses filled
 * in.  E_NOTFOUND; E_INVAL names file, line, key and the range allowed.
 * On an error c is empty. */
enum code config_load(
    struct config *c, const char *path, struct err *e) MUST_CHECK;
/* The same for text at hand; name stands for the file in errors. */
enum code config_parse(struct config *c, struct span text, const char *name,
    struct err *e) MUST_CHECK;

/* Set one key by its full name ("raft.heartbeat_ms"); a list: one more row. */
enum code config_set(struct config *c, const char *name, const char *value,
    struct err *e) MUST_CHECK;
/* What only several keys together show, and the derived defaults. */
enum code config_check(struct config *c, struct err *e) MUST_CHECK;
/* Write node.yaml: required keys and what differs from its default. */
enum code config_save(
    const struct config *c, const char *path, struct err *e) MUST_CHECK;

/* The table for people. */
enum config_form { CONFIG_FORM_HELP, CONFIG_FORM_MARKDOWN, CONFIG_FORM_MAN };
bool config_print(struct buf *out, enum config_form form);

#endif
