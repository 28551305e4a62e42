package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CPU returns the CPU time of a process on all cores. It needs Linux.
func CPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(content)[strings.LastIndexByte(string(content), ')')+1:])
	total := 0
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		ticks, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		total += ticks
	}
	return time.Duration(total) * 10 * time.Millisecond
}

// RSS returns the resident memory of a process in MB. It needs Linux.
func RSS(t testing.TB, pid int) float64 {
	t.Helper()
	for line := range lines(fmt.Sprintf("/proc/%d/status", pid)) {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kilobytes); err == nil {
			return kilobytes * 1024 / 1e6
		}
	}
	t.Fatalf("the memory of process %d can't be read", pid)
	return 0
}
