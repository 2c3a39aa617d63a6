/*
 * What the module asks of the host program: who the account is, a text for the person, a line for the log.
 */
#ifndef SHADOWSYNC_HOST_H
#define SHADOWSYNC_HOST_H

#include <security/pam_modules.h>
#include <stdbool.h>

/* Shows text through the conversation. Nothing depends on it: it may be missing (cron jobs, daemons) or fail. */
void host_show(pam_handle_t *pamh, int style, const char *text);

/*
 * Whether the host shows a text at once and as lines, and to the person alone. Of others nobody knows: cockpit-session keeps
 * it until the next question, and writes it into the journal.
 */
bool host_shows_lines(pam_handle_t *pamh);

/* Logs something about an account, whose name text_is_name accepts, with a priority of syslog(3). */
void host_log(pam_handle_t *pamh, int priority, const char *name, const char *what);

/* Logs a fault with errno's text. */
void host_warn(pam_handle_t *pamh, const char *name, const char *what);

/* The account that the host works on, as the host names it, or NULL if there is none. */
const char *host_user(pam_handle_t *pamh);

/* The account that the host works on, or NULL if there is none or its name cannot be sent. */
const char *host_account(pam_handle_t *pamh);

#endif
