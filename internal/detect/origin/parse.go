package origin

import (
	"regexp"
	"strconv"
	"strings"
)

// stat holds the needed fields of /proc/PID/stat.
type stat struct {
	comm  string
	state byte // Z: ended, but its parent has not reaped it
	ppid  int
	tty   uint32 // device number of the controlling terminal, 0: none
	start uint64 // clock ticks since boot
}

// parseStat reads /proc/PID/stat. The name, in parentheses, may contain spaces,
// parentheses and newlines: it ends at the last ")".
func parseStat(text string) (stat, bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, false
	}
	// Field numbers of proc(5), which counts from 1: the first here is 3.
	fields := strings.Fields(text[end+1:])
	const first, state, ppid, tty, start = 3, 3, 4, 7, 22
	if len(fields) <= start-first {
		return stat{}, false
	}
	parent, err1 := strconv.Atoi(fields[ppid-first])
	device, err2 := strconv.ParseInt(fields[tty-first], 10, 32) // printed as a signed number
	ticks, err3 := strconv.ParseUint(fields[start-first], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return stat{}, false
	}
	return stat{text[open+1 : end], fields[state-first][0], parent, uint32(device), ticks}, true
}

// setIDs reads the four user ids of /proc/PID/status. Only the kernel's own fields begin a line
// there, because it escapes newlines in names.
func (p *Process) setIDs(status string) {
	for line := range strings.Lines(status) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(ids); len(f) == 4 {
				p.UID, p.EUID, p.SavedUID, p.FileUID = parseID(f[0]), parseID(f[1]), parseID(f[2]), parseID(f[3])
			}
			return
		}
	}
}

// parseID returns an id; nil for no number and for the value that means "not set".
func parseID(text string) *int {
	text = strings.TrimSpace(text)
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil || text == unset {
		return nil
	}
	n := int(id)
	return &n
}

// terminalName names a terminal device; "" for none and for unknown kinds. The numbers are those of
// the kernel's Documentation/admin-guide/devices.txt, packed by new_encode_dev.
func terminalName(device uint32) string {
	major := device >> 8 & 0xfff
	minor := device&0xff | device>>12&0xfff00
	number := func(name string, first uint32) string {
		return name + strconv.FormatUint(uint64(minor-first), 10)
	}
	switch {
	case major == 136: // one major number, with minors up to 2^20
		return number("pts/", 0)
	case major == 4 && minor >= 1 && minor < 64:
		return number("tty", 0)
	case major == 4 && minor >= 64:
		return number("ttyS", 64)
	case major == 5 && minor == 1:
		return "console"
	case major == 229:
		return number("hvc", 0)
	case major == 204 && minor >= 64 && minor < 80:
		return number("ttyAMA", 64)
	}
	return ""
}

// terminalLink matches the path of a terminal.
var terminalLink = regexp.MustCompile(`^/dev/(pts/[0-9]+|tty[0-9A-Za-z]+|hvc[0-9]+|console)$`)

// terminalOfLink names the terminal behind an open descriptor, if it is one.
func terminalOfLink(target string) string {
	if m := terminalLink.FindStringSubmatch(target); m != nil {
		return m[1]
	}
	return ""
}

// parseCgroup returns a process's path in systemd's hierarchy: the path of the line "name=systemd"
// if there is one (cgroup v1, and v1 beside v2), else the only path of v2. See cgroups(7). In a
// container the host may have a hierarchy of that name that the container's systemd does not use;
// then its path contains no unit.
func parseCgroup(text string) string {
	named, unified := "", ""
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		path := strings.TrimSuffix(parts[2], " (deleted)")
		switch {
		case parts[1] == "name=systemd":
			named = path
		case parts[0] == "0" && parts[1] == "":
			unified = path
		}
	}
	if unit, _ := unitOf(named); unit == "" && unified != "" {
		return unified
	}
	return named
}

// unitSuffixes are the types of units that have processes.
var unitSuffixes = []string{".service", ".scope", ".socket", ".mount", ".swap"}

// unitOf returns the system unit of a cgroup, and logind's session id if the unit is a session's
// scope. The unit is the first part below the slices; what it does below its own cgroup (Delegate=,
// user managers) does not count.
func unitOf(cgroup string) (unit, session string) {
	for part := range strings.SplitSeq(strings.TrimPrefix(cgroup, "/"), "/") {
		if strings.HasSuffix(part, ".slice") {
			continue
		}
		// systemd adds "_" before a name that could also be a kernel file.
		part = strings.TrimPrefix(part, "_")
		if !isUnit(part) {
			return "", ""
		}
		if id, ok := strings.CutSuffix(part, ".scope"); ok {
			session, _ = strings.CutPrefix(id, "session-")
			if session == id {
				session = ""
			}
		}
		return part, session
	}
	return "", ""
}

func isUnit(name string) bool {
	for _, suffix := range unitSuffixes {
		if strings.HasSuffix(name, suffix) && name != suffix {
			return true
		}
	}
	return false
}
