/* issuers.c -- what leaves take from their issuers: an issuer's certificate is
 * read once, not for each leaf. */
#include "node/internal.h"

enum code issuers_read(
    struct issuers *m, struct span cert, struct pki_issuer *out, struct err *e)
{
	struct issuer_row *row;
	enum code rc;

	for (size_t i = 0; i < ISSUERS_KEPT; i++)
		if (cert.len > 0 && span_eq(buf_span(&m->row[i].cert), cert)) {
			*out = m->row[i].from;
			return E_OK;
		}
	row = &m->row[m->next];
	buf_clear(&row->cert);
	buf_add_span(&row->cert, cert);
	rc = buf_check(&row->cert, e);
	if (rc == E_OK)
		rc = pki_issuer_from_cert(buf_span(&row->cert), &row->from, e);
	if (rc != E_OK) {
		buf_clear(&row->cert);
		return rc;
	}
	m->next = (m->next + 1) % ISSUERS_KEPT;
	*out = row->from;
	return E_OK;
}

void issuers_free(struct issuers *m)
{
	for (size_t i = 0; i < ISSUERS_KEPT; i++)
		buf_free(&m->row[i].cert);
}
