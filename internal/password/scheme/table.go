package scheme

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"
	"sync"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// table is the list of schemes. It is built at its first use, for most processes of the program
// need none.
var table = sync.OnceValue(func() []Scheme {
	all := []Scheme{
		{name: "bcrypt", doc: "AdGuard Home, GitLab, Node-RED, Zabbix", forms: []form{bcrypt("$2b$", usualBcrypt)}},
		{name: "argon2id", doc: "PHC string: passlib, argon2-cffi, PHP's password_hash", forms: []form{usualArgon2(), phpArgon2(argon2i), readOnly(bcrypt("$2y$", usualBcrypt))}},
		{name: "scrypt", doc: "PHC string: passlib", forms: []form{passlibScrypt()}},
		{name: "passlib-pbkdf2-sha256", doc: "passlib, Flask applications", forms: []form{passlibPBKDF2("sha256", sha256.New, 600_000)}},
		{name: "passlib-pbkdf2-sha512", doc: "passlib, Flask applications", forms: []form{passlibPBKDF2("sha512", sha512.New, 210_000)}},
		{name: "gitea", doc: "Gitea, Forgejo", parts: []Part{Algorithm, Salt, Hash}, forms: giteaForms()},
		{name: "grafana", doc: "Grafana", parts: []Part{Salt, Hash}, forms: []form{grafana()}},
		{name: "nextcloud", doc: "Nextcloud", forms: nextcloudForms()},
		{name: "wordpress", doc: "WordPress 6.8 and later", forms: wordpressForms()},
		{name: "home-assistant", doc: "Home Assistant", forms: []form{homeAssistant()}},
		{name: "mosquitto", doc: "mosquitto's password_file", forms: []form{mosquittoPBKDF2(), mosquittoSHA512(), mosquittoArgon2()}},
		{name: "htpasswd", doc: "nginx, Apache", forms: htpasswdForms()},
		{name: "ldap-crypt", doc: "OpenLDAP, dovecot", forms: ldapCryptForms()},
		{name: "scram-sha-256", doc: "PostgreSQL, pgbouncer", forms: []form{scram(), postgresMD5()}},
		{name: "mysql-native", doc: "MariaDB, MySQL (mysql_native_password)", forms: []form{mysqlNative()}},
		{name: "nt", doc: "Samba, FreeRADIUS (NT-Password)", sealed: true, forms: []form{nt()}},
	}
	all = slices.Insert(all, 3, djangoSchemes()...)
	all = slices.Insert(all, slices.IndexFunc(all, func(s Scheme) bool { return s.name == "ldap-crypt" }), ldapSchemes()...)
	for i := range all {
		if all[i].parts == nil {
			all[i].parts = []Part{Hash}
		}
	}
	return all
})

// djangoSchemes: the beginning of a value names Django's hasher, and an application verifies with
// each hasher of its list PASSWORD_HASHERS. A value of another hasher than the scheme's is read and
// replaced.
func djangoSchemes() []Scheme {
	after := func(name string, f form) form {
		return wrapped(f, func(value string) (string, bool) { return strings.CutPrefix(value, name) },
			func(value string) string { return name + value })
	}
	argon2 := after("argon2", phc(argon2Setting{variant: argon2id, memory: 100 << 10, passes: 2, lanes: 8, length: 32, salt: make([]byte, 16)}))
	bcryptSHA256 := after("bcrypt_sha256$", prehashed(bcrypt("$2b$", usualBcrypt), limit{text: true}, sha256Hex))
	hashers := []Scheme{
		{name: "django-pbkdf2-sha256", doc: "Django's default", forms: []form{djangoPBKDF2()}},
		{name: "django-argon2", doc: "Django with argon2", forms: []form{argon2}},
		{name: "django-bcrypt-sha256", doc: "Django with bcrypt", forms: []form{bcryptSHA256}},
		{name: "django-scrypt", doc: "Django with scrypt", forms: []form{djangoScrypt()}},
	}
	for i := range hashers {
		for j, other := range []form{djangoPBKDF2(), argon2, bcryptSHA256, djangoScrypt()} {
			if i != j {
				hashers[i].forms = append(hashers[i].forms, readOnly(other))
			}
		}
	}
	return hashers
}

// ldapSchemes: the beginning of a value names its digest, and a server takes all of them.
func ldapSchemes() []Scheme {
	ssha, ssha512, old := ldapDigests()
	return []Scheme{
		{name: "ldap-ssha", doc: "OpenLDAP, dovecot", forms: append([]form{ssha, ssha512}, old...)},
		{name: "ldap-ssha512", doc: "OpenLDAP (pw-sha2), dovecot", forms: append([]form{ssha512, readOnly(ssha)}, old...)},
	}
}

// nextcloudLimit is IUserManager::MAX_PASSWORD_LENGTH.
const nextcloudLimit = 469

// nextcloudForms are "3|" and argon2id, "2|" and argon2i, "1|" and bcrypt.
func nextcloudForms() []form {
	numbered := func(prefix string, f form) form {
		f = wrapped(f, func(value string) (string, bool) { return strings.CutPrefix(value, prefix) },
			func(value string) string { return prefix + value })
		f.limit.text = true
		if f.limit.bytes == 0 {
			f.limit.bytes = nextcloudLimit
		}
		return f
	}
	return []form{numbered("3|", phpArgon2(argon2id)), numbered("2|", phpArgon2(argon2i)), numbered("1|", bcrypt("$2y$", 10))}
}

// homeAssistant is bcrypt in base 64. The application cuts passwords off after 72 bytes, silently.
func homeAssistant() form {
	f := wrapped(bcrypt("$2b$", usualBcrypt), func(value string) (string, bool) {
		inside, whole := decode(padded, value)
		return string(inside), whole
	}, func(value string) string { return base64.StdEncoding.EncodeToString([]byte(value)) })
	f.limit = limit{bytes: crypt.Longest(format.Bcrypt), text: true}
	return f
}

// mosquittoArgon2 is what mosquitto 2.1 makes by default; 2.0 cannot read it.
func mosquittoArgon2() form {
	return phc(argon2Setting{variant: argon2id, memory: 46 << 10, passes: 1, lanes: 1, length: 64, salt: make([]byte, maxSalt)})
}
