package jsonfile

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// fields are what one string can hold.
const fields = shadowsync.FieldHash | shadowsync.FieldLocked

// maxPassword is the length, in bytes as written in the file, above which a
// string is no password field. crypt(3) returns less than 400.
const maxPassword = 4096

// Applications that do not replace their file leave it cut short for a moment. A
// file written to so recently is read again, in all for about 300 ms.
var rereadPauses = [...]time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond, 160 * time.Millisecond}

const recently = 2 * time.Second

// Store is the file. It keeps nothing between calls and may be used by
// several goroutines.
type Store struct {
	place   safefile.Place
	layout  layout
	formats shadowsync.Formats
	sweep   sync.Once
}

// Capabilities implements shadowsync.CredentialStore.
func (s *Store) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: fields, Formats: s.formats}
}

// Revision is the digest of the whole file, which need not be well-formed.
func (s *Store) Revision(context.Context) (string, error) {
	folder, err := s.place.Open()
	if err != nil {
		return "", err
	}
	defer folder.Close()
	return folder.Digest()
}

// Read implements shadowsync.CredentialStore. An account without a password in
// the file, which its application lets in by other means, is not in the store.
func (s *Store) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	p, err := s.load(ctx, names)
	if err != nil {
		return shadowsync.StoreSnapshot{}, err
	}
	defer p.folder.Close()
	snapshot := shadowsync.StoreSnapshot{
		Revision: safefile.Revision(p.content.Data),
		Records:  make(map[string]shadowsync.StoreRecord, len(p.records)), Malformed: map[string]string{},
	}
	for name, r := range p.records {
		switch {
		case r.fault != nil:
			snapshot.Malformed[name] = r.fault.Error()
		case r.at != (span{}):
			snapshot.Records[name] = shadowsync.StoreRecord{Credential: r.credential()}
		}
	}
	return snapshot, nil
}

// Watch implements shadowsync.CredentialStore by a watch on the file's folders.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	return driver.Watch(ctx, filepath.Join(s.place.Root, s.place.Path))
}

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error { return nil }

func (r record) credential() shadowsync.Credential {
	var c shadowsync.Credential
	c.Hash, c.Locked = shadowsync.ParsePassword(r.value)
	return c
}

// page is one reading of the file.
type page struct {
	folder  *safefile.Folder
	content *safefile.Content
	wanted  map[string]bool
	records map[string]record
}

// load reads the file, again if it looks as if somebody is writing it.
func (s *Store) load(ctx context.Context, names []string) (*page, error) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	for _, pause := range rereadPauses {
		p, inWriting, err := s.loadOnce(wanted)
		if err == nil || !inWriting {
			return p, err
		}
		select {
		case <-ctx.Done():
			return nil, driver.Unavailable(context.Cause(ctx))
		case <-time.After(pause):
		}
	}
	p, _, err := s.loadOnce(wanted)
	if errors.Is(err, safefile.ErrMoved) {
		err = driver.Unavailable(errors.New("its file is written to without a pause"))
	}
	return p, err
}

// loadOnce also tells whether an error may come from a file that is being written.
func (s *Store) loadOnce(wanted map[string]bool) (p *page, inWriting bool, err error) {
	folder, err := s.place.Open()
	if err != nil {
		return nil, false, err
	}
	p = &page{folder: folder, wanted: wanted}
	if p.content, err = folder.Read(); err != nil {
		folder.Close()
		return nil, errors.Is(err, safefile.ErrMoved), err
	}
	if p.records, err = s.layout.locate(p.content.Data, wanted); err != nil {
		folder.Close()
		// A clock that was set back makes every file one of the future.
		return nil, time.Since(p.content.Modified()) < recently, err
	}
	return p, false, nil
}
