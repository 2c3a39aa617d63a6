#define _GNU_SOURCE
#include "person.h"

#include "host.h"
#include "text.h"

#include <errno.h>
#include <pwd.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENTRY_MIN = 4 << 10, /* bytes, for a line of passwd(5) */
	ENTRY_MAX = 1 << 20,
	TRIES = 2, /* nslcd(8) drops a client that is not served in half a second */
};

enum sight { MISSING, SEEN, UNSEEN };

/*
 * Whether the system has an account, by its name, or by its uid if that is NULL. UNSEEN: a service of nsswitch.conf(5) does
 * not answer. pam_modutil_getpwnam(3) returns NULL then, too. Where another service behind that one answers, getpwnam_r(3)
 * does not tell, and it is MISSING.
 */
static enum sight look(const char *name, uid_t uid)
{
	for (size_t size = ENTRY_MIN; size <= ENTRY_MAX; size *= 4) {
		struct passwd entry, *found = NULL;
		char *buffer = malloc(size);
		if (buffer == NULL)
			return UNSEEN;
		errno = EIO; /* glibc leaves it if a service has no module */
		int error = name != NULL ? getpwnam_r(name, &entry, buffer, size, &found) : getpwuid_r(uid, &entry, buffer, size, &found);
		free(buffer);
		if (error == 0)
			return found == NULL ? MISSING : SEEN;
		if (error != ERANGE)
			return UNSEEN;
	}
	return UNSEEN;
}

/* The entry of an account, which stays in the handle. NULL: there is none, or *unseen. */
static const struct passwd *entry_of(pam_handle_t *pamh, const char *name, uid_t uid, bool *unseen)
{
	for (int i = 0; i < TRIES; i++) {
		const struct passwd *entry = NULL;
		enum sight sight = look(name, uid);
		if (sight == SEEN)
			entry = name != NULL ? pam_modutil_getpwnam(pamh, name) : pam_modutil_getpwuid(pamh, uid);
		if (entry != NULL || sight == MISSING)
			return entry;
	}
	*unseen = true;
	return NULL;
}

static void add_name(struct person *who, const char *name)
{
	for (size_t i = 0; i < who->count; i++)
		if (strcmp(who->names[i], name) == 0)
			return;
	who->names[who->count++] = name;
}

const char *person_uid(const struct person *who)
{
	return who->uid[0] == '\0' ? NULL : who->uid;
}

struct person person_of(pam_handle_t *pamh)
{
	struct person who = {.listed = LISTING_UNKNOWN};
	const char *user = host_user(pamh);

	if (user == NULL)
		return who;
	add_name(&who, user);
	const struct passwd *entry = entry_of(pamh, user, 0, &who.unseen);
	if (entry != NULL) {
		add_name(&who, entry->pw_name);
		who.root = entry->pw_uid == 0;
		snprintf(who.uid, sizeof who.uid, "%lu", (unsigned long)entry->pw_uid);
		entry = entry_of(pamh, NULL, entry->pw_uid, &who.unseen);
	}
	if (entry != NULL)
		add_name(&who, entry->pw_name);
	who.listed = LISTING_ABSENT;
	for (size_t i = 0; i < who.count && who.listed == LISTING_ABSENT; i++) {
		who.as = who.names[i];
		who.listed = rundir_enrolled(who.as, person_uid(&who));
	}
	if (who.unseen && who.listed == LISTING_ABSENT)
		who.listed = LISTING_UNKNOWN;
	return who;
}

bool person_unaffected(const struct person *who)
{
	return who->listed == LISTING_ABSENT || (who->listed == LISTING_UNKNOWN && who->root);
}

const char *person_shown(const struct person *who)
{
	return who->count > 0 && text_is_name(who->names[0]) ? who->names[0] : "?";
}
