package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopGrace is the time for a server to stop after SIGTERM.
const stopGrace = 15 * time.Second

// Process is a program that a Run started. Its output goes to a file.
type Process struct {
	Name    string
	LogFile string

	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a program. It stops with the run, and with this program if that is killed.
func (r *Run) Start(name, path string, env []string, args ...string) (*Process, error) {
	p := &Process{Name: name, LogFile: filepath.Join(r.dir, fmt.Sprintf("%s-%d.log", name, len(r.processes)))}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	if err := p.start(path, env, args); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.processes = append(r.processes, p)
	return p, nil
}

func (p *Process) start(path string, env, args []string) error {
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = ownGroup()
	p.done = make(chan struct{})
	started := make(chan error)
	go func(cmd *exec.Cmd, done chan struct{}) {
		// Linux treats the end of the starting thread as the end of the parent, so the thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the log has the reason
			close(done)
		}
	}(p.cmd, p.done)
	return <-started
}

// Restart starts a stopped program again with the same arguments.
func (p *Process) Restart() error {
	if err := p.start(p.cmd.Path, p.cmd.Env, p.cmd.Args[1:]); err != nil {
		return fmt.Errorf("restart %s: %w", p.Name, err)
	}
	return nil
}

// PID returns the process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal. After SIGSTOP it waits, on Linux, until every thread has stopped: until then the program may answer.
func (p *Process) Signal(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil || signal != syscall.SIGSTOP {
		return err
	}
	deadline := time.Now().Add(stopGrace)
	for !p.stopped() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not stop within %s after SIGSTOP", p.Name, stopGrace)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// stopped reports whether no thread of the program runs, as far as /proc shows it.
func (p *Process) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
	if err != nil {
		return true
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		// The state follows the name in parentheses; T is stopped, Z has ended (proc(5)).
		_, state, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if !strings.HasPrefix(state, "T") && !strings.HasPrefix(state, "Z") {
			return false
		}
	}
	return true
}

// Stop asks the program to end, kills it after a grace period, and waits for its end.
func (p *Process) Stop() {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.Kill()
	}
}

// Kill ends the program at once and waits for its end.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Log returns the output of the program.
func (p *Process) Log() string {
	content, err := os.ReadFile(p.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// LogTail returns the last lines of the output.
func (p *Process) LogTail(lines int) string {
	all := strings.Split(strings.TrimRight(p.Log(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// ready waits until ok returns nil. It returns an error as soon as the program ends.
func (p *Process) ready(ctx context.Context, ok func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func(done <-chan struct{}) { // a restart replaces the channel
		select {
		case <-done:
			cancel(errors.New("it ended"))
		case <-ctx.Done():
		}
	}(p.done)
	if err := Poll(ctx, startTimeout, ok); err != nil {
		return fmt.Errorf("%s is not ready: %w; the end of its log:\n%s", p.Name, err, p.LogTail(15))
	}
	return nil
}
