package format

import (
	"errors"
	"strings"
	"testing"
)

const (
	checksum22 = "NuzA7WTAelpl95xgBGWN60"
	checksum43 = "zcR083ghWLoWl18WrlP31BYbZAdiyYFNuPkrdLUNuEB"
	checksum86 = "5DotUqlpic.TOX1/nfRVf3fd0Scp3p7MOQnr5ErpODJRSrfjeui/9r4UShymD0w5O4YsWfg.OMRZ0sj6ZEtN41"
	bcrypt53   = "abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
)

// Whole hashes of every format, made by crypt(3) of Debian 12 and by openssl
// (apr1), with what Parse makes of them.
var whole = []struct {
	hash    string
	format  Format
	setting string
	cost    Cost
	foreign error
}{
	{"$y$j9T$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, Yescrypt, "$y$j9T$aaaaaaaaaaaaaaaaaaaaa/", Cost{Memory: 16<<20 + 16<<10, Work: 16 << 20}, nil},
	{"$y$j75$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, Yescrypt, "$y$j75$aaaaaaaaaaaaaaaaaaaaa/", Cost{Memory: 1<<20 + 13<<10, Work: 1 << 20}, nil},
	{"$gy$j9T$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, GostYescrypt, "$gy$j9T$aaaaaaaaaaaaaaaaaaaaa/", Cost{Memory: 16<<20 + 16<<10, Work: 16 << 20}, nil},
	{"$7$CU..../....aaaaaaaa$" + checksum43, Scrypt, "$7$CU..../....aaaaaaaa", Cost{Memory: 64<<20 + 16<<10, Work: 64 << 20}, nil},
	{"$2b$04$" + bcrypt53, Bcrypt, "$2b$04$abcdefghijklmnopqrstuu", Cost{Log2: 4}, nil},
	{"$2y$14$" + bcrypt53, Bcrypt, "$2y$14$abcdefghijklmnopqrstuu", Cost{Log2: 14}, ErrTooCostly},
	{"$2b$13$" + bcrypt53, Bcrypt, "$2b$13$abcdefghijklmnopqrstuu", Cost{Log2: 13}, nil},
	{"$2a$31$" + bcrypt53, Bcrypt, "$2a$31$abcdefghijklmnopqrstuu", Cost{Log2: 31}, ErrTooCostly},
	{"$6$saltstringsalts.$" + checksum86, SHA512, "$6$saltstringsalts.", Cost{Rounds: 5000}, nil},
	{"$6$rounds=656000$abc$" + checksum86, SHA512, "$6$rounds=656000$abc", Cost{Rounds: 656000}, nil},
	{"$6$rounds=1000000$a,b$" + checksum86, SHA512, "$6$rounds=1000000$a,b", Cost{Rounds: 1000000}, ErrTooCostly},
	{"$6$rounds=656001$abc$" + checksum86, SHA512, "$6$rounds=656001$abc", Cost{Rounds: 656001}, ErrTooCostly},
	{"$5$rounds=999999999$abc$" + checksum43, SHA256, "$5$rounds=999999999$abc", Cost{Rounds: 999999999}, ErrTooCostly},
	{"$5$s$" + checksum43, SHA256, "$5$s", Cost{Rounds: 5000}, nil},
	{"$1$saltsalt$" + checksum22, MD5, "$1$saltsalt", Cost{}, ErrTooWeak},
	{"$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/", APR1, "$apr1$saltsalt", Cost{}, ErrNotOS},
	{"abhfCpXqd4GrI", DES, "ab", Cost{}, ErrTooWeak},
	{"_J9..rasmDiLRGIlI80c", BSDi, "", Cost{}, ErrNotOS},
	{"$sha1$4$abcd$Hd2Ova0Wd7foJfpwSnArpwHGc/E9", SHA1, "", Cost{}, ErrNotOS},
	{"$md5$abcdabcd$$Fj/GrhwCztEJcqgop.2P5/", SunMD5, "", Cost{}, ErrNotOS},
	{"$md5,rounds=5000$abcdabcd$Fj/GrhwCztEJcqgop.2P5/", SunMD5, "", Cost{}, ErrNotOS},
	{"$3$$cfc43211ba8dc470832267827cac1407", NT, "", Cost{}, ErrNotOS},
}

func TestParse(t *testing.T) {
	seen := map[Format]bool{}
	for _, w := range whole {
		t.Run(w.hash, func(t *testing.T) {
			h, err := Parse(w.hash)
			if err != nil || h.Format != w.format || h.Setting != w.setting || h.Cost != w.cost {
				t.Fatalf("Parse = %+v, %v; want %v, %q, %+v", h, err, w.format, w.setting, w.cost)
			}
			if w.format.CanVerify() && !strings.HasPrefix(w.hash, h.Setting) || !strings.HasSuffix(w.hash, h.Checksum) {
				t.Errorf("setting %q and checksum %q are not of the hash", h.Setting, h.Checksum)
			}
			if got := Identify(w.hash); got != w.format {
				t.Errorf("Identify = %v, want %v", got, w.format)
			}
			if err := CheckForeign(w.hash); !errors.Is(err, w.foreign) {
				t.Errorf("CheckForeign = %v, want %v", err, w.foreign)
			}
		})
		seen[w.format] = true
	}
	for _, f := range Formats() {
		if !seen[f] {
			t.Errorf("no hash of format %s is tested", f)
		}
	}
}

// A weak format is accepted if it is allowed, and no other weak format is.
func TestWeakFormatIsAllowed(t *testing.T) {
	for _, w := range whole {
		if !errors.Is(w.foreign, ErrTooWeak) {
			continue
		}
		if err := CheckForeign(w.hash, w.format); err != nil {
			t.Errorf("%s is refused where it is allowed: %v", w.format, err)
		}
		if err := CheckForeign(w.hash, SHA512, NT); !errors.Is(err, ErrTooWeak) {
			t.Errorf("%s where others are allowed: %v", w.format, err)
		}
	}
	if f, known := Named("md5crypt"); f != MD5 || !known {
		t.Errorf("md5crypt is %v", f)
	}
	if _, known := Named("md5"); known {
		t.Error("md5 is a format")
	}
}

// refused are hashes that no store can bring to the OS, whatever their cost.
var refused = []struct {
	name, hash string
	want       error
}{
	{"empty", "", ErrNotHash},
	{"locked account", "!", ErrNotHash},
	{"locked hash", "!$1$saltsalt$" + checksum22, ErrNotHash},
	{"no login", "*", ErrNotHash},
	{"failure token", "*0", ErrNotHash},
	{"clear text", "correct-horse-battery", ErrUnknown},
	{"unknown prefix", "$9$abc$" + checksum43, ErrUnknown},
	{"argon2", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", ErrUnknown},
	{"bcrypt with its bug", "$2x$04$" + bcrypt53, ErrUnknown},
	{"no version", "$2$04$" + bcrypt53, ErrUnknown},
	{"bigcrypt", "abhfCpXqd4GrIabhfCpXqd4G", ErrUnknown},
	{"second line", "$1$saltsalt$" + checksum22 + "\nroot::0:0:99999:7:::", ErrMalformed},
	{"final newline", "$1$saltsalt$" + checksum22 + "\n", ErrMalformed},
	{"colon", "$1$salt:alt$" + checksum22, ErrMalformed},
	{"semicolon", "$1$salt;alt$" + checksum22, ErrMalformed},
	{"backslash", "$6$salt\\alt$" + checksum86, ErrMalformed},
	{"lock mark inside", "$6$salt!alt$" + checksum86, ErrMalformed},
	{"blank", "$6$salt alt$" + checksum86, ErrMalformed},
	{"NUL", "$6$salt\x00alt$" + checksum86, ErrMalformed},
	{"DEL", "$6$salt\x7falt$" + checksum86, ErrMalformed},
	{"UTF-8", "$6$sält$" + checksum86, ErrMalformed},
	{"long", "$6$" + strings.Repeat("x", 400), ErrMalformed},
	{"prefix only", "$6$", ErrMalformed},
	{"setting only", "$6$saltsalt", ErrMalformed},
	{"no salt", "$6$$" + checksum86, ErrMalformed},
	{"long salt", "$6$saltsaltsaltsalts$" + checksum86, ErrMalformed},
	{"short checksum", "$6$salt$" + checksum86[1:], ErrMalformed},
	{"long checksum", "$6$salt$" + checksum86 + ".", ErrMalformed},
	{"odd checksum", "$6$salt$=" + checksum86[1:], ErrMalformed},
	{"few rounds", "$6$rounds=999$salt$" + checksum86, ErrMalformed},
	{"many rounds", "$6$rounds=1000000000$salt$" + checksum86, ErrMalformed},
	{"leading zero", "$6$rounds=05000$salt$" + checksum86, ErrMalformed},
	{"signed rounds", "$6$rounds=-5000$salt$" + checksum86, ErrMalformed},
	{"rounds twice", "$6$rounds=5000$rounds=5000$salt$" + checksum86, ErrMalformed},
	{"rounds as salt", "$6$rounds=$" + checksum86, ErrMalformed},
	{"rounds in md5", "$1$rounds=1$" + checksum22, ErrMalformed},
	{"bcrypt cost low", "$2b$03$" + bcrypt53, ErrMalformed},
	{"bcrypt cost high", "$2b$32$" + bcrypt53, ErrMalformed},
	{"bcrypt short", "$2b$10$" + bcrypt53[1:], ErrMalformed},
	{"yescrypt flavour", "$y$/9T$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, ErrMalformed},
	{"yescrypt without r", "$y$j9$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, ErrMalformed},
	{"yescrypt cut in a number", "$y$j9k$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, ErrMalformed},
	{"yescrypt with a ROM", "$y$j9T59$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, ErrMalformed},
	{"yescrypt with too much", "$y$j9T..9$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43, ErrMalformed},
	{"yescrypt salt that ends in odd bits", "$y$j9T$aaaaaaaaaaaaaaaaaaaaaa$" + checksum43, ErrMalformed},
	{"yescrypt salt of one character", "$y$j9T$a$" + checksum43, ErrMalformed},
	{"yescrypt salt too long", "$y$j9T$" + strings.Repeat("a", 88) + "$" + checksum43, ErrMalformed},
	{"scrypt, mosquitto's PBKDF2", "$7$101$c2FsdHNhbHQ=$aGFzaA==", ErrMalformed},
	{"scrypt N of 1", "$7$.U..../....aaaaaaaa$" + checksum43, ErrMalformed},
	{"scrypt without p", "$7$CU.........aaaaaaaa$" + checksum43, ErrMalformed},
}

func TestRefused(t *testing.T) {
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			if got := Identify(test.hash); got != Unknown {
				t.Errorf("Identify = %v", got)
			}
			err := CheckForeign(test.hash)
			if !errors.Is(err, test.want) {
				t.Fatalf("CheckForeign = %v, want %v", err, test.want)
			}
			if len(test.hash) > 4 && strings.Contains(err.Error(), test.hash[4:]) {
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

// The cost of scrypt and yescrypt is in digits that people cannot read: each parameter alone must
// be able to exceed the limit.
func TestHiddenCost(t *testing.T) {
	for name, hash := range map[string]string{
		"scrypt N":           "$7$FU..../....aaaaaaaa$" + checksum43,
		"scrypt N of 2^63":   "$7$z/..../....aaaaaaaa$" + checksum43,
		"scrypt r":           "$7$Czzzzz/....aaaaaaaa$" + checksum43,
		"scrypt p":           "$7$CU....z....aaaaaaaa$" + checksum43,
		"scrypt p alone":     "$7$//....zzzzzaaaaaaaa$" + checksum43,
		"yescrypt N":         "$y$jET$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
		"yescrypt r":         "$y$j9zzzzzz$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
		"yescrypt p":         "$y$j9T.zzzzzz$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
		"yescrypt t":         "$y$j9T/zzzzzz$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
		"yescrypt p and t":   "$y$j9T0E5$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
		"gost-yescrypt t":    "$gy$j9T/zzzzzz$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
		"yescrypt N of 2^48": "$y$jjT$aaaaaaaaaaaaaaaaaaaaa/$" + checksum43,
	} {
		if err := CheckForeign(hash); !errors.Is(err, ErrTooCostly) {
			t.Errorf("%s: CheckForeign = %v, want ErrTooCostly", name, err)
		}
	}
}

func TestTraits(t *testing.T) {
	prefixes := map[string]Format{}
	for _, f := range Formats() {
		for _, p := range f.traits().prefixes {
			if other, ok := prefixes[p]; ok {
				t.Errorf("prefix %q is both %s and %s", p, f, other)
			}
			prefixes[p] = f
		}
		if f.CanGenerate() && !f.CanVerify() {
			t.Errorf("%s would be generated and could not be verified", f)
		}
	}
	for _, f := range []Format{Unknown, -1, 99} {
		if f.String() != "unknown" || f.Prefix() != "" || f.CanVerify() || f.CanGenerate() {
			t.Errorf("Format(%d) has traits", int(f))
		}
	}
}

func FuzzIdentify(f *testing.F) {
	for _, w := range whole {
		f.Add(w.hash)
	}
	f.Add("!")
	f.Add("$y$jz$")
	f.Fuzz(func(t *testing.T, hash string) {
		h, err := Parse(hash)
		if (err == nil) != (Identify(hash) != Unknown) {
			t.Errorf("Parse fails with %v, Identify = %v", err, Identify(hash))
		}
		if err == nil && (strings.ContainsAny(hash, ":\n!*\\ \x00") || len(hash) > MaxLength) {
			t.Errorf("%q would tear a line of /etc/shadow", hash)
		}
		foreign := CheckForeign(hash)
		if foreign == nil && (err != nil || h.Cost.Within(ForeignLimits) != nil || !h.Format.CanVerify()) {
			t.Errorf("CheckForeign lets %q pass: %v, %+v", hash, err, h)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	for _, w := range whole {
		b.Run(w.format.String(), func(b *testing.B) {
			for b.Loop() {
				Identify(w.hash)
			}
		})
	}
}
