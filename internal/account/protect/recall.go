package protect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// remembered is how long an answer is valid at most: rules may come from a directory, or from
// included files, and the stamp does not cover those.
const remembered = 30 * time.Second

// recall remembers which accounts sudo lets run something, and which it could not be asked about,
// so that a repeatedly refused change or a hanging sudo costs one question. It never remembers that
// an account may run nothing; that is asked each time it counts, so that no old answer is used
// after root has given the account a right.
type recall struct {
	mu      sync.Mutex
	at      time.Time
	stamp   [sha256.Size]byte
	answers map[string]Answer
}

// rules returns sudo's answers; with ask false only the remembered ones.
func (f *Finder) rules(ctx context.Context, names []string, ask bool) map[string]Answer {
	if program(f.Root) == "" {
		return nil
	}
	stamp := stampOf()
	known := f.recall.look(stamp)
	if !ask {
		return known
	}
	var open []string
	answers := make(map[string]Answer, len(names))
	for _, name := range names {
		if answer, ok := known[name]; ok {
			answers[name] = answer
		} else {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		fresh := f.ask(ctx, open)
		f.recall.keep(stamp, fresh)
		maps.Copy(answers, fresh)
	}
	return answers
}

// ask asks the running system's sudo. The sudo of a mounted system cannot be asked: running it
// would run that system's files as root.
func (f *Finder) ask(ctx context.Context, names []string) map[string]Answer {
	var answers map[string]Answer
	err := errors.New("the sudo of a mounted system cannot be asked")
	if inroot.Live(f.Root) {
		ask := f.Ask
		if ask == nil {
			ask = AskSudo
		}
		answers, err = ask(ctx, names)
	}
	all := make(map[string]Answer, len(names))
	for _, name := range names {
		answer, told := answers[name]
		switch {
		case err != nil:
			answer = Answer{Unknown: err.Error()}
		case !told:
			answer = Answer{Unknown: "sudo did not answer about " + name}
		}
		all[name] = answer
	}
	return all
}

// look returns the remembered answers that the stamp still confirms.
func (r *recall) look(stamp [sha256.Size]byte) map[string]Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stamp != stamp || time.Since(r.at) > remembered {
		r.stamp, r.at, r.answers = stamp, time.Now(), map[string]Answer{}
	}
	return maps.Clone(r.answers)
}

func (r *recall) keep(stamp [sha256.Size]byte, answers map[string]Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stamp != stamp {
		return
	}
	for name, answer := range answers {
		if answer.Allows || answer.Unknown != "" && !answer.Later {
			r.answers[name] = answer
		}
	}
}

// stampOf changes with the files behind sudo's answers, on the running system: answers of other
// systems are not remembered.
func stampOf() [sha256.Size]byte {
	digest := sha256.New()
	paths := []string{"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/sudo.conf", "/etc/netgroup", "/etc/sudoers", "/etc/sudoers.d"}
	if entries, err := os.ReadDir("/etc/sudoers.d"); err == nil {
		for _, entry := range entries {
			paths = append(paths, filepath.Join("/etc/sudoers.d", entry.Name()))
		}
	}
	for _, path := range paths {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		fmt.Fprintln(digest, path, err, st.Dev, st.Ino, st.Size, st.Mode, st.Uid, st.Gid, st.Mtim, st.Ctim)
	}
	return [sha256.Size]byte(digest.Sum(nil))
}
