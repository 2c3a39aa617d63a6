package shadowfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// imageKeys are the fields of os-release(5) that change when an image is replaced. The machine's
// own identity is not among them: a rollback keeps it.
var imageKeys = []string{"IMAGE_ID", "IMAGE_VERSION", "BUILD_ID", "VERSION_ID"}

// ImageIdentity identifies the system image beneath root, as a digest of what os-release(5) says
// about it; empty if there is no such file.
func ImageIdentity(root string) (string, error) {
	t, err := openTree(rootPath(root))
	if err != nil {
		return "", err
	}
	defer t.close()
	release, err := t.read("etc/os-release")
	if errors.Is(err, fs.ErrNotExist) {
		release, err = t.read("usr/lib/os-release")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot identify the system image: %w", err)
	}
	return imageDigest(release), nil
}

func imageDigest(release string) string {
	digest := sha256.New()
	for line := range strings.Lines(release) {
		line = strings.TrimSpace(line)
		if key, _, ok := strings.Cut(line, "="); ok && slices.Contains(imageKeys, key) {
			io.WriteString(digest, line+"\n")
		}
	}
	return hex.EncodeToString(digest.Sum(nil))
}
