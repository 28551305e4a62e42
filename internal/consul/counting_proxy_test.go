package consul

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay forwards connections to a server. It counts the connections and the bytes that come back.
type relay struct {
	net.Listener
	target string
	group  sync.WaitGroup

	mu        sync.Mutex
	open      map[net.Conn]bool
	now, most int
	bytes     int64
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener, target: target, open: map[net.Conn]bool{}}
	r.group.Go(r.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		r.cut()
		r.group.Wait()
	})
	return r
}

func (r *relay) address() string { return r.Addr().String() }

func (r *relay) serve() {
	for {
		conn, err := r.Accept()
		if err != nil {
			return
		}
		r.group.Go(func() { r.pass(conn) })
	}
}

func (r *relay) pass(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	r.count(conn, 1)
	defer r.count(conn, -1)
	var group sync.WaitGroup
	group.Go(func() {
		_, _ = io.Copy(server, conn)
		_ = server.Close()
	})
	_, _ = io.Copy(conn, &counted{server, r})
	_ = conn.Close()
	group.Wait()
}

func (r *relay) count(conn net.Conn, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now += by
	r.most = max(r.most, r.now)
	if by > 0 {
		r.open[conn] = true
	} else {
		delete(r.open, conn)
	}
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.open {
		_ = conn.Close()
	}
}

// state returns the maximum number of concurrent connections and the number of bytes that came back.
func (r *relay) state() (most int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most, r.bytes
}

// counted counts the bytes of its reads.
type counted struct {
	io.Reader
	relay *relay
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.relay.mu.Lock()
	c.relay.bytes += int64(n)
	c.relay.mu.Unlock()
	return n, err
}
