package socket

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// seals make a memfd a constant (fcntl(2), "File Sealing"): nobody who has it
// can change it, cut it, or undo that.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// ErrNotSealed means that a descriptor is not a memfd sealed against every change.
var ErrNotSealed = errors.New("the descriptor is not a sealed memfd")

// SealedMemfd makes an anonymous file in memory that holds token and can never change
// again. The token itself stays the caller's, to [Wipe].
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

// memfd asks for one that can never be executed, which sysctl vm.memfd_noexec
// may demand, and which kernels before 6.3 refuse with EINVAL.
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

// ReadSecret reads the whole of f, at most maxSize bytes, after making sure that it is a
// memfd with the seals that keep its sender from changing it meanwhile: [ErrNotSealed]
// otherwise. Only then is it read: reading anything else could wait for its
// maker. The file offset, which the sender shares, plays no part. The result is the caller's to [Wipe].
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

func readSealed(fd, maxSize int) ([]byte, error) {
	// EINVAL for what is no memfd; a file on tmpfs has F_SEAL_SEAL alone.
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || have&seals != seals {
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

// Wipe overwrites a secret. It is kept out of line so that the compiler cannot
// see that nobody reads the zeros.
//
//go:noinline
func Wipe(secret []byte) { clear(secret) }
