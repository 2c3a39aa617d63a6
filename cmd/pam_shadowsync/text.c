#define _POSIX_C_SOURCE 200809L
#include "text.h"

#include <stdint.h>
#include <string.h>

/* Where reading stands: the bytes from at up to end are still to be read. */
struct cursor {
	const char *at;
	const char *end;
};

/* Where writing stands: size counts the room for the final NUL. A rune that does not fit closes the buffer. */
struct sink {
	char *out;
	size_t size;
	size_t used;
};

static const uint32_t no_rune = UINT32_MAX;

/* Takes the next rune of strict UTF-8 (RFC 3629); false, and not one byte taken, if there is none. */
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
 * Whether a terminal shows the rune as itself. Left out are the C0 and C1 controls and DEL, and what moves or hides
 * other text: zero-width and direction marks, line separators, private use, tags and noncharacters.
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
		sink->size = sink->used + 1; /* a shorter rune after it must not slip in */
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

size_t text_request(char out[TEXT_REQUEST_SIZE], const char *op, const char *name)
{
	static const char before[] = "{\"op\":\"", between[] = "\",\"user\":\"", after[] = "\"}";
	char *at = put(out, before, sizeof before - 1);

	at = put(at, op, strnlen(op, TEXT_OP_MAX));
	at = put(at, between, sizeof between - 1);
	for (; *name != '\0'; name++) {
		if (*name == '"' || *name == '\\') /* text_is_name let no other byte pass that JSON wants escaped */
			*at++ = '\\';
		*at++ = *name;
	}
	return (size_t)(put(at, after, sizeof after - 1) - out);
}

static bool take(struct cursor *in, char want)
{
	if (in->at == in->end || *in->at != want)
		return false;
	in->at++;
	return true;
}

/* Takes one of JSON's structural characters and the white space around it. */
static bool take_mark(struct cursor *in, char want)
{
	while (in->at < in->end && memchr(" \t\r\n", *in->at, 4))
		in->at++;
	if (!take(in, want))
		return false;
	while (in->at < in->end && memchr(" \t\r\n", *in->at, 4))
		in->at++;
	return true;
}

static bool take_hex4(struct cursor *in, uint32_t *value)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";

	*value = 0;
	for (int i = 0; i < 4; i++) {
		const char *digit = in->at < in->end ? memchr(digits, *in->at, sizeof digits - 1) : NULL;
		if (digit == NULL)
			return false;
		*value = *value << 4 | (uint32_t)((digit - digits) & 15);
		in->at++;
	}
	return true;
}

/* Takes what follows \u: one UTF-16 unit, or the two of a surrogate pair; half a pair is an error. */
static bool take_utf16(struct cursor *in, uint32_t *rune)
{
	uint32_t low = 0;

	if (!take_hex4(in, rune))
		return false;
	if (*rune < 0xd800 || *rune > 0xdfff)
		return true;
	if (*rune > 0xdbff || !take(in, '\\') || !take(in, 'u') || !take_hex4(in, &low) || low < 0xdc00 || low > 0xdfff)
		return false;
	*rune = 0x10000 + ((*rune - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

/* Takes what follows a backslash. */
static bool take_escape(struct cursor *in, uint32_t *rune)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";

	if (in->at == in->end)
		return false;
	char name = *in->at++;
	if (name == 'u')
		return take_utf16(in, rune);
	const char *found = memchr(names, name, sizeof names - 1);
	if (found == NULL)
		return false;
	*rune = (uint32_t)values[found - names];
	return true;
}

/* Takes a JSON string and keeps what fits of it, cleaned. */
static bool take_string(struct cursor *in, char *out, size_t size)
{
	struct sink sink = sink_to(out, size);
	uint32_t rune = 0;

	if (!take(in, '"'))
		return false;
	while (!take(in, '"')) {
		if (take(in, '\\')) {
			if (!take_escape(in, &rune))
				return false;
		} else if (!take_rune(in, &rune) || rune < 0x20) {
			return false;
		}
		put_rune(&sink, rune);
	}
	return true;
}

bool text_refuses(const char *message)
{
	static const char refused[] = "BAD PASSWORD: ";

	return strncmp(message, refused, sizeof refused - 1) == 0;
}

bool text_answer(const char *packet, size_t size, char message[TEXT_MESSAGE_MAX + 1])
{
	static const char ours[] = "shadowsync: ";
	struct cursor in = {packet, packet + size};
	char member[16];

	message[0] = '\0';
	if (!take_mark(&in, '{') || !take_string(&in, member, sizeof member) || strcmp(member, "message") != 0)
		return false;
	if (!take_mark(&in, ':') || !take_string(&in, message, TEXT_MESSAGE_MAX + 1) || !take_mark(&in, '}'))
		return false;
	if (in.at != in.end)
		return false;
	return message[0] == '\0' || strncmp(message, ours, sizeof ours - 1) == 0 || text_refuses(message);
}
