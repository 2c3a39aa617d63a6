package config

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// A configuration may have a hundred thousand account names, and every hook reads it while an
// application waits to start. The decoder is general and takes half of a hook's time for them. So
// long plain lists of accounts are cut out of the text, read here, and put back into what the
// decoder made of the rest. Whatever is not plain beyond doubt is left to the decoder, and so is
// every text with an error, so that what the file means and what people read about it do not depend
// on this.

const (
	// longList is the length in bytes from which a list is worth cutting out.
	longList = 16 << 10
	// listMark begins the single name that stands for a list in the rest of the text. "@" is in no
	// name of a list that is cut out.
	listMark = "@list "
)

// decodeText decodes the text into a configuration with the defaults.
func decodeText(data []byte) (*Config, toml.MetaData, error) {
	if rest, lists := cutLists(data); len(lists) > 0 {
		c := defaults()
		meta, err := toml.NewDecoder(bytes.NewReader(rest)).Decode(c)
		if err == nil && c.putBack(lists) {
			return c, meta, nil
		}
	}
	c := defaults()
	meta, err := toml.NewDecoder(bytes.NewReader(data)).Decode(c)
	return c, meta, err
}

// putBack replaces the marks by the lists. It reports whether each list found its place.
func (c *Config) putBack(lists [][]string) bool {
	put := 0
	for i := range c.Applications {
		a := &c.Applications[i]
		if len(a.Accounts) != 1 {
			continue
		}
		mark, marked := strings.CutPrefix(a.Accounts[0], listMark)
		if !marked {
			continue
		}
		n, err := strconv.Atoi(mark)
		if err != nil || n >= len(lists) {
			return false
		}
		a.Accounts = lists[n]
		put++
	}
	return put == len(lists)
}

// cutLists replaces each long plain list by its mark. The rest keeps its lines. Without escapes and
// strings of several lines, a line that begins with "accounts = [" can only be that key: inside
// another value it would be an error, and still is one in the rest.
func cutLists(data []byte) (rest []byte, lists [][]string) {
	if len(data) < longList || bytes.ContainsRune(data, '\\') || bytes.Contains(data, []byte(`"""`)) ||
		bytes.Contains(data, []byte(`'''`)) || bytes.Contains(data, []byte(listMark)) {
		return nil, nil
	}
	for text := string(data); text != ""; {
		end := strings.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		if open := listBegins(text[:end]); open > 0 {
			names, size := plainList(text[open:])
			if size >= longList {
				rest = append(rest, text[:open]...)
				rest = append(rest, `"`+listMark+strconv.Itoa(len(lists))+`"`...)
				rest = append(rest, strings.Repeat("\n", strings.Count(text[open:open+size], "\n"))...)
				lists = append(lists, names)
				text = text[open+size:]
				continue
			}
		}
		rest = append(rest, text[:end]...)
		text = text[end:]
	}
	return rest, lists
}

// listBegins returns where the list begins, after its bracket, in a line that begins one; else 0.
func listBegins(line string) int {
	key, value, found := strings.Cut(line, "=")
	value = strings.TrimLeft(value, " \t")
	if !found || strings.Trim(key, " \t") != "accounts" || !strings.HasPrefix(value, "[") {
		return 0
	}
	return len(line) - len(value) + 1
}

// plainList reads names in double quotes up to the bracket that ends the list. It returns how many
// bytes come before that; 0: the list is not plain.
func plainList(text string) (names []string, size int) {
	within, _, _ := strings.Cut(text, "]")
	names = make([]string, 0, strings.Count(within, ",")+1)
	blank := func() {
		for size < len(text) && strings.IndexByte(" \t\n", text[size]) >= 0 {
			size++
		}
	}
	for blank(); size < len(text) && text[size] == '"'; blank() {
		begin := size + 1
		for size = begin; size < len(text) && nameSet[text[size]]; size++ {
		}
		if size == len(text) || text[size] != '"' {
			return nil, 0
		}
		names = append(names, text[begin:size])
		size++
		if blank(); size < len(text) && text[size] == ',' {
			size++
			continue
		}
		break
	}
	if size == len(text) || text[size] != ']' {
		return nil, 0
	}
	return names, size
}
