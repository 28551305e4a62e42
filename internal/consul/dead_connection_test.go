package consul

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// link forwards TCP connections until it goes dead. Then the bytes of existing connections vanish, and neither side learns
// that the other side closed. A firewall that loses its connection table behaves like this.
type link struct {
	net.Listener
	target string
	group  sync.WaitGroup

	mu    sync.Mutex
	dead  *atomic.Bool
	conns []net.Conn
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{Listener: listener, target: target, dead: &atomic.Bool{}}
	l.group.Go(l.serve)
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		for _, c := range l.conns {
			c.Close()
		}
		l.mu.Unlock()
		l.group.Wait()
	})
	return l
}

func (l *link) serve() {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target)
		if err != nil {
			near.Close()
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, near, far)
		dead := l.dead
		l.mu.Unlock()
		l.group.Go(func() { pump(near, far, dead) })
		l.group.Go(func() { pump(far, near, dead) })
	}
}

func pump(from, to net.Conn, dead *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !dead.Load() {
			_, _ = to.Write(buffer[:n]) // a failed write also shows as a failed read
		}
		if err != nil {
			break
		}
	}
	if !dead.Load() {
		to.Close()
	}
}

// die makes the existing connections dead. The link still forwards new connections.
func (l *link) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead.Store(true)
	l.dead = &atomic.Bool{}
}
