package sessions

import (
	"context"
	"fmt"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// LeftAlone is a background session: a job that cron or at started, or a command that su(1) or
// runuser(1) runs without a terminal. No password opened it, so shadowsync does not end it.
type LeftAlone struct {
	shadowsync.Session
	StartedBy string `json:"started_by,omitempty"` // the program and its unit, if still running
}

// Text returns a line to show to people.
func (l LeftAlone) Text() string {
	text := fmt.Sprintf("background session %s (%s", l.ID, l.Kind)
	if l.StartedBy != "" {
		text += ", started by " + l.StartedBy
	}
	return text + ") is left alone"
}

// ListLeftAlone returns the background sessions of an account that have processes, oldest first.
func (s Sessions) ListLeftAlone(ctx context.Context, account shadowsync.Account) ([]LeftAlone, error) {
	present, err := look(ctx, s.Logins, account.UID, Keep{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the background sessions of %s: %w", account.Name, err)
	}
	return present.leftAlone(), nil
}

func (s *scene) leftAlone() []LeftAlone {
	var list []LeftAlone
	seen := map[string]bool{}
	for _, p := range s.jobs {
		if seen[p.Session] {
			continue
		}
		seen[p.Session] = true
		left := LeftAlone{Session: s.logins[p.Session].Session}
		// PAM moved the oldest process into the session; its parent stayed outside and started it.
		if parent, ok := s.processes[p.Parent]; ok && parent.PID != 1 {
			left.StartedBy = parent.Comm
			if parent.Unit != "" {
				left.StartedBy += " in " + parent.Unit
			}
		}
		list = append(list, left)
	}
	return list
}
