package dns

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"github.com/dchest/siphash"
	"github.com/miekg/dns"
)

const (
	clientCookieSize = 8
	serverCookieSize = 16
	maxCookieSize    = 40 // RFC 7873, 4
	// cookieAge and cookieAhead limit the time stamp of a valid cookie (RFC 9018, 4.3).
	cookieAge   = time.Hour
	cookieAhead = 5 * time.Minute
	// secretAge is how long a secret makes cookies. It exceeds cookieAge, so two secrets verify every valid cookie.
	secretAge = 24 * time.Hour
)

// cookieState is the result of the check of a DNS cookie.
type cookieState int

const (
	noCookie cookieState = iota
	// newClient is a client cookie without a valid server cookie. The address of the client can be forged.
	newClient
	// validCookie proves that the client receives the answers to its address.
	validCookie
	malformedCookie
)

// cookies makes and verifies DNS cookies (RFC 7873) of the version 1 (RFC 9018). Each process has its own secrets.
type cookies struct {
	// now is a clock. Its time is never set back, so a clock that jumps does not invalidate cookies.
	now func() time.Time

	// mu guards the fields below. No other lock is taken while it is held.
	mu     sync.Mutex
	secret [16]byte
	// previous is the secret before the last change.
	previous [16]byte
	changed  time.Time
}

func newCookies() *cookies {
	start := time.Now()
	c := &cookies{now: func() time.Time { return start.Add(time.Since(start)) }, changed: start}
	_, _ = rand.Read(c.secret[:]) // never fails
	_, _ = rand.Read(c.previous[:])
	return c
}

// check verifies the cookie of a query and returns the option for the reply; nil if the query has no valid client cookie.
func (c *cookies) check(query *dns.Msg, client netip.Addr) (cookieState, *dns.EDNS0_COOKIE) {
	raw, ok := cookieOf(query)
	switch {
	case !ok:
		return noCookie, nil
	case len(raw) != clientCookieSize && (len(raw) < 2*clientCookieSize || len(raw) > maxCookieSize):
		return malformedCookie, nil
	}
	now := c.now()
	secret, previous := c.secrets(now)
	state, request := newClient, raw[:clientCookieSize]
	if shown := raw[clientCookieSize:]; len(shown) == serverCookieSize {
		at := time.Unix(int64(binary.BigEndian.Uint32(shown[4:])), 0)
		recent := now.Sub(at) <= cookieAge && at.Sub(now) <= cookieAhead
		for _, s := range [][16]byte{secret, previous} {
			if recent && subtle.ConstantTimeCompare(shown, serverCookie(request, at, client, s)) == 1 {
				state = validCookie
			}
		}
	}
	reply := hex.EncodeToString(append(request[:clientCookieSize:clientCookieSize], serverCookie(request, now, client, secret)...))
	return state, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: reply}
}

// secrets returns the current secret and the one before, and changes them when it is time.
func (c *cookies) secrets(now time.Time) (secret, previous [16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.changed) > secretAge {
		c.previous, c.changed = c.secret, now
		_, _ = rand.Read(c.secret[:]) // never fails
	}
	return c.secret, c.previous
}

// serverCookie makes the server cookie of a client: version, time stamp and hash (RFC 9018, 4).
func serverCookie(request []byte, at time.Time, client netip.Addr, secret [16]byte) []byte {
	cookie := make([]byte, 8, serverCookieSize)
	cookie[0] = 1
	binary.BigEndian.PutUint32(cookie[4:], uint32(at.Unix()))
	input := append(append(append(make([]byte, 0, 32), request...), cookie...), client.Unmap().AsSlice()...)
	hash := siphash.Hash(binary.LittleEndian.Uint64(secret[:8]), binary.LittleEndian.Uint64(secret[8:]), input)
	return binary.LittleEndian.AppendUint64(cookie, hash)
}

// cookieOf returns the first cookie of a query (RFC 7873, 5.2).
func cookieOf(query *dns.Msg) ([]byte, bool) {
	edns := query.IsEdns0()
	if edns == nil {
		return nil, false
	}
	for _, option := range edns.Option {
		if cookie, ok := option.(*dns.EDNS0_COOKIE); ok {
			raw, _ := hex.DecodeString(cookie.Cookie) // the library made it from bytes
			return raw, true
		}
	}
	return nil, false
}
