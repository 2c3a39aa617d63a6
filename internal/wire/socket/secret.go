package socket

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// seals make a memfd constant (fcntl(2), "File Sealing"): no process that has it can change it,
// truncate it, or remove the seals.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// ErrNotSealed means that a descriptor is not a memfd sealed against every change.
var ErrNotSealed = errors.New("the descriptor is not a sealed memfd")

// SealedMemfd creates an anonymous file in memory that holds token and can never change again. The
// caller still owns token and should [Wipe] it.
func SealedMemfd(token []byte) (*os.File, error) {
	fd, err := memfd()
	if err != nil {
		return nil, fmt.Errorf("cannot make a memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	if err := fillAndSeal(f, token); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot seal a memfd: %w", err), f.Close())
	}
	return f, nil
}

// memfd creates a memfd that can never be executed, because the sysctl vm.memfd_noexec may require
// that. Kernels before 6.3 refuse this with EINVAL; there it creates a plain one.
func memfd() (int, error) {
	const name, mode = "secret", unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, mode|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		return unix.MemfdCreate(name, mode)
	}
	return fd, err
}

func fillAndSeal(f *os.File, token []byte) error {
	if _, err := f.Write(token); err != nil {
		return err
	}
	return control(f, func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		return err
	})
}

// ReadSecret reads the whole of f, at most maxSize bytes. First it makes sure that f is a memfd
// with the seals that prevent its sender from changing it meanwhile; otherwise the error is
// [ErrNotSealed]. It reads nothing else, because such a read could block at the sender's will. It
// ignores the file offset, which the sender shares. The caller should [Wipe] the result.
func ReadSecret(f *os.File, maxSize int) ([]byte, error) {
	var secret []byte
	err := control(f, func(fd int) (err error) {
		secret, err = readSealed(fd, maxSize)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the secret: %w", err)
	}
	return secret, nil
}

// isSealed reports whether a descriptor is of a memfd that can never change again. EINVAL means
// that it is no memfd; a file on tmpfs has only F_SEAL_SEAL.
func isSealed(fd int) bool {
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && have&seals == seals
}

func allSealed(files []*os.File) bool {
	return !slices.ContainsFunc(files, func(f *os.File) bool {
		sealed := false
		err := control(f, func(fd int) error {
			sealed = isSealed(fd)
			return nil
		})
		return err != nil || !sealed
	})
}

func readSealed(fd, maxSize int) ([]byte, error) {
	if !isSealed(fd) {
		return nil, ErrNotSealed
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size > int64(maxSize) {
		return nil, fmt.Errorf("it has %d bytes, more than %d", st.Size, maxSize)
	}
	secret := make([]byte, st.Size)
	for done := 0; done < len(secret); {
		n, err := unix.Pread(fd, secret[done:], int64(done))
		if err == nil && n == 0 {
			err = errors.New("it ended early")
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			Wipe(secret)
			return nil, err
		}
		done += max(n, 0)
	}
	return secret, nil
}

// Wipe overwrites a secret. It is not inlined, so that the compiler cannot see that nobody reads
// the zeros and drop the write.
//
//go:noinline
func Wipe(secret []byte) { clear(secret) }
