/*
 * Marks: what the account, by the name that the host works on, has shown to this handle. Each attempt begins without
 * marks: login(1) and sshd make several with one handle.
 */
#ifndef SHADOWSYNC_MARK_H
#define SHADOWSYNC_MARK_H

#include <security/pam_modules.h>
#include <stdbool.h>

/* Sets a mark, whose name is that of the data in the handle; false if it cannot. */
bool mark_set(pam_handle_t *pamh, const char *mark);

/* Whether the present account has the mark. */
bool mark_has(pam_handle_t *pamh, const char *mark);

void mark_drop(pam_handle_t *pamh, const char *mark);

/* mark_has, and then mark_drop. */
bool mark_take(pam_handle_t *pamh, const char *mark);

#endif
