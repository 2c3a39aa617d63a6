#define _GNU_SOURCE
#include "wire.h"

#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; not in Debian 12's headers */
#endif

enum {
	CONNECT_PAUSE_MS = 10,
	SLICE_MS = 50,
	NS_PER_MS = 1000000,
};

static int64_t now_ns(void)
{
	struct timespec now = {0, 0};

	clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists on every Linux */
	return (int64_t)now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

int64_t wire_now_ms(void)
{
	return now_ns() / NS_PER_MS;
}

/*
 * Polls for a slice of the time that is left, at most most_ms, and subtracts the time that this took, but at most twice
 * the slice: the person who runs passwd may stop it with a signal, and must not cause a time-out by that.
 */
static int poll_slice(struct pollfd *waiting, nfds_t count, int most_ms, int64_t *left_ns)
{
	int64_t slice = (int64_t)most_ms * NS_PER_MS < *left_ns ? (int64_t)most_ms * NS_PER_MS : *left_ns;
	int64_t start = now_ns();
	int ready = poll(waiting, count, (int)((slice + NS_PER_MS - 1) / NS_PER_MS));
	int why = errno;
	int64_t took = now_ns() - start;

	*left_ns -= took < 2 * slice ? took : 2 * slice;
	errno = why;
	return ready;
}

/* Waits until fd is ready for events. A timer signal of the host only restarts the wait, with the time that is left. */
static bool wait_until(int fd, short events, int64_t *left_ns)
{
	struct pollfd waiting = {.fd = fd, .events = events};

	do {
		int ready = poll_slice(&waiting, 1, SLICE_MS, left_ns);
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	} while (*left_ns > 0);
	errno = ETIMEDOUT;
	return false;
}

static int new_memfd(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("shadowsync", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		fd = memfd_create("shadowsync", flags);
	return rundir_above_std(fd);
}

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t wrote = write(fd, data, size);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return false;
		data += wrote;
		size -= (size_t)wrote;
	}
	return true;
}

int wire_seal(const char *token)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	size_t size = strnlen(token, WIRE_TOKEN_MAX + 1);
	struct rlimit limit;

	if (size == 0 || size > WIRE_TOKEN_MAX) {
		errno = EINVAL;
		return -1;
	}
	/* A memfd obeys RLIMIT_FSIZE, and writing past it raises SIGXFSZ, which would kill the host. */
	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < size) {
		errno = EFBIG;
		return -1;
	}
	int fd = new_memfd();
	if (fd < 0)
		return -1;
	if (!write_all(fd, token, size) || fcntl(fd, F_ADD_SEALS, seals) != 0) {
		int why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

/* Connects. A full backlog is EAGAIN; poll(2) cannot wait for its end, because unix(7) sockets do not queue connects. */
static bool connect_until(int fd, enum wire_socket to, int64_t *left_ns)
{
	static const struct sockaddr_un sockets[] = {
		[WIRE_ROOT] = {.sun_family = AF_UNIX, .sun_path = SHADOWSYNC_RUN_DIR "/root.sock"},
		[WIRE_FACTOR] = {.sun_family = AF_UNIX, .sun_path = SHADOWSYNC_RUN_DIR "/factor.sock"},
	};
	const struct sockaddr_un *address = &sockets[to];

	while (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
		if (errno != EAGAIN && errno != EINTR)
			return false;
		if (*left_ns <= 0) {
			errno = ETIMEDOUT;
			return false;
		}
		poll_slice(NULL, 0, CONNECT_PAUSE_MS, left_ns);
	}
	return true;
}

static bool peer_is_root(int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	errno = EPERM;
	return peer.uid == 0;
}

static bool send_until(int fd, const char *request, size_t size, int descriptor, int64_t *left_ns)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {{0}};
	struct iovec part = {.iov_base = (char *)request, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (descriptor >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof descriptor);
		memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
	}
	/* MSG_NOSIGNAL: SIGPIPE belongs to the host. */
	while (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return false;
		if (!wait_until(fd, POLLOUT, left_ns))
			return false;
	}
	return true;
}

/* Reads one packet. There is no control buffer, so the kernel itself drops descriptors that a peer sends. */
static ssize_t receive_until(int fd, char answer[WIRE_ANSWER_MAX], int64_t *left_ns)
{
	struct iovec part = {.iov_base = answer, .iov_len = WIRE_ANSWER_MAX};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	for (;;) {
		if (!wait_until(fd, POLLIN, left_ns))
			return -1;
		ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got > 0 && !(message.msg_flags & MSG_TRUNC))
			return got;
		if (got >= 0)
			errno = got == 0 ? ECONNRESET : EMSGSIZE;
		return -1;
	}
}

ssize_t wire_exchange(enum wire_socket to, const char *request, size_t size, int descriptor, char answer[WIRE_ANSWER_MAX],
                      int wait_ms)
{
	int64_t left_ns = (int64_t)wait_ms * NS_PER_MS;
	ssize_t got = -1;
	int fd = rundir_above_std(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	if (fd < 0)
		return -1;
	if (connect_until(fd, to, &left_ns) && peer_is_root(fd) && send_until(fd, request, size, descriptor, &left_ns))
		got = receive_until(fd, answer, &left_ns);
	int why = errno;
	close(fd);
	errno = why;
	return got;
}
