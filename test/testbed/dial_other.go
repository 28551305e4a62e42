//go:build !linux

package testbed

import (
	"context"
	"errors"
	"net"
)

// dial is never called, because pods need Linux.
func (p *Pod) dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
