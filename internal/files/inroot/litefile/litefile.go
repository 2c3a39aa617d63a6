// Package litefile makes SQLite open a database, and its journal beside it, in an open folder of
// a mounted system (inroot.Folder).
//
// SQLite itself resolves every symbolic link in a path before it opens the path. It would turn
// /proc/self/fd/7/state.db into the path that the folder had, and follow that path again at each
// access, through any links that the owner of the mounted system has put there since. The file
// system "inroot" takes such a path as it is, and does not open a symbolic link as a file.
package litefile

/*
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The part of sqlite3.h that is used here; its layout never changes (https://sqlite.org/c3ref/vfs.html).
// The functions are weak, because cgo first links this package alone, without SQLite.
typedef struct sqlite3_vfs sqlite3_vfs;
typedef void (*syscall_ptr)(void);
struct sqlite3_vfs {
	int iVersion;
	int szOsFile;
	int mxPathname;
	sqlite3_vfs *pNext;
	const char *zName;
	void *pAppData;
	void *xOpen, *xDelete, *xAccess;
	int (*xFullPathname)(sqlite3_vfs *, const char *, int, char *);
	void *xDlOpen, *xDlError, *xDlSym, *xDlClose, *xRandomness, *xSleep, *xCurrentTime, *xGetLastError;
	void *xCurrentTimeInt64;
	int (*xSetSystemCall)(sqlite3_vfs *, const char *, syscall_ptr);
	void *xGetSystemCall, *xNextSystemCall;
};
extern __attribute__((weak)) sqlite3_vfs *sqlite3_vfs_find(const char *);
extern __attribute__((weak)) int sqlite3_vfs_register(sqlite3_vfs *, int);

enum { ok = 0, error = 1, cannot_open = 14, version = 3 };

static const char descriptors[] = "/proc/self/fd/";

static int in_open_folder(const char *path)
{
	size_t n = sizeof descriptors - 1;
	return strncmp(path, descriptors, n) == 0 && strchr(path + n, '/') != NULL;
}

static int as_it_is(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	size_t n = strlen(path);
	if (!in_open_folder(path) || n >= (size_t)size)
		return cannot_open;
	memcpy(out, path, n + 1);
	return ok;
}

// SQLite opens all other paths of this process as before.
static int open_no_link(const char *path, int flags, int mode)
{
	return open(path, in_open_folder(path) ? flags | O_NOFOLLOW : flags, mode);
}

static int add_inroot(void)
{
	static sqlite3_vfs own;
	sqlite3_vfs *unix_vfs = sqlite3_vfs_find("unix");
	if (unix_vfs == NULL || unix_vfs->iVersion < version)
		return error;
	own = *unix_vfs;
	own.zName = "inroot";
	own.xFullPathname = as_it_is;
	int rc = unix_vfs->xSetSystemCall(unix_vfs, "open", (syscall_ptr)open_no_link);
	return rc != ok ? rc : sqlite3_vfs_register(&own, 0);
}
*/
import "C"

import (
	"fmt"
	"net/url"
	"sync"

	_ "github.com/mattn/go-sqlite3" // the library itself

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// add runs at most once per process, and only if a database is in a mounted system.
var add = sync.OnceValue(func() error {
	if code := C.add_inroot(); code != 0 {
		return fmt.Errorf("cannot add a file system to SQLite: code %d", code)
	}
	return nil
})

// Address returns the data source name of the database at a path that inroot.Folder returned.
func Address(path string, settings url.Values) (string, error) {
	if inroot.Descriptor(path) {
		if err := add(); err != nil {
			return "", err
		}
		settings.Set("vfs", "inroot")
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: settings.Encode()}).String(), nil
}
