// Talks to itself over a socketpair, in ways that go around the shim or make its record wrong. The
// first argument says which; the second, if there is one, is the exit status.
//
// With -DLIBRARY: what is loaded with RTLD_DEEPBIND. With -DLIAR: a shim behind the shim, which does
// not tell the truth.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef ssize_t (*send_fn)(int, const void *, size_t, int);

#if defined(LIBRARY)

ssize_t library_send(int fd) { return send(fd, "deep", 4, 0); }

#elif defined(LIAR)

// One byte less than there were.
ssize_t send(int fd, const void *buffer, size_t len, int flags) {
	send_fn next = (send_fn)dlsym(RTLD_NEXT, "send");
	return next(fd, buffer, len, flags) - 1;
}

// Five bytes that never were.
ssize_t recv(int fd, void *buffer, size_t len, int flags) {
	(void)fd, (void)len, (void)flags;
	memcpy(buffer, "faked", 5);
	return 5;
}

#else

static int pair[2];
static char buffer[100];

static void must(int true_, const char *what) {
	if (!true_) {
		perror(what);
		exit(99);
	}
}

static void plain(void) {
	must(send(pair[0], "plain", 5, 0) >= 4, "send");
	must(recv(pair[1], buffer, sizeof buffer, 0) == 5, "recv");
}

static void by_dlsym(void) {
	void *libc = dlopen("libc.so.6", RTLD_LAZY);
	send_fn found = (send_fn)dlsym(libc, "send");
	for (int i = 0; i < 3; i++) must(found(pair[0], "found", 5, 0) == 5, "send");
}

static void by_assembly(void) {
	register void *address __asm__("r8") = NULL;
	register long address_len __asm__("r9") = 0, flags __asm__("r10") = 0;
	for (int i = 0; i < 2; i++) {
		long ret;
		__asm__ volatile("syscall"
				 : "=a"(ret)
				 : "0"(SYS_sendto), "D"(pair[0]), "S"("raw"), "d"(3L), "r"(flags), "r"(address), "r"(address_len)
				 : "rcx", "r11", "memory");
		must(ret == 3, "sendto");
	}
}

static void while_stopped(void) {
	void (*stop)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "sockshim_stop");
	int (*start)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "sockshim_start");
	if (stop) stop();
	must(send(pair[0], "stopped", 7, 0) == 7, "send");
	must(shutdown(pair[1], SHUT_WR) == 0, "shutdown");
	if (start) start();
}

static void by_stdio(void) {
	FILE *stream = fdopen(dup(pair[0]), "w");
	fputs("through a stream", stream);
	must(fflush(stream) == 0, "fflush");
	fputs("and as it ends", stream);
	must(fclose(stream) == 0, "fclose");
}

static void by_library(const char *path) {
	void *library = dlopen(path, RTLD_LAZY | RTLD_DEEPBIND);
	must(library != NULL, path);
	ssize_t (*deep)(int) = (ssize_t (*)(int))dlsym(library, "library_send");
	must(deep(pair[0]) == 4, "send");
}

static void on_signal(int signal) {
	(void)signal;
	must(write(pair[0], "h", 1) == 1, "write");
}

// A wait that ends with EINTR, a receive that is restarted, and a process that is killed in a call.
/* Waits until a child sleeps in the kernel: not at one of strace's stops, but in its call. */
static void until_asleep(pid_t child) {
	char path[64], text[256];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
	for (;;) {
		FILE *file = fopen(path, "r");
		must(file && fgets(text, sizeof text, file), path);
		fclose(file);
		if (strrchr(text, ')')[2] == 'S') return;
		sched_yield();
	}
}

static void interrupted(void) {
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGALRM, &action, NULL);
	struct pollfd entry = {pair[0], POLLIN, 0};
	ualarm(20000, 0);
	must(poll(&entry, 1, -1) == -1, "poll");
	must(recv(pair[1], buffer, sizeof buffer, 0) == 1, "recv");
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, NULL);
	ualarm(20000, 0);
	must(recv(pair[1], buffer, sizeof buffer, 0) == 1, "recv");
	int ready[2];
	must(pipe(ready) == 0, "pipe");
	pid_t child = fork();
	if (child == 0) {
		must(write(ready[1], "r", 1) == 1, "write");
		recv(pair[1], buffer, sizeof buffer, 0);
		_exit(99);
	}
	must(read(ready[0], buffer, 1) == 1, "read");
	until_asleep(child);
	must(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child, "waitpid");
}

int main(int argc, char **argv) {
	const char *way = argc > 1 ? argv[1] : "";
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	plain();
	if (!strcmp(way, "dlsym")) by_dlsym();
	if (!strcmp(way, "assembly")) by_assembly();
	if (!strcmp(way, "stopped")) while_stopped();
	if (!strcmp(way, "stdio")) by_stdio();
	if (!strcmp(way, "library")) by_library("./library.so");
	if (!strcmp(way, "interrupted")) interrupted();
	return argc > 2 ? atoi(argv[2]) : 0;
}

#endif
