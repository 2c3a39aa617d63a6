package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// The account of the scratch stack, which exists only in the copy of /etc.
const (
	scratchAccount = "shadowsync-doctor"
	scratchUID     = 65533 // unused by services and people: login.defs(5) ends those below 60000
	scratchMessage = "shadowsync: " + scratchAccount + ": this change is only a trial"
)

// scratchTime limits the change: the module alone may wait for two seconds.
const scratchTime = 15 * time.Second

// announcement is the module's message to the broker.
type announcement struct {
	Op   string `json:"op"`
	User string `json:"user"`
}

// trial is one real passwd on a copy of this machine's own stack. The module talks to a broker that
// the trial provides.
type trial struct {
	token  string
	output string // output of passwd
	failed error  // passwd's exit status
	stored bool   // the copy of /etc/shadow holds a new password

	announced announcement
	carried   string // the token attached to the announcement
	heard     bool
}

func checkChange(ctx context.Context, e *exam) verdict {
	ctx, cancel := context.WithTimeout(ctx, scratchTime)
	defer cancel()
	t := trial{token: rand.Text() + "+" + strings.ToLower(rand.Text())}
	if err := t.run(ctx); err != nil {
		if errors.Is(err, errNoNamespace) {
			return warn("a trial change was not possible: %v", err)
		}
		return fail("a trial change was not possible: %v", err)
	}
	v := t.assess()
	if module := checkModule(ctx, e); !t.heard && module.state == Fail {
		return v.by(module.command, module.mend) // setup does not install the module
	}
	return v
}

func (t *trial) assess() verdict {
	const command = "shadowsync setup"
	switch {
	case !t.stored:
		return fail("passwd does not change passwords on this machine: %v: %s", t.failed, t.output)
	case !t.heard:
		return fail("a changed password is not announced: the module is not loaded, or not reached").by(command, nil)
	case t.announced != announcement{"pam-changed", scratchAccount}:
		return fail("the module announces something else: %+v", t.announced).by("make install", nil)
	case t.carried != t.token:
		return fail("the module does not hand over the new token").by("make install", nil)
	case !strings.Contains(t.output, scratchMessage):
		return fail("passwd does not show the result of the change").by("make install", nil)
	case t.failed != nil:
		return fail("passwd reports a failure of a change that it made: %v: %s", t.failed, t.output)
	}
	return pass("passwd on a copy of this stack reached the module, which handed the token over")
}

func (t *trial) run(ctx context.Context) error {
	return inPrivateMounts(ctx, func() error {
		if err := makeScratchAccount(); err != nil {
			return err
		}
		listener, err := listenScratch()
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- t.answer(ctx, listener) }()
		err = t.change(ctx)
		// This wakes accept(2) if the module did not connect. The socket's name is not removed: its
		// folder disappears with the namespace, and another thread would remove the host's socket.
		_ = unix.Shutdown(listener, unix.SHUT_RDWR)
		answered := <-done
		_ = unix.Close(listener)
		return errors.Join(err, answered)
	})
}

// makeScratchAccount changes the copies that the caller's thread sees.
func makeScratchAccount() error {
	lines := map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", scratchAccount, scratchUID, scratchUID),
		shadowPath:    scratchAccount + ":*:20000:0:99999:7:::\n",
	}
	for path, line := range lines {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		if err := os.WriteFile(path, append(text, line...), 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(engine.RunDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(engine.RunDir+"/managed", []byte(scratchAccount+"\tscratch.service\n"), 0o644)
}

// listenScratch uses plain system calls: a socket.Listener removes its socket file on close, on any
// thread.
func listenScratch() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: engine.RunDir + "/root.sock"})
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// answer is the trial's broker: it takes one announcement and sends one answer.
func (t *trial) answer(ctx context.Context, listener int) error {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil // shut down, because nothing connected
	}
	file := os.NewFile(uintptr(fd), "announcement")
	conn, err := socket.FromFile(file)
	_ = file.Close()
	if err != nil {
		return err
	}
	defer conn.Close()
	var request module.Request
	files, err := conn.Receive(ctx, &request)
	if err != nil {
		return nil // an unreadable announcement counts as none
	}
	t.heard, t.announced = true, announcement{request.Op, request.User}
	for _, f := range files {
		if token, err := socket.ReadSecret(f, 512); err == nil {
			t.carried = string(token)
		}
		_ = f.Close()
	}
	return module.Answer{Kind: module.Says, Text: scratchMessage}.Send(ctx, conn, request)
}

// change runs passwd as root does in a recovery, and checks the result.
func (t *trial) change(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "passwd", scratchAccount)
	cmd.Stdin = strings.NewReader(t.token + "\n" + t.token + "\n")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	t.failed = cmd.Run()
	t.output = strings.TrimSpace(said.String())
	var status *exec.ExitError
	if t.failed != nil && !errors.As(t.failed, &status) {
		return t.failed
	}
	text, err := os.ReadFile(shadowPath)
	t.stored = strings.Contains(string(text), "\n"+scratchAccount+":$")
	return err
}
