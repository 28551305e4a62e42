// Package duration writes durations as people do.
package duration

import (
	"strings"
	"time"
)

// Text returns a duration as Go writes it, without parts that are zero: "1m", not "1m0s".
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
