package websession

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fixture is a store with a clock of its own.
type fixture struct {
	Store
	now time.Duration
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{now: time.Hour}
	f.Store = Store{Dir: filepath.Join(t.TempDir(), "web"), Clock: func() time.Duration { return f.now }}
	return f
}

func of(uid int) Session {
	return Session{Account: "anna", Realm: "local", UID: uid, Address: "192.0.2.7", Idle: 15 * time.Minute, Total: 8 * time.Hour}
}

func (f *fixture) begin(t *testing.T, s Session) string {
	t.Helper()
	_, token, err := f.Begin(s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestToken(t *testing.T) {
	f := open(t)
	token := f.begin(t, of(1000))
	if len(token) != 43 {
		t.Errorf("the token has %d characters", len(token))
	}
	one, err := f.Find(token)
	if err != nil || one.Account != "anna" || one.UID != 1000 || one.Address != "192.0.2.7" {
		t.Fatalf("%+v, %v", one, err)
	}
	sum := sha256.Sum256([]byte(token))
	names, err := filepath.Glob(filepath.Join(f.Dir, "*"))
	if err != nil || len(names) != 1 || filepath.Base(names[0]) != hex.EncodeToString(sum[:]) {
		t.Fatalf("the files are %q, %v", names, err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil || strings.Contains(string(text), token) {
		t.Errorf("%s, %v", text, err)
	}
	for _, path := range []string{f.Dir, names[0]} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	last := token[len(token)-1]
	for name, forged := range map[string]string{
		"nothing": "", "another": newToken(), "the file's name": filepath.Base(names[0]), "a path": "../web/" + filepath.Base(names[0]),
		"a longer one": token + "A", "with a break": token[:20] + "\n" + token[20:], "other spare bits": token[:42] + string(last+1), "NUL": token[:42] + "\x00",
	} {
		if _, err := f.Find(forged); !errors.Is(err, ErrEnded) {
			t.Errorf("%s opens a session: %v", name, err)
		}
	}
}

// TestGoOn: the former token opens nothing, and a session that has ended stays so.
func TestGoOn(t *testing.T) {
	f := open(t)
	first := f.begin(t, of(1000))
	one, err := f.Find(first)
	if err != nil {
		t.Fatal(err)
	}
	one.Generation = 4
	second, err := f.GoOn(one)
	if err != nil || second == first {
		t.Fatalf("%v", err)
	}
	if _, err := f.Find(first); !errors.Is(err, ErrEnded) {
		t.Errorf("the former token: %v", err)
	}
	two, err := f.Find(second)
	if err != nil || two.Generation != 4 || two.ID != one.ID || !two.Since.Equal(one.Since) {
		t.Errorf("%+v, %v", two, err)
	}
	if _, err := f.GoOn(one); !errors.Is(err, ErrEnded) {
		t.Errorf("from a former token: %v", err)
	}
	if ended, left, err := f.EndBut(1000, ""); err != nil || len(ended) != 1 || len(left) != 0 {
		t.Errorf("%v, %v, %v", ended, left, err)
	}
	if _, err := f.GoOn(two); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
	if all, err := f.All(); err != nil || len(all) != 0 {
		t.Errorf("open: %v, %v", all, err)
	}
}

// TestTimes: a session ends without requests, after its whole time, and if nobody signs in.
func TestTimes(t *testing.T) {
	for name, c := range map[string]struct {
		stage string
		every time.Duration
		until time.Duration
	}{
		"idle":       {every: 15*time.Minute + 1, until: 15 * time.Minute},
		"total":      {every: 14 * time.Minute, until: 8 * time.Hour},
		"unfinished": {stage: "code", every: time.Minute, until: Unfinished},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			s := of(1000)
			s.Stage = c.stage
			token := f.begin(t, s)
			began := f.now
			for {
				f.now += c.every
				listed, err := f.Of(1000)
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.Find(token)
				if want := f.now-began <= c.until; (err == nil) != want || (len(listed) == 1) != want {
					t.Fatalf("after %v: %v, %d are listed", f.now-began, err, len(listed))
				}
				if err != nil {
					break
				}
			}
			if files, _ := filepath.Glob(filepath.Join(f.Dir, "*")); len(files) != 0 {
				t.Errorf("left: %q", files)
			}
		})
	}
}

// TestRoom: whoever signs in again and again ends their own unfinished sessions first, then their own oldest,
// and nobody else's.
func TestRoom(t *testing.T) {
	f := open(t)
	var mine []string
	for i := range mostOfAccount {
		s := of(1000)
		if i == 5 {
			s.Stage = "code"
		}
		mine = append(mine, f.begin(t, s))
		f.now += time.Second
	}
	other := f.begin(t, of(1001))
	opens := func() (all []int) {
		for i, token := range mine {
			if one, err := f.read(nameOf(token)); err == nil && one.UID == 1000 {
				all = append(all, i)
			}
		}
		return all
	}
	f.begin(t, of(1000))
	if got := opens(); slices.Contains(got, 5) || len(got) != mostOfAccount-1 {
		t.Errorf("open: %v", got)
	}
	f.now += time.Second
	f.begin(t, of(1000))
	if got := opens(); slices.Contains(got, 0) || len(got) != mostOfAccount-2 {
		t.Errorf("open: %v", got)
	}
	if _, err := f.Find(other); err != nil {
		t.Error(err)
	}
	for i := range mostOfAll + 10 {
		f.begin(t, of(2000+i))
	}
	if all, err := f.list(); err != nil || len(all) != mostOfAll {
		t.Errorf("%d are open, %v", len(all), err)
	}
}

func TestEndBut(t *testing.T) {
	f := open(t)
	if ended, _, err := f.EndBut(1000, ""); err != nil || ended != nil {
		t.Errorf("before anybody signed in: %v, %v", ended, err)
	}
	kept, err := f.Find(f.begin(t, of(1000)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.begin(t, of(1000))
	}
	f.begin(t, of(1001))
	ended, left, err := f.EndBut(1000, kept.Name())
	if err != nil || len(ended) != 3 || len(left) != 0 {
		t.Errorf("%v, %v, %v", ended, left, err)
	}
	all, err := f.All()
	if err != nil || len(all[1000]) != 1 || all[1000][0].ID != kept.Name() || all[1000][0].Kind != "web" || all[1000][0].Remote != "192.0.2.7" || len(all[1001]) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	// What is no session opens nothing and holds up nobody.
	if err := os.WriteFile(filepath.Join(f.Dir, strings.Repeat("0", 64)), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.EndBut(1000, ""); err != nil {
		t.Error(err)
	}
}

// TestEndBesideGoOn: no session that goes on while all end is left.
func TestEndBesideGoOn(t *testing.T) {
	f := open(t)
	for range 50 {
		var all sync.WaitGroup
		for range 4 {
			one, err := f.Find(f.begin(t, of(1000)))
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				for range 20 {
					token, err := f.GoOn(one)
					if err != nil {
						if !errors.Is(err, ErrEnded) {
							t.Error(err)
						}
						return
					}
					if one, err = f.Find(token); err != nil {
						return
					}
				}
			})
		}
		_, _, err := f.EndBut(1000, "")
		left, listed := f.Of(1000)
		if err = errors.Join(err, listed); err != nil || len(left) != 0 {
			t.Fatal(fmt.Sprint(left), err)
		}
		all.Wait()
	}
}

// TestChange: the last change of each uid is kept for a day, and is no session.
func TestChange(t *testing.T) {
	f := open(t)
	if _, there, err := f.ChangeOf(1000); there || err != nil {
		t.Errorf("before the first: %v, %v", there, err)
	}
	first := Change{Account: "anna", Realm: "local", Began: time.Now()}
	last := first
	last.Outcome = "nothing was changed"
	for uid, c := range map[int]Change{1000: first, 1001: first} {
		if err := f.KeepChange(uid, c); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(f.path(nameOfChange(1001)), past, past); err != nil {
		t.Fatal(err)
	}
	if err := f.KeepChange(1000, last); err != nil {
		t.Fatal(err)
	}
	if c, there, err := f.ChangeOf(1000); err != nil || !there || c.Outcome != last.Outcome || c.Account != "anna" {
		t.Errorf("%+v, %v, %v", c, there, err)
	}
	if _, there, err := f.ChangeOf(1001); there || err != nil {
		t.Errorf("one of yesterday: %v, %v", there, err)
	}
	f.begin(t, of(1000))
	if all, err := f.list(); err != nil || len(all) != 1 {
		t.Errorf("the sessions are %+v, %v", all, err)
	}
	if _, survivors, err := f.EndBut(1000, ""); err != nil || len(survivors) > 0 {
		t.Errorf("%v, %v", survivors, err)
	}
	if _, there, _ := f.ChangeOf(1000); !there {
		t.Error("the change went with the sessions")
	}
	if err := os.WriteFile(f.path(nameOfChange(1000)), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, there, err := f.ChangeOf(1000); there || err != nil {
		t.Errorf("a damaged one: %v, %v", there, err)
	}
}
