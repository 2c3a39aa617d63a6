package foreign

import (
	"bytes"
	"strings"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// google reads a .google_authenticator. Its first line is the secret in base32, the lines that begin
// with a quotation mark and a space are options, and the others scratch codes of eight digits
// (FILEFORMAT of google-authenticator-libpam).
func google(content []byte) (factor Factor, err error) {
	all := lines(content)
	var scratch int
	var timeBased bool
	for i, line := range all[1:] {
		i++
		text, isOption := bytes.CutPrefix(line, []byte(`" `))
		switch option := string(text); {
		case isOption:
			notTaken, err := readOption(i, option)
			if err != nil {
				return Factor{}, err
			}
			timeBased = timeBased || option == "TOTP_AUTH"
			if notTaken {
				factor.NotTaken = append(factor.NotTaken, option)
			}
		case len(line) == 8 && isNumber(string(line)):
			scratch++
		default:
			return Factor{}, at(i, "it is neither an option nor a scratch code of eight digits")
		}
	}
	if factor.Secret, err = totp.ParseSetupKey(all[0]); err != nil {
		return Factor{}, at(0, "%v", err)
	}
	if !timeBased {
		clear(factor.Secret)
		return Factor{}, at(len(all)-1, "the file ends without the option TOTP_AUTH, which says that the codes are time-based")
	}
	if scratch > 0 {
		factor.NotTaken = append(factor.NotTaken, plural.Count(scratch, "scratch code"))
	}
	return factor, nil
}

// readOption returns an error where an option of the line with the index i rules the file out, and
// whether its meaning gets lost. Options about used codes and attempts do not get lost: the same
// always holds here.
func readOption(i int, option string) (notTaken bool, err error) {
	name, value, _ := strings.Cut(option, " ")
	switch name {
	case "TOTP_AUTH", "DISALLOW_REUSE", "RATE_LIMIT", "RESETTING_TIME_SKEW":
		return false, nil
	case "TIME_SKEW":
		return value != "0", checkNumber(i, name, value)
	case "WINDOW_SIZE":
		return value != "3", checkNumber(i, name, value)
	case "STEP_SIZE":
		if value != "30" {
			return false, at(i, "the codes change at another interval than every 30 seconds (STEP_SIZE)")
		}
		return false, nil
	case "HOTP_COUNTER":
		return false, at(i, "the codes are counter-based (HOTP_COUNTER); only time-based ones can be taken over")
	}
	if digit, isLast := strings.CutPrefix(name, "LAST"); isLast && len(digit) == 1 && isNumber(digit) {
		return false, nil // which host logged in when, for the grace period
	}
	return false, at(i, "the option %s is not known", printable.Clip(name, 40))
}

// checkNumber returns an error for a value that cannot be shown as it is.
func checkNumber(i int, name, value string) error {
	if digits := strings.TrimPrefix(value, "-"); !isNumber(digits) || len(digits) > 9 {
		return at(i, "the value of %s is not a number", name)
	}
	return nil
}
