package factor

import (
	"errors"
	"strconv"
	"strings"
)

// List is the list of the accounts that must show a code, for the PAM module: it knows from it whom to
// refuse while no broker answers. One line "account TAB realm TAB enrolled TAB uid" for each; "enrol"
// instead of "enrolled" if the account must enrol anew with an enrolment code, and "-" instead of a uid
// that is not known.
func List(records []Record) []byte {
	list := []byte{} // an empty list differs from a missing one
	for _, r := range records {
		if !r.Asked() {
			continue
		}
		state, uid := "enrolled", unknownUID
		if r.State != Enrolled {
			state = "enrol"
		}
		if r.UID != nil {
			uid = strconv.Itoa(*r.UID)
		}
		list = append(list, strings.Join([]string{r.Account, string(r.Realm), state, uid}, "\t")+"\n"...)
	}
	return list
}

const unknownUID = "-"

// ErrList is the error for a list with a line that is none of a list: it may have named anybody.
var ErrList = errors.New("the list of the accounts with a second factor is damaged; look at it, and run shadowsync doctor --fix")

// Listed returns the factors that such a list names, as if the state had lost them: the accounts must
// enrol anew, with an enrolment code that only a reset hands out.
func Listed(list []byte) (lost []Record, err error) {
	const never = "lost" // no boot has this id
	for line := range strings.Lines(string(list)) {
		fields := strings.Split(line, "\t")
		if len(fields) == 3 { // of before there were uids
			fields = append(fields[:2], strings.TrimSuffix(fields[2], "\n"), unknownUID+"\n")
		}
		if len(fields) != 4 || fields[0] == "" || fields[2] != "enrolled" && fields[2] != "enrol" || !strings.HasSuffix(line, "\n") {
			return nil, ErrList
		}
		realm, err := ParseRealm(fields[1])
		if err != nil {
			return nil, ErrList
		}
		r := Record{Subject: Subject{Realm: realm, Account: fields[0]}, State: None, Generation: 1, Ticket: &Ticket{Hash: []byte{}, Boot: never}}
		if text := strings.TrimSuffix(fields[3], "\n"); text != unknownUID {
			uid, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return nil, ErrList
			}
			known := int(uid)
			r.UID = &known
		}
		lost = append(lost, r)
	}
	return lost, nil
}
