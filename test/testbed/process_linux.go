package testbed

import "syscall"

// ownGroup keeps a terminal's Ctrl-C from a server, and has the kernel end a server whose starter is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
