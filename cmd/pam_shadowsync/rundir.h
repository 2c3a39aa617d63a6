/*
 * The files of the run directory that the module reads and writes. The directory belongs to root and has mode 0755.
 *
 *   managed      the managed accounts: lines "account<TAB>unit", each ended by a newline; replaced by rename. Marks may
 *                follow the unit, each after a tab: "judge" if the configuration has rules for new passwords, "login" if
 *                the store waits for a clear text. The broker, the hooks and setup write the list; the module only reads
 *                it. With the list it can tell a person the truth while the broker does not answer, and for an account
 *                that is not managed it reads one small file and does nothing else.
 *   pam-timeout  marks that the broker did not answer in time: an empty file whose modification time *is* the time since
 *                boot.
 *   root.sock    wire.h
 *   factor.sock  wire.h
 *
 * The module also reads: the list of the accounts that must show a code, in root's state, where only root may read it; a copy of "managed" without the marks in root's state, which exists even after a boot in which
 * no program of shadowsync has run yet; /etc/passwd, before it promises anything about a change that the broker did not
 * take; /etc/shadow, for the tag of a note (note.h). It also looks whether the program exists that keeps the promise.
 */
#ifndef SHADOWSYNC_RUNDIR_H
#define SHADOWSYNC_RUNDIR_H

#include "tag.h"

#include <stdbool.h>
#include <stddef.h>

#ifndef SHADOWSYNC_RUN_DIR
#define SHADOWSYNC_RUN_DIR "/run/shadowsync"
#endif
#ifndef SHADOWSYNC_PASSWD
#define SHADOWSYNC_PASSWD "/etc/passwd"
#endif
#ifndef SHADOWSYNC_SHADOW
#define SHADOWSYNC_SHADOW "/etc/shadow"
#endif
#ifndef SHADOWSYNC_PROGRAM
#define SHADOWSYNC_PROGRAM "/usr/sbin/shadowsync"
#endif

enum {
	RUNDIR_UNIT_MAX = 255, /* bytes of a systemd unit's name, systemd.unit(5) */
	RUNDIR_SILENT_S = 30,  /* seconds after a time-out in which the module does not ask again */
};

enum listing {
	LISTING_UNKNOWN, /* the list and its copy are missing (errno ENOENT), or one cannot be read (errno says why) */
	LISTING_ABSENT,
	LISTING_MANAGED,
};

/* What the list says about a managed account. */
struct listed {
	char unit[RUNDIR_UNIT_MAX + 1]; /* of its application, cleaned for printing */
	bool judged;                    /* there are rules for its new passwords */
	bool awaited;                   /* the store waits for its next login */
};

/* Looks name up in the list of managed accounts; for any other account *listed is empty. */
enum listing rundir_find(const char *name, struct listed *listed);

/*
 * Whether name, or any name of this uid, is in the list of the accounts that must show a code: lines
 * "account<TAB>realm<TAB>state<TAB>uid". uid is NULL if it is not known. LISTING_UNKNOWN with errno if the list is missing,
 * or is not one that only root could have written: nobody can tell then.
 */
enum listing rundir_enrolled(const char *name, const char *uid);

/* Whether second factors are required of anybody: the broker knows of whom. */
bool rundir_required(void);

/* Whether they are required of everybody. */
bool rundir_required_of_all(void);

/*
 * True if name may be a local account of this machine. An account of LDAP or sssd is not local: the password that was
 * changed there is not the one that shadowsync syncs. If /etc/passwd cannot be read, any account may be local.
 */
bool rundir_local(const char *name);

/* Writes the tag of name's password field to tag; an empty one if /etc/shadow cannot be read or has no such line. */
void rundir_tag(const char *name, char tag[TAG_SIZE]);

/* True if the program exists that the hooks run. */
bool rundir_has_program(void);

/* True if a time-out was marked in the last RUNDIR_SILENT_S seconds of this boot, time in suspend included. */
bool rundir_silent(void);

/* Marks a time-out now; false with errno if that fails. */
bool rundir_mark_timeout(void);

/* Removes the mark. */
void rundir_clear_timeout(void);

/*
 * Moves fd above 0, 1 and 2: if the host has closed its standard descriptors, the kernel gives us one of these, and the
 * host would print into it. fd may be -1. Returns the descriptor, or -1 with errno; fd is then closed.
 */
int rundir_above_std(int fd);

#endif
