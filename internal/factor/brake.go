package factor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Brake slows down guessing.
type Brake interface {
	// Begin counts a try as failed until Spare takes that back, so that simultaneous tries count. With
	// a wait it counts nothing: the try must not be made.
	Begin(c Count, now time.Time) (wait time.Duration)
	Spare(c Count)
	Forgive(c Count)
	// Due reports whether to audit what costs no try, and how often it was not audited since it last was.
	Due(name string, now time.Time) (unsaid int, due bool)
}

// Count is where a try is counted.
type Count struct {
	Area Area
	Name string
}

// Area is how wide a count is.
type Area int

// The areas.
const (
	AtPlace    Area = iota // one address; of IPv6 a /64
	InNetwork              // a /48 of IPv6
	Everywhere             // all places together, but those where a code of the account was right
	Warning                // the warning that the latter is used up
)

// Place is where a code was right.
type Place struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"` // the last time
}

const (
	// placesKept is how many places of an account are remembered, and placeFor for how long.
	placesKept = 8
	placeFor   = 90 * 24 * time.Hour
)

// knows reports whether a code of the account was right at this place lately.
func (r Record) knows(place string, now time.Time) bool {
	return slices.ContainsFunc(r.Places, func(p Place) bool { return p.Name == place && now.Sub(p.At) < placeFor })
}

// visit notes that a code was right at this place.
func (r *Record) visit(place string, now time.Time) {
	others := slices.DeleteFunc(slices.Clone(r.Places), func(p Place) bool { return p.Name == place || now.Sub(p.At) >= placeFor })
	r.Places = append([]Place{{place, now}}, others[:min(len(others), placesKept-1)]...)
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052

// PlaceOf names the place of a source, where tries are counted, and its network; "": it has none. Whoever
// has an address of IPv6 has the 2^64 beside it and often 2^16 such networks, and every local user has
// 2^24 of loopback.
func PlaceOf(source string) (place, network string) {
	addr, err := netip.ParseAddr(source)
	if err != nil && source != "" {
		return source, "" // a name: sshd's UseDNS
	}
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	switch {
	case source == "", addr.IsLoopback():
		return "this machine", ""
	case addr.Is4():
		return addr.String(), ""
	}
	return netip.PrefixFrom(addr, 64).Masked().String(), netip.PrefixFrom(addr, 48).Masked().String()
}

// counts are where a try is counted: at its place, so that guessing from elsewhere does not keep the
// rightful user out. Six digits can be guessed from many places, so tries with them are also counted
// together, but for those from a place that the account is known to use.
func counts(r Record, source string, kind onetime.Kind, now time.Time) []Count {
	place, network := PlaceOf(source)
	whose := fmt.Sprintf("%s/%s, %s", r.Realm, r.Account, kind)
	all := []Count{{AtPlace, whose + " from " + place}}
	if kind != onetime.TOTP || r.knows(place, now) {
		return all
	}
	if network != "" {
		all = append(all, Count{InNetwork, whose + " from " + network})
	}
	return append(all, Count{Everywhere, whose})
}

// braked makes a try, unless there were too many wrong ones, and audits a refusal.
func (f *Factors) braked(ctx context.Context, a Attempt, r Record, kind onetime.Kind, try func() error) error {
	all := counts(r, a.Source, kind, f.Now())
	if err := f.count(ctx, a, all); err != nil {
		return err
	}
	err := try()
	if err == nil {
		f.Brake.Forgive(all[0])
		f.spare(all[1:])
		return nil
	}
	reason := err.Error()
	if !errors.Is(err, ErrWrong) && !errors.Is(err, errSpent) {
		f.spare(all)
		unsaid, due := f.Brake.Due(all[0].Name, f.Now()) // nothing else keeps it from filling the audit
		if !due {
			return err
		}
		if unsaid > 0 {
			reason += fmt.Sprintf(", and %d more since the last record", unsaid)
		}
	}
	refused := event(f.Now(), a.Subject, a.Origin, ActionRefused, reason)
	return errors.Join(err, f.Store.Audit(context.WithoutCancel(ctx), refused))
}

func (f *Factors) spare(all []Count) {
	for _, c := range all {
		f.Brake.Spare(c)
	}
}

// count counts a try everywhere, or nowhere.
func (f *Factors) count(ctx context.Context, a Attempt, all []Count) error {
	for i, c := range all {
		wait := f.Brake.Begin(c, f.Now())
		if wait == 0 {
			continue
		}
		f.spare(all[:i])
		if c.Area != Everywhere {
			return &SlowError{Wait: wait}
		}
		return errors.Join(&SlowError{Wait: wait, Everywhere: true}, f.warn(ctx, a, c))
	}
	return nil
}

// warn tells, once, that the account is guessed at from many places.
func (f *Factors) warn(ctx context.Context, a Attempt, c Count) error {
	if f.Brake.Begin(Count{Warning, c.Name}, f.Now()) > 0 {
		return nil
	}
	return f.Store.ChangeFactor(context.WithoutCancel(ctx), a.Subject, func(r Record) (Change, error) {
		const reason = "too many wrong codes from many addresses; for now, codes of the authenticator are taken only from where one was right before, and recovery codes from everywhere"
		return Change{Record: r, Events: []shadowsync.Event{event(f.Now(), a.Subject, a.Origin, ActionGuessed, reason)}}, nil
	})
}

// SlowError is the error after too many wrong codes.
type SlowError struct {
	Wait       time.Duration
	Everywhere bool // from many addresses together
}

func (e *SlowError) Error() string {
	text := fmt.Sprintf("too many wrong codes; try again in %v", max(e.Wait, time.Second).Round(time.Second))
	if e.Everywhere {
		text += ", use a recovery code, or come from an address that you have used before"
	}
	return text
}
func (*SlowError) Unwrap() error { return ErrRefused }
