package systemd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Strays lists the units other than the given ones that have a guard: units that an application had
// before its configuration changed, or that no application has any more.
func (g *Guard) Strays(units []string) ([]string, error) {
	folders, err := os.ReadDir(g.folder)
	if err != nil {
		return nil, fmt.Errorf("cannot look for guards: %w", err)
	}
	var strays []string
	for _, f := range folders {
		unit, dropIns := strings.CutSuffix(f.Name(), ".d")
		if !dropIns || slices.Contains(units, unit) || shadowsync.CheckUnit(unit) != nil {
			continue
		}
		for _, name := range []string{guardConf, guardLifted, guardOff} {
			if _, err := os.Lstat(filepath.Join(g.folder, f.Name(), name)); err == nil {
				strays = append(strays, unit)
				break
			}
		}
	}
	return strays, nil
}

// Move moves the guard of one unit to other units. Each account keeps the rest of its time; to
// gives its present unit, and accounts without one are not moved. A hold by an administrator does
// not move, because the state sets it again. A guard that is left without accounts is lifted.
func (g *Guard) Move(ctx context.Context, from string, to map[string]string) error {
	folder, err := g.folderOf(from)
	if err != nil {
		return err
	}
	state, _, err := folder.read()
	if err != nil {
		return err
	}
	moved := map[string][]pendingAccount{}
	for _, p := range state.pending {
		if unit := to[p.Account]; unit != "" {
			moved[unit] = append(moved[unit], p)
		}
	}
	for unit, accounts := range moved { // before the old guard is lifted: a crash leaves both
		if err := g.update(ctx, unit, func(s guardState) guardState { return s.joinedBy(accounts) }); err != nil {
			return err
		}
	}
	return g.update(ctx, from, func(s guardState) guardState {
		s.held = false
		s.pending = slices.DeleteFunc(slices.Clone(s.pending), func(p pendingAccount) bool { return to[p.Account] != "" })
		return s
	})
}

// joinedBy adds accounts, with their deadlines, to s. An account that s has already keeps its own.
func (s guardState) joinedBy(accounts []pendingAccount) guardState {
	s.pending = slices.Clone(s.pending)
	for _, p := range accounts {
		if !slices.ContainsFunc(s.pending, func(q pendingAccount) bool { return q.Guarded == p.Guarded }) {
			s.pending = append(s.pending, p)
		}
	}
	return s.sorted()
}
