package accountworker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/newcomer"
)

// An empty mail spool goes with its account, because it would keep the name from being used again;
// mail stays.
func TestRemoveEmptyMail(t *testing.T) {
	root := t.TempDir()
	spool := filepath.Join(root, "var/mail")
	if err := os.MkdirAll(spool, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "full": "From root\n"} {
		if err := os.WriteFile(filepath.Join(spool, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"empty": "", "full": "/var/mail/full", "none": ""} {
		if left, err := removeEmptyMail(root, name); left != want || err != nil {
			t.Errorf("%s: left %q, %v", name, left, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(spool, "empty")); !os.IsNotExist(err) {
		t.Errorf("the empty one: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(spool, "full")); err != nil {
		t.Error(err)
	}
}

// No account gets the uid of a home that was kept, however many there are.
func TestNextUID(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	homes := t.TempDir()
	const first, kept = 61000, 40
	for uid := first; uid < first+kept; uid++ {
		home := filepath.Join(homes, "gone"+string(rune('a'+uid%26))+string(rune('a'+uid/26%26)))
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(home, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	a := Arrival{Newcomer: newcomer.Newcomer{Name: "next", Home: filepath.Join(homes, "next")}}
	if uid, err := a.nextUID(first - 1); uid != first+kept || err != nil {
		t.Errorf("the next uid is %d, %v; want %d", uid, err, first+kept)
	}
}
