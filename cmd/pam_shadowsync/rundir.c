#define _GNU_SOURCE
#include "rundir.h"

#include "note.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char managed_path[] = SHADOWSYNC_RUN_DIR "/managed";
static const char kept_path[] = SHADOWSYNC_HOME "/managed";
static const char enrolled_path[] = SHADOWSYNC_HOME "/enrolled";
static const char required_path[] = SHADOWSYNC_HOME "/required";
static const char passwd_path[] = SHADOWSYNC_PASSWD;
static const char shadow_path[] = SHADOWSYNC_SHADOW;
static const char program_path[] = SHADOWSYNC_PROGRAM;
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

/* Opens a regular file that belongs to root. O_NONBLOCK: a FIFO in its place must not block passwd. */
static int open_list(const char *path, mode_t forbidden)
{
	struct stat info;
	int fd = rundir_above_std(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));

	if (fd < 0)
		return -1;
	if (fstat(fd, &info) != 0 || !is_roots_file(&info) || (info.st_mode & forbidden) != 0 ||
	    info.st_size > MANAGED_MAX) {
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

/* Reads what follows the name: the unit, and the marks. A later version may write other marks too. */
static void read_listed(const char *text, size_t size, void *to)
{
	struct listed *listed = to;
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

/* Reads what follows the name in shadow(5): the password field. */
static void read_tag(const char *text, size_t size, void *to)
{
	const char *colon = memchr(text, ':', size);

	tag_of(to, text, colon == NULL ? size : (size_t)(colon - text));
}

enum { ENROLLED_FIELDS = 4 };

struct field {
	const char *at;
	size_t size;
};

static bool is_uid(const struct field *field)
{
	for (size_t i = 0; i < field->size; i++)
		if (field->at[i] < '0' || field->at[i] > '9')
			return is_mark(field->at, field->size, "-"); /* not known */
	return field->size <= 10;
}

/*
 * A line of the list of accounts that must show a code: account, realm, state and uid, with a tab between them. Whatever
 * else is there, the file is not that list. *uid is its uid.
 */
static bool is_enrolled_line(const char *line, size_t size, struct field *uid)
{
	struct field fields[ENROLLED_FIELDS];
	const char *end = line + size;

	for (size_t i = 0; i < ENROLLED_FIELDS; i++) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		if ((tab == NULL) != (i == ENROLLED_FIELDS - 1))
			return false;
		fields[i] = (struct field){line, (size_t)((tab == NULL ? end : tab) - line)};
		if (fields[i].size == 0)
			return false;
		line = tab == NULL ? end : tab + 1;
	}
	*uid = fields[3];
	return (is_mark(fields[1].at, fields[1].size, "local") || is_mark(fields[1].at, fields[1].size, "ldap")) &&
	       (is_mark(fields[2].at, fields[2].size, "enrolled") || is_mark(fields[2].at, fields[2].size, "enrol")) &&
	       is_uid(uid);
}

/*
 * The line to find: its first field, or its uid unless that is NULL, the separator after the first field, and the
 * function that reads the rest, or NULL. If every line must have a form, is_line checks it and finds its uid, and the file
 * may not have any mode bit of forbidden.
 */
struct wanted {
	const char *name, *uid;
	char separator;
	void (*reads)(const char *text, size_t size, void *to);
	void *to;
	bool (*is_line)(const char *line, size_t size, struct field *uid);
	mode_t forbidden;
};

/*
 * Searches the complete lines among the first *used bytes of lines, and drops the lines that it searched. LISTING_UNKNOWN
 * means that a line does not have its form.
 */
static enum listing find_in_lines(char *lines, size_t *used, const struct wanted *wanted)
{
	size_t length = strlen(wanted->name), start = 0;

	for (;;) {
		const char *line = lines + start;
		const char *end = memchr(line, '\n', *used - start);
		if (end == NULL)
			break;
		size_t size = (size_t)(end - line);
		struct field uid = {NULL, 0};
		if (wanted->is_line != NULL && !wanted->is_line(line, size, &uid))
			return LISTING_UNKNOWN;
		if (wanted->uid != NULL && is_mark(uid.at, uid.size, wanted->uid))
			return LISTING_MANAGED;
		if (size > length && line[length] == wanted->separator && memcmp(line, wanted->name, length) == 0) {
			if (wanted->reads != NULL)
				wanted->reads(line + length + 1, size - length - 1, wanted->to);
			return LISTING_MANAGED;
		}
		start += size + 1;
	}
	*used -= start;
	memmove(lines, lines + start, *used);
	return LISTING_ABSENT;
}

static enum listing find_in_buffer(int fd, const struct wanted *wanted, char lines[LINE_BUFFER])
{
	size_t used = 0;

	for (size_t total = 0; total <= MANAGED_MAX;) {
		if (used == LINE_BUFFER)
			break; /* no line that we look for is that long */
		ssize_t got = read(fd, lines + used, LINE_BUFFER - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return LISTING_UNKNOWN;
		if (got == 0 && used > 0 && wanted->is_line != NULL)
			break; /* the last line is not whole */
		if (got == 0)
			return LISTING_ABSENT;
		total += (size_t)got;
		used += (size_t)got;
		enum listing found = find_in_lines(lines, &used, wanted);
		if (found == LISTING_MANAGED)
			return found;
		if (found == LISTING_UNKNOWN)
			break;
	}
	errno = EINVAL;
	return LISTING_UNKNOWN;
}

/* Erases the buffer, so that no hash of shadow(5) stays on the host's stack. */
static enum listing find_in_file(int fd, const struct wanted *wanted)
{
	char lines[LINE_BUFFER];
	enum listing found = find_in_buffer(fd, wanted, lines);
	int why = errno;

	explicit_bzero(lines, sizeof lines);
	errno = why;
	return found;
}

static enum listing find(const char *path, const struct wanted *wanted)
{
	int fd = open_list(path, wanted->forbidden);
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
	const struct wanted wanted = {.name = name, .separator = '\t', .reads = read_listed, .to = listed};

	*listed = (struct listed){0};
	enum listing found = find(managed_path, &wanted);
	return found == LISTING_UNKNOWN && errno == ENOENT ? find(kept_path, &wanted) : found;
}

enum listing rundir_enrolled(const char *name, const char *uid)
{
	return find(enrolled_path, &(struct wanted){.name = name, .uid = uid, .separator = '\t', .is_line = is_enrolled_line, .forbidden = 022});
}

bool rundir_required(void)
{
	struct stat info;

	return lstat(required_path, &info) == 0 && is_roots_file(&info);
}

bool rundir_required_of_all(void)
{
	return find(required_path, &(struct wanted){.name = "everybody", .separator = '\t', .forbidden = 022}) == LISTING_MANAGED;
}

bool rundir_local(const char *name)
{
	return find(passwd_path, &(struct wanted){.name = name, .separator = ':'}) != LISTING_ABSENT;
}

void rundir_tag(const char *name, char tag[TAG_SIZE])
{
	tag[0] = '\0';
	find(shadow_path, &(struct wanted){.name = name, .separator = ':', .reads = read_tag, .to = tag});
}

bool rundir_has_program(void)
{
	struct stat info;

	return stat(program_path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 && (info.st_mode & 0111) != 0;
}

/*
 * The mark is the file's modification time, set to CLOCK_BOOTTIME. Nobody can make it last longer by setting a clock.
 * The file has no contents that could be half written, so RLIMIT_FSIZE, whose signal would kill the host, does not apply.
 * If a crash left the mark before its time was set, it has the time of the wall clock: that is in the future of any
 * boot, so the mark does not count.
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
