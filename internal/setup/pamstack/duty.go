package pamstack

import "slices"

// Duty is what one of our lines is for.
type Duty struct {
	Name string // for people
	Kind Kind   // of the stack that it stands in
}

// The duties.
var (
	Announce = Duty{"announces changes", Password} // that were made
	Judge    = Duty{"judges new passwords", Password}
	Login    = Duty{"hands over what a login proves", Auth}
)

// has tells whether a line of ours has the duty.
func (d Duty) has(l Line) bool {
	judges := l.Kind == Password && slices.Contains(l.Args, "judge")
	return l.Module == Module && l.Kind == d.Kind && judges == (d == Judge)
}

// Find returns the first line with that duty, in substacks too.
func (d Duty) Find(lines []Line) (Line, bool) { return first(lines, d.has) }

// Ours returns every line of ours, whatever it is for.
func Ours(lines []Line) (ours []Line) {
	for _, l := range lines {
		if l.Module == Module {
			ours = append(ours, l)
		}
		ours = append(ours, Ours(l.Substack)...)
	}
	return ours
}

// Storing returns the line of the module that stores, or checks, the password.
func Storing(lines []Line) (Line, bool) {
	return first(lines, func(l Line) bool { return storing[l.Module] })
}

func first(lines []Line, wanted func(Line) bool) (Line, bool) {
	for _, l := range lines {
		if wanted(l) {
			return l, true
		}
		if found, ok := first(l.Substack, wanted); ok {
			return found, true
		}
	}
	return Line{}, false
}
