/*
 * The files of the run directory that the module reads and keeps. The directory belongs to root and is 0755.
 *
 *   managed      who is managed: lines "account<TAB>unit", each ended by a newline, replaced by rename. Behind the
 *                unit stand marks, each with a tab before it: "judge" where the configuration has rules for new
 *                passwords, "login" where the store waits for a clear text. The broker, the hooks and setup write it;
 *                the module only reads, so that it can tell a person the truth while nobody answers, and so that a
 *                user for whom there is nothing to do costs one small file.
 *   pam-timeout  that somebody waited in vain: an empty file whose modification time *is* the time since boot.
 *   root.sock    wire.h
 *
 * Besides them /etc/passwd is read, where nobody answers and a promise would be made about an account.
 */
#ifndef SHADOWSYNC_RUNDIR_H
#define SHADOWSYNC_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

#ifndef SHADOWSYNC_RUN_DIR
#define SHADOWSYNC_RUN_DIR "/run/shadowsync"
#endif
#ifndef SHADOWSYNC_PASSWD
#define SHADOWSYNC_PASSWD "/etc/passwd"
#endif

enum {
	RUNDIR_UNIT_MAX = 255, /* bytes of a systemd unit's name, systemd.unit(5) */
	RUNDIR_SILENT_S = 30,  /* seconds that one time-out speaks for */
};

enum listing {
	LISTING_UNKNOWN, /* the list is missing (errno ENOENT) or not to be read (errno says why) */
	LISTING_ABSENT,
	LISTING_MANAGED,
};

/* What the list says of a managed account. */
struct listed {
	char unit[RUNDIR_UNIT_MAX + 1]; /* of its application, cleaned for printing */
	bool judged;                    /* its new passwords are */
	bool awaited;                   /* its next login is */
};

/* Looks name up in the list of managed accounts; of any other, listed is all empty. */
enum listing rundir_find(const char *name, struct listed *listed);

/*
 * Whether name may be an account of this machine's own. One of LDAP or sssd is not: the password that was changed there
 * is not the one that shadowsync keeps in step. Where /etc/passwd is not to be read, any may be.
 */
bool rundir_local(const char *name);

/* Whether a time-out was marked in the last RUNDIR_SILENT_S seconds of this boot, time asleep included. */
bool rundir_silent(void);

/* Marks a time-out at this moment; false with errno if it cannot. */
bool rundir_mark_timeout(void);

/* Takes the mark away. */
void rundir_clear_timeout(void);

/*
 * Moves fd away from 0, 1 and 2, which a host with closed standard descriptors would hand to us and then print to.
 * Takes -1 for fd as well. Returns the descriptor, or -1 with errno and fd closed.
 */
int rundir_above_std(int fd);

#endif
