// Package websession keeps the sessions of pages: who is signed in there, how far, and from where. Each is
// one small file that only root can read, named after the SHA-256 of its token. So a session outlives the
// broker and not a reboot, and every process of root's can list and end sessions, whether the broker runs or
// not: a session has ended when its file is gone.
//
// All times are of the clock since boot, which nobody can set. The time of a session's last request is the
// file's modification time, so that a request costs one system call, which fails if the session has ended.
//
//	websession.go  Session, Store: begin, find, go on, end
//	change.go      what became of the change of a password
//	file.go        the files
package websession

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Dir is where the sessions of this machine are.
const Dir = "/run/shadowsync/web"

// Limits of sessions.
const (
	mostOfAccount = 16
	mostOfAll     = 256
	// Unfinished is how long somebody may take to sign in, all steps together.
	Unfinished = 15 * time.Minute
)

// ErrEnded: the token opens nothing, or nothing any more.
var ErrEnded = errors.New("no such session")

// Session is somebody at a page.
type Session struct {
	// ID tells sessions apart. It opens nothing, and stays the same when the token changes.
	ID      string `json:"id"`
	Account string `json:"account"`
	Realm   string `json:"realm"`
	UID     int    `json:"uid"`
	Address string `json:"address"` // that signed in
	// Stage is the step of signing in that is next; empty: signed in.
	Stage string `json:"stage,omitempty"`
	// Generation is of the second factor of which a code was shown; 0: none was.
	Generation int64 `json:"generation,omitempty"`
	// Proven tells whether the password that was proven is still in force, until the account is signed in; of a
	// local account that no application has, for as long as the session lasts.
	Proven string        `json:"proven,omitempty"`
	Since  time.Time     `json:"since"`
	Began  time.Duration `json:"began"` // since boot
	// Idle and Total are after how long without a request, and in all, the session ends.
	Idle  time.Duration `json:"idle"`
	Total time.Duration `json:"total"`

	name string        // of its file
	used time.Duration // its last request, since boot
}

// Name is how lists name the session.
func (s Session) Name() string {
	if s.ID == "" {
		return "" // it has not begun
	}
	return "web:" + s.ID
}

// shown is the session as lists show it.
func (s Session) shown() shadowsync.Session {
	return shadowsync.Session{ID: s.Name(), Kind: "web", Remote: s.Address, Since: s.Since}
}

// over reports whether the session's time is up.
func (s Session) over(now time.Duration) bool {
	return now-s.used > s.Idle || now-s.Began > s.Total || s.Stage != "" && now-s.Began > Unfinished
}

// Store keeps sessions. The zero value is that of this machine.
type Store struct {
	Dir   string               // empty: Dir
	Clock func() time.Duration // since boot; nil: the kernel's
}

func (s Store) now() time.Duration {
	if s.Clock != nil {
		return s.Clock()
	}
	return boot.Elapsed()
}

// Begin begins a session and returns it with its token. If there are too many, of the account or in all, the oldest
// unfinished ones make room, or else the ones that were not used for longest.
func (s Store) Begin(one Session) (begun Session, token string, err error) {
	one.ID = hex.EncodeToString(random(4))
	one.Began, one.Since = s.now(), time.Now()
	token = newToken()
	one.name, one.used = nameOf(token), one.Began
	if err := s.prepare(); err != nil {
		return one, "", err
	}
	return one, token, s.locked(func() error {
		if err := s.makeRoom(one.UID); err != nil {
			return err
		}
		return s.write(one)
	})
}

// makeRoom ends sessions whose time is up, and the ones too many.
func (s Store) makeRoom(uid int) error {
	all, err := s.list()
	if err != nil {
		return err
	}
	now := s.now()
	slices.SortFunc(all, func(a, b Session) int {
		if finished := cmp.Compare(len(b.Stage), 0) - cmp.Compare(len(a.Stage), 0); finished != 0 {
			return finished // the unfinished ones first
		}
		return cmp.Compare(a.used, b.used)
	})
	open, own := len(all), 0
	for _, one := range all {
		if one.UID == uid {
			own++
		}
	}
	var errs []error
	for _, one := range all {
		mine := one.UID == uid
		if !one.over(now) && open < mostOfAll && (!mine || own < mostOfAccount) {
			continue
		}
		errs = append(errs, s.remove(one))
		open--
		if mine {
			own--
		}
	}
	return errors.Join(errs...)
}

// Find returns the session that a token opens, and counts a request of it.
func (s Store) Find(token string) (Session, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != tokenSize || len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return Session{}, ErrEnded
	}
	one, err := s.read(nameOf(token))
	if err != nil {
		return Session{}, err
	}
	now := s.now()
	if one.over(now) {
		return Session{}, errors.Join(ErrEnded, s.End(one))
	}
	one.used = now
	return one, s.touch(one)
}

// GoOn keeps what has changed of a session, under a new token. The former one opens nothing from then on. If
// the session has ended meanwhile, it stays ended.
func (s Store) GoOn(one Session) (token string, err error) {
	former := one
	token = newToken()
	one.name = nameOf(token)
	return token, s.locked(func() error {
		if _, err := s.read(former.name); err != nil {
			return err
		}
		if err := s.remove(former); err != nil { // first: if this process dies here, nobody is signed in
			return err
		}
		return s.write(one)
	})
}

// End ends one session.
func (s Store) End(one Session) error { return s.locked(func() error { return s.remove(one) }) }

// EndThose ends the sessions that choose returns of all.
func (s Store) EndThose(choose func(all []Session) ([]Session, error)) error {
	all, err := s.list()
	if len(all) == 0 {
		return err
	}
	chosen, failed := choose(all)
	errs := []error{err, failed}
	for _, one := range chosen {
		errs = append(errs, s.End(one))
	}
	return errors.Join(errs...)
}

// Of lists the sessions of a uid, oldest first.
func (s Store) Of(uid int) ([]shadowsync.Session, error) {
	all, err := s.All()
	return all[uid], err
}

// All lists all sessions by their uids, oldest first.
func (s Store) All() (map[int][]shadowsync.Session, error) {
	all, err := s.list()
	now := s.now()
	lists := map[int][]shadowsync.Session{}
	for _, one := range all {
		if !one.over(now) {
			lists[one.UID] = append(lists[one.UID], one.shown())
		}
	}
	for _, list := range lists {
		slices.SortFunc(list, func(a, b shadowsync.Session) int {
			return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
		})
	}
	return lists, err
}

// EndBut ends the sessions of a uid, but the one of that name, and returns which ended and which survived.
func (s Store) EndBut(uid int, keep string) (ended, survivors []shadowsync.Session, err error) {
	err = s.locked(func() error {
		all, err := s.list()
		errs := []error{err}
		now := s.now()
		for _, one := range all {
			if one.UID != uid || one.Name() == keep {
				continue
			}
			err := s.remove(one)
			switch {
			case err != nil:
				survivors = append(survivors, one.shown())
				errs = append(errs, err)
			case !one.over(now):
				ended = append(ended, one.shown())
			}
		}
		return errors.Join(errs...)
	})
	if errors.Is(err, ErrEnded) {
		err = nil // nobody ever signed in
	}
	return ended, survivors, err
}

// tokenSize is how many bytes of a token are random.
const tokenSize = 32

func newToken() string { return base64.RawURLEncoding.EncodeToString(random(tokenSize)) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// nameOf is the name of the file of a token's session. A token cannot be found from it, and comparing
// names tells nothing about a token.
func nameOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// DigestOf is what a session keeps of the hash of a password that was proven: too little to try passwords
// by without the hash itself.
func DigestOf(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return hex.EncodeToString(sum[:8])
}
