package scheme

import "sync"

// table is the list of schemes. It is built at its first use, for most processes of the program
// need none.
var table = sync.OnceValue(func() []Scheme {
	one := []Part{Hash}
	return []Scheme{
		{name: "bcrypt", doc: "AdGuard Home, GitLab, Node-RED, Zabbix, phpBB", parts: one, forms: []form{bcrypt("$2b$", usualBcrypt)}},
		{name: "django-pbkdf2-sha256", doc: "Django's default", parts: one, forms: []form{djangoPBKDF2()}},
	}
})
