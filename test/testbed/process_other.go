//go:build !linux

package testbed

import "syscall"

// ownGroup keeps a terminal's Ctrl-C from a server.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
