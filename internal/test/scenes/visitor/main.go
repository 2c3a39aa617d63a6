// Visitor stands for a page on a test machine: it asks on web.sock what a page would ask, and prints the answer
// as JSON. Passwords and codes are lines of standard input, in the order of the request.
//
//	visitor sign-in NAME ADDRESS
//	visitor OPERATION TOKEN [USER]     the operations of the package shadowsync/web
//	visitor set-mail TOKEN ADDRESS
//	visitor guess SECONDS THREADS NAME ADDRESS   sign in with wrong passwords; prints how often each kind of answer came
//
// A refusal is printed as "KIND: TEXT", with exit status 1. PROOF=code in the environment: the proof is a code.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: visitor OPERATION ...")
		os.Exit(2)
	}
	result, err := visit(ctx, os.Args[1], append(os.Args[2:], "", "", "", ""))
	var told *web.Error
	switch {
	case errors.As(err, &told) && errors.Is(err, web.ErrUnknownOutcome):
		fmt.Printf("unknown: %s\n", told.Text)
		os.Exit(1)
	case errors.As(err, &told):
		fmt.Printf("%s: %s\n", told.Kind, told.Text)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	out, err := json.Marshal(result)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(string(out))
}

var input = bufio.NewReader(os.Stdin)

// typed is the next line of standard input; nil: there is none.
func typed() *web.Secret {
	line, err := input.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil
	}
	secret, err := web.NewSecret(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return secret
}

func shown() web.Shown { return web.Shown{By: proofBy(), Secret: typed()} }

func proofBy() web.Proof {
	if os.Getenv("PROOF") == "code" {
		return web.ByCode
	}
	return web.ByPassword
}

func visit(ctx context.Context, op string, args []string) (any, error) {
	l, user := web.Client{}.With(args[0]), args[1]
	switch web.Op(op) {
	case "guess":
		return guess(args)
	case web.OpSettings:
		return web.Client{}.Settings(ctx)
	case web.OpSignIn:
		return web.Client{}.SignIn(ctx, web.SignIn{Name: args[0], Address: args[1]}, typed())
	case web.OpCode:
		return l.Code(ctx, typed())
	case web.OpLost:
		return l.Lost(ctx)
	case web.OpRegain:
		return l.Regain(ctx, typed())
	case web.OpEnrol:
		return l.Enrol(ctx, shown(), typed())
	case web.OpConfirm:
		return l.Confirm(ctx, typed())
	case web.OpWho:
		return l.Who(ctx)
	case web.OpSignOut:
		return nil, l.SignOut(ctx)
	case web.OpSetPassword:
		return l.SetPassword(ctx, typed(), typed())
	case web.OpRenewCodes:
		return l.RenewCodes(ctx, typed())
	case web.OpSetMail:
		return nil, l.SetMail(ctx, user, typed())
	}
	return administer(ctx, l, web.Op(op), user)
}

func administer(ctx context.Context, l web.Login, op web.Op, user string) (any, error) {
	switch op {
	case web.OpSessions:
		return l.Sessions(ctx, user)
	case web.OpActivity:
		return l.Activity(ctx, user, web.Activity{})
	case web.OpUsers:
		return l.Users(ctx)
	case web.OpSync:
		return l.Sync(ctx)
	case web.OpEndSessions:
		return l.EndSessions(ctx, user, shown())
	case web.OpLock:
		return l.Lock(ctx, user, shown())
	case web.OpUnlock:
		return l.Unlock(ctx, user, shown())
	case web.OpExpire:
		return l.Expire(ctx, user, shown())
	case web.OpResetPassword:
		return l.ResetPassword(ctx, user, shown(), typed())
	case web.OpReset2FA:
		return l.Reset2FA(ctx, user, typed())
	}
	return nil, fmt.Errorf("there is no operation %q", op)
}

// guess signs in with wrong passwords, as fast as it is answered.
func guess(args []string) (map[web.Kind]int, error) {
	seconds, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, err
	}
	threads, err := strconv.Atoi(args[1])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	var mu sync.Mutex
	answers := map[web.Kind]int{}
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			for ctx.Err() == nil {
				kind := wrong(ctx, args[2], args[3])
				mu.Lock()
				answers[kind]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return answers, nil
}

func wrong(ctx context.Context, name, address string) web.Kind {
	secret, err := web.NewSecret([]byte("Wrong-guess-1"))
	if err != nil {
		return "none"
	}
	defer secret.Close()
	_, err = web.Client{}.SignIn(ctx, web.SignIn{Name: name, Address: address}, secret)
	var told *web.Error
	if errors.As(err, &told) {
		return told.Kind
	}
	return "none"
}
