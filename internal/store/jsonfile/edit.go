package jsonfile

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// attempts is how often a write is tried if the file changes meanwhile.
const attempts = 3

// Write implements shadowsync.CredentialStore. It writes all accounts in one replacement of the
// file. If an account already holds the wanted value, as expected, Write makes that durable.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
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
	if len(p.wanted) != len(writes) {
		return nil, errors.New("cannot write: there are two writes for one account")
	}
	s.sweep.Do(p.folder.Sweep)

	edits, left := p.plan(writes)
	switch {
	case len(left) == len(writes):
		return left, nil
	case len(edits) == 0 && !slices.ContainsFunc(writes, shadowsync.Write.Probes):
		return left, p.folder.Sync(p.content)
	}
	return left, p.folder.Replace(p.content, apply(p.content.Data, edits))
}

// edit is a new value for a string of the file, or for a member that is missing.
type edit struct {
	at          span
	lead, value string
}

// plan turns the writes into edits, and returns those that it leaves alone. A value that is in the
// file already needs no edit, so its spelling stays.
func (p *page) plan(writes []shadowsync.Write) ([]edit, shadowsync.Unwritten) {
	edits := make([]edit, 0, len(writes))
	left := make(shadowsync.Unwritten)
	for _, w := range writes {
		r, ok := p.records[w.Name]
		err := r.check(w, ok)
		switch value := w.Want.Password(); {
		case err != nil:
			left[w.Name] = err
		case !shadowsync.SamePassword(value, r.value):
			edits = append(edits, edit{r.at, r.lead, value})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.at.start, b.at.start) })
	return edits, left
}

// check returns why a write cannot be done.
func (r record) check(w shadowsync.Write, known bool) error {
	value := w.Want.Password()
	var scratch [256]byte
	switch {
	case !known && w.Create:
		return &shadowsync.RefusedError{Reason: "the account is not in the store, and only the application can add it"}
	case !known:
		return shadowsync.ErrNoAccount
	case r.fault != nil:
		return r.fault
	case w.Create || !shadowsync.Equal(r.credential(), w.Expect, fields):
		return shadowsync.ErrChanged
	case w.Delete:
		return &shadowsync.RefusedError{Reason: "only the application can remove an account"}
	case !utf8.ValidString(value):
		return &shadowsync.RefusedError{Reason: "the password field is not UTF-8"}
	case len(appendQuoted(scratch[:0], value)) > maxPassword:
		return &shadowsync.RefusedError{Reason: "the password field is too long"}
	}
	return nil
}

// apply returns data with the edits, which are sorted.
func apply(data []byte, edits []edit) []byte {
	out := make([]byte, 0, len(data)+128*len(edits))
	from := 0
	for _, e := range edits {
		out = append(out, data[from:e.at.start]...)
		out = appendQuoted(append(out, e.lead...), e.value)
		from = e.at.end
	}
	return append(out, data[from:]...)
}
