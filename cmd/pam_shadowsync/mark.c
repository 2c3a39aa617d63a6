#define _GNU_SOURCE
#include "mark.h"

#include "host.h"

#include <stdlib.h>
#include <string.h>

static void forget_mark(pam_handle_t *pamh, void *name, int status)
{
	(void)pamh, (void)status;
	free(name);
}

bool mark_set(pam_handle_t *pamh, const char *mark)
{
	const char *user = host_user(pamh);
	char *name = user == NULL ? NULL : strdup(user);

	if (name == NULL)
		return false;
	if (pam_set_data(pamh, mark, name, forget_mark) == PAM_SUCCESS)
		return true;
	free(name);
	return false;
}

bool mark_has(pam_handle_t *pamh, const char *mark)
{
	const char *user = host_user(pamh);
	const void *name = NULL;

	return user != NULL && pam_get_data(pamh, mark, &name) == PAM_SUCCESS && name != NULL && strcmp(name, user) == 0;
}

void mark_drop(pam_handle_t *pamh, const char *mark)
{
	const void *name = NULL;

	if (pam_get_data(pamh, mark, &name) == PAM_SUCCESS && name != NULL)
		pam_set_data(pamh, mark, NULL, NULL);
}

bool mark_take(pam_handle_t *pamh, const char *mark)
{
	bool there = mark_has(pamh, mark);

	mark_drop(pamh, mark);
	return there;
}
