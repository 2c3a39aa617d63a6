package main

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type storeStatus struct {
	Driver string `json:"driver"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// The states of a store. It is unknown before setup, when nothing has asked it.
const (
	storeOK          = "ok"
	storeUnavailable = "unavailable"
	storeMalformed   = "malformed"
	storeUnknown     = "unknown"
)

// afterRefusal marks a store as unavailable if it can be read but did not take the last change:
// reading does not show, for example, that its file system is read-only.
// It goes by the recorded open changes, also those of accounts that were not looked at.
func (s *storeStatus) afterRefusal(application config.Application, looked []accountStatus, changes shadowsync.Memory) {
	if s.State != storeOK || len(changes.Accounts) == 0 {
		return
	}
	now := make(map[string]shadowsync.ChangeState, len(looked))
	for _, account := range looked {
		now[account.Name] = account.State
	}
	for _, name := range application.Accounts {
		open := changes.Accounts[name].Open
		if open == nil || open.State != shadowsync.Pending || !strings.HasPrefix(open.Reason, "store: ") {
			continue
		}
		if state, ok := now[name]; !ok || state == shadowsync.Pending {
			s.State, s.Reason = storeUnavailable, "it can be read, but has not taken the change of "+name+": "+strings.TrimPrefix(open.Reason, "store: ")
			return
		}
	}
}

func storeOf(application config.Application, fault *shadowsync.StoreFault) storeStatus {
	s := storeStatus{Driver: application.Driver(), State: storeOK}
	if fault != nil {
		s.State, s.Reason = storeUnavailable, application.NameStore(fault.Reason)
		if fault.Malformed {
			s.State = storeMalformed
		}
	}
	return s
}

// takes reports a store file that can be read but not written: the next change would stay pending.
func takes(application config.Application, s storeStatus) storeStatus {
	var st unix.Statfs_t
	path := application.StoreFile()
	if path == "" || unix.Statfs(filepath.Dir(path), &st) != nil {
		return s
	}
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		s.State, s.Reason = storeUnavailable, application.NameStore(unix.EROFS.Error())
	case st.Bfree == 0 && st.Blocks > 0, st.Ffree == 0 && st.Files > 0:
		s.State, s.Reason = storeUnavailable, application.NameStore(unix.ENOSPC.Error())
	}
	return s
}
