#include "cli/reason.h"

#include <ctype.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
	for (; *a != '\0' || *b != '\0'; a++, b++) {
		while (*a == '-' || *a == '_')
			a++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (*a == '\0')
			return true;
	}
	return true;
}

enum code reason_parse(const char *text, enum ca_reason *out, struct err *e)
{
	static const struct {
		const char *name;
		enum ca_reason reason;
	} reasons[] = {
	    {"unspecified", CA_REASON_UNSPECIFIED},
	    {"keyCompromise", CA_REASON_KEY_COMPROMISE},
	    {"cACompromise", CA_REASON_CA_COMPROMISE},
	    {"affiliationChanged", CA_REASON_AFFILIATION_CHANGED},
	    {"superseded", CA_REASON_SUPERSEDED},
	    {"cessationOfOperation", CA_REASON_CESSATION},
	    {"privilegeWithdrawn", CA_REASON_PRIVILEGE_WITHDRAWN},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (same(text, reasons[i].name)) {
			*out = reasons[i].reason;
			return E_OK;
		}
	return cli_usage(
	    e, "--reason %.30s: expected one of " REASON_HELP, text);
}
