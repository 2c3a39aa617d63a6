/*
 * The tag of a note: a short hash of the account's password field before the change. A reader of the note compares it
 * with the field of today, to see whether the field has changed. The tag does not help anybody to find the password.
 */
#ifndef SHADOWSYNC_TAG_H
#define SHADOWSYNC_TAG_H

#include <stddef.h>

enum {
	TAG_SIZE = 33, /* 32 hexadecimal digits and the final NUL */
};

/* Writes the first 128 bits of the SHA-256 (FIPS 180-4) of a field to tag. */
void tag_of(char tag[TAG_SIZE], const char *field, size_t size);

#endif
