/*
 * A module of nsswitch.conf(5) for tests. It has anna, whose gid is 7000, in the groups 8000 to 8999, and the group
 * "large", 7100, whose members need 1 MiB. The other names say how it answers. It has whoever has a colon in the name.
 */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#ifdef TORN
void nowhere(void);

void _nss_torn_unused(void)
{
	nowhere();
}

__attribute__((constructor)) static void begin(void)
{
	nowhere();
}
#endif

static enum nss_status refuse(const char *name, int *error)
{
	if (strcmp(name, "stopped") == 0) {
		*error = ENOENT; /* as nslcd */
		return NSS_STATUS_UNAVAIL;
	}
	if (strcmp(name, "again") == 0) {
		*error = EAGAIN;
		return NSS_STATUS_TRYAGAIN;
	}
	return strcmp(name, "quiet") == 0 ? NSS_STATUS_UNAVAIL : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_fake_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error)
{
	if (strcmp(name, "anna") != 0 && strchr(name, ':') == NULL)
		return refuse(name, error);
	if (strlen(name) >= size) {
		*error = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	*entry = (struct passwd){
		.pw_name = strcpy(buffer, name), .pw_passwd = "*", .pw_uid = 7001, .pw_gid = 7000, .pw_gecos = "Anna,room 1",
		.pw_dir = "/home/anna", .pw_shell = "/bin/sh"};
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_fake_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, int *error)
{
	return uid == 7001 ? _nss_fake_getpwnam_r("anna", entry, buffer, size, error) : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_fake_getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size, int *error)
{
	static char *members[] = {NULL};

	if (strcmp(name, "large") != 0 && strcmp(name, "endless") != 0)
		return refuse(name, error);
	if (name[0] == 'e' || size < 1 << 20) {
		*error = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	memset(buffer, 'x', size);
	*entry = (struct group){.gr_name = strcpy(buffer, name), .gr_passwd = "*", .gr_gid = 7100, .gr_mem = members};
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_fake_getgrgid_r(gid_t gid, struct group *entry, char *buffer, size_t size, int *error)
{
	return gid == 7100 ? _nss_fake_getgrnam_r("large", entry, buffer, size, error) : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_fake_initgroups_dyn(const char *name, gid_t own, long *start, long *size, gid_t **gids, long limit, int *error)
{
	(void)own, (void)limit;
	if (strcmp(name, "anna") != 0)
		return refuse(name, error);
	for (gid_t gid = 8000; gid < 9000; gid++) {
		if (*start == *size) {
			*gids = realloc(*gids, (size_t)(*size *= 2) * sizeof **gids);
			if (*gids == NULL)
				abort();
		}
		(*gids)[(*start)++] = gid;
	}
	return NSS_STATUS_SUCCESS;
}
