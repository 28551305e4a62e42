package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

func TestGuardOptions(t *testing.T) {
	for content, want := range map[string]guard.Options{
		"": {Window: time.Minute, Instances: 0.5, Services: 0.1, FewInstances: 10, FewServices: 2},
		"guard: {window: 10m, instancesPercent: 20, servicesPercent: 0, fewInstances: 0, fewServices: 0, separateAfter: 30m, releaseAfter: 1h}": {
			Window: 10 * time.Minute, Instances: 0.2, SeparateAfter: 30 * time.Minute, ReleaseAfter: time.Hour,
		},
		"guard: {enabled: false}": {},
	} {
		c, err := Parse([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Guard.Options()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
}

// TestSeparateAfter verifies that the time isn't shorter than the window.
func TestSeparateAfter(t *testing.T) {
	_, err := Parse([]byte("guard: {window: 2m, separateAfter: 90s}"))
	if want := "guard.separateAfter: 1m30s is less than guard.window (2m); 0 means ten windows"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestWrongGuard(t *testing.T) {
	_, err := Parse([]byte("guard: {window: 0s, instancesPercent: 101, servicesPercent: -1, fewInstances: -1, fewServices: -2, releaseAfter: -1s}"))
	want := []string{
		"guard.window: 0s is less than 1s; to disable the guard, set guard.enabled to false",
		"guard.instancesPercent: 101 is not within 0 and 100",
		"guard.servicesPercent: -1 is negative",
		"guard.fewInstances: -1 is negative",
		"guard.fewServices: -2 is negative",
		"guard.releaseAfter: -1s is negative; 0 means no limit",
	}
	if err == nil {
		t.Fatal("it is taken")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
