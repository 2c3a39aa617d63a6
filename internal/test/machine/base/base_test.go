package base

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPickMirror(t *testing.T) {
	tests := []struct{ name, targets, want string }{
		{
			"a Debian archive after an update, behind others",
			"https://other.example/apt/||Other|stable|main\nhttp://mirror.example/debian/|Debian|Debian|bookworm|main\n",
			"http://mirror.example/debian/",
		},
		{
			"security is another archive",
			"http://mirror.example/debian-security/|Debian|Debian-Security|bookworm-security|main\n", "",
		},
		{
			"before an update only the release's name tells",
			"http://mirror.example/debian-security/|||bookworm-security|main\nhttp://mirror.example/debian/|||bookworm|main\n",
			"http://mirror.example/debian/",
		},
		{"a release name in another component", "http://mirror.example/x/|||bookworm|extra\n", ""},
		{"another distribution", "http://archive.example/ubuntu/|Ubuntu|Ubuntu|noble|main\n", ""},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := pickMirror(test.targets); got != test.want {
				t.Errorf("pickMirror = %q, want %q", got, test.want)
			}
		})
	}
}

// Open returns an existing tree without debootstrap. It waits for a builder that holds the lock,
// but only until the context ends.
func TestOpenWaitsForTheBuilder(t *testing.T) {
	t.Setenv("SHADOWSYNC_MACHINE_CACHE", t.TempDir())
	path := filepath.Join(Cache(), baseKey(Bookworm))
	mkdir(t, path)
	builder, err := os.Create(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(builder.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var progress bytes.Buffer
	if _, err := Open(ctx, Kind{Release: Bookworm}, &progress); err == nil {
		t.Fatal("opened a tree while its builder held the lock")
	}
	if strings.Count(progress.String(), "another process builds") != 1 {
		t.Errorf("progress = %q, want the wait told once", progress.String())
	}
	_ = builder.Close()
	tree, err := Open(t.Context(), Kind{Release: Bookworm}, &progress)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if tree.Lower() != path {
		t.Errorf("tree = %s, want %s", tree.Lower(), path)
	}
}

func TestPruneKeepsWhatIsInUse(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("SHADOWSYNC_MACHINE_CACHE", cache)
	current, used, old, other, more := baseKey(Bookworm), "bookworm-used", "bookworm-old", "trixie-old", "bookworm+apps-old"
	for _, name := range []string{current, used, old, other, more} {
		mkdir(t, filepath.Join(cache, name))
	}
	user, err := os.Create(filepath.Join(cache, used+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	if err := unix.Flock(int(user.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	prune(filepath.Join(cache, current), Kind{Release: Bookworm})
	for name, kept := range map[string]bool{current: true, used: true, old: false, other: true, more: true} {
		if exists(filepath.Join(cache, name)) != kept {
			t.Errorf("%s kept = %v, want %v", name, !kept, kept)
		}
	}
}

func TestKeyTellsReleasesApart(t *testing.T) {
	if baseKey(Bookworm) == baseKey(Trixie) || !strings.HasPrefix(baseKey(Trixie), "trixie-") {
		t.Errorf("keys %s and %s", baseKey(Bookworm), baseKey(Trixie))
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}
