/* One client connection to podserver, non-blocking: connect, then requests one after another. */
#ifndef BOX_HTTP_CONN_H
#define BOX_HTTP_CONN_H

#include "tool.h"

enum http_step {
	HTTP_CONNECTING, /* wait for EPOLLOUT */
	HTTP_CONNECTED,  /* nothing asked yet: call http_request */
	HTTP_SENDING,    /* wait for EPOLLOUT */
	HTTP_READING,    /* wait for EPOLLIN */
	HTTP_ANSWERED,   /* body is complete and zero terminated */
	HTTP_FAILED,     /* error says why */
};

struct http_conn {
	int fd;
	enum http_step step;
	int error; /* errno, or ERROR_* of tool.h */
	bool failed_connect;
	uint64_t started_ns, connected_ns, asked_ns;
	char out[256];
	size_t out_length, out_sent;
	char in[2048];
	size_t in_length;
	char *body;
};

/* Starts to connect. protocol: 0 for TCP, or IPPROTO_SCTP. linger_rst: close() sends RST, so that
 * the source port is free at once. */
void http_open(struct http_conn *c, int protocol, const union sockaddr_any *to,
	       const union sockaddr_any *source, uint16_t source_port, bool linger_rst);
void http_request(struct http_conn *c, const char *path, bool keep_alive);
/* Goes as far as the socket allows; call it when epoll reports the fd, and after http_request. */
enum http_step http_advance(struct http_conn *c);
void http_close(struct http_conn *c);

#endif
