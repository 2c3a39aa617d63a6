package config

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// many returns n names, in quotes and joined by a separator.
func many(n int, prefix, separator string) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%q", fmt.Sprintf("%s%d", prefix, i))
	}
	return strings.Join(names, separator)
}

// TestLongLists: a text with long lists means what the decoder alone would make of it, and a fault
// in it is the same, in the same line.
func TestLongLists(t *testing.T) {
	const n = 3000
	list := many(n, "user", ",")
	head := func(accounts string) string {
		return "[[application]]\nunit = \"a.service\"\n" + accounts + "\n[application.store]\ndriver = \"json\"\n"
	}
	for name, c := range map[string]struct {
		text string
		cut  int // how many lists are read here
	}{
		"one line":        {head("accounts = [" + list + "]"), 1},
		"many lines":      {head("\taccounts=[\n  "+many(n, "user", ",\n  ")+",\n] # all of them") + "path = 5x\n", 1},
		"a last comma":    {head("accounts = [" + list + " , ]"), 1},
		"two":             {head("accounts = ["+list+"]") + strings.ReplaceAll(head("accounts = ["+many(n, "other", ", ")+"]"), "a.s", "b.s"), 2},
		"a short one too": {head("accounts = ["+list+"]") + head(`accounts = ["admin"]`), 1},
		"in a comment":    {head("# accounts = [" + list + "]\naccounts = [\"admin\"]"), 0},
		"short":           {head(`accounts = ["admin", "user"]`), 0},
		"with a comment":  {head("accounts = [ # them\n" + list + "]"), 0},
		"literal strings": {head("accounts = [" + strings.ReplaceAll(list, `"`, "'") + "]"), 0},
		"spaces in names": {head("accounts = [" + many(n, "a user", ",") + "]"), 0},
		"two commas":      {head("accounts = [" + list + ",,\"x\"]"), 0},
		"no end":          {head("accounts = [" + list), 0},
		"no comma":        {head("accounts = [" + list + " \"x\"]"), 0},
		"a number":        {head("accounts = [" + list + ", 5]"), 0},
		"an escape":       {head(`name = "\u0040list 0"` + "\naccounts = [" + list + "]"), 0},
		"a mark":          {head(`name = "@list 0"` + "\naccounts = [" + list + "]"), 0},
		"text of lines":   {head("name = \"\"\"\naccounts = [" + list + "]\n\"\"\""), 0},
		"literal lines":   {head("name = '''\naccounts = [" + list + "]\n'''"), 0},
		"inside a list":   {head("admins = [\naccounts = [" + list + "]]"), 1},
		"twice":           {head("accounts = [" + list + "]\naccounts = [" + list + "]"), 2},
		"of no table":     {"accounts = [" + list + "]\n" + head(`accounts = ["admin"]`), 1},
		"of the store":    {head(`accounts = ["admin"]`) + "accounts = [" + list + "]\n", 1},
		"of the rules":    {head(`accounts = ["admin"]`) + "[application.rules]\naccounts = [" + list + "]\n", 1},
		"one table":       {"[application]\nunit = \"a.service\"\naccounts = [" + list + "]\n", 1},
		"inline":          {"application = [ {\n unit = \"a.service\",\naccounts = [" + list + "],\n} ]\n", 1},
		"not for the end": {head("accounts = ["+list+"]") + "[guard]\nlimit = 5\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, lists := cutLists([]byte(c.text)); len(lists) != c.cut {
				t.Errorf("%d lists are cut out, want %d", len(lists), c.cut)
			}
			want := defaults()
			wantMeta, wantErr := toml.NewDecoder(bytes.NewReader([]byte(c.text))).Decode(want)
			got, meta, err := decodeText([]byte(c.text))
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("error %v, the decoder's %v", err, wantErr)
			}
			if err != nil {
				return
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("it means something else than to the decoder")
			}
			if !reflect.DeepEqual(meta.Keys(), wantMeta.Keys()) || !reflect.DeepEqual(meta.Undecoded(), wantMeta.Undecoded()) {
				t.Error("it has other keys than for the decoder")
			}
		})
	}
}

// FuzzCutLists: small texts around a long list.
func FuzzCutLists(f *testing.F) {
	f.Add("[[application]]\nunit = \"a.service\"\n", "\n[guard]\nlimit = \"1m\"\n", ",")
	f.Add("[[application]]\nname = '", "'\n", " ,\n")
	f.Fuzz(func(t *testing.T, before, after, separator string) {
		text := []byte(before + "\naccounts = [" + many(2000, "user", separator) + "]" + after)
		want := defaults()
		_, wantErr := toml.NewDecoder(bytes.NewReader(text)).Decode(want)
		got, _, err := decodeText(text)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("error %v, the decoder's %v", err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Error("it means something else than to the decoder")
		}
	})
}
