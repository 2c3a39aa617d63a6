package crypt

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// settings are those of new hashes at default cost, except bcrypt at 10 to limit the run time.
var settings = []struct {
	format  format.Format
	setting string
}{
	{format.Yescrypt, "$y$j9T$aaaaaaaaaaaaaaaaaaaaa/"},
	{format.GostYescrypt, "$gy$j9T$aaaaaaaaaaaaaaaaaaaaa/"},
	{format.Scrypt, "$7$CU..../....aaaaaaaaaaaaaaaaaaaaa/"},
	{format.Bcrypt, "$2b$10$abcdefghijklmnopqrstuu"},
	{format.SHA512, "$6$abcdefghijklmnop"},
	{format.SHA256, "$5$abcdefghijklmnop"},
	{format.MD5, "$1$abcdefgh"},
	{format.DES, "ab"},
}

// Compare BenchmarkVerify and BenchmarkLibxcrypt of one format.
func BenchmarkVerify(b *testing.B) {
	for _, s := range settings {
		b.Run(s.format.String(), func(b *testing.B) {
			hash, err := hashers[s.format].Generate([]byte(token), []byte(s.setting))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if ok, err := Verify(hash, []byte(token)); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, s := range settings {
		if !s.format.CanGenerate() {
			continue
		}
		b.Run(s.format.String(), func(b *testing.B) {
			m := Method{Format: s.format}
			if s.format == format.Bcrypt {
				m.Cost = 10
			}
			for b.Loop() {
				if _, err := m.Generate([]byte(token)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLibxcrypt(b *testing.B) {
	for _, s := range settings {
		b.Run(s.format.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := (libxcrypt{}).Generate([]byte(token), []byte(s.setting)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
