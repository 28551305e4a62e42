package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events are the lines of go test -json for a package that passes, one that fails and one that panics.
const events = `{"Action":"start","Package":"example.com/a"}
{"Action":"run","Package":"example.com/a","Test":"TestPasses"}
{"Action":"output","Package":"example.com/a","Test":"TestPasses","Output":"=== RUN   TestPasses\n"}
{"Action":"pass","Package":"example.com/a","Test":"TestPasses"}
{"Action":"output","Package":"example.com/a","Test":"TestSkips","Output":"=== RUN   TestSkips\n"}
{"Action":"output","Package":"example.com/a","Test":"TestSkips","Output":"    a_test.go:9: consul is missing: run make tools\n"}
{"Action":"skip","Package":"example.com/a","Test":"TestSkips"}
{"Action":"output","Package":"example.com/a","Output":"PASS\n"}
{"Action":"output","Package":"example.com/a","Output":"ok  \texample.com/a\t0.1s\n"}
{"Action":"pass","Package":"example.com/a"}
{"Action":"output","Package":"example.com/b","Test":"TestFails","Output":"    b_test.go:3: got 1, want 2\n"}
{"Action":"fail","Package":"example.com/b","Test":"TestFails"}
{"Action":"output","Package":"example.com/b","Test":"TestPanics","Output":"panic: index out of range\n"}
{"Action":"output","Package":"example.com/b","Output":"FAIL\texample.com/b\t0.2s\n"}
{"Action":"fail","Package":"example.com/b"}
`

// TestReport verifies that the report prints the output of failed and unfinished tests only, the closing line of each
// package, and the skipped tests with their reasons.
func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out)
	if err := readEvents(r, strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.summary()
	want := `ok  	example.com/a	0.1s
    b_test.go:3: got 1, want 2
panic: index out of range
FAIL	example.com/b	0.2s

skipped: example.com/a.TestSkips (consul is missing: run make tools)
1 passed, 2 failed, 1 skipped
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if !r.failed {
		t.Error("the report of a failed test must fail")
	}
}

// TestReportOfBrokenBuild verifies that a package that does not build fails the report, and that its errors are shown.
func TestReportOfBrokenBuild(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out)
	lines := `{"ImportPath":"example.com/a","Action":"build-output","Output":"a.go:3:1: syntax error\n"}
{"ImportPath":"example.com/a","Action":"build-fail"}
{"Action":"output","Package":"example.com/a","Output":"FAIL\texample.com/a [build failed]\n"}
{"Action":"fail","Package":"example.com/a","FailedBuild":"example.com/a"}
`
	if err := readEvents(r, strings.NewReader(lines)); err != nil {
		t.Fatal(err)
	}
	if want := "a.go:3:1: syntax error\nFAIL\texample.com/a [build failed]\n"; out.String() != want || !r.failed {
		t.Errorf("got %q, failed %t, want %q and a failure", out.String(), r.failed, want)
	}
}
