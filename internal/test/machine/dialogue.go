package machine

import "time"

// A Dialogue is a terminal for tests. If expected text does not come, the test ends and its message
// contains the transcript.
type Dialogue struct {
	*Terminal
	m *T
}

func (m *T) dialogue(terminal *Terminal) *Dialogue {
	m.tb.Cleanup(func() { _ = terminal.Close() })
	return &Dialogue{Terminal: terminal, m: m}
}

// Expect waits for text after the previously expected text.
func (d *Dialogue) Expect(text string, patience time.Duration) {
	d.m.tb.Helper()
	ctx, cancel := d.m.context(patience)
	defer cancel()
	if err := d.Await(ctx, text); err != nil {
		d.m.tb.Fatalf("%v", err)
	}
}

// Answer waits for a question and types a line.
func (d *Dialogue) Answer(question, line string) {
	d.m.tb.Helper()
	d.Expect(question, Patience)
	d.Send(line + "\n")
}

// Send types text; "\n" ends a line, "\x03" is Ctrl-C.
func (d *Dialogue) Send(text string) {
	d.m.tb.Helper()
	if err := d.Terminal.Send(text); err != nil {
		d.m.tb.Fatalf("%v", err)
	}
}

// Ended waits for the program's end and returns its exit status.
func (d *Dialogue) Ended(patience time.Duration) int {
	d.m.tb.Helper()
	ctx, cancel := d.m.context(patience)
	defer cancel()
	code, err := d.Wait(ctx)
	if err != nil {
		d.m.tb.Fatalf("%v", err)
	}
	return code
}

// Silent reports whether the terminal does not echo, as during a password prompt.
func (d *Dialogue) Silent() bool {
	d.m.tb.Helper()
	echoes, err := d.Echoes()
	if err != nil {
		d.m.tb.Fatalf("%v", err)
	}
	return !echoes
}
