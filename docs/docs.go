// Package docs holds the reference pages. They are Markdown for readers of the
// repository, and `make install` installs most of them as man pages too: see
// cmd/shadowsync/docs.go.
package docs

import "embed"

// Pages are the Markdown files of this folder.
//
//go:embed *.md
var Pages embed.FS
