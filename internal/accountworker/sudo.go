package accountworker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// sudo is asked where it is.
const sudo = "/usr/bin/sudo"

// sudoWithin bounds the question: sudo may look up the host's name.
const sudoWithin = 5 * time.Second

// sudoRules identifies what sudo lets an account run. sudo itself is asked: who is meant
// by a rule, with aliases, includes, gids, netgroups and directories, nobody else can tell. Its exit
// status is the same whatever it allows, so that only its word for "nothing" counts as that.
func sudoRules(ctx context.Context, name string) (string, error) {
	if _, err := os.Stat(sudo); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, sudoWithin)
	defer cancel()
	command := exec.CommandContext(ctx, sudo, "-l", "-n", "-U", name)
	command.Env, command.Dir = environment, "/"
	var complaint strings.Builder
	command.Stderr = &complaint
	said, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask sudo about %s: %w: %s", name, err, printable.Clip(strings.TrimSpace(complaint.String()), 300))
	}
	if strings.HasPrefix(string(said), "User "+name+" is not allowed to run sudo on ") {
		return "", nil
	}
	sum := sha256.Sum256(said)
	return hex.EncodeToString(sum[:]), nil
}
