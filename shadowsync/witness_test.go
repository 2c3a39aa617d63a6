package shadowsync

import (
	"testing"
	"time"
)

// Root set an old value again while the news of the application's own rewriting still waited: what
// counts is the writer of the content that is read, not of the content that was noticed.
func TestWitnessOfWhatIsRead(t *testing.T) {
	for _, writer := range []Writer{WriterApplication, WriterOther} {
		w := newWorld().start(t)
		w.os["admin"] = cred(hashNew)
		w.reconcile(t, Request{})
		w.os["admin"] = cred(hashBase)
		r := w.reconciler()
		r.Witness = func() (Origin, Writer) { return Origin{SeenBy: SeenByWatch, Program: "usermod"}, writer }
		stale := Request{Origin: Origin{At: epoch, SeenBy: SeenByWatch}, Evidence: Evidence{Writer: WriterApplication}}
		if writer == WriterApplication {
			stale.Evidence.Writer = WriterOther
		}
		if _, err := r.Reconcile(t.Context(), stale); err != nil {
			t.Fatal(err)
		}
		want := map[Writer]string{WriterApplication: hashNew, WriterOther: hashBase}[writer]
		w.both(t, "admin", want)
		if o := w.events[len(w.events)-1].Origin; o.Program != "usermod" || !o.At.Equal(epoch) {
			t.Errorf("the audit names %+v", o)
		}
	}
}

// A settle time from before the machine was off must not make a person's change look like the
// application's.
func TestSettlingEndsWithTheBoot(t *testing.T) {
	for _, c := range []struct {
		until    time.Time
		atBoot   bool
		settling bool
	}{
		{epoch.Add(time.Minute), false, true},
		{epoch.Add(time.Minute), true, false},
		{epoch.Add(-time.Minute), false, false},
		{},
	} {
		w := newWorld()
		r := w.reconciler()
		v := view{memory: Memory{Settle: c.until}}
		if got := r.input(v, Request{Evidence: Evidence{AtBoot: c.atBoot}}, "admin").Evidence.Settling; got != c.settling {
			t.Errorf("%+v: settling %v", c, got)
		}
	}
}

// passwd -e right after a start, with the writer unknown
func TestExpiredWhileSettling(t *testing.T) {
	w := newWorld().start(t)
	expired := cred(hashBase)
	expired.LastChange, expired.MustChange = NoDay, true
	w.os["admin"] = expired
	report, _ := w.reconcile(t, Request{Evidence: Evidence{Settling: true}})
	if !w.os["admin"].MustChange {
		t.Errorf("the wish for a new password was undone: %+v", report.Outcomes)
	}
}
