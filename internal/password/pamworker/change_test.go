package pamworker

import (
	"os"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// TestFinish: the change that waits gets the new password if a stack can take it at all, and nothing
// else is an answer to it.
func TestFinish(t *testing.T) {
	token := func(text string) []*os.File {
		f, err := socket.SealedMemfd([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return []*os.File{f}
	}
	for name, c := range map[string]struct {
		q      question
		tokens []*os.File
		want   Verdict
		got    string // what the change was given
		fails  bool
	}{
		"a new one":       {question{New: true}, token("new"), Done, "new", false},
		"an empty one":    {question{New: true}, token(""), Weak, "", false},
		"a line break":    {question{New: true}, token("new\nnew"), Weak, "", false},
		"none":            {question{New: true}, nil, "", "", true},
		"another proof":   {question{Current: true}, token("old"), "", "", true},
		"another change":  {question{Current: true, New: true}, append(token("old"), token("new")...), "", "", true},
		"another's, even": {question{User: "root", New: true}, token("new"), Done, "new", false}, // the user is that of the proof
	} {
		t.Run(name, func(t *testing.T) {
			fresh, got := make(chan string, 1), make(chan string, 1)
			p := process{change: &change{&transaction{done: make(chan Answer, 1)}, fresh}}
			p.change.done <- Answer{Verdict: Done}
			answer, err := p.finish(c.q, c.tokens)
			close(fresh)
			got <- <-fresh
			if answer.Verdict != c.want || (err != nil) != c.fails || <-got != c.got {
				t.Errorf("answered %+v, %v", answer, err)
			}
		})
	}
}

// TestAwait: the new password goes to the stack as it came.
func TestAwait(t *testing.T) {
	var p process
	fresh := make(chan string, 1)
	fresh <- "new"
	if got, err := p.await(question{Within: time.Hour}, fresh); got != "new" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
