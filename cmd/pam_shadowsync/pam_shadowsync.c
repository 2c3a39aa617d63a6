/*
 * pam_shadowsync tells the broker about passwords that people set or prove, and tells the people what became of them.
 *
 *     password optional pam_shadowsync.so                                    # after the module that stores the password
 *     password [authtok_err=die default=ignore] pam_shadowsync.so judge      # before it
 *     auth     optional pam_shadowsync.so                                    # after the modules that check the password
 *
 * The first line announces a change. The second asks the broker to judge a new password by the configuration's rules,
 * and prompts for the password if no module before it did. The third hands over the password that a login proved, if the
 * store waits for a clear text, and marks that a password was proven. The lines with the word "factor" ask for second
 * factors, in the services that the configuration names: factor.h.
 *
 * Whatever happens here, the host program (passwd, chpasswd, login, su, sshd) goes on with its work:
 *
 *   - the result is PAM_IGNORE, except for a new password that the broker itself refuses, and of the factor lines, which
 *     deny what they cannot check;
 *   - the module waits two seconds at most, and after a time-out it does not wait for half a minute;
 *   - it raises no signal, changes no handler, starts no thread or process, and leaves no descriptor open;
 *   - between two calls it keeps only how long the first one waited, the tag of the old password field, and which factors
 *     were shown.
 *
 * It says "queued" only if the broker, or a note that this module left, holds the change durably.
 *
 * text.c reads and writes the texts, rundir.c looks up managed accounts, wire.c talks to the broker, note.c leaves a note
 * if the broker does not take a change, factor.c asks for second factors, host.c talks to the host program.
 */
#define _GNU_SOURCE
#include "factor.h"
#include "host.h"
#include "note.h"
#include "rundir.h"
#include "tag.h"
#include "text.h"
#include "wire.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE = TEXT_NAME_MAX + RUNDIR_UNIT_MAX + 128 };

/*
 * How long the judgement of this change has waited, in milliseconds: it and the announcement share two seconds.
 * WIRE_JUDGE_MS means that there was no answer in time; 0, that the change was not judged.
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

/* The token in a descriptor, or -1: the broker then learns of the change without a password that proves it. */
static int seal_token(pam_handle_t *pamh, const char *name)
{
	const void *token = NULL;

	if (pam_get_item(pamh, PAM_AUTHTOK, &token) != PAM_SUCCESS || token == NULL)
		return -1;
	int fd = wire_seal(token);
	if (fd < 0)
		host_warn(pamh, name, "seal the token");
	return fd;
}

/* One exchange with the broker. It closes the token. */
static ssize_t exchange(pam_handle_t *pamh, const char *op, const char *name, char answer[WIRE_ANSWER_MAX], int wait_ms)
{
	char request[TEXT_REQUEST_SIZE];
	size_t size = text_request(request, op, name);
	int token = seal_token(pamh, name);
	ssize_t got = wire_exchange(WIRE_ROOT, request, size, token, answer, wait_ms);
	int why = errno;

	if (token >= 0)
		close(token);
	errno = why;
	return got;
}

/* Asks the broker. False if no valid answer came; if it did not come in time, a time-out is marked. */
static bool ask(pam_handle_t *pamh, const char *op, const char *name, struct text_answer *answer, int wait_ms)
{
	char packet[WIRE_ANSWER_MAX];
	ssize_t got = exchange(pamh, op, name, packet, wait_ms);

	if (got >= 0 && text_answer(packet, (size_t)got, answer))
		return true;
	if (got >= 0)
		errno = EBADMSG;
	bool timed_out = errno == ETIMEDOUT;
	if (errno != ENOENT && errno != ECONNREFUSED) /* if nobody listens, only the person is told */
		host_warn(pamh, name, "get an answer from shadowsync");
	if (timed_out && !rundir_mark_timeout())
		host_warn(pamh, name, "mark the time-out");
	return false;
}

/*
 * The tag of the password field before the change, taken in the phase in which nothing is stored yet. It is empty if the
 * field could not be read; the note then says only that there was a change.
 */
static const char before_key[] = "shadowsync-before";

static void forget_tag(pam_handle_t *pamh, void *tag, int status)
{
	(void)pamh, (void)status;
	free(tag);
}

static void remember_tag(pam_handle_t *pamh)
{
	const char *name = host_account(pamh);
	struct listed listed;
	char *tag;

	if (name == NULL || rundir_find(name, &listed) == LISTING_ABSENT || (tag = calloc(1, TAG_SIZE)) == NULL)
		return;
	rundir_tag(name, tag);
	if (pam_set_data(pamh, before_key, tag, forget_tag) != PAM_SUCCESS)
		free(tag);
}

static const char *remembered_tag(pam_handle_t *pamh)
{
	const void *tag = NULL;

	return pam_get_data(pamh, before_key, &tag) == PAM_SUCCESS && tag != NULL ? tag : "";
}

/* Says that nothing holds the change, why, and what helps. */
static void show_unrecorded(pam_handle_t *pamh, const char *name, const char *unit, const char *why, const char *help)
{
	char line[LINE_SIZE];

	snprintf(line, sizeof line, "shadowsync: %s: NOT recorded (%s): a restart of %s loses it", name, why, unit);
	host_show(pamh, PAM_TEXT_INFO, line);
	snprintf(line, sizeof line, "hint: %s shadowsync sync %s", help, name);
	host_show(pamh, PAM_TEXT_INFO, line);
}

/* The same if no note could be left; why is the errno of that. */
static void show_no_note(pam_handle_t *pamh, const char *name, const char *unit, int why)
{
	char reason[96];
	const char *help = note_obstacle(why, reason, sizeof reason);

	show_unrecorded(pamh, name, unit, reason, help);
}

/* What the person may be told about a change that the broker did not take. */
struct audience {
	bool quiet;       /* the host wants no text */
	bool silent;      /* a time-out was reported less than half a minute ago: only failures are reported */
	const char *unit; /* of the application; empty: the account is not known to be managed, and nothing is said */
	const char *said; /* the broker's text about a change that needs a note; empty: say that the change is queued */
};

/* Leaves a note about a change that the broker did not take, and tells the person what becomes of the change. */
static void leave_note(pam_handle_t *pamh, const char *name, const struct audience *to)
{
	char queued[LINE_SIZE];
	bool held = note_leave(name, remembered_tag(pamh), to->unit[0] != '\0');
	int why = errno;

	if (to->quiet || to->unit[0] == '\0')
		return;
	if (!held) {
		show_no_note(pamh, name, to->unit, why);
	} else if (!rundir_has_program()) {
		show_unrecorded(pamh, name, to->unit, SHADOWSYNC_PROGRAM " is missing", "install shadowsync again, then run:");
	} else if (to->said[0] != '\0') {
		host_show(pamh, PAM_TEXT_INFO, to->said);
	} else if (!to->silent) {
		snprintf(queued, sizeof queued,
		         "shadowsync: %s: queued (shadowsync did not answer in time); it is persisted before the next start of %s",
		         name, to->unit);
		host_show(pamh, PAM_TEXT_INFO, queued);
	}
}

static void announce(pam_handle_t *pamh, bool quiet)
{
	const char *name = host_account(pamh);
	struct listed listed;
	struct text_answer answer;
	int before = waited(pamh);
	bool late = before == WIRE_JUDGE_MS; /* this change set the mark itself, and may still use the rest of its time */

	if (before > 0)
		set_waited(pamh, 0);
	if (name == NULL)
		return;
	bool silent = !late && rundir_silent();
	enum listing listing = rundir_find(name, &listed);
	if (listing == LISTING_ABSENT)
		return;
	if (listing == LISTING_UNKNOWN && errno != ENOENT)
		host_warn(pamh, name, "read the list of managed accounts");

	bool answered = !silent && ask(pamh, "pam-changed", name, &answer, WIRE_DEADLINE_MS - before);
	if (answered && !late) /* otherwise each of a thousand changes would wait for a judgement again */
		rundir_clear_timeout();
	if (answered && answer.kind != TEXT_NOTES) {
		if (!quiet && answer.text[0] != '\0')
			host_show(pamh, PAM_TEXT_INFO, answer.text);
		return;
	}
	if (rundir_local(name))
		leave_note(pamh, name, &(struct audience){quiet, silent, listed.unit, answered ? answer.text : ""});
}

/*
 * Asks the broker to judge the new password. As with pam_pwquality, root is told about a bad password and may set it. A
 * person who must set a new password at login is refused, although the host runs as root then.
 */
static int judge(pam_handle_t *pamh, unsigned flags)
{
	const char *name = host_account(pamh), *token = NULL;
	struct listed listed;
	struct text_answer answer;

	if (waited(pamh) > 0) /* left by an earlier change that was not made */
		set_waited(pamh, 0);
	/* The storing module after us may accept only a password that was asked for before it; it reports a missing one. */
	if (pam_get_authtok(pamh, PAM_AUTHTOK, &token, NULL) != PAM_SUCCESS || token == NULL)
		return PAM_IGNORE;
	if (name == NULL || rundir_silent() || rundir_find(name, &listed) != LISTING_MANAGED || !listed.judged)
		return PAM_IGNORE;

	bool exempt = getuid() == 0 && (flags & PAM_CHANGE_EXPIRED_AUTHTOK) == 0;
	int64_t start = wire_now_ms();
	bool answered = ask(pamh, exempt ? "judge-exempt" : "judge", name, &answer, WIRE_JUDGE_MS);
	set_waited(pamh, wire_now_ms() - start);
	if (!answered || answer.kind == TEXT_NOTES || answer.text[0] == '\0')
		return PAM_IGNORE;
	bool refused = answer.kind == TEXT_REFUSES;
	if ((flags & PAM_SILENT) == 0)
		host_show(pamh, refused ? PAM_ERROR_MSG : PAM_TEXT_INFO, answer.text);
	return refused ? PAM_AUTHTOK_ERR : PAM_IGNORE;
}

static bool has(int argc, const char **argv, int at, const char *word)
{
	return argc > at && strcmp(argv[at], word) == 0;
}

/* libpam calls it twice per change: PAM_PRELIM_CHECK asks whether it can be made, PAM_UPDATE_AUTHTOK makes it. */
__attribute__((visibility("default"))) int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	bool judges = has(argc, argv, 0, "judge"), updates = ((unsigned)flags & PAM_UPDATE_AUTHTOK) != 0;

	if (judges)
		return updates ? judge(pamh, (unsigned)flags) : PAM_IGNORE;
	if (!updates) {
		remember_tag(pamh);
		return PAM_IGNORE;
	}
	announce(pamh, ((unsigned)flags & PAM_SILENT) != 0);
	return PAM_IGNORE;
}

/*
 * Hands over the password that a login proved, if the store waits for it. A host that does not run as root (a screen
 * locker) cannot hand over anything, because only root may use the socket.
 */
static void hand_over(pam_handle_t *pamh)
{
	const char *name = geteuid() == 0 ? host_account(pamh) : NULL;
	const void *token = NULL;
	struct listed listed;
	struct text_answer answer;

	if (name == NULL || rundir_silent() || rundir_find(name, &listed) != LISTING_MANAGED || !listed.awaited)
		return;
	if (pam_get_item(pamh, PAM_AUTHTOK, &token) == PAM_SUCCESS && token != NULL)
		ask(pamh, "pam-authenticated", name, &answer, WIRE_LOGIN_MS);
}

__attribute__((visibility("default"))) int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc,
                                                               const char **argv)
{
	if (has(argc, argv, 0, "factor"))
		return has(argc, argv, 1, "key") ? factor_key(pamh) : factor_code(pamh, (unsigned)flags);
	factor_proven(pamh);
	hand_over(pamh);
	return PAM_IGNORE;
}

__attribute__((visibility("default"))) int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return has(argc, argv, 0, "factor") ? factor_account(pamh, (unsigned)flags) : PAM_IGNORE;
}

/* libpam calls it for each stack in which it called pam_sm_authenticate. The module has no credentials to set. */
__attribute__((visibility("default"))) int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_IGNORE;
}
