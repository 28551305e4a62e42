// Package connlimittest has an abusive client for tests of servers with connection limits.
package connlimittest

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Connections returns the number of connections that an abusive client tries to hold: more than each limit, and 1,500 with
// "make test-adversarial".
func Connections() int {
	if adversarial() {
		return 1500
	}
	return 250
}

// patience is how long a request of an honest client may take. A shorter time needs a machine that does nothing else.
func patience() time.Duration {
	if adversarial() {
		return time.Second
	}
	return 10 * time.Second
}

func adversarial() bool { return os.Getenv("ADVERSARIAL") != "" }

// reopenAfter is how long the abusive client waits before it reopens a closed connection.
const reopenAfter = 2 * time.Second

// Dialer returns a dialer with a local address, so that a test can be several clients on loopback.
func Dialer(local string) *net.Dialer {
	return &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(local), 0)), Timeout: 30 * time.Second}
}

// Flood opens connections from a local address and reopens each one that the server closes, until the test ends. abuse uses
// a connection until it fails or ctx ends. Flood returns when each connection has been opened once.
func Flood(t testing.TB, local, server string, connections int, abuse func(ctx context.Context, c net.Conn)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { cancel(); group.Wait() })
	var opened atomic.Int64
	dialer := Dialer(local)
	for range connections {
		group.Go(func() {
			for first := true; ctx.Err() == nil; first = false {
				c, err := dialer.DialContext(ctx, "tcp", server)
				if first {
					opened.Add(1)
				}
				if err == nil {
					stop := context.AfterFunc(ctx, func() { _ = c.Close() })
					abuse(ctx, c)
					stop()
					_ = c.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(reopenAfter):
				}
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); opened.Load() < int64(connections); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("opened %d of %d connections", opened.Load(), connections)
		}
	}
}

// Hold keeps a connection open without sending anything.
func Hold(_ context.Context, c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

// Served verifies that a request of an honest client takes less than a second with "make test-adversarial", as the median
// of nine, and else less than ten. The requests are spread over a time in which the abusive client reopens its connections.
func Served(t testing.TB, request func() error) {
	t.Helper()
	var fast int
	var times []time.Duration
	for range 9 {
		time.Sleep(reopenAfter / 8)
		start := time.Now()
		if err := request(); err != nil {
			t.Errorf("after %s: %v", time.Since(start), err)
			continue
		}
		took := time.Since(start)
		if times = append(times, took); took < patience() {
			fast++
		}
	}
	if fast < 5 {
		t.Errorf("requests of an honest client took %v, want less than %s", times, patience())
	}
	t.Logf("requests of an honest client took %v", times)
}
