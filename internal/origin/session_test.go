package origin

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemoteOf(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1":  "# This is private data. Do not parse.\nUID=0\nTTY=tty1\n",
		"c7": "UID=1000\nREMOTE=1\nREMOTE_HOST=192.0.2.1\nSERVICE=sshd\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for session, want := range map[string]string{"": "", "1": "", "c7": "192.0.2.1", "9": "", "../c7": "", ".": ""} {
		if got := remoteOf(dir, session); got != want {
			t.Errorf("session %q: got %q, want %q", session, got, want)
		}
	}
}

func TestInvoker(t *testing.T) {
	root, person := 0, 1000
	for name, tc := range map[string]struct {
		ancestors []Ancestor
		want      *int
	}{
		"nobody":      {nil, nil},
		"root alone":  {[]Ancestor{{UID: &root}, {UID: nil}}, nil},
		"behind sudo": {[]Ancestor{{UID: &root}, {UID: &person}, {UID: &root}}, &person},
	} {
		if got := (Process{Ancestors: tc.ancestors}).Invoker(); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
