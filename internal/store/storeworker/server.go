package storeworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/idle"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Serve answers requests from the store, one after another, until the client closes the connection
// or ctx ends.
func Serve(ctx context.Context, conn *socket.Conn, store shadowsync.CredentialStore) error {
	// Watches end with the connection.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := server{conn: conn, store: store}
	defer func() { _ = s.letGo() }()
	defer s.tidy.Stop()
	for {
		err := s.serveOne(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.tidy.Worked()
	}
}

type server struct {
	conn  *socket.Conn
	store shadowsync.CredentialStore
	held  driver.Held // nil: it is not held
	tidy  idle.Tidier
}

func (s *server) serveOne(ctx context.Context) error {
	r, files, err := s.receive(ctx)
	if err != nil {
		return err
	}
	if r.Op == opWatch && len(files) == 1 {
		return s.conn.Send(ctx, answer{Fault: packError(s.watch(ctx, files[0]))})
	}
	for _, f := range files {
		_ = f.Close() // an unexpected descriptor
	}
	work, cancel := withinContext(ctx, r.Within)
	defer cancel()
	switch {
	case r.Op == opAll, r.Op == opHold, r.Op == opReplace, r.Op == opCommit, r.Op == opRelease:
		return s.serveEmbedded(ctx, work, r)
	case s.held != nil:
		return fmt.Errorf("operation %q on a store that is held", r.Op)
	}
	switch r.Op {
	case opRevision:
		revision, err := s.store.Revision(work)
		return s.conn.Send(ctx, answer{Fault: packError(err), Revision: revision})
	case opRead:
		return s.read(ctx, work, r.Names)
	case opWrite:
		return s.write(ctx, work, r.Writes)
	case opRehearse:
		err := driver.ErrNoRehearsal
		if r, ok := s.store.(driver.Rehearser); ok {
			err = r.Rehearse(work)
		}
		return s.conn.Send(ctx, answer{Fault: packError(err)})
	}
	return fmt.Errorf("unknown operation %q", r.Op)
}

// receive receives a whole request, in one packet or in several.
func (s *server) receive(ctx context.Context) (request, []*os.File, error) {
	var whole request
	for {
		var part request
		files, err := s.conn.Receive(ctx, &part)
		if err != nil {
			return request{}, nil, err
		}
		whole.Names = append(whole.Names, part.Names...)
		whole.Writes = append(whole.Writes, part.Writes...)
		if !part.More {
			part.Names, part.Writes = whole.Names, whole.Writes
			return part, files, nil
		}
	}
}

func (s *server) read(ctx, work context.Context, names []string) error {
	snapshot, err := s.store.Read(work, names)
	if err != nil {
		return s.conn.Send(ctx, answer{Fault: packError(err)})
	}
	records := make([]record, 0, len(snapshot.Accounts))
	var bad []malformed
	for name, why := range snapshot.Malformed {
		bad = append(bad, malformed{name, printable.Clip(why, maxText)})
	}
	for name, r := range snapshot.Accounts {
		if len(r.Password()) > maxPassword {
			bad = append(bad, malformed{name, "the password field is too long"})
			continue
		}
		if !utf8.ValidString(r.Hash) { // JSON would change it on the way
			bad = append(bad, malformed{name, "the password field is not UTF-8"})
			continue
		}
		records = append(records, record{Name: name, Credential: pack(r.Credential), ChangedAt: milliseconds(r.ChangedAt)})
	}
	if len(bad) > 0 {
		err := sendList(ctx, s.conn, bad, func(part []malformed, _ bool) any {
			return answer{Revision: snapshot.Revision, Malformed: part, More: true}
		})
		if err != nil {
			return err
		}
	}
	return sendList(ctx, s.conn, records, func(part []record, more bool) any {
		return answer{Revision: snapshot.Revision, Records: part, More: more}
	})
}

func (s *server) write(ctx, work context.Context, packed []write) error {
	writes, of := make([]shadowsync.Write, len(packed)), s.store.Capabilities()
	for i, w := range packed {
		writes[i] = shadowsync.Write{Name: w.Name, Expect: w.Expect.unpack(of), Want: w.Want.unpack(of), Create: w.Create, Delete: w.Delete}
	}
	left, err := s.store.Write(work, writes)
	if err != nil {
		return s.conn.Send(ctx, answer{Fault: packError(err)})
	}
	list := make([]leftAlone, 0, len(left))
	for name, why := range left {
		list = append(list, leftAlone{name, *packError(why)})
	}
	return sendList(ctx, s.conn, list, func(part []leftAlone, more bool) any {
		return answer{Left: part, More: more}
	})
}

// watch announces changes on the client's second connection until the client closes it.
func (s *server) watch(ctx context.Context, theirs *os.File) error {
	defer theirs.Close()
	conn, err := socket.FromFile(theirs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	changes, err := s.store.Watch(ctx)
	if err != nil {
		cancel()
		return errors.Join(err, conn.Close())
	}
	go func() { // the client sends nothing here: this waits for the end of the connection
		_, _ = conn.Receive(ctx, &struct{}{})
		cancel()
	}()
	go func() {
		defer conn.Close()
		defer cancel()
		for range changes {
			if conn.Send(ctx, struct{}{}) != nil {
				return
			}
		}
	}()
	return nil
}

func withinContext(ctx context.Context, milliseconds int64) (context.Context, context.CancelFunc) {
	if milliseconds <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Duration(milliseconds)*time.Millisecond)
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
