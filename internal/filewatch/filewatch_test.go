package filewatch

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestLastingFailureIsReported verifies that a short failure is not reported, that a lasting one is, and that the content
// in use stays during both.
func TestLastingFailureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var content string
		var failure error
		l := Loader[string]{
			Used: "old", Use: func(string) error { return nil },
			Read: func() (string, error) { return content, failure },
		}
		failure = errors.New("file is empty")
		for step, want := range []string{"", "", "file is empty", "file is empty"} {
			if changed, err := l.Poll(); changed || (err == nil) != (want == "") || err != nil && err.Error() != want {
				t.Errorf("poll %d: changed %v, error %v, want error %q", step, changed, err, want)
			}
			time.Sleep(writeTime / 2)
		}
		content, failure = "new", nil
		if changed, err := l.Poll(); !changed || err != nil || l.Used != "new" {
			t.Errorf("after the files are usable again: changed %v, error %v, content %q", changed, err, l.Used)
		}
		failure = errors.New("file is gone")
		if changed, err := l.Poll(); changed || err != nil {
			t.Errorf("at the start of the next failure: changed %v, error %v", changed, err)
		}
	})
}
