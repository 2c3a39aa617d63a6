package storetest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const rounds = 10

// writers: of two that count in one account, none undoes a step of the other's.
func writers(s *stage) {
	if s.f.Driver.Traits.Blind {
		return
	}
	s.Set("admin", s.f.Value(0))
	number := map[string]int{}
	for n := range 2*rounds + 1 {
		number[s.nth(n).Hash] = n
	}
	ended := make(chan error, 2)
	for range cap(ended) {
		store := s.open()
		go func() { ended <- s.count(store, number) }()
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			s.Error(err)
		}
	}
	s.holds("admin", 2*rounds)
	s.holds("user222", 2)
}

// count moves the value on by rounds steps.
func (s *stage) count(store shadowsync.CredentialStore, number map[string]int) error {
	for done := 0; done < rounds; {
		snapshot, err := store.Read(s.Context(), []string{"admin"})
		if err != nil {
			return err
		}
		held := snapshot.Accounts["admin"].Credential
		n, known := number[held.Hash]
		if !known {
			return fmt.Errorf("admin has %q, which nobody wrote", held.Hash)
		}
		w := shadowsync.Write{Name: "admin", Expect: held, Want: held.With(s.nth(n+1), shadowsync.FieldHash)}
		left, err := store.Write(s.Context(), []shadowsync.Write{w})
		switch {
		case err == nil && len(left) == 0:
			done++
		case err != nil && !errors.Is(err, shadowsync.ErrUnavailable):
			return err
		case err == nil && !errors.Is(left["admin"], shadowsync.ErrChanged):
			return left["admin"]
		}
	}
	return nil
}

// killed: a writer that is killed leaves the value that it wrote last, or the one that it was about to
// write, and hinders nobody.
func killed(s *stage) {
	at := 1
	for round := range rounds {
		said := s.killAfter(at, 1+round%4)
		held := s.read("admin").Accounts["admin"].Hash
		switch held {
		case s.nth(said).Hash:
			at = said
		case s.nth(said + 1).Hash:
			at = said + 1
		default:
			s.Fatalf("killed after writing value %d, the store has %q", said, held)
		}
		s.holds("user222", 2)
		left := s.write(s.moves("admin", at, at+1))
		if at == said && errors.Is(left["admin"], shadowsync.ErrChanged) { // a server may finish what a client that is gone has sent
			at++
			left = s.write(s.moves("admin", at, at+1))
		}
		if len(left) > 0 {
			s.Fatalf("after a kill: %v", left)
		}
		at++
		s.holds("admin", at)
	}
}

// killAfter starts a writer, kills it once it has said so many writes, and returns the last it said.
func (s *stage) killAfter(from, writes int) (said int) {
	s.Helper()
	options, err := json.Marshal(s.Options)
	if err != nil {
		s.Fatal(err)
	}
	whole, _, _ := strings.Cut(s.Name(), "/")
	writer := exec.CommandContext(s.Context(), "/proc/self/exe", "-test.run=^"+regexp.QuoteMeta(whole)+"$")
	writer.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", variable, from, options))
	out, err := writer.StdoutPipe()
	if err := errors.Join(err, writer.Start()); err != nil {
		s.Fatal(err)
	}
	said = from
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			s.Fatalf("the writer says %q", lines.Text())
		}
		said = n
		if said == from+writes {
			if err := writer.Process.Kill(); err != nil {
				s.Fatal(err)
			}
		}
	}
	_ = writer.Wait()
	if writer.ProcessState.Exited() {
		s.Fatalf("the writer ended by itself after %d writes", said-from)
	}
	return said
}

// writeForEver is the writer: it moves admin from one value to the next, and says each that it wrote.
func (f Fixture) writeForEver(t *testing.T, told string) {
	t.Helper()
	s := &stage{T: t, f: f}
	number, text, _ := strings.Cut(told, " ")
	var options driver.Options
	from, err := strconv.Atoi(number)
	if err := errors.Join(err, json.Unmarshal([]byte(text), &options)); err != nil {
		t.Fatal(err)
	}
	s.Options = options
	s.store = s.open()
	for n := from; ; n++ {
		if left := s.write(s.moves("admin", n, n+1)); len(left) > 0 {
			t.Fatal(left)
		}
		fmt.Println(n + 1)
	}
}
