#define _GNU_SOURCE
#include "factor.h"

#include "host.h"
#include "mark.h"
#include "person.h"
#include "rundir.h"
#include "text.h"
#include "wire.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syslog.h>
#include <unistd.h>

enum {
	FAIL_DELAY_US = 2000000,  /* as pam_unix(8) */
	ROUNDS_MAX = 8,           /* questions in a login: 'lost', the mailed code, the app's first one, and mistakes */
	CONVERSATION_MS = 300000, /* after which nothing more is asked: sshd and login(1) end sooner by default */
};

static const char prompt[] = "Verification code:";
static const char cannot_tell[] = "second factors cannot be checked now";

static const char password_mark[] = "shadowsync-password";
static const char key_mark[] = "shadowsync-key";
static const char code_mark[] = "shadowsync-code";

void factor_proven(pam_handle_t *pamh)
{
	mark_set(pamh, password_mark);
}

static const char *item(pam_handle_t *pamh, int type)
{
	const void *text = NULL;

	return pam_get_item(pamh, type, &text) == PAM_SUCCESS ? text : NULL;
}

/* An answer of the broker's. It may hold a setup key or recovery codes: whoever has one wipes it. */
struct reply {
	char packet[WIRE_ANSWER_MAX];
	struct text_verdict verdict; /* in the packet */
};

/* Asks the broker about a login of who->as. False if no valid answer came in wait_ms. It closes the code. */
static bool ask(pam_handle_t *pamh, const char *op, const struct person *who, int code, int64_t wait_ms, struct reply *reply)
{
	const char *name = who->as;
	char request[TEXT_LOGIN_SIZE];
	struct text_login login = {
		.user = name, .uid = person_uid(who), .service = item(pamh, PAM_SERVICE), .host = item(pamh, PAM_RHOST), .tty = item(pamh, PAM_TTY),
		.lines = host_shows_lines(pamh)};
	ssize_t got = -1;

	if (text_is_name(name))
		got = wire_exchange(WIRE_FACTOR, request, text_login_request(request, op, &login), code, reply->packet,
		                    wait_ms > 0 ? (int)wait_ms : 0);
	else
		errno = EINVAL;
	int why = errno;
	if (code >= 0)
		close(code);
	if (got >= 0 && text_verdict(reply->packet, (size_t)got, &reply->verdict))
		return true;
	errno = got >= 0 ? EBADMSG : why;
	host_warn(pamh, text_is_name(name) ? name : "?", "get an answer about the second factor from shadowsync");
	return false;
}

/*
 * What a login of this person needs; the verdict is TEXT_FREE, TEXT_ASKS or TEXT_REFUSES. False if nobody can tell. None of
 * the person's names may need a code, and all must be known.
 */
static bool need_of(pam_handle_t *pamh, struct person *who, struct reply *reply)
{
	int64_t end = wire_now_ms() + WIRE_FACTOR_MS;

	reply->verdict.kind = TEXT_FREE;
	for (size_t i = 0; i < who->count && reply->verdict.kind == TEXT_FREE; i++) {
		who->as = who->names[i];
		if (!ask(pamh, "factor-need", who, -1, end - wire_now_ms(), reply))
			return false;
	}
	if (who->unseen && reply->verdict.kind == TEXT_FREE) {
		host_log(pamh, LOG_NOTICE, person_shown(who), "a second factor cannot be looked for: the system does not tell whose name this is (a service of nsswitch.conf does not answer)");
		return false;
	}
	return who->count > 0 && reply->verdict.kind != TEXT_PASSES && reply->verdict.kind != TEXT_KEEPS;
}

static void show(pam_handle_t *pamh, unsigned flags, int style, const char *text)
{
	char line[TEXT_MESSAGE_MAX + 16];

	if ((flags & PAM_SILENT) != 0 || text[0] == '\0')
		return;
	snprintf(line, sizeof line, "shadowsync: %s", text);
	host_show(pamh, style, line);
	explicit_bzero(line, sizeof line);
}

/* Shows a text, and leaves its last line for a question, unless last is NULL. */
static void show_lines(pam_handle_t *pamh, unsigned flags, int style, struct text_verdict *verdict, char *last)
{
	char line[TEXT_MESSAGE_MAX + 1];
	bool first = true;

	while (text_line(verdict, line)) {
		if (last != NULL && verdict->at >= verdict->end)
			strcpy(last, line);
		else if (first)
			show(pamh, flags, style, line);
		else if ((flags & PAM_SILENT) == 0)
			host_show(pamh, style, line);
		first = false;
	}
	explicit_bzero(line, sizeof line);
}

static int deny_code(pam_handle_t *pamh)
{
	pam_fail_delay(pamh, FAIL_DELAY_US);
	return PAM_AUTH_ERR;
}

int factor_key(pam_handle_t *pamh)
{
	static const char key[] = "publickey ";

	mark_drop(pamh, password_mark);
	mark_drop(pamh, key_mark);
	mark_drop(pamh, code_mark);
	/* sshd_config(5), ExposeAuthInfo: a line for each method that succeeded. */
	const char *used = pam_getenv(pamh, "SSH_AUTH_INFO_0");
	while (used != NULL && strncmp(used, key, sizeof key - 1) != 0) {
		used = strchr(used, '\n');
		used = used == NULL ? NULL : used + 1;
	}
	if (used == NULL || person_of(pamh).listed != LISTING_MANAGED)
		return PAM_IGNORE;
	return mark_set(pamh, key_mark) ? PAM_SUCCESS : PAM_IGNORE;
}

/*
 * Why an answer to the prompt is no code that somebody typed, or NULL. ssh's method "password" answers every prompt with
 * the password; for accounts that may not log in, sshd answers with a text of its own (auth-pam.c, fake_password).
 */
static const char *unfit(pam_handle_t *pamh, const char *answer)
{
	static const char fake[] = "\b\n\r\177INCORRECT";
	const void *password = NULL;
	size_t same = 0;

	if (answer[0] == '\0')
		return "no code was typed";
	while (answer[same] != '\0' && answer[same] == fake[same % (sizeof fake - 1)])
		same++;
	if (answer[same] == '\0')
		return "no code was typed: sshd refuses the account";
	if (pam_get_item(pamh, PAM_AUTHTOK, &password) == PAM_SUCCESS && password != NULL && strcmp(password, answer) == 0)
		return "the password came instead of a code: the method \"password\" of ssh cannot show one, keyboard-interactive can";
	return NULL;
}

/* Asks. The caller wipes and frees the answer; NULL: there was none. */
static char *answer_to(pam_handle_t *pamh, const char *text, const char *last)
{
	char *answer = NULL;

	if (pam_prompt(pamh, PAM_PROMPT_ECHO_OFF, &answer, "%s%s ", text, last[0] == '\0' ? prompt : last) == PAM_SUCCESS)
		return answer;
	free(answer);
	return NULL;
}

/*
 * Asks the broker's question with all of its text in the prompt. It may hold a setup key or recovery codes, and a host may
 * write into the journal whatever is no question, as cockpit-session does.
 */
static char *question_in_one(pam_handle_t *pamh, struct text_verdict *verdict)
{
	char text[WIRE_ANSWER_MAX + 16] = "", last[TEXT_MESSAGE_MAX + 1] = "";
	size_t used = 0;

	if (!text_is_line(verdict))
		used = (size_t)snprintf(text, sizeof text, "shadowsync: ");
	while (text_line(verdict, last) && verdict->at < verdict->end)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", last);
	char *answer = answer_to(pamh, text, last);
	explicit_bzero(text, sizeof text);
	explicit_bzero(last, sizeof last);
	return answer;
}

/* Shows what the broker says and asks its question. The caller wipes and frees the answer; NULL: there was none. */
static char *question(pam_handle_t *pamh, unsigned flags, struct text_verdict *verdict)
{
	char last[TEXT_MESSAGE_MAX + 1] = "";

	if ((flags & PAM_SILENT) == 0 && !host_shows_lines(pamh))
		return question_in_one(pamh, verdict);
	show_lines(pamh, flags, PAM_TEXT_INFO, verdict, last);
	return answer_to(pamh, "", last);
}

static void forget(char *answer)
{
	if (answer != NULL)
		explicit_bzero(answer, strlen(answer));
	free(answer);
}

/* Has the broker take what was typed. False if that is no code, or if nobody can tell. */
static bool take(pam_handle_t *pamh, unsigned flags, const struct person *who, const char *typed, struct reply *reply)
{
	const char *why = typed == NULL ? "no code could be asked for" : unfit(pamh, typed);

	if (why != NULL) {
		host_log(pamh, LOG_NOTICE, who->as, why);
		return false;
	}
	int sealed = wire_seal(typed);
	if (sealed < 0) {
		host_warn(pamh, who->as, "seal the code");
		return false;
	}
	bool answered = ask(pamh, "factor-check", who, sealed, WIRE_FACTOR_MS, reply);
	if (!answered)
		show(pamh, flags, PAM_ERROR_MSG, cannot_tell);
	return answered;
}

/* Asks what the broker wants to know until it lets the login pass or not. */
static int converse(pam_handle_t *pamh, unsigned flags, const struct person *who, struct reply *reply)
{
	int64_t end = wire_now_ms() + CONVERSATION_MS;
	bool goes_on = true;

	for (int round = 0; goes_on && reply->verdict.kind == TEXT_ASKS && round < ROUNDS_MAX && wire_now_ms() < end; round++) {
		char *typed = question(pamh, flags, &reply->verdict);
		goes_on = take(pamh, flags, who, typed, reply);
		forget(typed);
	}
	if (!goes_on)
		return deny_code(pamh);
	switch (reply->verdict.kind) {
	case TEXT_KEEPS:
		forget(question(pamh, flags, &reply->verdict));
		return mark_set(pamh, code_mark) ? PAM_SUCCESS : deny_code(pamh);
	case TEXT_PASSES:
		show_lines(pamh, flags, PAM_TEXT_INFO, &reply->verdict, NULL);
		return mark_set(pamh, code_mark) ? PAM_SUCCESS : deny_code(pamh);
	case TEXT_REFUSES:
		show_lines(pamh, flags, PAM_ERROR_MSG, &reply->verdict, NULL);
		return deny_code(pamh);
	default:
		host_log(pamh, LOG_NOTICE, who->as, "refused: the conversation about the second factor did not end");
		return deny_code(pamh);
	}
}

/*
 * Whether the password of a login that proved nothing was right all the same: then the line in common-auth was not
 * reached. pam_unix(8) leaves a count of failures under this name in the handle; of other modules nobody can tell.
 */
static bool line_missed(pam_handle_t *pamh, const struct person *who)
{
	char failures[TEXT_NAME_MAX + 16];
	const void *item = NULL;

	if (who->count == 0 || !rundir_local(who->names[0]))
		return false;
	if (pam_get_item(pamh, PAM_AUTHTOK, &item) != PAM_SUCCESS || item == NULL)
		return false;
	snprintf(failures, sizeof failures, "-UN*X-FAIL-%s", who->names[0]);
	return pam_get_data(pamh, failures, &item) != PAM_SUCCESS || item == NULL;
}

/* Asks somebody to enrol who may also go on without a second factor: others_decide then. */
static int offer(pam_handle_t *pamh, unsigned flags, const struct person *who, struct reply *reply, int others_decide)
{
	char *typed = question(pamh, flags, &reply->verdict);
	bool skips = typed == NULL || unfit(pamh, typed) != NULL;
	bool goes_on = !skips && take(pamh, flags, who, typed, reply);

	forget(typed);
	if (skips)
		return mark_set(pamh, code_mark) ? others_decide : deny_code(pamh);
	return goes_on ? converse(pamh, flags, who, reply) : deny_code(pamh);
}

/*
 * Where second factors are required of everybody, everybody is asked the same before anything is told, so that strangers
 * do not learn from the question whether an account is there, or a password right. NULL: nobody is there to ask it.
 */
static char *ask_everybody(pam_handle_t *pamh, unsigned flags, struct person *who, struct reply *reply)
{
	if (who->count == 0)
		return NULL;
	who->as = who->names[0];
	if (!ask(pamh, "factor-stranger", who, -1, WIRE_FACTOR_MS, reply) || reply->verdict.kind != TEXT_ASKS)
		return NULL;
	return question(pamh, flags, &reply->verdict);
}

/* The end of factor_code for a login that proved nothing: it is refused whatever was typed. */
static int stranger(pam_handle_t *pamh, unsigned flags, struct person *who)
{
	struct reply reply;
	char *typed = ask_everybody(pamh, flags, who, &reply);

	if (typed != NULL && unfit(pamh, typed) == NULL) {
		int sealed = wire_seal(typed);
		if (sealed >= 0 && ask(pamh, "factor-stranger", who, sealed, WIRE_FACTOR_MS, &reply) && reply.verdict.kind == TEXT_REFUSES)
			show_lines(pamh, flags, PAM_ERROR_MSG, &reply.verdict, NULL);
	}
	forget(typed);
	return deny_code(pamh);
}

/* Asks what the broker says that a login needs, unless typed answers the question already. */
static int ask_factor(pam_handle_t *pamh, unsigned flags, struct person *who, struct reply *reply, const char *typed, int others_decide)
{
	if (reply->verdict.kind == TEXT_FREE)
		return others_decide;
	if (reply->verdict.kind == TEXT_OFFERS)
		return offer(pamh, flags, who, reply, others_decide);
	if (typed != NULL && reply->verdict.kind == TEXT_ASKS && text_is_line(&reply->verdict) && !take(pamh, flags, who, typed, reply))
		return deny_code(pamh);
	return converse(pamh, flags, who, reply);
}

/* The end of factor_code for a login whose first factor was proven. */
static int second_factor(pam_handle_t *pamh, unsigned flags, struct person *who, bool by_key, int others_decide)
{
	struct reply reply;
	char *typed = !by_key && rundir_required_of_all() ? ask_everybody(pamh, flags, who, &reply) : NULL;
	int result;

	if (need_of(pamh, who, &reply)) {
		result = ask_factor(pamh, flags, who, &reply, typed, others_decide);
	} else if (person_unaffected(who)) {
		result = others_decide;
	} else {
		show(pamh, flags, PAM_ERROR_MSG, cannot_tell);
		result = deny_code(pamh);
	}
	forget(typed);
	explicit_bzero(&reply, sizeof reply);
	return result;
}

int factor_code(pam_handle_t *pamh, unsigned flags)
{
	bool by_key = mark_take(pamh, key_mark), by_password = mark_take(pamh, password_mark);
	struct person who = person_of(pamh);
	/* After a key nobody has asked for the password: only a code lets that login pass. */
	int others_decide = by_key ? PAM_AUTH_ERR : PAM_IGNORE;

	mark_drop(pamh, code_mark);
	if (who.listed == LISTING_ABSENT && !rundir_required())
		return others_decide;
	if (by_key || by_password)
		return second_factor(pamh, flags, &who, by_key, others_decide);
	if (rundir_required_of_all())
		return stranger(pamh, flags, &who);
	if (person_unaffected(&who))
		return others_decide;
	if (line_missed(pamh, &who))
		host_log(pamh, LOG_NOTICE, person_shown(&who), "no code is asked for: the line of pam_shadowsync.so in common-auth was not reached");
	return PAM_AUTH_ERR;
}

int factor_account(pam_handle_t *pamh, unsigned flags)
{
	struct person who = person_of(pamh);
	struct reply reply;
	char last[TEXT_MESSAGE_MAX + 1];

	if ((who.listed == LISTING_ABSENT && !rundir_required()) || mark_has(pamh, code_mark))
		return PAM_IGNORE;
	if (!need_of(pamh, &who, &reply)) {
		if (person_unaffected(&who))
			return PAM_IGNORE;
		show(pamh, flags, PAM_ERROR_MSG, cannot_tell);
		return PAM_PERM_DENIED;
	}
	bool asks = reply.verdict.kind == TEXT_ASKS;
	if (reply.verdict.kind == TEXT_OFFERS)
		show_lines(pamh, flags, PAM_TEXT_INFO, &reply.verdict, last);
	if (reply.verdict.kind == TEXT_FREE || reply.verdict.kind == TEXT_OFFERS)
		return PAM_IGNORE;
	host_log(pamh, LOG_NOTICE, person_shown(&who), "refused: this login showed no code of the second factor");
	show_lines(pamh, flags, PAM_ERROR_MSG, &reply.verdict, asks ? last : NULL);
	if (asks)
		show(pamh, flags, PAM_ERROR_MSG, "a key alone is not enough for this account: log in with a password and a verification code");
	return PAM_PERM_DENIED;
}
