package textfile

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// attempts is how often a write is tried if the file changes meanwhile.
const attempts = 3

// Write implements shadowsync.CredentialStore. It writes all accounts in one replacement of the
// file. If an account already holds the wanted value, as expected, Write makes that durable.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	if err := driver.CheckBatch(writes); err != nil {
		return nil, err
	}
	for range attempts {
		left, err := s.writeOnce(ctx, writes)
		if !errors.Is(err, safefile.ErrMoved) {
			return left, err
		}
	}
	left := make(shadowsync.Unwritten, len(writes))
	for _, w := range writes {
		left[w.Name] = shadowsync.ErrChanged
	}
	return left, nil
}

func (s *Store) writeOnce(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	names := make([]string, len(writes))
	for i, w := range writes {
		names[i] = w.Name
	}
	p, err := s.load(ctx, names)
	if err != nil {
		return nil, err
	}
	defer p.folder.Close()
	s.sweep.Do(p.folder.Sweep)

	edits, left := s.plan(p.records, writes)
	switch {
	case len(left) == len(writes):
		return left, nil
	case len(edits) == 0 && !slices.ContainsFunc(writes, shadowsync.Write.Probes):
		return left, p.folder.Sync(p.content)
	}
	text := apply(p.content.Data, edits)
	if err := s.proof(text, edits); err != nil {
		return nil, err
	}
	return left, p.folder.Replace(p.content, text)
}

// edit is a new text for an account.
type edit struct {
	Record
	name string
	want shadowsync.Credential
	text string
}

// plan turns the writes into edits, and returns those that it leaves alone. A value that is in the
// file already needs no edit, so its spelling stays.
func (s *Store) plan(records map[string]Record, writes []shadowsync.Write) ([]edit, shadowsync.Unwritten) {
	edits := make([]edit, 0, len(writes))
	left := make(shadowsync.Unwritten)
	for _, w := range writes {
		r, ok := records[w.Name]
		if err := s.check(r, w, ok); err != nil {
			left[w.Name] = err
			continue
		}
		if s.holds(r, w.Want) {
			continue
		}
		want := shadowsync.Credential{}.With(w.Want, s.Can.Fields)
		text, err := s.Format.Spell(r, want.Password())
		if err != nil {
			left[w.Name] = err
			continue
		}
		edits = append(edits, edit{r, w.Name, want, text})
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.At.Start, b.At.Start) })
	return edits, left
}

// check returns why a write cannot be done.
func (s *Store) check(r Record, w shadowsync.Write, known bool) error {
	switch {
	case !known && w.Create:
		return &shadowsync.RefusedError{Reason: "the account is not in the store, and only the application can add it"}
	case !known:
		return shadowsync.ErrNoAccount
	case r.Fault != nil:
		return r.Fault
	case w.Create || !s.holds(r, w.Expect):
		return shadowsync.ErrChanged
	case w.Delete:
		return &shadowsync.RefusedError{Reason: "only the application can remove an account"}
	}
	return nil
}

// apply returns data with the edits, which are sorted.
func apply(data []byte, edits []edit) []byte {
	out := make([]byte, 0, len(data)+128*len(edits))
	from := 0
	for _, e := range edits {
		out = append(out, data[from:e.At.Start]...)
		out = append(append(out, e.Lead...), e.text...)
		from = e.At.End
	}
	return append(out, data[from:]...)
}

// proof reads the new text before the application does: a text that it does not accept could keep
// it down for ever.
func (s *Store) proof(text []byte, edits []edit) error {
	wanted := make(map[string]bool, len(edits))
	for _, e := range edits {
		wanted[e.name] = true
	}
	records, err := s.Format.Locate(text, wanted)
	if err != nil {
		return err
	}
	if c, ok := s.Format.(Checker); ok {
		if err := c.Check(text); err != nil {
			return err
		}
	}
	for _, e := range edits {
		if r, ok := records[e.name]; !ok || r.Fault != nil || !s.holds(r, e.want) {
			return driver.Malformed("the new password field of account %q would be read as something else", e.name)
		}
	}
	return nil
}
