package newcomer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// named are the folders in which a file named like an account belongs to that account.
var named = []string{
	"/var/mail", "/var/spool/mail",
	"/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs",
	"/var/lib/systemd/linger",
	"/var/lib/AccountsService/users", "/var/lib/AccountsService/icons",
	"/etc/sudoers.d", "/run/sudo/ts", "/var/lib/sudo/ts", // with a time stamp, sudo asks for no password
	"/var/lib/extrausers",
}

// home returns why the account's home cannot be created. Whatever exists there, even a link or a
// mount, belongs to somebody and may hold keys. In a folder that others may write to, the same
// could appear later.
func (n Newcomer) home(root string) (string, error) {
	if found, err := there(root, n.Home); found || err != nil {
		return fmt.Sprintf("%s is there already", n.Home), err
	}
	folder := filepath.Dir(n.Home)
	info, err := inroot.Stat(root, folder)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Sprintf("users other than root may write to %s", folder), nil
	}
	return "", nil
}

// leftOf returns what an earlier account of that name left behind.
func leftOf(root, name string) (string, error) {
	for _, folder := range named {
		path := filepath.Join(folder, name)
		info, err := inroot.Lstat(root, path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() && folder == "/var/spool/cron" { // "crontabs"
			continue
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s belonged to another %s", path, name), nil
	}
	if path, err := keysOf(root, name); path != "" || err != nil {
		return fmt.Sprintf("%s belonged to another %s", path, name), err
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := inroot.ReadFile(root, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if strings.Contains("\n"+string(text), "\n"+name+":") {
			return fmt.Sprintf("%s still has a range of another %s", file, name), nil
		}
	}
	census, err := shadowfile.Count(context.Background(), root)
	if err != nil {
		return "", err
	}
	return groupOf(census, name), nil
}

// keyFiles matches where sshd(8) looks for an account's keys and principals.
var keyFiles = pattern(`(?mi)^\s*Authorized(?:Keys|Principals)File\s+(.*)$`)

// keysOf returns a file outside homes with keys for an account of that name; empty: there is none.
func keysOf(root, name string) (string, error) {
	configuration, err := source{"/etc/ssh/sshd_config.d", ".conf", server}.files(root)
	if err != nil {
		return "", err
	}
	for _, file := range append(configuration, "/etc/ssh/sshd_config") {
		text, err := content(root, file)
		if err != nil {
			return "", err
		}
		for _, found := range keyFiles().FindAllStringSubmatch(text, -1) {
			for _, path := range strings.Fields(found[1]) {
				if path = strings.Trim(path, `"`); !strings.HasPrefix(path, "/") || !strings.Contains(path, "%u") {
					continue // in the home, which is new, or shared by all accounts
				}
				path = strings.ReplaceAll(path, "%u", name)
				if kept, err := there(root, path); kept || err != nil {
					return path, err
				}
			}
		}
	}
	return "", nil
}

// owned are the folders in which a file belongs to an account by its uid.
var owned = []string{
	"/var/mail", "/var/spool/mail", "/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/atjobs", "/var/spool/at",
	"/tmp", "/var/tmp", "/dev/shm", "/run/user",
}

// leftOfUID returns what a new account would own because it has the uid of a removed one. It does
// not search the whole disk: that may have millions of files, and an operator waits.
func leftOfUID(root string, uid int, home string) (string, error) {
	for _, folder := range append([]string{filepath.Dir(home)}, owned...) {
		list, err := entries(root, folder)
		if err != nil {
			return "", err
		}
		for _, entry := range list {
			path := filepath.Join(folder, entry.Name)
			info, err := inroot.Lstat(root, path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return "", err
			}
			// useradd has created the home and the mail spool.
			if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid && path != home && entry.Name != filepath.Base(home) {
				return fmt.Sprintf("%s belonged to another account of uid %d", path, uid), nil
			}
		}
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := inroot.ReadFile(root, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if strings.Contains("\n"+string(text), "\n"+strconv.Itoa(uid)+":") {
			return fmt.Sprintf("%s still has a range of another account of uid %d", file, uid), nil
		}
	}
	running, err := origin.UIDs()
	if err != nil {
		return "", err
	}
	if running[uid] {
		return fmt.Sprintf("processes of another account of uid %d are running", uid), nil
	}
	return "", nil
}
