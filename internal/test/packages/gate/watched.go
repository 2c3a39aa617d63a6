//go:build amd64

package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A snapshot tells of each watched file what it is like.
type snapshot map[string]string

// small files are compared by their content, others by size and time.
const small = 1 << 16

func look(watched []string) snapshot {
	now := snapshot{}
	for _, pattern := range watched {
		paths, _ := filepath.Glob(pattern) // main's caller has written the pattern
		for _, path := range paths {
			_ = filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error { // what vanishes meanwhile is gone
				if err == nil {
					now.add(path)
				}
				return nil
			})
		}
	}
	return now
}

func (s snapshot) add(path string) {
	info, err := os.Lstat(path)
	if err != nil {
		return
	}
	like := info.Mode().String()
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		like += target
	case info.Mode().IsRegular() && info.Size() <= small:
		content, _ := os.ReadFile(path)
		like += fmt.Sprintf("%x", sha256.Sum256(content))
	case info.Mode().IsRegular():
		like += fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	}
	s[path] = like
}

func (s snapshot) digest() string {
	sum := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(sum, "%s\x00%s\x00", path, s[path])
	}
	return string(sum.Sum(nil))
}

// changes names what is other than in s: +FILE, -FILE, or FILE.
func (s snapshot) changes(now snapshot) (named []string) {
	for path, like := range now {
		switch before, was := s[path]; {
		case !was:
			named = append(named, "+"+path)
		case before != like:
			named = append(named, path)
		}
	}
	for path := range s {
		if _, is := now[path]; !is {
			named = append(named, "-"+path)
		}
	}
	slices.SortFunc(named, func(a, b string) int { return strings.Compare(strings.TrimLeft(a, "+-"), strings.TrimLeft(b, "+-")) })
	return named
}
