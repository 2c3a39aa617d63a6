package textfile

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// An application that writes its file in place leaves it incomplete for a moment. A file that was
// written so recently is read again, for about 300 ms in all.
var rereadPauses = [...]time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond, 160 * time.Millisecond}

const recently = 2 * time.Second

// quiet is how long ago a file must have been written in place if a part of it looks like a whole file.
const quiet = 50 * time.Millisecond

// Store is a text file as a credential store. It keeps no content between calls, and several
// goroutines may use it.
type Store struct {
	Place  safefile.Place
	Format Format
	Can    shadowsync.Capabilities
	// Loose: a part of a text may look like a whole one, so that a file that is being written in place
	// cannot be told from one with fewer accounts.
	Loose bool
	sweep sync.Once
}

var (
	_ shadowsync.CredentialStore = (*Store)(nil)
	_ driver.Rehearser           = (*Store)(nil)
)

// Capabilities implements shadowsync.CredentialStore.
func (s *Store) Capabilities() shadowsync.Capabilities { return s.Can }

// Revision is the digest of the whole file, which need not be well-formed.
func (s *Store) Revision(context.Context) (string, error) {
	folder, err := s.Place.Open()
	if err != nil {
		return "", err
	}
	defer folder.Close()
	return folder.Digest()
}

// Read implements shadowsync.CredentialStore.
func (s *Store) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	p, err := s.load(ctx, names)
	if err != nil {
		return shadowsync.StoreSnapshot{}, err
	}
	defer p.folder.Close()
	snapshot := shadowsync.StoreSnapshot{
		Revision: safefile.Revision(p.content.Data),
		Accounts: make(map[string]shadowsync.StoredAccount, len(p.records)), Malformed: map[string]string{},
	}
	for name, r := range p.records {
		if r.Fault != nil {
			snapshot.Malformed[name] = r.Fault.Error()
			continue
		}
		snapshot.Accounts[name] = shadowsync.StoredAccount{Credential: s.value(r)}
	}
	return snapshot, nil
}

// Watch implements shadowsync.CredentialStore by a watch on the file's folders.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	return driver.Watch(ctx, s.Place.Root, s.Place.Path)
}

// Rehearse implements driver.Rehearser.
func (s *Store) Rehearse(ctx context.Context) error {
	p, err := s.load(ctx, nil)
	if err != nil {
		return err
	}
	defer p.folder.Close()
	err = p.folder.Rehearse(p.content)
	if errors.Is(err, safefile.ErrMoved) { // it was replaced just now, so it can be replaced
		err = nil
	}
	return err
}

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error { return nil }

// page is one reading of the file.
type page struct {
	folder  *safefile.Folder
	content *safefile.Content
	wanted  map[string]bool
	records map[string]Record
}

// load reads the file, and reads it again if it seems to be being written.
func (s *Store) load(ctx context.Context, names []string) (*page, error) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	var first sighting
	for _, pause := range rereadPauses {
		p, inWriting, err := s.loadOnce(wanted, &first)
		if !inWriting {
			return p, err
		}
		p.close()
		select {
		case <-ctx.Done():
			return nil, driver.Unavailable(context.Cause(ctx))
		case <-time.After(pause):
		}
	}
	p, _, err := s.loadOnce(wanted, &first)
	if errors.Is(err, safefile.ErrMoved) || err == nil && s.unsettled(p.content, quiet, &first) {
		p.close()
		return nil, driver.Unavailable(errors.New("its file is being written all the time"))
	}
	return p, err
}

// sighting is a content, and when it was there first.
type sighting struct {
	content *safefile.Content
	at      time.Time
}

// unsettled reports whether the file's writer may still be at work. A time ahead of the clock tells nothing: then
// what counts is how long the content has been the same.
func (s *Store) unsettled(c *safefile.Content, within time.Duration, first *sighting) bool {
	if !c.Same(first.content) {
		*first = sighting{c, time.Now()}
	}
	age := time.Since(c.Modified())
	if age < 0 {
		age, within = time.Since(first.at), quiet
	}
	return s.Loose && c.InPlace && age < within
}

func (p *page) close() {
	if p != nil {
		p.folder.Close()
	}
}

// loadOnce also reports whether an error, or a missing account, may come from a file that is being
// written.
func (s *Store) loadOnce(wanted map[string]bool, first *sighting) (p *page, inWriting bool, err error) {
	folder, err := s.Place.Open()
	if err != nil {
		return nil, false, err
	}
	p = &page{folder: folder, wanted: wanted}
	if p.content, err = folder.Read(); err != nil {
		folder.Close()
		return nil, errors.Is(err, safefile.ErrMoved), err
	}
	if p.records, err = s.Format.Locate(p.content.Data, wanted); err != nil {
		folder.Close()
		// After a clock was set back, every file seems to be from the future.
		return nil, time.Since(p.content.Modified()) < recently, err
	}
	within := quiet
	if len(p.records) < len(wanted) {
		within = recently
	}
	return p, s.unsettled(p.content, within, first), nil
}
