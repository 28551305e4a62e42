package kube

import (
	"fmt"
	"testing"
	"time"
)

// TestWritesPerSecond holds that the bound of requests counts those of all kinds together.
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
	// A second's worth may go at once.
	if took, least := time.Since(began), (2*services/rate-1)*time.Second; took < least {
		t.Errorf("%d objects were written in %s, expected at least %s", 2*services, took, least)
	}
}
