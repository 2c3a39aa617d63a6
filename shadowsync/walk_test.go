package shadowsync

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// walker plays people, an application and accidents in any order, and knows the last wish.
type walker struct {
	*world
	t      *testing.T
	rand   *rand.Rand
	log    []string
	memory map[string]string // what the application remembers: account -> hash
	wish   map[string]string // what the last person wanted
	open   map[string]string // accounts that two people changed differently: a conflict is right
	settle bool
	down   bool // the daemon is down
	serial int
}

// TestWalk: after any events in any order, once everything runs again and has looked, both sides
// hold what the last person wanted, or a conflict says that two people wanted different things.
func TestWalk(t *testing.T) {
	walks := 5000
	if testing.Short() {
		walks = 300
	}
	for seed := range uint64(walks) {
		w := newWalker(t, seed)
		for range 25 {
			w.step()
		}
		w.rest()
	}
}

func newWalker(t *testing.T, seed uint64) *walker {
	w := &walker{
		world: newWorld().start(t), t: t, rand: rand.New(rand.NewPCG(seed, 1)),
		memory: map[string]string{}, wish: map[string]string{}, open: map[string]string{},
	}
	for name, c := range w.os {
		w.memory[name], w.wish[name] = c.Hash, c.Hash
	}
	w.log = append(w.log, fmt.Sprint("seed ", seed))
	return w
}

func (w *walker) step() {
	steps := []func(){
		w.passwd, w.usermod, w.chage, w.dump, w.startApplication, w.interfaceOfItsOwn,
		w.storeFails, w.storeReturns, w.daemonStops, w.daemonStarts, w.crash, w.timePasses,
	}
	steps[w.rand.IntN(len(steps))]()
	w.look(Evidence{Settling: w.settle})
}

func (w *walker) say(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *walker) someone() string { return []string{"admin", "user222"}[w.rand.IntN(2)] }

func (w *walker) hash() string {
	w.serial++
	return fmt.Sprintf("$6$h%d", w.serial)
}

// look is a look of the daemon, if it runs.
func (w *walker) look(e Evidence) {
	if !w.down {
		w.reconcile(w.t, Request{Evidence: e, Origin: Origin{SeenBy: SeenByWatch}})
		w.noteConflicts()
	}
}

func (w *walker) noteConflicts() {
	w.say("  os %s %s store %s %s", w.os["admin"].Hash, w.os["user222"].Hash, w.store["admin"].Hash, w.store["user222"].Hash)
	for name, m := range w.world.memory {
		if m.Open == nil || m.Open.State != Conflict {
			delete(w.open, name)
		}
	}
}

func (w *walker) passwd() {
	name, hash := w.someone(), w.hash()
	w.say("passwd %s %s", name, hash)
	w.os[name] = w.os[name].With(cred(hash), FieldsPassword)
	w.wish[name] = hash
	if !w.down {
		change := Change{Account: name, OS: w.os[name], Origin: Origin{At: epoch, SeenBy: SeenByPAM, UID: new(int)}}
		if _, err := w.reconciler().Announce(w.t.Context(), change); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	if w.personInStore(name) {
		w.open[name] = hash
	}
}

// personInStore reports whether the store holds a person's value that is not in sync yet.
func (w *walker) personInStore(name string) bool {
	m := w.world.memory[name]
	return m.Baseline != nil && w.store[name].Hash != m.Baseline.Store.Hash && strings.HasPrefix(w.store[name].Hash, "$6$ui")
}

func (w *walker) usermod() {
	name, hash := w.someone(), w.hash()
	w.say("usermod %s %s", name, hash)
	w.os[name] = w.os[name].With(cred(hash, today), FieldsPassword)
	w.wish[name] = hash
	if w.personInStore(name) {
		w.open[name] = hash
	}
	w.look(Evidence{Writer: WriterOther, Settling: w.settle})
}

func (w *walker) chage() {
	name := w.someone()
	w.say("chage %s", name)
	c := w.os[name]
	c.Max = Day(30 + w.rand.IntN(60))
	w.os[name] = c
	w.look(Evidence{Writer: WriterOther, Settling: w.settle})
}

// dump writes the application's memory over its store.
func (w *walker) dump() {
	if w.storeErr != nil {
		return
	}
	w.say("dump %v", w.memory)
	for name, hash := range w.memory {
		w.store[name] = held(cred(hash), w.fields)
	}
}

// startApplication reads the store, even if we cannot, and writes its content over the OS.
func (w *walker) startApplication() {
	w.hook(Evidence{Settling: w.settle})
	for name, c := range w.store {
		w.memory[name] = c.Hash
	}
	w.say("start %v", w.memory)
	for name, hash := range w.memory {
		w.os[name] = w.os[name].With(cred(hash, today), FieldsPassword)
	}
	w.settle = true
	writer := []Writer{WriterApplication, WriterUnknown}[w.rand.IntN(2)]
	w.look(Evidence{Writer: writer, Settling: true})
	w.hook(Evidence{Settling: true})
}

// hook looks in its own process, whether the daemon runs or not, and does not know the writer.
func (w *walker) hook(e Evidence) {
	w.reconcile(w.t, Request{Evidence: e, Origin: Origin{SeenBy: SeenByStart}})
	w.noteConflicts()
}

// interfaceOfItsOwn is a person who changes a password in the application.
func (w *walker) interfaceOfItsOwn() {
	name := w.someone()
	if w.storeErr != nil || w.world.memory[name].Open != nil || w.os[name].Hash != w.wish[name] || w.down {
		return // the application has not read a value set meanwhile, so the last wish is undefined
	}
	w.serial++
	hash := fmt.Sprintf("$6$ui%d", w.serial)
	w.say("interface %s %s", name, hash)
	w.memory[name], w.wish[name] = hash, hash
	w.store[name] = held(cred(hash), w.fields)
}

func (w *walker) storeFails() {
	w.say("store down")
	w.storeErr = ErrUnavailable
}

func (w *walker) storeReturns() {
	w.say("store up")
	w.storeErr = nil
}

func (w *walker) daemonStops() {
	w.say("daemon down")
	w.down = true
}

func (w *walker) daemonStarts() {
	w.say("daemon up")
	w.down = false
}

func (w *walker) crash() {
	if w.down {
		return
	}
	w.die = Steps[w.rand.IntN(len(Steps))]
	name, hash := w.someone(), w.hash()
	w.say("usermod %s %s, killed at %s", name, hash, w.die)
	w.os[name] = w.os[name].With(cred(hash, today), FieldsPassword)
	w.wish[name] = hash
	w.look(Evidence{Writer: WriterOther})
	w.die = ""
}

func (w *walker) timePasses() {
	w.say("settled")
	w.settle = false
}

// rest lets everything run, and checks who won.
func (w *walker) rest() {
	w.storeErr, w.down, w.settle = nil, false, false
	w.say("rest")
	w.look(Evidence{})
	w.look(Evidence{})
	for name, wish := range w.wish {
		os, store := w.os[name].Hash, w.store[name].Hash
		if open := w.world.memory[name].Open; open != nil && open.State == Conflict {
			if _, right := w.open[name]; right && (os == wish || store == wish) {
				continue
			}
		}
		if os != wish || store != wish {
			w.t.Fatalf("%s: the OS holds %q and the store %q, the last person wanted %q\nopen %+v\n%s",
				name, os, store, wish, w.world.memory[name].Open, strings.Join(w.log, "\n"))
		}
	}
	if len(w.guarded) > 0 || len(w.logouts) > 0 {
		w.t.Fatalf("left over: guard %v, logouts %v\n%s", w.guarded, w.logouts, strings.Join(w.log, "\n"))
	}
}
