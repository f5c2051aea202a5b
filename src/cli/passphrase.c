#include "cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/fs.h"
#include "pki/pki.h"

#define PASSPHRASE_MAX 1024

static enum code first_line(struct buf *out, const char *from, struct err *e)
{
	const uint8_t *end =
	    out->len > 0 ? memchr(out->p, '\n', out->len) : NULL;

	if (end != NULL)
		out->len = (size_t)(end - out->p);
	if (out->len > 0 && out->p[out->len - 1] == '\r')
		out->len--;
	if (out->len == 0)
		return err_set(
		    e, E_INVAL, "the passphrase in %s is empty", from);
	return E_OK;
}

static enum code ask(
    int tty, const char *prompt, struct buf *out, struct err *e)
{
	struct termios was, quiet;
	char c;
	ssize_t n = 0;

	if (write(tty, prompt, strlen(prompt)) < 0 || tcgetattr(tty, &was) != 0)
		return err_set(
		    e, E_IO, "cannot use the terminal: %s", strerror(errno));
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &quiet);
	while (out->len < PASSPHRASE_MAX && (n = read(tty, &c, 1)) == 1 &&
	       c != '\n')
		buf_add(out, &c, 1);
	tcsetattr(tty, TCSAFLUSH, &was);
	if (write(tty, "\n", 1) < 0 || n != 1)
		return err_set(e, E_IO, "no passphrase was typed");
	return buf_check(out, e);
}

static enum code from_terminal(bool twice, struct buf *out, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct buf again;
	enum code rc;

	if (tty < 0)
		return err_set(e, E_NOTFOUND,
		    "the root passphrase is needed and there is no terminal: "
		    "give --passphrase-file FILE");
	buf_init(&again);
	rc = ask(
	    tty, twice ? "New root passphrase: " : "Root passphrase: ", out, e);
	if (rc == E_OK && twice)
		rc = ask(tty, "Once more: ", &again, e);
	if (rc == E_OK && twice && !span_eq(buf_span(out), buf_span(&again)))
		rc = err_set(
		    e, E_INVAL, "the two passphrases differ; nothing was made");
	close(tty);
	pki_wipe(&again);
	return rc == E_OK ? first_line(out, "the terminal", e) : rc;
}

enum code passphrase_get(
    const struct cli_args *a, bool twice, struct buf *out, struct err *e)
{
	const char *file = cli_value(a, "--passphrase-file");
	enum code rc;

	if (file == NULL)
		return from_terminal(twice, out, e);
	rc = fs_read(file, PASSPHRASE_MAX, out, e);
	return rc == E_OK ? first_line(out, file, e) : rc;
}
