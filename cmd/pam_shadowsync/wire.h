/*
 * The exchange with the broker: one connection, one request with the new token beside it, one answer, all within one
 * time, in which the host's own standing still does not count. What the other side does, hang, lie, close or flood, changes only what is returned.
 */
#ifndef SHADOWSYNC_WIRE_H
#define SHADOWSYNC_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	WIRE_DEADLINE_MS = 2000, /* of all exchanges about one change */
	WIRE_JUDGE_MS = 1000,    /* of the one that asks whether a new password is good enough */
	WIRE_LOGIN_MS = 1000,    /* of one about a login, for sshd hides how long that took by taking up to twice as long */
	WIRE_TOKEN_MAX = 512,    /* bytes, PAM_MAX_RESP_SIZE of Linux-PAM */
	WIRE_ANSWER_MAX = 4096,  /* bytes */
};

/*
 * Puts token into a memfd that nobody can write, grow, shrink or unseal any more. Returns the descriptor, or -1 with
 * errno. The one copy made is the one in the memfd, whose pages the kernel frees with the last descriptor.
 */
int wire_seal(const char *token);

/*
 * Sends request, with the descriptor attached unless it is -1, to the socket root.sock of the run directory and waits
 * for the answer, wait_ms in all. Returns its length, or -1 with errno: ETIMEDOUT after that time, EPERM if the peer is not root,
 * EMSGSIZE if the answer is longer than WIRE_ANSWER_MAX, ECONNRESET if the peer closes without one, or what the kernel
 * says.
 */
ssize_t wire_exchange(const char *request, size_t size, int descriptor, char answer[WIRE_ANSWER_MAX], int wait_ms);

/* The time, in milliseconds that nobody can set. */
int64_t wire_now_ms(void);

#endif
