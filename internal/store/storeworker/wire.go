package storeworker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The operations.
const (
	opOpen     = "open"
	opRevision = "revision"
	opRead     = "read"
	opWrite    = "write"
	opWatch    = "watch"
	opRehearse = "rehearse" // for driver.Rehearser

	// For driver.Embedded.
	opAll     = "all"
	opHold    = "hold"
	opReplace = "replace"
	opCommit  = "commit"
	opRelease = "release"
)

// Limits of a single record, so that one always fits into a packet.
const (
	maxName     = 256
	maxPassword = 4096
	maxText     = 512
)

// perPacket is how many names or records one packet holds, if they fit.
const perPacket = 256

// request is a packet to the worker. Lists continue in the next packet while More is set.
type request struct {
	Op       string         `json:"op"`
	Within   int64          `json:"within,omitempty"` // milliseconds that the client waits; 0: no limit
	Options  *store.Options `json:"options,omitempty"`
	Become   bool           `json:"become,omitempty"`   // first give up all rights that it does not need; false: it has no others
	Equipped bool           `json:"equipped,omitempty"` // with the descriptors of equipment
	Looks    bool           `json:"looks,omitempty"`    // it has LookCapabilities, which are not to open a store with
	Names    []string       `json:"names,omitempty"`
	Writes   []write        `json:"writes,omitempty"`
	More     bool           `json:"more,omitempty"`
}

// answer is a packet from the worker.
type answer struct {
	Fault        *fault                   `json:"fault,omitempty"` // of the operation as a whole
	Capabilities *shadowsync.Capabilities `json:"capabilities,omitempty"`
	Revision     string                   `json:"revision,omitempty"`
	Records      []record                 `json:"records,omitempty"`
	Malformed    []malformed              `json:"malformed,omitempty"`
	Left         []leftAlone              `json:"left,omitempty"`
	More         bool                     `json:"more,omitempty"`
}

// record is an account of a store. The member names here, in write and in credential are short
// because there may be a hundred thousand accounts.
type record struct {
	Name       string     `json:"n"`
	Credential credential `json:"c"`
	ChangedAt  int64      `json:"at,omitempty"` // milliseconds since 1970
}

// malformed is an account whose own record cannot be read.
type malformed struct {
	Name string `json:"n"`
	Why  string `json:"why"`
}

type write struct {
	Name   string     `json:"n"`
	Expect credential `json:"e"`
	Want   credential `json:"w"`
	Create bool       `json:"new,omitempty"`
	Delete bool       `json:"del,omitempty"`
	At     int64      `json:"at,omitempty"` // change time of a restored row, in milliseconds since 1970
}

type leftAlone struct {
	Name string `json:"n"`
	Why  fault  `json:"why"`
}

// credential is a shadowsync.Credential: the password field and, unless all are zero, last change,
// minimum, maximum, warning, inactivity and expiry.
type credential struct {
	Password   string             `json:"p"`
	MustChange bool               `json:"m,omitempty"`
	Days       *[6]shadowsync.Day `json:"d,omitempty"`
}

func pack(c shadowsync.Credential) credential {
	packed := credential{Password: c.Password(), MustChange: c.MustChange}
	if days := [6]shadowsync.Day{c.LastChange, c.Min, c.Max, c.Warn, c.Inactive, c.Expire}; days != [6]shadowsync.Day{} {
		packed.Days = &days
	}
	return packed
}

// unpack restores the credential of a store with these capabilities. In an opaque value, "!" is no
// lock mark.
func (c credential) unpack(of shadowsync.Capabilities) shadowsync.Credential {
	if of.Opaque() {
		return shadowsync.Credential{Hash: c.Password}
	}
	unpacked := shadowsync.Credential{MustChange: c.MustChange}
	unpacked.Hash, unpacked.Locked = shadowsync.ParsePassword(c.Password)
	if d := c.Days; d != nil {
		unpacked.LastChange, unpacked.Min, unpacked.Max = d[0], d[1], d[2]
		unpacked.Warn, unpacked.Inactive, unpacked.Expire = d[3], d[4], d[5]
	}
	return unpacked
}

// fault is an error whose kind survives the connection.
type fault struct {
	Kind     string     `json:"kind"`
	Reason   string     `json:"reason,omitempty"`
	Errno    unix.Errno `json:"errno,omitempty"`
	Answered bool       `json:"answered,omitempty"` // see driver.Fault
}

// kinds are the errors that a store returns, except the refusal, which has a type.
var kinds = map[string]error{
	"unavailable": shadowsync.ErrUnavailable,
	"malformed":   shadowsync.ErrMalformed,
	"changed":     shadowsync.ErrChanged,
	"no-account":  shadowsync.ErrNoAccount,
	"no-revision": shadowsync.ErrNoRevision,
	"no-watch":    shadowsync.ErrNoWatch,
}

const kindRefused = "refused"

func packError(err error) *fault {
	if err == nil {
		return nil
	}
	f := &fault{Kind: "unavailable", Reason: printable.Clip(err.Error(), maxText)}
	if refused := (*shadowsync.RefusedError)(nil); errors.As(err, &refused) {
		f.Kind, f.Reason = kindRefused, printable.Clip(refused.Reason, maxText)
		return f
	}
	for kind, target := range kinds {
		if errors.Is(err, target) {
			f.Kind = kind
		}
	}
	errors.As(err, &f.Errno)
	if of := (*driver.Fault)(nil); errors.As(err, &of) {
		f.Answered = of.Answered
	}
	return f
}

// unpack restores the error. An unknown kind is a fault of the worker, not of the account.
func (f *fault) unpack() error {
	if f == nil {
		return nil
	}
	reason := printable.Clip(f.Reason, maxText)
	switch kind := kinds[f.Kind]; {
	case f.Kind == kindRefused:
		return &shadowsync.RefusedError{Reason: reason}
	case kind == shadowsync.ErrMalformed, ofStore(kind): //nolint:errorlint // the table's own value, never wrapped
		result := &driver.Fault{Kind: kind, Reason: cmp.Or(reason, kind.Error()), Answered: f.Answered}
		if f.Errno != 0 {
			result.Cause = f.Errno
		}
		return result
	case kind != nil:
		return kind
	}
	return errLie
}

// ofStore reports whether an error is about the store as a whole, and never about one account.
func ofStore(err error) bool {
	return errors.Is(err, shadowsync.ErrUnavailable) || errors.Is(err, shadowsync.ErrNoRevision) || errors.Is(err, shadowsync.ErrNoWatch)
}

// sendList sends a list in as many packets as needed, and an empty list in one.
func sendList[T any](ctx context.Context, conn *socket.Conn, list []T, packet func(part []T, more bool) any) error {
	size := perPacket
	for {
		n := min(size, len(list))
		err := conn.Send(ctx, packet(list[:n], n < len(list)))
		switch {
		case errors.Is(err, socket.ErrTooLarge) && n > 1:
			size = n / 2
			continue
		case err != nil:
			return err
		}
		if list = list[n:]; len(list) == 0 {
			return nil
		}
	}
}

// within is the time left until the deadline of ctx, as a request carries it.
func within(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, time.Until(deadline).Milliseconds())
}
