package machine

import (
	"io"
	"os"
	"testing"
	"time"
)

// typing connects both ends of a keyboard: the file on which a person types, and what the program
// reads.
func typing(t *testing.T) (person, hands *os.File, program io.Reader, k *keyboard) {
	t.Helper()
	hands, person, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	program, master, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	k, err = (&Terminal{master: master}).keyboard(hands)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = person.Close(), hands.Close() })
	return person, hands, program, k
}

func TestKeyboardTakesNothingAfterwards(t *testing.T) {
	person, hands, program, k := typing(t)
	_, _ = io.WriteString(person, "one")
	if got := readN(t, program, 3); got != "one" {
		t.Errorf("the program reads %q", got)
	}
	if err := k.close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(person, "two")
	if got := readN(t, hands, 3); got != "two" {
		t.Errorf("who reads next reads %q", got)
	}
}

func TestKeyboardHangsUp(t *testing.T) {
	person, _, program, k := typing(t)
	_ = person.Close()
	select {
	case <-k.done:
	case <-time.After(Patience):
		t.Fatal("a keyboard that is gone does not end")
	}
	if _, err := program.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the program reads on: %v", err)
	}
	if err := k.close(); err != nil {
		t.Error(err)
	}
}

func readN(t *testing.T, from io.Reader, n int) string {
	t.Helper()
	text := make([]byte, n)
	if _, err := io.ReadFull(from, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
