/*
 * Stands where pam_unix stands in a real stack: "stores" or "checks" the token of $TOKEN, so that the next module finds
 * it in PAM_AUTHTOK, then brings about what $MISFORTUNE names. With an argument it stands after the module under test and
 * lifts the limits again, for libpam itself fails where it cannot open its audit socket. So the module meets the
 * misfortune, and nothing before or after it does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void limit(__rlimit_resource_t what, rlim_t to)
{
	struct rlimit now;

	getrlimit(what, &now);
	now.rlim_cur = to < now.rlim_max ? to : now.rlim_max;
	if (setrlimit(what, &now) != 0)
		abort();
}

static void lift(void)
{
	limit(RLIMIT_NOFILE, RLIM_INFINITY);
	limit(RLIMIT_FSIZE, RLIM_INFINITY);
	limit(RLIMIT_AS, RLIM_INFINITY);
}

static void befall(const char *misfortune)
{
	if (strstr(misfortune, "std"))
		for (int fd = 0; fd <= 2; fd++)
			close(fd);
	if (strstr(misfortune, "nofile"))
		limit(RLIMIT_NOFILE, 3);
	if (strstr(misfortune, "fsize"))
		limit(RLIMIT_FSIZE, 0);
	if (strstr(misfortune, "as"))
		limit(RLIMIT_AS, 1 << 20);
}

static int act(pam_handle_t *pamh, int argc)
{
	const char *token = getenv("TOKEN"), *misfortune = getenv("MISFORTUNE");

	if (argc > 0) {
		lift();
		return PAM_SUCCESS;
	}
	if (token && pam_set_item(pamh, PAM_AUTHTOK, token) != PAM_SUCCESS)
		abort();
	if (misfortune)
		befall(misfortune);
	return PAM_SUCCESS;
}

int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)argv;
	return flags & (int)PAM_UPDATE_AUTHTOK ? act(pamh, argc) : PAM_SUCCESS;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags, (void)argv;
	return act(pamh, argc);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}
