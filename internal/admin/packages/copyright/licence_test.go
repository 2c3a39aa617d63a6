package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestRecognise(t *testing.T) {
	const mit = "MIT License\n\nCopyright (c) 2021 A. Person\n\nPERMISSION is hereby granted, free of\ncharge, to any person obtaining a copy of the software"
	tests := []struct{ name, text, notice, want, holder string }{
		{"in other letters and lines", mit, "", "Expat", "2021 A. Person"},
		{"a holder in the notice", "Apache License\n Version 2.0, January 2004\n copyright license to reproduce", "CoreOS Project\nCopyright 2018 CoreOS, Inc\n", "Apache-2.0", "2018 CoreOS, Inc"},
		{"no holder", "Mozilla Public License Version 2.0\n", "", "MPL-2.0", "its authors"},
		{"one of two", "SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only\nBSD text\nGPL v2.0:\n---------\n Copyright (C) 1989, 1991 Free Software Foundation, Inc.", "", "BSD-3-Clause or GPL-2", "its authors"},
	}
	for _, test := range tests {
		l, err := recognise(test.text, test.notice)
		if err != nil || l.name != test.want || !slices.Equal(l.holders, []string{test.holder}) {
			t.Errorf("%s: %q of %q, %v", test.name, l.name, l.holders, err)
		}
		if strings.Contains(l.text, "1989") {
			t.Errorf("%s: has the text of the GPL, which Debian has", test.name)
		}
	}
	if _, err := recognise("All rights reserved. Ask us.", ""); err == nil {
		t.Error("it recognises a licence that nobody has read")
	}
}

// Every module that is linked into the programs is there, with a licence.
func TestEveryModule(t *testing.T) {
	var text bytes.Buffer
	if err := run(&text, []string{"github.com/shadowsync/shadowsync/cmd/shadowsync", "github.com/shadowsync/shadowsync/cmd/pcli"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nFiles: *\n", "\nFiles: go/*\n", "\nFiles: github.com/mattn/go-sqlite3/*\n", "\nFiles: kernel.org/pub/linux/libs/security/libcap/cap/*\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no paragraph%s", want)
		}
	}
	for paragraph := range strings.SplitSeq(text.String(), "\n\n") {
		if strings.HasPrefix(paragraph, "Files:") && (!strings.Contains(paragraph, "\nCopyright: ") || !strings.Contains(paragraph, "\nLicense: ")) {
			t.Errorf("incomplete:\n%s", paragraph)
		}
	}
}
