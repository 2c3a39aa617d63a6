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
	// Lines: the program shows a text as lines. Otherwise all of an answer is one question, in one line perhaps.
	Lines bool `json:"lines,omitempty"`
}

// The operations.
const (
	FactorNeed = "factor-need" // what the login needs: Free, Asks or Refuses
	// FactorStranger is what a login is asked first where everybody is asked: Asks. With what was typed then, from
	// a login that proved nothing, it is Refuses.
	FactorStranger = "factor-stranger"
	FactorCheck    = "factor-check" // what was typed at the prompt: Passes, Shows, Asks for more, or Refuses
)

// MaxCode is how long a code may be, in bytes.
const MaxCode = 512

// The kinds of answers about second factors. There is Refuses, too: the login is refused, and the text
// says why.
const (
	Free Kind = 'u' // the account has no second factor: the other modules decide
	// Asks: the module shows the text and asks. The last line is the prompt.
	Asks Kind = 'c'
	// Offers is Asks, but whoever types nothing may go on.
	Offers Kind = 'o'
	Passes Kind = 'p' // the code was right and is used up; the module shows the text, if there is one
	// Shows is Passes with a text that must be seen: the module waits for any answer to its last line. A
	// program may keep what it is shown, and throw it away, until it asks again.
	Shows Kind = 'k'
)

// MaxText is how long a text is that the module takes, in bytes. A setup key, its QR code and its
// address have room.
const MaxText = 8000
