package barrier

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestBefore(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	today := shadowsync.Day(now.Unix() / 86400)
	free := shadowsync.Credential{Expire: shadowsync.NoDay}
	for name, tt := range map[string]struct {
		credential shadowsync.Credential
		shell      string
		files      map[string]string
		want       string
	}{
		"nothing":         {free, "/bin/sh", nil, ""},
		"no shell":        {free, "", nil, ""},
		"locked":          {shadowsync.Credential{Locked: true, Expire: shadowsync.NoDay}, "/bin/sh", nil, "still locked: shadowsync user unlock admin"},
		"expired":         {shadowsync.Credential{Expire: today}, "/bin/sh", nil, "still expired since 2026-11-28: shadowsync user unlock admin"},
		"expires":         {shadowsync.Credential{Expire: today + 1}, "/bin/sh", nil, ""},
		"nologin":         {free, "/usr/sbin/nologin", nil, "its shell /usr/sbin/nologin does not allow logins: chsh -s /bin/bash admin"},
		"false":           {free, "/bin/false", nil, "its shell /bin/false does not allow logins: chsh -s /bin/bash admin"},
		"no such shell":   {free, "/bin/gone", nil, "its shell /bin/gone does not exist: chsh -s /bin/bash admin"},
		"unlisted":        {free, "/bin/odd", map[string]string{"bin/odd": ""}, "its shell /bin/odd is not in /etc/shells, so that some services refuse it: sed -i '$a /bin/odd' /etc/shells"},
		"nologin file":    {free, "/bin/sh", map[string]string{"etc/nologin": "later"}, "only root can log in until /etc/nologin is removed: cat /etc/nologin"},
		"booting":         {free, "/bin/sh", map[string]string{"run/nologin": "later"}, "only root can log in until /run/nologin is removed: cat /run/nologin"},
		"refused":         {free, "/bin/sh", map[string]string{"var/run/faillock/admin": refused(3)}, "3 refused passwords count against it, which may keep it out (pam_faillock): shadowsync user unlock admin"},
		"locked, nologin": {shadowsync.Credential{Locked: true, Expire: shadowsync.NoDay}, "/bin/false", nil, "still locked: shadowsync user unlock admin,its shell /bin/false does not allow logins: chsh -s /bin/bash admin"},
	} {
		root := t.TempDir()
		write := func(path, text string) {
			if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("etc/passwd", "xadmin:x:1:1:::/bin/false\nadmin:x:1000:1000:::"+tt.shell+"\n")
		write("etc/shells", "/bin/sh")
		write("bin/sh", "")
		for path, text := range tt.files {
			write(path, text)
		}
		var got []string
		for _, b := range Of(root).Before(shadowsync.Account{Name: "admin", UID: 1000, Credential: tt.credential}, now) {
			got = append(got, fmt.Sprint(b))
		}
		if strings.Join(got, ",") != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// refused returns n records of pam_faillock(8).
func refused(n int) string {
	record := make([]byte, 64)
	record[54] = 1
	return strings.Repeat(string(record), n)
}
