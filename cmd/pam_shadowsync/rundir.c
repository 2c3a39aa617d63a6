#define _GNU_SOURCE
#include "rundir.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char managed_path[] = SHADOWSYNC_RUN_DIR "/managed";
static const char passwd_path[] = SHADOWSYNC_PASSWD;
static const char timeout_path[] = SHADOWSYNC_RUN_DIR "/pam-timeout";

enum {
	MANAGED_MAX = 8 << 20, /* bytes: 100,000 accounts with names of 30 and units of 50 */
	LINE_BUFFER = 8 << 10, /* bytes on the stack, which the host may have made small */
};

int rundir_above_std(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int why = errno;
	close(fd);
	errno = why;
	return moved;
}

static bool is_roots_file(const struct stat *info)
{
	return S_ISREG(info->st_mode) && info->st_uid == 0;
}

/* Opens what only root can have written. O_NONBLOCK: a FIFO in its place must not hold passwd. */
static int open_list(const char *path)
{
	struct stat info;
	int fd = rundir_above_std(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));

	if (fd < 0)
		return -1;
	if (fstat(fd, &info) != 0 || !is_roots_file(&info) || info.st_size > MANAGED_MAX) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

static bool is_mark(const char *text, size_t size, const char *mark)
{
	return size == strlen(mark) && memcmp(text, mark, size) == 0;
}

/* Reads what stands behind the name: the unit, and marks of which a later version may know more. */
static void read_listed(const char *text, size_t size, struct listed *listed)
{
	const char *end = text + size, *tab = memchr(text, '\t', size);

	text_clean(listed->unit, sizeof listed->unit, text, (size_t)((tab == NULL ? end : tab) - text));
	while (tab != NULL) {
		const char *mark = tab + 1;
		tab = memchr(mark, '\t', (size_t)(end - mark));
		size_t length = (size_t)((tab == NULL ? end : tab) - mark);
		listed->judged |= is_mark(mark, length, "judge");
		listed->awaited |= is_mark(mark, length, "login");
	}
}

/* A line to be found: what it begins with, the separator behind that, and where to the rest of it is read, or NULL. */
struct wanted {
	const char *name;
	char separator;
	struct listed *listed;
};

/* Searches the whole lines among the first *used bytes of lines, and drops the ones searched. */
static bool find_in_lines(char *lines, size_t *used, const struct wanted *wanted)
{
	size_t length = strlen(wanted->name), start = 0;

	for (;;) {
		const char *line = lines + start;
		const char *end = memchr(line, '\n', *used - start);
		if (end == NULL)
			break;
		size_t size = (size_t)(end - line);
		if (size > length && line[length] == wanted->separator && memcmp(line, wanted->name, length) == 0) {
			if (wanted->listed != NULL)
				read_listed(line + length + 1, size - length - 1, wanted->listed);
			return true;
		}
		start += size + 1;
	}
	*used -= start;
	memmove(lines, lines + start, *used);
	return false;
}

static enum listing find_in_file(int fd, const struct wanted *wanted)
{
	char lines[LINE_BUFFER];
	size_t used = 0;

	for (size_t total = 0; total <= MANAGED_MAX;) {
		if (used == sizeof lines)
			break; /* no line of ours is that long */
		ssize_t got = read(fd, lines + used, sizeof lines - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return LISTING_UNKNOWN;
		if (got == 0)
			return LISTING_ABSENT;
		total += (size_t)got;
		used += (size_t)got;
		if (find_in_lines(lines, &used, wanted))
			return LISTING_MANAGED;
	}
	errno = EINVAL;
	return LISTING_UNKNOWN;
}

static enum listing find(const char *path, const struct wanted *wanted)
{
	int fd = open_list(path);
	if (fd < 0)
		return LISTING_UNKNOWN;
	enum listing found = find_in_file(fd, wanted);
	int why = errno;
	close(fd);
	errno = why;
	return found;
}

enum listing rundir_find(const char *name, struct listed *listed)
{
	*listed = (struct listed){0};
	return find(managed_path, &(struct wanted){name, '\t', listed});
}

bool rundir_local(const char *name)
{
	return find(passwd_path, &(struct wanted){name, ':', NULL}) != LISTING_ABSENT;
}

/*
 * The mark is the file's modification time, set to CLOCK_BOOTTIME: no clock that somebody sets can stretch it, there
 * are no contents to be half written, and RLIMIT_FSIZE, whose signal would kill the host, has no say. A mark that a
 * crash left without its time carries the wall clock's, lies in the future of any boot and does not count.
 */
bool rundir_silent(void)
{
	struct stat info;
	struct timespec now;

	if (lstat(timeout_path, &info) != 0 || !is_roots_file(&info) || clock_gettime(CLOCK_BOOTTIME, &now) != 0)
		return false;
	return info.st_mtim.tv_sec <= now.tv_sec && now.tv_sec - info.st_mtim.tv_sec < RUNDIR_SILENT_S;
}

bool rundir_mark_timeout(void)
{
	struct timespec now;
	int fd = rundir_above_std(
		open(timeout_path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));

	if (fd < 0)
		return false;
	bool marked = clock_gettime(CLOCK_BOOTTIME, &now) == 0 && futimens(fd, (struct timespec[]){now, now}) == 0;
	int why = errno;
	close(fd);
	errno = why;
	return marked;
}

void rundir_clear_timeout(void)
{
	unlink(timeout_path);
}
