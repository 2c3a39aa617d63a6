package base

import (
	"context"
	"os/exec"
	"slices"
)

// insideScript runs a command with a tree as its root. The tree stays as it is: what the command writes
// is in memory, and gone with it, except below the folders that are bound.
const insideScript = `set -e
point=$1 lower=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$point"
mkdir "$point/upper" "$point/work" "$point/root"
root=$point/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$point/upper,workdir=$point/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
while [ "$1" != -- ]; do
	mkdir -p "$root$2"
	mount --rbind "$1" "$root$2"
	shift 2
done
shift
exec chroot "$root" "$@"
`

// A Bind is a folder of the host's, and the path at which a command in a tree finds it.
type Bind struct{ Host, Inside string }

// Inside returns a command that runs in the tree as root, without a network, in the folder /. point is an
// empty folder of the host's, where the tree is mounted for this command alone. Of the environment
// the command gets only a search path and the locale C.UTF-8.
func (t *Tree) Inside(ctx context.Context, point string, binds []Bind, args ...string) *exec.Cmd {
	words := []string{"unshare", "--net", "/bin/sh", "-c", insideScript, "sh", point, t.Lower()}
	for _, bind := range binds {
		words = append(words, bind.Host, bind.Inside)
	}
	command := privately(ctx, slices.Concat(words, []string{"--"}, args)...)
	command.Env = []string{"PATH=" + chrootPath, "LC_ALL=C.UTF-8"}
	return command
}
