package e2e

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// wire forwards connections to a server and counts the bytes of both directions.
type wire struct {
	address string
	bytes   atomic.Int64
}

func startWire(t *testing.T, to string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: listener.Addr().String()}
	var (
		open  sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	open.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, from, onward)
			mu.Unlock()
			open.Go(func() { w.pass(from, onward) })
			open.Go(func() { w.pass(onward, from) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return w
}

func (w *wire) pass(to, from net.Conn) {
	defer to.Close()
	_, _ = io.Copy(to, io.TeeReader(from, w)) // either side may close at any time
}

// Write implements io.Writer and counts the bytes.
func (w *wire) Write(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	return len(p), nil
}
