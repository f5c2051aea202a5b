/* fs.h -- whole files, read with a bound and replaced atomically. */
#ifndef QUORATE_BASE_FS_H
#define QUORATE_BASE_FS_H

#include <sys/types.h>

#include "base/buf.h"

/* Append a file's bytes to out.  E_NOTFOUND, E_IO; E_INVAL past max bytes. */
enum code fs_read(
    const char *path, size_t max, struct buf *out, struct err *e) MUST_CHECK;
/* Replace path durably: temporary file, fsync, rename, fsync of the folder. */
enum code fs_write(
    const char *path, struct span data, mode_t mode, struct err *e) MUST_CHECK;
/* Like fs_write, but E_EXISTS if path is there already. */
enum code fs_create(
    const char *path, struct span data, mode_t mode, struct err *e) MUST_CHECK;
/* Make a folder and its parents; no error if it is there. */
enum code fs_mkdirs(const char *path, mode_t mode, struct err *e) MUST_CHECK;
/* a/b into out; E_INVAL if it does not fit. */
enum code fs_join(char *out, size_t size, const char *dir, const char *name,
    struct err *e) MUST_CHECK;

#endif
