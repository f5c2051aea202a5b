/* request.c -- a certificate through libquorate.
 *
 *	cc request.c -o request $(pkg-config --cflags --libs quorate)
 *	./request 10.0.0.5:8443,10.1.0.5:8443 root.pem csr.pem token
 *
 * Prints the chain: leaf, issuer, root. */
#include <stdio.h>
#include <stdlib.h>

#include <quorate.h>

#define FILE_MAX 65536

/* The file as a string; whoever calls frees it.  NULL after saying why. */
static char *read_file(const char *name)
{
	char *text = malloc(FILE_MAX);
	FILE *f = fopen(name, "r");
	size_t n;

	if (text == NULL || f == NULL) {
		perror(name);
		free(text);
		if (f != NULL)
			fclose(f);
		return NULL;
	}
	n = fread(text, 1, FILE_MAX - 1, f);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	fclose(f);
	return text;
}

static int request(struct quorate *q, const char *csr, const char *token)
{
	struct quorate_certificate cert;
	enum quorate_status rc = quorate_request(q, csr, token, 3600, &cert);

	if (rc != QUORATE_OK) {
		fprintf(stderr, "request: %s\n", quorate_error(q));
		return rc == QUORATE_UNAVAILABLE ? 75 : 1; /* 75: try later */
	}
	fprintf(stderr, "issued by %s\n", cert.server);
	fputs(cert.chain_pem, stdout);
	quorate_certificate_free(&cert);
	return 0;
}

int main(int argc, char **argv)
{
	struct quorate *q = NULL;
	char *root, *csr, *token;
	int status = 1;

	if (argc != 5) {
		fprintf(stderr, "usage: request SERVERS ROOT CSR TOKEN\n");
		return 2;
	}
	root = read_file(argv[2]);
	csr = read_file(argv[3]);
	token = read_file(argv[4]);
	if (root != NULL && csr != NULL && token != NULL) {
		struct quorate_options o = {
		    .servers = argv[1], .root_pem = root};

		if (quorate_open(&q, &o) == QUORATE_OK)
			status = request(q, csr, token);
		else
			fprintf(stderr, "request: %s\n", quorate_error(q));
	}
	quorate_close(q);
	free(root);
	free(csr);
	free(token);
	return status;
}
