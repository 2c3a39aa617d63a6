/* Reads documents from standard input and writes what glibc's fgetspent(3) makes
   of them: the oracle of FuzzGlibc. All numbers are 64 bits in host order. A
   document comes as its length and its bytes; for every entry goes out 1, the
   name, the password (length -1: a null pointer) and six numbers; then 0. */
#include <shadow.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void number(int64_t n) { fwrite(&n, sizeof n, 1, stdout); }

static void text(const char *s)
{
	number(s ? (int64_t)strlen(s) : -1);
	if (s)
		fwrite(s, strlen(s), 1, stdout);
}

static void entry(const struct spwd *e)
{
	number(1);
	text(e->sp_namp);
	text(e->sp_pwdp);
	number(e->sp_lstchg);
	number(e->sp_min);
	number(e->sp_max);
	number(e->sp_warn);
	number(e->sp_inact);
	number(e->sp_expire);
}

int main(void)
{
	int64_t length;

	while (fread(&length, sizeof length, 1, stdin) == 1) {
		char *document = malloc(length + 1);
		FILE *file;
		const struct spwd *e;

		if (length > 0 && fread(document, length, 1, stdin) != 1)
			return 1;
		file = length > 0 ? fmemopen(document, length, "r") : NULL;
		while (file && (e = fgetspent(file)))
			entry(e);
		if (file)
			fclose(file);
		free(document);
		number(0);
		fflush(stdout);
	}
	return 0;
}
