package origin

import (
	"bufio"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// UserName returns the name of uid in etc/passwd below root: the first one if there are several, ""
// if there is none. It asks no name service, because that can be slow, remote, or waiting for
// shadowsync. It skips malformed lines.
func UserName(root string, uid int) string {
	f, err := inroot.OpenRegular(root, "etc/passwd", 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	want := strconv.Itoa(uid)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), ":", 4)
		if len(fields) == 4 && fields[2] == want && isName(fields[0]) {
			return fields[0]
		}
	}
	return ""
}

// isName reports false for empty names and NIS lines ("+", "+name", "-name", "+@group").
func isName(name string) bool {
	return name != "" && !strings.HasPrefix(name, "+") && !strings.HasPrefix(name, "-")
}
