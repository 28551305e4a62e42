// Package connlimit limits the connections of a server, per client and in total, so that one client cannot exhaust the
// connections or file descriptors that other clients need.
//
// A client is an IPv4 address or an IPv6 network of 64 bits. A connection is pending until the server marks it as
// established. At a limit, a new connection replaces another one, or is closed if there is none that it may replace:
//
//	limit reached   connection that is closed
//	─────────────   ──────────────────────────────────────────────────────────────────────────────────────────
//	per client      the oldest pending connection of the client, if it is older than a second,
//	                else the new one
//	total           a pending connection of the client with the most pending connections: the oldest one,
//	                else the newest established connection of the client with the most connections,
//	                else the new one
//
// At the total limit, only a client with at least two connections more than the client of the new one loses a connection,
// or one with one more whose pending connection is older than a second. Therefore a client with few connections is served
// however many connections others hold, a new connection has a second to be served, and clients with equally many
// connections do not displace each other all the time.
package connlimit

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Limits bound the connections of a server.
type Limits struct {
	// Total is the number of open connections. New reduces it to a share of the file descriptors of the process.
	Total int
	// PerClient is the number of open connections of one client. It is at most half of Total.
	PerClient int
	// WriteTimeout is how long one write may take. 0 means no limit.
	WriteTimeout time.Duration
	// MaxAge closes a connection on the first read after this time. 0 means no limit.
	MaxAge time.Duration
}

// Options configure a Listener.
type Options struct {
	Limits
	// Name is the name of the server in the log.
	Name    string
	Log     *slog.Logger
	Metrics *Metrics
}

const (
	// logInterval is the shortest time between two log lines about the limits of one server.
	logInterval = time.Minute
	// serviceTime is the time that a connection has to be served before connections of the same client replace it.
	serviceTime = time.Second
	// acceptRetry is how long Accept waits when the process has no file descriptor left.
	acceptRetry = 50 * time.Millisecond
)

// Listener is a net.Listener with limits. Use New to create one.
type Listener struct {
	net.Listener
	options Options
	closed  chan struct{}
	close   func()

	// mu guards the fields below. It is a leaf: no other lock is acquired, and no connection is closed, while it is held.
	mu sync.Mutex
	// clients holds the open connections of each client, oldest first.
	clients map[netip.Prefix][]*conn
	// total is the number of open connections.
	total int
	// loggedAt is the time of the latest log line about the limits.
	loggedAt time.Time
}

// New returns a listener that accepts connections from another one within limits.
func New(listener net.Listener, options Options) *Listener {
	options.Limits = options.Limits.withinDescriptors(maxDescriptors())
	l := &Listener{
		Listener: listener, options: options, clients: map[netip.Prefix][]*conn{}, closed: make(chan struct{}),
	}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// withinDescriptors limits the connections of one server to an eighth of the file descriptors, because several servers, the
// connections to Consul and the outputs share the descriptors.
func (l Limits) withinDescriptors(descriptors int) Limits {
	l.Total = min(l.Total, max(descriptors/8, 8))
	l.PerClient = min(l.PerClient, max(l.Total/2, 1))
	return l
}

// Accept implements net.Listener. It waits for a connection that the limits admit.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		switch {
		case err == nil:
			c := &conn{Conn: accepted, listener: l, client: clientOf(accepted.RemoteAddr()), since: time.Now()}
			c.remove = sync.OnceFunc(func() { l.remove(c) })
			victim, reason := l.admit(c)
			if victim != nil {
				l.report(victim, reason)
				victim.abort()
			}
			if victim != c {
				return c, nil
			}
		case !isTemporary(err):
			return nil, err
		default:
			select {
			case <-l.closed:
				return nil, net.ErrClosed
			case <-time.After(acceptRetry):
			}
		}
	}
}

// Close implements net.Listener. It does not close accepted connections.
func (l *Listener) Close() error {
	l.close()
	return l.Listener.Close()
}

// Establish marks the connection from a remote address as established.
func (l *Listener) Establish(remote net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients[clientOf(remote)] {
		if c.RemoteAddr().String() == remote.String() {
			c.established = true
		}
	}
}

// admit adds a connection. If a limit is reached, it returns the connection to close, which may be the new one, and the
// limit.
func (l *Listener) admit(c *conn) (victim *conn, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.clients[c.client]
	switch {
	case len(own) >= l.options.PerClient:
		reason = clientLimit
		if oldest := oldestPending(own); oldest.isOld() {
			victim = oldest
		}
	case l.total >= l.options.Total:
		victim, reason = l.victimOfTotal(len(own)), totalLimit
	default:
		l.addLocked(c)
		return nil, ""
	}
	if victim == nil {
		return c, reason
	}
	l.removeLocked(victim)
	l.addLocked(c)
	return victim, reason
}

func (l *Listener) addLocked(c *conn) {
	l.clients[c.client] = append(l.clients[c.client], c)
	l.total++
	l.options.Metrics.Open.Set(float64(l.total))
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(c)
}

// removeLocked removes a connection, if it has not been removed before.
func (l *Listener) removeLocked(c *conn) {
	conns := l.clients[c.client]
	for i := range conns {
		if conns[i] != c {
			continue
		}
		if len(conns) == 1 {
			delete(l.clients, c.client)
		} else {
			l.clients[c.client] = append(conns[:i:i], conns[i+1:]...)
		}
		l.total--
		l.options.Metrics.Open.Set(float64(l.total))
		return
	}
}

// report counts and logs a connection that is closed because of a limit.
func (l *Listener) report(victim *conn, reason string) {
	l.options.Metrics.Closed.WithLabelValues(reason).Inc()
	l.mu.Lock()
	now := time.Now()
	due := now.Sub(l.loggedAt) >= logInterval
	if due {
		l.loggedAt = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	limit := l.options.Total
	if reason == clientLimit {
		limit = l.options.PerClient
	}
	l.options.Log.Warn("connection limit reached, closing a connection for each new one",
		"name", l.options.Name, "reason", reason, "limit", limit, "client", victim.RemoteAddr())
}

// isTemporary reports whether Accept can succeed later, for example when a file descriptor is free again.
func isTemporary(err error) bool {
	for _, temporary := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR,
	} {
		if errors.Is(err, temporary) {
			return true
		}
	}
	return false
}
