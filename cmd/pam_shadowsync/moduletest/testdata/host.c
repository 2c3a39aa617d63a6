/*
 * A host program like passwd: it runs pam_chauthtok on a private stack and reports on descriptor 3. Without an option it
 * acts as passwd run by root. Each prompt gets the next line of $ANSWER, the last one also the further prompts. Options make it a passwd that a "person" runs (setuid), a login with an "expired" password,
 * a "login" that authenticates, or a program that does not run as root at all ("locker"), or an "ssh" that also asks
 * whether the account may log in: after a "key", too, or after that "alone". It answers each prompt with the next part of
 * $ANSWER, which '|' separates, and further ones with the last.
 *
 * "unseen=NAME" makes the system's look-ups of passwd(5) fail for a name, or a uid, as if a directory did not answer;
 * "unseen-once=NAME" only the first one.
 *
 *     host CONFDIR STACK USER CALLS [silent] [noconv] [failconv] [respond] [timer] [slow] [person] [expired] [login]
 *          [locker] [ssh] [key] [alone] [unseen=NAME] [unseen-once=NAME]
 *
 * Lines: "conv STYLE TEXT" for each line of a message, then "result R" and "ms M" of the slowest call, "total M" of all,
 * "descriptors BEFORE AFTER". It aborts if a signal disposition has changed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static bool failing, responding, slow, person, login, locker, ssh, key, alone;

/* Replaces libc's for the module too, so that a peer can close between the module's connect and its send. */
int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	int result = (int)syscall(SYS_connect, fd, address, size);

	if (slow)
		usleep(100000);
	return result;
}

static const char *unseen = "";
static int unseen_left;

static bool is_unseen(const char *name)
{
	return strcmp(name, unseen) == 0 && unseen_left > 0 && unseen_left-- > 0;
}

/* These two replace libc's for libpam and the module. */
int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
	int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwnam_r");

	*found = NULL;
	return is_unseen(name) ? ENOENT : real(name, entry, buffer, size, found); /* as nslcd has it */
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
	int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwuid_r");
	char digits[16];

	snprintf(digits, sizeof digits, "%lu", (unsigned long)uid);
	*found = NULL;
	return is_unseen(digits) ? ENOENT : real(uid, entry, buffer, size, found);
}

static char *next_answer(void)
{
	static const char *at;
	size_t size = strcspn(at == NULL ? at = getenv("ANSWER") : at, "|");
	char *answer = strndup(at, size);

	at += at[size] == '|' ? size + 1 : 0;
	return answer;
}

static void report_lines(int style, const char *text)
{
	for (;;) {
		int length = (int)strcspn(text, "\n");

		dprintf(3, "conv %d %.*s\n", style, length, text);
		if (text[length] == '\0')
			return;
		text += length + 1;
	}
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
	(void)data;
	for (int i = 0; i < count; i++)
		report_lines(messages[i]->msg_style, messages[i]->msg);
	if (failing)
		return PAM_CONV_ERR;
	*responses = NULL;
	if (messages[0]->msg_style == PAM_PROMPT_ECHO_OFF && getenv("ANSWER") != NULL) {
		*responses = calloc((size_t)count, sizeof **responses);
		(*responses)[0].resp = next_answer();
	} else if (responding) {
		*responses = calloc((size_t)count, sizeof **responses);
		(*responses)[0].resp = strdup("unasked");
	}
	return PAM_SUCCESS;
}

static int descriptors(void)
{
	int open = 0;

	for (int fd = 3; fd < 256; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	return open;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tick(int number)
{
	(void)number;
}

static void start_timer(void)
{
	struct sigaction action = {.sa_handler = tick}; /* no SA_RESTART: every call may end with EINTR */
	struct itimerval every = {{0, 3000}, {0, 3000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void check_signals(void)
{
	struct sigaction action;

	for (int number = 1; number < 32; number++)
		if (number != SIGALRM && sigaction(number, NULL, &action) == 0 && number != SIGSEGV && number != SIGBUS &&
		    number != SIGFPE && action.sa_handler != SIG_DFL)
			abort();
}

static void become(void)
{
	if ((person && setresuid(65534, 0, 0) != 0) || (locker && setresuid(65534, 65534, 65534) != 0))
		abort();
}

static void no_delay(int result, unsigned delay_us, void *data)
{
	(void)result, (void)delay_us, (void)data;
}

/* As sshd does it: a key alone is not authenticated by PAM. */
static int admit(pam_handle_t *pamh, int flags)
{
	int result = pam_set_item(pamh, PAM_RHOST, "2001:db8::1");

	if (result == PAM_SUCCESS)
		result = pam_set_item(pamh, PAM_TTY, "s\"s\\h");
	if (result == PAM_SUCCESS)
		result = pam_set_item(pamh, PAM_FAIL_DELAY, (void *)no_delay);
	if (result == PAM_SUCCESS)
		result = pam_putenv(pamh, key || alone ? "SSH_AUTH_INFO_0=hostbased x\npublickey ssh-ed25519 AAAA\n" : "SSH_AUTH_INFO_0=");
	if (result == PAM_SUCCESS && !alone)
		result = pam_authenticate(pamh, flags);
	return result == PAM_SUCCESS ? pam_acct_mgmt(pamh, flags) : result;
}

static int act(pam_handle_t *pamh, int flags)
{
	if (ssh)
		return admit(pamh, flags);
	if (!login)
		return pam_chauthtok(pamh, flags);
	int result = pam_authenticate(pamh, flags);
	return result == PAM_SUCCESS ? pam_setcred(pamh, flags | (int)PAM_ESTABLISH_CRED) : result;
}

int main(int argc, char **argv)
{
	struct pam_conv conversation = {converse, NULL};
	pam_handle_t *pamh = NULL;
	int flags = 0, result = 0, before = descriptors();
	long slowest = 0, start = now_ms();

	for (int i = 5; i < argc; i++) {
		flags |= strcmp(argv[i], "silent") == 0 ? (int)PAM_SILENT : 0;
		flags |= strcmp(argv[i], "expired") == 0 ? (int)PAM_CHANGE_EXPIRED_AUTHTOK : 0;
		person |= strcmp(argv[i], "person") == 0;
		locker |= strcmp(argv[i], "locker") == 0;
		login |= strcmp(argv[i], "login") == 0;
		ssh |= strcmp(argv[i], "ssh") == 0;
		key |= strcmp(argv[i], "key") == 0;
		alone |= strcmp(argv[i], "alone") == 0;
		failing |= strcmp(argv[i], "failconv") == 0;
		slow |= strcmp(argv[i], "slow") == 0;
		responding |= strcmp(argv[i], "respond") == 0;
		if (strncmp(argv[i], "unseen", 6) == 0) {
			unseen = strchr(argv[i], '=') + 1;
			unseen_left = argv[i][6] == '=' ? 1000 : 1;
		}
		if (strcmp(argv[i], "noconv") == 0)
			conversation.conv = NULL;
		if (strcmp(argv[i], "timer") == 0)
			start_timer();
	}
	if (pam_start_confdir(argv[2], argv[3], &conversation, argv[1], &pamh) != PAM_SUCCESS)
		return 97;
	become();
	for (int calls = atoi(argv[4]); calls > 0; calls--) {
		long from = now_ms();
		result = act(pamh, flags);
		long took = now_ms() - from;
		slowest = took > slowest ? took : slowest;
	}
	pam_end(pamh, result);
	check_signals();
	dprintf(3, "result %d\nms %ld\ntotal %ld\ndescriptors %d %d\n", result, slowest, now_ms() - start, before, descriptors());
	return 0;
}
