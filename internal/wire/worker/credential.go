package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// credentials is systemd's variable for the folder with the credentials of a unit (systemd.exec(5)).
const credentials = "CREDENTIALS_DIRECTORY"

// CredentialError is the error for a credential that systemd did not hand over.
type CredentialError struct {
	Name string
	Err  error
}

func (e *CredentialError) Error() string {
	return fmt.Sprintf("the credential %s is not usable: %v", e.Name, e.Err)
}
func (e *CredentialError) Unwrap() error { return e.Err }

// errMissing says where a credential would have been found.
var errMissing = errors.New("there is none of that name in /etc/credstore.encrypted")

// errSealed is the cause if a unit did not start.
var errSealed = errors.New("systemd cannot decrypt it; its name must be the one that systemd-creds encrypt was given, and the key of this machine")

// Started explains an error of a helper that was asked: without its credential systemd does not start it
// (243/CREDENTIALS), and its end of the connection, with the question in it, is closed.
func Started(credential string, err error) error {
	if credential != "" && (errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET)) {
		return &CredentialError{credential, errSealed}
	}
	return err
}

// Credential reads a credential of the unit that this worker runs in, of at most so many bytes. The caller
// clears it.
func Credential(name string, most int) ([]byte, error) {
	folder := os.Getenv(credentials)
	text, err := os.ReadFile(filepath.Join(folder, name)) // systemd bounds what it hands over
	switch {
	case folder == "" || errors.Is(err, fs.ErrNotExist):
		err = errMissing
	case err == nil && (len(text) == 0 || len(text) > most):
		err = fmt.Errorf("it has %d bytes", len(text))
	}
	if err != nil {
		clear(text)
		return nil, &CredentialError{name, err}
	}
	return text, nil
}

// MaxCA bounds the certificates, in PEM, that a worker gets for a server. Those that a system trusts have
// about 220 KB.
const MaxCA = 1 << 20

// FirstLine is the password in a file, which editors end with a newline.
func FirstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimRight(line, "\r")
}
