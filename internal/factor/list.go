package factor

import "bytes"

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
