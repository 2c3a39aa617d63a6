package accountworker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// Departure describes an account to remove.
type Departure struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`  // its at jobs are removed too; negative: other accounts have the same uid
	Home bool   `json:"home"` // remove the home and the mail too
}

// logindWithin bounds the wait for logind.
const logindWithin = 2 * time.Second

// remove removes the account. Lingering is switched off first, because logind finds a user by its
// account; the account's files go last, when it can no longer create new ones.
func (d Departure) remove(ctx context.Context) (left string, err error) {
	stopLingering(ctx, d.Name)
	args := []string{"userdel"}
	if d.Home {
		args = append(args, "--remove")
	}
	if err := execute(ctx, append(args, "--", d.Name)...); err != nil {
		return "", err
	}
	err = sessions.Close("/", d.Name, d.UID)
	mail, mailErr := removeEmptyMail("/", d.Name)
	if err = errors.Join(err, mailErr); err != nil {
		return printable.Clip(err.Error(), 300), nil
	}
	return mail, nil
}

// removeEmptyMail removes the mail spool that useradd(8) made if nothing is in it: otherwise nobody
// could get the name again. It returns the path of one that has mail.
func removeEmptyMail(root, name string) (left string, err error) {
	path := filepath.Join("/var/mail", name) // /var/spool/mail is the same folder, or a link to it
	info, err := inroot.Lstat(root, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case info.Mode().IsRegular() && info.Size() == 0:
		return "", inroot.RemoveFile(root, path)
	}
	return path, nil
}

// stopLingering makes logind forget that the user lingers. Errors do not matter: without logind
// lingering is only a file, and remove deletes that later.
func stopLingering(ctx context.Context, name string) {
	if _, err := os.Lstat(filepath.Join(sessions.Lingering, name)); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logindWithin)
	defer cancel()
	command := exec.CommandContext(ctx, "/usr/bin/loginctl", "disable-linger", name)
	command.Env, command.Dir = environment, "/"
	_ = command.Run() // errors do not matter, see above
}
