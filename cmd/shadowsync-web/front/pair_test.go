package front

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// credentials writes a pair as systemd hands it over.
func credentials(t *testing.T, names ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range names {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: certificate}
		if name == "web.key" {
			block = &pem.Block{Type: "PRIVATE KEY", Bytes: private}
		}
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestPair(t *testing.T) {
	everywhere := &net.TCPAddr{IP: net.IPv4zero}
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	pair, err := Pair(credentials(t, "web.crt", "web.key"), everywhere)
	if err != nil || len(pair.Certificates) != 1 {
		t.Errorf("%v, %v", pair, err)
	}
	if pair, err := Pair(credentials(t), loopback); err != nil || pair != nil {
		t.Errorf("other credentials: %v, %v", pair, err)
	}
	for _, half := range []string{"web.crt", "web.key"} {
		// With half of a pair, plain HTTP is not what the administrator meant.
		if _, err := Pair(credentials(t, half), loopback); err == nil || !strings.Contains(err.Error(), "web.crt and web.key") {
			t.Errorf("%s alone: %v", half, err)
		}
	}
}
