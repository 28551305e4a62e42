package testbed

import "syscall"

// ownGroup protects a server from Ctrl-C in the terminal, and lets the kernel end it if this program is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
