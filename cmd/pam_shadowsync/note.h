/*
 * Notes. A note says "the account X was changed at T". The module leaves one if the broker does not take a change, and
 * the next program of shadowsync that runs reads it.
 *
 * A note is a symbolic link n.NAME -> "1 UNIXTIME TAG" in a folder that only root can read and write. A link has no data
 * and no mode, and a short target needs no block: so neither RLIMIT_FSIZE, nor the umask, nor a disk without free blocks
 * can prevent it. NAME is the account's name; each byte other than letters, digits, '-' and '_' is written as %XX. If
 * that is too long, NAME is "all". TAG is the tag of the password field before the change (tag.h). The link's owner is
 * the real uid of the process that made the change: the link is created as t.THREAD, and gets the note's name once it
 * has its owner. If the disk has no free inode either, the module renames one of eight spare links, which the broker,
 * the hooks and setup keep there. The time of such a note is its ctime, and it has no tag.
 */
#ifndef SHADOWSYNC_NOTE_H
#define SHADOWSYNC_NOTE_H

#include <stdbool.h>
#include <stddef.h>

#ifndef SHADOWSYNC_HOME
#define SHADOWSYNC_HOME "/var/lib/shadowsync"
#endif

/*
 * Leaves a note about name and returns once it is durable. If the account has a note already, that one is enough,
 * whatever its tag. Creates a missing folder only if `make` is true. Returns false with errno: EPERM if the folder is
 * not root's alone, ENOENT if it is missing, or the kernel's error.
 */
bool note_leave(const char *name, const char *tag, bool make);

/* Writes for people why no note could be left, by the errno of note_leave. Returns what helps: the beginning of a hint. */
const char *note_obstacle(int why, char *reason, size_t size);

#endif
