package doctor

import (
	"context"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// narrow is a store whose column cuts off long values.
type narrow struct {
	shadowsync.CredentialStore
	value string
}

func (n *narrow) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.FieldHash, Scheme: "ldap-ssha"}
}

func (n *narrow) Read(context.Context, []string) (shadowsync.StoreSnapshot, error) {
	return shadowsync.StoreSnapshot{Accounts: map[string]shadowsync.StoredAccount{"scratch": {Credential: shadowsync.Credential{Hash: n.value}}}}, nil
}

func (n *narrow) Write(_ context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	if writes[0].Expect.Hash != n.value {
		return shadowsync.Unwritten{"scratch": shadowsync.ErrChanged}, nil
	}
	n.value = writes[0].Want.Hash
	n.value = n.value[:min(len(n.value), 20)]
	return nil, nil
}

// TestAFailedTrialPutsTheValueBack: the account of the trial has its old value also after a failure.
func TestAFailedTrialPutsTheValueBack(t *testing.T) {
	s := &narrow{value: "{SSHA}old"}
	run := &attempt{
		Trial: Trial{Account: "scratch", Root: "/"}, holder: config.Application{Name: "app"}, store: s,
		held: map[string]shadowsync.Credential{"scratch": {Hash: s.value}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as by a Ctrl-C
	if run.writes(ctx) || s.value != "{SSHA}old" {
		t.Errorf("the account has %q: %+v", s.value, run.said)
	}
	if len(run.said) != 2 || run.said[0].State != Fail || run.said[1].State != OK {
		t.Errorf("it says %+v", run.said)
	}
}
