/*
 * Text that enters or leaves the module: account names go out, messages come in. The functions work on the caller's
 * buffers and allocate nothing. They do not depend on the locale, because the host program chooses it.
 */
#ifndef SHADOWSYNC_TEXT_H
#define SHADOWSYNC_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	TEXT_NAME_MAX = 256,    /* bytes of an account name */
	TEXT_MESSAGE_MAX = 512, /* bytes of a line shown to a person */
	TEXT_ANSWER_LINES = 8,  /* of them in an answer about a change: one for each of the application's stores */
	TEXT_LINES_MAX = 64,    /* of them in an answer about a second factor */
	TEXT_OP_MAX = 24,       /* bytes of an operation's name */
	/* Every byte of the name may need a backslash, and 64 bytes hold the rest of the request. */
	TEXT_REQUEST_SIZE = 2 * TEXT_NAME_MAX + 64,
	TEXT_ITEM_MAX = 128, /* bytes that are sent of a uid, a service, a host or a terminal */
	/* The same for the four of them, and the rest of each member. */
	TEXT_LOGIN_SIZE = TEXT_REQUEST_SIZE + 4 * (2 * TEXT_ITEM_MAX + 16) + 16,
};

/* True if name is 1 to TEXT_NAME_MAX bytes of printable UTF-8: it is then safe to send, compare and print. */
bool text_is_name(const char *name);

/*
 * Copies size bytes of text to out and replaces everything that is not printable UTF-8 by '?'. The copy is cut to fit
 * out_size, its final NUL included.
 */
void text_clean(char *out, size_t out_size, const char *text, size_t size);

/*
 * Writes the JSON request for an operation on an account to out and returns its length. op is one of the module's own
 * constants, at most TEXT_OP_MAX bytes, and text_is_name accepts name. The request asks for the form of answer that
 * text_answer reads.
 */
size_t text_request(char out[TEXT_REQUEST_SIZE], const char *op, const char *name);

/* Who logs in where. NULL: not known. text_is_name accepts user. */
struct text_login {
	const char *user, *uid, *service, *host, *tty;
	bool lines; /* the host shows a text as lines: host_shows_lines */
};

/* The same for an operation about a login. */
size_t text_login_request(char out[TEXT_LOGIN_SIZE], const char *op, const struct text_login *login);

/* The first byte of an answer. It says what the module does with the text that follows. */
enum text_kind {
	TEXT_SAYS = 's',    /* shows the text, if there is any */
	TEXT_REFUSES = 'r', /* refuses the new password, or the login, and shows the text */
	TEXT_NOTES = 'n',   /* leaves a note about the change, then shows the text, or "queued" if it is empty */
	TEXT_FREE = 'u',    /* lets the other modules decide: the account has no second factor */
	TEXT_ASKS = 'c',    /* shows the text and asks: its last line is the prompt */
	TEXT_OFFERS = 'o',  /* the same, but whoever types nothing may go on */
	TEXT_PASSES = 'p',  /* the code was right and is used up; shows the text, if there is any */
	TEXT_KEEPS = 'k',   /* the same, and waits for an answer to the last line, so that the text is seen */
};

struct text_answer {
	enum text_kind kind;
	char text[TEXT_ANSWER_LINES * (TEXT_MESSAGE_MAX + 1)]; /* lines, each cleaned as by text_clean */
};

/*
 * Reads an answer: a byte for its kind, then its text. False if there is no such kind, or if a refusal has no text. A
 * broker from before this form answers in JSON; its '{' is not a kind.
 */
bool text_answer(const char *packet, size_t size, struct text_answer *answer);

/* An answer about a second factor. Its text is in the packet: lines, not yet cleaned, of which text_line takes one after another. */
struct text_verdict {
	enum text_kind kind;
	const char *at, *end;
};

/* Reads such an answer: only such kinds, and at most TEXT_LINES_MAX lines. */
bool text_verdict(const char *packet, size_t size, struct text_verdict *verdict);

/* Whether no text is left but the last line. */
bool text_is_line(const struct text_verdict *verdict);

/* Takes the next line, cleaned. False if there is none. */
bool text_line(struct text_verdict *verdict, char line[TEXT_MESSAGE_MAX + 1]);

#endif
