package protect

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// Answer is what sudo says about an account. The zero value: sudo lets it run nothing.
type Answer struct {
	Allows  bool   `json:"allows,omitempty"`
	Unknown string `json:"unknown,omitempty"` // why sudo could not say
	Later   bool   `json:"later,omitempty"`   // there was no time to ask
}

const (
	// AskWithin bounds all questions of one call, because other requests wait for the engine's lock
	// meanwhile.
	AskWithin = 3 * time.Second
	// abreast is how many questions run in parallel.
	abreast = 4
)

// programs are where sudo may be. A link counts too: Debian's alternatives make one for sudo-rs.
var programs = []string{"/usr/bin/sudo", "/bin/sudo", "/usr/local/bin/sudo", "/usr/local/sbin/sudo", "/usr/sbin/sudo"}

// program returns the path of the system's sudo; empty: it has none.
func program(root string) string {
	for _, path := range programs {
		if _, err := inroot.Lstat(root, path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

// AskSudo asks sudo itself about each account, because only sudo can resolve a rule with its
// aliases, includes, gids, netgroups and directories. The broker must not call it: sudo is setuid,
// and may ask NSS and a network. What is not answered in time is unknown.
func AskSudo(ctx context.Context, names []string) (map[string]Answer, error) {
	answers := make(map[string]Answer, len(names))
	path := program("/")
	if path == "" {
		return answers, nil
	}
	ctx, cancel := context.WithTimeout(ctx, AskWithin)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := make(chan struct{}, abreast)
	for _, name := range names {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			answer := ask(ctx, path, name)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = answer
		})
	}
	wg.Wait()
	return answers, nil
}

// ask asks about one account. The exit status differs between versions of sudo and is ignored; only
// sudo's own text for "nothing" means nothing. A rule that allows commands as the account itself
// counts as power too: only sudo could tell whether the rules allow more.
func ask(ctx context.Context, path, name string) Answer {
	if ctx.Err() != nil {
		return Answer{Unknown: "sudo was not asked in time", Later: true}
	}
	command := exec.CommandContext(ctx, path, "-l", "-n", "-U", name)
	command.Env, command.Dir = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, "/"
	command.WaitDelay = time.Second // a child of a plugin may keep the pipe open
	var complaint strings.Builder
	command.Stderr = &complaint
	said, err := command.Output()
	switch {
	case strings.HasPrefix(string(said), "User "+name+" is not allowed to run sudo on ") && ctx.Err() == nil:
		return Answer{}
	case ctx.Err() != nil:
		return Answer{Unknown: "sudo did not answer in time"}
	case err != nil:
		return Answer{Unknown: "cannot ask sudo: " + err.Error() + ": " + printable.Clip(strings.TrimSpace(complaint.String()), 200)}
	}
	return Answer{Allows: true}
}
