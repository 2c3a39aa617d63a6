package factor

import (
	"bytes"
	"strings"
)

// List is the list of the accounts that must show a code, for the PAM module: it knows from it whom to
// refuse while no broker answers. One line "account TAB realm TAB enrolled" for each; "enrol" instead
// of "enrolled" if the account must enrol anew with an enrolment code.
func List(records []Record) []byte {
	list := []byte{} // an empty list differs from a missing one
	for _, r := range records {
		if !r.Asked() {
			continue
		}
		state := "enrolled"
		if r.State != Enrolled {
			state = "enrol"
		}
		list = append(list, bytes.Join([][]byte{[]byte(r.Account), []byte(r.Realm), []byte(state)}, []byte("\t"))...)
		list = append(list, '\n')
	}
	return list
}

// Listed returns whose factors such a list names. It leaves out what is no line of one.
func Listed(list []byte) (subjects []Subject) {
	for line := range strings.Lines(string(list)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 || fields[0] == "" {
			continue
		}
		if realm, err := ParseRealm(fields[1]); err == nil {
			subjects = append(subjects, Subject{Realm: realm, Account: fields[0]})
		}
	}
	return subjects
}

// Lost is the record of a factor of which nothing is left but that there was one: the account must
// enrol anew, with an enrolment code that only a reset hands out.
func Lost(s Subject) Record {
	const never = "lost" // no boot has this id
	return Record{Subject: s, State: None, Generation: 1, Ticket: &Ticket{Hash: []byte{}, Boot: never}}
}
