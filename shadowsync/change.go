package shadowsync

import "time"

// SeenBy tells how a change came to our notice.
type SeenBy string

// The ways a change is seen; the texts are those of `status --json`.
const (
	SeenByPAM   SeenBy = "pam"   // the PAM module announced it
	SeenByWatch SeenBy = "watch" // the watch on the shadow file's folder
	SeenByStart SeenBy = "start" // comparison with the baseline at a start
	SeenByStore SeenBy = "store" // the application changed its own store
	SeenByPcli  SeenBy = "pcli"  // the operator shell made it
	SeenByTool  SeenBy = "tool"  // the root tool made it
	SeenByWeb   SeenBy = "web"   // a web page made it
)

// Proven tells whether PAM or one of our own tools vouches for the change, as
// against a difference that was merely noticed.
func (s SeenBy) Proven() bool {
	switch s {
	case SeenByPAM, SeenByPcli, SeenByTool, SeenByWeb:
		return true
	}
	return false
}

// Origin is who made a change and how it was seen. What the kernel no longer
// tells stays empty; nothing is guessed.
type Origin struct {
	At       time.Time `json:"at"`
	SeenBy   SeenBy    `json:"seen_by"`
	By       string    `json:"by,omitempty"`        // name of the real uid
	UID      *int      `json:"uid,omitempty"`       // real uid
	Login    string    `json:"login,omitempty"`     // name of the login uid: the person behind sudo
	LoginUID *int      `json:"login_uid,omitempty"` // /proc/PID/loginuid
	Sudo     string    `json:"sudo,omitempty"`      // name of the nearest parent's user that is not root: the person behind sudo or su
	Program  string    `json:"program,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Terminal string    `json:"terminal,omitempty"`
	Unit     string    `json:"unit,omitempty"`    // systemd unit of the process
	Session  string    `json:"session,omitempty"` // logind session of the process
	Remote   string    `json:"remote,omitempty"`  // host that this session came from
	Verb     string    `json:"verb,omitempty"`    // what our own tool was asked for: "reset password, unlock"
}

// ByRoot tells whether root made the change. Past PAM nobody else can write
// shadow(5), so a merely noticed change is root's.
func (o Origin) ByRoot() bool {
	if o.UID != nil {
		return *o.UID == 0
	}
	return o.SeenBy == SeenByWatch || o.SeenBy == SeenByStart
}

// ChangeState is where an open change stands.
type ChangeState string

// The states of an account; the texts are those of `status --json`.
const (
	InSync     ChangeState = "in-sync"     // no open change
	Queued     ChangeState = "queued"      // seen or announced, not worked on yet
	Pending    ChangeState = "pending"     // the store was unavailable
	Conflict   ChangeState = "conflict"    // a person decides
	NeedsLogin ChangeState = "needs-login" // the store needs a proof that only the next login gives
	Missing    ChangeState = "missing"     // gone on one side
)

// Change is a difference from the baseline that is on record and not settled
// yet. It is journalled before the first write, so that a crash between any two
// steps leaves what was wanted, by whom and why.
type Change struct {
	Account string
	State   ChangeState
	Reason  string // for people; empty while queued
	Verdict Verdict
	// OS is the OS side's value as it was set. It outlives an application that
	// writes its old memory over it while the store cannot take it.
	OS Credential
	// Fields are those that the change is of, and Set takes from OS; zero: all of them.
	Fields Fields
	// Over is the hash that Set replaces: where the OS holds another by then, somebody was
	// faster, and nothing is set. Empty: whatever it holds. Not on record.
	Over string
	// StoreHash is what the store shall hold for OS.Hash where the store cannot
	// take that hash: made from the proof by a worker. Empty: the hash itself.
	StoreHash string
	Origin    Origin
	Since     time.Time
}

// Guards tells whether this change holds back a restart of the application: only
// root's own, and only while the store may still take it. What root does as an operator
// is taken back instead, as any operator's.
func (c Change) Guards() bool {
	return c.State == Pending && c.Origin.ByRoot() && c.Origin.SeenBy != SeenByPcli
}

// vouches tells whether PAM or one of our own tools stands for the password: who only
// locked the account, say, decided nothing about whose password holds.
func (c Change) vouches() bool {
	return c.Origin.SeenBy.Proven() && (c.Fields == 0 || c.Fields&FieldHash != 0)
}

// AtStake tells whether the account has a change that a start of the application could
// undo, or that only we would still bring to the store.
func (m AccountMemory) AtStake() bool {
	return m.Open != nil && atStake(m.Open.State, m.Open.OS, m.Baseline)
}

// atStake tells whether a start of the application could bring a lost password back: the
// OS side has what the store does not know, or who is right is not decided yet. What is
// gone on one side has no other value there that could come back, and what both sides
// hold loses nothing while it waits for a login to be made anew.
func atStake(state ChangeState, os Credential, base *Baseline) bool {
	switch state {
	case Queued, Conflict:
		return true
	case Pending, NeedsLogin:
		return base == nil || !Equal(os, base.OS, AllFields)
	}
	return false
}
