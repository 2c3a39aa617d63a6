package shadowsync

import (
	"context"
	"errors"
	"maps"
	"runtime"
)

// startAsking puts a question to the store, so that its worker starts and reads the file while the
// caller goes on. The returned function waits for the answer.
func startAsking[T any](question func() (T, error)) func() (T, error) {
	type reply struct {
		answer T
		err    error
	}
	given := make(chan reply, 1)
	go func() {
		var r reply
		r.answer, r.err = question()
		given <- r
	}()
	runtime.Gosched() // otherwise the question would be sent only when the caller blocks
	return func() (T, error) {
		r := <-given
		return r.answer, r.err
	}
}

// view is what was read at the beginning of a round.
type view struct {
	names  []string // the accounts that were looked at
	memory Memory
	os     OSSnapshot
	store  StoreSnapshot
	fault  *StoreFault
	caps   Capabilities
	wrote  witness
	lent   lendable
}

// look reads what is known about these accounts; without names, about all. early is a reading of the
// store to use if it still can be; nil: none.
func (r *Reconciler) look(ctx context.Context, names []string, early *earlyRead) (view, error) {
	if len(names) == 0 {
		names = r.Application.Accounts
	}
	v := view{names: names, caps: r.Store.Capabilities()}
	read := func() (StoreSnapshot, error) { return r.Store.Read(ctx, names) }
	if early == nil {
		read = startAsking(read)
	}
	err := r.lookHere(ctx, &v)
	if err == nil && early.stands(v.memory) {
		read = func() (StoreSnapshot, error) { return early.snapshot, nil }
	}
	snapshot, failed := read()
	v.store, v.fault = snapshot, faultOf(failed)
	if err != nil {
		return v, err
	}
	return v, r.recall(ctx, &v)
}

// lookHere reads the state and the OS side, which need no worker.
func (r *Reconciler) lookHere(ctx context.Context, v *view) (err error) {
	if v.memory, err = r.State.Survey(ctx, r.Application.Name, v.names); err != nil {
		return err
	}
	if v.lent, err = r.lendable(ctx, v.names); err != nil {
		return err
	}
	if v.os, err = r.Accounts.Read(ctx, v.names); err == nil && r.Witness != nil {
		v.wrote.origin, v.wrote.writer = r.Witness()
	}
	return err
}

// recall completes the memory of the accounts that moved. For all others the past is not needed,
// and there may be a hundred thousand of them.
func (r *Reconciler) recall(ctx context.Context, v *view) error {
	if v.memory.Whole {
		return nil
	}
	var moved []string
	for _, name := range v.names {
		if in := r.input(*v, Request{}, name); in.moved() {
			moved = append(moved, name)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	memory, err := r.State.Load(ctx, r.Application.Name, moved)
	maps.Copy(v.memory.Accounts, memory.Accounts)
	return err
}

// faultOf says what a store's error means for the accounts.
func faultOf(err error) *StoreFault {
	if err == nil {
		return nil
	}
	return &StoreFault{Reason: "store: " + Cause(err), Malformed: errors.Is(err, ErrMalformed)}
}

// Cause returns the innermost text of an error, which is what a person wants to read in passwd; the
// whole chain goes to the journal.
func Cause(err error) string {
	for {
		next := errors.Unwrap(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			next = many.Unwrap()[len(many.Unwrap())-1]
		}
		if next == nil || next == ErrUnavailable || next == ErrMalformed { //nolint:errorlint // one link of the chain is asked, not all
			return err.Error()
		}
		err = next
	}
}

// witness says who wrote the content that was just read. What was noticed earlier may have been an
// older content by another writer, and the writer decides whether an old value is a wish. If the
// content changes after the reading, the writes' compare-and-swap fails.
type witness struct {
	origin Origin
	writer Writer
}

// complete adds the witness to what a request says.
func (w witness) complete(req Request) Request {
	if w.writer == WriterUnknown {
		return req
	}
	req.Evidence.Writer = w.writer
	if req.Origin.SeenBy == SeenByWatch {
		w.origin.At = req.Origin.At
		req.Origin = w.origin
	}
	return req
}
