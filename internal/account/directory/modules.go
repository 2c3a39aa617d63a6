package directory

/*
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

// What the functions of a service's module are ("NSS Module Function Internals" in the manual of glibc).
typedef enum nss_status (*by_name)(const char *, void *, char *, size_t, int *);
typedef enum nss_status (*by_id)(id_t, void *, char *, size_t, int *);
typedef enum nss_status (*member)(const char *, gid_t, long *, long *, gid_t **, long, int *);

static void *shadowsync_load(const char *library, char *why, size_t size)
{
	void *module = dlopen(library, RTLD_LAZY); // as glibc

	if (module == NULL)
		snprintf(why, size, "%s", dlerror());
	return module;
}

// Asks a module for a struct passwd or group, by the id if name is NULL. Returns an nss_status.
static int shadowsync_entry(void *function, const char *name, id_t id, void *entry, char *buffer, size_t size, int *error)
{
	int status;

	errno = 0;
	status = name != NULL ? ((by_name)function)(name, entry, buffer, size, &errno) : ((by_id)function)(id, entry, buffer, size, &errno);
	*error = errno;
	return status;
}

// Asks a module which groups a name is in, besides own. The caller frees *gids.
static int shadowsync_member(void *function, const char *name, gid_t own, gid_t **gids, long *count)
{
	long size = 64;

	*count = 0;
	*gids = malloc((size_t)size * sizeof **gids);
	if (*gids == NULL)
		return NSS_STATUS_TRYAGAIN;
	errno = 0;
	return ((member)function)(name, own, count, &size, gids, -1, &errno);
}

// Has glibc ask a service that may be a part of it, as "files" is, for a struct group.
static int shadowsync_group(const char *service, const char *name, gid_t gid, struct group *entry, char *buffer, size_t size, int *error)
{
	struct group *found = NULL;

	__nss_configure_lookup("group", service);
	errno = EIO; // without the module glibc leaves it as it is
	*error = name != NULL ? getgrnam_r(name, entry, buffer, size, &found) : getgrgid_r(gid, entry, buffer, size, &found);
	if (found != NULL)
		return NSS_STATUS_SUCCESS;
	if (*error == 0)
		return NSS_STATUS_NOTFOUND;
	return *error == ERANGE ? NSS_STATUS_TRYAGAIN : NSS_STATUS_UNAVAIL;
}

// The same for the groups that a name is in. glibc does not tell whether the service answered. Returns how many there
// are, own among them; more than size: not all are in gids.
static int shadowsync_groups(const char *service, const char *name, gid_t own, gid_t *gids, int size)
{
	__nss_configure_lookup("initgroups", service);
	__nss_configure_lookup("group", service); // else nscd(8) would be asked
	getgrouplist(name, own, gids, &size);
	return size;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
)

// modules asks each service itself, by the functions of its module. They tell apart what getent(1), getgrouplist(3) and
// os/user do not: that there is none, and that the service does not answer.
//
// glibc is asked only about local services, of which some have no module. It answers for one service alone, and that is
// set for the whole process: only a worker may ask, and one at a time.
type modules struct {
	folder string // empty: where the linker finds libraries
}

// mostBytes bounds an answer: a group is there with all its members.
const mostBytes = 16 << 20

func (m modules) person(service string, k key) (p shadowfile.Person, err error) {
	function, err := m.function(service, "getpwnam_r", "getpwuid_r", k)
	if err != nil {
		return p, err
	}
	err = entry(func(at *C.struct_passwd, name *C.char, buffer *C.char, size C.size_t, errno *C.int) C.int {
		return C.shadowsync_entry(function, name, C.id_t(k.id), unsafe.Pointer(at), buffer, size, errno)
	}, k, func(at *C.struct_passwd) {
		full, _, _ := strings.Cut(C.GoString(at.pw_gecos), ",")
		p = shadowfile.Person{
			Name: C.GoString(at.pw_name), UID: int(at.pw_uid), GID: int(at.pw_gid),
			FullName: full, Home: C.GoString(at.pw_dir), Shell: C.GoString(at.pw_shell),
		}
	})
	return p, err
}

func (m modules) group(service string, k key) (g group, err error) {
	read := func(at *C.struct_group) { g = group{C.GoString(at.gr_name), int(at.gr_gid)} }
	if slices.Contains(local, service) {
		of := C.CString(service)
		defer C.free(unsafe.Pointer(of))
		err = entry(func(at *C.struct_group, name *C.char, buffer *C.char, size C.size_t, errno *C.int) C.int {
			return C.shadowsync_group(of, name, C.gid_t(k.id), at, buffer, size, errno)
		}, k, read)
		if err != nil && service != "files" && service != "compat" {
			err = errMissing // the others are often there without their files: they are silent for ever
		}
		return g, err
	}
	function, err := m.function(service, "getgrnam_r", "getgrgid_r", k)
	if err != nil {
		return g, err
	}
	err = entry(func(at *C.struct_group, name *C.char, buffer *C.char, size C.size_t, errno *C.int) C.int {
		return C.shadowsync_entry(function, name, C.id_t(k.id), unsafe.Pointer(at), buffer, size, errno)
	}, k, read)
	return g, err
}

func (m modules) memberships(service, name string, own int) ([]int, error) {
	if slices.Contains(local, service) {
		return m.added(service, name, own)
	}
	function, err := m.function(service, "initgroups_dyn", "", key{name: name})
	if errors.Is(err, errNoFunction) {
		return m.added(service, name, own) // from all groups of the service
	}
	if err != nil {
		return nil, err
	}
	of := C.CString(name)
	defer C.free(unsafe.Pointer(of))
	var gids *C.gid_t
	var count C.long
	status := C.shadowsync_member(function, of, C.gid_t(own), &gids, &count)
	defer C.free(unsafe.Pointer(gids))
	switch status {
	case C.NSS_STATUS_SUCCESS:
		return numbers(unsafe.Slice(gids, count)), nil
	case C.NSS_STATUS_NOTFOUND:
		return nil, errMissing
	}
	return nil, errSilent
}

// added has glibc ask a service. Only another question tells whether the service answers.
func (m modules) added(service, name string, own int) ([]int, error) {
	of, whose := C.CString(service), C.CString(name)
	defer C.free(unsafe.Pointer(of))
	defer C.free(unsafe.Pointer(whose))
	gids := make([]C.gid_t, 64)
	var count int
	for {
		count = int(C.shadowsync_groups(of, whose, C.gid_t(own), &gids[0], C.int(len(gids))))
		if count <= len(gids) {
			break
		}
		gids = make([]C.gid_t, count)
	}
	if _, err := m.group(service, probe); err != nil && !errors.Is(err, errMissing) {
		return nil, err
	}
	if count <= 1 { // own alone
		return nil, errMissing
	}
	return numbers(gids[:count]), nil
}

func numbers(gids []C.gid_t) []int {
	all := make([]int, 0, len(gids))
	for _, gid := range gids {
		all = append(all, int(gid))
	}
	return all
}

// errNoFunction: a service has nothing to do with a database.
var errNoFunction = fmt.Errorf("it does not serve that: %w", errMissing)

// function finds the function of a service's module for a key. Without the module, glibc goes on without the service.
func (m modules) function(service, byName, byID string, k key) (unsafe.Pointer, error) {
	library := C.CString(m.folder + "libnss_" + service + ".so.2")
	defer C.free(unsafe.Pointer(library))
	var why [256]C.char
	module := C.shadowsync_load(library, &why[0], C.size_t(len(why)))
	if module == nil {
		text := C.GoString(&why[0])
		if strings.HasSuffix(text, "No such file or directory") {
			return nil, errMissing
		}
		return nil, fmt.Errorf("its module cannot be loaded: %s", text)
	}
	what := byName
	if k.name == "" {
		what = byID
	}
	symbol := C.CString("_nss_" + service + "_" + what)
	defer C.free(unsafe.Pointer(symbol))
	if function := C.dlsym(module, symbol); function != nil {
		return function, nil
	}
	return nil, errNoFunction
}

// entry asks with buffers that grow, and has the answer read while its buffer is there.
func entry[T any](ask func(at *T, name, buffer *C.char, size C.size_t, errno *C.int) C.int, k key, read func(*T)) error {
	var name *C.char
	if k.name != "" {
		name = C.CString(k.name)
		defer C.free(unsafe.Pointer(name))
	}
	at := C.malloc(C.size_t(unsafe.Sizeof(*new(T))))
	defer C.free(at)
	for size := C.size_t(4 << 10); size <= mostBytes; size *= 4 {
		var errno C.int
		buffer := C.malloc(size)
		status := ask((*T)(at), name, (*C.char)(buffer), size, &errno)
		if status == C.NSS_STATUS_SUCCESS {
			read((*T)(at))
		}
		C.free(buffer)
		switch {
		case status == C.NSS_STATUS_SUCCESS:
			return nil
		case status == C.NSS_STATUS_NOTFOUND:
			return errMissing
		case status != C.NSS_STATUS_TRYAGAIN || errno != C.ERANGE:
			return errSilent
		}
	}
	return fmt.Errorf("its answer has more than %d MiB", mostBytes>>20)
}
