package accountworker

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/sessions"
)

// Departure is the end of an account.
type Departure struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`  // whose at jobs go too; negative: others have it as well
	Home bool   `json:"home"` // it goes too
}

// logindWithin bounds the wait for logind.
const logindWithin = 2 * time.Second

// remove removes the account. logind is told before that it keeps nothing of the user
// any longer, for it knows users by their accounts; what is kept in files goes afterwards,
// when nobody can make it anew.
func (d Departure) remove(ctx context.Context) (left string, err error) {
	stopLingering(ctx, d.Name)
	args := []string{"userdel"}
	if d.Home {
		args = append(args, "--remove")
	}
	if err := execute(ctx, append(args, "--", d.Name)); err != nil {
		return "", err
	}
	if err := sessions.Close("/", d.Name, d.UID); err != nil {
		left = printable.Clip(err.Error(), 300)
	}
	return left, nil
}

// stopLingering has logind forget that the user lingers. Without logind the file is all
// there is to it, and that goes later.
func stopLingering(ctx context.Context, name string) {
	if _, err := os.Lstat(filepath.Join(sessions.Lingering, name)); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logindWithin)
	defer cancel()
	command := exec.CommandContext(ctx, "/usr/bin/loginctl", "disable-linger", name)
	command.Env, command.Dir = environment, "/"
	_ = command.Run() // see above
}
