/* Reads packets from standard input, each a 16-bit length and its bytes; writes for each text_answer's verdict, 0 or 1,
 * the length of the message in 16 bits, and the message. */
#include "../../text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	uint16_t size;

	while (fread(&size, sizeof size, 1, stdin) == 1) {
		char *packet = malloc(size); /* of the very size, so that the sanitizer sees each byte read beyond it */
		char message[TEXT_MESSAGE_MAX + 1];
		if (packet == NULL || fread(packet, 1, size, stdin) != size)
			return 1;
		unsigned char verdict = text_answer(packet, size, message);
		uint16_t length = (uint16_t)strlen(message);
		fwrite(&verdict, 1, 1, stdout);
		fwrite(&length, sizeof length, 1, stdout);
		fwrite(message, 1, length, stdout);
		free(packet);
	}
	return 0;
}
