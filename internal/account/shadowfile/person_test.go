package shadowfile

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestPeople(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\nadmin:x:1001:1001:Joe Admin,room 1:/home/admin:/usr/bin/pcli\n" +
			"admin:x:7:7::/:/bin/false\nbroken:x:y:1::/:/bin/sh\nshort:x:1002:50\n",
		"group": "root:x:0:\nadmin:x:1001:\nnet:x:50:admin,nobody\nops:x:51: admin\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := People(t.Context(), root)
	want := map[string]Person{
		"root":  {Name: "root", FullName: "root", Home: "/root", Shell: "/bin/bash", Groups: []string{"root"}},
		"admin": {"admin", 1001, 1001, "Joe Admin", "/home/admin", "/usr/bin/pcli", []string{"admin", "net", "ops"}},
		"short": {Name: "short", UID: 1002, GID: 50, Groups: []string{"net"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}
