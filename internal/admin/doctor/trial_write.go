package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// swaps offers the store a write that expects another value than the present one. It wants the present
// value, so that even a store that takes it loses nothing.
func (t *attempt) swaps(ctx context.Context) bool {
	if t.driver.Traits.Blind {
		return true
	}
	name := slices.Sorted(maps.Keys(t.held))[0]
	w := shadowsync.Write{Name: name, Expect: t.held[name], Want: t.held[name]}
	w.Expect.Hash += "x"
	left, err := t.store.Write(ctx, []shadowsync.Write{w})
	switch {
	case err != nil:
		return t.say("compare", t.explain(err))
	case !errors.Is(left[name], shadowsync.ErrChanged):
		return t.say("compare", fail("the store takes a write for %s that expects another value: a change of the application's could be lost", name).
			person("look whether its statements compare the old value", "editor "+t.File))
	}
	return t.say("compare", pass("a write that expects another value is refused"))
}

// writes writes every account as it is, or the account of the trial anew and back.
func (t *attempt) writes(ctx context.Context) bool {
	if t.Account == "" {
		with := maps.Clone(t.held)
		maps.DeleteFunc(with, func(_ string, c shadowsync.Credential) bool { return t.store.Capabilities().Opaque() && c.Hash == "" })
		if len(with) == 0 {
			return true // no value to write: the application has set none yet
		}
		return t.put(ctx, "write", with, with, plural.Count(len(with), "account")+" written as found")
	}
	anew, err := t.another(t.held[t.Account])
	if err != nil {
		return t.say("write", fail("cannot make a value for %s: %v", t.Account, err))
	}
	changed := map[string]shadowsync.Credential{t.Account: anew}
	written := t.put(ctx, "write", t.held, changed, t.Account+" has a new value")
	// Also after a failure, such as a value that a column cuts off, and after a Ctrl-C: nobody knows the
	// new password.
	ctx = context.WithoutCancel(ctx)
	now := changed
	if snapshot, err := t.store.Read(ctx, t.names()); err == nil {
		now = map[string]shadowsync.Credential{t.Account: snapshot.Accounts[t.Account].Credential}
	}
	if shadowsync.Equal(now[t.Account], t.held[t.Account], t.store.Capabilities().Fields) {
		return false // it was not written
	}
	return t.put(ctx, "put back", now, t.held, t.Account+" has its old value again") && written
}

// another is a credential with the hash of a random password, which nobody learns.
func (t *attempt) another(c shadowsync.Credential) (shadowsync.Credential, error) {
	secret := []byte(rand.Text())
	defer clear(secret)
	of := t.store.Capabilities()
	if !of.Opaque() {
		method, err := crypt.MethodOfSystem(t.Root)
		if like := format.Identify(c.Hash); like != format.Unknown {
			method, err = crypt.Method{Format: like}, nil
		}
		if err == nil {
			c.Hash, err = method.Generate(secret)
		}
		return c, err
	}
	hash, err := proof.For(of, t.Account, c.Hash).Hash(secret)
	c.Hash = hash
	return c, err
}

// put writes credentials and reads them back from the store.
func (t *attempt) put(ctx context.Context, step string, from, to map[string]shadowsync.Credential, done string) bool {
	var writes []shadowsync.Write
	names := slices.Sorted(maps.Keys(to))
	for _, name := range names {
		writes = append(writes, shadowsync.Write{Name: name, Expect: from[name], Want: to[name]})
	}
	left, err := t.store.Write(ctx, writes)
	if err != nil {
		return t.say(step, t.explain(err))
	}
	for _, name := range names {
		if why := left[name]; why != nil {
			return t.say(step, t.refused(name, why))
		}
	}
	snapshot, err := t.store.Read(ctx, names)
	if err != nil {
		return t.say(step, t.explain(fmt.Errorf("written, and then: %w", err)))
	}
	var other []string
	for _, name := range names {
		if !shadowsync.Equal(snapshot.Accounts[name].Credential, to[name], t.store.Capabilities().Fields) {
			other = append(other, name)
		}
	}
	if len(other) > 0 {
		return t.say(step, fail("written, and read back as another value: %s", strings.Join(other, ", ")).
			person("look whether the application changes it, or a column cuts it off", "shadowsync status"))
	}
	return t.say(step, pass("%s, and read back", done))
}

// refused says why one account was left.
func (t *attempt) refused(name string, why error) verdict {
	v := fail("%s is not written: %v", name, why)
	switch {
	case errors.Is(why, shadowsync.ErrChanged): // the application wrote meanwhile
		return v.by("shadowsync store test "+t.holder.Name, nil)
	case strings.Contains(why.Error(), sqldb.SaysTooLong):
		return v.person(`make the column longer, or set a "scheme" or "formats" with shorter values, as the application reads them`, "editor "+t.File)
	}
	return v.by("editor "+t.File, nil)
}

// reloads looks whether the server can be told to read its store again. With an account of the trial's, it
// is told.
func (t *attempt) reloads(ctx context.Context) bool {
	name := t.options.ReloadUnit
	if name == "" || !inroot.Live(t.Root) {
		return true
	}
	v := t.reloadable(ctx, name)
	if v.state == OK && t.Account != "" {
		if err := t.bus.ReloadUnit(ctx, name, t.driver.PauseBeforeReload(t.options)); err != nil {
			v = fail("cannot reload %s: %v", name, err).by("systemctl status "+name, nil)
		} else {
			v = pass("%s was reloaded", name)
		}
	}
	return t.say("reload", v)
}

func (t *attempt) reloadable(ctx context.Context, name string) verdict {
	v := assessReload(ctx, t.bus, t.holder.Name, t.options, t.File)
	if v.state == OK && v.detail == "" {
		v = pass("%s can be reloaded", name)
	}
	return v
}
