//go:build !linux

package testbed

import (
	"context"
	"errors"
	"net"
)

// dial isn't called: there are no pods here.
func (p *Pod) dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
