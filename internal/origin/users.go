package origin

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// UserName gives the name of uid in etc/passwd below root, the first if there
// are several, "" if there is none. It asks no name service: those can be slow, remote, or
// waiting for us. Beyond passwd(5), lines that are not an entry are skipped.
func UserName(root string, uid int) string {
	f, err := os.OpenInRoot(root, "etc/passwd") // no symlink leads out of root
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

// isName leaves out empty names and NIS lines ("+", "+name", "-name", "+@group").
func isName(name string) bool {
	return name != "" && !strings.HasPrefix(name, "+") && !strings.HasPrefix(name, "-")
}
