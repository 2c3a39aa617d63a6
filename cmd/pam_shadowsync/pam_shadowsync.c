/*
 * pam_shadowsync: tells the broker of passwords that people set or prove, and the people what became of it.
 *
 *     password optional pam_shadowsync.so                                    # after the module that stores the password
 *     password [authtok_err=die default=ignore] pam_shadowsync.so judge      # before it
 *     auth     optional pam_shadowsync.so                                    # after the modules that check the password
 *
 * The first announces a change. The second has a new password judged by the configuration's rules, and asks for it
 * where no module before it did. The third hands over what a login proved, for a store that waits for a clear text.
 *
 * It promises the host program (passwd, chpasswd, login, su, sshd) that what it does goes on whatever happens here:
 * the result is PAM_IGNORE, but for a new password that the broker itself refuses, the wait two seconds at most and
 * then none for half a minute, no signal is raised or changed, no thread or process is started, no descriptor left
 * open, nothing kept between two calls but how long the first one waited.
 *
 * text.c reads and writes the texts, rundir.c knows who is managed, wire.c speaks with the broker.
 */
#include "rundir.h"
#include "text.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syslog.h>
#include <unistd.h>

enum { LINE_SIZE = TEXT_NAME_MAX + RUNDIR_UNIT_MAX + 128 };

/* Shows text through the conversation, which may be missing (cron jobs, daemons) or fail: nothing depends on it. */
static void show(pam_handle_t *pamh, int style, const char *text)
{
	const void *item = NULL;

	if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL)
		return;
	const struct pam_conv *conversation = item;
	const struct pam_message message = {.msg_style = style, .msg = text};
	const struct pam_message *messages = &message;
	struct pam_response *response = NULL;

	if (conversation->conv == NULL ||
	    conversation->conv(1, &messages, &response, conversation->appdata_ptr) != PAM_SUCCESS || response == NULL)
		return;
	free(response->resp); /* pam_conv(3): the caller frees both */
	free(response);
}

/*
 * Logs a fault with errno's text. Not for a host that closed a standard descriptor: syslog(3) would open its socket
 * there and keep it, and the host would print into it.
 */
static void warn(pam_handle_t *pamh, const char *name, const char *what)
{
	int why = errno;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return;
	errno = why;
	pam_syslog(pamh, LOG_WARNING, "account %s: cannot %s: %m", name, what);
}

/* The account that the host works on, or NULL if it has none with a name that can be sent. */
static const char *account_of(pam_handle_t *pamh)
{
	const void *name = NULL;

	if (pam_get_item(pamh, PAM_USER, &name) != PAM_SUCCESS || name == NULL || !text_is_name(name))
		return NULL;
	return name;
}

/*
 * How long the judgement of this change has waited, in milliseconds, for it and the announcement have two seconds
 * together. WIRE_JUDGE_MS: in vain. A change that was not judged has waited for nothing.
 */
static const char waited_key[] = "shadowsync-waited";

static int waited(pam_handle_t *pamh)
{
	const void *ms = NULL;

	return pam_get_data(pamh, waited_key, &ms) == PAM_SUCCESS ? (int)(intptr_t)ms : 0;
}

static void set_waited(pam_handle_t *pamh, int64_t ms)
{
	pam_set_data(pamh, waited_key, (void *)(intptr_t)(ms < WIRE_JUDGE_MS ? ms : WIRE_JUDGE_MS), NULL);
}

/* The token in a descriptor, or -1: the broker then has the news without the proof. */
static int seal_token(pam_handle_t *pamh, const char *name)
{
	const void *token = NULL;

	if (pam_get_item(pamh, PAM_AUTHTOK, &token) != PAM_SUCCESS || token == NULL)
		return -1;
	int fd = wire_seal(token);
	if (fd < 0)
		warn(pamh, name, "seal the token");
	return fd;
}

/* One exchange, its token closed again. */
static ssize_t exchange(pam_handle_t *pamh, const char *op, const char *name, char answer[WIRE_ANSWER_MAX], int wait_ms)
{
	char request[TEXT_REQUEST_SIZE];
	size_t size = text_request(request, op, name);
	int token = seal_token(pamh, name);
	ssize_t got = wire_exchange(request, size, token, answer, wait_ms);
	int why = errno;

	if (token >= 0)
		close(token);
	errno = why;
	return got;
}

/* Asks the broker; false, and a time-out marked, if it has no answer that can be shown. */
static bool ask(pam_handle_t *pamh, const char *op, const char *name, char message[TEXT_MESSAGE_MAX + 1], int wait_ms)
{
	char answer[WIRE_ANSWER_MAX];
	ssize_t got = exchange(pamh, op, name, answer, wait_ms);

	if (got >= 0 && text_answer(answer, (size_t)got, message))
		return true;
	if (got >= 0)
		errno = EBADMSG;
	bool timed_out = errno == ETIMEDOUT;
	if (errno != ENOENT && errno != ECONNREFUSED) /* nobody listening is said to the person alone */
		warn(pamh, name, "get an answer from shadowsync");
	if (timed_out && !rundir_mark_timeout())
		warn(pamh, name, "mark the time-out");
	return false;
}

static void announce(pam_handle_t *pamh, bool quiet)
{
	const char *name = account_of(pamh);
	struct listed listed;
	char message[TEXT_MESSAGE_MAX + 1], queued[LINE_SIZE];
	int before = waited(pamh);
	bool late = before == WIRE_JUDGE_MS; /* the mark is this change's own, and what is left of its time still counts */

	if (before > 0)
		set_waited(pamh, 0);
	if (name == NULL || (!late && rundir_silent()))
		return;
	enum listing listing = rundir_find(name, &listed);
	if (listing == LISTING_ABSENT)
		return;
	if (listing == LISTING_UNKNOWN && errno != ENOENT)
		warn(pamh, name, "read the list of managed accounts");

	bool answered = ask(pamh, "pam-changed", name, message, WIRE_DEADLINE_MS - before);
	if (answered && !late) /* or a thousand changes would wait in vain for a judgement each */
		rundir_clear_timeout();
	if (quiet)
		return;
	if (answered && message[0] != '\0')
		show(pamh, PAM_TEXT_INFO, message);
	if (answered || listing != LISTING_MANAGED || !rundir_local(name))
		return;
	snprintf(queued, sizeof queued,
	         "shadowsync: %s: queued (shadowsync did not answer in time); it is persisted before the next start of %s",
	         name, listed.unit);
	show(pamh, PAM_TEXT_INFO, queued);
}

/*
 * Has the new password judged. What pam_pwquality does for root and for an expired password is done here too: root is
 * told, and not refused, but who must set a new password at login is, though the host is root then.
 */
static int judge(pam_handle_t *pamh, unsigned flags)
{
	const char *name = account_of(pamh), *token = NULL;
	struct listed listed;
	char message[TEXT_MESSAGE_MAX + 1];

	if (waited(pamh) > 0) /* of a change that went no further */
		set_waited(pamh, 0);
	/* A storing module behind us may take only what was asked for before it, and says so if there is none. */
	if (pam_get_authtok(pamh, PAM_AUTHTOK, &token, NULL) != PAM_SUCCESS || token == NULL)
		return PAM_IGNORE;
	if (name == NULL || rundir_silent() || rundir_find(name, &listed) != LISTING_MANAGED || !listed.judged)
		return PAM_IGNORE;

	bool exempt = getuid() == 0 && (flags & PAM_CHANGE_EXPIRED_AUTHTOK) == 0;
	int64_t start = wire_now_ms();
	bool answered = ask(pamh, exempt ? "judge-exempt" : "judge", name, message, WIRE_JUDGE_MS);
	set_waited(pamh, wire_now_ms() - start);
	if (!answered || message[0] == '\0')
		return PAM_IGNORE;
	bool refused = text_refuses(message);
	if ((flags & PAM_SILENT) == 0)
		show(pamh, refused ? PAM_ERROR_MSG : PAM_TEXT_INFO, message);
	return refused ? PAM_AUTHTOK_ERR : PAM_IGNORE;
}

/* Called twice a change: PAM_PRELIM_CHECK asks whether it could be made, PAM_UPDATE_AUTHTOK has it made. */
__attribute__((visibility("default"))) int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	if (((unsigned)flags & PAM_UPDATE_AUTHTOK) == 0)
		return PAM_IGNORE;
	if (argc > 0 && strcmp(argv[0], "judge") == 0)
		return judge(pamh, (unsigned)flags);
	announce(pamh, ((unsigned)flags & PAM_SILENT) != 0);
	return PAM_IGNORE;
}

/*
 * Hands over the password that a login has proven, where the store waits for it. Of a host that is not root (a screen
 * locker) nothing is heard: the socket is root's.
 */
__attribute__((visibility("default"))) int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc,
                                                               const char **argv)
{
	const char *name = geteuid() == 0 ? account_of(pamh) : NULL;
	const void *token = NULL;
	struct listed listed;
	char message[TEXT_MESSAGE_MAX + 1];

	(void)flags, (void)argc, (void)argv;
	if (name == NULL || rundir_silent() || rundir_find(name, &listed) != LISTING_MANAGED || !listed.awaited)
		return PAM_IGNORE;
	if (pam_get_item(pamh, PAM_AUTHTOK, &token) == PAM_SUCCESS && token != NULL)
		ask(pamh, "pam-authenticated", name, message, WIRE_LOGIN_MS);
	return PAM_IGNORE;
}

/* libpam calls it wherever it called the one above; there are no credentials of ours. */
__attribute__((visibility("default"))) int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_IGNORE;
}
