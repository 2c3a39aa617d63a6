package main

import (
	"errors"
	"regexp"
	"strings"
)

type licence struct {
	name    string   // as DEP-5 spells it
	holders []string // "2014 Yasuhiro Matsumoto"
	text    string
}

// phrases are in a licence and in none of those before it.
var phrases = []struct{ name, phrase string }{
	{"BSD-3-Clause or GPL-2", "SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only"},
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
	{"Expat", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification"},
}

// secondLicence is where the text of the GPL begins in libcap's licence, which has that of the BSD before it.
const secondLicence = "GPL v2.0:\n---"

// A holder begins with a year or with the sign; the licences' own texts speak of copyright too.
var holder = regexp.MustCompile(`(?im)^\W*copyright:?\s+(?:\(c\)\s*|©\s*)?((?:\d{4}|the )[^\n]*)$`)

func recognise(text, notice string) (licence, error) {
	flat := strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, known := range phrases {
		if !strings.Contains(flat, strings.ToLower(known.phrase)) {
			continue
		}
		l := licence{name: known.name, text: text}
		if pointers[known.name] != "" {
			l.text = ""
		}
		// Of two licences the first one's text is there; the second is one of Debian's common ones.
		l.text, _, _ = strings.Cut(l.text, secondLicence)
		for _, match := range holder.FindAllStringSubmatch(text+"\n"+notice, -1) {
			if strings.Contains(match[1], "Free Software Foundation") {
				continue // it holds the text of the licence
			}
			l.holders = append(l.holders, strings.TrimSuffix(strings.TrimSpace(match[1]), "."))
		}
		if len(l.holders) == 0 {
			l.holders = []string{"its authors"}
		}
		return l, nil
	}
	return licence{}, errors.New("its licence is not one of those that are known here")
}
