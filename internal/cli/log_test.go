package cli

import (
	"bytes"
	"errors"
	"log"
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/klog/v2"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestLibrariesLogAtDebug verifies that the log of the standard library appears only at level debug.
func TestLibrariesLogAtDebug(t *testing.T) {
	for level, want := range map[string]string{"info": "", "debug": `"msg":"Unsolicited response"`} {
		var out bytes.Buffer
		newLog(config.Log{Level: level, Format: "json"}, &out)
		log.Print("Unsolicited response")
		if got := out.String(); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("at level %s: %q", level, got)
		}
	}
}

// TestLibrariesAreSilent verifies that logs of libraries appear only at level debug, also after the level changes.
func TestLibrariesAreSilent(t *testing.T) {
	var out bytes.Buffer
	c := config.Default()
	_, level := newLog(c.Log, &out)
	for _, step := range []struct {
		level string
		want  int
	}{{"info", 0}, {"debug", 2}, {"error", 2}} {
		c.Log.Level = step.level
		level.Set(c.Log.SlogLevel())
		klog.InfoS("message of a library")
		klog.ErrorS(nil, "error message of a library")
		if got := strings.Count(out.String(), "message of a library"); got != step.want {
			t.Errorf("at level %s: %d lines, want %d:\n%s", step.level, got, step.want, &out)
		}
	}
}

// TestLongValuesAreClipped verifies that no value of a log line, in a list or an error too, exceeds the limit.
func TestLongValuesAreClipped(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, _ := newLog(config.Log{Level: "info", Format: format}, &out)
		log.Info("short", "service", "web", "services", []string{"a", "b"})
		if got := out.String(); !strings.Contains(got, "web") || strings.Contains(got, "bytes)") {
			t.Errorf("%s: a short value was clipped: %s", format, got)
		}
		for key, value := range map[string]any{"service": long, "services": []string{"a", long}, "error": errors.New(long)} {
			out.Reset()
			log.Info("long", key, value)
			if got := out.String(); len(got) > maxValue+200 || !strings.Contains(got, "bytes)") || !utf8.ValidString(got) {
				t.Errorf("%s, %s: %d bytes: %.100s", format, key, len(got), got)
			}
		}
	}
}
