package crypt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
)

// pamMethods are pam_unix(8)'s hash options.
var pamMethods = map[string]format.Format{
	"yescrypt": format.Yescrypt, "gost_yescrypt": format.GostYescrypt, "blowfish": format.Bcrypt,
	"sha512": format.SHA512, "sha256": format.SHA256, "md5": format.MD5,
}

// MethodOfSystem returns how passwd(1) of the system below root makes new hashes: by the hash
// option on the pam_unix line of its password stack, with its rounds= (the last option counts);
// without one, as MethodFromLoginDefs says.
func MethodOfSystem(root string) (Method, error) {
	lines, err := pamstack.Passwd(root)
	if err != nil {
		return Method{}, fmt.Errorf("cannot tell the hash method of the system: %w", err)
	}
	line, _ := pamstack.First(lines, func(l pamstack.Line) bool { return l.Module == "pam_unix.so" })
	if m, found := methodFromOptions(line.Args); found {
		return m, nil
	}
	return MethodFromLoginDefs(root)
}

// methodFromOptions moves rounds= into the format's range, as pam_unix does.
func methodFromOptions(options []string) (m Method, found bool) {
	rounds := 0
	for _, o := range options {
		if f, ok := pamMethods[o]; ok {
			m.Format, found = f, true
		}
		if value, ok := strings.CutPrefix(o, "rounds="); ok {
			rounds, _ = strconv.Atoi(value) // like pam_unix, it ignores what is not a number
		}
	}
	if lowest, highest := costRange(m.Format); rounds > 0 && highest > 0 {
		m.Cost = min(max(rounds, lowest), highest)
	}
	return m, found
}
