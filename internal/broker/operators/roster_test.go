package operators

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// crew makes a machine with these managed accounts: administrators in capitals, locked ones with a
// "!" in front, expired ones with a "-".
func crew(t *testing.T, members ...string) (*Server, func(...string)) {
	t.Helper()
	root := t.TempDir()
	var names []string
	muster := func(members ...string) {
		t.Helper()
		files := map[string]string{"group": "operators:x:50:"}
		names = nil
		for i, m := range members {
			name := strings.ToLower(strings.Trim(m, "!-"))
			hash, expire := "$6$x$y", ""
			if m[0] == '!' {
				hash = "!" + hash
			}
			if m[0] == '-' {
				expire = "1"
			}
			files["passwd"] += fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", name, 1000+i, 1000+i)
			files["shadow"] += fmt.Sprintf("%s:%s:20000:::::%s:\n", name, hash, expire)
			if strings.Trim(m, "!-") != name {
				files["group"] += name + ","
			}
			names = append(names, `"`+name+`"`)
		}
		files["group"] = strings.TrimSuffix(files["group"], ",") + "\n"
		for name, text := range files {
			path := filepath.Join(root, "etc", name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	muster(members...)
	// One more managed account, which the OS does not have.
	c, err := config.Parse([]byte("[roles]\nadmin = [\"operators\"]\n[[application]]\nunit = \"a.service\"\naccounts = [\"ghost\", " + strings.Join(names, ", ") + "]\n"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), engine.Options{Root: root, Config: c, Program: "test", StoreTimeout: time.Second, Guard: engine.NoGuard{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return New(Options{Dialogues: &Dialogues{}}).with(e), muster
}

func by(name string) *call {
	return &call{asker: asker{name: name, uid: 2000, role: operator.RoleAdmin}}
}

// Only root may lock out its own account or the last administrator.
func TestMayRemove(t *testing.T) {
	root := &call{asker: asker{name: "root", role: operator.RoleAdmin}}
	tests := []struct {
		name string
		by   *call
		crew string
		whom string
		may  bool
	}{
		{"a user", by("admin"), "ADMIN user", "user", true},
		{"oneself", by("admin"), "ADMIN USER", "admin", false},
		{"the last administrator", by("boss"), "ADMIN user", "admin", false},
		{"one of two", by("boss"), "ADMIN USER", "admin", true},
		{"one of two, the other locked", by("boss"), "ADMIN !USER", "admin", false},
		{"one of two, the other expired", by("boss"), "ADMIN -USER", "admin", false},
		{"one who is locked", by("boss"), "ADMIN !USER", "user", true},
		{"the last one, who is locked", by("boss"), "!ADMIN user", "admin", false},
		{"another, while locked oneself", by("admin"), "!ADMIN USER MORE", "user", false},
		{"a user, while locked oneself", by("admin"), "!ADMIN user MORE", "user", false},
		{"root, the last one", root, "ADMIN user", "admin", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := crew(t, strings.Fields(tt.crew)...)
			done, err := o.mayRemove(t.Context(), tt.by, tt.whom)
			if (err == nil) != tt.may {
				t.Errorf("got %v", err)
			}
			if o.Dialogues.InProgress() != (err == nil) { // or the broker could start again now
				t.Errorf("a change in progress: %v", o.Dialogues.InProgress())
			}
			if err == nil {
				done()
			}
			if len(o.roster) != 0 {
				t.Error("the turn was not given back")
			}
		})
	}
}

// Two administrators lock each other at once: the second sees the first one's change.
func TestMayRemoveOneAtATime(t *testing.T) {
	o, muster := crew(t, "ADMIN", "USER")
	done, err := o.mayRemove(t.Context(), by("admin"), "user")
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		_, err := o.mayRemove(t.Context(), by("user"), "admin")
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("the second did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	muster("ADMIN", "!USER")
	done()
	if err := <-second; err == nil {
		t.Error("nobody is left")
	}
}
