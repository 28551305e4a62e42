package jsonstream_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

var generous = jsonstream.ElementLimits{Elements: 1000, Bytes: 1 << 20}

// elements returns the elements of an array as one array.
func elements(array string, limits jsonstream.ElementLimits) (string, error) {
	var all []string
	err := jsonstream.Elements(strings.NewReader(array), limits, func(element []byte, _ int64) error {
		all = append(all, string(element))
		return nil
	})
	return "[" + strings.Join(all, ",") + "]", err
}

// TestElements verifies that the elements are those of encoding/json.
func TestElements(t *testing.T) {
	for _, array := range []string{
		`null`, `[]`, ` [ ] `, `[{}]`, `[{"a": "}]"}, [1, 2], "x\"", null , 1.5e3,true]`, "[\n  {\n    \"日本\": [\"ü\\u00e9\\\\\"]\n  }\n]",
		`["` + strings.Repeat(`x\\`, 70_000) + `", {"a": {"b": [[[]]]}}]`,
	} {
		got, err := elements(array, generous)
		var want, have []any
		if err := json.Unmarshal([]byte(array), &want); err != nil {
			t.Fatal(err)
		}
		if err != nil || json.Unmarshal([]byte(got), &have) != nil || mustJSON(have) != mustJSON(append([]any{}, want...)) {
			t.Errorf("%.60s: got %.60s, %v", array, got, err)
		}
	}
	const array = `[{"a": ["b\\"]}, null]`
	for end := range len(array) {
		if _, err := elements(array[:end], generous); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %v", array[:end], err)
		}
	}
	for _, array := range []string{`{}`, `"x"`, `[,]`, `[1,]`, `[{} {}]`, `[}`} {
		if got, err := elements(array, generous); err == nil {
			t.Errorf("%s: accepted as %s", array, got)
		}
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestElementLimits verifies that neither the number of the elements nor the decoded size of one element is above its limit.
// A text of few bytes can be large once it is decoded.
func TestElementLimits(t *testing.T) {
	limits := jsonstream.ElementLimits{Elements: 100, Bytes: 64 << 10}
	for name, array := range map[string]string{
		"many elements": "[" + strings.Repeat("{},", 100) + "{}]",
		"many objects":  `[{"Checks": [` + strings.Repeat("{},", 200) + `{}]}]`,
		"many texts":    `[{"Tags": [` + strings.Repeat(`"",`, 2000) + `""]}]`,
		"a long text":   `["` + strings.Repeat("x", 64<<10) + `"]`,
	} {
		var limit *jsonstream.LimitError
		if _, err := elements(array, limits); !errors.As(err, &limit) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := elements("["+strings.Repeat(`{"a": "{{{{,,,,\"[[["},`, 99)+"{}]", limits); err != nil {
		t.Error(err)
	}
	bounded := jsonstream.Bound(strings.NewReader("["+strings.Repeat("{},", 1000)+"{}]"), 64<<10)
	var limit *jsonstream.LimitError
	if n, err := io.Copy(io.Discard, bounded); !errors.As(err, &limit) {
		t.Errorf("%d bytes were read, %v", n, err)
	}
}
