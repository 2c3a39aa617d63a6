package grammar

import "strings"

// Man writes the commands as a section of a man page (man(7) macros).
func (s *Set) Man() string {
	var b strings.Builder
	for _, c := range s.commands {
		b.WriteString(".TP\n.B " + roff(c.Usage()) + "\n" + roff(c.Help+".") + "\n")
		if c.More != "" {
			b.WriteString(roff(c.More) + "\n")
		}
		if len(c.Params) == 0 {
			continue
		}
		b.WriteString(".RS\n")
		for _, p := range c.Params {
			b.WriteString(".TP\n.I " + roff(p.form()) + "\n" + roff(p.Help) + "\n")
		}
		b.WriteString(".RE\n")
	}
	return b.String()
}

// roff escapes text so that roff does not take it as a request or an escape.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
