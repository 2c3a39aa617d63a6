package crypt

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// ErrLoginDefs says that login.defs is not a proper file or cannot be understood.
var ErrLoginDefs = errors.New("unusable login.defs")

// maxLoginDefs is the largest login.defs that is read, in bytes; real ones have 15 KB.
const maxLoginDefs = 1 << 20

// MethodFromLoginDefs returns how the system below root makes new hashes, by ENCRYPT_METHOD of its
// /etc/login.defs. If that is unset, or the file is missing, the method is yescrypt: the default of
// login.defs(5) would be DES, which ignores all but eight characters. If the file names DES, the
// method is DES, and then Generate fails.
//
// The cost is the highest that the file names, as pam_unix takes it: SHA_CRYPT_MAX_ROUNDS,
// BCRYPT_MAX_ROUNDS or their MIN, YESCRYPT_COST_FACTOR. A cost out of range is moved into the
// range, as shadow-utils does. A hash option on the pam_unix line overrides login.defs, but not in
// this function.
func MethodFromLoginDefs(root string) (Method, error) {
	settings, err := readLoginDefs(root)
	if errors.Is(err, fs.ErrNotExist) {
		return Method{Format: format.Yescrypt}, nil
	}
	var m Method
	if err == nil {
		m, err = methodOf(settings)
	}
	if err != nil {
		return Method{}, fmt.Errorf("cannot tell the hash method of the system: %w", err)
	}
	return m, nil
}

// methods maps ENCRYPT_METHOD, in upper case, to a format and the settings of its cost. BLOWFISH
// and GOST_YESCRYPT are names that pam_unix uses.
var methods = map[string]struct {
	format format.Format
	costs  []string
}{
	"YESCRYPT":      {format.Yescrypt, []string{"YESCRYPT_COST_FACTOR"}},
	"GOST_YESCRYPT": {format.GostYescrypt, []string{"YESCRYPT_COST_FACTOR"}},
	"BCRYPT":        {format.Bcrypt, []string{"BCRYPT_MIN_ROUNDS", "BCRYPT_MAX_ROUNDS"}},
	"BLOWFISH":      {format.Bcrypt, []string{"BCRYPT_MIN_ROUNDS", "BCRYPT_MAX_ROUNDS"}},
	"SHA512":        {format.SHA512, []string{"SHA_CRYPT_MIN_ROUNDS", "SHA_CRYPT_MAX_ROUNDS"}},
	"SHA256":        {format.SHA256, []string{"SHA_CRYPT_MIN_ROUNDS", "SHA_CRYPT_MAX_ROUNDS"}},
	"MD5":           {format: format.MD5},
	"DES":           {format: format.DES},
}

func methodOf(settings map[string]string) (Method, error) {
	name := cmp.Or(settings["ENCRYPT_METHOD"], "YESCRYPT")
	method, ok := methods[strings.ToUpper(name)]
	if !ok {
		return Method{}, fmt.Errorf("%w: unknown ENCRYPT_METHOD %q", ErrLoginDefs, name)
	}
	m := Method{Format: method.format}
	for _, key := range method.costs {
		value, ok := settings[key]
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return Method{}, fmt.Errorf("%w: %s is not a number: %q", ErrLoginDefs, key, value)
		}
		m.Cost = max(m.Cost, int(n))
	}
	if lowest, highest := costRange(m.Format); m.Cost != 0 {
		m.Cost = min(max(m.Cost, lowest), highest)
	}
	return m, nil
}

// readLoginDefs returns the settings of etc/login.defs below root.
func readLoginDefs(root string) (map[string]string, error) {
	file, err := inroot.OpenRegular(root, "etc/login.defs", 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLoginDefs, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxLoginDefs {
		return nil, fmt.Errorf("%w: no regular file of at most %d bytes", ErrLoginDefs, maxLoginDefs)
	}
	return parseLoginDefs(io.LimitReader(file, maxLoginDefs))
}

// parseLoginDefs reads the lines as shadow-utils does: a name, blanks, a value that may be quoted.
// If two lines have the same name, the last counts.
func parseLoginDefs(r io.Reader) (map[string]string, error) {
	settings := make(map[string]string)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		i := strings.IndexAny(line, " \t")
		if i < 0 || line[0] == '#' {
			continue
		}
		value, _, _ := strings.Cut(strings.TrimLeft(line[i:], " \t\""), `"`)
		settings[line[:i]] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLoginDefs, err)
	}
	return settings, nil
}
