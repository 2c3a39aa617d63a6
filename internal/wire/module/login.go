package module

// Login is what the module asks on the socket for second factors, from inside a program that logs
// somebody in. A code comes with it as a sealed memfd of at most MaxCode bytes. All answers are plain.
type Login struct {
	Op      string `json:"op"`
	User    string `json:"user"`
	UID     string `json:"uid,omitempty"`     // of the account; empty: not known
	Service string `json:"service,omitempty"` // of PAM
	Host    string `json:"host,omitempty"`    // that the person comes from
	TTY     string `json:"tty,omitempty"`
}

// The operations.
const (
	FactorNeed  = "factor-need"  // what the login needs: Free, Asks or Refuses
	FactorCheck = "factor-check" // takes a code: Passes or Refuses
)

// MaxCode is how long a code may be, in bytes.
const MaxCode = 512

// The kinds of answers about second factors. There is Refuses, too: the login is refused, and the text
// says why.
const (
	Free   Kind = 'u' // the account has no second factor: the other modules decide
	Asks   Kind = 'c' // the module asks for a code
	Passes Kind = 'p' // the code was right and is used up; the module shows the text, if there is one
)
