package setup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
)

// TestShells: setup adds the line once, and remove leaves the file byte for byte as it was.
func TestShells(t *testing.T) {
	const absent = "\x00"
	for _, tt := range []struct{ name, before, with, meanwhile, after string }{
		{"Debian's", "# shells\n/bin/sh\n", "# shells\n/bin/sh\n/usr/bin/pcli\n", "", "# shells\n/bin/sh\n"},
		{"not ended", "/bin/sh", "/bin/sh\n/usr/bin/pcli\n", "", "/bin/sh"},
		{"empty", "", "/usr/bin/pcli\n", "", ""},
		{"absent", absent, "/usr/bin/pcli\n", "", absent},
		{"by somebody else", "/usr/bin/pcli\n/bin/sh\n", "/usr/bin/pcli\n/bin/sh\n", "", "/usr/bin/pcli\n/bin/sh\n"},
		{"more since", "/bin/sh\n", "/bin/sh\n/usr/bin/pcli\n", "/bin/zsh\n", "/bin/sh\n/bin/zsh\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, shellsFile)
			for _, folder := range []string{"etc", "usr/bin", "var/lib"} {
				if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(root, "usr/bin/pcli"), "#!/bin/sh\n", 0o755)
			write(t, filepath.Join(root, "etc/passwd"), "", 0o644)
			write(t, filepath.Join(root, "etc/group"), "", 0o644)
			if tt.before != absent {
				write(t, path, tt.before, 0o644)
			}
			j := newJob(Options{Root: root})
			defer j.ledger.close()
			j.config = &config.Config{Users: config.Users{Shells: []string{"/usr/bin/pcli"}}}
			for range 2 {
				if err := j.runStep(t.Context(), j.shells()); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, path, tt.with)
			if tt.meanwhile != "" {
				write(t, path, tt.with+tt.meanwhile, 0o644)
			}
			r := removal{job: j}
			if err := r.look(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if err := r.runStep(t.Context(), r.noShell()); err != nil {
				t.Fatal(err)
			}
			if tt.after != absent {
				expect(t, path, tt.after)
			} else if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("a file is left: %v", err)
			}
		})
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is %q, %v; want %q", path, got, err, want)
	}
}

// What a managed account has before it gets pcli is what it gets back, unless that is gone or the name is another
// account's now.
func TestFormerShells(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"etc", "usr/bin", "bin", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"usr/bin/pcli", "bin/bash", "bin/zsh", "bin/sh"} {
		write(t, filepath.Join(root, program), "#!/bin/sh\n", 0o755)
	}
	passwd := filepath.Join(root, "etc/passwd")
	write(t, passwd, "admin:x:1000:1000::/home/admin:/bin/bash\nuser222:x:1001:1001::/home/user222:/bin/zsh\nother:x:1002:1002::/:/bin/zsh\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "", 0o644)
	j := newJob(Options{Root: root})
	defer j.ledger.close()
	j.config = &config.Config{
		Users:        config.Users{Shells: []string{"/usr/bin/pcli"}},
		Applications: []config.Application{{Name: "conductor", Accounts: []string{"admin", "user222", "missing"}}},
	}
	if err := j.runStep(t.Context(), j.shells()); err != nil {
		t.Fatal(err)
	}
	if due, err := j.shellsStepDue(t.Context()); err != nil || due {
		t.Errorf("all is on record, and due is %v, %v", due, err)
	}
	write(t, passwd, "admin:x:1000:1000::/home/admin:/usr/bin/pcli\nuser222:x:2001:1001::/home/user222:/usr/bin/pcli\nother:x:1002:1002::/:/opt/bin/pcli\n", 0o644)
	if due, err := j.shellsStepDue(t.Context()); err != nil || due {
		t.Errorf("pcli is no shell to be recorded, and due is %v, %v", due, err)
	}
	r := removal{job: j}
	operators, err := r.operators(t.Context())
	if err != nil || len(operators) != 3 {
		t.Fatalf("%+v, %v", operators, err)
	}
	former := r.formerShells(t.Context())
	for i, want := range []string{"/bin/bash", "/bin/sh", "/bin/sh"} {
		if got, why := r.shellFor(operators[i], former); got != want {
			t.Errorf("%s gets %s (%s), want %s", operators[i].Name, got, why, want)
		}
	}
	if err := r.runStep(t.Context(), r.giveShells()); err != nil {
		t.Fatal(err)
	}
	expect(t, passwd, "admin:x:1000:1000::/home/admin:/bin/bash\nuser222:x:2001:1001::/home/user222:/bin/sh\nother:x:1002:1002::/:/bin/sh\n")
	if err := os.Remove(filepath.Join(root, "bin/bash")); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.shellFor(operators[0], former); got != "/bin/sh" {
		t.Errorf("with bash gone, admin gets %s", got)
	}
}
