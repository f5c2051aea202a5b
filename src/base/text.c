#include "base/text.h"

#include <sodium.h>
#include <string.h>

void hex_encode(char *out, const uint8_t *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum code hex_decode(uint8_t *out, size_t len, const char *s, struct err *e)
{
	if (strlen(s) != 2 * len)
		return err_set(e, E_INVAL,
		    "expected %zu hexadecimal digits, "
		    "got %zu",
		    2 * len, strlen(s));
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return err_set(e, E_INVAL,
			    "not a hexadecimal digit "
			    "near position %zu",
			    2 * i + 1);
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return E_OK;
}

static int variant(enum base64_kind kind)
{
	return kind == BASE64_URL ? sodium_base64_VARIANT_URLSAFE_NO_PADDING
				  : sodium_base64_VARIANT_ORIGINAL;
}

bool base64_encode(struct buf *out, struct span in, enum base64_kind kind)
{
	size_t room = sodium_base64_encoded_len(in.len, variant(kind));

	if (out->failed || !buf_reserve(out, room))
		return false;
	sodium_bin2base64((char *)out->p + out->len, room,
	    in.len > 0 ? in.p : (const uint8_t *)"", in.len, variant(kind));
	out->len += strlen((char *)out->p + out->len);
	return true;
}

enum code base64_decode(
    struct buf *out, struct span in, enum base64_kind kind, struct err *e)
{
	size_t got, room = in.len / 4 * 3 + 3;

	if (out->failed || !buf_reserve(out, room))
		return err_nomem(e);
	if (in.len == 0)
		return E_OK;
	if (sodium_base642bin(out->p + out->len, room, (const char *)in.p,
		in.len, kind == BASE64_STD ? " \t\r\n" : NULL, &got, NULL,
		variant(kind)) != 0)
		return err_set(e, E_INVAL, "not valid %s",
		    kind == BASE64_URL ? "base64url" : "base64");
	out->len += got;
	return E_OK;
}
