#include "desk.h"

#include <ftw.h>

char desk_top[PATH_MAX];
static EVP_PKEY *operator_key;

/* ---- An operator's folder that trusts the fake ---- */

void desk_put(const char *name, struct span data, mode_t mode)
{
	char path[PATH_MAX];

	assert_int_equal(
	    fs_join(path, sizeof(path), desk_top, name, NULL), E_OK);
	assert_int_equal(fs_write(path, data, mode, NULL), E_OK);
}

int desk_begin(void **state)
{
	struct buf pem, der, cert;

	(void)state;
	buf_init(&pem);
	buf_init(&der);
	buf_init(&cert);
	snprintf(desk_top, sizeof(desk_top), "test-cli-XXXXXX");
	if (mkdtemp(desk_top) == NULL ||
	    pki_key_new(PKI_P256, &operator_key, NULL) != E_OK ||
	    pki_key_to_pem(&pem, operator_key, NULL) != E_OK ||
	    pki_operator_cert(&der, operator_key, span_str("alice"),
		clock_unix_ms() / 1000, NULL) != E_OK ||
	    pki_pem_add(&cert, "CERTIFICATE", buf_span(&der), NULL) != E_OK)
		return -1;
	desk_put("operator.key", buf_span(&pem), 0600);
	desk_put("operator.pem", buf_span(&cert), 0644);
	desk_put("root.pem", fake_root_pem(), 0644);
	desk_put("trust-domain", span_str("corp.example\n"), 0644);
	desk_put("servers", span_str("127.0.0.1:1\n"), 0644);
	setenv("QUORATE_IDENTITY", desk_top, 1);
	pki_wipe(&pem);
	buf_free(&der);
	buf_free(&cert);
	return 0;
}

EVP_PKEY *desk_root(struct buf *root)
{
	EVP_PKEY *key;
	struct buf sealed, pem;

	buf_init(root);
	buf_init(&sealed);
	buf_init(&pem);
	assert_int_equal(pki_key_new(PKI_P256, &key, NULL), E_OK);
	assert_int_equal(pki_root_make(root, key, span_str("corp.example"),
			     clock_unix_ms() / 1000, NULL),
	    E_OK);
	assert_int_equal(
	    pki_pem_add(&pem, "CERTIFICATE", buf_span(root), NULL), E_OK);
	buf_add_span(&pem, fake_root_pem());
	desk_put("root.pem", buf_span(&pem), 0644);
	buf_clear(&pem);
	assert_int_equal(pki_key_to_pem(&pem, key, NULL), E_OK);
	assert_int_equal(pki_seal(&sealed, "root key", buf_span(&pem),
			     span_str("open sesame"), true, NULL),
	    E_OK);
	desk_put("root.key", buf_span(&sealed), 0600);
	desk_put("phrase", span_str("open sesame\n"), 0600);
	desk_put("wrong", span_str("open barley\n"), 0600);
	buf_free(&sealed);
	pki_wipe(&pem);
	return key;
}

static int remove_one(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int desk_end(void **state)
{
	(void)state;
	EVP_PKEY_free(operator_key);
	unsetenv("QUORATE_SERVER");
	return nftw(desk_top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct said desk_run(const char *line)
{
	char words[1000], paths[64][300], *argv[65];
	size_t out_len, err_len;
	int argc = 0;
	struct said s = {0};
	FILE *out = open_memstream(&s.out, &out_len);
	FILE *err = open_memstream(&s.err, &err_len);

	snprintf(words, sizeof(words), "quorate %s", line);
	for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " ")) {
		argv[argc] = w;
		if (w[0] == '@') {
			snprintf(paths[argc], sizeof(paths[argc]), "%.200s%s",
			    desk_top, w + 1);
			argv[argc] = paths[argc];
		}
		argc++;
	}
	argv[argc] = NULL;
	s.exit = cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return s;
}

void said_free(struct said *s)
{
	free(s->out);
	free(s->err);
}

struct fake *desk_serve(const struct fake_route *r)
{
	struct fake *f = fake_start_routes(r);

	setenv("QUORATE_SERVER", fake_name(f), 1);
	return f;
}

struct ca_envelope *desk_posted(struct fake *f, struct wire_memory **mem)
{
	struct ca_envelope *env = calloc(1, sizeof(*env));
	struct buf body, spki;

	buf_init(&body);
	buf_init(&spki);
	fake_posted(f, &body);
	assert_int_equal(
	    wire_envelope_decode(buf_span(&body), env, mem, NULL), E_OK);
	assert_true(span_eq_str(env->trust_domain, "corp.example"));
	assert_int_equal(env->signatures_n, 1);
	assert_int_equal(pki_key_spki(&spki, operator_key, NULL), E_OK);
	assert_true(span_eq(env->signatures[0].spki, buf_span(&spki)));
	assert_true(pki_verify(
	    buf_span(&spki), env->signed_bytes, env->signatures[0].sig));
	assert_true(env->expires_ms > clock_unix_ms());
	buf_free(&body);
	buf_free(&spki);
	return env;
}
