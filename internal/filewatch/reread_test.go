package filewatch

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What is broken for a moment is not told, what stays broken is; the old content stands.
func TestBrokenFileIsToldWhenItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var next string
		var fails error
		m := Loader[string]{
			Used: "old", Use: func(string) error { return nil },
			Read: func() (string, error) { return next, fails },
		}
		fails = errors.New("it is empty")
		for step, want := range []string{"", "", "it is empty", "it is empty"} {
			if changed, err := m.Look(); changed || (err == nil) != (want == "") || err != nil && err.Error() != want {
				t.Errorf("step %d: %v, %v", step, changed, err)
			}
			time.Sleep(brokenFor / 2)
		}
		next, fails = "new", nil
		if changed, err := m.Look(); !changed || err != nil || m.Used != "new" {
			t.Errorf("mended: %v, %v", changed, err)
		}
		fails = errors.New("gone")
		if changed, err := m.Look(); changed || err != nil {
			t.Errorf("broken anew: %v, %v", changed, err)
		}
	})
}
