package setup

import (
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/systemd"
)

// TestJobsOfFiles: a mode without room for our hooks is found in any file, even after a file with
// room.
func TestJobsOfFiles(t *testing.T) {
	t.Parallel()
	const failureIsolates, replaces = "[Unit]\nOnFailureJobMode=isolate\n", "[Unit]\nOnFailureJobMode=replace\nOnSuccessJobMode=replace\n"
	for name, files := range map[string]map[string]string{
		"its own":         {"etc/systemd/system/app-one@x.service.d/20-local.conf": failureIsolates, "usr/lib/systemd/system/app-one@x.service.d/10-vendor.conf": replaces},
		"the vendor's":    {"etc/systemd/system/app-one@x.service.d/20-local.conf": replaces, "usr/lib/systemd/system/app-one@x.service.d/30-vendor.conf": failureIsolates},
		"of its template": {"etc/systemd/system/app-one@.service.d/a.conf": failureIsolates},
		"of its prefix":   {"etc/systemd/system/app-.service.d/a.conf": failureIsolates},
		"of every unit":   {"usr/lib/systemd/system/service.d/a.conf": failureIsolates},
		"its old name":    {"etc/systemd/system/app-one@x.service.d/a.conf": "[Unit]\nOnFailureIsolate=Yes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t, "")
			for path, text := range files {
				writeFile(t, filepath.Join(root, path), text)
			}
			jobs := newJob(Options{Root: root}).jobsOfFiles("app-one@x.service")
			if systemd.TakesOurs(jobs.Failure) || !systemd.TakesOurs(jobs.Success) {
				t.Errorf("found %+v", jobs)
			}
		})
	}
}
