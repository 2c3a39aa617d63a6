package systemd

import (
	"context"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

// Wiring is how systemd has loaded a unit: what it read, and which other units it is tied to. It
// comes from the bus because systemctl escapes the names that it prints.
type Wiring struct {
	ID       string // the unit's main name, which differs from the given one if that is an alias
	Load     string // as in UnitState
	Outdated bool   // its files are newer than what systemd has read
	DropIns  []string
	// Ties lists the units in Wants, Requires, After, OnSuccess and OnFailure, by these names.
	Ties map[string][]string
	Jobs Jobs // empty with a systemd before 249, which has no OnSuccess=
}

// ties are the unit properties that our hooks use.
var ties = []string{"Wants", "Requires", "After", "OnSuccess", "OnFailure"}

// Wiring returns how a unit is loaded; one that does not exist has Load "not-found".
func (b *Bus) Wiring(ctx context.Context, name string) (Wiring, error) {
	props, err := b.properties(ctx, name)
	if err != nil {
		return Wiring{}, err
	}
	w := Wiring{
		ID: value[string](props, "Id"), Load: value[string](props, "LoadState"),
		Outdated: value[bool](props, "NeedDaemonReload"), DropIns: value[[]string](props, "DropInPaths"),
		Jobs: Jobs{Success: value[string](props, "OnSuccessJobMode"), Failure: value[string](props, "OnFailureJobMode")},
		Ties: make(map[string][]string, len(ties)),
	}
	for _, tie := range ties {
		w.Ties[tie] = value[[]string](props, tie)
	}
	return w, nil
}

// Activity says whether an application runs. One that is starting or stopping is neither active nor
// over.
type Activity struct {
	Active bool
	Over   bool          // inactive or failed
	For    time.Duration // how long it has been active, by CLOCK_MONOTONIC
}

// Activity returns whether a unit is active.
func (b *Bus) Activity(ctx context.Context, name string) (Activity, error) {
	props, err := b.properties(ctx, name)
	if err != nil {
		return Activity{}, err
	}
	switch value[string](props, "ActiveState") {
	case "active", "reloading", "refreshing":
		entered := time.Duration(value[uint64](props, "ActiveEnterTimestampMonotonic")) * time.Microsecond
		return Activity{Active: true, For: time.Duration(uptime()) - entered}, nil
	case "inactive", "failed":
		return Activity{Over: true}, nil
	}
	return Activity{}, nil
}

func (b *Bus) properties(ctx context.Context, name string) (props map[string]any, err error) {
	err = b.again(ctx, "read the state of "+name, func(c *systemd.Conn) (err error) {
		props, err = c.GetUnitPropertiesContext(ctx, name)
		return err
	})
	return props, err
}
