package kube

import (
	"fmt"
	"testing"
	"time"
)

// TestWritesPerSecond verifies that the rate limit counts the requests of all kinds together.
func TestWritesPerSecond(t *testing.T) {
	t.Parallel()
	const ns, services, rate = "rate", 30, 20
	b := newFakeState(ns)
	for n := range services {
		b.set(fmt.Sprint("web-", n), map[string]string{"1": "v1"})
	}
	began := time.Now()
	r := start(t, b, func(o *Options) { o.WritesPerSecond = rate })
	r.waitReady(t)
	// The requests of one second may go at once.
	if took, least := time.Since(began), (2*services/rate-1)*time.Second; took < least {
		t.Errorf("%d objects were written in %s, expected at least %s", 2*services, took, least)
	}
}
