package layers

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rooms are the groups directly below internal/, from the lowest to the highest. A package
// may import packages of its own room and of the rooms before it.
var rooms = []string{
	"term", "files", "wire", "detect", "password", "config", "account", "store", "factor", "state", "engine", "admin", "broker", "test",
}

// mostRooms keeps the folder easy to survey.
const mostRooms = 14

// room returns the place of a package's room in the order, or -1 outside internal/.
func room(name string) int {
	name, inside := strings.CutPrefix(strings.TrimPrefix(name, module+"/"), "internal/")
	if !inside {
		return -1
	}
	first, _, _ := strings.Cut(name, "/")
	return slices.Index(rooms, first)
}

func TestRoomsAreTheFolders(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	want := slices.Clone(rooms)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("internal/ holds %v, the order of rooms names %v", found, want)
	}
	if len(found) > mostRooms {
		t.Errorf("%d groups below internal/, at most %d", len(found), mostRooms)
	}
}

func TestNoRoomImportsAHigherOne(t *testing.T) {
	between := 0
	for from, all := range list(t) {
		for _, to := range all {
			lower, upper := room(to), room(from)
			if lower < 0 || upper < 0 || lower == upper {
				continue
			}
			between++
			if lower > upper {
				t.Errorf("%s imports %s: the room %s stands below %s", from, to, rooms[upper], rooms[lower])
			}
		}
	}
	if between < 50 {
		t.Errorf("only %d imports between rooms are seen", between)
	}
}

// packages returns every folder of the module that holds Go files of its own.
func packages(t *testing.T) (folders []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("../../.."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && path.Ext(name) == ".go" && !slices.Contains(folders, path.Dir(name)):
			folders = append(folders, path.Dir(name))
		}
		return nil
	})
	if err != nil || len(folders) < 40 {
		t.Fatalf("%d packages, %v", len(folders), err)
	}
	return folders
}

// TestMap compares the map in CONTRIBUTING.md with the tree, in both directions.
func TestMap(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../../..", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Where things are\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var onMap []string
	for line := range strings.Lines(section) {
		if name, isEntry := strings.CutPrefix(line, "    "); isEntry && !strings.HasPrefix(name, " ") {
			onMap = append(onMap, strings.TrimSuffix(strings.Fields(name)[0], "/"))
		}
	}
	tree := packages(t)
	for _, folder := range tree {
		if !slices.Contains(onMap, folder) {
			t.Errorf("CONTRIBUTING.md's map lacks %s", folder)
		}
	}
	for _, name := range onMap {
		if info, err := os.Stat(filepath.Join("../../..", name)); err != nil || !info.IsDir() {
			t.Errorf("CONTRIBUTING.md's map names %s, which is not there", name)
		}
	}
}
