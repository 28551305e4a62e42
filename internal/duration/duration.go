// Package duration formats durations. Packages that must not import each other share it: config and guard.
package duration

import (
	"strings"
	"time"
)

// Text formats a duration like time.Duration.String, without zero parts: "1m", not "1m0s".
func Text(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
