package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// run runs an action in the visitor's window.
func run[T any](v *Visitor, action chromedp.Action[T]) T {
	v.tb.Helper()
	ctx, cancel := context.WithTimeout(v.context, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		v.Fatalf("%v", err)
	}
	return result
}

// call sends the window a command of the DevTools protocol.
func call[P, R any](v *Visitor, command cdp.Command[P, R], parameters P) R {
	v.tb.Helper()
	ctx, cancel := context.WithTimeout(v.context, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, parameters)
	if err != nil {
		v.Fatalf("%v", err)
	}
	return result
}

// eval evaluates an expression as the browser's developer tools do, whether or not pages may run scripts.
func eval[T any](v *Visitor, expression string) T {
	v.tb.Helper()
	return run(v, chromedp.Evaluate[T](expression))
}
