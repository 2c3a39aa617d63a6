package scheme

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// giteaCase is what internal/test/gitea answers with Gitea's own code.
type giteaCase struct{ Algorithm, Salt, Hash, Secret string }

// giteaAnswer says whether the secret fits the hash; for a case without a hash, it is what Gitea makes.
type giteaAnswer struct {
	Fits bool
	Hash string
}

// theirs is Gitea's own verifier.
type theirs struct{ program string }

func buildGitea(t *testing.T) theirs {
	t.Helper()
	if testing.Short() {
		t.Skip("downloads and builds Gitea's verifier")
	}
	program := filepath.Join(t.TempDir(), "gitea")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../test/gitea", "-trimpath", "-buildvcs=false", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build Gitea's verifier: %v\n%s", err, out)
	}
	return theirs{program}
}

func (g theirs) ask(t *testing.T, cases []giteaCase) (answers []giteaAnswer) {
	t.Helper()
	var questions, said bytes.Buffer
	for _, c := range cases {
		if err := json.NewEncoder(&questions).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	ask := exec.CommandContext(t.Context(), g.program)
	ask.Stdin, ask.Stderr = &questions, &said
	out, err := ask.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.Bytes())
	}
	for line := range bytes.Lines(out) {
		var a giteaAnswer
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(cases) {
		t.Fatalf("%d answers to %d cases", len(answers), len(cases))
	}
	return answers
}

// make returns the value that Gitea makes of a secret by each algorithm, with both kinds of salt.
func (g theirs) make(t *testing.T, secret string) (values []string) {
	t.Helper()
	var cases []giteaCase
	for i, algorithm := range giteaAlgorithms {
		salt := []string{strings.Repeat("0f", defaultSalt), "TenLetters"}[i%2]
		cases = append(cases, giteaCase{Algorithm: algorithm, Salt: salt, Secret: secret})
	}
	for i, a := range g.ask(t, cases) {
		values = append(values, Join(cases[i].Algorithm, cases[i].Salt, a.Hash))
	}
	return values
}

// giteaAlgorithms are what the first column may hold: Gitea's default, other costs and lengths, and the bare names from
// before Gitea kept the parameters.
var giteaAlgorithms = []string{
	"pbkdf2$50000$50", "pbkdf2$1000$32", "pbkdf2", "", "argon2", "argon2$1$64$1$32", "scrypt", "scrypt$1024$4$3$64", "bcrypt$5", "bcrypt",
}

// TestGiteaItself: Gitea's own code takes the values that we make, for their password alone, and we take those that it
// makes.
func TestGiteaItself(t *testing.T) {
	g, s := buildGitea(t), find(t, "gitea")
	const secret, other = `pässwörd € q'uo"te $x %s \n`, `pässwörd € q'uo"te $x %s \nx`
	made := g.make(t, secret)
	for _, value := range made {
		for typed, want := range map[string]bool{secret: true, other: false} {
			if fits, err := s.Verify(value, []byte(typed), "admin"); fits != want || err != nil {
				t.Errorf("Gitea's %q with %q: %v, %v", value, typed, fits, err)
			}
		}
	}
	var cases []giteaCase
	for _, like := range append([]string{""}, made...) {
		value, err := s.Make([]byte(secret), "admin", like, cheap["gitea"])
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := Split(value, 3)
		for _, typed := range []string{secret, other} {
			cases = append(cases, giteaCase{columns[0], columns[1], columns[2], typed})
		}
	}
	for i, a := range g.ask(t, cases) {
		if want := cases[i].Secret == secret; a.Fits != want {
			t.Errorf("Gitea says %v to %+v", a.Fits, cases[i])
		}
	}
}
