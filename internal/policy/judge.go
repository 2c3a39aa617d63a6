package policy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// patience bounds one judgement: a module may hang on a name service.
const patience = 5 * time.Second

// Judge asks the machine's own rules. Its methods may be called from several
// goroutines; each call has a child to itself, and children are used again.
type Judge struct {
	dir  string // of the private stack; empty: the machine has no rules
	mu   sync.Mutex
	idle []*child
	all  []*child
	// Skipped: there are rules, and they cannot be asked, because the system is not the running one.
	Skipped bool
}

// NewJudge looks for the rules of the system below root, and starts a child that
// loads them meanwhile. The caller closes the judge.
func NewJudge(root string) (*Judge, error) {
	line, err := machineLine(root)
	if err != nil || line == "" || root != "/" {
		return &Judge{Skipped: line != ""}, err
	}
	dir, err := writeStack("/run", line)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the machine's password rules: %w", err)
	}
	j := &Judge{dir: dir}
	first, err := j.take()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot ask the machine's password rules: %w", err), j.Close())
	}
	j.idle = append(j.idle, first)
	return j, nil
}

// Close ends the children. It may be called again.
func (j *Judge) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.all {
		_ = c.in.Close()
		_ = c.cmd.Process.Kill() // it may have exited already
		_ = c.cmd.Wait()
	}
	j.all = nil
	if j.dir == "" {
		return nil
	}
	return os.RemoveAll(j.dir)
}

// Check returns a *WeakError if the machine's rules refuse the token for the account.
func (j *Judge) Check(account string, token []byte) error {
	if j.dir == "" {
		return nil
	}
	c, err := j.take()
	if err != nil {
		return fmt.Errorf("cannot ask the machine's password rules: %w", err)
	}
	reason, fault, err := c.ask(account, token)
	switch {
	case err != nil:
		return fmt.Errorf("cannot ask the machine's password rules: %w", err) // the child is not used again
	case fault:
		err = fmt.Errorf("cannot ask the machine's password rules: %s", reason)
	case reason != "":
		err = &WeakError{reason}
	}
	j.mu.Lock()
	j.idle = append(j.idle, c)
	j.mu.Unlock()
	return err
}

func (j *Judge) take() (*child, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.idle); n > 0 {
		c := j.idle[n-1]
		j.idle = j.idle[:n-1]
		return c, nil
	}
	c, err := startChild(j.dir)
	if err == nil {
		j.all = append(j.all, c)
	}
	return c, err
}

// child is one worker. A token reaches it through a pipe, which nobody else can
// open by a name and whose content the kernel never swaps.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(dir string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, Argument, dir)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

// ask puts one question. After an error the child is of no use.
func (c *child) ask(account string, token []byte) (reason string, fault bool, err error) {
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	question := make([]byte, 0, 4+len(account)+len(token))
	question = binary.NativeEndian.AppendUint16(question, uint16(len(account)))
	question = binary.NativeEndian.AppendUint16(question, uint16(len(token)))
	question = append(append(question, account...), token...)
	_, err = c.in.Write(question)
	clear(question)
	if err != nil {
		return "", false, errGone(err)
	}
	kind, err := c.out.ReadByte()
	if err != nil {
		return "", false, errGone(err)
	}
	text, err := readText(c.out)
	if err != nil {
		return "", false, errGone(err)
	}
	return text, kind == answerFault, nil
}

func errGone(err error) error { return fmt.Errorf("the worker is gone or too slow: %w", err) }

// readText reads a text of at most 64 KiB with its length before it.
func readText(r io.Reader) (string, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.NativeEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, text)
	return string(text), err
}

var errQuestion = errors.New("a question that cannot be")
