package sqlite

import "testing"

func TestRehearse(t *testing.T) {
	s, _ := fresh(t)
	before, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Rehearse(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := s.Revision(t.Context()); err != nil || after != before {
		t.Errorf("revision %q, %v; before %q", after, err, before)
	}
}
