#define _GNU_SOURCE
#include "host.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syslog.h>
#include <unistd.h>

void host_show(pam_handle_t *pamh, int style, const char *text)
{
	const void *item = NULL;

	if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL)
		return;
	const struct pam_conv *conversation = item;
	const struct pam_message message = {.msg_style = style, .msg = text};
	const struct pam_message *messages = &message;
	struct pam_response *response = NULL;

	if (conversation->conv == NULL ||
	    conversation->conv(1, &messages, &response, conversation->appdata_ptr) != PAM_SUCCESS || response == NULL)
		return;
	free(response->resp); /* pam_conv(3): the caller frees both */
	free(response);
}

/*
 * Whether the host has its standard descriptors: if not, syslog(3) would open its socket there and keep it, and the host
 * would print into it.
 */
static bool has_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return false;
	return true;
}

void host_log(pam_handle_t *pamh, int priority, const char *name, const char *what)
{
	if (has_standard_descriptors())
		pam_syslog(pamh, priority, "account %s: %s", name, what);
}

void host_warn(pam_handle_t *pamh, const char *name, const char *what)
{
	int why = errno;

	if (!has_standard_descriptors())
		return;
	errno = why;
	pam_syslog(pamh, LOG_WARNING, "account %s: cannot %s: %m", name, what);
}

bool host_shows_lines(pam_handle_t *pamh)
{
	static const char *const services[] = {"sshd", "login"};
	const void *service = NULL;

	if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || service == NULL)
		return false;
	for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
		if (strcmp(service, services[i]) == 0)
			return true;
	return false;
}

const char *host_user(pam_handle_t *pamh)
{
	const void *name = NULL;

	return pam_get_item(pamh, PAM_USER, &name) == PAM_SUCCESS ? name : NULL;
}

const char *host_account(pam_handle_t *pamh)
{
	const char *name = host_user(pamh);

	return name != NULL && text_is_name(name) ? name : NULL;
}
