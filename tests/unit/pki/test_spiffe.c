/* SPIFFE IDs, strictly. */
#include "help.h"

#include "base/text.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A253                                                                   \
	A63 "." A63 "." A63 "."                                                \
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A255 A253 ".a"

static void workload_ids_are_read_strictly(void **state)
{
	static const struct {
		const char *why, *id;
		bool ok;
	} rows[] = {
	    {"plain", "spiffe://eu.example/ns/a/sa/b", true},
	    {"one letter", "spiffe://t/ns/a/sa/b", true},
	    {"all of a domain", "spiffe://a-b_c.9/ns/a-1/sa/b.c-d", true},
	    {"longest", "spiffe://" A255 "/ns/" A63 "/sa/" A253, true},
	    {"empty", "", false},
	    {"another scheme", "https://eu.example/ns/a/sa/b", false},
	    {"scheme in capitals", "SPIFFE://eu.example/ns/a/sa/b", false},
	    {"one slash", "spiffe:/eu.example/ns/a/sa/b", false},
	    {"no domain", "spiffe:///ns/a/sa/b", false},
	    {"domain in capitals", "spiffe://Eu.example/ns/a/sa/b", false},
	    {"user", "spiffe://u@eu.example/ns/a/sa/b", false},
	    {"port", "spiffe://eu.example:1/ns/a/sa/b", false},
	    {"escaped domain", "spiffe://eu%2eexample/ns/a/sa/b", false},
	    {"domain too long", "spiffe://" A255 "a/ns/a/sa/b", false},
	    {"domain only", "spiffe://eu.example", false},
	    {"domain and slash", "spiffe://eu.example/", false},
	    {"another path", "spiffe://eu.example/workload/a", false},
	    {"ns in capitals", "spiffe://eu.example/NS/a/sa/b", false},
	    {"sa first", "spiffe://eu.example/sa/a/ns/b", false},
	    {"no account", "spiffe://eu.example/ns/a/sa", false},
	    {"empty account", "spiffe://eu.example/ns/a/sa/", false},
	    {"empty namespace", "spiffe://eu.example/ns//sa/b", false},
	    {"double slash", "spiffe://eu.example//ns/a/sa/b", false},
	    {"trailing slash", "spiffe://eu.example/ns/a/sa/b/", false},
	    {"more path", "spiffe://eu.example/ns/a/sa/b/c", false},
	    {"query", "spiffe://eu.example/ns/a/sa/b?c", false},
	    {"fragment", "spiffe://eu.example/ns/a/sa/b#c", false},
	    {"escape", "spiffe://eu.example/ns/a/sa/b%41", false},
	    {"dot", "spiffe://eu.example/ns/a/sa/.", false},
	    {"dot dot", "spiffe://eu.example/ns/../sa/b", false},
	    {"namespace with a dot", "spiffe://eu.example/ns/a.b/sa/c", false},
	    {"dash first", "spiffe://eu.example/ns/-a/sa/b", false},
	    {"dash last", "spiffe://eu.example/ns/a-/sa/b", false},
	    {"namespace in capitals", "spiffe://eu.example/ns/A/sa/b", false},
	    {"long namespace", "spiffe://t/ns/" A63 "a/sa/b", false},
	    {"long label", "spiffe://t/ns/a/sa/" A63 "a", false},
	    {"long account", "spiffe://t/ns/a/sa/" A253 ".a", false},
	    {"empty label", "spiffe://t/ns/a/sa/b..c", false},
	    {"dot last", "spiffe://t/ns/a/sa/b.", false},
	    {"underscore", "spiffe://t/ns/a/sa/b_c", false},
	    {"space", "spiffe://t/ns/a/sa/b c", false},
	    {"not ASCII", "spiffe://t/ns/a/sa/caf\xc3\xa9", false},
	};
	struct pki_spiffe id;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++)
		if ((pki_spiffe_parse(span_str(rows[i].id), &id, &err) ==
			E_OK) != rows[i].ok)
			fail_msg("%s", rows[i].why);
	assert_int_equal(
	    pki_spiffe_parse(span_of("spiffe://t/ns/a/sa/b\0", 21), &id, &err),
	    E_INVAL);
}

static void what_is_read_is_written_again(void **state)
{
	static const char text[] = "spiffe://eu.example/ns/shop/sa/cart";
	struct buf out = {0};
	struct pki_spiffe id;

	(void)state;
	MUST(pki_spiffe_parse(span_str(text), &id, &err));
	assert_true(span_eq_str(id.trust_domain, "eu.example"));
	assert_true(span_eq_str(id.ns, "shop"));
	assert_true(span_eq_str(id.sa, "cart"));
	MUST(pki_spiffe_format(&out, id.trust_domain, id.ns, id.sa, &err));
	assert_true(span_eq_str(buf_span(&out), text));
	buf_clear(&out);
	REFUSED(pki_spiffe_format(
		    &out, id.trust_domain, span_str("a/sa/b"), id.sa, &err),
	    E_INVAL, "namespace");
	REFUSED(pki_spiffe_format(
		    &out, id.trust_domain, id.ns, span_str("a/b"), &err),
	    E_INVAL, "service account");
	REFUSED(pki_spiffe_format(&out, SPAN_EMPTY, id.ns, id.sa, &err),
	    E_INVAL, "trust domain");
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(workload_ids_are_read_strictly),
	    cmocka_unit_test(what_is_read_is_written_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
