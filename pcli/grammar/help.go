package grammar

import (
	"strings"
	"unicode/utf8"
)

// Help handles ? at the end of a line. It returns ok = false inside quotes, where ? is an ordinary
// character.
func (s *Set) Help(line string, names Names) (text string, ok bool) {
	p, partial, understood := s.at(line)
	if partial.open {
		return "", false
	}
	if !understood {
		return "There is no help here: the words before this are not understood\n", true
	}
	if partial.text != "" {
		return p.helpOnWord(partial, names), true
	}
	return p.helpHere(), true
}

// helpOnWord lists the words that begin like the last one. If that word is complete, it explains
// the command.
func (p *place) helpOnWord(partial token, names Names) string {
	found := candidates(p.next(), partial.text, names)
	if len(found) == 1 && found[0] == partial.text {
		if err := p.step(partial); err == nil {
			return p.helpHere()
		}
	}
	var rows [][2]string
	for _, f := range found {
		rows = append(rows, [2]string{f, p.helpFor(f)})
	}
	if len(rows) > 0 {
		return columns(rows)
	}
	for _, it := range p.next() {
		if !it.word {
			rows = append(rows, [2]string{it.text, it.help})
		}
	}
	if len(rows) > 0 {
		return columns(rows)
	}
	return "Nothing begins with '" + shown(partial.text) + "' here\n"
}

func (p *place) helpFor(word string) string {
	for _, it := range p.next() {
		if it.word && it.text == word {
			return it.help
		}
	}
	return ""
}

// helpHere lists what may come next; after a complete command it explains the command.
func (p *place) helpHere() string {
	switch {
	case p.waits >= 0 && p.set.commands[p.command].More != "":
		return itemRows(p.next()) + "\n" + fill(p.set.commands[p.command].More, "")
	case p.waits < 0 && p.command >= 0:
		return p.set.describe(p.command)
	}
	return itemRows(p.next())
}

func itemRows(items []item) string {
	var rows [][2]string
	for _, it := range items {
		rows = append(rows, [2]string{it.text, it.help})
	}
	return columns(rows)
}

// describe is the help of a command in the appliance's layout.
func (s *Set) describe(i int) string {
	c := s.commands[i]
	var b strings.Builder
	b.WriteString(fill("usage: "+c.Usage(), "       ") + "\n" + fill(c.Help+".", ""))
	if c.More != "" {
		b.WriteString(fill(c.More, ""))
	}
	var keywords, positions, below [][2]string
	for _, p := range c.Params {
		if p.Word != "" {
			keywords = append(keywords, [2]string{p.form(), p.Help})
		} else {
			positions = append(positions, [2]string{p.form(), p.Help})
		}
	}
	for _, w := range s.below(c.Words) {
		below = append(below, [2]string{w, s.helpOf(strings.TrimSpace(c.Words + " " + w))})
	}
	section(&b, "keyword arguments", keywords)
	section(&b, "positional arguments", positions)
	section(&b, "subcommands", below)
	var see [][2]string
	for _, words := range c.See {
		if j := s.find(words); j >= 0 {
			see = append(see, [2]string{words, s.commands[j].Help})
		}
	}
	section(&b, "see also", see)
	return b.String()
}

// textWidth fits every terminal.
const textWidth = 79

// fill wraps text at spaces and indents every line except the first.
func fill(text, indent string) string {
	var b strings.Builder
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	return b.String() + line + "\n"
}

func section(b *strings.Builder, title string, rows [][2]string) {
	if len(rows) > 0 {
		b.WriteString("\n" + title + ":\n" + columns(rows))
	}
}

// columns lays out words with their meanings.
func columns(rows [][2]string) string {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r[0]))
	}
	var b strings.Builder
	for _, r := range rows {
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(r[0]))
		b.WriteString(strings.TrimRight("  "+r[0]+pad+"  "+r[1], " ") + "\n")
	}
	return b.String()
}

// Describe is the help of the command with exactly these words. For "" it lists the first words of
// all commands.
func (s *Set) Describe(words string) (string, error) {
	tokens, err := lex(words)
	if err != nil {
		return "", err
	}
	p, err := s.walk(tokens)
	if err != nil {
		return "", err
	}
	return p.helpHere(), nil
}
