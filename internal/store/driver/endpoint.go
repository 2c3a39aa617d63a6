package driver

import (
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
)

// Endpoint is what a process must reach to use a store in a server.
type Endpoint struct {
	Socket    string   // the path of a Unix socket; empty: the network
	Host      string   // a name or an address
	Addresses []string // of the host, where they are known without asking
	Port      string
}

// The keys of every store in a server, which drivers include in theirs. Whoever starts the worker reads
// the files, because the worker may read none.
var (
	PasswordFile = key.Key{Name: "password_file", Kind: key.Text, Form: Path.Form, Default: "none is sent", Doc: "A file with the password for the server, in its first line. It must belong to root, and nobody else may read it."}
	Credential   = key.Key{Name: "credential", Kind: key.Text, Form: key.Form{Says: "a name of up to 64 letters, digits, dots, dashes and underscores", Is: isCredential}, Default: "none", Doc: "Instead of `password_file`: the name of a credential in /etc/credstore.encrypted, as systemd-creds(1) encrypts it, such as `store-app`. See [Secrets as credentials](second-factors.md#secrets-as-credentials)."}
	CA           = key.Key{Name: "ca", Kind: key.Text, Form: Path.Form, Default: "what the system trusts", Doc: "A file with the certificates, in PEM, that the server's must be signed by."}
)

// isCredential is no regular expression: to compile it takes longer than any other package of the
// program takes to start.
func isCredential(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters+".-") == "" && strings.IndexByte(letters, name[0]) >= 0
}

// CheckSecret returns what is wrong with the keys that tell where the password for a server is.
func (o Options) CheckSecret() error {
	if o.Text(PasswordFile.Name) != "" && o.Text(Credential.Name) != "" {
		return key.Bad(Credential.Name, `"credential" and "password_file": the password comes from one of them`)
	}
	return nil
}
