package connlimit

import (
	"io"
	"net"
	"net/netip"
	"time"
)

// conn is a connection of a Listener.
type conn struct {
	net.Conn
	listener *Listener
	client   netip.Prefix
	since    time.Time
	remove   func()
	// established is guarded by the mutex of the listener.
	established bool
}

// isOld reports whether a connection exists and has had its time to be served.
func (c *conn) isOld() bool { return c != nil && time.Since(c.since) > serviceTime }

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if age := c.listener.options.MaxAge; age > 0 && time.Since(c.since) > age {
		return 0, io.EOF
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if timeout := c.listener.options.WriteTimeout; timeout > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	defer c.remove()
	return c.Conn.Close()
}

// abort closes the connection and discards the data that was not sent, so that the kernel keeps nothing of it.
func (c *conn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the connection is closed in any case
	}
	_ = c.Close() // the client may have closed it before
}

// clientOf returns the client of an address.
func clientOf(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	client, _ := ip.Prefix(bits) // the number of bits fits the address
	return client
}
