/*
 * Takes the place of pam_unix in a real stack: it "stores" or "checks" the token of $TOKEN, so that the next module finds
 * it in PAM_AUTHTOK, and then sets up the failures that $MISFORTUNE names. A second line with an argument follows the
 * module under test and lifts the limits again, because libpam itself fails if it cannot open its audit socket. So the
 * failures affect the module under test and nothing else. From the call numbered $WRONG on, the password is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <security/pam_modules.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* Makes symlinkat(2) fail with why from now on. */
static void refuse_links(unsigned int why)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_symlinkat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | why),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		abort();
}

/* Writes the text of $STORES to shadow, as a storing module writes shadow(5). */
static void store(void)
{
	const char *lines = getenv("STORES");
	FILE *file = lines ? fopen("shadow", "w") : NULL;

	if (lines && (!file || fputs(lines, file) < 0 || fclose(file) != 0))
		abort();
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
	if (strstr(misfortune, "onefile")) { /* one descriptor is left, and it is not a standard one */
		int next = fcntl(3, F_DUPFD, 3);
		close(next);
		limit(RLIMIT_NOFILE, (rlim_t)next + 1);
	}
	if (strstr(misfortune, "umask"))
		umask(0777);
	if (strstr(misfortune, "quota"))
		refuse_links(EDQUOT);
	if (strstr(misfortune, "eio"))
		refuse_links(EIO);
	if (strstr(misfortune, "as"))
		limit(RLIMIT_AS, 1 << 20);
}

static int act(pam_handle_t *pamh, int argc)
{
	const char *token = getenv("TOKEN"), *misfortune = getenv("MISFORTUNE"), *wrong = getenv("WRONG");
	static int calls;

	if (argc > 0) {
		lift();
		return PAM_SUCCESS;
	}
	if (wrong && ++calls >= atoi(wrong))
		return PAM_AUTH_ERR;
	if (token && pam_set_item(pamh, PAM_AUTHTOK, token) != PAM_SUCCESS)
		abort();
	store();
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

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	lift();
	return PAM_SUCCESS;
}
