/* Reads packets from standard input, each a 16-bit length and its bytes. For each it writes the kind that text_answer
 * read, or 0 if text_answer returned false; then the length of the text in 16 bits; then the text. */
#include "../../text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	uint16_t size;

	while (fread(&size, sizeof size, 1, stdin) == 1) {
		char *packet = malloc(size); /* of exactly this size, so that the sanitizer notices each byte read beyond it */
		struct text_answer answer;
		if (packet == NULL || fread(packet, 1, size, stdin) != size)
			return 1;
		unsigned char kind = text_answer(packet, size, &answer) ? (unsigned char)answer.kind : 0;
		uint16_t length = (uint16_t)strlen(answer.text);
		fwrite(&kind, 1, 1, stdout);
		fwrite(&length, sizeof length, 1, stdout);
		fwrite(answer.text, 1, length, stdout);
		free(packet);
	}
	return 0;
}
