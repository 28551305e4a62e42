package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine describes a machine.
type Machine struct {
	Go    string `json:"go"`
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	// Memory is in GiB.
	Memory float64 `json:"memoryGiB"`
}

func thisMachine() Machine {
	m := Machine{Go: runtime.Version(), Cores: runtime.NumCPU()}
	for line := range lines("/proc/cpuinfo") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	for line := range lines("/proc/meminfo") {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "MemTotal: %f kB", &kilobytes); err == nil {
			m.Memory = kilobytes / (1 << 20)
		}
	}
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores of %s, %.0f GiB of memory", m.Go, m.Cores, m.CPU, m.Memory)
}

// commit returns the commit of the code. The suffix "-dirty" marks uncommitted changes.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*").Output()
	if err != nil {
		return "unknown" // not a clone
	}
	return string(bytes.TrimSpace(out))
}

// lines returns the lines of a file, or none if it cannot be read, for example on a system other than Linux.
func lines(file string) func(yield func(string) bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		content = nil
	}
	return strings.Lines(string(content))
}
