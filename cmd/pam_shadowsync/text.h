/*
 * Text that crosses the module's border: account names going out, messages coming in. Everything here works on
 * caller-owned buffers, allocates nothing and depends on no locale, which belongs to the host program.
 */
#ifndef SHADOWSYNC_TEXT_H
#define SHADOWSYNC_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	TEXT_NAME_MAX = 256,    /* bytes of an account name */
	TEXT_MESSAGE_MAX = 512, /* bytes of a message shown to a person */
	TEXT_OP_MAX = 24,       /* bytes of an operation's name */
	/* Every byte of the name may need a backslash, and 64 bytes hold the frame around it. */
	TEXT_REQUEST_SIZE = 2 * TEXT_NAME_MAX + 64,
};

/* Whether name is 1 to TEXT_NAME_MAX bytes of printable UTF-8, and so safe to send, compare and print. */
bool text_is_name(const char *name);

/* Copies size bytes of text to out as printable UTF-8, cut to fit out_size with its final NUL; the rest becomes '?'. */
void text_clean(char *out, size_t out_size, const char *text, size_t size);

/*
 * Writes the JSON request of an operation, one of ours with TEXT_OP_MAX bytes at most, for name, which text_is_name
 * accepts, to out and returns its length.
 */
size_t text_request(char out[TEXT_REQUEST_SIZE], const char *op, const char *name);

/*
 * Reads the answer {"message":"..."} (RFC 8259, no other member) into message, cleaned as by text_clean. False if the
 * packet is anything else, or its message is neither empty nor one of ours, that is beginning with "shadowsync: " or,
 * for a password that is refused, "BAD PASSWORD: ".
 */
bool text_answer(const char *packet, size_t size, char message[TEXT_MESSAGE_MAX + 1]);

/* Whether a message refuses a password. */
bool text_refuses(const char *message);

#endif
