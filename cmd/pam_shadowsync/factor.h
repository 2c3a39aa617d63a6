/*
 * The lines that ask for a second factor. They stand in the file of each service that asks, around Debian's include of
 * common-auth and before that of common-account:
 *
 *     auth     [success=1 default=ignore] pam_shadowsync.so factor key
 *     auth     substack common-auth
 *     auth     required pam_shadowsync.so factor
 *     account  required pam_shadowsync.so factor
 *
 * An account without a second factor gets PAM_IGNORE from each of them. The list of the others is a file that only root
 * can read, so nobody else waits for the broker. Without that list, the broker is asked about everybody; without its
 * answer, all but uid 0 are denied. Where second factors are required, which another file tells, the broker is asked about
 * everybody, too; without its answer, those who are not in the list get in.
 *
 * A code is asked for only after the first factor was proven: the line in common-auth marks that, or the key line, if
 * sshd says that a key was used. Whatever cannot be asked, checked or recorded is denied.
 */
#ifndef SHADOWSYNC_FACTOR_H
#define SHADOWSYNC_FACTOR_H

#include <security/pam_modules.h>

/* The line in common-auth was reached: a module before it proved the account's password. */
void factor_proven(pam_handle_t *pamh);

/*
 * The line before common-auth: PAM_SUCCESS if sshd took a key of an account with a second factor, so that its password is
 * not asked for; else PAM_IGNORE.
 */
int factor_key(pam_handle_t *pamh);

/* The line after common-auth: asks for a code and has the broker take it. PAM_SUCCESS, PAM_AUTH_ERR or PAM_IGNORE. */
int factor_code(pam_handle_t *pamh, unsigned flags);

/*
 * The account line: PAM_PERM_DENIED for an account with a second factor that did not show a code in this login. sshd runs
 * no auth line after a key alone (sshd_config(5), AuthenticationMethods).
 */
int factor_account(pam_handle_t *pamh, unsigned flags);

#endif
