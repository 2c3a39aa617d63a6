package pamstack

// Duty is the purpose of a line of pam_shadowsync.so.
type Duty struct {
	Name string // shown to people
	Kind Kind   // of the stack that contains the line
}

// The duties.
var (
	Announce = Duty{"announces changes", Password} // changes that were made
	Judge    = Duty{"judges new passwords", Password}
	Login    = Duty{"hands over what a login proves", Auth}

	// In the services that ask for second factors:
	FactorKey     = Duty{"lets the key of an account with a second factor replace its password", Auth}
	Factor        = Duty{"asks for the second factor", Auth}
	FactorAccount = Duty{"refuses logins without the second factor", Account}
)

// has reports whether l is a line of pam_shadowsync.so with this duty.
func (d Duty) has(l Line) bool {
	asks := l.says(0, "factor")
	switch {
	case l.Module != Module || l.Kind != d.Kind:
		return false
	case l.Kind == Password:
		return l.says(0, "judge") == (d == Judge)
	case !asks:
		return d == Login
	case l.Kind == Auth && l.says(1, "key"):
		return d == FactorKey
	}
	return d == Factor || d == FactorAccount
}

// says reports whether the module finds a word at its place among the line's arguments.
func (l Line) says(at int, word string) bool { return len(l.Args) > at && l.Args[at] == word }

// Find returns the first line with that duty, also in substacks.
func (d Duty) Find(lines []Line) (Line, bool) { return First(lines, d.has) }

// Ours returns every line of pam_shadowsync.so, whatever its duty.
func Ours(lines []Line) []Line {
	return All(lines, func(l Line) bool { return l.Module == Module })
}

// Storing returns the line of the module that stores or checks the password.
func Storing(lines []Line) (Line, bool) {
	return First(lines, func(l Line) bool { return storing[l.Module] })
}

// First returns the first line that is wanted, also in substacks.
func First(lines []Line, wanted func(Line) bool) (Line, bool) {
	if all := All(lines, wanted); len(all) > 0 {
		return all[0], true
	}
	return Line{}, false
}

// All returns the lines that are wanted, also in substacks.
func All(lines []Line, wanted func(Line) bool) (found []Line) {
	for _, l := range lines {
		if wanted(l) {
			found = append(found, l)
		}
		found = append(found, All(l.Substack, wanted)...)
	}
	return found
}
