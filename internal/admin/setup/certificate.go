package setup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// encryptedStore and plainStore are folders of systemd's credentials (systemd.exec(5)).
const (
	encryptedStore = "/etc/credstore.encrypted"
	plainStore     = "/etc/credstore"
)

// certificateWarning is how long before its end a certificate is worth a word.
const certificateWarning = 14 * 24 * time.Hour

// CertificateError says what is wrong with the certificate of the page, or with its key.
type CertificateError struct {
	Path string
	Why  string
	Mode bool // others than root may read or change the key
}

func (e *CertificateError) Error() string {
	return "cannot use " + e.Path + " for the page: " + e.Why
}

// Certificate reads the pair of the page and checks that its parts belong together. It is nil where the
// configuration names systemd credentials, which only systemd decrypts. An error is a *CertificateError.
func Certificate(root string, w config.Web) (*x509.Certificate, error) {
	for _, from := range []string{w.Certificate, w.Key} {
		if err := credentialThere(root, from); err != nil {
			return nil, err
		}
	}
	if !filepath.IsAbs(w.Certificate) || !filepath.IsAbs(w.Key) {
		return nil, nil
	}
	certificate, err := inroot.ReadFile(root, w.Certificate)
	if err != nil {
		return nil, &CertificateError{Path: w.Certificate, Why: cause(err)}
	}
	key, err := inroot.ReadFile(root, w.Key)
	if err != nil {
		return nil, &CertificateError{Path: w.Key, Why: cause(err)}
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, &CertificateError{Path: w.Certificate + " and " + w.Key, Why: strings.TrimPrefix(err.Error(), "tls: ")}
	}
	return pair.Leaf, keyPrivate(root, w.Key)
}

// credentialThere looks for a credential where systemd does. Those that the machine itself was given at
// boot are among them.
func credentialThere(root, name string) error {
	if filepath.IsAbs(name) {
		return nil
	}
	folders := []string{encryptedStore, plainStore, "/run/credentials/@system"}
	if slices.ContainsFunc(folders, func(folder string) bool {
		_, err := inroot.Stat(root, filepath.Join(folder, name))
		return err == nil
	}) {
		return nil
	}
	return &CertificateError{Path: "the credential " + name, Why: "there is none of that name in " + encryptedStore + " or " + plainStore}
}

// keyPrivate reports that others than root, and root's groups, may read the key.
func keyPrivate(root, path string) error {
	info, err := inroot.Stat(root, path)
	if err != nil {
		return &CertificateError{Path: path, Why: cause(err)}
	}
	if st, known := info.Sys().(*syscall.Stat_t); known && (st.Uid != 0 || info.Mode()&0o027 != 0) {
		return &CertificateError{Path: path, Why: fmt.Sprintf("it belongs to uid %d with mode %#o, so that others may read or change it", st.Uid, info.Mode().Perm()), Mode: true}
	}
	return nil
}

// CertificateAge says what is wrong with a certificate's time; empty: nothing. ends reports that it is
// still valid.
func CertificateAge(c *x509.Certificate, now time.Time) (why string, ends bool) {
	const day = 24 * time.Hour
	switch left := c.NotAfter.Sub(now); {
	case left <= 0:
		return "it expired on " + c.NotAfter.Format(time.DateOnly), false
	case now.Before(c.NotBefore):
		return "it is valid only from " + c.NotBefore.Format(time.DateOnly) + " on", false
	case left < certificateWarning:
		return fmt.Sprintf("it expires on %s, in less than %d days", c.NotAfter.Format(time.DateOnly), int(left/day)+1), true
	}
	return "", true
}

func (j *job) noteCertificate(c *x509.Certificate) {
	if why, _ := CertificateAge(c, time.Now()); why != "" {
		j.note("the certificate %s: %s", j.config.Web.Certificate, why)
	}
}

// cause returns the kernel's words without the path, which the message has.
func cause(err error) string {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err.Error()
	}
	return err.Error()
}
