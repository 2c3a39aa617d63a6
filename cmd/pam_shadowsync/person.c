#define _GNU_SOURCE
#include "person.h"

#include "host.h"
#include "text.h"

#include <pwd.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <string.h>

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
	const struct passwd *entry = pam_modutil_getpwnam(pamh, user);
	if (entry != NULL) {
		add_name(&who, entry->pw_name);
		who.root = entry->pw_uid == 0;
		snprintf(who.uid, sizeof who.uid, "%lu", (unsigned long)entry->pw_uid);
		entry = pam_modutil_getpwuid(pamh, entry->pw_uid);
	}
	if (entry != NULL)
		add_name(&who, entry->pw_name);
	who.listed = LISTING_ABSENT;
	for (size_t i = 0; i < who.count && who.listed == LISTING_ABSENT; i++) {
		who.as = who.names[i];
		who.listed = rundir_enrolled(who.as, person_uid(&who));
	}
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
