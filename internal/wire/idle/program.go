package idle

/*
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int release(struct dl_phdr_info *object, size_t size, void *unused)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t begin = object->dlpi_addr + part->p_vaddr;

		if (part->p_type == PT_LOAD && !(part->p_flags & PF_W))
			madvise((void *)(begin & ~(page - 1)), part->p_memsz + (begin & (page - 1)), MADV_DONTNEED);
	}
	return 1; // the first is the program, and the others are libraries
}

static void shadowsync_release(void)
{
	dl_iterate_phdr(release, NULL);
}
*/
import "C"

// releaseProgram frees the memory of the program's instructions and constants. The kernel reads
// them from the file again when they are needed: 64 KiB at a time, from its cache in about a
// microsecond. Most of them were needed only at the start. Pages that are relocated or written stay.
func releaseProgram() { C.shadowsync_release() }
