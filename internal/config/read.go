package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// maxSize bounds the file: a hundred thousand account names fit.
const maxSize = 8 << 20

// Reasons why the file cannot be read at all, so that nothing in it can be corrected.
var (
	ErrOthersWrite = errors.New("must belong to root and be writable by nobody else")
	ErrTooLarge    = fmt.Errorf("larger than %d MiB", maxSize>>20)
)

// errNoApplication: an empty file is the result of a broken write, and not intended.
var errNoApplication = errors.New("it has no application")

// Load reads the file at path beneath the root directory. The file must belong to root, and nobody
// else may be able to write to it, because it decides which store gets which passwords. Errors are
// a *Fault.
func Load(root, path string) (*Config, error) {
	return load(root, root, path, path)
}

// LoadCandidate reads another file of the running system as if it were at path beneath root.
func LoadCandidate(root, file, path string) (*Config, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	return load("/", root, file, path)
}

func load(in, root, file, path string) (*Config, error) {
	c, err := loadFile(in, file)
	if err != nil {
		return nil, err
	}
	if err := c.takeLists(root, path); err != nil {
		return nil, err
	}
	return c, nil
}

// loadFile reads a file beneath root without the lists of accounts.
func loadFile(root, path string) (*Config, error) {
	data, err := read(root, path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &Fault{File: path, Err: ErrNotFound}
	}
	if err != nil {
		return nil, &Fault{File: path, Err: cause(err)}
	}
	c, err := decode(data)
	if err == nil && len(c.Applications) == 0 {
		err = errNoApplication
	}
	if err != nil {
		return nil, placed(path, data, err)
	}
	c.path, c.text = path, data
	return c, nil
}

// cause removes the path from an error of the kernel, because the message names it anyway.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// placed returns a fault at the line that the decoder reports, or else at the line of the key.
func placed(path string, data []byte, err error) *Fault {
	var pe toml.ParseError
	if errors.As(err, &pe) {
		return &Fault{File: path, Line: pe.Position.Line, Key: pe.LastKey, Err: errors.New(pe.Message)}
	}
	return faultIn(path, data, err)
}

func read(root, path string) ([]byte, error) {
	f, err := inroot.OpenRegular(root, path, unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, inroot.ErrNotRegular
	case st.Uid != uint32(os.Geteuid()) && st.Uid != 0, st.Mode&0o022 != 0:
		return nil, ErrOthersWrite
	case st.Size > maxSize:
		return nil, ErrTooLarge
	}
	return inroot.ReadAll(f, maxSize)
}

// shell is where make install puts pcli. The linker sets it.
var shell = "/usr/bin/pcli"

// IsPcli reports whether a login shell is the operators' shell, wherever it is installed.
func IsPcli(shell string) bool { return filepath.Base(shell) == "pcli" }

// Parse reads a configuration from its text, without the accounts that operators created.
func Parse(data []byte) (*Config, error) {
	c, err := decode(data)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("line %d: %s", pe.Position.Line, pe.Message)
		}
		return nil, err
	}
	sum := sha256.Sum256(data)
	c.Revision = hex.EncodeToString(sum[:])
	return c, c.validate()
}

// defaults returns the configuration of an empty file.
func defaults() *Config {
	return &Config{
		Guard:    Guard{Limit: Duration(10 * time.Minute)},
		Settle:   Settle{Time: Duration(time.Minute)},
		Sessions: Sessions{EndOn: []shadowsync.SeenBy{shadowsync.SeenByPAM, shadowsync.SeenByTool, shadowsync.SeenByPcli}, KeepOwn: true},
		Pcli:     Pcli{IdleTimeout: Duration(15 * time.Minute), RemovedShell: "/bin/sh"},
		Web:      Web{Idle: Duration(15 * time.Minute), Total: Duration(8 * time.Hour)},
		Users:    Users{Shells: []string{shell}, Home: "/home"},
		Password: Password{ExpiryDays: 760},

		SecondFactor: SecondFactor{Required: RequiredNobody, Days: 14},
		Notify:       Notify{User: "nobody"},
	}
}

// decode reads the text, but does not validate the values.
func decode(data []byte) (*Config, error) {
	c, meta, err := decodeText(data)
	if err != nil {
		return nil, misfit(data, err)
	}
	if err := unknownKeys(data, meta.Undecoded()); err != nil {
		return nil, err
	}
	if c.lacksTable(meta.Keys()) {
		if err := misfit(data, nil); err != nil {
			return nil, err
		}
	}
	if meta.IsDefined("web") {
		c.Web.Listen = cmp.Or(c.Web.Listen, DefaultListen)
	}
	c.spread()
	return c, nil
}

func (a *Application) fill() {
	if a.Name == "" {
		a.Name = strings.TrimSuffix(a.Unit, ".service")
	}
	if a.Start == "" {
		a.Start = StartAnyway
	}
}
