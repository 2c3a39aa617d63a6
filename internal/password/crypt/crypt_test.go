package crypt

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/go-crypt/x/yescrypt"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

const token = "correct horse"

// vectors are hashes of token. crypt(3) of Debian 12 (libxcrypt 4.4.33) made all except apr1,
// through perl -e 'print crypt(TOKEN, SETTING)'; openssl passwd -apr1 made apr1.
var vectors = []struct {
	name   string
	format format.Format
	hash   string
}{
	{"md5", format.MD5, "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"},
	{"apr1", format.APR1, "$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/"},
	{"sha256 short salt", format.SHA256, "$5$short$zcR083ghWLoWl18WrlP31BYbZAdiyYFNuPkrdLUNuEB"},
	{"sha256 short salt and rounds", format.SHA256, "$5$rounds=1000$abc$/cRuvrIiQqQvcPwD.a/LO47x90cA9f8oqYBouKihds1"},
	{"sha256 odd salt", format.SHA256, "$5$a%b$JzG8QtthsagnvOzCf9QY8Zyuud07V74ez9cpesWIY55"},
	{"sha512", format.SHA512, "$6$saltstringsalts.$5DotUqlpic.TOX1/nfRVf3fd0Scp3p7MOQnr5ErpODJRSrfjeui/9r4UShymD0w5O4YsWfg.OMRZ0sj6ZEtN41"},
	{"sha512 short salt and rounds", format.SHA512, "$6$rounds=4000$roundsaltt$p873QUhtsig0JDU0ds/4ARRKOqPyAWAH9anZj2TwyYhEsDxTdfxuA.KvjYIlXbLjM6irga/gr69G4RyBhu6Wn."},
	{"sha512 default rounds written out", format.SHA512, "$6$rounds=5000$abc$dv7vAygfDghQeO8lNAuLv4y4HAQXw9d6a14dcjFGfTijFc0S6MgzM7g53hZv6MaGDXhNpGxhpXakWuTlqHtzn."},
	{"sha512 full salt and rounds", format.SHA512, "$6$rounds=1000$abcdefghijklmnop$K9ViLilDpRy6xLunKXsaoeGhKInKdDtpCLyoTSCkDcguT34R9cMK08/eq3hGwOWWgyYCTwWqVmKpFAHjf73Mv/"},
	{"yescrypt", format.Yescrypt, "$y$j9T$aaaaaaaaaaaaaaaaaaaaa/$r5NI5qCJzGvsuT5iaKGF6xcBVz4p00c0iyRjSGDnsg9"},
	{"yescrypt cheap", format.Yescrypt, "$y$j75$aaaaaaaaaaaaaaaaaaaaa/$mNAfhiGlVGd.hhYHdVbec4l/31s3cyW.eIdPdaJXYYC"},
	{"gost-yescrypt", format.GostYescrypt, "$gy$j75$aaaaaaaaaaaaaaaaaaaaa/$By1eXDbvF14xVaonSscnr0ZfMTB/VX39B.UPMvOhn20"},
	{"scrypt", format.Scrypt, "$7$BU..../....aaaaaaaa$93LWReKKBIXILwg.FuD/R78z2jJM6O0Fz6fry3AsPUD"},
	{"bcrypt 2b", format.Bcrypt, "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"bcrypt 2y", format.Bcrypt, "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"bcrypt 2a", format.Bcrypt, "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"des", format.DES, "abhfCpXqd4GrI"},
}

func TestVerify(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			if got := format.Identify(v.hash); got != v.format {
				t.Errorf("Identify = %v, want %v", got, v.format)
			}
			for text, want := range map[string]bool{token: true, "": false, "Correct horse": false, token[:7]: false} {
				got, err := Verify(v.hash, []byte(text))
				if err != nil || got != want {
					t.Errorf("Verify with %q = %v, %v; want %v", text, got, err, want)
				}
			}
		})
	}
}

// A hash that differs only in its checksum must not verify: the comparison covers the whole hash.
func TestVerifyComparesTheLastCharacter(t *testing.T) {
	for _, v := range vectors {
		last := byte('.')
		if strings.HasSuffix(v.hash, ".") {
			last = '/'
		}
		changed := v.hash[:len(v.hash)-1] + string(last)
		if ok, err := Verify(changed, []byte(token)); ok || err != nil {
			t.Errorf("%s: Verify of a changed checksum = %v, %v", v.name, ok, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	sha512 := vectors[5].hash
	tests := []struct {
		name, hash, token string
		want              error
	}{
		{"deleted password", "", "", format.ErrNotHash},
		{"locked", "!" + sha512, token, format.ErrNotHash},
		{"no password", "*", token, format.ErrNotHash},
		{"unknown prefix", "$9$salt$abc", token, format.ErrUnknown},
		{"scram", "SCRAM-SHA-256$4096", token, format.ErrUnknown},
		{"truncated", sha512[:len(sha512)-1], token, format.ErrMalformed},
		{"known, not verified", "$3$$cfc43211ba8dc470832267827cac1407", token, ErrUnverifiable},
		{"costly", strings.Replace(sha512, "$6$", "$6$rounds=999999999$", 1), token, format.ErrTooCostly},
		{"long token", sha512, strings.Repeat("x", MaxToken+1), ErrTokenTooLong},
		{"NUL in token", sha512, token + "\x00", ErrTokenNUL},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ok, err := Verify(test.hash, []byte(test.token))
			if ok || !errors.Is(err, test.want) {
				t.Errorf("Verify = %v, %v; want %v", ok, err, test.want)
			}
			if err != nil && len(test.hash) > 20 && strings.Contains(err.Error(), test.hash[10:]) {
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

// cheap is the lowest cost of the formats that have a cost.
var cheap = map[format.Format]int{
	format.SHA512: 1000, format.SHA256: 1000, format.Bcrypt: 4,
	format.Yescrypt: 1, format.GostYescrypt: 1, format.Scrypt: 6,
}

func TestGenerate(t *testing.T) {
	for _, f := range format.Formats() {
		t.Run(f.String(), func(t *testing.T) {
			m := Method{f, cheap[f]}
			hash, err := m.Generate([]byte(token))
			if !f.CanGenerate() {
				if hash != "" || !errors.Is(err, ErrNotGenerated) {
					t.Fatalf("Generate = %q, %v; want ErrNotGenerated", hash, err)
				}
				return
			}
			if err != nil || format.Identify(hash) != f {
				t.Fatalf("Generate = %q, %v", hash, err)
			}
			if again, err := m.Generate([]byte(token)); again == hash || err != nil {
				t.Errorf("Generate used one salt twice: %q, %v", again, err)
			}
			if ok, err := Verify(hash, []byte(token)); !ok || err != nil {
				t.Errorf("Verify of %q = %v, %v", hash, ok, err)
			}
			if err := format.CheckForeign(hash); err != nil && !f.Weak() {
				t.Errorf("CheckForeign(%q) = %v", hash, err)
			}
		})
	}
}

func TestGenerateDefaultCost(t *testing.T) {
	for f, prefix := range map[format.Format]string{
		format.Yescrypt: "$y$j9T$", format.GostYescrypt: "$gy$j9T$", format.Bcrypt: "$2b$13$", format.Scrypt: "$7$CU..../....",
	} {
		setting, err := Method{Format: f}.setting()
		if err != nil || !strings.HasPrefix(string(setting), prefix) {
			t.Errorf("%s: setting = %q, %v; want prefix %q", f, setting, err, prefix)
		}
	}
	hash, err := Generate(format.SHA512, []byte(token))
	if err != nil || strings.Contains(hash, "rounds=") {
		t.Errorf("Generate(SHA512) = %q, %v", hash, err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	tests := []struct {
		name   string
		method Method
		token  string
		want   error
	}{
		{"empty", Method{Format: format.SHA512}, "", ErrTokenEmpty},
		{"NUL", Method{Format: format.SHA512}, "a\x00b", ErrTokenNUL},
		{"too long", Method{Format: format.SHA512}, strings.Repeat("x", 512), ErrTokenTooLong},
		{"too long for bcrypt", Method{Format: format.Bcrypt}, strings.Repeat("x", 73), ErrTokenTooLong},
		{"few rounds", Method{format.SHA512, 999}, token, ErrCost},
		{"many rounds", Method{format.SHA256, 10_000_001}, token, ErrCost},
		{"bcrypt cost", Method{format.Bcrypt, 18}, token, ErrCost},
		{"yescrypt cost", Method{format.Yescrypt, 12}, token, ErrCost},
		{"negative cost", Method{format.Yescrypt, -1}, token, ErrCost},
		{"md5 has no cost", Method{format.MD5, 1}, token, ErrCost},
		{"no format", Method{}, token, ErrNotGenerated},
		{"no such format", Method{Format: 99}, token, ErrNotGenerated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hash, err := test.method.Generate([]byte(test.token))
			if hash != "" || !errors.Is(err, test.want) {
				t.Errorf("Generate = %q, %v; want %v", hash, err, test.want)
			}
		})
	}
}

func TestTokenLengths(t *testing.T) {
	for _, f := range []format.Format{format.Yescrypt, format.SHA512, format.MD5, format.Bcrypt} {
		longest := MaxToken
		if f == format.Bcrypt {
			longest = maxBcryptToken
		}
		for _, n := range []int{1, 63, 64, 65, longest} {
			text := bytes.Repeat([]byte{0xff}, n) // also not UTF-8
			hash, err := Method{f, cheap[f]}.Generate(text)
			if n > longest {
				continue
			}
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", f, n, err)
			}
			if ok, err := Verify(hash, text); !ok || err != nil {
				t.Errorf("%s, %d bytes: Verify = %v, %v", f, n, ok, err)
			}
			if ok, _ := Verify(hash, text[:n-1]); ok {
				t.Errorf("%s, %d bytes: verifies without the last one", f, n)
			}
		}
	}
}

func TestTokenIsLeftAlone(t *testing.T) {
	for _, v := range vectors {
		text := append([]byte(token), "tail"...)
		if ok, err := Verify(v.hash, text[:len(token)]); !ok || err != nil {
			t.Errorf("%s: Verify = %v, %v", v.name, ok, err)
		}
		if string(text) != token+"tail" {
			t.Errorf("%s: the token was changed to %q", v.name, text)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	var group sync.WaitGroup
	for range 4 {
		for _, v := range vectors {
			group.Go(func() {
				if ok, err := Verify(v.hash, []byte(token)); !ok || err != nil {
					t.Errorf("%s: Verify = %v, %v", v.name, ok, err)
				}
			})
		}
	}
	group.Wait()
}

// Another implementation must agree, both on hashes made here and on the vectors.
func TestYescryptOracle(t *testing.T) {
	hashes := []string{vectors[9].hash, vectors[10].hash}
	for cost := 1; cost <= 5; cost++ {
		hash, err := Method{format.Yescrypt, cost}.Generate([]byte(token))
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hash)
	}
	for _, hash := range hashes {
		got, err := yescrypt.Hash([]byte(token), []byte(hash))
		if err != nil || string(got) != hash {
			t.Errorf("oracle makes %q of %q, %v", got, hash, err)
		}
	}
}

// Two implementations must agree: formats that one computes are compared with the other.
func TestSecondImplementation(t *testing.T) {
	for f, other := range map[format.Format]hasher{format.SHA512: libxcrypt{}, format.SHA256: libxcrypt{}, format.MD5: md5_crypt.New()} {
		for n := 1; n < MaxToken; n += 37 {
			setting, err := Method{Format: f, Cost: cheap[f]}.setting()
			if err != nil {
				t.Fatal(err)
			}
			text := bytes.Repeat([]byte{'p'}, n)
			want, err := other.Generate(text, setting)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := Verify(want, text); !ok || err != nil {
				t.Errorf("%s, %d bytes: Verify of %q = %v, %v", f, n, want, ok, err)
			}
		}
	}
}

// libxcrypt itself refuses hashes that Parse has not checked, and does not crash.
func TestLibxcryptRefuses(t *testing.T) {
	for _, setting := range []string{"", "*0", "!", "$", "$y$", "$y$j9T", "$7$", "$2b$", "$2b$04", "$zz$abc", ":"} {
		if hash, err := (libxcrypt{}).Generate([]byte(token), []byte(setting)); err == nil {
			t.Errorf("%q: hash %q", setting, hash)
		}
	}
	long := bytes.Repeat([]byte{'x'}, 512)
	if _, err := (libxcrypt{}).Generate(long, []byte("$6$abc")); !errors.Is(err, syscall.ERANGE) {
		t.Errorf("a token of 512 bytes: %v", err)
	}
}

// A hash at the limit for foreign hashes must not block a login.
func TestForeignLimitsAreBearable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, setting := range []string{
		"$6$rounds=656000$abcdefgh", "$5$rounds=656000$abcdefgh", "$2b$13$abcdefghijklmnopqrstuu",
		"$y$jDT$aaaaaaaaaaaaaaaaaaaaa/", "$7$EU..../....aaaaaaaa", "$7$DU....0....aaaaaaaa",
	} {
		t.Run(setting, func(t *testing.T) {
			hasher := hashers[format.SHA512]
			if !strings.HasPrefix(setting, "$6$") {
				hasher = libxcrypt{}
			}
			start := time.Now()
			hash, err := hasher.Generate([]byte(token), []byte(setting))
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			if err := format.CheckForeign(hash); err != nil {
				t.Error(err)
			}
			t.Log(took)
			if took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
