package dns_test

import (
	"context"
	"net"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/connlimit/connlimittest"
)

// TestFlood verifies that a client is answered over TCP within a second while another client holds all connections it can,
// idle or with a query on each from time to time.
func TestFlood(t *testing.T) {
	for name, abuse := range map[string]func(context.Context, net.Conn){
		"idle": connlimittest.Hold,
		"queries": func(ctx context.Context, c net.Conn) {
			connection := &miekg.Conn{Conn: c}
			for ctx.Err() == nil {
				if connection.WriteMsg(query("student.service.consul.", miekg.TypeA)) != nil {
					return
				}
				if _, err := connection.ReadMsg(); err != nil {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, defaults(), student)
			connlimittest.Flood(t, "127.0.0.1", f.Address(), connlimittest.Connections(), abuse)
			client := miekg.Client{Net: "tcp", Timeout: 10 * time.Second, Dialer: connlimittest.Dialer("127.0.0.2")}
			connlimittest.Served(t, func() error {
				_, _, err := client.Exchange(query("student.service.consul.", miekg.TypeA), f.Address())
				return err
			})
		})
	}
}
