package operator

import (
	"encoding/json"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Path is where the broker listens for operators.
const Path = "/run/shadowsync/operator.sock"

// Op names an operation.
type Op string

// The operations.
const (
	OpHello          Op = "hello"        // the caller's own account and role: Hello
	OpNames          Op = "names"        // the accounts that the caller may see: []string
	OpSetPassword    Op = "set-password" // the dialogue
	OpOutcome        Op = "outcome"      // Args: Given. The result of a dialogue that broke off: one Turn
	OpShowUser       Op = "show-user"    // User: a name, empty for the caller, or All: []User
	OpSessions       Op = "sessions"     // User as for show-user: []Session
	OpActivity       Op = "activity"     // Args: Activity: []shadowsync.Event
	OpSync           Op = "sync"         // []SyncState
	OpDisconnect     Op = "disconnect"   // Ended
	OpLock           Op = "lock"         // Result
	OpUnlock         Op = "unlock"
	OpExpirePassword Op = "expire-password"
	OpCreateUser     Op = "create-user" // Args: NewUser, with the password attached: Result
	OpEditUser       Op = "edit-user"   // Args: Edit, with the password attached if that is the field: Result
	OpDeleteUser     Op = "delete-user" // Args: Deletion: Result
	OpCode           Op = "code"        // takes a code of the caller's second factor, attached: CodeTaken
	OpEnrol2FA       Op = "enrol-2fa"   // a dialogue, which ends with recovery codes
	OpRenewCodes     Op = "renew-codes" // a dialogue, which ends with recovery codes
	OpLost2FA        Op = "lost-2fa"    // Args: Lost. A dialogue, which ends with recovery codes
	OpSetMail        Op = "set-mail"    // Args: Mail. A dialogue
	OpReset2FA       Op = "reset-2fa"   // Args: Realm, with a code of the caller's own attached: EnrolmentCode
	OpRootTool       Op = "root-tool"   // Args: Attempt. Always refused; recorded in the audit
)

// All, instead of a name, means every account that the caller may see.
const All = "*"

// Role is an operator's role, decided by groups of the OS and the configuration.
type Role string

// The roles. Root has the administrator's role and also root's own rights.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
	RoleNone  Role = "" // an account that no application manages: it may ask for nothing
)

// Request is the first packet of a connection.
type Request struct {
	Op   Op              `json:"op"`
	User string          `json:"user,omitempty"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Answer is the broker's answer. A list comes in several, all but the last with More.
type Answer struct {
	Error  *Error          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	More   bool            `json:"more,omitempty"`
}

// Hello describes the caller as the broker sees it.
type Hello struct {
	User    string `json:"user"`
	UID     int    `json:"uid"`
	Role    Role   `json:"role"`
	Node    string `json:"node"`
	Asset   string `json:"asset"`
	Expired bool   `json:"expired"` // the password must be changed before anything else
	Factor  Factor `json:"factor"`
	Lost    bool   `json:"lost,omitempty"` // a code can be mailed to who lost the authenticator
	// Required says that a second factor is required of the account, which has none; MustEnrol: and that it
	// can do nothing else before.
	Required  string `json:"required,omitempty"`
	MustEnrol bool   `json:"must_enrol,omitempty"`
	Ops       []Op   `json:"ops"` // what this role may ask for
	// IdleTimeout is the number of seconds without a key press after which the shell ends; 0:
	// never.
	IdleTimeout int `json:"idle_timeout"`
	// Groups and Shells are the choices of create and edit user; only for administrators.
	Groups []string `json:"groups,omitempty"`
	Shells []string `json:"shells,omitempty"`
}

// Factor says how far the enrolment of an account's second factor is.
type Factor string

// The states of a second factor. An enrolled account must show a code in each new shell, and one
// that was reset must enrol anew, before the broker does anything else.
const (
	FactorNone     Factor = "none"
	FactorPending  Factor = "pending" // begun, but no code was shown yet
	FactorEnrolled Factor = "enrolled"
	FactorReset    Factor = "reset"
)

// User is one account as `show user` prints it. It contains the hash's format, but no part of the
// hash.
type User struct {
	Name        string                 `json:"name"`
	FullName    string                 `json:"full_name"`
	Role        Role                   `json:"role"`
	Enabled     bool                   `json:"enabled"` // neither locked nor expired
	Application string                 `json:"application"`
	Realm       string                 `json:"realm,omitempty"`  // empty: in /etc/shadow
	Format      string                 `json:"format,omitempty"` // of the hash: "yescrypt"
	LastChange  string                 `json:"last_change,omitempty"`
	MustChange  bool                   `json:"must_change"`
	Expires     string                 `json:"expires,omitempty"` // the password's last day, 2006-01-02
	Locked      bool                   `json:"locked"`
	Protected   string                 `json:"protected,omitempty"` // why operators may not change it
	Shell       string                 `json:"shell,omitempty"`
	Home        string                 `json:"home,omitempty"`
	State       shadowsync.ChangeState `json:"state"`
	Reason      string                 `json:"reason,omitempty"`
	Sessions    int                    `json:"sessions"`
	Factor      Factor                 `json:"factor"`
	EnrolledAt  time.Time              `json:"enrolled_at,omitzero"` // of the factor
	FactorUsed  time.Time              `json:"factor_used,omitzero"` // when a code was last taken
	CodesLeft   int                    `json:"recovery_codes_left"`  // recovery codes that were not used
}

// Session is a login as `show user sessions` prints it.
type Session struct {
	User string `json:"user"`
	Own  bool   `json:"own,omitempty"` // the caller is in it
	shadowsync.Session
}

// Activity asks for records of the audit trail. A zero time or an empty User means no limit; Rows
// counts from the newest, 0 means the default of 50.
type Activity struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	Rows int       `json:"rows,omitempty"`
	User string    `json:"user,omitempty"`
}

// Attempt is the root tool's command that a user other than root tried to run, without arguments:
// they may contain a password.
type Attempt struct {
	Verb string `json:"verb"`
}

// SyncState is one account's line of `show sync`.
type SyncState struct {
	Application  string                 `json:"application"`
	Unit         string                 `json:"unit"`
	Guard        string                 `json:"guard"` // as in status --json
	Account      string                 `json:"account"`
	State        shadowsync.ChangeState `json:"state"`
	Reason       string                 `json:"reason,omitempty"`
	PendingSince time.Time              `json:"pending_since,omitzero"`
	LastChange   *shadowsync.Origin     `json:"last_change,omitempty"`
}

// Result is the result of a change. Notes are complete lines for the operator: sessions that
// survived, ways in that stay open, what else was done.
type Result struct {
	Notes []string `json:"notes,omitempty"`
}

// Ended is the result of ending sessions.
type Ended struct {
	Ended     []Session `json:"ended"`
	Survivors []Session `json:"survivors"`
	Doors     []string  `json:"doors"` // ways in that need no password: complete lines
}

// NewUser describes an account to create.
type NewUser struct {
	Name        string `json:"name"`
	FullName    string `json:"full_name"`
	Role        Role   `json:"role"`
	Shell       string `json:"shell,omitempty"` // empty: the configuration's first
	Enabled     bool   `json:"enabled"`
	Application string `json:"application,omitempty"` // the one that will manage it; empty: the asker's own, or the only one
	TakeHome    bool   `json:"take_home,omitempty"`   // keep an existing home of that name
	// Check only asks whether an account of that name could be created, before anybody is asked
	// for the rest.
	Check bool `json:"check,omitempty"`
}

// Deletion says what goes with an account.
type Deletion struct {
	RemoveHome bool `json:"remove_home,omitempty"`
}

// Field is a property of an account that `edit user` changes.
type Field string

// The fields of edit user.
const (
	FieldFullName Field = "full-name"
	FieldRole     Field = "role"
	FieldEnabled  Field = "enabled" // "true" or "false"
	FieldShell    Field = "shell"
	FieldPassword Field = "password" // the value is the attached secret
)

// Edit changes one field of an account.
type Edit struct {
	Field Field  `json:"field"`
	Value string `json:"value,omitempty"`
}

// CodeTaken says which code was taken, and how many recovery codes are left.
type CodeTaken struct {
	Recovery  bool `json:"recovery,omitempty"`
	CodesLeft int  `json:"recovery_codes_left"`
}

// Realm says whose second factor is meant: that of a local account or that of a directory's.
type Realm struct {
	Realm string `json:"realm"`
}

// Lost begins the way back of who lost the authenticator.
type Lost struct {
	Mailed bool `json:"mailed,omitempty"` // the operator has a mailed code already
}

// Mail is the address on record; empty: none.
type Mail struct {
	Address string `json:"address"`
}

// EnrolmentCode is the result of a reset; the code is empty if there was nothing to reset.
type EnrolmentCode struct {
	Code string `json:"code,omitempty"`
}

// Turn is one packet of the broker in a dialogue. Exactly one of Ask, Done and Error is set; Weak and
// Setup come only with Ask, Notes, Ended and Recovery only with Done.
type Turn struct {
	Ask      Secret   `json:"ask,omitempty"`
	Weak     string   `json:"weak,omitempty"` // why the last one was refused
	Left     int      `json:"left,omitempty"` // tries after this one
	Setup    *Setup   `json:"setup,omitempty"`
	Address  string   `json:"address,omitempty"` // masked: where a code was just mailed to
	Done     bool     `json:"done,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Ended    bool     `json:"ended,omitempty"`    // every other session of the account has ended
	Recovery []string `json:"recovery,omitempty"` // new recovery codes; nothing can show them again
	Error    *Error   `json:"error,omitempty"`
}

// Updated is said of a change of the own password that both sides have.
const Updated = "Password updated successfully"

// Setup is what an authenticator app needs, for typing and as an otpauth address.
type Setup struct {
	Key     string `json:"key"`
	Address string `json:"address"`
	// Enrolment is a code that begins this enrolment again, for who is cut off; empty: none.
	Enrolment string `json:"enrolment_code,omitempty"`
	Another   bool   `json:"another,omitempty"` // the present authenticator works until this one is confirmed
}

// Given says when an operator gave the new password of a dialogue that broke off.
type Given struct {
	At time.Time `json:"at"`
}

// Secret names what the broker asks for.
type Secret string

// The secrets of the dialogues. The operator sends each as a Reply with a sealed memfd of at most
// MaxSecret bytes, without NUL and newline, or MaxCode bytes for a code.
const (
	AskCurrent   Secret = "current"
	AskNew       Secret = "new"
	AskCode      Secret = "code"      // of the second factor
	AskEnrolment Secret = "enrolment" // the code that a reset has printed
	AskMailed    Secret = "mailed"    // a code from a mail
	MaxSecret           = 511         // Linux-PAM's PAM_MAX_RESP_SIZE, less the NUL
	MaxCode             = 64
)

// Reply is one packet of the operator in a dialogue.
type Reply struct {
	Op string `json:"op"` // "secret"
}
