/* listen.c -- listening sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/internal.h"

#define BACKLOG 512

static int bound_socket(const struct addrinfo *a, bool share)
{
	const int on = 1;
	int saved, fd;

	fd =
	    socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* Accepted sockets inherit TCP_NODELAY: an answer goes out in two
	 * writes, and the second would wait for the first one's ACK. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
			   sizeof(on)) == 0) &&
	    bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

enum code listen_on(
    const char *ip, uint16_t port, bool share, int *fd, struct err *e)
{
	const struct addrinfo hints = {
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	    .ai_socktype = SOCK_STREAM};
	struct addrinfo *a = NULL;
	char service[8];

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	*fd = -1;
	if (getaddrinfo(ip, service, &hints, &a) != 0)
		return err_set(
		    e, E_INVAL, "listen: %.64s is not an IP address", ip);
	*fd = bound_socket(a, share);
	freeaddrinfo(a);
	if (*fd >= 0)
		return E_OK;
	return err_set(e, errno == EADDRINUSE ? E_EXISTS : E_IO,
	    "listening on %.64s port %u: %s", ip, (unsigned)port,
	    strerror(errno));
}
