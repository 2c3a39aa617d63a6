package web_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// A profile page of the appliance's own GUI changes the password of whoever is signed in there. The session is
// the daemon's: the browser has its token as a cookie, and the GUI keeps nothing. The program runs as a service
// account in the group shadowsync-web.
func Example() {
	ctx := context.Background()
	var client web.Client

	// The person signs in: the form has brought a name and a password.
	password, err := web.NewSecret([]byte("the old password"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer password.Close()
	signed, err := client.SignIn(ctx, web.SignIn{Name: "anna", Address: "192.0.2.7"}, password)
	if err == nil && signed.Next == web.NextCode {
		code, codeErr := web.NewSecret([]byte("123456"))
		if codeErr != nil {
			fmt.Println(codeErr)
			return
		}
		defer code.Close()
		signed, err = client.With(signed.Token).Code(ctx, code)
	}
	if err != nil {
		fmt.Println("not signed in:", err)
		return
	}

	// Later, from the profile page: the token comes from the cookie.
	fresh, err := web.NewSecret([]byte("the new password"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fresh.Close()
	result, err := client.With(signed.Token).SetPassword(ctx, password, fresh)
	var refusal *web.Error
	switch {
	case errors.Is(err, web.ErrUnknownOutcome):
		fmt.Println("sign in again to see which password holds")
	case errors.As(err, &refusal) && refusal.Kind == web.Policy:
		fmt.Println("choose another one:", refusal.Text)
	case err != nil:
		fmt.Println("not changed:", err)
	default:
		fmt.Println("changed; sign in again", result.Notes) // every session has ended, this one too
	}
}
