package origin

import (
	"bufio"
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Extent is a line of /proc/PID/uid_map: Count uids of a user namespace, starting at Inside, are
// the uids starting at Outside in this process's namespace. See user_namespaces(7).
type Extent struct{ Inside, Outside, Count int }

// ownMap is the uid map of this process's user namespace. A process with the same map is in it.
var ownMap = sync.OnceValue(func() string {
	text, _ := os.ReadFile("/proc/self/uid_map")
	return string(text)
})

// namespaceOf returns the uid map of a process in another user namespace than this one; nil: it is
// in this one. A process that may not trace the other cannot see the namespace's owner
// (ioctl_ns(2)), but it can see the map.
func namespaceOf(dir *os.Root) []Extent {
	text := file(dir, "uid_map")
	if text == ownMap() {
		return nil
	}
	return parseUIDMap(text)
}

func parseUIDMap(text string) []Extent {
	var extents []Extent
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		inside, outside, count := parseID(f[0]), parseID(f[1]), parseID(f[2])
		if inside != nil && outside != nil && count != nil {
			extents = append(extents, Extent{*inside, *outside, *count})
		}
	}
	return extents
}

// SubUIDs are the subordinate uids of subuid(5), which a user namespace of an account may use
// besides the account's own uid.
type SubUIDs struct{ ranges []subRange }

type subRange struct{ owner, start, count int }

// ReadSubUIDs reads etc/subuid below root. It does not know ranges from a name service. A missing
// file gives no ranges.
func ReadSubUIDs(root string) SubUIDs {
	lines := subUIDLines(root)
	if len(lines) == 0 {
		return SubUIDs{}
	}
	uids := uidsOf(root, lines)
	var s SubUIDs
	for _, l := range lines {
		owner, known := uids[l[0]]
		start, count := parseID(l[1]), parseID(l[2])
		// A namespace does not confine an account that may be uid 0 of the host.
		if known && start != nil && count != nil && *start > 0 && *count > 0 {
			s.ranges = append(s.ranges, subRange{owner, *start, *count})
		}
	}
	return s
}

func subUIDLines(root string) (lines [][]string) {
	f, err := inroot.OpenRegular(root, "etc/subuid", 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		if fields := strings.Split(strings.TrimSpace(scanner.Text()), ":"); len(fields) == 3 {
			lines = append(lines, fields)
		}
	}
	return lines
}

// uidsOf returns the uids of the owners of ranges. An owner is given as a name or a number.
func uidsOf(root string, lines [][]string) map[string]int {
	uids := make(map[string]int, len(lines))
	wanted := make(map[string]bool, len(lines))
	for _, l := range lines {
		wanted[l[0]] = true
		if uid, err := strconv.Atoi(l[0]); err == nil {
			uids[l[0]] = uid
		}
	}
	f, err := inroot.OpenRegular(root, "etc/passwd", 0)
	if err != nil {
		return uids
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		fields := strings.SplitN(scanner.Text(), ":", 4)
		if len(fields) < 4 || !wanted[fields[0]] {
			continue
		}
		if uid := parseID(fields[2]); uid != nil {
			uids[fields[0]] = *uid
		}
	}
	return uids
}

// Owner returns the uid of the account to which the count uids from start on are subordinate, by
// one range or by several that adjoin: newuidmap(1) takes them together. If several accounts share
// a range, it has no owner, because it does not distinguish them.
func (s SubUIDs) Owner(start, count int) (owner int, ok bool) {
	owner = -1
	var own []subRange
	for _, r := range s.ranges {
		switch {
		case start+count <= r.start || r.start+r.count <= start:
		case owner >= 0 && owner != r.owner:
			return -1, false
		default:
			owner, own = r.owner, append(own, r)
		}
	}
	slices.SortFunc(own, func(a, b subRange) int { return cmp.Compare(a.start, b.start) })
	next := start // the first uid that is not yet known to be the owner's
	for _, r := range own {
		if r.start <= next {
			next = max(next, r.start+r.count)
		}
	}
	if next < start+count {
		return -1, false
	}
	return owner, owner >= 0
}

// IDs returns the four user ids of a process: real, effective, saved and that of file access. With
// any of them it can take on the others.
func (p Process) IDs() []int {
	var ids []int
	for _, id := range []*int{p.UID, p.EUID, p.SavedUID, p.FileUID} {
		if id != nil && !slices.Contains(ids, *id) {
			ids = append(ids, *id)
		}
	}
	return ids
}

// Accounts returns the uids that a process runs for: its four ids and, for a process in another
// user namespace, the owners of that namespace. unshare(1), newuidmap(1) and the kernel map an
// account's own uid one to one; any other mapped uid is subordinate to an account. Root's own
// processes count as root's in any namespace.
func (p Process) Accounts(sub func() SubUIDs) []int {
	uids := p.IDs()
	if len(p.Namespace) == 0 || p.UID == nil || *p.UID == 0 {
		return uids
	}
	for _, e := range p.Namespace {
		owner, ok := sub().Owner(e.Outside, e.Count)
		if !ok && e.Count == 1 && e.Outside != 0 {
			owner, ok = e.Outside, true
		}
		if ok && !slices.Contains(uids, owner) {
			uids = append(uids, owner)
		}
	}
	return uids
}
