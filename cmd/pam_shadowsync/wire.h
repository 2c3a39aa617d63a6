/*
 * The exchange with the broker: one connection, one request with a secret attached, one answer, all within one
 * deadline. Time during which somebody has stopped the host does not count. If the other side hangs, lies, closes or
 * floods, that changes only what is returned.
 */
#ifndef SHADOWSYNC_WIRE_H
#define SHADOWSYNC_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	WIRE_DEADLINE_MS = 2000, /* for all exchanges about one change */
	WIRE_JUDGE_MS = 1000,    /* for the one that asks whether a new password is good enough */
	WIRE_LOGIN_MS = 1000,    /* for one about a login; sshd may take up to twice as long, to hide how long the check took */
	WIRE_FACTOR_MS = 2000,   /* for one about a second factor */
	WIRE_TOKEN_MAX = 512,    /* bytes, PAM_MAX_RESP_SIZE of Linux-PAM */
	WIRE_ANSWER_MAX = 8192,  /* bytes: a setup key with its QR code has room */
};

/* The broker's sockets in the run directory. Codes have one of their own: a flood at ssh must not delay root's passwd. */
enum wire_socket {
	WIRE_ROOT,   /* root.sock */
	WIRE_FACTOR, /* factor.sock */
};

/*
 * Copies token into a memfd and seals it: nobody can write, grow, shrink or unseal it any more. Returns the descriptor,
 * or -1 with errno. This is the only copy made; the kernel frees its pages with the last descriptor.
 */
int wire_seal(const char *token);

/*
 * Sends request, with the descriptor attached unless it is -1, to a socket of the broker's and waits for the answer, wait_ms in all. Returns its length, or -1 with errno: ETIMEDOUT after that time, EPERM if the peer is
 * not root, EMSGSIZE if the answer is longer than WIRE_ANSWER_MAX, ECONNRESET if the peer closes without an answer, or
 * the kernel's error.
 */
ssize_t wire_exchange(enum wire_socket to, const char *request, size_t size, int descriptor, char answer[WIRE_ANSWER_MAX],
                      int wait_ms);

/* The time in milliseconds, of a clock that nobody can set. */
int64_t wire_now_ms(void);

#endif
