package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// modulePath is left out of the names of packages in the summary.
const modulePath = "github.com/isthmus-mesh/isthmus/"

// event is one line of go test -json; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// key identifies a test, or a package if the test is empty.
type key struct{ pkg, test string }

// report collects the results of tests and prints the output of those that fail.
type report struct {
	out io.Writer
	// output holds what a test printed, until the test ends.
	output map[key][]string
	// skipped holds the skipped tests for each reason.
	skipped map[string][]string
	// passedTests, failedTests and skippedTests count top-level tests.
	passedTests, failedTests, skippedTests int
	// failed is set if a test or a build failed.
	failed bool
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[key][]string{}, skipped: map[string][]string{}}
}

// line reads one line of go test -json. It prints a line that is not JSON as it is.
func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(r.out, "%s", line)
		return
	}
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass", "fail", "skip":
		r.end(k, e.Action)
	}
}

// end counts the result of a test and prints its output if it failed. The end of a package prints its closing lines.
func (r *report) end(k key, action string) {
	if action == "fail" {
		r.failed = true
	}
	if k.test == "" {
		r.endPackage(k.pkg, action)
		return
	}
	if action == "fail" {
		r.print(k)
	}
	if action == "skip" {
		reason := skipReason(r.output[k])
		r.skipped[reason] = append(r.skipped[reason], strings.TrimPrefix(k.pkg, modulePath)+"."+k.test)
	}
	if !strings.Contains(k.test, "/") {
		r.count(action)
	}
	delete(r.output, k)
}

func (r *report) count(action string) {
	switch action {
	case "pass":
		r.passedTests++
	case "fail":
		r.failedTests++
	case "skip":
		r.skippedTests++
	}
}

// endPackage prints the closing lines of a package. If the package failed, it prints also the output of tests that did
// not end, for example after a panic or a timeout.
func (r *report) endPackage(pkg, action string) {
	if action == "fail" {
		for _, k := range r.unfinished(pkg) {
			r.failedTests++
			r.print(k)
		}
	}
	for _, line := range r.output[key{pkg: pkg}] {
		if action == "fail" || isClosing(line) {
			fmt.Fprint(r.out, line)
		}
	}
	maps.DeleteFunc(r.output, func(k key, _ []string) bool { return k.pkg == pkg })
}

// unfinished returns the tests of a package without a result.
func (r *report) unfinished(pkg string) []key {
	var keys []key
	for k := range r.output {
		if k.pkg == pkg && k.test != "" {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.test, b.test) })
	return keys
}

func (r *report) print(k key) {
	for _, line := range r.output[k] {
		fmt.Fprint(r.out, line)
	}
}

// isClosing reports whether go test prints a line of a package that passed also without -v.
func isClosing(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") || strings.HasPrefix(line, "FAIL\t")
}

// skipReason returns the message that t.Skip printed, without its position.
func skipReason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if _, reason, found := strings.Cut(line, ".go:"); found {
			if _, reason, found = strings.Cut(reason, ": "); found {
				return reason
			}
		}
	}
	return "no reason given"
}

// summary prints one line that names the skipped tests by reason, and the closing line with the numbers.
func (r *report) summary() {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		tests := r.skipped[reason]
		slices.Sort(tests)
		parts = append(parts, strings.Join(tests, ", ")+" ("+reason+")")
	}
	if len(parts) == 0 {
		parts = []string{"no test"}
	}
	fmt.Fprintf(r.out, "\nskipped: %s\n", strings.Join(parts, "; "))
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passedTests, r.failedTests, r.skippedTests)
}
