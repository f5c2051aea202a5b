/* text.h -- hexadecimal, base64 and base64url (RFC 4648). */
#ifndef QUORATE_BASE_TEXT_H
#define QUORATE_BASE_TEXT_H

#include "base/buf.h"

/* out holds 2 * len + 1 bytes; lower case, NUL-terminated. */
void hex_encode(char *out, const uint8_t *p, size_t len);
/* Decode exactly len bytes from a string of 2 * len digits, either case. */
enum code hex_decode(
    uint8_t *out, size_t len, const char *s, struct err *e) MUST_CHECK;

enum base64_kind { BASE64_STD, BASE64_URL /* no padding, RFC 7515 */ };
bool base64_encode(struct buf *out, struct span in, enum base64_kind kind);
/* Appends to out.  White space is skipped for BASE64_STD only. */
enum code base64_decode(struct buf *out, struct span in, enum base64_kind kind,
    struct err *e) MUST_CHECK;

#endif
