package web

import (
	"encoding/json"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Path is where the daemon listens for pages.
const Path = "/run/shadowsync/web.sock"

// The largest secrets, in bytes.
const (
	MaxPassword = 511 // Linux-PAM's PAM_MAX_RESP_SIZE, less the NUL
	MaxCode     = 64
)

// Op names an operation. Secrets are attached in the order that is given in brackets. A proof is the
// current password or a code of the second factor of whoever is signed in: see [Proof].
type Op string

// The operations.
const (
	OpSettings      Op = "settings"       // Settings; needs no token
	OpSignIn        Op = "sign-in"        // Args: SignIn [password]: Signed; needs no token
	OpCode          Op = "code"           // [code]: Signed
	OpLost          Op = "lost"           // mails a code: Mailed
	OpRegain        Op = "regain"         // [mailed code]: Setup
	OpEnrol         Op = "enrol"          // [proof, enrolment code if the factor was reset]: Setup
	OpConfirm       Op = "confirm"        // [code of the new app]: Confirmed
	OpWho           Op = "who"            // Person
	OpSignOut       Op = "sign-out"       // nothing
	OpSetPassword   Op = "set-password"   // [current, new]: Result; ends every session, this one too
	OpRenewCodes    Op = "renew-codes"    // [code]: Confirmed
	OpSetMail       Op = "set-mail"       // Args: Mail [code]: nothing
	OpSessions      Op = "sessions"       // User: []Session
	OpActivity      Op = "activity"       // User, Args: Activity: []shadowsync.Event
	OpEndSessions   Op = "end-sessions"   // User [proof]: Ended; one's own: this one too
	OpUsers         Op = "users"          // []User; User: that one alone
	OpSync          Op = "sync"           // []SyncState
	OpLock          Op = "lock"           // User [proof]: Result
	OpUnlock        Op = "unlock"         // User [proof]: Result
	OpExpire        Op = "expire"         // User [proof]: Result
	OpResetPassword Op = "reset-password" // User [proof, new]: Result
	OpReset2FA      Op = "reset-2fa"      // User, Args: Realm; none: local [code]: EnrolmentCode
)

// Request is the one packet of the caller.
type Request struct {
	Op    Op     `json:"op"`
	Token string `json:"token,omitempty"`
	User  string `json:"user,omitempty"` // the account that is asked about; empty: one's own
	// Proof says what the attached proof is. The daemon says in [Person] which one it wants.
	Proof Proof           `json:"proof,omitempty"`
	Args  json.RawMessage `json:"args,omitempty"`
}

// Answer is the daemon's answer. A list comes in several, all but the last with More.
type Answer struct {
	Error  *Error          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	More   bool            `json:"more,omitempty"`
}

// Proof is what shows, beside the token, that the person is there.
type Proof string

// The proofs.
const (
	ByPassword Proof = "password" // the current password
	ByCode     Proof = "code"     // a code of the second factor, or a recovery code
)

// Kind classifies an error for programs.
type Kind string

// The kinds of errors.
const (
	Failed           Kind = "failed"
	Usage            Kind = "usage"             // the request is invalid
	Pending          Kind = "pending"           // done on the OS side, not yet in the store
	Conflict         Kind = "conflict"          // it does not fit the present state
	NoAccount        Kind = "no-account"        // no such account, or the person may not see it
	Policy           Kind = "policy"            // the new password was refused, for the reason in the text
	NotAuthenticated Kind = "not-authenticated" // the password is wrong, or the account may not log in
	CodeRefused      Kind = "code-refused"      // another code may be right
	NotPermitted     Kind = "not-permitted"
	SignedOut        Kind = "signed-out" // the token opens nothing (any more)
	StepNeeded       Kind = "step"       // another step of signing in comes first: see Signed.Next
	TooMany          Kind = "too-many"   // too many failures or requests: try again after a while
	Unavailable      Kind = "unavailable"
)

// Error is the daemon's refusal. Text is for the person; it is printable and has no full stop.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// Settings are what the configuration says about the page.
type Settings struct {
	Node    string        `json:"node"`    // the machine's name, for the heading
	Issuer  string        `json:"issuer"`  // of second factors
	Proxies []string      `json:"proxies"` // addresses (or prefixes) whose X-Forwarded-For is believed
	Idle    time.Duration `json:"idle"`    // nanoseconds without a request after which a session ends
	Total   time.Duration `json:"total"`   // nanoseconds after which it ends in any case
}

// SignIn names who wants to sign in, and from which address.
type SignIn struct {
	Name    string `json:"name"`
	Address string `json:"address"` // of the browser, without a port
}

// Next is what must happen before anything else.
type Next string

// The steps of signing in. Each answers with a new token; the former one opens nothing then.
const (
	NextNone      Next = ""            // signed in
	NextCode      Next = "code"        // OpCode, or OpLost if that is offered
	NextMailed    Next = "mailed"      // OpRegain; OpCode still works
	NextEnrolment Next = "enrolment"   // the second factor was reset: OpEnrol with the enrolment code
	NextEnrol     Next = "enrol"       // a second factor is required: OpEnrol
	NextConfirm   Next = "confirm"     // OpConfirm: a code of the app that was just set up
	NextPassword  Next = "must-change" // the password has expired: OpSetPassword
)

// Signed is the result of a step of signing in.
type Signed struct {
	Token string `json:"token"` // 43 characters of base64url; to be kept in the browser alone
	Next  Next   `json:"next,omitempty"`
	Lost  bool   `json:"lost,omitempty"` // a code can be mailed to who lost the authenticator
	// Note is a line for the person: few recovery codes are left, a second factor will be required.
	Note string `json:"note,omitempty"`
}

// Mailed says where a code was mailed to.
type Mailed struct {
	Signed
	Address string `json:"address"` // masked
}

// Setup is what an authenticator app needs.
type Setup struct {
	Signed
	Key       string `json:"key"`                      // for typing
	Address   string `json:"address"`                  // an otpauth address, for a QR code
	Enrolment string `json:"enrolment_code,omitempty"` // begins this enrolment again, for who is cut off
}

// Confirmed is the result of an enrolment or a renewal.
type Confirmed struct {
	Signed
	Recovery []string `json:"recovery"` // new recovery codes; nothing can show them again
}

// Role is a person's role, decided by groups of the OS and the configuration.
type Role string

// The roles.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
)

// Factor says how far the enrolment of a second factor is.
type Factor string

// The states of a second factor.
const (
	FactorNone     Factor = "none"
	FactorPending  Factor = "pending"
	FactorEnrolled Factor = "enrolled"
	FactorReset    Factor = "reset"
)

// Person is who is signed in.
type Person struct {
	Name      string    `json:"name"`
	FullName  string    `json:"full_name"`
	Role      Role      `json:"role"`
	Realm     string    `json:"realm,omitempty"` // empty: in /etc/shadow; "ldap": of a directory
	Next      Next      `json:"next,omitempty"`
	Lost      bool      `json:"lost,omitempty"`
	Proof     Proof     `json:"proof"` // what changes must carry
	Factor    Factor    `json:"factor"`
	Enrolled  time.Time `json:"enrolled_at,omitzero"`
	CodesLeft int       `json:"recovery_codes_left"`
	Mail      string    `json:"mail,omitempty"` // the address on record, masked; empty: none
	Mails     bool      `json:"mails"`          // the machine can mail codes
	Expires   string    `json:"expires,omitempty"`
	Changed   string    `json:"last_change,omitempty"` // of the password, 2006-01-02
	// LastChange is the last change of the password that was begun at a page, before this session; nil: there was none
	// for a day.
	LastChange *LastChange `json:"change_begun,omitempty"`
	// Required is a line that says until when a second factor must be enrolled; empty: it need not be.
	Required string `json:"required,omitempty"`
	// SignedIn and Address are of this session.
	SignedIn time.Time `json:"signed_in"`
	Address  string    `json:"address"`
	// Directory: this administrator may reset second factors of accounts of a directory.
	Directory bool `json:"directory,omitempty"`
}

// Realm is where an account is kept.
type Realm struct {
	Realm string `json:"realm"` // "local": in /etc/shadow; "ldap": of a directory
}

// LastChange is what became of a change of a password. Whoever lost the answer is told so.
type LastChange struct {
	Began   time.Time `json:"began_at"`
	Outcome string    `json:"outcome"` // a sentence without its full stop
}

// User is an account as administrators see it. It holds no part of the hash.
type User struct {
	Name        string                 `json:"name"`
	FullName    string                 `json:"full_name"`
	Role        Role                   `json:"role,omitempty"`
	Application string                 `json:"application"`
	Enabled     bool                   `json:"enabled"` // neither locked nor expired
	Locked      bool                   `json:"locked"`
	MustChange  bool                   `json:"must_change"`
	LastChange  string                 `json:"last_change,omitempty"`
	Expires     string                 `json:"expires,omitempty"`
	Protected   string                 `json:"protected,omitempty"` // why operators may not change it
	State       shadowsync.ChangeState `json:"state"`
	Reason      string                 `json:"reason,omitempty"`
	Sessions    int                    `json:"sessions"`
	Factor      Factor                 `json:"factor"`
	CodesLeft   int                    `json:"recovery_codes_left"`
}

// Session is a login of any kind.
type Session struct {
	User string `json:"user"`
	Own  bool   `json:"own,omitempty"` // the one of this token
	shadowsync.Session
}

// Activity asks for records of the audit, newest first. A zero time means no limit.
type Activity struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	Rows int       `json:"rows,omitempty"` // 0: 50
}

// SyncState is the state of one account's synchronisation.
type SyncState struct {
	Application  string                 `json:"application"`
	Unit         string                 `json:"unit"`
	Guard        string                 `json:"guard"` // as `status --json` has it
	Account      string                 `json:"account"`
	State        shadowsync.ChangeState `json:"state"`
	Reason       string                 `json:"reason,omitempty"`
	PendingSince time.Time              `json:"pending_since,omitzero"`
}

// Mail is the address on record; empty: none.
type Mail struct {
	Address string `json:"address"`
}

// Result is the result of a change. Notes are complete lines for the person: sessions that survived, ways
// in that stay open.
type Result struct {
	Notes []string `json:"notes,omitempty"`
	// Ended, only of OpSetPassword: every other session of the account was ended, and none was left.
	Ended bool `json:"ended,omitempty"`
}

// Ended is the result of ending sessions.
type Ended struct {
	Ended     []Session `json:"ended"`
	Survivors []Session `json:"survivors"`
	Doors     []string  `json:"doors"` // ways in that need no password: complete lines
}

// EnrolmentCode is the result of a reset of a second factor; the code is empty if there was nothing to
// reset.
type EnrolmentCode struct {
	Code string `json:"code,omitempty"`
}
