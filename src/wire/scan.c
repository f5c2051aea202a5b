/* scan.c -- what protobuf leaves to its readers is decided before anything is
 * unpacked: a field that is not repeated comes once, and of a oneof one.
 * Without that a message of many parts is merged part by part, each time with a
 * copy of all before it.  What is logged has no field that is not known here,
 * and no list longer than any may be: whether it decodes depends on its bytes
 * alone, never on memory or on a library's version. */
#include "wire/memory.h"

#define FIELDS_MAX 32 /* of one message; Issue has 22 */

/* One message while it is read. */
struct scan {
	const ProtobufCMessageDescriptor *d;
	enum wire_care care;
	const char *what;
	uint8_t seen[FIELDS_MAX];
	bool chosen; /* a member of the oneof */
};

/* Base-128, at most max bytes. */
static bool get_varint(struct reader *r, unsigned max, uint64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < max; i++) {
		uint8_t byte = read_u8(r);

		*out |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return !r->bad;
	}
	return false;
}

/* Past one value; val is what a length was in front of. */
static bool get_value(struct reader *r, unsigned type, struct span *val)
{
	uint64_t n;

	*val = SPAN_EMPTY;
	switch (type) {
	case 0: return get_varint(r, 10, &n);
	case 1: (void)read_span(r, 8); break;
	case 2:
		if (!get_varint(r, 5, &n) || n > r->left)
			return false;
		*val = read_span(r, (size_t)n);
		break;
	case 5: (void)read_span(r, 4); break;
	default: return false;
	}
	return !r->bad;
}

static enum code check_field(struct scan *s, const ProtobufCFieldDescriptor *f,
    uint32_t number, struct err *e)
{
	size_t i;

	if (f == NULL)
		return s->care == WIRE_LOOSE
			   ? E_OK
			   : err_set(e, E_INVAL, "%s: field %u is not known",
				 s->what, number);
	i = (size_t)(f - s->d->fields);
	if (i >= FIELDS_MAX)
		return err_set(e, E_INTERNAL, "%s: too many fields", s->what);
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		if (s->care == WIRE_STRICT && ++s->seen[i] > CA_LIST_MAX)
			return err_set(e, E_INVAL,
			    "%s: field %u comes too often", s->what, number);
		return E_OK;
	}
	if (s->seen[i]++ != 0)
		return err_set(
		    e, E_INVAL, "%s: field %u comes twice", s->what, number);
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
		return E_OK;
	if (s->chosen)
		return err_set(e, E_INVAL, "%s: field %u excludes another",
		    s->what, number);
	s->chosen = true;
	return E_OK;
}

/* As deep as the schema, which does not refer to itself. */
enum code scan_message(const ProtobufCMessageDescriptor *d, struct span in,
    enum wire_care care, const char *what, struct err *e)
{
	struct scan s = {.d = d, .care = care, .what = what};
	struct reader r;
	enum code rc = E_OK;

	reader_init(&r, in);
	while (rc == E_OK && r.left > 0) {
		const ProtobufCFieldDescriptor *f;
		struct span val;
		uint64_t tag;

		if (!get_varint(&r, 5, &tag) || tag > UINT32_MAX || tag < 8 ||
		    !get_value(&r, tag & 7, &val))
			return err_set(
			    e, E_INVAL, "%s: not a valid message", what);
		f = protobuf_c_message_descriptor_get_field(
		    d, (unsigned)(tag >> 3));
		rc = check_field(&s, f, (uint32_t)(tag >> 3), e);
		if (rc == E_OK && f != NULL && (tag & 7) == 2 &&
		    f->type == PROTOBUF_C_TYPE_MESSAGE)
			rc = scan_message(f->descriptor, val, care, what, e);
	}
	return rc;
}
