//go:build !linux

package testbed

import "syscall"

// ownGroup protects a server from Ctrl-C in the terminal.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
