#define _POSIX_C_SOURCE 200809L
#include "text.h"

#include <stdint.h>
#include <string.h>

/* A reading position: the bytes from at up to end are still to be read. */
struct cursor {
	const char *at;
	const char *end;
};

/* A writing position: size includes the final NUL. After a rune that does not fit, nothing more is written. */
struct sink {
	char *out;
	size_t size;
	size_t used;
};

static const uint32_t no_rune = UINT32_MAX;

/* Takes the next rune of strict UTF-8 (RFC 3629). If there is none, it takes no byte and returns false. */
static bool take_rune(struct cursor *in, uint32_t *rune)
{
	static const struct {
		unsigned char mask, lead;
		int more;
		uint32_t least;
	} forms[] = {{0x80, 0x00, 0, 0}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x10000}};

	for (size_t form = 0; in->at < in->end && form < sizeof forms / sizeof forms[0]; form++) {
		unsigned char lead = (unsigned char)*in->at;
		if ((lead & forms[form].mask) != forms[form].lead)
			continue;
		if (in->end - in->at <= forms[form].more)
			return false;
		uint32_t value = lead & (unsigned char)~forms[form].mask;
		for (int i = 1; i <= forms[form].more; i++) {
			unsigned char next = (unsigned char)in->at[i];
			if ((next & 0xc0) != 0x80)
				return false;
			value = value << 6 | (next & 0x3f);
		}
		if (value < forms[form].least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
			return false;
		in->at += forms[form].more + 1;
		*rune = value;
		return true;
	}
	return false;
}

/*
 * True if a terminal shows the rune as itself. It does not show the C0 and C1 controls and DEL, and some runes move or
 * hide other text: zero-width and direction marks, line separators, private use, tags and noncharacters.
 */
static bool printable(uint32_t rune)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{0x0000, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c},   {0x180e, 0x180e},    {0x200b, 0x200f},
		{0x2028, 0x202e}, {0x2060, 0x206f}, {0xd800, 0xf8ff}, {0xfdd0, 0xfdef},   {0xfe00, 0xfe0f},    {0xfeff, 0xfeff},
		{0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0x1fffe, 0x1ffff}, {0x2fffe, 0x2ffff}, {0xe0000, UINT32_MAX},
	};

	for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
		if (rune >= hidden[i].first && rune <= hidden[i].last)
			return false;
	return true;
}

static size_t encode(uint32_t rune, char out[4])
{
	if (rune < 0x80) {
		out[0] = (char)rune;
		return 1;
	}
	size_t more = rune < 0x800 ? 1 : rune < 0x10000 ? 2 : 3;
	static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
	out[0] = (char)(leads[more] | rune >> (6 * more));
	for (size_t i = 1; i <= more; i++)
		out[i] = (char)(0x80 | (rune >> (6 * (more - i)) & 0x3f));
	return more + 1;
}

static void put_rune(struct sink *sink, uint32_t rune)
{
	char bytes[4];
	size_t length = encode(printable(rune) ? rune : '?', bytes);

	if (length >= sink->size - sink->used) {
		sink->size = sink->used + 1; /* so that no shorter rune is written after it */
		return;
	}
	memcpy(sink->out + sink->used, bytes, length);
	sink->used += length;
	sink->out[sink->used] = '\0';
}

static struct sink sink_to(char *out, size_t size)
{
	out[0] = '\0';
	return (struct sink){.out = out, .size = size};
}

bool text_is_name(const char *name)
{
	size_t length = strnlen(name, TEXT_NAME_MAX + 1);
	struct cursor in = {name, name + length};
	uint32_t rune = 0;

	if (length == 0 || length > TEXT_NAME_MAX)
		return false;
	while (in.at < in.end)
		if (!take_rune(&in, &rune) || !printable(rune))
			return false;
	return true;
}

void text_clean(char *out, size_t out_size, const char *text, size_t size)
{
	struct cursor in = {text, text + size};
	struct sink sink = sink_to(out, out_size);
	uint32_t rune = 0;

	while (in.at < in.end) {
		if (!take_rune(&in, &rune)) {
			rune = no_rune;
			in.at++;
		}
		put_rune(&sink, rune);
	}
}

static char *put(char *at, const char *text, size_t size)
{
	memcpy(at, text, size);
	return at + size;
}

/* Writes text that text_clean or text_is_name let pass: no other byte of it than these two wants escaping in JSON. */
static char *put_escaped(char *at, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			*at++ = '\\';
		*at++ = *text;
	}
	return at;
}

size_t text_request(char out[TEXT_REQUEST_SIZE], const char *op, const char *name)
{
	static const char before[] = "{\"op\":\"", between[] = "\",\"plain\":true,\"user\":\"", after[] = "\"}";
	char *at = put(out, before, sizeof before - 1);

	at = put(at, op, strnlen(op, TEXT_OP_MAX));
	at = put(at, between, sizeof between - 1);
	at = put_escaped(at, name);
	return (size_t)(put(at, after, sizeof after - 1) - out);
}

/* Writes a member of the login: its text, cleaned and cut, or nothing if there is none. */
static char *put_member(char *at, const char *key, const char *text)
{
	static const char before[] = ",\"", between[] = "\":\"", after[] = "\"";
	char clean[TEXT_ITEM_MAX + 1];

	if (text == NULL)
		return at;
	text_clean(clean, sizeof clean, text, strnlen(text, TEXT_ITEM_MAX));
	at = put(at, before, sizeof before - 1);
	at = put(at, key, strlen(key));
	at = put(at, between, sizeof between - 1);
	at = put_escaped(at, clean);
	return put(at, after, sizeof after - 1);
}

size_t text_login_request(char out[TEXT_LOGIN_SIZE], const char *op, const struct text_login *login)
{
	static const char lines[] = ",\"lines\":true";
	size_t size = text_request(out, op, login->user);
	char *at = out + size - 1; /* before the closing brace */

	at = put_member(at, "uid", login->uid);
	at = put_member(at, "service", login->service);
	at = put_member(at, "host", login->host);
	at = put_member(at, "tty", login->tty);
	if (login->lines)
		at = put(at, lines, sizeof lines - 1);
	*at++ = '}';
	return (size_t)(at - out);
}

bool text_verdict(const char *packet, size_t size, struct text_verdict *verdict)
{
	static const char kinds[] = {TEXT_FREE, TEXT_ASKS, TEXT_OFFERS, TEXT_PASSES, TEXT_KEEPS, TEXT_REFUSES};
	int lines = 1;

	if (size == 0 || memchr(kinds, packet[0], sizeof kinds) == NULL)
		return false;
	*verdict = (struct text_verdict){(enum text_kind)packet[0], packet + 1, packet + size};
	for (const char *at = verdict->at; at < verdict->end; at++)
		lines += *at == '\n';
	return lines <= TEXT_LINES_MAX && (size > 1 || (verdict->kind != TEXT_REFUSES && verdict->kind != TEXT_KEEPS));
}

bool text_is_line(const struct text_verdict *verdict)
{
	return memchr(verdict->at, '\n', (size_t)(verdict->end - verdict->at)) == NULL;
}

bool text_line(struct text_verdict *verdict, char line[TEXT_MESSAGE_MAX + 1])
{
	if (verdict->at >= verdict->end)
		return false;
	const char *newline = memchr(verdict->at, '\n', (size_t)(verdict->end - verdict->at));
	const char *end = newline == NULL ? verdict->end : newline;
	text_clean(line, TEXT_MESSAGE_MAX + 1, verdict->at, (size_t)(end - verdict->at));
	verdict->at = newline == NULL ? verdict->end : newline + 1;
	return true;
}

bool text_answer(const char *packet, size_t size, struct text_answer *answer)
{
	static const char kinds[] = {TEXT_SAYS, TEXT_REFUSES, TEXT_NOTES};
	char line[TEXT_MESSAGE_MAX + 1];
	size_t used = 0;

	answer->text[0] = '\0';
	if (size == 0 || memchr(kinds, packet[0], sizeof kinds) == NULL)
		return false;
	answer->kind = (enum text_kind)packet[0];
	struct text_verdict rest = {answer->kind, packet + 1, packet + size};
	for (int n = 0; n < TEXT_ANSWER_LINES && text_line(&rest, line); n++) {
		size_t length = strlen(line);
		if (n > 0)
			answer->text[used++] = '\n';
		memcpy(answer->text + used, line, length + 1);
		used += length;
	}
	return answer->kind != TEXT_REFUSES || answer->text[0] != '\0';
}
