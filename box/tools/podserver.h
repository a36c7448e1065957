/* The server of a pod: one process, one epoll, no threads. */
#ifndef BOX_PODSERVER_H
#define BOX_PODSERVER_H

#include "tool.h"

/* What epoll reports belongs to one of these; the kind comes first in every struct. */
enum source_kind { SOURCE_HTTP_LISTENER, SOURCE_UDP, SOURCE_HTTP_CONNECTION };

struct source {
	enum source_kind kind;
	int fd;
};

extern const char *server_name;
extern int epoll_fd;

/* {"server":..,"peer":..,"peerPort":..,"local":..,"localPort":..<extra>} and a newline; returns the
 * length. */
size_t describe_peer(char *out, size_t room, const union sockaddr_any *peer,
		     const union sockaddr_any *local, const char *extra);

void http_accept(int listener);
/* The connection may be gone afterwards. */
void http_serve(struct source *s, uint32_t events);

#endif
