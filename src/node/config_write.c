#include "node/config_internal.h"

#include <string.h>

#include "base/fs.h"

static void write_size(struct buf *out, uint64_t v)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;

	while (u + 1 < sizeof(units) / sizeof(units[0]) && v != 0 &&
	       v % 1024 == 0) {
		v /= 1024;
		u++;
	}
	buf_printf(out, "%llu%s", (unsigned long long)v, units[u]);
}

/* A YAML double-quoted scalar. */
static void write_quoted(struct buf *out, const char *s)
{
	buf_add_str(out, "\"");
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_add_str(out, "\\");
		if ((unsigned char)*s < 0x20)
			buf_printf(out, "\\x%02x", (unsigned char)*s);
		else
			buf_add(out, s, 1);
	}
	buf_add_str(out, "\"");
}

static void write_list(struct buf *out, const struct config_list *l)
{
	buf_add_str(out, "[");
	for (size_t i = 0; i < l->n; i++) {
		buf_add_str(out, i > 0 ? ", " : "");
		write_quoted(out, l->v[i]);
	}
	buf_add_str(out, "]");
}

static void write_value(
    struct buf *out, const struct config *c, const struct config_key *k)
{
	const void *field = config_field_of(c, k);

	switch (k->kind) {
	case KIND_TEXT:
	case KIND_NAME:
	case KIND_IP: write_quoted(out, *(char *const *)field); break;
	case KIND_COUNT:
	case KIND_MS:
		buf_printf(
		    out, "%llu", (unsigned long long)*(const uint64_t *)field);
		break;
	case KIND_PORT:
		buf_printf(out, "%u", (unsigned)*(const uint16_t *)field);
		break;
	case KIND_SIZE: write_size(out, *(const uint64_t *)field); break;
	case KIND_LIST: write_list(out, field); break;
	case KIND_READS:
		buf_add_str(
		    out, config_reads[*(const enum config_reads *)field]);
		break;
	case KIND_LEVEL:
		buf_add_str(out, config_levels[*(const enum log_level *)field]);
		break;
	}
}

static bool is_default(const struct config *c, const struct config_key *k)
{
	struct buf now;
	bool same;

	if (k->section[0] == '\0')
		return false; /* what makes this node itself is always shown */
	buf_init(&now);
	write_value(&now, c, k);
	same = span_eq_str(buf_span(&now), k->def);
	buf_free(&now);
	return same;
}

enum code config_save(const struct config *c, const char *path, struct err *e)
{
	const char *section = "";
	struct buf out;
	enum code rc;

	buf_init(&out);
	buf_add_str(&out, "# A quorate node; `quorated --help` explains every "
			  "key.\n");
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *k = &config_keys[i];

		if (is_default(c, k))
			continue;
		if (strcmp(section, k->section) != 0) {
			buf_printf(&out, "%s:\n", k->section);
			section = k->section;
		}
		buf_printf(
		    &out, "%s%s: ", section[0] != '\0' ? "  " : "", k->key);
		write_value(&out, c, k);
		buf_add_str(&out, "\n");
	}
	rc = buf_check(&out, e);
	if (rc == E_OK)
		rc = fs_write(path, buf_span(&out), 0600, e);
	buf_free(&out);
	return rc;
}

/* One key for people.  A key without a default of its own is required, or its
 * help says what follows when it is left out. */
static void print_key(
    struct buf *out, enum config_form form, const struct config_key *k)
{
	const char *def = k->def, *is = def[0] != '\0' ? "default" : "";
	char name[64], room[128];
	const char *want = config_expect(k, room);

	config_full_name(k, name);
	if (form == CONFIG_FORM_HELP)
		buf_printf(out, "  %-20s %s\n  %20s (%s%s%s%s%s)\n", name,
		    k->help, "", want, is[0] ? "; " : "", is, is[0] ? ": " : "",
		    def);
	else if (form == CONFIG_FORM_MARKDOWN)
		buf_printf(
		    out, "| `%s` | %s | %s | %s |\n", name, def, want, k->help);
	else
		buf_printf(out, ".It Ic %s\n%s.\nExpected: %s%s%s%s%s.\n", name,
		    k->help, want, is[0] ? "; " : "", is, is[0] ? ": " : "",
		    def);
}

bool config_print(struct buf *out, enum config_form form)
{
	static const char *const heads[] = {"",
	    "| key | default | expected | meaning |\n|---|---|---|---|\n", ""};

	buf_add_str(out, heads[form]);
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		print_key(out, form, &config_keys[i]);
	return !out->failed;
}
