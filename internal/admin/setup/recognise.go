package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/systemd"
)

// systemUnits is the folder of setup's drop-ins.
const systemUnits = "/etc/systemd/system"

// recognise finds files that setup wrote but that are not recorded, because the state was lost. It
// cannot recognise a file that was changed since.
func (l *ledger) recognise(ctx context.Context) (found []state.SetupFile, err error) {
	entries, err := l.entries(ctx)
	if err != nil {
		return nil, err
	}
	folders, err := inroot.ReadDir(l.root, systemUnits)
	if err != nil {
		return nil, nil //nolint:nilerr // then it contains none of ours
	}
	found = l.recogniseWeb(entries)
	texts := dropInTexts()
	for _, folder := range folders {
		path := filepath.Join(systemUnits, folder.Name, filepath.Base(systemd.DropInPath("/etc", "")))
		ours := texts
		if filepath.Dir(path) == filepath.Dir(capabilityPath) {
			path, ours = capabilityPath, []string{capabilityText}
		} else if _, ok := unitOfDropIn(path); !ok {
			continue
		}
		if slices.ContainsFunc(entries, func(f state.SetupFile) bool { return f.Path == path }) {
			continue
		}
		text, err := inroot.ReadFile(l.root, path)
		if err != nil || !slices.Contains(ours, string(text)) {
			continue
		}
		found = append(found, state.SetupFile{Path: path, Wrote: digest(text)})
		if beside, err := inroot.ReadDir(l.root, filepath.Dir(path)); err == nil && len(beside) == 1 {
			found = append(found, state.SetupFile{Path: filepath.Dir(path) + "/", Wrote: folderMark})
		}
	}
	return found, nil
}

// dropInTexts returns every text that setup may write as an application's drop-in.
func dropInTexts() (texts []string) {
	for _, policy := range []systemd.StartPolicy{systemd.PolicyStart, systemd.PolicyRefuse} {
		for _, success := range []string{"", "isolate"} {
			for _, failure := range []string{"", "isolate"} {
				if text, err := systemd.DropIn(policy, systemd.Jobs{Success: success, Failure: failure}); err == nil {
					texts = append(texts, text)
				}
			}
		}
	}
	return texts
}

// lost records again what setup wrote before the state was lost, and notes the files about which
// that is unknown.
func (r *removal) lost(ctx context.Context) ([]state.SetupFile, error) {
	if !r.ledger.exists() {
		return nil, nil
	}
	found, err := r.ledger.recognise(ctx)
	if err != nil {
		return nil, err
	}
	for _, entry := range found {
		if r.DryRun {
			break
		}
		if err := r.ledger.put(ctx, entry); err != nil {
			return nil, err
		}
	}
	db, err := r.ledger.open(ctx)
	if err != nil {
		return nil, err
	}
	rebuilt, err := engine.Rebuilt(ctx, db)
	if err != nil || !rebuilt {
		return found, err
	}
	for _, path := range []string{r.Config, shellsFile} {
		if _, known, err := r.ledger.find(ctx, path); err == nil && !known && r.mayBeOurs(path) {
			r.note("%s is left as it is: the state that recorded what setup changed in it is lost", path)
		}
	}
	return found, nil
}

func (r *removal) mayBeOurs(path string) bool {
	if path != shellsFile {
		return r.exists(path)
	}
	text, err := inroot.ReadFile(r.Root, shellsFile)
	return err == nil && slices.ContainsFunc(strings.Fields(string(text)), func(line string) bool { return filepath.Base(line) == "pcli" })
}
