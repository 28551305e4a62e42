package consul

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// benchSink records the delay until each change is seen.
type benchSink struct {
	mu     sync.Mutex
	synced bool
	// made holds the unseen changes of each service. newest holds the newest seen change.
	made   map[string]map[int]time.Time
	newest map[int]bool
	delays []time.Duration
}

func newBenchSink() *benchSink {
	return &benchSink{made: map[string]map[int]time.Time{}, newest: map[int]bool{}}
}

func (b *benchSink) expect(change int, service string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.made[service] == nil {
		b.made[service] = map[int]time.Time{}
	}
	b.made[service][change] = time.Now()
}

// Update implements catalog.Sink. A newer change of a service includes the older ones.
func (b *benchSink) Update(service catalog.Service, _ time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for change, at := range b.made[service.Name] {
		for _, i := range service.Instances {
			if n, _ := strconv.Atoi(i.Meta["n"]); n >= change {
				b.newest[change] = true
				b.delays = append(b.delays, time.Since(at))
				delete(b.made[service.Name], change)
			}
		}
	}
	if len(b.made[service.Name]) == 0 {
		delete(b.made, service.Name)
	}
}

// Synced implements catalog.Sink.
func (b *benchSink) Synced(string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.synced = true
}

func (b *benchSink) isSynced() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.synced }

func (b *benchSink) saw(change int) bool { b.mu.Lock(); defer b.mu.Unlock(); return b.newest[change] }

func (b *benchSink) sawAll() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.made) == 0 }

// late returns the delays since the previous call.
func (b *benchSink) late() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.delays
	b.delays = nil
	return d
}

// wire counts connections and the bytes they receive.
type wire struct{ now, most, bytes atomic.Int64 }

func (w *wire) count(t *http.Transport) *http.Transport {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if now := w.now.Add(1); now > w.most.Load() {
			w.most.Store(now)
		}
		return &wired{Conn: conn, wire: w}, nil
	}
	return t
}

type wired struct {
	net.Conn
	wire *wire
	once sync.Once
}

func (c *wired) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.bytes.Add(int64(n))
	return n, err
}

func (c *wired) Close() error {
	c.once.Do(func() { c.wire.now.Add(-1) })
	return c.Conn.Close()
}
