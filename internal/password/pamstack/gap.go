package pamstack

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Gap is a way to success past a line that refuses.
type Gap struct {
	Line   Line   // that opens the way: it ends the stack, jumps over the refusing line, or undoes its refusal
	Result string // of that line's module, as pam.conf(5) names it, or "default"
}

// Gaps returns the ways in which the stack of a service lets somebody in although the line of this
// duty refuses; one for each line that opens such a way. It returns none if that line is missing.
//
// It follows every result that each module can have, as _pam_dispatch_aux of libpam does. Of the
// modules it knows only what holds for everybody but root: pam_deny.so fails, pam_permit.so succeeds,
// and in the service login, where root may have a way in at the console, a pam_succeed_if.so that
// asks for uid 0 fails.
func (d Duty) Gaps(service string, lines []Line) []Gap {
	if _, there := d.Find(lines); !there {
		return nil
	}
	e := evaluation{refuses: d.has, service: service}
	found := map[*Line]Gap{}
	for s := range e.run(lines, state{}) {
		known, again := found[s.opener]
		if s.lets(d.Kind) && (!again || s.result < known.Result) {
			found[s.opener] = Gap{*s.opener, s.result}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Line.File, b.Line.File), cmp.Compare(a.Line.Number, b.Line.Number))
	})
}

// impression is libpam's opinion of the lines so far.
type impression int

const (
	undefined impression = iota
	positive
	negative
)

// state is what a line finds, after one of the ways that lead to it.
type state struct {
	impression impression
	status     string // the stack's result if it ended here; a positive one, or the first negative one
	passed     bool   // the refusing line has been reached or skipped
	// The line that got the way past the refusing line, and its result; nil: none did yet.
	opener *Line
	result string
}

// lets reports whether a stack lets somebody in if it ends like this. An account stack also does with
// new_authtok_reqd, even if a control calls that bad: the programs have the password changed, and go on.
func (s state) lets(kind Kind) bool {
	return s.impression == positive && s.status == success || kind == Account && s.status == renew
}

const (
	success  = "success"
	renew    = "new_authtok_reqd"
	ignored  = "ignore"
	denied   = "perm_denied" // of a line that libpam cannot read
	fallback = "default"     // stands for each result that a control does not name
)

type states map[state]bool

// evaluation follows a stack in which one line refuses.
type evaluation struct {
	refuses func(Line) bool
	service string
}

// run returns the states in which lines, a stack or a substack, may end. All jumps lead forward.
func (e evaluation) run(lines []Line, entry state) states {
	at := make([]states, len(lines)+1)
	at[0] = states{entry: true}
	for i := range lines {
		for s := range at[i] {
			e.step(lines, i, s, entry, func(to int, next state) {
				if at[to] == nil {
					at[to] = states{}
				}
				at[to][next] = true
			})
		}
	}
	return at[len(lines)]
}

// step calls arrive with the line to which each result of the line at i leads. A substack counts as
// one line, and what ends it does not end the stack around it.
func (e evaluation) step(lines []Line, i int, s, entry state, arrive func(to int, next state)) {
	l := &lines[i]
	if l.Control == substack {
		for next := range e.run(l.Substack, s) {
			arrive(i+1, next)
		}
		return
	}
	for _, result := range e.results(*l) {
		to, next := i+1, s
		switch a := after(l.Control, result); {
		case a > 0 && i+1+int(a) > len(lines): // libpam fails for a jump beyond the end
			to, next.impression, next.status = len(lines), negative, fallback
		case a > 0:
			to = i + 1 + int(a)
		case a == ok, a == done:
			next = s.accepted(result)
			if a == done && next.impression == positive {
				to = len(lines)
			}
		case a == bad:
			next = s.refused(result)
		case a == die:
			to, next = len(lines), s.refused(result)
		case a == reset:
			next.impression, next.status = entry.impression, entry.status
		}
		arrive(to, e.opened(s, next, l, result, lines[i+1:to]))
	}
}

// opened marks the state after a line with that line, if it is what gets the way past the refusing
// line.
func (e evaluation) opened(before, next state, l *Line, result string, skipped []Line) state {
	_, over := First(skipped, e.refuses)
	unheard := e.refuses(*l) && next.impression != negative
	undone := before.passed && before.impression == negative && next.impression != negative
	final := !before.passed && before.impression != negative && next.impression == negative && result == renew
	if undone || next.opener == nil && (over || unheard || final) {
		next.opener, next.result = l, result
	}
	next.passed = next.passed || over || e.refuses(*l)
	return next
}

// accepted is the state after a result that counts as ok. Even "ignore" does if a control says so, and
// the stack then ends with that, which is no success.
func (s state) accepted(result string) state {
	if s.impression == undefined || s.impression == positive && s.status == success {
		s.impression, s.status = positive, result
	}
	return s
}

// refused is the state after a result that counts as bad. The first one stays.
func (s state) refused(result string) state {
	if s.impression != negative {
		s.impression, s.status = negative, result
	}
	return s
}

// results are the results that a line's module can have.
func (e evaluation) results(l Line) []string {
	failures := []string{fallback}
	for _, word := range strings.FieldsFunc(l.Control, func(r rune) bool { return strings.ContainsRune("[]= \t", r) }) {
		if actionOf(word) == bad && word != success && word != renew && word != ignored {
			failures = append(failures, word)
		}
	}
	switch {
	case l.Broken:
		return []string{denied}
	case e.refuses(l), l.Module == "pam_deny.so", e.service == "login" && rootOnly(l):
		return failures
	case l.Module == "pam_permit.so":
		return []string{success}
	case l.Module == Module && !FactorKey.has(l):
		return []string{ignored}
	}
	return append(failures, success, renew, ignored)
}

// rootOnly reports whether a line succeeds for root alone. With use_uid it would look at the process
// that asks, which is always root's.
func rootOnly(l Line) bool {
	conditions := " " + strings.Join(l.Args, " ") + " "
	return l.Module == "pam_succeed_if.so" && !slices.Contains(l.Args, "use_uid") &&
		(strings.Contains(conditions, " uid = 0 ") || strings.Contains(conditions, " uid eq 0 "))
}
