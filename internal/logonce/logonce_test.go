package logonce

import "testing"

func TestEachTransitionIsReportedOnce(t *testing.T) {
	var c Condition
	steps := []struct {
		name string
		do   func() bool
		want bool
	}{
		{"end before begin", c.End, false},
		{"begin", c.Begin, true},
		{"begin again", c.Begin, false},
		{"active", c.Active, true},
		{"end", c.End, true},
		{"end again", c.End, false},
		{"inactive", c.Active, false},
	}
	for _, step := range steps {
		if got := step.do(); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}
