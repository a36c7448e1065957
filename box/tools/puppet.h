/* puppet: sockets that do what they are told, line by line. */
#ifndef PUPPET_H
#define PUPPET_H
#include "tool.h"

#define MAX_DATAGRAM 65507

/* poll() for one event. False when time is up. */
bool wait_for(int fd, short events, uint64_t timeout_ms);
/* One line {"error":"<name>"}. */
void say_error(int error);

/* ICMP echo from a raw socket: prints who answered. */
void ping(const char *to, size_t size, uint64_t timeout_ms);

#endif
