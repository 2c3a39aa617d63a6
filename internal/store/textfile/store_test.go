package textfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// TestWrittenInTheFuture: a file that was written in place before the clock was set back is not taken for one that is
// being written until the clock is there again.
func TestWrittenInTheFuture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	write := func(text string) *safefile.Content {
		future := time.Now().Add(time.Hour)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, future, future); err != nil {
			t.Fatal(err)
		}
		folder, err := safefile.Place{Path: path}.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		content, err := folder.Read()
		if err != nil {
			t.Fatal(err)
		}
		content.InPlace = true // no test sets the clock back
		return content
	}
	s, first := Store{Loose: true}, sighting{}
	content := write("one")
	if !s.unsettled(content, recently, &first) {
		t.Error("it is settled when it is seen for the first time")
	}
	eventually.Holds(t, "the file that stays as it is to be settled", func() bool { return !s.unsettled(content, recently, &first) })
	if !s.unsettled(write("two"), recently, &first) {
		t.Error("another content is settled")
	}
}
