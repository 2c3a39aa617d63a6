package jsonfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// FuzzEdit checks the laws of an edit on any text: the new value is there, every other byte is as
// it was, and writing the old value restores the old meaning.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(`{"u":[{"name":"admin","password":"x"}]}`), "$6$new")
	f.Add([]byte(`{"u":{"admin":{"password":"\u0078\/","password2":"x"}}}`), "!\"\\\n\x7f\u2028<")
	f.Add([]byte(appliance), "*")
	f.Add([]byte(`{"u":[{"name":"admin","password":null}]}`), "$6$new")
	f.Add([]byte(`{"u":[{ "x" : 1 , "name":"admin" }]}`), "$6$new")
	f.Add([]byte(`{"u":{"admin":{ }}}`), "$6$new")
	f.Fuzz(func(t *testing.T, data []byte, want string) {
		l := layout{users: []string{"u"}, name: "name", password: "password"}
		wanted := map[string]bool{"admin": true}
		before, err := l.Locate(data, wanted)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("taken for JSON: %q", data)
		}
		r, ok := before["admin"]
		if !ok || r.Fault != nil {
			return
		}
		text, err := l.Spell(r, want)
		if err != nil {
			return
		}
		edited := slices.Concat(data[:r.At.Start], []byte(r.Lead+text), data[r.At.End:])
		after, err := l.Locate(edited, wanted)
		if err != nil || after["admin"].Value != want {
			t.Fatalf("%q gives %q: %v", data, edited, err)
		}
		at := after["admin"].At
		if !bytes.Equal(edited[:at.Start], append(bytes.Clone(data[:r.At.Start]), r.Lead...)) || !bytes.Equal(edited[at.End:], data[r.At.End:]) {
			t.Fatalf("%q gives %q: more changed than the value", data, edited)
		}
		var meaning string
		if err := json.Unmarshal(edited[at.Start:at.End], &meaning); err != nil || meaning != want {
			t.Fatalf("%q reads %q elsewhere: %v", edited[at.Start:at.End], meaning, err)
		}
	})
}

// FuzzScan compares what the scanner accepts with encoding/json. It skips texts for which that is
// looser (invalid UTF-8) or the scanner is stricter (depth).
func FuzzScan(f *testing.F) {
	for _, s := range []string{`[1,-0.5e+7,"\u00e9\n",true,false,null,{}]`, ` {"a":[]} `, `01`, `"`, `[1,]`, ``, `nul`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) || bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxDepth {
			return
		}
		s := &scanner{data: data}
		err := s.begin()
		if err == nil {
			if _, err = s.skip(); err == nil {
				err = s.end()
			}
		}
		if bytes.Contains(data, []byte("NaN")) || bytes.Contains(data, []byte("Infinity")) {
			return // which encoding/json does not accept
		}
		if (err == nil) != json.Valid(data) {
			t.Errorf("%q: %v, while encoding/json says %v", data, err, json.Valid(data))
		}
	})
}

// crowd is a file of n accounts, about 150 bytes each.
func crowd(n int) (text string, names []string) {
	var b strings.Builder
	b.WriteString(`{"u": [`)
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		names = append(names, fmt.Sprintf("user%06d", i))
		fmt.Fprintf(&b, `  {"name": %q, "role": ["user"], "enabled": true, "password": "$6$saltsalt$%086d"}`, names[i], i)
	}
	b.WriteString("]}\n")
	return b.String(), names
}

func TestCrowdInOneWrite(t *testing.T) {
	text, names := crowd(20_000)
	path := file(t, text)
	s := open(t, path, "/u")
	before, err := s.Read(t.Context(), names)
	if err != nil || len(before.Accounts) != len(names) {
		t.Fatalf("read %d accounts: %v", len(before.Accounts), err)
	}
	writes := make([]shadowsync.Write, len(names))
	for i, name := range names {
		writes[i] = shadowsync.Write{Name: name, Expect: before.Accounts[name].Credential, Want: value("$y$" + name)}
	}
	left, err := s.Write(t.Context(), writes)
	if err != nil || len(left) != 0 {
		t.Fatalf("%d left alone: %v", len(left), err)
	}
	after, err := s.Read(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if got := after.Accounts[name].Hash; got != "$y$"+name {
			t.Fatalf("%s has %q", name, got)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		text, names := crowd(n)
		path := filepath.Join(b.TempDir(), "user.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		s := open(b, path, "/u")
		run := func(what string, do func() error) {
			b.Run(fmt.Sprintf("%s/%d", what, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("Revision", func() error { _, err := s.Revision(b.Context()); return err })
		run("Read", func() error { _, err := s.Read(b.Context(), names); return err })
		round := 0
		run("Write", func() error {
			b.StopTimer()
			var writes []shadowsync.Write
			snapshot, err := s.Read(b.Context(), names)
			if err != nil {
				return err
			}
			round++
			for _, name := range names {
				writes = append(writes, shadowsync.Write{Name: name, Expect: snapshot.Accounts[name].Credential, Want: value(fmt.Sprintf("$6$saltsalt$%086d", round))})
			}
			b.StartTimer()
			_, err = s.Write(b.Context(), writes)
			return err
		})
	}
}
