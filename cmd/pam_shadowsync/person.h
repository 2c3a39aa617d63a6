#ifndef SHADOWSYNC_PERSON_H
#define SHADOWSYNC_PERSON_H

#include "rundir.h"

#include <security/pam_modules.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Whose login it is. Another spelling of a name (a directory may ignore case), and another name of the same uid, belong
 * to the same person.
 */
struct person {
	const char *names[3]; /* as the host, getpwnam(3) and getpwuid(3) have it */
	size_t count;
	char uid[12]; /* empty: not known */
	bool root;
	bool unseen; /* the system did not tell whose name it is: another one of the same person may be listed */
	enum listing listed;
	const char *as; /* the name that the list, or else the broker, knows */
};

/* The person that the host works on, without a name if there is none. */
struct person person_of(pam_handle_t *pamh);

/* The uid in digits, or NULL if it is not known. */
const char *person_uid(const struct person *who);

/* The name for the log. */
const char *person_shown(const struct person *who);

/* Whether this person gets in as ever while nobody can tell. */
bool person_unaffected(const struct person *who);

#endif
