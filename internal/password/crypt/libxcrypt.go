package crypt

/*
#cgo LDFLAGS: -lcrypt
#cgo noescape shadowsync_crypt
#cgo nocallback shadowsync_crypt
#cgo noescape shadowsync_gensalt
#cgo nocallback shadowsync_gensalt
#include <crypt.h>
#include <errno.h>
#include <string.h>

// Hashes a token of len bytes into output, of CRYPT_OUTPUT_SIZE bytes. Returns 0
// or an errno. crypt_r(3) needs a copy of the token that ends with NUL; it is the
// only copy, and this function erases it before it returns.
static int shadowsync_crypt(const void *token, size_t len, const char *setting, char *output)
{
	struct crypt_data data;
	int error = 0;

	if (len >= sizeof data.input)
		return ERANGE;
	memset(&data, 0, sizeof data);
	if (len > 0)
		memcpy(data.input, token, len);
	errno = 0;
	// On failure crypt_r returns "*…" or NULL, as libcrypt was built with failure tokens or without.
	if (crypt_r(data.input, setting, &data) == NULL || data.output[0] == '*')
		error = errno ? errno : EINVAL;
	else
		memcpy(output, data.output, sizeof data.output);
	explicit_bzero(&data, sizeof data);
	return error;
}

// Writes a new setting, with a salt from the kernel, into output, of
// CRYPT_GENSALT_OUTPUT_SIZE bytes. Returns 0 or an errno.
static int shadowsync_gensalt(const char *prefix, unsigned long cost, char *output)
{
	errno = 0;
	if (crypt_gensalt_rn(prefix, cost, NULL, 0, output, CRYPT_GENSALT_OUTPUT_SIZE) != NULL)
		return 0;
	return errno ? errno : EINVAL;
}
*/
import "C"

import (
	"bytes"
	"fmt"
	"syscall"
	"unsafe"
)

// libxcrypt computes every hash that the OS's libcrypt supports.
type libxcrypt struct{}

func (libxcrypt) Generate(key, setting []byte) (string, error) {
	var output [C.CRYPT_OUTPUT_SIZE]byte
	setting = append(bytes.Clone(setting), 0)
	errno := C.shadowsync_crypt(
		unsafe.Pointer(unsafe.SliceData(key)), C.size_t(len(key)),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(setting))), (*C.char)(unsafe.Pointer(&output)))
	if errno != 0 {
		return "", fmt.Errorf("libcrypt: %w", syscall.Errno(errno))
	}
	return string(untilNUL(output[:])), nil
}

// gensalt returns a new setting for prefix at the given cost; 0 is libxcrypt's
// default.
func gensalt(prefix string, cost int) ([]byte, error) {
	var output [C.CRYPT_GENSALT_OUTPUT_SIZE]byte
	terminated := append([]byte(prefix), 0)
	errno := C.shadowsync_gensalt((*C.char)(unsafe.Pointer(unsafe.SliceData(terminated))),
		C.ulong(cost), (*C.char)(unsafe.Pointer(&output)))
	if errno != 0 {
		return nil, fmt.Errorf("libcrypt: %w", syscall.Errno(errno))
	}
	return untilNUL(output[:]), nil
}

func untilNUL(b []byte) []byte {
	s, _, _ := bytes.Cut(b, []byte{0})
	return s
}
