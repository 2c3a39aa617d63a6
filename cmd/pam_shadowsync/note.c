#define _GNU_SOURCE
#include "note.h"

#include "rundir.h"
#include "tag.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char home_path[] = SHADOWSYNC_HOME;
static const char notes_path[] = SHADOWSYNC_HOME "/notes";

enum {
	SPARES = 8,
	TRIES = 3, /* because a reader may take a note at any moment */
	FILE_NAME_MAX = 255, /* bytes, on every file system that root's state may be on */
	TARGET_SIZE = 60,    /* ext4 keeps a shorter target in the inode itself */
};

static int open_folder(const char *path)
{
	return rundir_above_std(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/* Closes fd and keeps errno, which says why the operation on fd failed. */
static void close_quietly(int fd)
{
	int why = errno;

	close(fd);
	errno = why;
}

/* Creates the folder and makes its name durable. One descriptor is open at a time: the host may have only one left. */
static bool make_folder(void)
{
	if (mkdir(notes_path, 0700) != 0)
		return errno == EEXIST;
	int home = open_folder(home_path);
	if (home < 0)
		return false;
	bool made = fsync(home) == 0;
	close_quietly(home);
	return made;
}

/* Opens the folder if it is root's alone. */
static int open_notes(bool make)
{
	struct stat info;
	int fd = open_folder(notes_path);

	if (fd < 0 && errno == ENOENT && make && make_folder())
		fd = open_folder(notes_path);
	if (fd < 0)
		return -1;
	if (fstat(fd, &info) != 0 || info.st_uid != 0 || (info.st_mode & 077) != 0) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

static void name_file(char file[FILE_NAME_MAX + 1], const char *name)
{
	static const char digits[] = "0123456789ABCDEF";
	char *at = file, *end = file + FILE_NAME_MAX;

	*at++ = 'n';
	*at++ = '.';
	for (; *name != '\0'; name++) {
		if (end - at < (is_plain(*name) ? 1 : 3)) {
			strcpy(file, "n.all");
			return;
		}
		if (is_plain(*name)) {
			*at++ = *name;
			continue;
		}
		unsigned char byte = (unsigned char)*name;
		*at++ = '%';
		*at++ = digits[byte >> 4];
		*at++ = digits[byte & 15];
	}
	*at = '\0';
}

/* True if the note exists already; its owner becomes the person who made this change. False with errno. */
static bool add_to(int folder, const char *file)
{
	struct stat info;

	if (fchownat(folder, file, getuid(), (gid_t)-1, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	return errno != ENOENT && fstatat(folder, file, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Renames a spare link to own; false, with errno unchanged, if there is none. */
static bool take_spare(int folder, const char *own)
{
	int why = errno;

	for (int i = 0; i < SPARES; i++) {
		char spare[] = "s.0";
		spare[2] = (char)('0' + i);
		if (renameat(folder, spare, folder, own) == 0)
			return true;
	}
	errno = why;
	return false;
}

/*
 * Creates a link that no reader takes for a note. If the name exists, a thread that was killed here left it. A spare
 * link may still be renamed where no new one can be made: on a full disk, over a quota, after an I/O error.
 */
static bool make_own(int folder, const char *own, const char *target)
{
	unlinkat(folder, own, 0);
	return symlinkat(target, folder, own) == 0 || take_spare(folder, own);
}

/* Renames the link to the note's name; false with errno: EEXIST if there is a note by now. */
static bool publish(int folder, const char *own, const char *file)
{
	if (renameat2(folder, own, folder, file, RENAME_NOREPLACE) == 0)
		return true;
	/* EINVAL: the file system does not know the flag. */
	return errno == EINVAL && linkat(folder, own, folder, file, 0) == 0 && (unlinkat(folder, own, 0) == 0 || errno == ENOENT);
}

/*
 * Leaves the note. It has its owner before it has its name, because a reader may take it at any moment. If a reader
 * takes the existing note meanwhile, this leaves another one.
 */
static bool leave(int folder, const char *file, const char *target)
{
	char own[32];

	snprintf(own, sizeof own, "t.%ld", (long)gettid());
	for (int tries = 0; tries < TRIES; tries++) {
		if (add_to(folder, file))
			return true;
		if (!make_own(folder, own, target))
			return false;
		/* If that is not permitted, a note that root owns is better than none. */
		(void)!fchownat(folder, own, getuid(), (gid_t)-1, AT_SYMLINK_NOFOLLOW);
		if (publish(folder, own, file))
			return true;
		int why = errno;
		unlinkat(folder, own, 0);
		errno = why;
		if (why != EEXIST)
			return false;
	}
	return false;
}

bool note_leave(const char *name, const char *tag, bool make)
{
	char file[FILE_NAME_MAX + 1], target[TARGET_SIZE];
	int folder = open_notes(make);

	if (folder < 0)
		return false;
	name_file(file, name);
	snprintf(target, sizeof target, "1 %lld %.*s", (long long)time(NULL), TAG_SIZE - 1, tag);
	bool held = leave(folder, file, target) && fsync(folder) == 0;
	close_quietly(folder);
	return held;
}

const char *note_obstacle(int why, char *reason, size_t size)
{
	static const char mend[] = "run: shadowsync doctor --fix, then:";
	static const struct {
		int why;
		const char *reason, *help;
	} known[] = {
		{ENOSPC, "no space left on " SHADOWSYNC_HOME, "make room there, then run:"},
		{EDQUOT, "the quota on " SHADOWSYNC_HOME " is used up", "make room there or raise it, then run:"},
		{EROFS, SHADOWSYNC_HOME " is read-only", "make it writable, then run:"},
		{EIO, "I/O error on " SHADOWSYNC_HOME, "look for the disk's fault (journalctl -k), then run:"},
		{EPERM, SHADOWSYNC_HOME "/notes is not root's alone", mend},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (known[i].why == why) {
			snprintf(reason, size, "%s", known[i].reason);
			return known[i].help;
		}
	}
	const char *text = strerrordesc_np(why);
	snprintf(reason, size, SHADOWSYNC_HOME "/notes: %s", text ? text : "error");
	return mend;
}
