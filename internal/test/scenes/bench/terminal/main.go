// Command terminal measures, on the machine under test, how long a person at a terminal waits: from
// a program's start, or from a key press, until text appears.
//
//	terminal -n 50 -uid 1000 -script '# ' -- pcli
//	terminal -n 50 -uid 1000 -script '# |show user u471|u471|\t|u4719' -from 3 -- pcli
//
// It prints one time in microseconds per line.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// patience limits how long a program may take.
const patience = 20 * time.Second

// dialogue is one measurement.
type dialogue struct {
	args  []string
	uid   int
	steps []string // expected and typed text in turn; the last expected text stops the clock
	from  int      // the step that starts the clock; 0: the program's start
	pause time.Duration
}

func main() {
	n := flag.Int("n", 1, "how often")
	uid := flag.Int("uid", 0, "who runs the program; the group has the same number")
	from := flag.Int("from", 0, "which of the script starts the clock; 0: the start of the program")
	pause := flag.Duration("pause", 0, "how long somebody needs before they type, which does not count")
	script := flag.String("script", "", "what is shown and what is typed then, in turn, parted by |")
	flag.Parse()
	steps := strings.Split(strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(*script), "|")
	d := dialogue{args: flag.Args(), uid: *uid, steps: steps, from: *from, pause: *pause}
	for range *n {
		took, err := d.measure()
		if err != nil {
			fmt.Fprintln(os.Stderr, "terminal:", err)
			os.Exit(1)
		}
		fmt.Println(took.Microseconds())
	}
}

func (d dialogue) measure() (time.Duration, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return 0, err
	}
	defer master.Close()
	if err := errors.Join(pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}), slave.Chown(d.uid, -1)); err != nil {
		return 0, err
	}
	program := exec.Command(d.args[0], d.args[1:]...)
	program.Env = append(os.Environ(), "TERM=xterm")
	program.Stdin, program.Stdout, program.Stderr = slave, slave, slave
	program.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Setctty: true, Credential: &syscall.Credential{Uid: uint32(d.uid), Gid: uint32(d.uid)},
	}
	start := time.Now()
	err = program.Start()
	_ = slave.Close()
	if err != nil {
		return 0, err
	}
	defer func() { _ = program.Process.Kill(); _ = program.Wait() }()
	// A terminal's master has no read deadline, so the end of the program ends the wait.
	defer time.AfterFunc(patience, func() { _ = program.Process.Kill() }).Stop()
	return d.talk(master, start)
}

// talk runs the script.
func (d dialogue) talk(master *os.File, start time.Time) (time.Duration, error) {
	shown := []byte{}
	for i, step := range d.steps {
		if i%2 == 1 {
			time.Sleep(d.pause)
			start = start.Add(d.pause)
		}
		if d.from > 0 && i == d.from {
			start = time.Now()
		}
		if i%2 == 1 {
			if _, err := master.WriteString(step); err != nil {
				return 0, err
			}
			continue
		}
		var err error
		if shown, err = await(master, shown, step); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// await reads until a text appears, and returns what came after it.
func await(master *os.File, shown []byte, text string) ([]byte, error) {
	buffer := make([]byte, 1<<16)
	for {
		if _, rest, found := bytes.Cut(shown, []byte(text)); found {
			return rest, nil
		}
		n, err := master.Read(buffer)
		shown = append(shown, buffer[:n]...)
		if err != nil {
			return nil, fmt.Errorf("cannot see %q: %w; shown: %q", text, err, shown)
		}
	}
}
