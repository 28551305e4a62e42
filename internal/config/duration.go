package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/duration"
)

// Duration is a time.Duration that is text in JSON and YAML: "5m", "1h30m".
type Duration time.Duration

// String formats the duration without zero parts: "1m", not "1m0s".
func (d Duration) String() string { return duration.Text(time.Duration(d)) }

// Std returns the duration as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalJSON encodes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON decodes the duration from text.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf(`duration %s: write it with its unit, as in "30s" or "5m"`, data)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf(`duration %q: write it with its unit, as in "30s" or "5m"`, text)
	}
	*d = Duration(parsed)
	return nil
}

// strict decodes JSON and rejects unknown fields.
func strict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// plain removes the names of Go's decoders from an error.
func plain(err error) string {
	text := err.Error()
	for _, noise := range []string{"error unmarshaling JSON: ", "error converting YAML to JSON: ", "while decoding JSON: ", "json: ", "yaml: "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return text
}
