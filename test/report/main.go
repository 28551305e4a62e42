// Command report runs the tests of several modules and ends with one summary. It tests all modules even if one fails,
// prints the lines that go test prints, and names the skipped tests with their reasons.
//
// Usage: report MODULE[,MODULE...] [ARGUMENT OF GO TEST...]
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: report MODULE[,MODULE...] [ARGUMENT OF GO TEST...]")
		os.Exit(2)
	}
	r := newReport(os.Stdout)
	for module := range strings.SplitSeq(os.Args[1], ",") {
		if err := runModule(r, module, os.Args[2:]); err != nil {
			r.failed = true
			fmt.Fprintf(os.Stderr, "testing module %s: %v\n", module, err)
		}
	}
	r.summary()
	if r.failed {
		os.Exit(1)
	}
}

// runModule tests one module. It returns an error if go test itself did not exit with success.
func runModule(r *report, module string, arguments []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, arguments...)...)
	cmd.Dir = module
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := readEvents(r, events); err != nil {
		return err
	}
	return cmd.Wait()
}

// readEvents passes each line of go test -json to the report.
func readEvents(r *report, events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
