/* ext.c -- extensions, each by its section of RFC 5280 §4.2.1. */
#include "pki/internal.h"

#include <string.h>

#define DNS_NAME_MAX 253

struct exts exts_begin(const struct buf *b)
{
	return (struct exts){der_begin(b), der_begin(b)};
}

void exts_end(struct buf *b, struct exts x, unsigned number)
{
	der_end(b, x.list, DER_SEQUENCE);
	der_end(b, x.outer, DER_CONSTRUCTED_0 + number);
}

struct ext ext_begin(struct buf *b, enum der_oid oid, bool critical)
{
	struct ext x = {.whole = der_begin(b)};

	der_oid(b, oid);
	if (critical) /* DEFAULT FALSE is left out */
		der_true(b);
	x.value = der_begin(b);
	return x;
}

void ext_end(struct buf *b, struct ext x)
{
	der_end(b, x.value, DER_OCTET_STRING);
	der_end(b, x.whole, DER_SEQUENCE);
}

/* §4.2.1.9 */
void ext_leaf_constraints(struct buf *b)
{
	struct ext x = ext_begin(b, OID_BASIC_CONSTRAINTS, true);

	der_put(b, DER_SEQUENCE, SPAN_EMPTY);
	ext_end(b, x);
}

void ext_ca_constraints(struct buf *b, unsigned pathlen)
{
	struct ext x = ext_begin(b, OID_BASIC_CONSTRAINTS, true);

	der_true(b);
	der_u64(b, DER_INTEGER, pathlen);
	der_end(b, x.value, DER_SEQUENCE);
	ext_end(b, x);
}

/* §4.2.1.3 */
void ext_key_usage(struct buf *b, unsigned bits)
{
	struct ext x = ext_begin(b, OID_KEY_USAGE, true);

	der_named_bits(b, (uint8_t)bits);
	ext_end(b, x);
}

/* §4.2.1.12: clientAuth, and serverAuth if asked for */
void ext_key_purposes(struct buf *b, bool server)
{
	struct ext x = ext_begin(b, OID_EXT_KEY_USAGE, false);

	if (server)
		der_oid(b, OID_SERVER_AUTH);
	der_oid(b, OID_CLIENT_AUTH);
	der_end(b, x.value, DER_SEQUENCE);
	ext_end(b, x);
}

/* §4.2.1.2 */
void ext_subject_key_id(struct buf *b, const uint8_t id[CA_KEY_ID_LEN])
{
	struct ext x = ext_begin(b, OID_SUBJECT_KEY_ID, false);

	der_put(b, DER_OCTET_STRING, span_of(id, CA_KEY_ID_LEN));
	ext_end(b, x);
}

/* §4.2.1.1, keyIdentifier only */
void ext_authority_key_id(struct buf *b, struct span id)
{
	struct ext x = ext_begin(b, OID_AUTHORITY_KEY_ID, false);

	der_put(b, DER_CONTEXT_0, id);
	der_end(b, x.value, DER_SEQUENCE);
	ext_end(b, x);
}

/* GeneralName (§4.2.1.6) */
enum { NAME_DNS = 2, NAME_URI = 6, NAME_IP = 7 };

static void put_subtree(struct buf *b, unsigned kind, struct span base)
{
	size_t at = der_begin(b);

	der_put(b, DER_CONTEXT_0 + kind, base);
	der_end(b, at, DER_SEQUENCE);
}

/* §4.2.1.10: permittedSubtrees [0].  A URI's host is td itself; DNS names are
 * td and those below it. */
void ext_name_constraints(struct buf *b, struct span td)
{
	struct ext x = ext_begin(b, OID_NAME_CONSTRAINTS, true);
	size_t permitted = der_begin(b);

	put_subtree(b, NAME_DNS, td);
	put_subtree(b, NAME_URI, td);
	der_end(b, permitted, DER_CONSTRUCTED_0);
	der_end(b, x.value, DER_SEQUENCE);
	ext_end(b, x);
}

void ext_alt_names(struct buf *b, const struct ext_names *n, bool critical)
{
	struct ext x;

	if (n->uri.len == 0 && n->dns_n == 0 && n->ip_n == 0)
		return;
	x = ext_begin(b, OID_SUBJECT_ALT_NAME, critical);
	if (n->uri.len > 0)
		der_put(b, DER_CONTEXT_0 + NAME_URI, n->uri);
	for (size_t i = 0; i < n->dns_n; i++)
		der_put(b, DER_CONTEXT_0 + NAME_DNS, n->dns[i]);
	for (size_t i = 0; i < n->ip_n; i++)
		der_put(b, DER_CONTEXT_0 + NAME_IP, n->ip[i]);
	der_end(b, x.value, DER_SEQUENCE);
	ext_end(b, x);
}

/* An IA5String without controls and white space. */
static bool visible_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

enum code ext_names_check(const struct ext_names *n, struct err *e)
{
	if (n->uri.len > CA_URI_MAX || !visible_ascii(n->uri))
		return err_set(e, E_INVAL, "the URI name is not a URI");
	for (size_t i = 0; i < n->dns_n; i++)
		if (n->dns[i].len == 0 || n->dns[i].len > DNS_NAME_MAX ||
		    !visible_ascii(n->dns[i]))
			return err_set(
			    e, E_INVAL, "DNS name %zu is not one", i + 1);
	for (size_t i = 0; i < n->ip_n; i++)
		if (n->ip[i].len != 4 && n->ip[i].len != 16)
			return err_set(e, E_INVAL,
			    "IP name %zu has %zu octets, not 4 or 16", i + 1,
			    n->ip[i].len);
	return E_OK;
}
