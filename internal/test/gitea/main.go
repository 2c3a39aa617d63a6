// Command gitea verifies and makes hashes by Gitea's own code, for a test of the scheme "gitea". It is a module of its
// own, because Gitea is a dependency of that test alone.
//
// It reads cases in JSON, one after the other, and answers each: whether the secret fits the hash, or, for a case without
// a hash, with the hash that Gitea makes.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"code.gitea.io/gitea/modules/auth/password/hash"
)

// A request is the three columns of an account, and a clear text.
type request struct{ Algorithm, Salt, Hash, Secret string }

type answer struct {
	Fits bool
	Hash string
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gitea:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q request
		err := questions.Decode(&q)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read a case: %w", err)
		}
		a, err := reply(q)
		if err == nil {
			err = answers.Encode(a)
		}
		if err != nil {
			return fmt.Errorf("cannot answer for %q: %w", q.Algorithm, err)
		}
	}
}

func reply(q request) (a answer, err error) {
	algorithm := hash.Parse(q.Algorithm)
	switch {
	case algorithm == nil:
		return a, errors.New("no algorithm of Gitea has that name")
	case q.Hash == "":
		a.Hash, err = algorithm.Hash(q.Secret, q.Salt)
	default:
		a.Fits = algorithm.VerifyPassword(q.Secret, q.Hash, q.Salt)
	}
	return a, err
}
