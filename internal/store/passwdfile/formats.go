package passwdfile

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/textfile"
)

// format is one of the formats.
type format struct {
	// schemes are those whose values the server can verify; the first is the default. "" is crypt(3).
	schemes []string
	// text returns the grammar for the values of a scheme.
	text func(scheme string) textfile.Format
	// pause is how long after another reload the server takes one.
	pause time.Duration
}

// formats are by the name in the configuration.
var formats = map[string]format{
	"dovecot":    {schemes: []string{"", "ldap-crypt", "ldap-ssha", "ldap-ssha512"}, text: dovecot},
	"freeradius": {schemes: []string{"", "nt"}, text: freeradius, pause: radiusPause},
	"htpasswd":   {schemes: []string{"", "htpasswd", "bcrypt", "ldap-ssha"}, text: htpasswd},
	"mosquitto":  {schemes: []string{"mosquitto"}, text: mosquitto},
	"pgbouncer":  {schemes: []string{"scram-sha-256"}, text: pgbouncer},
}

// radiusPause is a second more than FreeRADIUS' own limit: it ignores a SIGHUP less than five seconds after
// another.
const radiusPause = 6 * time.Second

// apacheLine is the size of Apache's buffer of a line, less the line's end of two bytes.
const apacheLine = 8189

// htpasswd is the file of nginx's auth_basic_user_file and Apache's AuthUserFile.
func htpasswd(scheme string) textfile.Format {
	c := colon{read: hidden, longest: apacheLine}
	if scheme != "" {
		c.more = "{}"
	}
	return c
}

// dovecot is passwd-file(5): user:{SCHEME}value:uid:gid:gecos:home:shell:extra.
func dovecot(scheme string) textfile.Format {
	if scheme != "" {
		return colon{read: hidden, more: "{}"}
	}
	return colon{
		read: func(field string) string {
			scheme, rest, ok := header(field)
			if ok && (scheme == "CRYPT" || strings.HasSuffix(scheme, "-CRYPT")) {
				return rest
			}
			return hidden(field)
		},
		// Without it the value would be of the default scheme of the passdb.
		write: func(value string) string { return "{CRYPT}" + value },
	}
}

// mosquitto is mosquitto's password_file. Version 2.1 quits if a line cannot be decoded or an account is there
// twice.
func mosquitto(string) textfile.Format { return colon{blanks: true, decode: decodeMosquitto} }

// mosquittoForm is compiled at its first use: most processes of the program need none.
var mosquittoForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\$(?:6|7\$[1-9][0-9]{0,8})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)$|^\$argon2id\$v=19\$m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$`)
})

func decodeMosquitto(value string) error {
	parts := mosquittoForm().FindStringSubmatch(value)
	if parts == nil {
		return errors.New("a value that mosquitto cannot decode")
	}
	for _, part := range parts[1:] {
		if _, err := base64.StdEncoding.DecodeString(part); err != nil {
			return errors.New("a value that mosquitto cannot decode")
		}
	}
	return nil
}
