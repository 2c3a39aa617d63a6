package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// patience bounds one judgement, because a module may hang on a name service.
const patience = 5 * time.Second

// Judge asks the machine's own rules. Several goroutines may call its methods: each call uses one
// worker alone, and workers are reused.
type Judge struct {
	dir  string // of the private stack; empty: the machine has no rules
	mu   sync.Mutex
	idle []*worker.Process
	all  []*worker.Process
	// Skipped: there are rules, but they cannot be asked, because the system is not the running
	// one.
	Skipped bool
}

// NewJudge looks for the rules of the system below root, and starts a worker, which loads them in
// the background. The caller closes the judge.
func NewJudge(root string) (*Judge, error) {
	line, err := machineLine(root)
	if err != nil || line == "" || !inroot.Live(root) {
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

// Close ends the workers. It may be called more than once.
func (j *Judge) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range j.all {
		_ = p.Kill() // at worst it ends with this process
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
	p, err := j.take()
	if err != nil {
		return fmt.Errorf("cannot ask the machine's password rules: %w", err)
	}
	said, err := ask(p, account, token)
	if err != nil {
		return fmt.Errorf("cannot ask the machine's password rules: %w", err) // the worker is not reused
	}
	j.mu.Lock()
	j.idle = append(j.idle, p)
	j.mu.Unlock()
	switch {
	case said.Fault != "":
		return fmt.Errorf("cannot ask the machine's password rules: %s", said.Fault)
	case said.Reason != "":
		return &WeakError{said.Reason}
	}
	return nil
}

func (j *Judge) take() (*worker.Process, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.idle); n > 0 {
		p := j.idle[n-1]
		j.idle = j.idle[:n-1]
		return p, nil
	}
	dir, err := os.Open(j.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	p, err := worker.Child(judgeJob.Name, dir)
	if err == nil {
		j.all = append(j.all, p)
	}
	return p, err
}

func ask(p *worker.Process, account string, token []byte) (judgement, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	secret, err := socket.SealedMemfd(token)
	if err != nil {
		return judgement{}, err
	}
	defer secret.Close()
	said, err := judgeJob.Job.Ask(ctx, p, judgeQuestion{account}, secret)
	if err != nil {
		return said, errors.Join(err, p.Kill())
	}
	return said, nil
}
