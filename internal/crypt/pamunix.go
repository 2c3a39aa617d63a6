package crypt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/inroot"
)

// ErrPAM says that a password stack is no proper file.
var ErrPAM = errors.New("unusable PAM configuration")

// passwordStacks are where pam_unix(8) stands that passwd uses: Debian's file, and
// Fedora's two, which are the same in what counts here. The first that is there counts.
var passwordStacks = []string{"etc/pam.d/common-password", "etc/pam.d/system-auth", "etc/pam.d/password-auth"}

// maxStack is the size in bytes above which a stack is not read; real ones have 2 KB.
const maxStack = 1 << 20

// pamMethods are pam_unix(8)'s hash options.
var pamMethods = map[string]format.Format{
	"yescrypt": format.Yescrypt, "gost_yescrypt": format.GostYescrypt, "blowfish": format.Bcrypt,
	"sha512": format.SHA512, "sha256": format.SHA256, "md5": format.MD5,
}

// MethodOfSystem returns how passwd(1) of the system below root makes new hashes:
// by the hash option on the pam_unix line of its password stack, of which the
// last counts, with its rounds=; else as MethodFromLoginDefs says.
func MethodOfSystem(root string) (Method, error) {
	for _, name := range passwordStacks {
		m, found, err := methodFromStack(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Method{}, fmt.Errorf("cannot tell the hash method of the system: %w", err)
		}
		if found {
			return m, nil
		}
		break
	}
	return MethodFromLoginDefs(root)
}

func methodFromStack(root, name string) (Method, bool, error) {
	f, err := inroot.Open(root, name, os.O_RDONLY)
	if err != nil {
		return Method{}, false, fmt.Errorf("%w: %w", ErrPAM, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Method{}, false, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxStack {
		return Method{}, false, fmt.Errorf("%w: %s is no regular file of at most %d bytes", ErrPAM, name, maxStack)
	}
	return parseStack(io.LimitReader(f, maxStack))
}

// parseStack finds the hash option of the first line of type password for
// pam_unix, as libpam reads lines: "\" at the end joins the next one.
func parseStack(r io.Reader) (m Method, found bool, err error) {
	lines := bufio.NewScanner(r)
	var line string
	for lines.Scan() {
		part, _, _ := strings.Cut(lines.Text(), "#")
		if joined, more := strings.CutSuffix(part, `\`); more {
			line += joined + " "
			continue
		}
		options, ours := unixOptions(line + part)
		line = ""
		if ours {
			m, found = methodFromOptions(options)
			return m, found, nil
		}
	}
	if err := lines.Err(); err != nil {
		return m, false, fmt.Errorf("%w: %v", ErrPAM, err)
	}
	return m, false, nil
}

// unixOptions are the options of a line "password control pam_unix.so options".
// The control may be a list in brackets, with blanks in it; a type may have "-" before it.
func unixOptions(line string) (options []string, ours bool) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
	if !strings.EqualFold(strings.TrimPrefix(kind, "-"), "password") {
		return nil, false
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "[") {
		_, rest, _ = strings.Cut(rest, "]")
	} else {
		_, rest, _ = strings.Cut(rest, " ")
	}
	words := strings.Fields(rest)
	if len(words) == 0 || path.Base(words[0]) != "pam_unix.so" {
		return nil, false
	}
	return words[1:], true
}

// methodFromOptions moves rounds= into the format's range, as pam_unix does.
func methodFromOptions(options []string) (m Method, found bool) {
	rounds := 0
	for _, o := range options {
		if f, ok := pamMethods[o]; ok {
			m.Format, found = f, true
		}
		if value, ok := strings.CutPrefix(o, "rounds="); ok {
			rounds, _ = strconv.Atoi(value) // as pam_unix: what is no number does not count
		}
	}
	if lowest, highest := costRange(m.Format); rounds > 0 && highest > 0 {
		m.Cost = min(max(rounds, lowest), highest)
	}
	return m, found
}
