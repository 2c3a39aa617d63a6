package storeworker

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestWriteRead: what comes back is what another reader finds, of every account that was named.
func TestWriteRead(t *testing.T) {
	for _, n := range []int{3, readBackMost + 1} {
		path, names := crowd(t, t.TempDir(), n)
		c := spawn(t, path)
		before, err := c.Read(t.Context(), names)
		if err != nil {
			t.Fatal(err)
		}
		var writes []shadowsync.Write
		for _, name := range names {
			writes = append(writes, shadowsync.Write{Name: name, Expect: before.Accounts[name].Credential, Want: shadowsync.Credential{Hash: "$6$new$" + name}})
		}
		writes[1].Expect.Hash = "another"
		left, back, err := c.WriteRead(t.Context(), writes)
		if err != nil || len(left) != 1 || !errors.Is(left[names[1]], shadowsync.ErrChanged) {
			t.Fatalf("left %v, %v", left, err)
		}
		if n > readBackMost {
			if back != nil {
				t.Errorf("%d accounts were read back", n)
			}
			continue
		}
		found, err := spawn(t, path).Read(t.Context(), names)
		if err != nil || back == nil || !reflect.DeepEqual(*back, found) {
			t.Errorf("read back %+v\nfound %+v, %v", back, found, err)
		}
		if got := found.Accounts[names[0]].Hash; got != "$6$new$"+names[0] {
			t.Errorf("the store holds %q", got)
		}
	}
}

// TestWriteReadThatFails: no answer is taken for that of a later request.
func TestWriteReadThatFails(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 2)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := spawn(t, path)
	before, err := c.Read(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	write := []shadowsync.Write{{Name: names[0], Expect: before.Accounts[names[0]].Credential, Want: shadowsync.Credential{Hash: "$6$new$"}}}
	replace := func(content []byte) {
		t.Helper()
		next := filepath.Join(filepath.Dir(path), "next")
		if err := errors.Join(os.WriteFile(next, content, 0o600), os.Rename(next, path)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		replace([]byte(`{"u": [`))
		left, back, err := c.WriteRead(t.Context(), write)
		if !errors.Is(err, shadowsync.ErrMalformed) || left != nil || back != nil || !c.Usable() {
			t.Fatalf("left %v, back %v, %v", left, back, err)
		}
		replace(good)
		if after, err := c.Read(t.Context(), names[1:]); err != nil || len(after.Accounts) != 1 || after.Accounts[names[1]] != before.Accounts[names[1]] {
			t.Fatalf("then it reads %+v, %v", after, err)
		}
	}
	if left, back, err := c.WriteRead(t.Context(), write); err != nil || len(left) > 0 || back.Accounts[names[0]].Hash != "$6$new$" {
		t.Errorf("then it writes: left %v, back %+v, %v", left, back, err)
	}
}

// TestWriteReadOfALiar: what could not be read back is not believed, and the write's own answer is.
func TestWriteReadOfALiar(t *testing.T) {
	write := []shadowsync.Write{{Name: "admin"}}
	for name, c := range map[string]struct {
		packets []any
		err     error
		usable  bool
	}{
		"another account is read back": {[]any{answer{}, answer{Records: []record{{Name: "root"}}}}, nil, false},
		"the store is gone":            {[]any{answer{}, answer{Fault: &fault{Kind: "unavailable"}}}, nil, true},
		"the write failed, and a lie":  {[]any{answer{Fault: &fault{Kind: "malformed"}}, answer{More: true}}, shadowsync.ErrMalformed, false},
		"the write's answer is a lie":  {[]any{answer{Left: []leftAlone{{Name: "root", Why: fault{Kind: "changed"}}}}, answer{}}, shadowsync.ErrUnavailable, false},
		"a long password":              {[]any{answer{}, answer{Records: []record{{Name: "admin", Credential: credential{Password: strings.Repeat("x", maxPassword+1)}}}}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			// The liar answers twice: to the write, and to the question that follows.
			client := liar(t, c.packets...)
			left, back, err := client.WriteRead(t.Context(), write)
			if !errors.Is(err, c.err) || len(left) > 0 || back != nil {
				t.Errorf("left %v, back %+v, %v", left, back, err)
			}
			if client.Usable() != c.usable {
				t.Errorf("usable: %v", client.Usable())
			}
		})
	}
}
