/* provision_internal.h -- what the sources of provision.h share: files, staged
 * folders, a node's fresh keys. */
#ifndef QUORATE_NODE_PROVISION_INTERNAL_H
#define QUORATE_NODE_PROVISION_INTERNAL_H

#include <limits.h>

#include "node/provision.h"
#include "pki/pki.h"
#include "signer/signer.h"

#define PROVISION_FILE_MAX (1024 * 1024)

enum code provision_put(const char *dir, const char *name, struct span data,
    mode_t mode, struct err *e) MUST_CHECK;
enum code provision_get(const char *dir, const char *name, struct buf *out,
    struct err *e) MUST_CHECK;
void provision_remove_tree(const char *path); /* "" is fine */
/* A new folder beside path (its name in tmp) with a folder sub in it; renamed
 * to path by stage_end once it is complete, which then empties tmp. */
enum code provision_stage_begin(char tmp[PATH_MAX], const char *path,
    const char *sub, struct err *e) MUST_CHECK;
enum code provision_stage_end(
    char tmp[PATH_MAX], const char *path, struct err *e) MUST_CHECK;
/* E_EXISTS unless path is missing or an empty folder. */
enum code provision_must_be_free(const char *path, struct err *e) MUST_CHECK;

struct node_keys {
	uint8_t mesh_secret[32], mesh_public[CA_MESH_KEY_LEN];
	struct signer_public signer;
	EVP_PKEY *api;
	struct buf api_spki;
	char signer_path[PATH_MAX], seal_path[PATH_MAX];
};

/* Make all keys of a node under dir/keys. */
enum code provision_keys_make(
    struct node_keys *k, const char *dir, struct err *e) MUST_CHECK;
void provision_keys_free(struct node_keys *k);

/* c is to be freed also after an error. */
enum code provision_config_make(struct config *c, const char *td,
    const char *cluster, const char *const *set, size_t n,
    struct err *e) MUST_CHECK;
enum code provision_config_put(
    const struct config *c, const char *dir, struct err *e) MUST_CHECK;

#endif
