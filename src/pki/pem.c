/* pem.c -- textual encoding (RFC 7468). */
#include "pki/internal.h"

#include <limits.h>
#include <string.h>

#include <openssl/pem.h>

#include "base/text.h"

#define PEM_LINE 64

enum code pki_pem_add(
    struct buf *out, const char *label, struct span der, struct err *e)
{
	struct buf text;

	buf_init(&text);
	base64_encode(&text, der, BASE64_STD);
	out->failed |= text.failed;
	buf_printf(out, "-----BEGIN %s-----\n", label);
	for (size_t at = 0; at < text.len; at += PEM_LINE) {
		size_t left = text.len - at;

		buf_add(out, text.p + at, left < PEM_LINE ? left : PEM_LINE);
		buf_add_u8(out, '\n');
	}
	buf_printf(out, "-----END %s-----\n", label);
	buf_free(&text);
	return buf_check(out, e);
}

/* The next block; false at the end, or at one that is broken. */
static bool next_block(BIO *in, const char *label, struct buf *der, bool *found)
{
	char *name = NULL, *headers = NULL;
	uint8_t *data = NULL;
	long len = 0;

	if (PEM_read_bio(in, &name, &headers, &data, &len) != 1)
		return false;
	*found = strcmp(name, label) == 0;
	if (*found)
		buf_add(der, data, (size_t)len);
	OPENSSL_free(name);
	OPENSSL_free(headers);
	OPENSSL_clear_free(data, (size_t)len);
	return true;
}

enum code pki_pem_first(
    struct span pem, const char *label, struct buf *der, struct err *e)
{
	bool found = false;
	BIO *in = NULL;
	enum code rc;

	if (pem.len > 0 && pem.len <= INT_MAX) {
		in = BIO_new_mem_buf(pem.p, (int)pem.len);
		if (in == NULL)
			return openssl_fault(e, "could not read PEM");
	}
	while (in != NULL && !found && next_block(in, label, der, &found))
		continue;
	BIO_free(in);
	rc = found ? buf_check(der, e)
		   : err_set(e, E_NOTFOUND, "no PEM block %s", label);
	return openssl_done(rc, e);
}
