/* A peer for the code under test: a server on loopback, in a process of its own, which has one connection.
 *
 *     static void serve(int fd) { write(fd, "0123456789", 10); sockshim_peer_reset(fd); }
 *
 *     struct sockaddr_in at = sockshim_peer(serve);   // somebody listens there by now
 *
 * The process ends behind `serve`, or with the one that has asked for it. What cannot be had is told on stderr, and
 * aborts the program.
 */

#ifndef SOCKSHIM_PEER_H
#define SOCKSHIM_PEER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Has `serve` called with the first connection that is made. Returns the address to connect to. */
static inline struct sockaddr_in sockshim_peer(void (*serve)(int fd)) {
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  pid_t pid = -1;
  /* Port 0: the kernel chooses one that is free. */
  if (listener >= 0 && bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 1) == 0 &&
      getsockname(listener, (struct sockaddr *)&at, &len) == 0) {
    fflush(NULL); /* or the child would have a copy of what is not written yet */
    pid = fork();
  }
  if (pid < 0) {
    perror("sockshim_peer");
    abort();
  }
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = accept(listener, NULL, NULL);
    close(listener);
    if (fd >= 0) {
      serve(fd);
    }
    _exit(0);
  }
  close(listener);
  return at;
}

/* For `serve`: closes so that the other end has ECONNRESET, whatever is on the way (SO_LINGER of socket(7)). */
static inline void sockshim_peer_reset(int fd) {
  struct linger now;
  now.l_onoff = 1;
  now.l_linger = 0;
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

#endif /* SOCKSHIM_PEER_H */
