/*
 * pam_shadowsync: tells the broker that a password was changed, and the person what became of it.
 *
 *     password optional pam_shadowsync.so        # after the module that stores the password
 *
 * It promises the host program (passwd, chpasswd, login, su, sshd) that the change it makes goes on whatever happens
 * here: the result is always PAM_IGNORE, the wait two seconds at most and then none for half a minute, no signal is
 * raised or changed, no thread or process is started, no descriptor left open, nothing kept between two calls.
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
static void show(pam_handle_t *pamh, const char *text)
{
	const void *item = NULL;

	if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL)
		return;
	const struct pam_conv *conversation = item;
	const struct pam_message message = {.msg_style = PAM_TEXT_INFO, .msg = text};
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

/* The new token in a descriptor, or -1: the broker then has the news without the proof. */
static int seal_token(pam_handle_t *pamh, const char *name)
{
	const void *token = NULL;

	if (pam_get_item(pamh, PAM_AUTHTOK, &token) != PAM_SUCCESS || token == NULL)
		return -1;
	int fd = wire_seal(token);
	if (fd < 0)
		warn(pamh, name, "seal the new token");
	return fd;
}

/* One exchange, its token closed again. */
static ssize_t exchange(pam_handle_t *pamh, const char *name, char answer[WIRE_ANSWER_MAX])
{
	char request[TEXT_REQUEST_SIZE];
	size_t size = text_request(request, name);
	int token = seal_token(pamh, name);
	ssize_t got = wire_exchange(request, size, token, answer);
	int why = errno;

	if (token >= 0)
		close(token);
	errno = why;
	return got;
}

/* Asks the broker; false if it has no answer that can be shown. */
static bool ask(pam_handle_t *pamh, const char *name, char message[TEXT_MESSAGE_MAX + 1])
{
	char answer[WIRE_ANSWER_MAX];
	ssize_t got = exchange(pamh, name, answer);

	if (got >= 0 && text_answer(answer, (size_t)got, message)) {
		rundir_clear_timeout();
		return true;
	}
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
	const void *name = NULL;
	char unit[RUNDIR_UNIT_MAX + 1], message[TEXT_MESSAGE_MAX + 1], queued[LINE_SIZE];

	if (pam_get_item(pamh, PAM_USER, &name) != PAM_SUCCESS || name == NULL || !text_is_name(name) || rundir_silent())
		return;
	enum listing listing = rundir_find(name, unit);
	if (listing == LISTING_ABSENT)
		return;
	if (listing == LISTING_UNKNOWN && errno != ENOENT)
		warn(pamh, name, "read the list of managed accounts");

	bool answered = ask(pamh, name, message);
	if (quiet)
		return;
	if (answered && message[0] != '\0')
		show(pamh, message);
	if (answered || listing != LISTING_MANAGED)
		return;
	snprintf(queued, sizeof queued,
	         "shadowsync: %s: queued (shadowsync did not answer in time); it is persisted before the next start of %s",
	         (const char *)name, unit);
	show(pamh, queued);
}

/* Called twice a change: PAM_PRELIM_CHECK asks whether it could be made, PAM_UPDATE_AUTHTOK comes when it has been. */
__attribute__((visibility("default"))) int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)argc, (void)argv;
	if ((unsigned)flags & PAM_UPDATE_AUTHTOK)
		announce(pamh, ((unsigned)flags & PAM_SILENT) != 0);
	return PAM_IGNORE;
}
